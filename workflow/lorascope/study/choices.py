"""Choosing among experiments: what a study may ask for, and the candidates that it means."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from lorascope.errors import UserError, listing, shown
from lorascope.study.choice_words import MEAN
from lorascope.study.experiments import Experiment, places, word
from lorascope.study.registry import BENCHMARKS, SCORERS
from lorascope.study.settings import READ, Settings, Text, unique

if TYPE_CHECKING:
    from lorascope.study.study import Study

HARMLESS = "settings that decide a result are in its fingerprint by their values"

_WILD = "*?["


def listed(value: Any) -> Any:
    """Return a value as a list, where one alone is written."""
    return [value] if isinstance(value, str | dict) else value


Among = Annotated[
    list[Text],
    Field(min_length=1, max_length=1000),
    AfterValidator(unique),
    BeforeValidator(listed, json_schema_input_type=Text | list[Text]),
]


class KeepGate(Settings):
    """What a candidate has to keep of an experiment's score to be chosen."""

    of: str = Field(description="ID of the experiment whose score is to be kept.")
    metric: str = Field(description="Category of the table, which candidates have, too.")
    at_least: Annotated[float, Field(gt=0, le=100), READ] = Field(
        0.9, description="Part of the score that has to be kept, as of `retain`."
    )


class Choice(Settings):
    """A choice among experiments, such as of a LoRA scaling, and how good it is on other items."""

    among: Among = Field(
        description="The candidates: an ID, a pattern (`SKR-*`), or a template with keys of "
        "experiments in braces (`SKR-{lora_scaling}`), or a list of these. Experiments of several "
        "templates that have the same values of these keys are one candidate, on several datasets."
    )
    by: Text = Field(
        MEAN,
        description="Category to choose by, or mean: the mean over all categories of the "
        "candidates, each counted once.",
    )
    keep: Annotated[
        list[KeepGate],
        Field(max_length=100),
        BeforeValidator(listed, json_schema_input_type=KeepGate | list[KeepGate]),
    ] = Field(
        [],
        description="What a candidate has to keep, estimated on the items that are chosen on; one "
        "that does not is left out there.",
    )
    parts: Annotated[int, Field(ge=2, le=100), READ] = Field(
        5,
        description="Into how many parts the items are cut: each part is scored under what is "
        "chosen on the others. Fewer where a category has fewer clips.",
    )


Choices = Annotated[
    list[Choice],
    Field(max_length=100),
    BeforeValidator(listed, json_schema_input_type=Choice | list[Choice]),
]
Categories: TypeAlias = Mapping[str, Sequence[str] | None]
"""ID -> the categories that an experiment has in the tables, None where only its data tell."""


@dataclass(frozen=True)
class Candidate:
    """What may be chosen: its name in the report, and the IDs of its experiments without runs."""

    name: str
    experiments: tuple[str, ...]


def candidates(
    among: Sequence[str], experiments: Iterable[Experiment], where: str
) -> list[Candidate]:
    """Return the candidates that patterns mean, in the order of the study.

    UserError, beginning with ``where``, for a pattern without experiments, and for templates that
    do not have the same keys.
    """
    first = [one for one in experiments if one.run == 0]
    keys = {pattern: places(pattern) for pattern in among}
    several = {frozenset(found) for found in keys.values() if found}
    if len(several) > 1:
        raise UserError(
            f"{where}: templates of one choice have the same keys in braces, so that they tell "
            f"which experiments are one candidate; got {listing(map(shown, among))}"
        )
    groups: dict[tuple[str, ...], list[Experiment]] = {}
    for pattern in among:
        found = [one for one in first if _fits(one, pattern, keys[pattern])]
        if not found:
            raise UserError(f"{where}: no experiment is meant by {shown(pattern)}; {_known(first)}")
        for one in found:
            key = tuple(_value(one, name) for name in sorted(keys[pattern])) or ("", one.id)
            group = groups.setdefault(key, [])
            if one not in group:
                group.append(one)
    return [*_named(groups, sorted(several.pop()) if several else [])]


def _known(experiments: Sequence[Experiment]) -> str:
    return f"the study has {listing([one.id for one in experiments])}"


