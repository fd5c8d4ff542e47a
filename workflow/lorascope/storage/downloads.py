"""What was fetched from the hub: a marker for each source, with the commit that decides.

The branch of a source is resolved once, when it is fetched. From then on its marker's commit is
what every job loads, and every result notes it: a mapping of downloads, by the names of their
markers, to commits. A reader refuses what notes another commit than the marker.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from lorascope.errors import UserError

HARMLESS = "finds the commit of a download, which every result notes"

FOLDER = Path("results", "downloads")
Commit: TypeAlias = str | dict[str, str]
"""A commit, or one for each part of a data set."""
Noted: TypeAlias = Mapping[str, Commit]
"""Name of a download -> its commit."""


def marker(name: str) -> Path:
    """Return the file that says that a source of the hub is on this machine."""
    return FOLDER / f"{name}.json"


def history(name: str) -> Path:
    """Return the file of the commits that a source had whenever it was fetched, the first first."""
    return FOLDER / "commits" / f"{name}.json"


def contents(name: str) -> Path:
    """Return the file that lists the files of a data set as they were fetched, by SHA-256."""
    return FOLDER / "contents" / f"{name}.json"


def shown(name: str) -> str:
    """Return a download's name as it is written for people: owner/name@revision."""
    return name.replace("--", "/")


def shown_all(noted: Noted) -> dict[str, Commit]:
    """Return what is noted as a sidecar shows it: owner/name@revision -> commit."""
    return {shown(name): commit for name, commit in noted.items()}


def text(commit: Commit) -> str:
    """Return a commit in words: of each part, where there are several."""
    if isinstance(commit, str):
        return commit
    different = dict.fromkeys(commit.values())
    named = different if len(different) == 1 else (f"{k} {v}" for k, v in commit.items())
    return ", ".join(named)


def commit_of(name: str) -> Commit | None:
    """Return the commit that the marker says; None where there is no marker, or a damaged one."""
    found = json_value(marker(name))
    return checked_commit(found.get("commit")) if isinstance(found, dict) else None


def commits_of(name: str) -> list[Commit]:
    """Return the commits that a source ever had here, the first first (none: never fetched)."""
    found = json_value(history(name))
    return [commit for commit in found if checked_commit(commit)] if isinstance(found, list) else []


def checked_commit(value: Any) -> Commit | None:
    """Return a commit if ``value`` is one."""
    parts = value.values() if isinstance(value, dict) else [value]
    if parts and all(isinstance(part, str) and part for part in parts):
        commit: Commit = value
        return commit
    return None


def moved_to(name: str) -> Commit | None:
    """Return the commit of a source whose branch moved since it was first fetched; None otherwise.

    Planning cannot ask the hub. A digest therefore holds the revision as written, and stands for
    the commit of the first download; it holds the commit, too, once that is another one. Where the
    marker is not there, the source is what it was last.
    """
    commits = commits_of(name)
    now = commit_of(name) or (commits[-1] if commits else None)
    return now if commits and now != commits[0] else None


def other_commit(noted: Noted) -> str | None:
    """Return in words what notes another commit than the marker, None where all is well.

    A download whose marker is not there contradicts nothing.
    """
    for name, commit in noted.items():
        now = commit_of(name)
        if now is not None and now != commit:
            made = f"was made of {shown(name)} at commit {text(commit)}"
            return f"{made}, and {marker(name)} says {text(now)}"
    return None


def joined(notes: Iterable[Noted]) -> dict[str, Commit]:
    """Return what is noted by all of ``notes`` together; UserError where two differ."""
    found: dict[str, Commit] = {}
    for noted in notes:
        for name, commit in noted.items():
            if found.setdefault(name, commit) != commit:
                raise UserError(
                    f"{shown(name)}: what is here was made of commit {text(found[name])} and of "
                    f"commit {text(commit)}; run snakemake {marker(name)}, which fetches it and "
                    "says which one counts, then run snakemake again"
                )
    return found


def json_value(path: Path) -> Any:
    """Return the value of a JSON file, None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
