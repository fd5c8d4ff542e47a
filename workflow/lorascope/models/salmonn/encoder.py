"""Clips to the Q-Former's output."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from lorascope.errors import UserError
from lorascope.models.protocol import Encoder
from lorascope.models.remote_code import refuse_code
from lorascope.models.salmonn.beats import BEATs
from lorascope.models.salmonn.bridge import Bridge, BridgeConfig, released_name, window_frames
from lorascope.models.salmonn.checkpoint import (
    bridge_file,
    load_strictly,
    read_bridge,
    read_model_key,
)
from lorascope.models.salmonn.files import BRIDGE
from lorascope.models.salmonn.frontend import SAMPLING_RATE, Clip, FrontEnd, fbank
from lorascope.models.together import alike, placed
from lorascope.models.weights import (
    UNREADABLE,
    check_features,
    existing,
    first_line,
    read_folder,
    read_torch,
)
from lorascope.storage.files import read_object


class SalmonnEncoder(Encoder):
    """The audio path up to, and without, the projection into the language model."""

    sampling_rate = SAMPLING_RATE

    def __init__(
        self,
        front_end: FrontEnd,
        whisper: WhisperEncoder,
        beats: BEATs,
        bridge: Bridge,
        window: int,
        stride: int,
    ) -> None:
        self.front_end, self.whisper, self.beats, self.bridge = front_end, whisper, beats, bridge
        self.window, self.stride = window, stride

    def encode(self, waves: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """Return one CPU float32 tensor [windows, Q-Former width] for each 16 kHz mono clip.

        A clip is cut to Whisper's chunk or padded to one second. NonFiniteError as the protocol
        says.
        """
        return self.encode_prepared([self.prepare(wave) for wave in waves])

    def prepare(self, wave: NDArray[np.float32]) -> Clip:
        """Return the spectrogram and the filter bank of a 16 kHz mono clip."""
        return self.front_end.clip(wave)

    def encode_prepared(self, prepared: Sequence[Clip]) -> list[Tensor]:
        """Return what ``encode`` does; clips of which BEATs makes as many steps go together."""
        # BEATs would hear the padding of shorter clips.
        steps = [self.beats.steps(len(clip.fbank)) for clip in prepared]
        features: dict[int, Tensor] = {}
        for places in alike(steps, self.device):
            features.update(zip(places, self._encode([prepared[i] for i in places]), strict=True))
        return check_features([features[i] for i in range(len(prepared))])

    def hears(self, samples: int) -> int:
        """Return how many of a clip's first samples are heard: those of Whisper's chunk."""
        return min(samples, self.front_end.whisper.n_samples)

    @property
    def device(self) -> torch.device:
        """Where clips are encoded."""
        return self.whisper.device

    @torch.inference_mode()
    def _encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        speech = self._speech([clip.spectrogram for clip in clips])
        audio = self._audio([clip.fbank for clip in clips])
        return [*self.bridge.features(speech, audio, self.window, self.stride).cpu()]

    def speech(self, wave: NDArray[np.float32]) -> Tensor:
        """Return Whisper's last hidden state [1, frames, width] of a trimmed clip."""
        return self._speech([self.front_end.spectrogram(wave)])

    def audio(self, wave: NDArray[np.float32]) -> Tensor:
        """Return BEATs' features [1, steps, width] of a trimmed clip."""
        return self._audio([fbank(wave)])

    def _speech(self, spectrograms: Sequence[Tensor]) -> Tensor:
        return self.whisper(placed(spectrograms, self.device)).last_hidden_state

    def _audio(self, fbanks: Sequence[Tensor]) -> Tensor:
        frames = min(map(len, fbanks))  # they differ by less than a step
        return self.beats(placed([fbank[:frames] for fbank in fbanks], self.device))


