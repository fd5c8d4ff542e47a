"""Merge the shards of an experiment into its predictions and a sidecar of how they came about."""

# A job whose shards another one has merged takes files, for which it needs nothing heavy.
# ruff: noqa: PLC0415

import argparse
import shutil
from pathlib import Path

from lorascope.inferring.handing import Merged
from lorascope.planning.reasons import FINGERPRINT
from lorascope.planning.told import MergeJob, answers, copied
from lorascope.stages.command import leave, log, parser, run
from lorascope.storage.records import write_json


def work(job: MergeJob, arguments: argparse.Namespace) -> None:
    """Write predictions (what is compared) and runtime (timing, host, device, versions)."""
    outs = {"predictions": arguments.out, "runtime": arguments.runtime}
    folder, shards = arguments.out.parent, [*map(Path, job.shards)]
    write_json(folder / FINGERPRINT, job.fingerprint)
    if job.twin:
        from lorascope.inferring.merging import copy

        log.info("%s: the same predictions as %s; copied", job.id, job.twin)
        copy(**copied(Path(job.twin)), digest=job.digest).write(**outs)
    elif Merged(folder, job.digest).take(shards, outs):
        log.info("%s: merged by the job that answered it", job.id)
    else:
        from lorascope.inferring.merging import merge

        merge(job.id, job.items, job.dataset, shards, job.digest).write(**outs)
    shutil.rmtree(answers(folder), ignore_errors=True)


def main() -> int:
    """Run the stage from the command line."""
    options = parser("lorascope.stages.merge", __doc__)
    options.add_argument("--runtime", required=True, type=Path, help="sidecar to write")
    return run(options, MergeJob, work)


if __name__ == "__main__":
    leave(main())
