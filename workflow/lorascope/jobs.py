"""Job descriptions: the JSON that tells a stage what to do, in a file named after its content."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from lorascope import identity
from lorascope.models import family
from lorascope.plan import Plan
from lorascope.planned import (
    RESULTS,
    PlannedAdapter,
    PlannedDataset,
    PlannedExperiment,
    PlannedFeatures,
    Recipe,
    dataset_root,
)
from lorascope.recipes import infer_sources, source_keys


def export_package() -> None:
    """Let jobs find this package and this Python wherever they run.

    A conda environment that Snakemake activates for a job still comes first on the PATH.
    """
    _prepend("PYTHONPATH", str(identity.PACKAGE.parent))
    _prepend("PATH", str(Path(sys.executable).parent))


def _prepend(variable: str, folder: str) -> None:
    others = [o for o in os.environ.get(variable, "").split(os.pathsep) if o not in ("", folder)]
    os.environ[variable] = os.pathsep.join([folder, *others])


@cache
def dataset_job(plan: Plan, planned: PlannedDataset) -> str:
    """Return the JSON that tells the dataset stage what to do."""
    source = plan.study.datasets[planned.name]["source"]
    return job(
        planned.recipe, planned.digest, root=str(planned.root), local=isinstance(source, str)
    )


@cache
def finetune_job(plan: Plan, planned: PlannedAdapter) -> str:
    """Return the JSON that tells a training what to do."""
    model = plan.study.models[planned.model]
    data = plan.study.adapters[planned.name]["train"]["data"]
    return job(
        planned.recipe,
        planned.digest,
        adapter=planned.name,
        save_steps=plan.study.adapters[planned.name]["train"]["save_steps"],
        sources={key: model[key] for key in source_keys(model["family"])},
        data={
            "format": data["format"],
            "source": str(dataset_root(data["source"])),
            "local": isinstance(data["source"], str),
        },
    )


@cache
def encode_job(plan: Plan, planned: PlannedFeatures) -> str:
    """Return the JSON that tells an encode job what to do."""
    model = plan.study.models[planned.model]
    keys = family(model["family"]).ENCODE_SOURCES
    bridge = planned.bridge
    folder = bridge.folder if isinstance(bridge, PlannedAdapter) else bridge
    return job(
        planned.recipe,
        planned.digest,
        dataset=planned.dataset.digest,
        items=str(planned.dataset.items),
        root=str(planned.dataset.root),
        bridge=str(folder) if folder else None,
        sources={key: model[key] for key in keys},
    )


@cache
def infer_job(plan: Plan, planned: PlannedExperiment) -> str:
    """Return the JSON that tells an infer job what to do."""
    features = planned.features
    return job(
        planned.recipe,
        planned.digest,
        id=planned.experiment.id,
        dataset=planned.dataset.digest,
        items=str(planned.dataset.items),
        features=features.digest if features else None,
        chunks=[str(path) for path in features.files] if features else [],
        adapter=str(planned.adapter.folder) if planned.adapter else None,
        batch_size=planned.experiment.settings["batch_size"],
        sources=infer_sources(plan.study, planned.experiment),
    )


@cache
def merge_job(plan: Plan, planned: PlannedExperiment) -> str:
    """Return the JSON that tells a merge job what to do."""
    twin = plan.twin(planned)
    return job(
        planned.recipe,
        planned.digest,
        id=planned.experiment.id,
        dataset=planned.dataset.digest,
        items=str(planned.dataset.items),
        shards=[str(path) for path in plan.shards(planned)],
        twin=str(twin) if twin else None,
    )


@cache
def score_job(plan: Plan, planned: PlannedExperiment) -> str:
    """Return the JSON that tells a score job what to do."""
    return job(
        planned.score_recipe,
        planned.score_digest,
        id=planned.experiment.id,
        dataset=planned.dataset.digest,
        items=str(planned.dataset.items),
        predictions=str(planned.predictions),
        predicted=planned.digest,
    )


@cache
def report_job(plan: Plan) -> str:
    """Return the JSON that tells the report job what to do."""
    rows = [
        {
            "id": planned.experiment.id,
            "base": planned.experiment.base,
            "run": planned.experiment.run,
            "table": planned.experiment.settings["table"],
            "settings": planned.experiment.settings,
            "scores": str(planned.scores),
            "digest": planned.score_digest,
            "predictions": planned.digest,
            "runtime": str(planned.runtime),
        }
        for planned in plan.experiments.values()
    ]
    adapters = [
        {"name": name, "training": str(planned.training), "digest": planned.digest}
        for name, planned in plan.adapters.items()
    ]
    files = [path.name for path in plan.report_files[:-1]]
    recipe, digest = plan.report_recipe, plan.report_digest
    return job(recipe, digest, rows=rows, adapters=adapters, files=files)


@cache
def gate_job(plan: Plan) -> str:
    """Return the JSON that tells the gate what to do."""
    recipe = {"stage": "gate", "retain": plan.study.retain}
    retention = str(plan.report_folder / "retention.csv")
    return job(recipe, plan.report_digest, retention=retention)


def job_file(text: str) -> Path:
    """Return where a job description lies: a file named after its content."""
    return RESULTS / "jobs" / f"{identity.digest(text)}.json"


def download_job(plan: Plan, marker: Path) -> str:
    """Return the JSON that tells a download what to do."""
    recipe = {"stage": "download"}
    return job(recipe, identity.digest(recipe), **plan.downloads[marker])


def job(recipe: Recipe, digest: str, **rest: Any) -> str:
    """Return a job description: the recipe, its digest and what the stage needs besides."""
    return identity.canonical({"recipe": recipe, "digest": digest, **rest})
