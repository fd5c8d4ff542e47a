"""What a scorer says of one response."""

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


ACCURACY = Measure()


@dataclass(frozen=True)
class ItemScore:
    """One metric's verdict on one response.

    metric: name of the metric where a scorer has several (`f1`, `em`), which then have a category
        of the table each, `<category>-<metric>`; "" for a scorer with one.
    credit: what the item adds to its category, 0 to 1 for an accuracy, which is the mean credit;
        see ``measure`` for others.
    weight: what the item counts in the mean, such as the words of a reference for word errors.
    status: `none` if the response chose nothing, `multiple` if it chose several options; any other
        word says that it gave an answer. The report counts these apart.
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
