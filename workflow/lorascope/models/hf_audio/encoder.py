"""Clips to the audio embeddings that a language model reads, or to what they are made of."""

import logging
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.feature_extraction_utils import BatchFeature
from transformers.modeling_utils import PreTrainedModel

from lorascope.errors import UserError
from lorascope.models.hf_audio.architecture import load_audio_half, on_device
from lorascope.models.hf_audio.listening import heard
from lorascope.models.hf_audio.prompting import Prompter, load_prompter
from lorascope.models.protocol import Encoder
from lorascope.models.weights import check_features, existing

log = logging.getLogger("lorascope")


class Prepared(NamedTuple):
    """What a processor makes of a clip, and the clip's number of samples."""

    inputs: BatchFeature
    samples: int


class EmbeddingEncoder(Encoder):
    """The audio encoder and its projector into the language model."""

    def __init__(self, model: PreTrainedModel, prompter: Prompter) -> None:
        self.model, self.prompter = model, prompter
        self.sampling_rate = prompter.sampling_rate
        self._processing = Lock()  # a tokenizer serves one thread at a time

    def encode(self, waves: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """Return one CPU float32 tensor [audio tokens, width] for each mono clip.

        UserError for a clip too short for one token, naming its place in ``waves``;
        NonFiniteError as the protocol says.
        """
        return self.encode_prepared([self.prepare(wave) for wave in waves])

    def prepare(self, wave: NDArray[np.float32]) -> Prepared:
        """Return what the processor makes of a mono clip."""
        with self._processing:
            return Prepared(self.prompter.inputs(self.prompter.text(""), wave), len(wave))

    def encode_prepared(self, prepared: Sequence[Prepared]) -> list[Tensor]:
        """Return what ``encode`` does."""
        # One by one: each processor lays out a batch in its own way, and a neighbour's length would
        # change the padding, and rounding, of a clip.
        features = [self._encode(clip.inputs) for clip in prepared]
        for i, (tensor, clip) in enumerate(zip(features, prepared, strict=True)):
            if not len(tensor):
                raise UserError(f"clip {i} of the batch: {clip.samples} samples are too short.")
        return check_features(features)

    def hears(self, samples: int) -> int:
        """Return how many of a clip's first samples are heard."""
        return self.prompter.hears(samples)

    def _encode(self, prepared: BatchFeature) -> Tensor:
        inputs = on_device(prepared, self.model)
        is_audio = inputs["input_ids"][0] == self.prompter.audio_token_id
        return heard(self.model, inputs)[is_audio].float().cpu()


class WaveEncoder(Encoder):
    """Keeps the clips as they are, for an audio encoder that runs for every question."""

    def __init__(self, prompter: Prompter) -> None:
        self.sampling_rate, self.prompter = prompter.sampling_rate, prompter

    def encode(self, waves: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """Return the samples [samples, 1] of each mono clip, float32."""
        return [torch.from_numpy(np.ascontiguousarray(wave, np.float32))[:, None] for wave in waves]

    def hears(self, samples: int) -> int:
        """Return how many of a clip's first samples are heard once it is asked about."""
        return self.prompter.hears(samples)


def load(settings: Mapping[str, Any], device: str) -> EmbeddingEncoder | WaveEncoder:
    """Load the encoder that ``lorascope.models.hf_audio`` describes; UserError for a misfit."""
    folder = existing(settings, "model", "config.json").parent
    trust = settings["trust_remote_code"]
    prompter = load_prompter(folder, None, trust)
    if not settings["encode_once"]:
        log.info("%s: encode_once is false: the audio encoder runs for every question", folder)
    elif not prompter.expands_by_repetition():
        log.warning(
            "%s: its prompts need the clip itself, so that the audio encoder runs for every "
            "question in spite of encode_once",
            folder,
        )
    else:
        return EmbeddingEncoder(load_audio_half(folder, device, trust), prompter)
    return WaveEncoder(prompter)
