"""Turn a benchmark's published files into items, and check every clip they need."""

import argparse
import sys
from pathlib import Path
from pkgutil import resolve_name

from lorascope.benchmarks.items import to_table
from lorascope.errors import UserError
from lorascope.identity.sources import SourceIndex
from lorascope.planning.context import SOURCE_INDEX
from lorascope.planning.dataset import DatasetJob
from lorascope.stages.command import check_code, log, parser, run
from lorascope.storage.records import write_table


def work(job: DatasetJob, arguments: argparse.Namespace) -> None:
    """Write the items of the dataset that the job's fingerprint describes."""
    build_items = resolve_name(job.build_items)
    check_code(job)
    settings, limit = job.fingerprint["settings"], job.fingerprint["limit"]
    items, notes = build_items(Path(job.root), settings, limit)
    _check_files(job)
    for note in notes:
        log.info("%s", note)
    subjects = {item.clip or item.passage for item in items}
    log.info("%d items about %d clips or passages", len(items), len(subjects))
    write_table(arguments.out, to_table(items), "items", job.digest)


def _check_files(job: DatasetJob) -> None:
    """Refuse to go on if the files just read are not the planned ones."""
    planned, root = job.fingerprint, Path(job.root)
    if job.local:
        files = resolve_name(job.source_files)(root, planned["settings"], planned["limit"])
        if SourceIndex(SOURCE_INDEX).files(files, root) != planned["source"]:
            raise UserError(f"{root}: changed since this run was planned; run snakemake again")


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.dataset", __doc__), DatasetJob, work)


if __name__ == "__main__":
    sys.exit(main())
