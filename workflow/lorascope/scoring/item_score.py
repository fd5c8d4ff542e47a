"""What a scorer says of one response."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """What the credits of a metric measure, and how a category's value follows from its items.

    With the mean, sum of credits / sum of weights: ``percent`` is 100 times the mean, ``plain`` the
    mean, ``exponential`` exp of the mean (credits are negative log-likelihoods, the value is a
    perplexity). ``title`` says what it is, for the page ("word error rate"); ``bounded`` whether
    credit / weight lies between 0 and 1.
    """

    title: str = "accuracy"
    scale: Literal["percent", "plain", "exponential"] = "percent"
    higher_is_better: bool = True
    bounded: bool = True

    @property
    def is_share(self) -> bool:
        """Whether credits are shares of a full one, as of an accuracy, F1 or ROUGE."""
        return self.scale == "percent" and self.higher_is_better and self.bounded

    @property
    def has_best(self) -> bool:
        """Whether an item can be perfect: parts of 1 have a best, and so have shares of errors."""
        return self.bounded or self.scale == "percent"

    def is_full(self, credit: float, weight: float) -> bool:
        """Return whether an item could not be better."""
        return self.has_best and credit == (weight if self.higher_is_better else 0)

    def of_no_reply(self, weight: float) -> float:
        """Return the credit of an item whose reply is none, because numbers were not finite.

        Where lower is better, a share is that of an empty reply: every word is missing. A
        log-likelihood has no value then.
        """
        if not self.has_best:
            return math.nan
        return 0.0 if self.higher_is_better else weight


ACCURACY = Measure()
DRIFT: Mapping[str, Measure] = {
    "kl": Measure("KL(base || adapted) in nats per token", "plain", False, False),
    "reverse_kl": Measure("KL(adapted || base) in nats per token", "plain", False, False),
    "loss": Measure("loss with the adapter in nats per token", "plain", False, False),
    "base_loss": Measure("loss without the adapter in nats per token", "plain", False, False),
    "changed": Measure("likeliest tokens that changed", "percent", False, True),
}
"""Metric -> what it measures, of how far an adapter moves a model on given texts."""
UNJUDGED = "unjudged"
"""Status of an item that a judge failed on: it has no credit, and is neither right nor wrong."""


@dataclass(frozen=True)
class Verdict:
    """What a judge said of a response, None for nothing that could be read; ``reason`` says why."""

    verdict: str | None
    reason: str


@dataclass(frozen=True)
class ItemScore:
    """One metric's verdict on one response.

    metric: name of the metric where a scorer has several (`f1`, `em`), which then have a category
        of the table each, `<category>-<metric>`; "" for a scorer with one.
    credit: what the item adds to its category, 0 to 1 for an accuracy, which is the mean credit;
        see ``measure`` for others.
    weight: what the item counts in the mean, such as the words of a reference for word errors.
    status: `none` if the response chose nothing, `multiple` if it chose several options, `unjudged`
        if a judge failed (its credit is then no number); any other word says that it gave an
        answer. The report counts these apart.
    choice, reason: how the verdict came about; `choice` is an option letter or None.
    margin: log-likelihood of the gold option minus that of the best other one, in nats as the
        metric counts them, where options have any.
    """

    metric: str
    credit: float
    status: str
    choice: str | None
    reason: str
    weight: float = 1.0
    measure: Measure = ACCURACY
    margin: float | None = None
