"""Which items are better or worse than in another experiment: gained and lost of comparison.csv."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lorascope.errors import UserError
from lorascope.exchange.answers import Answered, Score
from lorascope.scoring.item_score import Measure

HARMLESS = "looks, and decides nothing"

GAINED, LOST = "gained", "lost"
NO_VALUE = "some items have no value"
UNITS = "the items weigh otherwise in the other, so the values have two units"


@dataclass
class Changes:
    """What differs between two experiments.

    ``found``: category of the table -> item -> GAINED or LOST, for the items that differ.
    ``not_compared``: category -> why its items cannot be compared.
    """

    found: dict[str, dict[str, str]] = field(default_factory=dict)
    not_compared: dict[str, str] = field(default_factory=dict)

    def of(self, item: str, scores: Iterable[Score]) -> str:
        """Return how an item changed in the first of its categories where it did, or ""."""
        words = (self.found.get(score.category, {}).get(item) for score in scores)
        return next(filter(None, words), "")


def changes(ours: Answered, theirs: Answered, categories: Sequence[str] | None = None) -> Changes:
    """Return which items of ``ours`` are better or worse than those of ``theirs``.

    It counts as comparison.csv does: an item that is unjudged in one of them has not changed, and a
    category of which no difference can be told has none. categories: those to compare (None: all
    that both have). UserError where they have no category in common, or not the same items in one.
    """
    own, other = _by_item(ours), _by_item(theirs)
    common = [c for c in own if c in other and (categories is None or c in categories)]
    if not common:
        among = f" among {', '.join(categories)}" if categories else ""
        raise UserError(
            f"{ours.id} and {theirs.id} have no category in common{among}; name an experiment that "
            "answers the same items"
        )
    result = Changes()
    for category in common:
        _check_same(ours, theirs, category, own[category], other[category])
        measure = ours.measure(category)
        pairs = [
            (item, one, other[category][item])
            for item, one in own[category].items()
            if _is_judged(measure, one) and _is_judged(measure, other[category][item])
        ]
        if problem := _not_comparable(measure, pairs):
            result.not_compared[category] = problem
        else:
            result.found[category] = _changed(measure, pairs)
    return result


Pair = tuple[str, Score, Score]
"""An item, and what two experiments have for it."""


def _by_item(answered: Answered) -> dict[str, dict[str, Score]]:
    """Return category of the table -> item -> its score."""
    found: dict[str, dict[str, Score]] = {}
    for answer in answered.answers:
        for score in answer.scores.values():
            found.setdefault(score.category, {})[answer.item.item_id] = score
    return found


def _check_same(
    ours: Answered,
    theirs: Answered,
    category: str,
    own: Mapping[str, Score],
    other: Mapping[str, Score],
) -> None:
    if ours.measure(category) != theirs.measure(category):
        raise UserError(
            f"category {category!r} is {ours.measure(category).title} in {ours.id} and "
            f"{theirs.measure(category).title} in {theirs.id}; they cannot be compared"
        )
    if odd := own.keys() ^ other.keys():
        raise UserError(
            f"{ours.id} and {theirs.id} do not have the same items ({len(odd)} differ in "
            f"{category}, for instance {min(odd)}), so they cannot be compared item by item"
        )


def _is_judged(measure: Measure, score: Score) -> bool:
    """Return whether an item has a verdict; a likelihood may lack a value all the same."""
    return score.credit is not None or not (measure.is_share or score.is_unjudged)


def _credit(score: Score) -> float:
    return math.nan if score.credit is None else score.credit


def _alike(pairs: Iterable[Pair]) -> bool:
    return all(one.weight == other.weight for _, one, other in pairs)


def _not_comparable(measure: Measure, pairs: Sequence[Pair]) -> str:
    """Say why no difference can be told; "" where it can."""
    if not all(math.isfinite(_credit(score)) for _, *scores in pairs for score in scores):
        return NO_VALUE
    return "" if measure.scale == "percent" or _alike(pairs) else UNITS


def _changed(measure: Measure, pairs: Sequence[Pair]) -> dict[str, str]:
    """Return item -> how it changed, by credits or, where weights differ, by their parts of them.

    A part is compared by multiplying across, so that a weight of 0 divides nothing.
    """
    alike, changed = _alike(pairs), {}
    for item, one, other in pairs:
        ours, theirs = _credit(one), _credit(other)
        if not alike:
            ours, theirs = ours * other.weight, theirs * one.weight
        if ours != theirs:
            changed[item] = GAINED if (ours > theirs) == measure.higher_is_better else LOST
    return changed
