"""Clips to what an encoder makes of them, or to what it is to hear with every answer."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lorascope.errors import UserError
from lorascope.models.hf_speech.recogniser import Ears, encode_alike, folder_of, load_recogniser
from lorascope.models.protocol import Encoder
from lorascope.models.together import alike
from lorascope.models.weights import check_features

log = logging.getLogger("lorascope")


class SpeechEncoder(Encoder):
    """The encoder of a recogniser; without one it keeps the clips as they are."""

    def __init__(self, ears: Ears, encoder: nn.Module | None) -> None:
        self.ears, self.encoder = ears, encoder
        self.sampling_rate = ears.sampling_rate

    def encode(self, waves: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """Return one CPU float32 tensor [positions, width] for each mono clip.

        Without an encoder that is the samples, [samples, 1]. UserError for a clip too short for one
        position, naming its place in ``waves``; NonFiniteError as the protocol says.
        """
        return self.encode_prepared([self.prepare(wave) for wave in waves])

    def prepare(self, wave: NDArray[np.float32]) -> Tensor:
        """Return what the encoder takes of a mono clip; without one, its samples [samples, 1]."""
        if self.encoder is None:
            return torch.from_numpy(np.array(wave, np.float32))[:, None]
        return self.ears.inputs(wave)

    def encode_prepared(self, prepared: Sequence[Tensor]) -> list[Tensor]:
        """Return what ``encode`` does; clips of one length go together."""
        if self.encoder is None:
            return list(prepared)
        device = next(self.encoder.parameters()).device
        features: dict[int, Tensor] = {}
        for places in alike([inputs.shape for inputs in prepared], device):
            found = self._encode(places[0], [prepared[i] for i in places])
            features.update(zip(places, found, strict=True))
        return check_features([features[i] for i in range(len(prepared))])

    def hears(self, samples: int) -> int:
        """Return how many of a clip's first samples are heard."""
        return self.ears.hears(samples)

    @torch.inference_mode()
    def _encode(self, number: int, inputs: Sequence[Tensor]) -> list[Tensor]:
        assert self.encoder is not None
        try:
            return [*encode_alike(self.encoder, inputs).float().cpu()]
        except UserError as error:
            raise UserError(f"clip {number} of the batch: {error}") from error


def load(settings: Mapping[str, Any], device: str) -> SpeechEncoder:
    """Load the encoder that ``lorascope.models.hf_speech`` describes; UserError for a misfit."""
    folder = folder_of(settings)
    ears = Ears(folder)
    if not settings["encode_once"]:
        log.info("%s: encode_once is false: the encoder runs for every answer", folder)
        return SpeechEncoder(ears, None)
    # The decoder is never put on the device.
    return SpeechEncoder(ears, load_recogniser(folder, "cpu", "float32").get_encoder().to(device))
