"""What a regular expression finds in a response, against the answers.

Patterns are those of the regex package, which knows what Python's re does and more: unlike re, it
ends a search that would take for ever.
"""

# Planning reads the declaration below, and loads regex where a study has a pattern.
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError, shown
from lorascope.scoring.item_score import ItemScore
from lorascope.scoring.normalising import (
    Name,
    Normalise,
    equal_after,
    right_texts,
)
from lorascope.study.declarations import Scorer
from lorascope.study.settings import ScorerSettings, Text

if TYPE_CHECKING:
    import regex

ANSWER = "{answer}"
SECONDS = 10.0
"""That a pattern may take for one response."""
TRIAL_SECONDS = 1.0
"""That a pattern may take for each of the texts on which it is tried when a study is read."""
Group: TypeAlias = int | str
NumberOrName = Annotated[
    Annotated[int, Field(ge=0, le=1000), Tag("<number>")] | Annotated[Text, Tag("<name>")],
    Discriminator(lambda value: "<name>" if isinstance(value, str) else "<number>"),
]


class RegexSettings(ScorerSettings):
    """Whether what a regular expression finds in the response is an answer."""

    pattern: Text = Field(
        description="Regular expression, searched for in the response. Its group is compared with "
        "the answers (and with the right option's letter and text); or, with {answer} in it, it is "
        "searched for with each answer in that place, and found is right."
    )
    group: NumberOrName | None = Field(
        None,
        description="Number or name of the group that is compared; null is the first one, or what "
        "the whole pattern matches where it has none.",
    )
    match: Literal["first", "last"] = Field("first", description="Which match counts.")
    normalise: Normalise = Field(
        ["unicode", "lower", "punctuation", "whitespace"],
        description="Normalisations of what is found and of the answers, by the names of the "
        "scorer exact; a pattern with {answer} does without.",
    )

    @model_validator(mode="after")
    def _check_pattern(self) -> Self:
        """Refuse a pattern that is none, lacks the group, or would search for ever."""
        import regex

        try:
            pattern = _compiled(self.pattern.replace(ANSWER, "answer"))
        except regex.error as error:
            raise ValueError(
                f"pattern: {shown(self.pattern)} is no regular expression: {error}"
            ) from None
        if ANSWER in self.pattern and self.group is not None:
            raise ValueError("group: has no meaning for a pattern with {answer}; leave it out")
        if self.group is not None and not _has(pattern, self.group):
            raise ValueError(
                f"group: {shown(self.pattern)} has no group {self.group!r}; it has "
                f"{pattern.groups} groups, named {', '.join(pattern.groupindex) or 'none'}"
            )
        _try_out(pattern)
        return self


def score_item(
    response: str,
    item: Item,
    pattern: str,
    group: Group | None,
    match: Literal["first", "last"],
    normalise: list[Name],
) -> list[ItemScore]:
    """Return whether what a pattern finds in a response is an answer.

    UserError where the search takes longer than ``SECONDS``.
    """
    try:
        if ANSWER in pattern:
            return [_searched(response, item, pattern)]
        found = _found(response, _compiled(pattern), group, match)
    except TimeoutError:
        raise UserError(
            f"{shown(pattern)} takes more than {SECONDS:g} s to search the response; write the "
            "pattern without repeated alternatives that match the same text"
        ) from None
    if found is None:
        return [ItemScore("", 0.0, "none", None, "no match")]
    equal = equal_after(normalise)
    right = any(equal(found, text) for text in right_texts(item))
    return [ItemScore("", float(right), "scored", None, f"found {shown(found)}")]


def _searched(response: str, item: Item, pattern: str) -> ItemScore:
    import regex

    for text in filter(str.strip, right_texts(item)):
        asked = pattern.replace(ANSWER, f"(?:{regex.escape(text)})")
        if _compiled(asked).search(response, timeout=SECONDS):
            return ItemScore("", 1.0, "scored", None, f"found with {shown(text)}")
    return ItemScore("", 0.0, "scored", None, "found with no answer")


def _found(
    response: str, pattern: "regex.Pattern[str]", group: Group | None, match: str
) -> str | None:
    """Return what the group of the first or last match holds; None without a match."""
    asked = group if group is not None else min(pattern.groups, 1)
    last = None
    for found in pattern.finditer(response, timeout=SECONDS):
        if found[asked] is not None:
            last = found[asked]
            if match == "first":
                break
    return last


def _compiled(pattern: str) -> "regex.Pattern[str]":
    import regex

    return regex.compile(pattern)


def _has(pattern: "regex.Pattern[str]", group: Group) -> bool:
    known = pattern.groupindex if isinstance(group, str) else range(pattern.groups + 1)
    return group in known


def _try_out(pattern: "regex.Pattern[str]") -> None:
    """Raise ValueError for a pattern that takes too long for one of a few texts of 60 characters.

    They repeat a character and end in another, by which patterns with two ways to match the same
    text go through all of them. Others take microseconds.
    """
    for character in dict.fromkeys(["a", "0", " ", *pattern.pattern[:100]]):
        try:
            pattern.search(f"{character * 60}\x00", timeout=TRIAL_SECONDS)
        except TimeoutError:
            raise ValueError(
                f"pattern: {shown(pattern.pattern)} would search some responses for ever, such as "
                f"many {character!r}; write it without repeated alternatives that match the same "
                "text"
            ) from None


SCORER = Scorer(
    judges=("options", "texts"),
    score_item="lorascope.scoring.regex:score_item",
    settings=RegexSettings,
    undecided=("none",),
)
