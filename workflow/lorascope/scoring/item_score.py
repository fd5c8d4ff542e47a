"""What a scorer says of one response."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ItemScore:
    """One metric's verdict on one response.

    metric: name of the metric where a scorer has several (`f1`, `em`), which then have a category
        of the table each, `<category>-<metric>`; "" for a scorer with one.
    credit: 0 to 1; the accuracy of a category is the mean credit of its items.
    status: `none` if the response chose nothing, `multiple` if it chose several options; any other
        word says that it gave an answer. The report counts these apart.
    choice, reason: how the verdict came about; `choice` is an option letter or None.
    """

    metric: str
    credit: float
    status: str
    choice: str | None
    reason: str
