"""What every stage has in common: its command line, its log, its refusal of changed code."""

import argparse
import gc
import json
import logging
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError
from lorascope.identity import code_digests

if TYPE_CHECKING:
    from lorascope.devices import Lease

log = logging.getLogger("lorascope")
Job = Mapping[str, Any]


def parser(module: str, purpose: str | None) -> argparse.ArgumentParser:
    """Return the options that every stage takes; ``purpose`` heads the help."""
    options = argparse.ArgumentParser(
        prog=f"python -m {module}", description=(purpose or "").strip().partition("\n")[0]
    )
    options.add_argument(
        "--job", required=True, type=Path, help="JSON file: recipe, digest and paths, as planned"
    )
    options.add_argument("--out", required=True, type=Path, help="file to write")
    options.add_argument("--log", required=True, type=Path, help="log file to write")
    return options


def run(options: argparse.ArgumentParser, work: Callable[[Job, argparse.Namespace], None]) -> int:
    """Parse the command line, do ``work`` and return the exit code.

    A UserError ends in its message alone; anything else is a defect and keeps its traceback.
    """
    arguments = options.parse_args()
    # torch and transformers make millions of objects that stay: a quarter of a start was spent
    # looking for garbage among them.
    gc.set_threshold(100_000, 50, 50)
    job = _read_job(options, arguments.job)
    _open_log(arguments.log)
    log.info("%s on %s, Python %s", options.prog, platform.node(), platform.python_version())
    log.debug("%s", json.dumps(job, indent=1, ensure_ascii=False))
    try:
        work(job, arguments)
    except UserError as error:
        log.error("%s", error)
        return 1
    except Exception:
        log.exception("%s failed", options.prog)
        return 1
    return 0


def check_code(job: Job) -> None:
    """Refuse to run if the code is not the planned one; call it once everything is imported.

    Otherwise an edit in the middle of a run would leave new answers under an old name.
    """
    planned = job["recipe"].get("code", {})
    changed = [name for name, now in code_digests(planned).items() if planned[name] != now]
    if changed:
        raise UserError(
            f"lorascope/{changed[0]} changed since this run was planned; run snakemake again"
        )


def progress(total: int, done: int, what: str) -> Any:
    """Return a progress bar on stderr; without a terminal it prints a line now and then."""
    from tqdm import tqdm

    interval = 0.2 if sys.stderr.isatty() else 20.0
    return tqdm(
        total=total, initial=done, desc=what, unit="item", mininterval=interval, dynamic_ncols=True
    )


def gpu_option(options: argparse.ArgumentParser) -> None:
    """Add the option that says how many GPUs the job leases."""
    options.add_argument(
        "--gpus", default=1, type=int, help="GPUs to lease, where there are any (default 1)"
    )


def environment(lease: "Lease") -> dict[str, Any]:
    """Return host, device, leased GPUs and package versions, for the sidecar of a result."""
    names = ("torch", "transformers", "peft", "numpy")
    return {
        "host": platform.node(),
        "device": lease.device,
        "gpus": list(lease.names),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
    }


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
    from lorascope.hub import local_model

    folder = local_model(source["hub"], source["revision"])
    return folder / source["file"] if source["file"] else folder


def _read_job(options: argparse.ArgumentParser, path: Path) -> Job:
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        options.error(f"--job {path}: {error}")
    if not isinstance(job, dict) or "recipe" not in job:
        options.error(f"--job {path} holds no recipe; stages are called by snakemake")
    return job


def _open_log(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.INFO)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    file = logging.FileHandler(path, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.setLevel(logging.DEBUG)
    log.handlers[:] = [terminal, file]
