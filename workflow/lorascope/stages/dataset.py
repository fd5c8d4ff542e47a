"""Turn a benchmark's published files into items, and check every clip they need."""

import argparse
from pathlib import Path
from pkgutil import resolve_name

from lorascope.benchmarks.items import to_table
from lorascope.planning.checks import check_code
from lorascope.planning.dataset import DatasetJob
from lorascope.stages.command import check_data, leave, log, parser, run
from lorascope.storage.records import write_table


def work(job: DatasetJob, arguments: argparse.Namespace) -> None:
    """Write the items of the dataset that the job's fingerprint describes."""
    build_items = resolve_name(job.build_items)
    check_code(job)
    settings, limit = {**job.fingerprint["settings"], **job.told}, job.fingerprint["limit"]
    items, notes = build_items(Path(job.root), settings, limit)
    root = Path(job.root)
    files = resolve_name(job.source_files)(root, settings, limit)
    sources = check_data(job.fingerprint["source"], files, root, job.local)
    for name, folder in job.repositories.items():
        planned, fetched = job.fingerprint["repositories"][name], Path(folder)
        found = sorted(path for path in fetched.rglob("*") if path.is_file())
        sources |= check_data(planned, found, fetched, local=False)
    for note in notes:
        log.info("%s", note)
    subjects = {item.clip or item.passage for item in items}
    log.info("%d items about %d clips or passages", len(items), len(subjects))
    write_table(arguments.out, to_table(items), "items", job.digest, sources=sources)


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.dataset", __doc__), DatasetJob, work)


if __name__ == "__main__":
    leave(main())
