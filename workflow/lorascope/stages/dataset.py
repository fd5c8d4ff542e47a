"""Turn a benchmark's published files into items, and check every clip they need."""

import argparse
import sys
from pathlib import Path

from lorascope.records import write_table
from lorascope.stages.command import Job, check_code, log, parser, run


def work(job: Job, arguments: argparse.Namespace) -> None:
    """Write the items of the dataset that the job's recipe describes."""
    from lorascope.benchmarks import benchmark
    from lorascope.benchmarks.items import to_table

    recipe = job["recipe"]
    module = benchmark(recipe["benchmark"])
    check_code(job)
    items, notes = module.build_items(Path(job["root"]), recipe, None)
    for note in notes:
        log.info("%s", note)
    log.info("%d items about %d clips", len(items), len({item.clip for item in items}))
    write_table(arguments.out, to_table(items), "items", job["digest"])


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.dataset", __doc__), work)


if __name__ == "__main__":
    sys.exit(main())
