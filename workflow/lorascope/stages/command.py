"""What every stage has in common: its command line, its log, its refusal of changed code."""

import argparse
import gc
import json
import logging
import os
import platform
import re
import signal
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from lorascope.errors import UserError
from lorascope.identity.code import changed_code
from lorascope.identity.digests import text_digest
from lorascope.identity.sources import SourceIndex
from lorascope.planning.context import SOURCE_INDEX
from lorascope.planning.stage import Job
from lorascope.storage.hub import local_source
from lorascope.storage.records import set_aside, writing

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
    """Refuse to run if a local model is not the planned one; call it once the model is loaded.

    ``sources`` are those of the job. Files as large as before, and not touched since, are not read
    again.
    """
    index, planned = SourceIndex(SOURCE_INDEX), job.fingerprint["sources"]
    for key, source in sources.items():
        if isinstance(source, str) and index.local(Path(source)) != planned[key]:
            raise UserError(f"{source}: changed since this run was planned; run snakemake again")


def gpu_option(options: argparse.ArgumentParser) -> None:
    """Add the option that says how many GPUs the job leases."""
    options.add_argument(
        "--gpus", default=1, type=int, help="GPUs to lease, where there are any (default 1)"
    )


def environment(lease: "Lease") -> dict[str, Any]:
    """Return host, device, leased GPUs and package versions, for the sidecar of a result."""
    return {
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
    return local_source(source)


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
    terminal.setFormatter(logging.Formatter("%(message)s"))
    terminal.addFilter(lambda record: not getattr(record, "drawn", False))
    log.setLevel(logging.DEBUG)
    log.handlers[:] = [terminal]
    # A log that cannot be written, as on a full disk, must not drown the message about it.
    logging.raiseExceptions = False
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # an orphan goes on with its own
        file = logging.FileHandler(path, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(file)
