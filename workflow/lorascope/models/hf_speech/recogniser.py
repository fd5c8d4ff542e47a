"""A speech-to-text model: loading it, what its encoder makes of clips, what its decoder reads."""

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.feature_extraction_auto import AutoFeatureExtractor
from transformers.models.moonshine.modeling_moonshine import (
    MoonshineEncoderModelOutput,
    MoonshineForConditionalGeneration,
)
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from lorascope.benchmarks.audio import RATES
from lorascope.errors import UserError, shown
from lorascope.models.hf_speech.files import refusal
from lorascope.models.pretrained import load_model
from lorascope.models.remote_code import refuse_code
from lorascope.models.together import placed
from lorascope.models.weights import UNREADABLE, existing, first_line
from lorascope.storage.files import read_object

_CLASSES: dict[str, type[PreTrainedModel]] = {
    "whisper": WhisperForConditionalGeneration,
    "moonshine": MoonshineForConditionalGeneration,
}


def folder_of(settings: Any) -> Path:
    """Return the folder of a model that this family serves; UserError for another one."""
    path = existing(settings, "model", "config.json")
    folder = path.parent
    refuse_code(folder, "model", None)
    language, task = settings.get("language"), settings.get("task")
    if problem := refusal(folder, read_object(path), generation_of(folder), language, task):
        raise UserError(f"{problem}.")
    return folder


def generation_of(folder: Path) -> dict[str, Any]:
    """Return what generation_config.json says; older folders have it in config.json."""
    path = folder / "generation_config.json"
    return read_object(path if path.exists() else folder / "config.json")


def model_class(folder: Path) -> type[PreTrainedModel]:
    """Return transformers' class for the model in a folder."""
    return _CLASSES[read_object(folder / "config.json")["model_type"]]


def load_recogniser(folder: Path, device: str, dtype: str, key: str = "model") -> Any:
    """Load the model in a folder; UserError as ``pretrained.load_model``."""
    return load_model(model_class(folder), folder, device, dtype, key)


class Ears:
    """A feature extractor: from a waveform to what an encoder takes."""

    def __init__(self, folder: Path) -> None:
        try:
            self.extractor: Any = AutoFeatureExtractor.from_pretrained(
                folder, local_files_only=True
            )
            self.sampling_rate: int = operator.index(self.extractor.sampling_rate)
            self.name: str = self.extractor.model_input_names[0]
            if self.sampling_rate not in RATES:
                raise ValueError(f"it takes {self.sampling_rate} samples a second")
            found = self.inputs(np.zeros(self.sampling_rate, np.float32))
        except UNREADABLE as error:
            raise UserError(
                f"model: {folder} has no feature extractor that works: {first_line(error)}"
            ) from error
        self._check(tuple(found.shape), folder)

    def _check(self, found: tuple[int, ...], folder: Path) -> None:
        """UserError where Whisper's encoder takes spectrograms of another shape."""
        config = read_object(folder / "config.json")
        taken = config.get("num_mel_bins", 80), config.get("max_source_positions", 1500)
        # Its second convolution has stride 2.
        if config["model_type"] == "whisper" and (found[0], found[-1] / 2) != taken:
            raise UserError(
                f"model: the feature extractor in {folder} makes spectrograms of (mels, frames) "
                f"{found}, and config.json takes {shown(taken[0])} mels and twice "
                f"{shown(taken[1])} frames. Are they of one model?"
            )

    def hears(self, samples: int) -> int:
        """Return how many of a clip's first samples are heard: those of Whisper's chunk, or all."""
        return min(samples, getattr(self.extractor, "n_samples", samples))

    def inputs(self, wave: NDArray[np.float32]) -> Tensor:
        """Return what an encoder takes of one clip: a spectrogram [mels, frames] or [samples]."""
        return self.extractor(wave, sampling_rate=self.sampling_rate, return_tensors="pt")[
            self.name
        ][0]


def encode(encoder: nn.Module, inputs: Tensor) -> Tensor:
    """Return an encoder's last hidden state [positions, width] of one clip's inputs.

    UserError for a clip that is too short for one position.
    """
    return encode_alike(encoder, [inputs])[0]


def encode_alike(encoder: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    """Return what ``encode`` does [clips, positions, width] of clips of one shape."""
    parameter = next(encoder.parameters())
    lengths = getattr(encoder, "_get_feat_extract_output_lengths", None)
    first = inputs[0]
    if first.dim() == 1 and lengths is not None and int(lengths(len(first))) < 1:
        raise UserError(f"{len(first)} samples are too short for the model to hear anything")
    hidden: Tensor = encoder(placed(inputs, parameter.device).to(parameter.dtype)).last_hidden_state
    return hidden


def encoded(kind: str, rows: Sequence[Tensor]) -> BaseModelOutput:
    """Return what the decoder of a model reads of a batch of clips, [positions, width] each.

    Shorter clips are padded at their ends, and masked.
    """
    hidden = pad_sequence(list(rows), batch_first=True)
    if kind == "whisper":  # all of its clips are of one length
        return BaseModelOutput(last_hidden_state=hidden)
    mask = pad_sequence([hidden.new_ones(len(row)).int() for row in rows], batch_first=True)
    return MoonshineEncoderModelOutput(last_hidden_state=hidden, attention_mask=mask)


def chosen(clips: BaseModelOutput, rows: Sequence[int]) -> BaseModelOutput:
    """Return the encoder's outputs of some of the clips of a batch, in this order."""
    return type(clips)(**{name: tensor[list(rows)] for name, tensor in clips.items()})
