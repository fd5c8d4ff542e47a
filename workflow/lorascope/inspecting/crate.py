"""The provenance of a report as a Workflow Run RO-Crate, in the folder that it describes.

Workflow Run Crate 0.5, https://w3id.org/ro/wfrun/workflow/0.5: what ran, on what inputs, when, and
what came of it. The study and the workflow's file lie in the folder ``provenance``; inputs are
named by their repository and commit, or by the SHA-256 of their files.
"""

# Only this command needs the library, and tables are read for it alone.
# ruff: noqa: PLC0415

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from lorascope.errors import UserError
from lorascope.identity.code import PACKAGE
from lorascope.inspecting.inputs import Input, bare, inputs_of
from lorascope.planning.plan import Plan
from lorascope.planning.report import CRATE, MANIFEST
from lorascope.storage.records import file_sha256, read_document, read_table, write_json, write_text
from lorascope.study.reference import as_yaml

HARMLESS = "looks, and decides nothing"

FOLDER = "provenance"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
NO_LICENSE = "not stated"
KINDS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
}
"""Suffix of a file -> its media type."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument("--agent", metavar="NAME", help="who ran it; left out if not given")
    command.add_argument("--orcid", metavar="URL", help="that one's https://orcid.org/...")
    command.add_argument(
        "--license", metavar="URL", default=NO_LICENSE, help="the licence of what is described"
    )


def crate_lines(plan: Plan, asked: argparse.Namespace) -> Iterator[str]:
    """Write the crate of a report that is done; yield where it is.

    UserError where the report is not done, its files are not those that it made, or the library is
    not installed.
    """
    if find_spec("rocrate") is None:
        raise UserError("lorascope crate needs rocrate: pip install 'lorascope[crate]'")
    if asked.orcid and not asked.agent:
        raise UserError(f"--orcid {asked.orcid}: whose is it? Give --agent NAME, too")
    run, folder = _run(plan), plan.report.folder
    study = {**plan.study.resolved(), "description": plan.study.description}
    write_text(folder / FOLDER / "study.yaml", as_yaml(bare(study)))
    write_text(folder / FOLDER / "Snakefile", _snakefile())
    metadata = _metadata(plan, run, asked)
    write_json(folder / CRATE, metadata)
    count = len(metadata["@graph"])
    yield f"{folder / CRATE}: {count} entities, {len(run.files)} files of the report"


@dataclass(frozen=True)
class _Run:
    """What a manifest and the sidecars tell: results by hash, surroundings, first and last time."""

    files: Mapping[str, str]
    surroundings: Sequence[Mapping[str, Any]]
    started: float | None
    ended: float | None
    made: float


def _run(plan: Plan) -> _Run:
    """Return what is known of the run; UserError unless the report is as it was made."""
    report, files = plan.report, plan.study.file
    if not plan.find("report", {}).is_done:
        raise UserError(f"{files}: the report is not made, or not up to date; run snakemake first")
    manifest = read_document(report.manifest, MANIFEST, report.digest)
    for name, planned in manifest["files"].items():
        path = report.folder / name
        if not path.exists() or file_sha256(path) != planned:
            raise UserError(f"{path}: is not what the report made; delete it and run snakemake")
    made = {report.manifest.name: file_sha256(report.manifest)}
    times = [*_times(plan)]
    return _Run(
        files=manifest["files"] | made,
        surroundings=manifest["ran"],
        started=min((first for first, _ in times), default=None),
        ended=max((last for _, last in times), default=None),
        made=report.manifest.stat().st_mtime,
    )


def _times(plan: Plan) -> Iterator[tuple[float, float]]:
    """Yield when each experiment that is answered here had its first answer begun, and its last."""
    for planned in plan.experiments.values():
        if not planned.is_imported and planned.runtime.exists():
            columns = ["finished", "seconds"]
            table = read_table(planned.runtime, "runtime", planned.digest, columns)
            ends, seconds = (table[name].to_pylist() for name in columns)
            if ends:
                yield min(e - s for e, s in zip(ends, seconds, strict=True)), max(ends)


def _snakefile() -> str:
    """Return the text of the workflow's file."""
    path = PACKAGE.parent / "Snakefile"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: it is the workflow that ran") from error


# ---------------------------------------------------------------------------------- the graph


