"""The answers of one experiment as a format writes them: items, responses, scores, settings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ACCURACY, Measure

HARMLESS = "holds what was decided elsewhere"

UNJUDGED = "unjudged"
"""Status of an item that has no verdict: neither right nor wrong."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one metric says of a response, as ``ItemScore`` has it; ``category`` is the table's.

    ``credit`` is None where there is no verdict; ``judge`` where rules decided.
    """

    category: str
    status: str
    credit: float | None
    correct: bool | None
    weight: float = 1.0
    choice: str | None = None
    margin: float | None = None
    probability: float | None = None
    reason: str = ""
    judge: str | None = None

    @property
    def is_unjudged(self) -> bool:
        """Whether there is no verdict."""
        return self.status == UNJUDGED


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The response to an item, and the score of each metric by its name ("" for a single one).

    ``prompt`` is what the model read. ``loglikelihoods``, ``continuation_tokens`` and ``greedy``
    are those of the item's continuations in the modes choose and loss, None in generate; in the
    mode drift, of the tokens that were looked at, of which ``drift`` has lists.
    """

    item: Item
    response: str
    finish_reason: str
    scores: Mapping[str, Score]
    prompt: str | None = None
    prompt_tokens: int | None = None
    response_tokens: int | None = None
    loglikelihoods: Sequence[float] | None = None
    continuation_tokens: Sequence[int] | None = None
    greedy: Sequence[bool] | None = None
    drift: Mapping[str, Sequence[Any]] | None = None

    @property
    def is_text(self) -> bool:
        """Whether the model said something of its own, and did not only read."""
        return self.loglikelihoods is None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The answers of an experiment in the order of its items, and what they were made of.

    ``lora_scaling`` is the effective one, None where that is not known, where the adapter is more
    than a LoRA and has a ``strength``, and under a ``profile`` of
    scalings by part (None: one for all layers). ``settings`` are the
    experiment's, ``model``, ``adapter`` (None: none) and ``data`` those of what these name, as a
    study file could hold them; ``sources`` are the keys of the model that name files.
    ``measures`` are those of the categories that are no accuracy. ``digests`` name the items,
    predictions and scores. ``finished`` is when the last answer came, in seconds since 1970, and
    ``environment`` what it came from, where that is known.
    """

    id: str
    base: str
    run: int
    lora_scaling: float | None
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    adapter: Mapping[str, Any] | None
    data: Mapping[str, Any]
    digests: Mapping[str, str]
    answers: Sequence[Answer]
    sources: Sequence[str] = ()
    measures: Mapping[str, Measure] = field(default_factory=dict)
    profile: Mapping[str, float | None] | None = None
    finished: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    strength: float | None = None

    @property
    def scorer(self) -> str:
        """Name of the scorer."""
        scorer = self.settings["scorer"]
        return str(scorer["name"] if isinstance(scorer, Mapping) else scorer)

    def measure(self, category: str) -> Measure:
        """Return what a category of the table measures."""
        return self.measures.get(category, ACCURACY)

    def categories(self) -> dict[str, list[Score]]:
        """Return category of the table -> its scores, in the order of the items."""
        found: dict[str, list[Score]] = {}
        for answer in self.answers:
            for score in answer.scores.values():
                found.setdefault(score.category, []).append(score)
        return found


def plain(value: Any) -> Any:
    """Return a value as strict JSON can hold it.

    What is no number is null, and infinity is the text "Infinity", as JSON has no number for it.

    >>> plain({"a": (1, float("nan")), "b": float("-inf")})
    {'a': [1, None], 'b': '-Infinity'}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def item_values(item: Item) -> dict[str, Any]:
    """Return the fields of an item, as JSON's values."""
    found: dict[str, Any] = plain(asdict(item))
    return found


def answer_values(answer: Answer) -> dict[str, Any]:
    """Return the fields of an answer but its item, as JSON's values."""
    values = {key: value for key, value in vars(answer).items() if key != "item"}
    values["scores"] = {metric: vars(score) for metric, score in answer.scores.items()}
    found: dict[str, Any] = plain(values)
    return found
