"""End with an error where an experiment does not retain what the study asks it to."""

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.errors import UserError
from lorascope.planning.gate import GateJob
from lorascope.planning.report import MANIFEST
from lorascope.stages.command import check_report_file, leave, log, parser, run
from lorascope.storage.records import read_document, write_document

# The verdicts that end a study, by its key stop_on.
STOPPING = {"never": (), "fail": ("fail",), "undecided": ("fail", "undecided")}


def work(job: GateJob, arguments: argparse.Namespace) -> None:
    """Write the verdicts of ``retention.csv``; UserError naming each experiment that fails."""
    verdicts = _read(job)
    failed = [
        _failure(row)
        for entry in job.fingerprint["retain"]
        for row in verdicts
        if _is_of(row, entry) and row["verdict"] in STOPPING[entry["stop_on"]]
    ]
    if failed:
        raise UserError(
            f"not retained: {'; '.join(failed)}; the report is made, see {job.retention}; "
            "the study stops because of its key 'retain', 'stop_on'"
        )
    write_document(arguments.out, "verdicts", job.digest, {"verdicts": verdicts})
    log.info("%s: nothing that stops the study", job.retention)


def _read(job: GateJob) -> list[dict[str, str]]:
    """Return the rows of the table, which is the one that its report wrote; UserError if not."""
    path = Path(job.retention)
    files = read_document(job.manifest, MANIFEST, job.digest)["files"]
    check_report_file(path, files)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _is_of(row: Mapping[str, str], entry: Mapping[str, Any]) -> bool:
    names = row["of"] == entry["of"] and row["metric"] == entry["metric"]
    return names and all(float(row[key]) == entry[key] for key in ("at_least", "confidence"))


def _failure(row: Mapping[str, str]) -> str:
    kept = f"keeps {row['retention']} of {row['of']}" if row["retention"] else "nothing to keep"
    return (
        f"{row['experiment']}: {row['verdict']}, {kept} in {row['metric']} "
        f"(bounds {row['lower']} to {row['upper']}, asked {row['at_least']})"
    )


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.gate", __doc__), GateJob, work)


if __name__ == "__main__":
    leave(main())
