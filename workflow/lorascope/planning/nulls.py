"""Which experiments are set against which, where adapters have nulls."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lorascope.identity.digests import canonical
from lorascope.planning.context import PlanContext, once

if TYPE_CHECKING:
    from lorascope.study.experiments import Experiment

HARMLESS = "plans files, by the fingerprints of what decides them"

NOT_COMPARED = ("id", "adapter", "table", "batch_size", "tokens_at_once", "weights")
"""Keys in which an experiment and those with its nulls may differ."""


@once
def plan_nulls(context: PlanContext) -> list[dict[str, Any]]:
    """Return what the report sets against each other, in JSON's values.

    ``real`` are the runs of one experiment, ``draws`` for each null the runs of the experiment that
    differs in the adapter alone; ``kind`` is that of the nulls, which are all of one.
    """
    draws = _draws(context)
    found = []
    for runs in _by_base(context).values():
        first = runs[0]
        of = first.model if first.adapter is None else first.adapter
        for kind in ("random", "shuffled", "sign"):
            if nulls := draws.get((of, kind, _compared(first))):
                found.append({"real": [run.id for run in runs], "kind": kind, "draws": nulls})
    return found


def null_experiments(context: PlanContext) -> list[str]:
    """Return the experiments that are answered with a null."""
    return [one.id for one in context.asked if [*_null_of(context, one)]]


def unmatched_nulls(context: PlanContext) -> list[str]:
    """Return those of them that no experiment with the real adapter stands beside."""
    matched = {run for one in plan_nulls(context) for runs in one["draws"] for run in runs}
    return [name for name in null_experiments(context) if name not in matched]


def _by_base(context: PlanContext) -> "dict[str, list[Experiment]]":
    found: dict[str, list[Experiment]] = {}
    for experiment in context.asked:
        found.setdefault(experiment.base, []).append(experiment)
    return found


def _draws(context: PlanContext) -> dict[tuple[str, str, str], list[list[str]]]:
    """Return the runs of each null by its part, its kind and what else it is answered under."""
    found: dict[tuple[str, str, str], list[list[str]]] = {}
    for runs in _by_base(context).values():
        for of, kind in _null_of(context, runs[0]):
            place = of, kind, _compared(runs[0])
            found.setdefault(place, []).append([run.id for run in runs])
    return found


def _null_of(context: PlanContext, experiment: "Experiment") -> Iterator[tuple[str, str]]:
    """Yield the part and the kind of the null that an experiment is answered with, if it is."""
    adapter = experiment.adapter and context.study.adapters[experiment.adapter]
    if adapter and adapter.derived and adapter.derived.is_null:
        yield next(iter(adapter.derived.parts)), adapter.derived.kind


def _compared(experiment: "Experiment") -> str:
    settings = experiment.settings.model_dump(exclude={*NOT_COMPARED})
    # Nothing of a sum with a model's own adapter is that adapter at 0.
    return canonical({**settings, "lora_scaling": experiment.lora_scaling})
