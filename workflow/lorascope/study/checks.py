"""Whether the parts of a study go with each other, by what their plug-ins declare."""

import difflib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TypeAlias

from lorascope.errors import UserError, listing, shown
from lorascope.study.baseline import OWN, Published, Reference, by_model
from lorascope.study.choices import check_choices
from lorascope.study.declarations import MODES, Answers
from lorascope.study.experiments import Experiment
from lorascope.study.judge_checks import BESIDE, check_judges
from lorascope.study.registry import BENCHMARKS, FAMILIES, SCORERS, data_formats, require_format
from lorascope.study.scaling_words import in_words
from lorascope.study.scalings import refuse_name
from lorascope.study.searches import check_searches
from lorascope.study.study import Study

HARMLESS = "settings that decide a result are in its fingerprint by their values"

Categories: TypeAlias = Mapping[str, Sequence[str] | None]
"""ID -> the categories that an experiment has in the tables, None where only its data tell."""


def check_study(study: Study) -> None:
    """Raise UserError, naming the study's file, unless its parts go with each other."""
    for experiment in study.experiments.values():
        _check_names(study, experiment)
        _check_scaling(study, experiment)
        if not experiment.is_imported:
            _check_adapter(study, experiment)
            _check_family(study, experiment)
        _check_dataset(study, experiment)
    check_judges(study)
    categories = _categories(study)
    _check_comparable(study, categories)
    for name in study.adapters:
        _check_training(study, name)
    _check_baseline(study, categories)
    _check_gates(study, categories)
    check_choices(study, categories)
    check_searches(study, categories)


def _check_names(study: Study, experiment: Experiment) -> None:
    adapter = None if experiment.is_imported else experiment.adapter
    for kind, name, known in (
        ("dataset", experiment.dataset, study.datasets),
        ("adapter", adapter, study.adapters),
    ):
        if name is not None and name not in known:
            names = listing(known, 20) or "none"
            raise UserError(
                f"{_where(study, experiment)}: {kind} {shown(name)} is not defined; known: {names}"
            )


def _where(study: Study, experiment: Experiment) -> str:
    return f"{study.file}: experiment {experiment.id}"


def _check_scaling(study: Study, experiment: Experiment) -> None:
    """Refuse a scaling that is no profile's name, and a profile of a model that takes none."""
    scaling, where = experiment.settings.lora_scaling, _where(study, experiment)
    if isinstance(scaling, str) and scaling not in study.profiles:
        raise refuse_name(scaling, study.profiles, where)
    if experiment.is_imported or not isinstance(study.scaling_of(experiment), Mapping):
        return
    family = study.models[experiment.model].family
    if not FAMILIES[family].scales_parts:
        raise UserError(
            f"{where}: lora_scaling: models of family {family} have one scaling for all layers, "
            "and no profiles; give a number"
        )


def _check_adapter(study: Study, experiment: Experiment) -> None:
    """Refuse a scaling of nothing, another model's adapter, and one that is seen too late."""
    family = FAMILIES[study.models[experiment.model].family]
    _check_strength(study, experiment)
    if experiment.adapter is None:
        if study.scaling_of(experiment) and not family.own_adapter:
            scaling = in_words(experiment.settings.lora_scaling)
            raise UserError(
                f"{_where(study, experiment)}: lora_scaling {scaling} touches no layer; "
                "name an adapter"
            )
        return
    adapter = study.adapters[experiment.adapter]
    file = family.encoding.adapter_file if family.encoding else None
    parts = adapter.derived.terms if adapter.derived else ()
    for name in [experiment.adapter, *(part for part in parts if part in study.adapters)]:
        source = study.adapters[name].source
        if file and source is not None and not isinstance(source, str):
            raise UserError(
                f"{study.file}: adapters.{name}.source: whether the adapter brings {file} along "
                "has to be seen before the clips are encoded; download it, give its folder"
            )
    if adapter.model != experiment.model:
        raise UserError(
            f"{_where(study, experiment)}: adapter {experiment.adapter!r} is for the model "
            f"{adapter.model!r}, not {experiment.model!r}"
        )


