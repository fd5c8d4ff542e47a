"""The plan of a study: what determines every file, where it will lie, what is missing and why.

The Snakefile asks this module for paths, job descriptions and messages. Nothing here imports
torch. A digest stands for the recipe of a file: the settings of its stage, the identity of its
sources, the logic of its code and, nested, the recipes upstream. An experiment's ID and the
number of shards are in no recipe, since neither can change an answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lorascope import identity
from lorascope.benchmarks import benchmark
from lorascope.errors import UserError
from lorascope.models import family
from lorascope.planned import (
    REPORT_FILES,
    RESULTS,
    SOURCE_INDEX,
    PlannedDataset,
    PlannedExperiment,
    PlannedFeatures,
    Recipe,
    dataset_root,
    download_marker,
)
from lorascope.reasons import reason, subfolders
from lorascope.scoring import CODE as SCORER_CODE
from lorascope.study import Experiment, Study, parse_study

# The modules whose logic decides a stage's result; a family adds its own to encode and infer.
CODE = {
    "dataset": ("stages/dataset.py", "benchmarks/items.py", "audio.py"),
    "encode": ("stages/encode.py", "features.py", "audio.py"),
    "infer": ("stages/infer.py", "decoding.py", "lora.py"),
    "score": ("stages/score.py",),
    "report": (
        "stages/report.py",
        "reporting/tables.py",
        "reporting/plots.py",
        "statistics.py",
    ),
}


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
        self.sources = identity.SourceIndex(SOURCE_INDEX)
        self._features: dict[tuple, PlannedFeatures] = {}
        self._code = cache(identity.code_digests)
        self._local = cache(self.sources.local)
        self.datasets = {name: self._dataset(name) for name in self._used("dataset")}
        self.experiments = {e.id: self._experiment(e) for e in study.experiments.values()}
        self.sources.save()

    def targets(self) -> list[Path]:
        """Return what a run of the whole study makes: predictions, scores and the report."""
        planned = self.experiments.values()
        files = [path for p in planned for path in (p.predictions, p.runtime, p.scores)]
        return [*files, *self.report_files]

    # ------------------------------------------------------------------------- recipes

    def _used(self, kind: str) -> dict[str, None]:
        return dict.fromkeys(e.settings[kind] for e in self.study.experiments.values())

    def _dataset(self, name: str) -> PlannedDataset:
        settings = self.study.datasets[name]
        module = benchmark(settings["benchmark"])
        root = dataset_root(settings["source"])
        limits = [n for n in (settings["items_per_category"], self.study.limit) if n]
        count = min(limits, default=None)
        if isinstance(settings["source"], str):
            files = module.source_files(root, settings["tracks"], count)
            source: Any = self.sources.files(files, root) or {"absent": settings["source"]}
        else:
            source = settings["source"]
        recipe = {
            "stage": "dataset",
            "benchmark": settings["benchmark"],
            "source": source,
            "tracks": sorted(settings["tracks"]),
            "hops": sorted(settings["hops"]),
            "items_per_category": count,
            "audio": settings["audio"],
            "control": settings["control"],
            "code": self._code((*CODE["dataset"], *module.CODE)),
        }
        return PlannedDataset(name, root, recipe, identity.digest(recipe))

    def _experiment(self, experiment: Experiment) -> PlannedExperiment:
        model = self.study.models[experiment.model]
        code = family(model["family"])
        settings = {**model, **experiment.settings}
        features = self._planned_features(experiment, settings)
        recipe = {
            "stage": "infer",
            "family": model["family"],
            "settings": {key: settings[key] for key in code.INFER_SETTINGS},
            "sources": self._sources(model, code.INFER_SOURCES),
            "dtype": model["dtype"],
            "lora_scaling": experiment.settings["lora_scaling"],
            "generation": experiment.settings["generation"],
            "seed": experiment.settings["seed"],
            "features": features.recipe,
            "code": self._code((*CODE["infer"], *code.INFER_CODE)),
        }
        # In float32 a row's answer does not depend on its neighbours; in half precision it may.
        if model["dtype"] != "float32":
            recipe["batch_size"] = experiment.settings["batch_size"]
        digest = identity.digest(recipe)
        scorer = experiment.settings["scorer"]
        score_recipe = {
            "stage": "score",
            "scorer": scorer,
            "predictions": digest,
            "code": self._code((*CODE["score"], *SCORER_CODE[scorer])),
        }
        return PlannedExperiment(
            experiment, features, recipe, digest, score_recipe, identity.digest(score_recipe)
        )

    def _planned_features(
        self, experiment: Experiment, settings: Mapping[str, Any]
    ) -> PlannedFeatures:
        dataset = self.datasets[experiment.dataset]
        code = family(settings["family"])
        values = {key: settings[key] for key in code.ENCODE_SETTINGS}
        key = (experiment.model, dataset.name, identity.canonical(values))
        if key not in self._features:
            recipe = {
                "stage": "encode",
                "family": settings["family"],
                "settings": values,
                "sources": self._sources(settings, code.ENCODE_SOURCES),
                "dataset": dataset.recipe,
                "code": self._code((*CODE["encode"], *code.ENCODE_CODE)),
            }
            self._features[key] = PlannedFeatures(
                experiment.model,
                dataset,
                recipe,
                identity.digest(recipe),
                self.study.datasets[dataset.name]["encode_jobs"],
            )
        return self._features[key]

    def _sources(self, model: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        return {key: self._source(model[key]) for key in keys}

    def _source(self, source: str | Mapping[str, Any]) -> Any:
        return self._local(Path(source)) if isinstance(source, str) else dict(source)

    @cached_property
    def report_recipe(self) -> Recipe:
        """What determines the report."""
        return {
            "stage": "report",
            "study": self.study.name,
            "description": self.study.description,
            "baseline": self.study.baseline,
            "report": self.study.report,
            "experiments": {
                planned.experiment.id: {
                    "scores": planned.score_digest,
                    "table": planned.experiment.settings["table"],
                    "settings": planned.experiment.settings,
                }
                for planned in self.experiments.values()
            },
            "code": self._code(CODE["report"]),
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
        return [*(self.report_folder / name for name in REPORT_FILES), self.manifest]

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

    def experiment(self, identifier: str, digest: str) -> PlannedExperiment:
        """Return the planned experiment in a folder; UserError if this study plans none there."""
        planned = self.experiments.get(identifier)
        if planned is None or planned.digest != digest:
            raise UserError(
                f"{self.study.file}: no experiment {identifier}/{digest} is planned; "
                "the study, its sources or the code changed since this job was planned"
            )
        return planned

    def absent(self) -> dict[str, str]:
        """Return each local file or folder the study needs and that is not there -> its use."""
        used = {
            self.study.models[model][key]: f"{key} of {model}"
            for model in self._used("model")
            for key in _source_keys(self.study.models[model]["family"])
            if isinstance(self.study.models[model][key], str)
        }
        used |= {
            self.study.datasets[name]["source"]: f"source of {name}"
            for name in self.datasets
            if isinstance(self.study.datasets[name]["source"], str)
        }
        return {path: use for path, use in used.items() if not Path(path).exists()}

    @cached_property
    def downloads(self) -> dict[Path, dict[str, Any]]:
        """Marker of each download the study needs -> what it is."""
        found: dict[Path, dict[str, Any]] = {}
        for model in self._used("model"):
            settings = self.study.models[model]
            for key in _source_keys(settings["family"]):
                if marker := download_marker(settings[key]):
                    found[marker] = {"kind": "model", "source": settings[key]}
        for name, dataset in self.datasets.items():
            settings = self.study.datasets[name]
            if marker := download_marker(settings["source"]):
                found[marker] = {
                    "kind": settings["benchmark"],
                    "source": settings["source"],
                    # All of them: the marker stands for the whole data set.
                    "tracks": list(benchmark(settings["benchmark"]).TRACKS),
                    "root": str(dataset.root),
                }
        return found

    # -------------------------------------------------------------------------- inputs

    def dataset_inputs(self, planned: PlannedDataset) -> list[Path]:
        """Return the marker of the dataset's download (none where its files are local)."""
        marker = download_marker(self.study.datasets[planned.name]["source"])
        return [marker] if marker else []

    def encode_inputs(self, planned: PlannedFeatures) -> list[Path]:
        """Return what a chunk of features is made from."""
        model = self.study.models[planned.model]
        keys = family(model["family"]).ENCODE_SOURCES
        return [
            planned.dataset.items,
            *self.dataset_inputs(planned.dataset),
            *_markers(model, keys),
        ]

    def infer_inputs(self, planned: PlannedExperiment) -> list[Path]:
        """Return what a shard of responses is made from."""
        model = self.study.models[planned.experiment.model]
        keys = family(model["family"]).INFER_SOURCES
        features = planned.features
        return [features.dataset.items, *features.files, *_markers(model, keys)]

    def merge_inputs(self, planned: PlannedExperiment) -> list[Path]:
        """Return the shards of an experiment, or what its twin will make (nothing once it has)."""
        twin = self.twin(planned)
        if twin is None:
            return [planned.features.dataset.items, *self.shards(planned)]
        return [path for path in _copied(twin) if not path.exists()]

    def report_inputs(self) -> list[Path]:
        """Return the scores and runtimes of every experiment."""
        return [path for p in self.experiments.values() for path in (p.scores, p.runtime)]

    def score_inputs(self, planned: PlannedExperiment) -> list[Path]:
        """Return what scores are made from."""
        return [planned.features.dataset.items, planned.predictions]

    @cached_property
    def made(self) -> dict[Path, Made]:
        """Every planned file -> the job that makes it, as the rules have it."""
        jobs = [Made("download", (marker,), ()) for marker in self.downloads]
        for dataset in self.datasets.values():
            jobs.append(Made("dataset", (dataset.items,), self.dataset_inputs(dataset)))
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

    def encode_message(self, planned: PlannedFeatures, chunk: str, chunks: str) -> str:
        """Say in words what an encode job is."""
        part = f", part {chunk} of {chunks}" if int(chunks) > 1 else ""
        return f"{planned.model} on {planned.dataset.name}{part}: encode each clip once"

    def infer_message(self, planned: PlannedExperiment, shard: str, shards: str) -> str:
        """Say in words what an infer job is and why it has to be done."""
        return f"{planned.experiment.id}, shard {shard} of {shards}: {reason(planned)}"


def _source_keys(name: str) -> tuple[str, ...]:
    code = family(name)
    return tuple(dict.fromkeys((*code.ENCODE_SOURCES, *code.INFER_SOURCES)))


def load_plan(config: Mapping[str, Any], file: str) -> Plan:
    """Return the plan of the study in ``config``; UserError if it is not a valid study."""
    return Plan(parse_study(config, file))


def _copied(folder: Path) -> list[Path]:
    """Return the files of a twin's folder that a merge copies."""
    return [folder / "predictions.parquet", folder / "runtime.parquet"]


def _markers(model: Mapping[str, Any], keys: tuple[str, ...]) -> list[Path]:
    markers = dict.fromkeys(download_marker(model[key]) for key in keys)
    return [marker for marker in markers if marker]
