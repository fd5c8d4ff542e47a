"""Send the tables of a study to an experiment tracker; one that fails is warned of, no more."""

import argparse
from pathlib import Path

from lorascope.planning.report import MANIFEST
from lorascope.planning.track import TrackJob
from lorascope.reporting import trackers
from lorascope.stages.command import check_report_file, leave, log, parser, run
from lorascope.storage.records import read_document, write_json


def work(job: TrackJob, arguments: argparse.Namespace) -> None:
    """Send the tables and write where they went, or why they did not."""
    files = [Path(file) for file in job.files]
    _check(job, files)
    tables = trackers.read_tables(job.study, job.fingerprint["report"], files)
    found = {"tracker": job.tracker, "where": None, "problem": None}
    try:
        found["where"] = trackers.send(job.tracker, tables, Path(job.folder))
        log.info("%s: %d values sent to %s", job.tracker, len(tables.values), found["where"])
    except Exception as error:  # a client may raise anything, and no result depends on it
        found["problem"] = trackers.reason(error)
        log.warning(
            "%s: the tables were not sent (%s); the report is complete. To send them again, "
            "remove %s and run snakemake",
            *(job.tracker, found["problem"], arguments.out),
        )
    write_json(arguments.out, {"digest": job.digest, **found})


def _check(job: TrackJob, files: list[Path]) -> None:
    """UserError, with the file set aside, where a file is not as the report wrote it."""
    written = read_document(job.manifest, MANIFEST, job.fingerprint["report"])["files"]
    for file in files:
        if file.name in written:
            check_report_file(file, written)


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.track", __doc__), TrackJob, work)


if __name__ == "__main__":
    leave(main())
