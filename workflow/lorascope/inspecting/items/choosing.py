"""Which items a command is about: by category, verdict and change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lorascope.errors import UserError, unknown
from lorascope.exchange.answers import Answer, Answered, Score

HARMLESS = "looks, and decides nothing"


@dataclass(frozen=True)
class Wanted:
    """Which items are asked for: of a category, by a metric, and with which verdict.

    ``verdict`` is "right", "wrong" or "unjudged"; None asks for all. The metric is that of the
    verdicts and changes looked at, None where a scorer has one.
    """

    category: str | None = None
    metric: str | None = None
    verdict: str | None = None

    def checked(self, answered: Answered, needs_metric: bool) -> "Wanted":
        """Return what is wanted, its metric filled in; UserError for what the scores do not have.

        needs_metric: whether changes are asked for. A category of the table names a metric, too.
        """
        self._check_category(answered)
        metrics = self._metrics(answered)
        named = [name for name in metrics if name]
        if self.metric is not None and self.metric not in metrics:
            if not named:
                raise UserError(f"{answered.id}: its scorer {answered.scorer!r} has no metrics")
            what = f"category {self.category} has no metric" if self.category else "no metric"
            raise UserError(unknown(f"{answered.id}: {what}", self.metric, named))
        metric = metrics[0] if len(metrics) == 1 else self.metric
        if metric is None and (self.verdict or needs_metric):
            raise UserError(
                f"{answered.id}: its items are scored by {', '.join(named)}; choose one by "
                f"METRIC={named[0]} (--metric {named[0]})"
            )
        found = replace(self, metric=metric)
        found._check_verdict(answered)
        return found

    def _check_category(self, answered: Answered) -> None:
        items = [answer.item.category for answer in answered.answers]
        known = dict.fromkeys([*items, *answered.categories()])
        if self.category is not None and self.category not in known:
            raise UserError(unknown(f"{answered.id}: no category", self.category, known))

    def _metrics(self, answered: Answered) -> list[str]:
        """Return the metrics of the category, one for a category of the table; or all of them."""
        found = (
            metric
            for answer in answered.answers
            for metric, score in answer.scores.items()
            if self.category in (None, answer.item.category, score.category)
        )
        return list(dict.fromkeys(found))

    def _check_verdict(self, answered: Answered) -> None:
        measures = [answered.measure(category) for category in self.categories(answered)]
        if self.verdict in ("right", "wrong") and not any(one.has_best for one in measures):
            raise UserError(
                f"{answered.id}: a {measures[0].title} is neither right nor wrong; ask for what is "
                "better or worse than another experiment instead (AGAINST=<ID> FLIPPED=yes)"
            )

    def scores(self, answer: Answer) -> list[Score]:
        """Return the scores of an answer that are looked at: those of the metric, or all."""
        found = [
            score
            for metric, score in answer.scores.items()
            if self.metric is None or metric == self.metric
        ]
        if self.category == answer.item.category:
            return found
        return [score for score in found if self.category in (None, score.category)]

    def has(self, answer: Answer) -> bool:
        """Return whether an answer is wanted."""
        return any(_VERDICTS[self.verdict](score) for score in self.scores(answer))

    def categories(self, answered: Answered) -> Sequence[str]:
        """Return the categories of the table that are looked at."""
        found = (score.category for answer in answered.answers for score in self.scores(answer))
        return list(dict.fromkeys(found))


def _is_wrong(score: Score) -> bool:
    return not score.correct and not score.is_unjudged and score.credit is not None


_VERDICTS: dict[str | None, Callable[[Score], bool]] = {
    None: lambda score: True,
    "right": lambda score: bool(score.correct) and not score.is_unjudged,
    "wrong": _is_wrong,
    "unjudged": lambda score: score.is_unjudged,
}
