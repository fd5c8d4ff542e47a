"""Which items of an experiment are answered together, as its settings say."""

from collections.abc import Sequence

from lorascope.benchmarks.items import Item
from lorascope.models.batching import Batching
from lorascope.models.protocol import Room
from lorascope.planning.infer import InferJob


def batching(job: InferJob) -> Batching:
    """Return what the settings of a job say of what is answered together."""
    planned = job.fingerprint
    return Batching(
        dtype=planned["dtype"],
        batch_size=job.batch_size,
        tokens_at_once=job.tokens_at_once,
        mode=planned["mode"],
        generation=planned.get("generation", {}),
    )


def room(job: InferJob) -> Room:
    """Return how much of a lane is decoded at once."""
    if job.batch_size is not None:
        return Room(rows=job.batch_size)
    return Room(tokens=job.tokens_at_once)


def by_way(items: Sequence[Item]) -> dict[tuple[str, str], list[Item]]:
    """Return mode and generation of their own -> the items that are answered so, in their order."""
    ways: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        ways.setdefault((item.mode, item.generation), []).append(item)
    return ways
