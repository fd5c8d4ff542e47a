"""Which items of an experiment are answered together, as its settings say."""

from lorascope.models.batching import Batching
from lorascope.models.protocol import Room
from lorascope.planning.told import InferJob


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


def room(job: InferJob, experiments: int) -> Room:
    """Return how much is decoded at once for so many experiments, each with its own batch size."""
    if job.batch_size is not None:
        return Room(rows=job.batch_size * experiments)
    return Room(tokens=job.tokens_at_once)
