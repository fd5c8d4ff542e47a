"""What deltas refer to: the forms in which a study may say it, and what they mean for each run."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from lorascope.errors import UserError
from lorascope.study.order import natural
from lorascope.study.registry import FAMILIES
from lorascope.study.settings import Count, Natural, Number, Settings, Text, read_number, unique

if TYPE_CHECKING:
    from lorascope.study.experiments import Experiment
    from lorascope.study.study import Study

HARMLESS = "settings that decide a result are in its fingerprint by their values"

OWN = "own"


class PublishedCounts(Settings):
    """A published accuracy with its counts, so that a difference from it can be tested."""

    correct: Natural = Field(description="How many of the items were right.")
    total: Count = Field(description="How many items there were.")

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if self.correct > self.total:
            raise ValueError(f"{self.correct} correct of {self.total}; correct is at most total")
        return self


def _kind_of_accuracy(value: Any) -> str:
    return "<counts>" if isinstance(value, dict | PublishedCounts) else "<value>"


PublishedAccuracy = Annotated[
    Annotated[Number, Tag("<value>")] | Annotated[PublishedCounts, Tag("<counts>")],
    Discriminator(_kind_of_accuracy),
]
Accuracies = Annotated[dict[str, PublishedAccuracy], Field(min_length=1)]


class Published(Settings):
    """A published table of accuracies, and what scored it."""

    accuracies: Accuracies = Field(
        description="Published values by category: accuracies in percent or as counts, those of "
        "another measure in its unit."
    )
    scorer: Text | None = Field(
        None,
        description="What scored the published answers, in words. The report says it beside the "
        "table, or that it is not stated.",
    )
    reproduction: Text | None = Field(
        None,
        description="ID of the experiment of this study that runs what was published. The report "
        "shows its accuracies less the published ones, by which scorer and set-up move every "
        "delta.",
    )


_TABLE_KEYS = Published.model_fields.keys()


def _kind(value: Any) -> str | None:
    """Return the form that a baseline has, that of a mapping by most of its values."""
    if not isinstance(value, dict):
        kinds: dict[type, str] = {str: "<ID>", list: "<IDs>", Published: "<published>"}
        return kinds.get(type(value))
    if Published.model_fields.keys() & {key for key in value if isinstance(key, str)}:
        return "<published>"
    accuracies = sum(map(_is_accuracy, value.values()))
    return "<table>" if 2 * accuracies > len(value) or not value else "<models>"


def _kind_of_model(value: Any) -> str | None:
    kind = _kind(value)
    return "<published>" if kind == "<models>" else kind


def _is_accuracy(value: Any) -> bool:
    if isinstance(value, dict):
        return bool({"accuracy", *PublishedCounts.model_fields} & value.keys())
    return isinstance(read_number(value), int | float)


def _by(kind: Callable[[Any], str | None], expected: str) -> Discriminator:
    return Discriminator(kind, custom_error_type="source", custom_error_message=expected)


_EXPECTED = "an ID, a list of IDs, or a table of accuracies by category"
_Identifier = Annotated[str, Tag("<ID>")]
_Identifiers = Annotated[list[str], Field(min_length=1), AfterValidator(unique), Tag("<IDs>")]
_Table = Annotated[Accuracies, Tag("<table>")]
_Published = Annotated[Published, Tag("<published>")]
BaselineOfModel = Annotated[
    _Identifier | _Identifiers | _Published | _Table,
    _by(_kind_of_model, _EXPECTED),
]
_Models = Annotated[dict[str, BaselineOfModel], Field(min_length=1), Tag("<models>")]
Baseline = Annotated[
    _Identifier | _Identifiers | _Published | _Models | _Table,
    _by(_kind, f"{_EXPECTED}, or one of these for each model"),
]
OneBaseline: TypeAlias = str | Sequence[str] | Mapping[str, float | PublishedCounts] | Published
"""As written for one model, or for all."""
AnyBaseline: TypeAlias = OneBaseline | Mapping[str, OneBaseline]
"""As written for the study."""


@dataclass(frozen=True)
class Reference:
    """What the runs ``of`` are compared with: experiments of the study, or a published table.

    ``model`` is that of all these runs where not all runs of the study have one baseline.
    """

    model: str | None
    of: tuple[str, ...]
    experiments: tuple[str, ...] = ()
    published: Published | None = None


def as_written(baseline: AnyBaseline) -> Any:
    """Return a baseline as a file could hold it."""
    if isinstance(baseline, Settings):
        return baseline.model_dump()
    if isinstance(baseline, Mapping):
        return {key: as_written(value) for key, value in baseline.items()}  # type: ignore[arg-type]
    return baseline


def by_model(baseline: AnyBaseline) -> Mapping[str, OneBaseline] | None:
    """Return model -> its baseline, None where one baseline is for all models."""
    if not isinstance(baseline, Mapping):
        return None
    own: dict[str, OneBaseline] = {
        key: value
        for key, value in baseline.items()
        if isinstance(value, str | Sequence | Mapping | Published)
    }
    return own or None


def references(study: "Study") -> list[Reference]:
    """Return what the runs of the study are compared with, each run in one reference at most.

    UserError where a run of the table is compared with nothing.
    """
    where, runs = f"{study.file}: baseline", study.experiments.values()
    if study.baseline == OWN:
        return _own(study, f"{where}: {OWN}")
    if (models := by_model(study.baseline)) is None:
        return [_reference(None, runs, study.baseline)]  # type: ignore[arg-type]
    for run in runs:
        if run.model not in models and run.settings.table:
            raise UserError(
                f"{where}: has nothing for the model {run.model} of the experiment {run.id}; "
                f"add {run.model}: <ID of an experiment of that model>"
            )
    return [
        _reference(model, (run for run in runs if run.model == model), baseline)
        for model, baseline in models.items()
    ]


def _reference(model: str | None, runs: "Iterable[Experiment]", baseline: OneBaseline) -> Reference:
    of = tuple(run.id for run in runs)
    if isinstance(baseline, Published):
        return Reference(model, of, published=baseline)
    if isinstance(baseline, Mapping):
        return Reference(model, of, published=Published(accuracies=dict(baseline)))
    return Reference(model, of, (baseline,) if isinstance(baseline, str) else tuple(baseline))


# ------------------------------------------------------------------ each model without its adapter


def _own(study: "Study", where: str) -> list[Reference]:
    """Return for each base model what is compared with it.

    An experiment's base model is the experiment without adapter, or else its own adapter's at
    lora_scaling 0, or strength 0, that has the same values of all other keys.
    """
    bases: dict[str, list[Experiment]] = {}
    for experiment in study.experiments.values():
        if experiment.run == 0 and _is_base(study, experiment):
            bases.setdefault(_surroundings(experiment), []).append(experiment)
    groups: dict[str, list[str]] = {}
    for experiment in study.experiments.values():
        first = study.experiments[experiment.base]
        found = _bases_of(first, bases.get(_surroundings(first), ()))
        if len(found) == 1:
            groups.setdefault(found[0].id, []).append(experiment.id)
        elif experiment.settings.table:
            raise UserError(f"{where}: {_no_base(first, found, bases.values())}")
    return [
        Reference(study.experiments[base].model, tuple(of), (base,)) for base, of in groups.items()
    ]


def _is_base(study: "Study", experiment: "Experiment") -> bool:
    scaling = experiment.lora_scaling
    if experiment.settings.strength is not None:
        return experiment.settings.strength == 0
    if experiment.is_imported:
        return not scaling and (experiment.adapter is None or scaling == 0)
    brings_adapter = FAMILIES[study.models[experiment.model].family].own_adapter
    without = experiment.adapter is None and not brings_adapter
    return without or scaling == 0


def _surroundings(experiment: "Experiment") -> str:
    """Return all that an experiment has in common with its base model's."""
    other: dict[str, Any] = {"id": "", "adapter": None, "lora_scaling": None, "table": True}
    other |= {"strength": None}
    if experiment.is_imported:
        other |= {"model": experiment.model, "predictions": {}}
    elif experiment.asked.weights is not None:
        other["weights"] = None
    return experiment.settings.model_copy(update=other).model_dump_json()


