"""Recipes: what determines every file of a study, and the digest that stands for it.

A digest stands for the recipe of a file: the settings of its stage, the identity of its sources,
the logic of its code and, nested, the recipes upstream. An experiment's ID and the number of
shards are in no recipe, since neither can change an answer. Nothing here imports torch.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from lorascope import identity
from lorascope.benchmarks import benchmark
from lorascope.finetuning import FILES, FINETUNE_CODE
from lorascope.finetuning.sources import data_identity
from lorascope.models import family
from lorascope.models.salmonn import BRIDGE
from lorascope.planned import (
    RESULTS,
    SOURCE_INDEX,
    PlannedAdapter,
    PlannedDataset,
    PlannedExperiment,
    PlannedFeatures,
    dataset_root,
)
from lorascope.scoring import CODE as SCORER_CODE
from lorascope.study import Experiment, Study

# The modules whose logic decides a stage's result; a family adds its own to encode and infer.
CODE = {
    "dataset": ("stages/dataset.py", "benchmarks/items.py", "audio.py"),
    "encode": ("stages/encode.py", "features.py", "audio.py"),
    "infer": ("stages/infer.py", "decoding.py", "lora.py"),
    "score": ("stages/score.py",),
    "report": (
        "stages/report.py",
        "reporting/scored.py",
        "reporting/tables.py",
        "reporting/comparison.py",
        "reporting/verdicts.py",
        "reporting/page.py",
        "reporting/plots.py",
        "reporting/loss.py",
        "retention.py",
        "statistics.py",
    ),
}


# What changes no adapter: when it is saved, how many GPUs share a step; data has its own key.
NOT_IN_ADAPTER = ("data", "gpus", "save_steps")


class Recipes:
    """What a study plans, recipe by recipe; each dataset and adapter is looked at once."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.features: dict[tuple, PlannedFeatures] = {}
        self._index = identity.SourceIndex(SOURCE_INDEX)
        self._code = cache(identity.code_digests)
        self._local = cache(self._index.local)
        self._homes: dict[str, str] = {}
        self.dataset = cache(self._dataset)
        self.adapter = cache(self._adapter)

    def save(self) -> None:
        """Keep the hashes of the sources for the next plan."""
        self._index.save()

    def _dataset(self, name: str) -> PlannedDataset:
        settings = self.study.datasets[name]
        module = benchmark(settings["benchmark"])
        root = dataset_root(settings["source"])
        recipe = {
            "stage": "dataset",
            "benchmark": settings["benchmark"],
            "source": self._data_source(module, settings),
            **_data_settings(module, settings),
            "limit": self.study.limit,
            "code": self._code((*CODE["dataset"], *module.CODE)),
        }
        return PlannedDataset(name, root, recipe, identity.digest(recipe))

    def _data_source(self, module: ModuleType, settings: Mapping[str, Any]) -> Any:
        """Return the identity of a benchmark's files."""
        source = settings["source"]
        if not isinstance(source, str):
            return source
        root = Path(source)
        files = module.source_files(root, settings, self.study.limit)
        return self._index.files(files, root) or {"absent": source}

    def _adapter(self, name: str) -> PlannedAdapter:
        adapter = self.study.adapters[name]
        model = self.study.models[adapter["model"]]
        code = family(model["family"])
        data = adapter["train"]["data"]
        train = {k: v for k, v in adapter["train"].items() if k not in NOT_IN_ADAPTER}
        recipe = {
            "stage": "finetune",
            "family": model["family"],
            "settings": {key: model[key] for key in _setting_keys(code) if key in model},
            "sources": self._sources(model, source_keys(model["family"])),
            "train": train,
            "data": {k: v for k, v in data.items() if k != "source"},
            "data_source": self._training_data(data),
            "code": self._code(_training_code(code, data["format"])),
        }
        digest = identity.digest(recipe)
        home = self._homes.setdefault(digest, _trained_under(digest) or name)
        return PlannedAdapter(name, home, adapter["model"], recipe, digest)

    def _training_data(self, data: Mapping[str, Any]) -> Any:
        source = data["source"]
        if not isinstance(source, str):
            return source
        return data_identity(self._index, data, Path(source)) or {"absent": source}

    def experiment(self, experiment: Experiment) -> PlannedExperiment:
        """Return what an experiment makes, and all that it is made from."""
        model = self.study.models[experiment.model]
        code = family(model["family"])
        settings = {**model, **experiment.settings}
        dataset = self.dataset(experiment.dataset)
        trained = "train" in self.study.adapters.get(experiment.adapter, ())
        adapter = self.adapter(experiment.adapter) if trained else None
        features = self._planned_features(experiment, settings, adapter) if code.ENCODES else None
        recipe = {
            "stage": "infer",
            "family": model["family"],
            "settings": {key: settings[key] for key in code.INFER_SETTINGS},
            "sources": self._infer_sources(experiment),
            "dtype": model["dtype"],
            "adapter": adapter.recipe if adapter else None,
            "lora_scaling": experiment.settings["lora_scaling"],
            "generation": experiment.settings["generation"],
            "seed": experiment.settings["seed"],
            **({"features": features.recipe} if features else {"dataset": dataset.recipe}),
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
            experiment,
            dataset,
            features,
            adapter,
            recipe,
            digest,
            score_recipe,
            identity.digest(score_recipe),
        )

    def _infer_sources(self, experiment: Experiment) -> dict[str, Any]:
        found = infer_sources(self.study, experiment)
        return {key: self._source(source) for key, source in found.items()}

    def _planned_features(
        self, experiment: Experiment, settings: Mapping[str, Any], adapter: PlannedAdapter | None
    ) -> PlannedFeatures:
        dataset = self.dataset(experiment.dataset)
        model = self.study.models[experiment.model]
        code = family(model["family"])
        values = {key: settings[key] for key in code.ENCODE_SETTINGS}
        bridge = self._bridge(experiment, adapter)
        name = experiment.adapter if bridge else None
        key = (experiment.model, dataset.name, identity.canonical(values), name)
        if key not in self.features:
            recipe = {
                "stage": "encode",
                "family": model["family"],
                "settings": values,
                "sources": self._sources(model, code.ENCODE_SOURCES),
                "bridge": _identity(bridge, self._local),
                "dataset": dataset.recipe,
                "code": self._code((*CODE["encode"], *code.ENCODE_CODE)),
            }
            self.features[key] = PlannedFeatures(
                experiment.model,
                dataset,
                bridge,
                recipe,
                identity.digest(recipe),
                self.study.datasets[dataset.name]["encode_jobs"],
            )
        return self.features[key]

    def _bridge(
        self, experiment: Experiment, adapter: PlannedAdapter | None
    ) -> PlannedAdapter | Path | None:
        """Return the adapter of an experiment if it brings SALMONN's bridge along."""
        if adapter:
            return adapter if adapter.recipe["train"]["bridge"] else None
        source = self.study.adapters.get(experiment.adapter, {}).get("source")
        brings = isinstance(source, str) and Path(source, BRIDGE).exists()
        return Path(source) if brings else None

    def _sources(self, model: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        return {key: self._source(model[key]) for key in keys}

    def _source(self, source: str | Mapping[str, Any]) -> Any:
        return self._local(Path(source)) if isinstance(source, str) else dict(source)


def infer_sources(study: Study, experiment: Experiment) -> dict[str, str | Mapping[str, Any]]:
    """Return key -> source of what answers depend on, a ready-made adapter among them."""
    model = study.models[experiment.model]
    found = {key: model[key] for key in family(model["family"]).INFER_SOURCES}
    adapter = study.adapters.get(experiment.adapter, {})
    return found | ({"adapter": adapter["source"]} if "source" in adapter else {})


def source_keys(name: str) -> tuple[str, ...]:
    """Return the settings of a family that name files."""
    code = family(name)
    encode = code.ENCODE_SOURCES if code.ENCODES else ()
    return tuple(dict.fromkeys((*encode, *code.INFER_SOURCES)))


def _identity(bridge: PlannedAdapter | Path | None, local: Callable[[Path], dict[str, str]]) -> Any:
    return bridge.recipe if isinstance(bridge, PlannedAdapter) else bridge and local(bridge)


def _trained_under(digest: str) -> str | None:
    """Return the name under which an adapter lies here complete: a renamed one is not new."""
    for folder in sorted((RESULTS / "adapters").glob(f"*/{digest}")):
        if all((folder / name).exists() for name in FILES):
            return folder.parent.name
    return None


def _setting_keys(code: ModuleType) -> tuple[str, ...]:
    encode = code.ENCODE_SETTINGS if code.ENCODES else ()
    return (*encode, *code.INFER_SETTINGS)


def _training_code(code: ModuleType, data_format: str) -> tuple[str, ...]:
    encode = code.ENCODE_CODE if code.ENCODES else ()
    data = () if data_format == "jsonl" else (*CODE["dataset"], *benchmark(data_format).CODE)
    return (*FINETUNE_CODE, *encode, *code.INFER_CODE, *data)


def _data_settings(module: ModuleType, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that determine a benchmark's items; the order of a list does not."""
    values = {key: settings[key] for key in module.SETTINGS}
    return {key: sorted(v) if isinstance(v, list) else v for key, v in values.items()}