def _check_strength(study: Study, experiment: Experiment) -> None:
    """Refuse a strength of nothing, beside a scaling, of a LoRA, or of a model that takes none."""
    strength = experiment.settings.strength
    if strength is None:
        return
    adapter = study.adapters[experiment.adapter] if experiment.adapter else None
    family = study.models[experiment.model].family
    problem = ""
    if adapter is None:
        problem = "changes nothing without an adapter; name one, or leave it out"
    elif experiment.settings.lora_scaling is not None:
        problem = (
            "is given beside lora_scaling; a LoRA has lora_scaling, an adapter that is more than "
            "one has strength: remove one"
        )
    elif adapter.source is None:
        problem = f"is not for a LoRA, as {experiment.adapter!r} is; give lora_scaling"
    elif not FAMILIES[family].takes_strength:
        problem = f"is nothing that models of family {family} take; leave it out"
    if problem:
        raise UserError(f"{_where(study, experiment)}: strength {strength:g} {problem}")


def _check_family(study: Study, experiment: Experiment) -> None:
    """Refuse a model on questions it does not take."""
    kind = study.datasets[experiment.dataset].benchmark
    family = study.models[experiment.model].family
    benchmark, keys = BENCHMARKS[kind], study.datasets[experiment.dataset].model_dump()
    if FAMILIES[family].takes != benchmark.gives_of(keys):
        raise UserError(
            f"{_where(study, experiment)}: model {experiment.model!r} (family {family}) cannot "
            f"answer dataset {experiment.dataset!r} (benchmark {kind})"
        )
    if not FAMILIES[family].takes_questions and benchmark.asks and benchmark.asks(keys):
        raise UserError(
            f"{_where(study, experiment)}: dataset {experiment.dataset!r} (benchmark {kind}) asks "
            f"questions, and model {experiment.model!r} (family {family}) writes down what it "
            "hears; use a dataset without questions, or a model that is asked"
        )
    if benchmark.gives_dialogues and benchmark.gives_dialogues(keys):
        takes = FAMILIES[family].takes_dialogues
        if takes is None or not takes(study.models[experiment.model]):
            raise UserError(
                f"{_where(study, experiment)}: dataset {experiment.dataset!r} has a system's turn "
                f"or examples as turns, which model {experiment.model!r} does not take; give the "
                "model a chat template (chat_template: true), or put them into the question"
            )


def _check_dataset(study: Study, experiment: Experiment) -> None:
    """Refuse a mode in which a dataset's items are not answered, and a scorer of other answers."""
    settings = study.datasets[experiment.dataset]
    answers = BENCHMARKS[settings.benchmark].answers_of(settings.model_dump())
    _check_mode(study, experiment, answers)
    fitting = [name for name in SCORERS if SCORERS[name].fits(answers, experiment.mode)]
    if experiment.settings.scorer is None or experiment.scorer not in fitting:
        named = experiment.settings.scorer is not None
        judges = f"scorer {experiment.scorer!r} does not judge" if named else "no scorer judges"
        what = f"what mode {experiment.mode} makes of {experiment.dataset!r}"
        raise UserError(
            f"{_where(study, experiment)}: {judges} {what}; use "
            f"{' or '.join(fitting) or 'another mode'}"
        )


def _check_mode(study: Study, experiment: Experiment, answers: Answers) -> None:
    """Refuse a mode in which a dataset's items, or a family's models, do not answer."""
    mode, possible = experiment.mode, MODES[answers]
    if mode is None:
        return
    if mode not in possible:
        known = f"use {' or '.join(possible)}" if possible else "leave it out"
        raise UserError(
            f"{_where(study, experiment)}: mode: {mode} does not go with the items of "
            f"{experiment.dataset!r}; {known}"
        )
    if experiment.is_imported:
        if mode == "drift":
            raise UserError(
                f"{_where(study, experiment)}: mode: drift is of two models that are run here; "
                "leave predictions out, or use another mode"
            )
        return
    family = study.models[experiment.model].family
    if mode not in FAMILIES[family].modes:
        raise UserError(
            f"{_where(study, experiment)}: mode: models of family {family} do not answer in the "
            f"mode {mode}; use {' or '.join(FAMILIES[family].modes)}"
        )


# ------------------------------------------------------------------------------- categories