def _bases_of(experiment: "Experiment", bases: "Iterable[Experiment]") -> "list[Experiment]":
    bases = list(bases)
    without = [base for base in bases if base.adapter is None]
    plain = [base for base in without if base.weighted is None]
    # A sum of which nothing is left is a base where there is no other.
    return plain or [base for base in bases if base.adapter == experiment.adapter] or without


def _no_base(
    experiment: "Experiment",
    found: "Sequence[Experiment]",
    bases: "Iterable[Sequence[Experiment]]",
) -> str:
    """Say why no single experiment is the base model of another."""
    remedy = "or name the baselines by their IDs"
    if found:
        names = " and ".join(sorted((base.id for base in found), key=natural))
        return f"{names} are both {experiment.id} without its adapter; remove one, {remedy}"
    alike = (base for group in bases for base in group if base.model == experiment.model)
    nearest = min(alike, key=lambda base: len(_differing(experiment, base)), default=None)
    near = ""
    if nearest:
        near = f" ({nearest.id} differs in {', '.join(_differing(experiment, nearest))})"
    key = "lora_scaling" if experiment.settings.strength is None else "strength"
    return (
        f"no experiment is {experiment.id} without its adapter{near}; add one that differs in "
        f"{key} (0) alone, {remedy}"
    )


def _differing(one: "Experiment", other: "Experiment") -> list[str]:
    """Return the keys, adapter and scaling aside, in which two experiments of a model differ."""
    mine, theirs = (json.loads(_surroundings(experiment)) for experiment in (one, other))
    for settings in (mine, theirs):
        generation = settings.pop("generation", {})
        settings |= {f"generation.{key}": value for key, value in generation.items()}
    keys = [key for key in mine if mine[key] != theirs[key]]
    if other.adapter not in (None, one.adapter):
        keys.append("adapter")
    return keys
