"""espeak-ng in this process, through the wheel espeakng-loader (GPL-3 upstream)."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt

_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: hand the samples to a callback, play nothing
_UTF8 = 1
_POSITION_CHARACTER = 1
_PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "pitch_range": 4}


class Espeak:
    """A speech synthesiser whose output repeats for a seed.

    The library keeps one global state: the same sentences give the same samples only when asked
    for in the same order in a fresh process.
    """

    def __init__(self, seed: int) -> None:
        try:
            import espeakng_loader  # noqa: PLC0415 - of an extra
        except ModuleNotFoundError as error:
            raise SystemExit(
                "the recipe speaks through espeakng-loader: pip install -e '.[recipe]'"
            ) from error
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.sampling_rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
        if self.sampling_rate <= 0:
            raise RuntimeError(f"espeak-ng did not start (code {self.sampling_rate})")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._chunks: list[npt.NDArray[np.int16]] = []
        signature = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = signature(self._receive)  # kept: the library holds only the address
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: object, count: int, _events: object) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: str, **parameters: int) -> npt.NDArray[np.float32]:
        """Speak `text` in a voice such as "de+f4".

        Returns:
            float32 samples in [-1, 1] at `sampling_rate`, shape [n].

        Raises:
            ValueError: the voice is unknown, or it spoke nothing.
            KeyError: a parameter is none of rate (words a minute), volume, pitch, pitch_range.

        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        defaults = {"rate": 175, "volume": 100, "pitch": 50, "pitch_range": 50}
        for name, value in (defaults | parameters).items():
            self._library.espeak_SetParameter(_PARAMETERS[name], int(value), 0)
        self._chunks = []
        encoded = text.encode()
        size = ctypes.c_size_t(len(encoded) + 1)
        self._library.espeak_Synth(encoded, size, 0, _POSITION_CHARACTER, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._chunks:
            raise ValueError(f"espeak-ng spoke nothing for {text!r} in the voice {voice!r}")
        return np.concatenate(self._chunks).astype(np.float32) / 32768
