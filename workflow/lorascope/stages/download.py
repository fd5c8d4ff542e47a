"""Fetch a model or a data set from the hub; the only stage that needs a network."""

import argparse
import os
import sys

from lorascope.records import write_json
from lorascope.stages.command import Job, log, parser, run


def work(job: Job, arguments: argparse.Namespace) -> None:
    """Download what the job names and write a marker that says which commit it is."""
    os.environ.pop("HF_HUB_OFFLINE", None)
    from lorascope import hub
    from lorascope.benchmarks.sakura import TRACKS

    source = job["source"]
    log.info("downloading %s at revision %s", source["hub"], source["revision"])
    if job["kind"] == "model":
        path = hub.download_source(source)
        commit = hub.cached_commit(source["hub"], source["revision"])
        log.info("%s", path)
    elif job["kind"] == "squad":
        commit = hub.download_squad(source["hub"], source["revision"], job["root"])
    else:
        # all tracks: the marker stands for the whole data set
        commit = hub.download_sakura(source["hub"], source["revision"], TRACKS, job["root"])
    write_json(arguments.out, {"source": source, "commit": commit})


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.download", __doc__), work)


if __name__ == "__main__":
    sys.exit(main())
