"""What a job holds against its plan: code and sources as planned, commits as downloaded.

And what stands beside its results of where they were made.
"""

# Looking up versions takes a third of the start of a job that needs none, and planning of adapters
# what one needs that is answered with an adapter of the study.
# ruff: noqa: PLC0415

import json
import platform
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lorascope.errors import UserError
from lorascope.identity.code import changed_code
from lorascope.identity.digests import digest, text_digest
from lorascope.identity.sources import SourceIndex
from lorascope.planning.results import CODE_INDEX, COMMIT, SOURCE_INDEX, download_name, hub_identity
from lorascope.planning.told import Job
from lorascope.storage import downloads
from lorascope.storage.downloads import Commit
from lorascope.storage.hub import local_source
from lorascope.storage.records import read_document, read_json, read_table, set_aside, table_sources

HARMLESS = "refuses, and says where results were made"

JOB_NAME = re.compile("[0-9a-f]{12}")
Told = TypeVar("Told", bound=Job)
PACKAGES = ("torch", "transformers", "peft", "numpy")


def read_job(path: Path, kind: type[Told]) -> Told:
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


def check_code(job: Job) -> None:
    """Refuse to run if the code is not the planned one; call it once everything is imported.

    Otherwise an edit in the middle of a run would leave new answers under an old name.
    """
    changed = changed_code(job.fingerprint.get("code", {}), CODE_INDEX)
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
                raise changed_error(source)
        elif hub_identity(source, is_data=False) != planned[key]:
            raise moved_error(download_name(source, is_data=False))


def commits(sources: Mapping[str, Any]) -> dict[str, Commit]:
    """Return the commits of those of a model's sources that come from the hub, by their markers."""
    hub = {
        download_name(source, is_data=False): source
        for source in sources.values()
        if not isinstance(source, str)
    }
    found = {name: marked(name, source)["commit"] for name, source in hub.items()}
    for name, commit in found.items():
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            set_aside(downloads.marker(name), f"{commit!r} is no commit of a model")
    return found


def adapter_sources(folder: str, fingerprint: Mapping[str, Any]) -> dict[str, Commit]:
    """Return the downloads that an adapter of the study's was made of, by training or of others."""
    from lorascope.planning import derive, finetune

    if fingerprint["stage"] == derive.STAGE.name:
        path = Path(folder, Path(derive.OUTPUTS["account"]).name)
        return dict(read_document(path, derive.KIND, digest(fingerprint))["sources"])
    path = Path(folder, Path(finetune.OUTPUTS["training"]).name)
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


def marked(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
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


def changed_error(path: Path | str) -> UserError:
    """Return the error about a source whose content is not the planned one."""
    return UserError(f"{path}: changed since this run was planned; run snakemake again")


def moved_error(name: str) -> UserError:
    """Return the error about a source of the hub whose commit is not the planned one."""
    return UserError(
        f"{downloads.shown(name)}: moved to another commit since this run was planned; "
        "run snakemake again"
    )


class Devices(Protocol):
    """What a job computes on: a lease."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its GPUs."""

    @property
    def device(self) -> str:
        """The kind of device."""

    @property
    def device_name(self) -> str:
        """What it is called."""


def environment(lease: Devices, sources: downloads.Noted) -> dict[str, Any]:
    """Return host, device, GPUs, package versions and commits, for the sidecar of a result."""
    return {
        "sources": downloads.shown_all(sources),
        "host": platform.node(),
        "device": lease.device,
        "device_name": lease.device_name,
        "gpus": list(lease.names),
        "python": platform.python_version(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the installed versions of what decides results; some stages need none of it."""
    from importlib.metadata import version

    return {name: version(name) for name in PACKAGES if find_spec(name)}
