"""Answer the questions of one shard of an experiment, keeping answers as they come."""

# A job whose shard another one has answered takes a file, for which it needs nothing heavy.
# ruff: noqa: PLC0415

import argparse

from lorascope.inferring.handing import Handing
from lorascope.planning.told import InferJob
from lorascope.stages.command import gpu_option, leave, parser, run


def work(job: InferJob, arguments: argparse.Namespace) -> None:
    """Write the answers of one shard; those that any job kept are not asked for again.

    Once that is done the job answers other shards of its run that its loaded model can answer.
    """
    if Handing(job, arguments.shard, arguments.shards).take(arguments.out):
        return
    from lorascope.inferring.claims import Others
    from lorascope.inferring.loaded import Loaded
    from lorascope.inferring.shard import Shard
    from lorascope.inferring.worker import Worker

    own = Shard(job, arguments.shard, arguments.shards)
    own.prepare()
    others = Others(own, arguments.job, arguments.gpus)
    Worker(own, arguments.out, others, arguments.gpus, Loaded).work()


def main() -> int:
    """Run the stage from the command line."""
    options = parser("lorascope.stages.infer", __doc__)
    options.add_argument("--shard", required=True, type=int, help="number of this shard, from 0")
    options.add_argument("--shards", required=True, type=int, help="number of shards")
    gpu_option(options)
    return run(options, InferJob, work)


if __name__ == "__main__":
    leave(main())
