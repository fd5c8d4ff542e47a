"""Turn a benchmark's published files into items, and check every clip they need."""

import argparse
import sys
from pathlib import Path
from types import ModuleType

from lorascope.errors import UserError
from lorascope.identity import SourceIndex
from lorascope.planned import SOURCE_INDEX
from lorascope.records import write_table
from lorascope.stages.command import Job, check_code, log, parser, run


def work(job: Job, arguments: argparse.Namespace) -> None:
    """Write the items of the dataset that the job's recipe describes."""
    from lorascope.benchmarks import benchmark
    from lorascope.benchmarks.items import to_table

    recipe = job["recipe"]
    module = benchmark(recipe["benchmark"])
    check_code(job)
    items, notes = module.build_items(Path(job["root"]), recipe, recipe["limit"])
    _check_files(job, module)
    for note in notes:
        log.info("%s", note)
    subjects = {item.clip or item.passage for item in items}
    log.info("%d items about %d clips or passages", len(items), len(subjects))
    write_table(arguments.out, to_table(items), "items", job["digest"])


def _check_files(job: Job, module: ModuleType) -> None:
    """Refuse to go on if the files just read are not the planned ones."""
    recipe, root = job["recipe"], Path(job["root"])
    if job["local"]:
        files = module.source_files(root, recipe, recipe["limit"])
        if SourceIndex(SOURCE_INDEX).files(files, root) != recipe["source"]:
            raise UserError(f"{root}: changed since this run was planned; run snakemake again")


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.dataset", __doc__), work)


if __name__ == "__main__":
    sys.exit(main())