def load(settings: Mapping[str, Any], device: str) -> SalmonnEncoder:
    """Load the encoder that ``lorascope.models.salmonn`` describes; UserError for a misfit."""
    front_end = FrontEnd(existing(settings, "whisper", "preprocessor_config.json"))
    whisper = _load_whisper(settings, device)
    frames = whisper.config.max_source_positions
    taken = (whisper.config.num_mel_bins, 2 * frames)  # its second convolution has stride 2
    if front_end.shape != taken:
        raise UserError(
            f"{settings['whisper']}: preprocessor_config.json makes spectrograms of (mels, frames) "
            f"{front_end.shape}, config.json takes {taken}. Are they of one model?"
        )
    beats = _load_beats(existing(settings, "beats"), device)
    bridge = _load_bridge(settings, whisper.config.d_model, beats.cfg["encoder_embed_dim"], device)
    window, stride = (
        _frames(settings, key, frames, front_end.chunk_length)
        for key in ("second_per_window", "second_stride")
    )
    return SalmonnEncoder(front_end, whisper, beats, bridge, window, stride)


def _frames(settings: Mapping[str, Any], key: str, positions: int, chunk_length: float) -> int:
    frames = window_frames(settings[key], positions, chunk_length)
    if not 1 <= frames <= positions:
        raise UserError(
            f"{key}: {settings[key]} s are {frames} of the {positions} frames that Whisper makes "
            f"of {chunk_length} s; choose a value that gives 1 to {positions}."
        )
    return frames


def _load_whisper(settings: Mapping[str, Any], device: str) -> WhisperEncoder:
    folder = existing(settings, "whisper")
    config = existing(settings, "whisper", "config.json")
    refuse_code(folder, "whisper", None)
    given = read_object(config)
    try:
        with torch.device("meta"):
            encoder = WhisperEncoder(WhisperConfig.from_dict(given))
    except UNREADABLE as error:
        raise UserError(f"{config} describes no Whisper model: {first_line(error)}") from error
    tensors = read_folder(folder, ("model.encoder.", "encoder."))
    return load_strictly(encoder, tensors, str(folder), device)


def _load_beats(path: Path, device: str) -> BEATs:
    tensors = {
        name: tensor
        for name, tensor in read_model_key(path).items()
        if not name.startswith("predictor.")
    }
    try:
        with torch.device("meta"):
            beats = BEATs(read_torch(path)["cfg"])
    except KeyError as error:
        raise UserError(f"{path}: 'cfg' or its key {error} is missing. Is it BEATs'?") from error
    # Sizes of another kind, or that do not go together, fail in as many ways as there are layers.
    except UNREADABLE as error:
        raise UserError(f"{path}: 'cfg' is no BEATs': {first_line(error)}.") from error
    # All layers share layer 0's table; a file may repeat it under their names.
    table = tensors.get("encoder.layers.0.self_attn.relative_attention_bias.weight")
    if table is not None:
        aliases = [n for n in beats.state_dict() if n.endswith(".relative_attention_bias.weight")]
        tensors |= dict.fromkeys(aliases, table)
    return load_strictly(beats, tensors, str(path), device)


def _load_bridge(
    settings: Mapping[str, Any], speech_width: int, audio_width: int, device: str
) -> Bridge:
    path = bridge_file(settings, settings.get("adapter"))
    tensors = read_bridge(path)
    if settings.get("adapter") and path.name != BRIDGE:
        raise UserError(f"{settings['adapter']}: has no {BRIDGE}; train it with bridge: true.")
    try:
        config = BridgeConfig.from_tensors(tensors, settings["qformer_heads"])
    except KeyError as error:
        raise UserError(f"{path}: missing key {error}. Is it a SALMONN checkpoint?") from error
    except (ValueError, IndexError, ArithmeticError) as error:
        raise UserError(f"{path}: tensors of shapes that no bridge has: {error}.") from error
    for key, needed, given in (
        ("whisper", config.speech_width, speech_width),
        ("beats", config.audio_width, audio_width),
    ):
        if needed != given:
            raise UserError(
                f"{path} was trained on a {key} encoder of width {needed}; {settings[key]} has "
                f"{given}. Set {key} to the encoder it was trained on."
            )
    if config.hidden_size % config.num_attention_heads:
        raise UserError(
            f"qformer_heads: {config.num_attention_heads} does not divide the Q-Former's width "
            f"{config.hidden_size} in {path}."
        )
    with torch.device("meta"):
        bridge = Bridge(config)
    return load_strictly(bridge, tensors, str(path), device, released_name)