def _categories(study: Study) -> Categories:
    """Return the categories of every experiment."""
    found: dict[tuple[str, str], list[str] | None] = {}
    for experiment in study.experiments.values():
        way = _way(experiment)
        if way not in found:
            found[way] = _own_categories(study, experiment)
    return {e.id: found[_way(e)] for e in study.experiments.values()}


def _way(experiment: Experiment) -> tuple[str, str]:
    """Return what decides the categories of an experiment: its dataset, and how it is scored."""
    own = {key: value for key, value in experiment.scoring.items() if key not in BESIDE}
    keys = json.dumps(own, sort_keys=True)
    return experiment.dataset, f"{experiment.mode} {experiment.scorer} {keys}"


def _own_categories(study: Study, experiment: Experiment) -> list[str] | None:
    dataset, scorer = study.datasets[experiment.dataset], SCORERS[experiment.scorer]
    categories = BENCHMARKS[dataset.benchmark].categories(dataset.model_dump())
    if categories is None:
        return None
    parts = [scorer.categories(category, experiment.scoring) for category in categories]
    known = [part for part in parts if part is not None]
    return [c for part in known for c in part] if len(known) == len(parts) else None


def _check_comparable(study: Study, categories: Categories) -> None:
    """Refuse one category scored in two ways: tables would compare what is not comparable."""
    first: dict[str, Experiment] = {}
    seen: set[tuple[str, str]] = set()
    for experiment in study.experiments.values():
        if _way(experiment) in seen:
            continue
        seen.add(_way(experiment))
        for category in categories[experiment.id] or ():
            other = first.setdefault(category, experiment)
            if not _is_comparable(study, other, experiment):
                raise UserError(
                    f"{study.file}: experiments {other.id} and {experiment.id}: category "
                    f"{shown(category)} comes from dataset and scorer {_judged(other)} and from "
                    f"{_judged(experiment)}; give the dataset of one a category of its own"
                )


def _judged(experiment: Experiment) -> str:
    """Return dataset and scorer of an experiment, as a message names them."""
    keys = json.dumps(experiment.scoring) if experiment.scoring else ""
    return f"{experiment.dataset} {experiment.scorer} {keys}".strip()


def _is_comparable(study: Study, one: Experiment, other: Experiment) -> bool:
    first, second = (study.datasets[e.dataset] for e in (one, other))
    alike = one.dataset == other.dataset or (
        first.benchmark == second.benchmark
        and BENCHMARKS[first.benchmark].are_conditions(first.model_dump(), second.model_dump())
    )
    return alike and _way(one)[1] == _way(other)[1]


def _check_baseline(study: Study, categories: Categories) -> None:
    """Refuse a baseline of two meanings, of another model, or that leaves something out."""
    _check_keys(study, {c for names in categories.values() for c in names or ()})
    for reference in study.references:
        if reference.published:
            _check_shares(study, reference, reference.published, categories)
        key = f".{reference.model}" if by_model(study.baseline) else ""
        where = f"{study.file}: baseline{key}"
        published = reference.published
        for identifier in reference.experiments:
            _check_baseline_id(study, identifier, reference.model, where)
        if published and published.reproduction:
            named = f"{where}.reproduction"
            _check_baseline_id(study, published.reproduction, reference.model, named)
        known = published.accuracies if published else _levels(reference, categories, where)
        if any(categories[identifier] is None for identifier in reference.experiments):
            continue
        for identifier in reference.of:
            lacking = [c for c in categories[identifier] or () if c not in known]
            shown = study.experiments[identifier].settings.table
            if lacking and (shown or (published and identifier == published.reproduction)):
                raise UserError(
                    f"{where}: has nothing for {listing(lacking)} of the experiment {identifier}; "
                    "give accuracies, or name an experiment with these categories"
                )


def _check_shares(
    study: Study, reference: Reference, published: Published, categories: Categories
) -> None:
    """Refuse shares of more than everything, or less than nothing."""
    key = f".{reference.model}" if reference.model else ""
    written = (by_model(study.baseline) or {}).get(reference.model or "", study.baseline)
    where = f"{study.file}: baseline{key}" + (".accuracies" * isinstance(written, Published))
    for identifier in reference.of:
        scorer = SCORERS[study.experiments[identifier].scorer]
        for category in categories[identifier] or () if scorer.shares else ():
            value = published.accuracies.get(category)
            if isinstance(value, float) and not 0 <= value <= 100:
                bound = "at most 100" if value > 100 else "at least 0"
                raise UserError(
                    f"{where}.{category}: {value:g} is not valid here; it has to be {bound}"
                )


