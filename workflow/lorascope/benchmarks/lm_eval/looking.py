"""What lm-evaluation-harness says of its tasks, asked in a process of its own and kept.

Planning imports neither the harness nor what it stands on. What is kept counts as long as the
files that were looked at are the same ones.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lorascope.benchmarks.lm_eval.tasks import OFFLINE, Task, place
from lorascope.errors import UserError
from lorascope.identity.digests import digest, text_digest
from lorascope.storage.records import checked_document, file_sha256, write_document
from lorascope.study.declarations import Look
from lorascope.study.settings import Repository
from lorascope.study.validation import validated

HARMLESS = "asks the harness; what decides items of it is in the fingerprint by its value"

KEPT = Path("results", ".lm_eval")
"""Where the harness's answers are kept between plans."""
KIND = "look at tasks"
ASKED = ("task", "include_path", "num_fewshot", "apply_chat_template", "source")
EXTRA = "lorascope[lm-eval]"
MOST_FILES = 10_000


def look(settings: Mapping[str, Any]) -> Look:
    """Return the tasks of a dataset; UserError for one that the harness, or we, cannot run."""
    harness = harness_version()
    asked = {key: settings[key] for key in ASKED}
    found = _kept_or_asked(asked, harness)
    if found.get("refused"):
        raise UserError(found["refused"])
    if settings["category"]:
        _check_alike(found["reported"])
    tasks = [Task(**task) for task in found["tasks"]]
    return Look(
        decides={"harness": harness, "tasks": {task.name: task.digest for task in tasks}},
        told={"found": found["tasks"], "notes": found["notes"]},
        repositories=[_repository(one, settings) for one in found["repositories"]],
    )


def harness_version() -> str:
    """Return the installed version of the harness; UserError with the command where it is not."""
    try:
        return version("lm_eval")
    except PackageNotFoundError:
        raise UserError(
            "benchmark lm_eval needs lm-evaluation-harness, which is not installed; run "
            f"pip install '{EXTRA}'"
        ) from None


def _check_alike(reported: Mapping[str, list[str]]) -> None:
    """Refuse to count tasks together that have different metrics."""
    first, metrics = next(iter(reported.items()))
    for name, others in reported.items():
        if others != metrics:
            raise UserError(
                f"category: {first} has the metrics {', '.join(metrics)}, {name} has "
                f"{', '.join(others)}; leave it out, and each task is counted apart"
            )


def _repository(found: Mapping[str, Any], settings: Mapping[str, Any]) -> Repository:
    revision = settings["revisions"].get(found["hub"], found["revision"])
    keys = {"hub": found["hub"], "revision": revision}
    if found["files"]:
        keys |= {"files": found["files"], "layout": f"files-{digest(found['files'])}"}
    return validated(Repository, keys, "revisions", found["hub"])


def _kept_or_asked(asked: Mapping[str, Any], harness: str) -> dict[str, Any]:
    stamp = digest([asked, harness, _own_files(asked["include_path"]), _code()])
    path = KEPT / f"{stamp}.json"
    try:
        found = checked_document(path, KIND, stamp)
        if all(file_sha256(place(file)) == sha for file, sha in found["files"].items()):
            return found
    except (OSError, ValueError, KeyError, UserError):
        pass  # only a cache: the harness is asked again
    found = _ask({**asked, "index": str(KEPT / f"index-{harness}.json")})
    if not found.get("refused"):
        with contextlib.suppress(UserError):
            write_document(path, KIND, stamp, found)
    return found


def _own_files(include_path: str | None) -> dict[str, str]:
    """Return path -> SHA-256 of what may decide tasks of the user's own."""
    if include_path is None:
        return {}
    folder = Path(include_path)
    if not folder.is_dir():
        raise UserError(f"include_path: {folder}: no such folder; correct the path")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".yaml", ".yml", ".py")]
    if len(files) > MOST_FILES:
        raise UserError(
            f"include_path: {folder}: holds {len(files):,} files; name the folder of the tasks, "
            f"which may hold {MOST_FILES:,}"
        )
    return {str(path): file_sha256(path) for path in files if path.is_file()}


def _code() -> str:
    """Return a digest of what asks the harness."""
    here = Path(__file__).parent
    names = ("describe.py", "harness.py", "measuring.py", "tasks.py")
    return text_digest("".join((here / name).read_text(encoding="utf-8") for name in names))


def _ask(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a process with the harness says; it tells what it refuses under "refused"."""
    process = subprocess.run(
        [sys.executable, "-m", "lorascope.benchmarks.lm_eval.describe"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **OFFLINE},
    )
    try:
        found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = (process.stderr.strip().splitlines() or ["nothing"])[-1]
        raise UserError(f"task: lm-evaluation-harness cannot be asked: it said {said!r}") from None
    return found
