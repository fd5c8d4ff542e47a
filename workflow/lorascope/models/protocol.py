"""What a stage may ask of a loaded model, whatever its family.

A family's declaration (``lorascope.study.declarations.Family``) names the functions that load its
encoder and its answerer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from lorascope.models.profiles import Scaling

HARMLESS = "types"

FinishReason: TypeAlias = Literal["eos", "stop", "length", "nonfinite"]
"""How a response ended: by itself, at a stop string, at max_new_tokens, or in numbers that are not
finite."""


@dataclass(frozen=True)
class Dialogue:
    """A question with the turns before it: the system's ("": none), examples with their answers."""

    question: str
    system: str = ""
    turns: tuple[tuple[str, str], ...] = ()


Question: TypeAlias = str | Dialogue
"""What is asked; a family is given dialogues if it declares that it takes them."""


def plain(question: Question) -> str:
    """Return a question without turns; UserError for one with some."""
    if isinstance(question, Dialogue):
        raise UserError("the question has turns before it, which the model does not take")
    return question


def last_turn(question: Question) -> str:
    """Return a question without the turns before it."""
    return question.question if isinstance(question, Dialogue) else question


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

    ``tokens`` are the generated ids: no prompt, the end-of-sequence id if it came, or all of those
    that complete a stop string, nothing after. ``text`` is their decoding without special tokens,
    up to where the first stop string begins, and otherwise untouched. A ``nonfinite``
    response has no text, and the tokens that were chosen before its numbers overflowed: it is no
    answer.
    ``prompt_tokens`` counts the prompt's positions, audio included.
    """

    tokens: list[int]
    text: str
    finish_reason: FinishReason
    prompt_tokens: int


@dataclass(frozen=True)
class Asked:
    """One row of a lane.

    The features are None for a family of text. ``clip`` names them: rows with the same clip have
    the same features, and what they share is read once; "" for none. The seed matters only when
    sampling and must come from the row's item. ``scaling`` is the row's own absolute LoRA scaling,
    or profile of them, for a model that ``scales_rows``; None is the one in force.
    """

    question: Question
    features: "Tensor | None" = None
    clip: str = ""
    seed: int = 0
    scaling: "Scaling | None" = None


@dataclass(frozen=True)
class Room:
    """How much of a lane is decoded at once: at most so many rows, and so many positions.

    Positions are those of prompt and new tokens of every row, padding counted. None is no limit.
    One row is always decoded.
    """

    rows: int | None = None
    tokens: int | None = None


def rows_asked(
    questions: Sequence[Question],
    features: "Sequence[Tensor | None]",
    scalings: "Sequence[Scaling | None] | None",
    clips: Sequence[str] | None,
) -> list[Asked]:
    """Return the rows of a batch: no scalings are those in force, no clips are no two alike."""
    count = len(questions)
    rows = (questions, features, clips or [""] * count, [0] * count, scalings or [None] * count)
    return [Asked(*row) for row in zip(*rows, strict=True)]


class Encoder(Protocol):
    """Audio to features, computed once per clip for every scaling and question."""

    sampling_rate: int
    """Of the waveforms that ``encode`` takes, in Hz."""

    def encode(self, waves: "Sequence[NDArray[np.float32]]") -> "list[Tensor]":
        """Return one CPU float32 tensor [positions, width] for each mono float32 waveform.

        A clip's features do not depend on the clips it is encoded with, beyond rounding.
        NonFiniteError, which carries them, if some are not finite numbers.
        """

    def prepare(self, wave: "NDArray[np.float32]") -> Any:
        """Return what ``encode_prepared`` takes of a waveform: what no device is needed for.

        Threads call it while the device encodes.
        """
        return wave

    def encode_prepared(self, prepared: Sequence[Any]) -> "list[Tensor]":
        """Return what ``encode`` does, for clips that are prepared."""
        return self.encode(prepared)

    def hears(self, samples: int) -> int:
        """Return how many samples, from the first on, are heard of a clip of ``samples``: all.

        An encoder with a limit says otherwise.
        """
        return samples


class Answerer(Protocol):
    """Questions about features to answers, at one LoRA scaling or one of each row's own."""

    lora_scaling: float
    """The absolute scaling in force; not a number where that is a profile, or under a strength."""
    parameters_adapted: int
    """Number of layers whose LoRA scaling was set, or of weights that are changed."""
    strength: float | None = None
    """t in W + t (W' - W), under an adapter that is more than a LoRA."""

    @property
    def scales_rows(self) -> bool:
        """Whether rows may have scalings of their own now, with the answers of one at a time.

        In float32, with a LoRA in force on linear layers of the language model alone.
        """
        return False

    def adapt(
        self, adapter: str | None, scaling: "Scaling | None", strength: float | None = None
    ) -> None:
        """Answer with an adapter from now on, at an absolute scaling (None: the adapter's own).

        A profile of scalings comes to a family alone that says it ``scales_parts``. An adapter that
        is more than a LoRA has a strength instead (None: 1), see ``lorascope.models.strength``.
        One of None is that of the family's own checkpoint, or none. It may be called again and
        again: afterwards the model answers as one that was loaded so.
        """
        raise UserError(f"{type(self).__name__} takes no other adapter once it is loaded.")

    @property
    def template_date(self) -> str | None:
        """The day (ISO) that prompts take for today, None where they do not say the date."""
        return None

    def prompt(self, question: Question) -> str:
        """Return the prompt's text, with a placeholder where the audio goes."""

    def effective_generation(
        self, generation: Mapping[str, Any], prompt_tokens: int
    ) -> dict[str, Any]:
        """Return the settings that generation really has, see ``decoding.effective_generation``."""

    def decode(
        self, asked: Sequence[Asked], generation: Mapping[str, Any], room: Room
    ) -> "Iterator[list[tuple[int, Answer]]]":
        """Answer a lane; yields (index in ``asked``, answer) as rows end, each row once.

        ``generation`` holds the study's generation settings, see ``lorascope.models.decoding``.
        Rows do not influence each other, beyond rounding: in half precision the answers follow
        from the lane's rows, their order and ``room`` alone. A lack of memory leaves as torch's
        exception; what was yielded before stands. A family says how it decodes lanes, or answers
        batches, by which lanes are answered then.
        """
        size = room.rows or len(asked)
        for start in range(0, len(asked), size):
            rows = asked[start : start + size]
            answers = self.answer(
                [row.question for row in rows],
                [row.features for row in rows],
                generation,
                [row.seed for row in rows],
            )
            yield list(enumerate(answers, start))

    def answer(
        self,
        questions: Sequence[Question],
        features: "Sequence[Tensor | None]",
        generation: Mapping[str, Any],
        seeds: Sequence[int],
    ) -> list[Answer]:
        """Answer one batch at once: a question, its clip's features and its seed make a row."""
        asked = [
            Asked(question, clip, seed=seed)
            for question, clip, seed in zip(questions, features, seeds, strict=True)
        ]
        found = dict(pair for pairs in self.decode(asked, generation, Room()) for pair in pairs)
        return [found[i] for i in range(len(asked))]

    def choose(
        self,
        questions: Sequence[Question],
        features: "Sequence[Tensor | None]",
        continuations: Sequence[Sequence[str]],
        scalings: "Sequence[Scaling | None] | None" = None,
        clips: Sequence[str] | None = None,
    ) -> list[Likelihoods]:
        """Return the log-likelihoods of each question's continuations, one batch.

        For a family that answers in the mode choose. Each continuation follows its prompt
        verbatim; in a chat template it begins the model's turn, without blanks before it.
        ``scalings`` and ``clips`` are of each question, as in ``Asked``.
        """
        raise UserError(f"mode: {type(self).__name__} answers in the mode generate alone.")

    def loss(
        self,
        questions: Sequence[Question],
        texts: Sequence[str],
        settings: Mapping[str, Any],
        scalings: "Sequence[Scaling | None] | None" = None,
    ) -> list[Likelihoods]:
        """Return the log-likelihood of each text after its question, "" for none, one batch.

        For a family that answers in the mode loss; ``settings`` are the study's (window, context).
        A text after no question is predicted from its first token on, after the token with which
        the model begins a text (bos, or else eos). ``scalings`` are of each text, as in ``Asked``.
        """
        raise UserError(f"mode: {type(self).__name__} answers in the mode generate alone.")

    def drift(
        self,
        questions: Sequence[Question],
        features: "Sequence[Tensor | None]",
        texts: Sequence[str],
        settings: Mapping[str, Any],
        scalings: "Sequence[Scaling | None] | None" = None,
        clips: Sequence[str] | None = None,
    ) -> list[Likelihoods]:
        """Return the likelihood of each text after its question, and the drift beside it.

        For a family that answers in the mode drift. What is read is as in ``loss`` and ``choose``;
        ``settings`` are the study's (over, window, context). The base is the model without its
        adapter, whichever that is; where there is none, or it is scaled by 0, all drift is 0.
        """
        raise UserError(f"mode: {type(self).__name__} answers in the mode generate alone.")
