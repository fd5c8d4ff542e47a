"""What a stage may ask of a loaded model, whatever its family.

A family's declaration (``lorascope.study.declarations.Family``) names the functions that load its
encoder and its answerer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from lorascope.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

HARMLESS = "types"

FinishReason: TypeAlias = Literal["eos", "length", "nonfinite"]
"""How a response ended: by itself, at max_new_tokens, or in numbers that are not finite."""


class NonFiniteError(UserError):
    """Features that are not finite numbers, ``features`` with those of the clips beside them.

    A stage may keep them: what is asked about such a clip ends as ``nonfinite``.
    """

    def __init__(self, clip: int, features: "list[Tensor]") -> None:
        super().__init__(f"clip {clip} of the batch: its features are not finite numbers.")
        self.features = features


@dataclass(frozen=True)
class Answer:
    """One response as the model gave it.

    ``tokens`` are the generated ids: no prompt, the end-of-sequence id if it came, nothing after
    it. ``text`` is their decoding without special tokens and otherwise untouched. A ``nonfinite``
    response has no text, and the tokens that were chosen before its numbers overflowed: it is no
    answer.
    ``prompt_tokens`` counts the prompt's positions, audio included.
    """

    tokens: list[int]
    text: str
    finish_reason: FinishReason
    prompt_tokens: int


class Encoder(Protocol):
    """Audio to features, computed once per clip for every scaling and question."""

    sampling_rate: int
    """Of the waveforms that ``encode`` takes, in Hz."""

    def encode(self, waves: "Sequence[NDArray[np.float32]]") -> "list[Tensor]":
        """Return one CPU float32 tensor [positions, width] for each mono float32 waveform.

        A clip's features do not depend on the clips it is encoded with, beyond rounding.
        NonFiniteError, which carries them, if some are not finite numbers.
        """

    def hears(self, samples: int) -> int:
        """Return how many samples, from the first on, are heard of a clip of ``samples``: all.

        An encoder with a limit says otherwise.
        """
        return samples


class Answerer(Protocol):
    """Questions about features to answers, at one LoRA scaling."""

    lora_scaling: float
    """The absolute scaling in force."""
    parameters_adapted: int
    """Number of layers whose LoRA scaling was set."""

    @property
    def template_date(self) -> str | None:
        """The day (ISO) that prompts take for today, None where they do not say the date."""
        return None

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
        ``generation`` holds the study's generation settings, see ``lorascope.models.decoding``. A
        row's seed matters only when sampling and must come from its item, not from its place in
        the batch: rows do not influence each other, beyond rounding.
        """
