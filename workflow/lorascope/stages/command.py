"""What every stage has in common: its command line, its log, its refusal of changed code."""

import argparse
import atexit
import gc
import io
import json
import logging
import os
import platform
import re
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from lorascope.errors import UserError
from lorascope.identity.code import changed_code
from lorascope.identity.digests import digest, text_digest
from lorascope.identity.sources import SourceIndex
from lorascope.planning.context import SOURCE_INDEX, download_name, hub_identity
from lorascope.planning.download import COMMIT
from lorascope.planning.finetune import OUTPUTS
from lorascope.planning.stage import Job
from lorascope.storage import downloads
from lorascope.storage.downloads import Commit
from lorascope.storage.hub import local_source, redacted
from lorascope.storage.records import (
    file_sha256,
    read_json,
    read_table,
    set_aside,
    table_sources,
    writing,
)

if TYPE_CHECKING:
    from lorascope.running.devices import Lease

HARMLESS = "the command line, the log and refusals of every stage"

log = logging.getLogger("lorascope")
Told = TypeVar("Told", bound=Job)

PACKAGES = ("torch", "transformers", "peft", "numpy")
JOB_NAME = re.compile("[0-9a-f]{12}")


class Stopped(BaseException):
    """A signal asked this process to end; not an Exception, so that no library catches it."""


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
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        _open_log(_own_log(arguments.log))
        job = _read_job(arguments.job, kind)
        _log_head(options.prog, job)
        work(job, arguments)
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


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


def _log_head(prog: str, job: Job) -> None:
    """Begin the log with where and what this is: host, versions, settings."""
    log.info("%s on %s, Python %s", prog, platform.node(), platform.python_version())
    log.debug("%s", ", ".join(f"{name} {number}" for name, number in _versions().items()))
    log.debug("%s", json.dumps(json.loads(job.json), indent=1, ensure_ascii=False))


def check_code(job: Job) -> None:
    """Refuse to run if the code is not the planned one; call it once everything is imported.

    Otherwise an edit in the middle of a run would leave new answers under an old name.
    """
    changed = changed_code(job.fingerprint.get("code", {}))
    if changed:
        raise UserError(f"{changed[0]} changed since this run was planned; run snakemake again")


def check_sources(job: Job, sources: Mapping[str, Any]) -> None:
    """Refuse to run if a model is not the planned one; call it once the model is loaded.

    ``sources`` are those of the job. Files as large as before, and not touched since, are not read
    again.
    """
    index, planned = SourceIndex(SOURCE_INDEX), job.fingerprint["sources"]
    for key, source in sources.items():
        if isinstance(source, str):
            if index.local(Path(source)) != planned[key]:
                raise _changed(source)
        elif hub_identity(source, is_data=False) != planned[key]:
            raise _moved(download_name(source, is_data=False))


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
                raise _changed(path)


def check_data(planned: Any, files: Iterable[Path], root: Path, local: bool) -> dict[str, Commit]:
    """Refuse to run if data that was just read is not the planned one; return its commit if it has.

    planned: the identity of the data's source; ``files`` are those that decide, below ``root``;
    ``local`` says whether they are the user's own.
    """
    index = SourceIndex(SOURCE_INDEX)
    if local:
        if index.files(files, root) != planned:
            raise _changed(root)
        return {}
    source = {key: value for key, value in planned.items() if key != "commit"}
    name = download_name(source, is_data=True)
    found: dict[str, Commit] = {name: _marked(name, source)["commit"]}
    if hub_identity(source, is_data=True) != planned:
        raise _moved(name)
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
        return _changed(file)
    marker = downloads.marker(download_name(planned, is_data=True))
    return UserError(
        f"{file}: is not what was downloaded; remove {root} and {marker}, then run snakemake "
        "again, which downloads it again"
    )


def _changed(path: Path | str) -> UserError:
    return UserError(f"{path}: changed since this run was planned; run snakemake again")


