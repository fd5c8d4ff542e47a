"""Jobs of a plan as the rules start them, and what is to be done when they end."""

from pathlib import Path

from lorascope.planning.stage import PlannedJob

PARTS = ("chunk", "chunks", "shard", "shards")
"""Wildcards that a rule hands to its stage."""
BESIDE = ("runtime", "modules")
"""Files that a rule names to its stage beside the first one."""


def arguments(job: PlannedJob, told: Path, log: Path, gpus: int) -> list[str]:
    """Return the options that a job's rule gives its stage, which reads the file ``told``."""
    given = {"job": told, "out": job.out, "log": log}
    given |= {name: job.wildcards[name] for name in PARTS if name in job.wildcards}
    given |= {name: job.outputs[name] for name in BESIDE if name in job.outputs}
    if job.stage.loads_model:
        given["gpus"] = gpus
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


def remove_shards(job: PlannedJob) -> None:
    """Remove the shards among the inputs of a job that is done: they are temporary."""
    for path in job.inputs:
        if path.parent.name == "shards":
            path.unlink()
