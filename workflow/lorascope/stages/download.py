"""Fetch a model or a data set from the hub; the only stage that needs a network."""

import argparse
import logging
import os
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.identity.sources import SourceIndex
from lorascope.planning.download import DownloadJob
from lorascope.planning.results import SOURCE_INDEX
from lorascope.stages.command import leave, log, parser, run
from lorascope.storage import downloads
from lorascope.storage.downloads import Commit
from lorascope.storage.hub import check_endpoint, redacted
from lorascope.storage.records import write_json


def work(job: DownloadJob, arguments: argparse.Namespace) -> None:
    """Download what the job names and write a marker that says which commit it is."""
    os.environ.pop("HF_HUB_OFFLINE", None)
    # The hub's library has loggers of its own.
    logging.setLogRecordFactory(discreet)
    check_endpoint()
    name = arguments.out.stem
    log.info("downloading %s at revision %s", job.source["hub"], job.source["revision"])
    fetched = resolve_name(job.fetch)(job.source, Path(job.root))
    commit = downloads.checked_commit(fetched)
    if commit is None:
        raise UserError(f"{job.fetch}: returned no commit, but {fetched!r}; correct the plug-in")
    marker: dict[str, Any] = {"source": job.source, "commit": commit}
    if job.root:
        marker["content"] = _keep_contents(name, commit, Path(job.root))
    _keep_history(name, commit)
    write_json(arguments.out, marker)
    log.info("%s is commit %s", downloads.shown(name), downloads.text(commit))


def discreet(*arguments: Any, **details: Any) -> logging.LogRecord:
    """Return a record without secrets, such as a password in the hub's address."""
    record = logging.LogRecord(*arguments, **details)
    record.msg, record.args = redacted(record.getMessage()), None
    return record


def _keep_contents(name: str, commit: Commit, root: Path) -> str:
    """Write which files lie in ``root``; return their digest, UserError where one was edited."""
    index = SourceIndex(SOURCE_INDEX)
    files = {
        str(path.relative_to(root)): index.file(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    kept = downloads.contents(name)
    before = downloads.json_value(kept)
    # What lies there is not fetched again, so it has to be what was fetched.
    if isinstance(before, dict) and before.get("commit") == commit and before.get("files") != files:
        raise UserError(
            f"{root}: was edited since commit {downloads.text(commit)} was fetched; "
            "remove the folder and run snakemake again"
        )
    write_json(kept, {"commit": commit, "files": files})
    return digest(files)


def _keep_history(name: str, commit: Commit) -> None:
    """Add the commit to those that the source had, unless it is the last one."""
    commits = downloads.commits_of(name)
    if commits[-1:] == [commit]:
        return
    if commits:
        log.warning(
            "%s moved from commit %s to %s; what was made of it will be planned anew",
            *(downloads.shown(name), downloads.text(commits[-1]), downloads.text(commit)),
        )
    write_json(downloads.history(name), [*commits, commit])


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.download", __doc__), DownloadJob, work)


if __name__ == "__main__":
    leave(main())
