"""Make an adapter of others without training: a null of one, or a sum of several."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from safetensors.numpy import save_file

from lorascope.errors import UserError
from lorascope.models.adapter_config import CONFIG, weights_file
from lorascope.models.auditing.adapters import brought_along, read_adapter
from lorascope.models.auditing.tensors import from_torch, read_file
from lorascope.models.deriving.parts import Made, Part
from lorascope.planning.checks import (
    adapter_sources,
    check_code,
    check_sources,
    commits,
    local_sources,
    pinned,
)
from lorascope.planning.derive import KIND, OUTPUTS, DeriveJob
from lorascope.stages.command import leave, log, parser, run
from lorascope.storage.adapters import check_adapter, write_list
from lorascope.storage.downloads import Noted, joined
from lorascope.storage.records import atomic_path, read_json, write_document, write_json


def work(job: DeriveJob, arguments: argparse.Namespace) -> None:
    """Write peft's files, the account of what they were made of and, last, the list of them."""
    made_of = joined(_noted(job))
    make, seed = resolve_name(job.make), job.fingerprint.get("seed")
    parts = [*_parts(job)]
    check_code(job)
    try:
        made: Made = make(parts, seed, job.draw)
    except UserError as error:
        raise UserError(f"adapters.{job.adapter}: {error}") from error
    check_sources(job, job.sources)
    folder = arguments.out.parent
    _write_config(job, made, folder / CONFIG)
    account = {
        "adapter": job.adapter,
        "kind_of_adapter": job.fingerprint["kind"],
        "parts": [{key: part[key] for key in ("name", "weight", "made")} for part in job.parts],
        "sources": made_of,
        **made.told,
    }
    write_document(folder / Path(OUTPUTS["account"]).name, KIND, job.digest, account)
    with atomic_path(arguments.out) as temporary:
        save_file(dict(made.tensors), temporary, metadata={"format": "pt"})
    names = [Path(path).name for key, path in OUTPUTS.items() if key != "files"]
    write_list(folder, job.digest, names)
    log.info("%s: %d tensors, of %s", job.adapter, len(made.tensors), _names(job))


def _names(job: DeriveJob) -> str:
    return " and ".join(part["name"] for part in job.parts)


def _noted(job: DeriveJob) -> Iterator[Noted]:
    """Yield the downloads that each part is made of; parts of the study's are whole."""
    yield commits(job.sources)
    for part, planned in zip(job.parts, job.fingerprint["parts"], strict=True):
        if part["folder"]:
            check_adapter(Path(part["folder"]), part["made"])
            yield adapter_sources(part["folder"], planned["made"])


def _parts(job: DeriveJob) -> Iterator[Part]:
    places = local_sources(job.sources)
    for index, part in enumerate(job.parts):
        place = Path(part["folder"] or places[str(index)])
        if part["own"]:
            yield _own(part, place)
        else:
            config, tensors = read_json(place / CONFIG), read_file(weights_file(place))
            yield Part(part["name"], part["weight"], read_adapter(place), config, tensors)


def _own(part: Mapping[str, Any], place: Path) -> Part:
    """Return the part that a model brings along in a file."""
    tensors = resolve_name(part["own"])(place)
    adapter = brought_along(tensors, float(part["alpha"]), place)
    return Part(part["name"], part["weight"], adapter, None, from_torch(tensors, place))


def _write_config(job: DeriveJob, made: Made, path: Path) -> None:
    """Write peft's configuration, which names the base model as the study does."""
    hub = {"hub": job.base, "revision": None} if isinstance(job.base, str) else pinned(job.base)
    own = {"base_model_name_or_path": hub["hub"], "revision": hub["revision"]}
    write_json(path, {**made.config, "inference_mode": True, **own})


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.derive", __doc__), DeriveJob, work)


if __name__ == "__main__":
    leave(main())
