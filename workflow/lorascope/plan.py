"""The plan of a study: which jobs make which files from which, and what is missing.

The Snakefile asks this module for paths, inputs and messages. Nothing here imports torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lorascope import identity
from lorascope.errors import UserError
from lorascope.models import family
from lorascope.planned import (
    REPORT_FILES,
    RESULTS,
    PlannedAdapter,
    PlannedDataset,
    PlannedExperiment,
    PlannedFeatures,
    Recipe,
    dataset_root,
    download_marker,
)
from lorascope.reasons import reason, subfolders
from lorascope.recipes import CODE, Recipes, infer_sources, source_keys
from lorascope.study import Study, parse_study


@dataclass(frozen=True)
class Made:
    """A job: the rule, the files it makes and the files it needs."""

    rule: str
    outputs: tuple[Path, ...]
    inputs: Sequence[Path]


class Plan:
    """Every planned file of a study."""

    def __init__(self, study: Study) -> None:
        self.study = study
        recipes = Recipes(study)
        self.adapters = {name: recipes.adapter(name) for name in self._trained()}
        self.datasets = {name: recipes.dataset(name) for name in self._used("dataset")}
        self.experiments = {e.id: recipes.experiment(e) for e in study.experiments.values()}
        self._features = recipes.features
        recipes.save()

    def targets(self) -> list[Path]:
        """Return what a run of the whole study makes: predictions, scores and the report."""
        planned = self.experiments.values()
        files = [path for p in planned for path in (p.predictions, p.runtime, p.scores)]
        return [*files, *self.report_files, *([self.gate] if self.gated else ())]

    def _used(self, kind: str) -> dict[str, None]:
        names = (e.settings[kind] for e in self.study.experiments.values())
        return dict.fromkeys(name for name in names if name is not None)

    def _trained(self) -> list[str]:
        return [name for name in self._used("adapter") if "train" in self.study.adapters[name]]

    @cached_property
    def report_recipe(self) -> Recipe:
        """What determines the report."""
        return {
            "stage": "report",
            "study": self.study.name,
            "description": self.study.description,
            "baseline": self.study.baseline,
            "retain": self.study.retain,
            "report": self.study.report,
            "experiments": {
                planned.experiment.id: {
                    "scores": planned.score_digest,
                    "table": planned.experiment.settings["table"],
                    "settings": planned.experiment.settings,
                }
                for planned in self.experiments.values()
            },
            "code": identity.code_digests(CODE["report"]),
        }

    @cached_property
    def report_digest(self) -> str:
        """Digest of the report's recipe."""
        return identity.digest(self.report_recipe)

    # -------------------------------------------------------------------------- paths

    @property
    def report_folder(self) -> Path:
        """Folder of the report."""
        return RESULTS / "reports" / self.study.name

    @property
    def manifest(self) -> Path:
        """The report's manifest: the file that stands for the report being up to date."""
        return self.report_folder / f"manifest-{self.report_digest}.json"

    @property
    def report_files(self) -> list[Path]:
        """Every file of the report, the manifest last."""
        names = [
            *REPORT_FILES,
            *(["retention.csv"] if self.study.retain else ()),
            *(["loss.svg", "loss.png"] if self.adapters else ()),
        ]
        return [*(self.report_folder / name for name in names), self.manifest]

    @property
    def gated(self) -> bool:
        """Whether the study wants the workflow to stop where an ability was not retained."""
        return any(gate["stop_on"] != "never" for gate in self.study.retain)

    @property
    def gate(self) -> Path:
        """The file that says that every gate of the study was passed."""
        return self.report_folder / f"retained-{self.report_digest}.json"

    def features(self, model: str, dataset: str, digest: str) -> PlannedFeatures:
        """Return the planned features in a folder; UserError if this study plans none there."""
        for planned in self._features.values():
            if (planned.model, planned.dataset.name, planned.digest) == (model, dataset, digest):
                return planned
        raise UserError(f"{self.study.file}: no features {model}/{dataset}/{digest} are planned")

    def dataset(self, name: str, digest: str) -> PlannedDataset:
        """Return the planned dataset in a folder; UserError if this study plans none there."""
        planned = self.datasets.get(name)
        if planned is None or planned.digest != digest:
            raise UserError(f"{self.study.file}: no dataset {name}/{digest} is planned")
        return planned

    def adapter(self, home: str, digest: str) -> PlannedAdapter:
        """Return the planned adapter in a folder; UserError if this study plans none there."""
        for planned in self.adapters.values():
            if (planned.home, planned.digest) == (home, digest):
                return planned
        raise UserError(f"{self.study.file}: no adapter {home}/{digest} is planned")

    def experiment(self, identifier: str, digest: str) -> PlannedExperiment:
        """Return the planned experiment in a folder; UserError if this study plans none there."""
        planned = self.experiments.get(identifier)
        if planned is None or planned.digest != digest:
            raise UserError(
                f"{self.study.file}: no experiment {identifier}/{digest} is planned; "
                "the study, its sources or the code changed since this job was planned"
            )
        return planned

    def _sources_used(self) -> Iterator[tuple[str, str, str | Mapping[str, Any]]]:
        """Yield owner, key and source of every model and adapter that the study needs."""
        for name in self._used("model"):
            model = self.study.models[name]
            yield from ((name, key, model[key]) for key in source_keys(model["family"]))
        for name in self._used("adapter"):
            if "source" in self.study.adapters[name]:
                yield name, "source", self.study.adapters[name]["source"]

    def _data_used(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield owner, benchmark or format, and settings of all data that the study needs."""
        for name in self.datasets:
            yield name, self.study.datasets[name]["benchmark"], self.study.datasets[name]
        for name in self.adapters:
            data = self.study.adapters[name]["train"]["data"]
            yield name, data["format"], data

    def absent(self) -> dict[str, str]:
        """Return each local file or folder the study needs and that is not there -> its use."""
        used = {
            source: f"{key} of {owner}"
            for owner, key, source in self._sources_used()
            if isinstance(source, str)
        }
        used |= {
            data["source"]: f"source of {owner}"
            for owner, _, data in self._data_used()
            if isinstance(data["source"], str)
        }
        return {path: use for path, use in used.items() if not Path(path).exists()}

    @cached_property
    def downloads(self) -> dict[Path, dict[str, Any]]:
        """Marker of each download the study needs -> what it is."""
        found: dict[Path, dict[str, Any]] = {}
        for _, _, source in self._sources_used():
            if marker := download_marker(source):
                found[marker] = {"kind": "model", "source": source}
        for _, kind, data in self._data_used():
            if marker := download_marker(data["source"]):
                # The whole data set, whatever part a study uses: the marker stands for all of it.
                root = str(dataset_root(data["source"]))
                found[marker] = {"kind": kind, "source": data["source"], "root": root}
        return found

    # -------------------------------------------------------------------------- inputs

    def dataset_inputs(self, planned: PlannedDataset) -> list[Path]:
        """Return the marker of the dataset's download (none where its files are local)."""
        return _markers(self.study.datasets[planned.name], ("source",))

    def finetune_inputs(self, planned: PlannedAdapter) -> list[Path]:
        """Return what an adapter is trained from."""
        model = self.study.models[planned.model]
        data = self.study.adapters[planned.name]["train"]["data"]
        keys = source_keys(model["family"])
        return [*_markers(model, keys), *_markers(data, ("source",))]

    def encode_inputs(self, planned: PlannedFeatures) -> list[Path]:
        """Return what a chunk of features is made from."""
        model = self.study.models[planned.model]
        keys = family(model["family"]).ENCODE_SOURCES
        return [
            planned.dataset.items,
            *self.dataset_inputs(planned.dataset),
            *(planned.bridge.files if isinstance(planned.bridge, PlannedAdapter) else ()),
            *_markers(model, keys),
        ]

    def infer_inputs(self, planned: PlannedExperiment) -> list[Path]:
        """Return what a shard of responses is made from."""
        sources = infer_sources(self.study, planned.experiment)
        return [
            planned.dataset.items,
            *(planned.features.files if planned.features else ()),
            *(planned.adapter.files if planned.adapter else ()),
            *_markers(sources, tuple(sources)),
        ]

    def merge_inputs(self, planned: PlannedExperiment) -> list[Path]:
        """Return the shards of an experiment, or what its twin will make (nothing once it has)."""
        twin = self.twin(planned)
        if twin is None:
            return [planned.dataset.items, *self.shards(planned)]
        return [path for path in _copied(twin) if not path.exists()]

    def report_inputs(self) -> list[Path]:
        """Return the scores and runtimes of every experiment, and the logs of trainings."""
        scores = [path for p in self.experiments.values() for path in (p.scores, p.runtime)]
        return [*scores, *(adapter.training for adapter in self.adapters.values())]

    def score_inputs(self, planned: PlannedExperiment) -> list[Path]:
        """Return what scores are made from."""
        return [planned.dataset.items, planned.predictions]

    @cached_property
    def made(self) -> dict[Path, Made]:
        """Every planned file -> the job that makes it, as the rules have it."""
        jobs = [Made("download", (marker,), ()) for marker in self.downloads]
        for dataset in self.datasets.values():
            jobs.append(Made("dataset", (dataset.items,), self.dataset_inputs(dataset)))
        for adapter in self.adapters.values():
            jobs.append(Made("finetune", adapter.files, self.finetune_inputs(adapter)))
        for features in self._features.values():
            inputs = self.encode_inputs(features)
            jobs += [Made("encode", (chunk,), inputs) for chunk in features.files]
        for planned in self.experiments.values():
            inputs = self.infer_inputs(planned)
            jobs += [Made("infer", (shard,), inputs) for shard in self.shards(planned)]
            outputs = (planned.predictions, planned.runtime)
            jobs.append(Made("merge", outputs, self.merge_inputs(planned)))
            jobs.append(Made("score", (planned.scores,), self.score_inputs(planned)))
        jobs.append(Made("report", tuple(self.report_files), self.report_inputs()))
        jobs.append(Made("gate", (self.gate,), [self.manifest]))
        return {path: job for job in jobs for path in job.outputs}

    def shards(self, planned: PlannedExperiment) -> list[Path]:
        """Return the temporary shards of an experiment."""
        return [planned.shard(k, self.study.shards) for k in range(self.study.shards)]

    def gpus(self, model: str) -> int:
        """Return how many GPUs one job of a model asks for."""
        return self.study.models[model]["gpus_per_job"]

    # ------------------------------------------------------------------------ existing

    @cached_property
    def existing(self) -> dict[str, list[Path]]:
        """Digest -> folders under results/experiments, whatever their ID."""
        found: dict[str, list[Path]] = {}
        for folder in sorted(subfolders(RESULTS / "experiments")):
            for inner in subfolders(folder):
                found.setdefault(inner.name, []).append(inner)
        return found

    def twin(self, planned: PlannedExperiment) -> Path | None:
        """Return a folder of another ID that holds the very same predictions, or will do so.

        So an experiment that was renamed, or that two names stand for, is not run twice.
        """
        for folder in self.existing.get(planned.digest, ()):
            if folder != planned.folder and all(path.exists() for path in _copied(folder)):
                return folder
        first = self._first[planned.digest]
        return None if first is planned else first.folder

    @cached_property
    def _first(self) -> dict[str, PlannedExperiment]:
        """Digest -> the first experiment of the study that has it."""
        return {p.digest: p for p in reversed(self.experiments.values())}

    def finetune_message(self, planned: PlannedAdapter) -> str:
        """Say in words what a training is."""
        train = planned.recipe["train"]
        targets = ", ".join(train["target_modules"])
        return f"{planned.name}: train LoRA of rank {train['rank']} on {targets} of {planned.model}"

    def encode_message(self, planned: PlannedFeatures, chunk: str, chunks: str) -> str:
        """Say in words what an encode job is."""
        part = f", part {chunk} of {chunks}" if int(chunks) > 1 else ""
        return f"{planned.model} on {planned.dataset.name}{part}: encode each clip once"

    def infer_message(self, planned: PlannedExperiment, shard: str, shards: str) -> str:
        """Say in words what an infer job is and why it has to be done."""
        return f"{planned.experiment.id}, shard {shard} of {shards}: {reason(planned)}"


def load_plan(config: Mapping[str, Any], file: str) -> Plan:
    """Return the plan of the study in ``config``; UserError if it is not a valid study."""
    return Plan(parse_study(config, file))


def _copied(folder: Path) -> list[Path]:
    """Return the files of a twin's folder that a merge copies."""
    return [folder / "predictions.parquet", folder / "runtime.parquet"]


def _markers(model: Mapping[str, Any], keys: tuple[str, ...]) -> list[Path]:
    markers = dict.fromkeys(download_marker(model[key]) for key in keys)
    return [marker for marker in markers if marker]
