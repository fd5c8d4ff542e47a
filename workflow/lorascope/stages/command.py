"""What every stage has in common: its command line, its log, its refusal of changed data."""

import argparse
import atexit
import gc
import io
import json
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.identity.sources import SourceIndex
from lorascope.planning.checks import changed_error, marked, moved_error, read_job, versions
from lorascope.planning.results import SOURCE_INDEX, download_name, hub_identity
from lorascope.planning.told import Job
from lorascope.running.counters import counted
from lorascope.running.stopping import Stopped, heed_signals
from lorascope.storage import downloads
from lorascope.storage.downloads import Commit
from lorascope.storage.hub import redacted
from lorascope.storage.records import (
    file_sha256,
    read_json,
    set_aside,
    writing,
)

HARMLESS = "the command line, the log and refusals of every stage"

log = logging.getLogger("lorascope")
Told = TypeVar("Told", bound=Job)


def parser(module: str, purpose: str | None) -> argparse.ArgumentParser:
    """Return the options that every stage takes; ``purpose`` heads the help."""
    options = argparse.ArgumentParser(
        prog=f"python -m {module}", description=(purpose or "").strip().partition("\n")[0]
    )
    options.add_argument(
        "--job", required=True, type=Path, help="JSON file of what to do, as planned"
    )
    options.add_argument("--out", required=True, type=Path, help="file to write")
    options.add_argument("--log", required=True, type=Path, help="log file to write")
    return options


def run(
    options: argparse.ArgumentParser,
    kind: type[Told],
    work: Callable[[Told, argparse.Namespace], None],
) -> int:
    """Parse the command line, do ``work`` of a job of ``kind`` and return the exit code.

    A UserError ends in its message alone; anything else is a defect and keeps its traceback.
    """
    arguments = options.parse_args()
    sys.stdin = io.StringIO()  # no library asks for leave here
    # torch and transformers make millions of objects that stay: a quarter of a start was spent
    # looking for garbage among them.
    gc.set_threshold(100_000, 50, 50)
    heed_signals()
    try:
        _open_log(_own_log(arguments.log))
        job = read_job(arguments.job, kind)
        _log_head(options.prog, job)
        try:
            work(job, arguments)
        finally:  # before an error, which is a log's last line
            _log_end()
    except UserError as error:
        log.error("%s", error)
        return 1
    except Stopped as stopped:
        number = signal.Signals(stopped.args[0])
        log.error(
            "stopped by %s (a time limit or a cancellation?); what is finished is kept, "
            "run snakemake again to go on",
            number.name,
        )
        return 128 + number
    except Exception:
        log.exception("%s failed", options.prog)
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End this process with an exit code, once what was registered for its end is done.

    Freeing the objects of torch and transformers one by one would take another second.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _log_head(prog: str, job: Job) -> None:
    """Begin the log with where and what this is: host and settings."""
    log.info("%s on %s, Python %s", prog, platform.node(), platform.python_version())
    log.debug("%s", json.dumps(json.loads(job.json), indent=1, ensure_ascii=False))


def _log_end() -> None:
    """End the log with what was done, by which versions where a model was."""
    if "torch" in sys.modules:
        log.debug("%s", ", ".join(f"{name} {number}" for name, number in versions().items()))
    log.debug("counted %s", json.dumps(counted()))


def check_report_file(path: Path, files: Mapping[str, str]) -> None:
    """Refuse a file of a report that is not as the report wrote it, by its manifest's ``files``."""
    try:
        found = file_sha256(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; run snakemake to make the report") from error
    if found != files.get(path.name):
        set_aside(path, "not as the report wrote it")


def check_modules(job: Job) -> None:
    """Refuse to go on if Python files of the user's are not the planned ones, once they were run.

    The job's fingerprint has ``files``: path -> hashes of it and the modules beside it, by name.
    """
    index = SourceIndex(SOURCE_INDEX)
    for source, planned in job.fingerprint["files"].items():
        for name, sha in planned.items():
            path = Path(source).parent / name
            if not path.exists() or index.file(path) != sha:
                raise changed_error(path)


def check_data(planned: Any, files: Iterable[Path], root: Path, local: bool) -> dict[str, Commit]:
    """Refuse to run if data that was just read is not the planned one; return its commit if it has.

    planned: the identity of the data's source; ``files`` are those that decide, below ``root``;
    ``local`` says whether they are the user's own.
    """
    index = SourceIndex(SOURCE_INDEX)
    if local:
        if index.files(files, root) != planned:
            raise changed_error(root)
        return {}
    source = {key: value for key, value in planned.items() if key != "commit"}
    name = download_name(source, is_data=True)
    found: dict[str, Commit] = {name: marked(name, source)["commit"]}
    if hub_identity(source, is_data=True) != planned:
        raise moved_error(name)
    listed = _listed(name)
    for file in files:
        if index.file(file) != listed.get(str(file.relative_to(root))):
            raise edited(file, planned, root)
    return found


def edited(file: Path, planned: Any, root: Path) -> UserError:
    """Return the error about a file of a data set that is not the planned one.

    planned: the identity of the data's source, which lies in ``root``.
    """
    if not (isinstance(planned, dict) and "hub" in planned):
        return changed_error(file)
    marker = downloads.marker(download_name(planned, is_data=True))
    return UserError(
        f"{file}: is not what was downloaded; remove {root} and {marker}, then run snakemake "
        "again, which downloads it again"
    )


def _listed(name: str) -> dict[str, str]:
    """Return the files of a downloaded data set, as the marker vouches for them."""
    found = downloads.json_value(downloads.contents(name))
    files: dict[str, str] = found.get("files", {}) if isinstance(found, dict) else {}
    marker = downloads.marker(name)
    if digest(files) != read_json(marker).get("content"):
        set_aside(marker, f"does not fit {downloads.contents(name)}")
    return files


def gpu_option(options: argparse.ArgumentParser) -> None:
    """Add the option that says how many GPUs the job leases."""
    options.add_argument(
        "--gpus", default=1, type=int, help="GPUs to lease, where there are any (default 1)"
    )


def _own_log(path: Path) -> Path:
    """Return this process's log: all but the first of a distributed launch have their own."""
    rank = os.environ.get("RANK", "0")
    return path if rank == "0" else path.with_name(f"{path.name}.rank{rank}")


def _open_log(path: Path) -> None:
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.INFO)
    terminal.setFormatter(_Discreet("%(message)s"))
    terminal.addFilter(lambda record: not getattr(record, "drawn", False))
    log.setLevel(logging.DEBUG)
    log.handlers[:] = [terminal]
    # A log that cannot be written, as on a full disk, must not drown the message about it.
    logging.raiseExceptions = False
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # an orphan goes on with its own
        file = logging.FileHandler(path, mode="w", encoding="utf-8")
    file.setFormatter(_Discreet("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(file)


class _Discreet(logging.Formatter):
    """Writes no secret of the environment, whatever an error of a library says."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))
