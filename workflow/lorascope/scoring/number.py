r"""The number in a response against the number in the answer, as in GSM8K.

``extract`` says which one of a response counts. ``strict`` and ``flexible`` are the two filters of
lm-evaluation-harness's gsm8k, by its own regular expressions; the numbers that they find are
compared by value, where the harness compares texts without commas, dollars and a last full stop.
"""

import re
from fractions import Fraction
from typing import Literal, TypeAlias

from pydantic import Field

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError, listing, shown
from lorascope.scoring.figures import numbers_in
from lorascope.scoring.item_score import ItemScore
from lorascope.study.declarations import Scorer
from lorascope.study.settings import NonNegative, ScorerSettings

Extract: TypeAlias = Literal["last", "first", "strict", "flexible"]
STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_PLAIN = re.compile(r"-?(\d{1,1000}(\.\d{0,1000})?|\.\d{1,1000})")


class NumberSettings(ScorerSettings):
    """Whether a number in the response has the value of the answer's, as 1,234.50, $5, 3/4, 2e3."""

    extract: Extract = Field(
        "last",
        description="Which number of the response counts: the last or the first one, or what the "
        "filters of lm-evaluation-harness for GSM8K take: strict the number after the first ####, "
        "flexible the last run of digits. Of an answer, what follows #### counts, if it has that.",
    )
    tolerance: NonNegative = Field(0.0, description="How far off a right number may be.")
    relative_tolerance: NonNegative = Field(
        0.0, description="How far off, as a part of the answer's size; the larger tolerance counts."
    )


def score_item(
    response: str, item: Item, extract: Extract, tolerance: float, relative_tolerance: float
) -> list[ItemScore]:
    """Return whether the number of a response is that of an answer; UserError if none has one."""
    right = _right(item)
    said = _said(response, extract)
    if said is None:
        return [ItemScore("", 0.0, "none", None, "no number")]
    value, told = said
    near = [gold for gold in right if _is_near(value, gold, tolerance, relative_tolerance)]
    what = f"{told} is {'' if near else 'not '}{_written(near or right)}"
    return [ItemScore("", float(bool(near)), "scored", None, what)]


def extracted(response: str, extract: Literal["strict", "flexible"]) -> str | None:
    """Return what the harness's filter takes of a response, None where it finds nothing."""
    if extract == "strict":
        return found[1].strip() if (found := STRICT.search(response)) else None
    runs = list(FLEXIBLE.finditer(response))
    return runs[-1][0].strip() if runs else None


def _said(response: str, extract: Extract) -> tuple[Fraction | None, str] | None:
    """Return the value of the number that counts (None: it has none), and how it is told.

    None where a response has no number.
    """
    if extract in ("strict", "flexible"):
        text = extracted(response, extract)
        return None if text is None else (_plain(text), shown(text))
    found = list(numbers_in(response))
    if not found:
        return None
    number = found[-1 if extract == "last" else 0]
    return number, "a number without a value" if number is None else _written([number])


def _plain(text: str) -> Fraction | None:
    """Return the value of a run of digits, dots, commas and dollars; None where it has none."""
    bare = re.sub(r"[,$]", "", text).removesuffix(".")
    return Fraction(bare) if _PLAIN.fullmatch(bare) else None


def _right(item: Item) -> list[Fraction]:
    """Return the numbers that count as right: of each answer that has exactly one."""
    texts = [text for letter, text in item.options if letter == item.gold] or item.answers
    read = [list(numbers_in(text.rpartition("####")[2])) for text in texts]
    right = [one for numbers in read if len(numbers) == 1 and (one := numbers[0]) is not None]
    if not right:
        how = "several numbers" if any(len(numbers) > 1 for numbers in read) else "no number"
        raise UserError(
            f"the answer {listing(map(shown, texts))} has {how}, where one is needed; correct it, "
            "or use another scorer"
        )
    return right


def _is_near(found: Fraction | None, gold: Fraction, tolerance: float, relative: float) -> bool:
    """Return whether a number is near enough; tolerances count as they are written, 0.1 as 1/10."""
    if found is None:
        return False
    most = max(Fraction(str(tolerance)), Fraction(str(relative)) * abs(gold))
    return abs(found - gold) <= most


def _written(numbers: list[Fraction]) -> str:
    return " or ".join(dict.fromkeys(_as_text(number) for number in numbers))


def _as_text(number: Fraction) -> str:
    if number.denominator == 1 and abs(number) < 10**15:
        return str(number.numerator)
    try:
        return f"{float(number):.12g}"
    except OverflowError:
        return "a number of hundreds of digits"


SCORER = Scorer(
    judges=("options", "texts"),
    score_item="lorascope.scoring.number:score_item",
    settings=NumberSettings,
    suits=("numbers", "the last number of the reply, against that of the answer"),
    undecided=("none",),
)
