"""What a stage may ask of a model family.

A family is a module named in ``lorascope.models.FAMILIES`` with the attributes of ``Family``. It
imports no torch itself: planning reads its tuples, stages call its functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """One response as the model gave it.

    ``tokens`` are the generated ids: no prompt, the end-of-sequence id if it came, nothing after
    it. ``text`` is their decoding without special tokens and otherwise untouched.
    ``prompt_tokens`` counts the prompt's positions, audio included.
    """

    tokens: list[int]
    text: str
    finish_reason: Literal["eos", "length"]
    prompt_tokens: int


class Encoder(Protocol):
    """Audio to features, computed once per clip for every scaling and question."""

    sampling_rate: int
    """Of the waveforms that ``encode`` takes, in Hz."""

    def encode(self, waves: "Sequence[np.ndarray]") -> "list[Tensor]":
        """Return one CPU float32 tensor [positions, width] for each mono float32 waveform.

        A clip's features do not depend on the clips it is encoded with, beyond rounding.
        """


class Answerer(Protocol):
    """Questions about features to answers, at one LoRA scaling."""

    lora_scaling: float
    """The absolute scaling in force."""
    parameters_adapted: int
    """Number of layers whose LoRA scaling was set."""

    def prompt(self, question: str) -> str:
        """Return the prompt's text, with a placeholder where the audio goes."""

    def effective_generation(
        self, generation: Mapping[str, Any], prompt_tokens: int
    ) -> dict[str, Any]:
        """Return the settings that generation really has, see ``decoding.effective_generation``."""

    def answer(
        self,
        questions: Sequence[str],
        features: "Sequence[Tensor | None]",
        generation: Mapping[str, Any],
        seeds: Sequence[int],
    ) -> list[Answer]:
        """Answer one batch: a question, its clip's features and its seed make a row.

        The features are None for a family of text.
        ``generation`` holds the study's generation settings, see ``lorascope.decoding``. A row's
        seed matters only when sampling and must come from its item, not from its place in the
        batch: rows do not influence each other, beyond rounding.
        """


class Family(Protocol):
    """The attributes of a family module. ``settings`` hold local paths for the sources."""

    ENCODES: bool
    """Whether there is audio to encode; where not, the attributes about it may be left out."""
    ENCODE_SOURCES: tuple[str, ...]
    """Keys of settings that name the files features depend on."""
    ENCODE_SETTINGS: tuple[str, ...]
    """Keys of the other settings that features depend on."""
    INFER_SOURCES: tuple[str, ...]
    """Keys of settings that name the files answers depend on, beside the features."""
    INFER_SETTINGS: tuple[str, ...]
    """Keys of the other settings that answers depend on."""
    ENCODE_CODE: tuple[str, ...]
    """Modules, as paths within the package, whose logic decides features."""
    INFER_CODE: tuple[str, ...]
    """Modules, as paths within the package, whose logic decides answers."""

    def feature_bytes(self, settings: Mapping[str, Any]) -> int:
        """Return about how many bytes one clip's features take, for a plan."""

    def load_encoder(self, settings: Mapping[str, Any], device: str, dtype: str) -> Encoder:
        """Load what encoding needs; UserError when a file does not fit."""

    def load_answerer(
        self,
        settings: Mapping[str, Any],
        device: str,
        dtype: str,
        lora_scaling: float | None,
        adapter: str | None,
    ) -> Answerer:
        """Load what answering needs.

        ``adapter`` is a local folder of peft's files (adapter_config.json and
        adapter_model.safetensors), None for the model as it is.

        ``device`` is "cuda", "cpu", or "auto" to spread the language model over all visible GPUs;
        ``dtype`` (float32, float16 or bfloat16) is the language model's; ``lora_scaling`` the
        absolute s of W x + s B A x, None for the adapter's own alpha / r. UserError when a file
        does not fit, or the scaling is not finite or touches no layer.
        """