def _metadata(plan: Plan, run: _Run, asked: argparse.Namespace) -> Any:
    """Return the content of the metadata file, in an order that follows from the study."""
    from rocrate.model.contextentity import ContextEntity  # type: ignore[import-untyped]
    from rocrate.rocrate import ROCrate  # type: ignore[import-untyped]

    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms = TERMS
    crate.name = plan.study.report.title or plan.study.name
    crate.description = plan.study.description or f"The report of the study {plan.study.name}."
    crate.license = asked.license
    crate.datePublished = _moment(run.made if run.ended is None else run.ended)
    crate.root_dataset["conformsTo"] = [
        crate.add(ContextEntity(crate, url, _work(name) | {"version": number}))
        for url, (name, number) in PROFILES.items()
    ]
    study = _add_file(crate, plan, f"{FOLDER}/study.yaml", "the study, with every default")
    workflow = _workflow(crate, run)
    inputs = [_add_input(crate, one) for one in inputs_of(plan)]
    results = [_add_file(crate, plan, name, sha256=sha) for name, sha in run.files.items()]
    action = crate.add_action(
        workflow, "#run", [study, *inputs], results, _action(plan, run.surroundings)
    )
    if run.started is not None:
        action["startTime"] = _moment(run.started)
    action["endTime"] = crate.root_dataset["datePublished"]
    if asked.agent:
        person = {"@type": "Person", "name": asked.agent}
        action["agent"] = crate.add(ContextEntity(crate, asked.orcid or "#agent", person))
    crate.root_dataset["mentions"] = action
    return crate.metadata.generate()


def _work(name: str) -> dict[str, Any]:
    return {"@type": "CreativeWork", "name": name}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _action(plan: Plan, surroundings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    imported = sum(planned.is_imported for planned in plan.experiments.values())
    devices = sorted({f"{one['device_name']}, {one['dtype']}" for one in surroundings})
    told = [
        f"{len(plan.experiments) - imported} experiments answered here",
        *([f"on {' and '.join(devices)}"] if devices else []),
        *([f"{imported} with predictions made elsewhere"] if imported else []),
    ]
    return {
        "@type": "CreateAction",
        "name": f"run of the study {plan.study.name}",
        "description": f"{'; '.join(told)}. The times are those of the first and last answer "
        "(without one, of the report).",
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }


def _add_file(crate: Any, plan: Plan, name: str, words: str = "", sha256: str | None = None) -> Any:
    path = plan.report.folder / name
    properties = {
        "name": path.name,
        "sha256": sha256 or file_sha256(path),
        "contentSize": str(path.stat().st_size),
        **({"description": words} if words else {}),
    }
    if kind := KINDS.get(path.suffix):
        properties["encodingFormat"] = kind
    return crate.add_file(path, dest_path=name, properties=properties)


def _workflow(crate: Any, run: _Run) -> Any:
    """Return the workflow, written in Snakemake, and the versions of what it ran with."""
    workflow = crate.add_workflow(
        PACKAGE.parent / "Snakefile",
        dest_path=f"{FOLDER}/Snakefile",
        main=True,
        lang="snakemake",
        lang_version=_installed("snakemake"),
        properties={
            "name": "lorascope",
            "version": _installed("lorascope"),
            "sha256": file_sha256(PACKAGE.parent / "Snakefile"),
            "encodingFormat": "text/plain",
        },
    )
    versions = {
        (name, number)
        for one in run.surroundings
        for name, number in {"python": one.get("python"), **one.get("versions", {})}.items()
        if number
    }
    if versions:
        workflow["softwareRequirements"] = [
            _add_software(crate, name, number) for name, number in sorted(versions)
        ]
    return workflow


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _add_software(crate: Any, name: str, number: str) -> Any:
    from rocrate.model.contextentity import ContextEntity

    url = f"https://pypi.org/project/{name}/{number}/"
    if name == "python":
        url = f"https://www.python.org/ftp/python/{number}/"
    own = {"@type": "SoftwareApplication", "name": name, "softwareVersion": number, "url": url}
    return crate.add(ContextEntity(crate, url, own))


def _add_input(crate: Any, one: Input) -> Any:
    """Return an input: a repository at a commit, or local files by their hashes."""
    from rocrate.model.contextentity import ContextEntity

    properties = _work(one.name) | {"description": one.words}
    if one.url:
        properties |= {"url": one.url, "version": one.commit}
    if isinstance(one.content, str):
        properties["identifier"] = f"digest:{one.content}"
    entity = crate.add(ContextEntity(crate, one.id, properties))
    if isinstance(one.content, dict):
        entity["hasPart"] = [
            crate.add(
                ContextEntity(crate, f"{one.id}/{quote(name)}", _work(name) | {"sha256": sha})
            )
            for name, sha in one.content.items()
        ]
    return entity
