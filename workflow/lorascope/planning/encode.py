"""Planning of encoding: the clips of a dataset become features, once for every scaling."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lorascope.identity.digests import canonical, digest
from lorascope.planning.context import PlanContext, once
from lorascope.planning.dataset import PlannedDataset, download_of, plan_dataset
from lorascope.planning.derive import plan_adapter
from lorascope.planning.download import as_told, local, markers
from lorascope.planning.made import PlannedAdapter
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import Fingerprint, Job

if TYPE_CHECKING:
    from lorascope.benchmarks.settings import ClipDatasetSettings
    from lorascope.study.declarations import Encoding

HARMLESS = "plans files, by the fingerprints of what decides them"

FOLDER = f"{RESULTS}/features/{{model}}/{{dataset}}/{{digest}}"
CHUNK = "{chunk}-of-{chunks}"
FEATURES = f"{FOLDER}/{CHUNK}.safetensors"


@dataclass(frozen=True)
class EncodeJob(Job):
    """``load`` is the family's; ``sources`` are the model's, as the study has them.

    ``items`` lie in a file with the digest ``dataset``, their clips below ``root``. ``adapter`` is
    the folder of an adapter with which they are heard otherwise, ``trained`` its digest if the
    study made it.
    """

    load: str
    sources: dict[str, Any]
    dataset: str
    items: str
    root: str
    adapter: str | None
    trained: str | None


@dataclass(frozen=True, eq=False)
class PlannedFeatures:
    """The clips of a dataset as one model hears them, in chunks of clips.

    ``adapter`` is one, made by this study or in a folder, that changes what is heard; None is
    the model's own ears.
    """

    model: str
    dataset: PlannedDataset
    encoding: "Encoding"
    adapter: PlannedAdapter | Path | None
    fingerprint: Fingerprint
    digest: str
    chunks: int

    @property
    def names(self) -> dict[str, object]:
        """What stands in the paths of all chunks."""
        names = {"model": self.model, "dataset": self.dataset.name, "digest": self.digest}
        return {**names, "chunks": self.chunks}

    @cached_property
    def folder(self) -> Path:
        """Folder of the chunks."""
        return Path(FOLDER.format(**self.names))

    @property
    def files(self) -> list[Path]:
        """Paths of all chunks."""
        return [Path(FEATURES.format(chunk=k, **self.names)) for k in range(self.chunks)]


def parts(folder: Path) -> Path:
    """Return the folder of what unfinished jobs have encoded, and of their locks."""
    return folder / "parts"


def part_lock(folder: Path, chunk: object, chunks: object) -> Path:
    """Return the lock that the job of a chunk holds."""
    return parts(folder) / f"{CHUNK.format(chunk=chunk, chunks=chunks)}.lock"


@once
def plan_features(context: PlanContext, identifier: str) -> PlannedFeatures | None:
    """Return the features that an experiment is asked about.

    None for a model of text, and where predictions were made elsewhere.
    """
    experiment = context.study.experiments[identifier]
    if experiment.is_imported:
        return None
    encoding = context.family(experiment.model).encoding
    if encoding is None:
        return None
    model = context.study.models[experiment.model]
    known = {**vars(experiment.settings), **vars(model)}
    values = canonical({key: known[key] for key in encoding.settings})
    ears = _changed_ears(context, experiment.adapter, encoding)
    return _plan_features(context, experiment.model, experiment.dataset, values, ears)


@once
def _changed_ears(
    context: PlanContext, name: str | None, encoding: "Encoding"
) -> PlannedAdapter | Path | None:
    """Return an adapter of the study if clips are heard otherwise with it."""
    if name is None:
        return None
    if made := plan_adapter(context, name):
        return made if made.changes_encoding else None
    source, file = context.study.adapters[name].source, encoding.adapter_file
    # As it was when it was last seen, where it is not there now.
    if file is None or not isinstance(source, str) or file not in context.source(source):
        return None
    return Path(source)


@once
def _plan_features(
    context: PlanContext,
    model: str,
    dataset: str,
    values: str,
    ears: PlannedAdapter | Path | None,
) -> PlannedFeatures:
    encoding, planned = context.family(model).encoding, plan_dataset(context, dataset)
    assert encoding is not None
    sources = context.sources(model, encoding.sources)
    fingerprint = {
        "stage": STAGE.name,
        "family": context.study.models[model].family,
        "settings": json.loads(values),
        "sources": {key: context.source(source) for key, source in sources.items()},
        "adapter": _identity(context, ears),
        "dataset": planned.fingerprint,
        "code": context.code("lorascope.stages.encode", encoding.load),
    }
    clips = cast("ClipDatasetSettings", planned.settings)
    return PlannedFeatures(
        model, planned, encoding, ears, fingerprint, digest(fingerprint), clips.encode_jobs
    )


def _identity(context: PlanContext, ears: PlannedAdapter | Path | None) -> Any:
    if isinstance(ears, PlannedAdapter):
        return ears.fingerprint
    return ears and context.source(str(ears))


def _told(context: PlanContext, planned: PlannedFeatures) -> EncodeJob:
    ears = planned.adapter
    folder = ears.folder if isinstance(ears, PlannedAdapter) else ears
    return EncodeJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        load=planned.encoding.load,
        sources=as_told(context.sources(planned.model, planned.encoding.sources)),
        dataset=planned.dataset.digest,
        items=str(planned.dataset.items),
        root=str(planned.dataset.clip_root),
        adapter=str(folder) if folder else None,
        trained=ears.digest if isinstance(ears, PlannedAdapter) else None,
    )


def all_features(context: PlanContext) -> list[PlannedFeatures]:
    """Return the features of every experiment, each once."""
    planned = (plan_features(context, name) for name in context.study.experiments)
    return list({features.folder: features for features in planned if features}.values())


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each chunk of features that experiments are asked about."""
    for planned in all_features(context):
        ears = planned.adapter
        sources = context.sources(planned.model, planned.encoding.sources).values()
        inputs = [
            planned.dataset.items,
            *download_of(planned.dataset),
            *(ears.files.values() if isinstance(ears, PlannedAdapter) else ()),
            *markers(sources),
        ]
        reads = [*local(sources), *planned.dataset.reads]
        for chunk in range(planned.chunks):
            yield STAGE.job(
                {**planned.names, "chunk": chunk},
                inputs=inputs,
                reads=[*reads, *([str(ears)] if isinstance(ears, Path) else ())],
                told=partial(_told, context, planned),
                message=partial(_message, planned, chunk),
                # The audio encoders fit on one GPU, whatever the language model needs.
                gpus=min(1, context.study.models[planned.model].gpus_per_job),
                lock=part_lock(planned.folder, chunk, planned.chunks),
            )


def _message(planned: PlannedFeatures, chunk: int) -> str:
    part = f", part {chunk} of {planned.chunks}" if planned.chunks > 1 else ""
    return f"{planned.model} on {planned.dataset.name}{part}: encode each clip once"


STAGE = Stage(
    name="encode",
    outputs={"features": FEATURES},
    log=f"{RESULTS}/logs/encode/{{model}}/{{dataset}}/{{digest}}/{CHUNK}.log",
    kept=FOLDER,
    jobs=jobs,
    loads_model=True,
)
