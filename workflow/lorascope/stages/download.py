"""Fetch a model or a data set from the hub; the only stage that needs a network."""

import argparse
import os
import sys
from pathlib import Path
from pkgutil import resolve_name

from lorascope.planning.download import DownloadJob
from lorascope.stages.command import log, parser, run
from lorascope.storage.records import write_json


def work(job: DownloadJob, arguments: argparse.Namespace) -> None:
    """Download what the job names and write a marker that says which commit it is."""
    os.environ.pop("HF_HUB_OFFLINE", None)
    log.info("downloading %s at revision %s", job.source["hub"], job.source["revision"])
    commit = resolve_name(job.fetch)(job.source, Path(job.root))
    write_json(arguments.out, {"source": job.source, "commit": commit})


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.download", __doc__), DownloadJob, work)


if __name__ == "__main__":
    sys.exit(main())