def _check_keys(study: Study, categories: Container[str]) -> None:
    """Refuse a word that means an experiment, too, and keys that may be a model or a category."""
    baseline, where = study.baseline, f"{study.file}: baseline"
    if baseline == OWN and OWN in study.experiments:
        raise UserError(
            f"{where}: {OWN} is the ID of an experiment, and the word for each experiment without "
            f"its adapter; write [{OWN}] for the experiment, or rename it"
        )
    models = by_model(baseline) or {}
    for key in baseline if isinstance(baseline, Mapping) else ():
        if key in study.model_names and key in categories:
            raise UserError(
                f"{where}.{key}: is the name of a model and of a category; rename the model, "
                "which changes no answer"
            )
        if key in models and key not in study.model_names:
            hint = _meant(key, study.model_names, f"known: {', '.join(study.model_names)}")
            raise UserError(f"{where}: no model is called {key!r}; {hint}")
        if key not in models and key in study.model_names:
            raise UserError(
                f"{where}.{key}: is a model, and no category that has an accuracy; give it "
                "an ID of an experiment, in brackets if that is a number"
            )


def _levels(reference: Reference, categories: Categories, where: str) -> dict[str, str]:
    """Return category -> the baseline experiment that has it; UserError where two have."""
    levels: dict[str, str] = {}
    for identifier in reference.experiments:
        for category in categories[identifier] or ():
            if category in levels:
                raise UserError(
                    f"{where}: {levels[category]} and {identifier} both have the category "
                    f"{category}; name one of them"
                )
            levels[category] = identifier
    return levels


def _check_baseline_id(study: Study, identifier: str, model: str | None, where: str) -> None:
    """Refuse what is no experiment and, where the baseline is a model's, one of another model."""
    _check_id(study, identifier, where)
    own = study.experiments[identifier].model
    if model not in (None, own):
        raise UserError(
            f"{where}: {identifier} is an experiment of the model {own}; name one of {model}"
        )


def _check_gates(study: Study, categories: Categories) -> None:
    for i, gate in enumerate(study.retain):
        _check_id(study, gate.of, f"{study.file}: retain[{i}].of")
        known = categories[gate.of]
        if known is not None and gate.metric not in known:
            raise UserError(
                f"{study.file}: retain[{i}].metric: {gate.of} has no category "
                f"{shown(gate.metric)}; it has {listing(known)}"
            )


def _check_id(study: Study, identifier: str, where: str) -> None:
    if identifier not in study.experiments:
        hint = _meant(identifier, study.experiments, "name an experiment of this study")
        raise UserError(f"{where}: no experiment has the ID {shown(identifier)}; {hint}")
    if study.experiments[identifier].run:
        raise UserError(f"{where}: {shown(identifier)} is a repeated run; name the base ID")


def _meant(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else otherwise


# ---------------------------------------------------------------------------------- training


def _check_training(study: Study, name: str) -> None:
    """Refuse training on data that a family does not take, and steps that do not divide."""
    adapter = study.adapters[name]
    if adapter.train is None or adapter.data is None:
        return
    where = f"{study.file}: adapters.{name}.train"
    family = study.models[adapter.model].family
    takes = FAMILIES[family].takes
    keys = adapter.data.model_dump()
    if require_format(adapter.data.format, where).gives_of(keys) != takes:
        formats = data_formats().items()
        fitting = [name for name, found in formats if callable(found.gives) or found.gives == takes]
        raise UserError(
            f"{where}.data.format: {adapter.data.format!r} does not train a model of family "
            f"{family}; use {' or '.join(fitting)}"
        )
    training = FAMILIES[family].training
    if training and training.check:
        problem = training.check(study.models[adapter.model], adapter.train)
        if problem:
            raise UserError(f"{where}.{problem}")
    parts = adapter.train.gradient_accumulation * max(adapter.train.gpus, 1)
    if adapter.train.batch_size % parts:
        raise UserError(
            f"{where}.batch_size: {adapter.train.batch_size} does not divide among {parts} parts "
            "(gradient_accumulation x gpus)"
        )