def _moved(name: str) -> UserError:
    return UserError(
        f"{downloads.shown(name)}: moved to another commit since this run was planned; "
        "run snakemake again"
    )


def _listed(name: str) -> dict[str, str]:
    """Return the files of a downloaded data set, as the marker vouches for them."""
    found = downloads.json_value(downloads.contents(name))
    files: dict[str, str] = found.get("files", {}) if isinstance(found, dict) else {}
    marker = downloads.marker(name)
    if digest(files) != read_json(marker).get("content"):
        set_aside(marker, f"does not fit {downloads.contents(name)}")
    return files


def _marked(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the marker of a source says; one that is not the source's is moved aside."""
    path = downloads.marker(name)
    if not path.exists():
        raise UserError(f"{downloads.shown(name)}: not downloaded yet; run snakemake to fetch it")
    found = read_json(path)
    if (
        not isinstance(found, dict)
        or not isinstance(found.get("source"), dict)
        or _given(found["source"]) != _given(source)
        or not downloads.checked_commit(found.get("commit"))
    ):
        set_aside(path, f"is no marker of {downloads.shown(name)}")
    return found


def _given(source: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in source.items() if value is not None}


def gpu_option(options: argparse.ArgumentParser) -> None:
    """Add the option that says how many GPUs the job leases."""
    options.add_argument(
        "--gpus", default=1, type=int, help="GPUs to lease, where there are any (default 1)"
    )


def environment(lease: "Lease", sources: downloads.Noted) -> dict[str, Any]:
    """Return host, device, GPUs, package versions and commits, for the sidecar of a result."""
    return {
        "sources": downloads.shown_all(sources),
        "host": platform.node(),
        "device": lease.device,
        "device_name": lease.device_name,
        "gpus": list(lease.names),
        "python": platform.python_version(),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """Return the installed versions of what decides results; some stages need none of it."""
    return {name: version(name) for name in PACKAGES if find_spec(name)}


def commits(sources: Mapping[str, Any]) -> dict[str, Commit]:
    """Return the commits of those of a model's sources that come from the hub, by their markers."""
    hub = {
        download_name(source, is_data=False): source
        for source in sources.values()
        if not isinstance(source, str)
    }
    found = {name: _marked(name, source)["commit"] for name, source in hub.items()}
    for name, commit in found.items():
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            set_aside(downloads.marker(name), f"{commit!r} is no commit of a model")
    return found


def adapter_sources(folder: str, fingerprint: Mapping[str, Any]) -> dict[str, Commit]:
    """Return the downloads that an adapter which the study trained was made of."""
    path = Path(folder, Path(OUTPUTS["training"]).name)
    return table_sources(read_table(path, "training", digest(fingerprint), ["step"]))


def local_sources(sources: Mapping[str, Any]) -> dict[str, str]:
    """Return the local path of each source; UserError where one is missing."""
    return {key: str(_local(key, source)) for key, source in sources.items()}


def _local(key: str, source: str | Mapping[str, Any]) -> Path:
    if isinstance(source, str):
        path = Path(source)
        if not path.exists():
            raise UserError(
                f"{path}: not found (key {key} of the model); correct the path in the study, "
                "or put the file there"
            )
        return path
    return local_source(pinned(source))


def pinned(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's source of the hub at the commit that its marker says."""
    [commit] = commits({"": source}).values()
    return {**source, "revision": commit}


def _read_job(path: Path, kind: type[Told]) -> Told:
    """Return what the job is told; a file that does not say what its name says is moved aside."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"--job {path}: {error.strerror}") from error
    except ValueError:
        set_aside(path, "damaged")
    if JOB_NAME.fullmatch(path.stem) and text_digest(text) != path.stem:
        set_aside(path, "damaged")
    try:
        return kind.from_json(dict(json.loads(text)))
    except (UserError, TypeError, ValueError) as error:
        raise UserError(f"--job {path}: {error}") from error


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