def _fits(experiment: Experiment, pattern: str, keys: Sequence[str]) -> bool:
    if not keys:
        return fnmatchcase(experiment.id, pattern)
    try:
        written = pattern.format(**{key: _value(experiment, key) for key in keys})
    except (LookupError, ValueError):  # a place that is no key
        return False
    return fnmatchcase(experiment.id, written)


def _value(experiment: Experiment, key: str) -> str:
    """Return the value of an experiment's key as an ID has it; "" where it has none."""
    settings = experiment.settings
    generation = getattr(settings, "generation", None)
    found = getattr(settings, key, getattr(generation, key, None))
    return "" if isinstance(found, dict | list | Settings) else word(found)


def _named(
    groups: Mapping[tuple[str, ...], Sequence[Experiment]], keys: Sequence[str]
) -> Iterator[Candidate]:
    """Yield candidates by the values in which they differ, or by their ID."""
    of_templates = [key for key in groups if not (len(key) == 2 and key[0] == "")]
    differing = [i for i in range(len(keys)) if len({key[i] for key in of_templates}) > 1]
    for key, group in groups.items():
        name = ", ".join(f"{keys[i]} {key[i]}" for i in differing) if key in of_templates else ""
        yield Candidate(name or group[0].id, tuple(one.id for one in group))


def check_choices(study: "Study", categories: Categories) -> None:
    """Raise UserError, naming the study's file and key, for a choice that cannot be made."""
    for i, choice in enumerate(study.choose):
        where = f"{study.file}: choose[{i}]"
        found = candidates(choice.among, study.experiments.values(), f"{where}.among")
        check_by(study, found, choice.by, categories, where)
        for j, gate in enumerate(choice.keep):
            _check_gate(study, found, gate, categories, f"{where}.keep[{j}]")


def check_by(
    study: "Study", found: Sequence[Candidate], by: str, categories: Categories, where: str
) -> None:
    """Refuse a single candidate, and candidates without what is to be gone by."""
    if len(found) < 2:
        raise UserError(
            f"{where}.among: means {found[0].name} alone; a choice is among two or more"
        )
    if by != MEAN:
        _check_category(found, by, categories, f"{where}.by")
    elif several := _of_the_same_items(study, found):
        raise UserError(
            f"{where}.by: {listing(several)} are several metrics of the same items, which have no "
            "mean; name one of them"
        )


def _check_gate(
    study: "Study",
    found: Sequence[Candidate],
    gate: KeepGate,
    categories: Categories,
    where: str,
) -> None:
    if gate.of not in study.experiments or study.experiments[gate.of].run:
        raise UserError(
            f"{where}.of: no experiment has the ID {shown(gate.of)}; name one of this study, "
            "without the number of a run"
        )
    known = categories[gate.of]
    if known is not None and gate.metric not in known:
        raise UserError(
            f"{where}.metric: {gate.of} has no category {shown(gate.metric)}; it has "
            f"{listing(known)}"
        )
    _check_category(found, gate.metric, categories, f"{where}.metric")


def _check_category(
    found: Sequence[Candidate], category: str, categories: Categories, where: str
) -> None:
    """Refuse a category that a candidate does not have, or has twice."""
    for one in found:
        lists = [categories[identifier] for identifier in one.experiments]
        known = [own for own in lists if own is not None]
        having = sum(category in own for own in known)
        if having > 1:
            raise UserError(
                f"{where}: {listing(one.experiments)} are one candidate and both have the "
                f"category {shown(category)}; name in the template what tells them apart"
            )
        if not having and len(known) == len(lists):
            raise UserError(
                f"{where}: {one.name} ({listing(one.experiments)}) has no category "
                f"{shown(category)}, but {listing([c for own in known for c in own])}; add a "
                "template to among by which its experiment on that dataset is part of it"
            )


def _of_the_same_items(study: "Study", found: Sequence[Candidate]) -> list[str]:
    """Return categories that are several metrics of the same items, where there are any."""
    several: dict[str, None] = {}
    for identifier in (name for one in found for name in one.experiments):
        experiment = study.experiments[identifier]
        dataset = study.datasets[experiment.dataset]
        of_items = BENCHMARKS[dataset.benchmark].categories(dataset.model_dump()) or ["items"]
        metrics = SCORERS[experiment.scorer].categories(of_items[0], experiment.scoring)
        if metrics is not None and len(metrics) > 1:
            several |= dict.fromkeys(metrics)
    return [*several]
