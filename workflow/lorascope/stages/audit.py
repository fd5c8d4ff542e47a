"""Look into an adapter: what it does to each module's weights, by the files and without running."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa

from lorascope.errors import UserError
from lorascope.models.auditing.adapters import Adapter, brought_along, read_adapter, whole_copy
from lorascope.models.auditing.audit import Intruders, audit_rows, summary_of
from lorascope.models.auditing.base import Model, Verdict, compare, refusal
from lorascope.models.auditing.oddities import oddities
from lorascope.models.auditing.tensors import Stored, read_model
from lorascope.models.strength.kinds import kind_of
from lorascope.planning.audit import KIND, MODULES, AuditJob
from lorascope.planning.checks import (
    adapter_sources,
    check_code,
    check_sources,
    commits,
    local_sources,
)
from lorascope.stages.command import leave, log, parser, run
from lorascope.storage.adapters import check_adapter
from lorascope.storage.downloads import Commit
from lorascope.storage.records import write_document, write_table

NUMBERS = pa.list_(pa.float64())
SCHEMA = pa.schema(
    {
        **dict.fromkeys(["module", "stack"], pa.string()),
        "layer": pa.int64(),
        "kind": pa.string(),
        "rank": pa.int64(),
        **dict.fromkeys(["alpha", "scaling"], pa.float64()),
        **dict.fromkeys(["inputs", "outputs", "experts", "parameters"], pa.int64()),
        **dict.fromkeys(["norm", "weight_norm", "share", "stable_rank"], pa.float64()),
        "used_rank": pa.int64(),
        "singular_values": NUMBERS,
        "nonfinite": pa.int64(),
        "is_zero": pa.bool_(),
        "intruders": pa.int64(),
        "probes": NUMBERS,
    }
)


def work(job: AuditJob, arguments: argparse.Namespace) -> None:
    """Write a row for each module and, last, what they come to; UserError for another base."""
    check_code(job)
    made_of: dict[str, Commit] = commits(job.sources)
    if job.folder:
        check_adapter(Path(job.folder), str(job.trained))
        made_of |= adapter_sources(job.folder, job.fingerprint["trained"])
    places = local_sources(job.sources)
    adapter = _adapter(job, places)
    base = Path(places["base"]) if "base" in places else None
    tensors = _weights(base) if base else None
    verdict = _verdict(job, adapter, base, tensors)
    rows = audit_rows(adapter, tensors, _intruders(job.fingerprint["settings"]))
    check_sources(job, job.sources)
    found = [*oddities(rows)] if rows else []
    if adapter.beyond:
        log.info("%s: %s", job.adapter, adapter.beyond)
    for line in found:
        log.warning("%s: %s", job.adapter, line)
    table = pa.Table.from_pylist(rows, SCHEMA)
    write_table(arguments.modules, table, MODULES, job.digest, sources=made_of)
    content = {
        "fingerprint": job.fingerprint,
        "base": {"named": adapter.base, **vars(verdict)},
        "use_rslora": adapter.use_rslora,
        **summary_of(rows),
        "odd": found,
        "beyond": adapter.beyond,
    }
    write_document(arguments.out, KIND, job.digest, content)
    log.info("%s: %d modules; %s", job.adapter, len(rows), verdict.words)


def _weights(base: Path) -> dict[str, Stored] | None:
    """Return a model's tensors; None for one in a layout of its family's own."""
    try:
        return read_model(base)
    except UserError as error:
        log.warning("nothing is told of W: %s", error)
        return None


def _adapter(job: AuditJob, places: Mapping[str, str]) -> Adapter:
    if job.own:
        path = Path(places["adapter"])
        return brought_along(resolve_name(job.own)(path), float(job.alpha or 0), path)
    folder = Path(job.folder or places["adapter"])
    if kind_of(folder) == "checkpoint":
        return whole_copy(folder)
    return read_adapter(folder, more=True)


def _verdict(
    job: AuditJob, adapter: Adapter, base: Path | None, tensors: Mapping[str, Stored] | None
) -> Verdict:
    """Return what is known of the adapter's base; UserError for an adapter of another one."""
    named = job.fingerprint["model"]
    model = Model.at(named) if isinstance(named, str) else Model(named["hub"], named["hub"], base)
    if job.own or job.folder:
        # No name is needed to tell what these are for.
        found = compare(None, adapter.parts, model, tensors)
        words = f"comes with {model.name}" if job.own else f"is made for {model.name} here"
        return found if found.kind == "misfit" else Verdict("same", words)
    if not adapter.parts:
        return Verdict("unknown", f"is taken for a fine-tuned copy of {model.name}")
    verdict = compare(adapter.base, adapter.parts, model, tensors, job.accepted)
    if verdict.kind in ("other", "misfit"):
        raise UserError(refusal(f"adapters.{job.adapter}", verdict))
    return verdict


def _intruders(settings: Mapping[str, Any]) -> Intruders | None:
    top = settings["intruders"]
    return Intruders(top, settings["intruder_cosine"]) if top else None


def main() -> int:
    """Run the stage from the command line."""
    options = parser("lorascope.stages.audit", __doc__)
    options.add_argument("--modules", required=True, type=Path, help="table of modules to write")
    return run(options, AuditJob, work)


if __name__ == "__main__":
    leave(main())
