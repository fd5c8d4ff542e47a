"""Which items are answered together."""

from collections.abc import Sequence


def make_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return batches of at most ``batch_size`` indices into ``lengths``, the longest first.

    Neighbours in length share a batch, so that little is padded; equal lengths keep their order.
    The longest batch comes first, so that a lack of memory shows at once.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
