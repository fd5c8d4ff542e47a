"""Reading a study file: its parts by what their plug-ins declare, its grids expanded."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorascope.errors import UserError, listing, shown
from lorascope.study.adapters import AdapterKeys, TrainSettings
from lorascope.study.checks import check_study
from lorascope.study.declarations import MODES
from lorascope.study.derived import (
    derived_adapters,
    is_derived,
    refuse_derivation_keys,
    with_draws,
)
from lorascope.study.drifting import DriftKeys, drifted
from lorascope.study.experiments import (
    Experiment,
    ExperimentSettings,
    check_number,
    expand,
    refuse_repetition,
    runs_of,
)
from lorascope.study.imported import CommonSettings, ImportedSettings
from lorascope.study.loading import UnreadableError, check_values, load
from lorascope.study.mixes import reweighted, weighted, with_weights
from lorascope.study.registry import (
    BENCHMARKS,
    FAMILIES,
    PREDICTIONS,
    SCORERS,
    deciding_scorer,
    default_scorer,
    require_format,
)
from lorascope.study.scalings import profiles_of, ready_of, with_ready
from lorascope.study.settings import DatasetSettings, DataSettings, ModelSettings, ScorerSettings
from lorascope.study.study import Adapter, Study, StudyFile
from lorascope.study.validation import unknown_key, validated

HARMLESS = "settings that decide a result are in its fingerprint by their values"

RULES = "rules"
"""A scorer's own key that names another scorer, which is asked first."""


def parse_study(config: Mapping[str, Any], file: str) -> Study:
    """Return the study in ``config``, read from ``file`` (named in every message).

    Raises UserError for unknown keys, wrong types, unknown names and IDs that clash.
    """
    try:
        check_values(config)
    except UnreadableError as error:
        raise UserError(f"{file}: {error}") from None
    whole = validated(StudyFile, dict(config), file, "")
    if not whole.models and not all("predictions" in one for one in whole.experiments):
        raise UserError(f"{file}: the study: key 'models' is missing")
    models = {name: _model(part, name, file) for name, part in whole.models.items()}
    ready = {
        name: _adapter(keys, name, models, file)
        for name, keys in whole.adapters.items()
        if not is_derived(keys)
    }
    adapters = ready | derived_adapters(whole.adapters, ready, models, file)
    datasets = {name: _dataset(part, name, file) for name, part in whole.datasets.items()}
    experiments = _experiments(whole, models, adapters, datasets, file)
    study = Study(
        name=whole.study,
        file=file,
        description=whole.description,
        models=models,
        adapters=adapters | reweighted(experiments.values(), adapters),
        judges=whole.judges,
        datasets=datasets,
        experiments=experiments,
        baseline=whole.baseline,
        retain=whole.retain,
        choose=whole.choose,
        search=whole.search,
        shards=whole.shards,
        limit=whole.limit,
        report=whole.report,
        audit=whole.audit,
        tracking=whole.tracking,
        profiles=profiles_of(whole.profiles, file),
    )
    check_study(study)
    return study


def read_study(file: Path) -> dict[str, Any]:
    """Return the content of a study file; UserError if it is not a mapping of keys."""
    try:
        study = load(file)
    except UnreadableError as error:
        raise UserError(f"{file}: {error}") from None
    if not isinstance(study, dict):
        raise UserError(f"{file}: holds no study; see config.yaml for one")
    return study


# ----------------------------------------------------------------------------------- parts


def _model(part: Mapping[str, Any], name: str, file: str) -> ModelSettings:
    where = f"models.{name}"
    kind = _kind(part, "family", file, where)
    family = FAMILIES.require(kind, f"{file}: {where}.family")
    return validated(family.settings, part, file, where)


def _dataset(part: Mapping[str, Any], name: str, file: str) -> DatasetSettings:
    where = f"datasets.{name}"
    kind = _kind(part, "benchmark", file, where)
    benchmark = BENCHMARKS.require(kind, f"{file}: {where}.benchmark")
    return validated(benchmark.settings, part, file, where)


def _kind(part: Mapping[str, Any], key: str, file: str, where: str) -> Any:
    """Return the value of the key that says what the other keys of a part are."""
    if key not in part:
        raise UserError(f"{file}: {where}: key {key!r} is missing")
    return part[key]


def _adapter(
    keys: AdapterKeys, name: str, models: Mapping[str, ModelSettings], file: str
) -> Adapter:
    where = f"adapters.{name}"
    refuse_derivation_keys(keys, f"{file}: {where}")
    if (keys.source is None) == (keys.train is None):
        raise UserError(f"{file}: {where}: give either source or train, or null_of or sum_of")
    if keys.model is None:
        raise UserError(f"{file}: {where}: key 'model' is missing")
    if keys.model not in models:
        known = listing(models, 20)
        raise UserError(
            f"{file}: {where}: model {shown(keys.model)} is not defined; known: {known}"
        )
    if keys.train is None:
        return Adapter(keys.model, keys.source, None, None, keys.base_model)
    if keys.base_model is not None:
        raise UserError(
            f"{file}: {where}.base_model: the adapter is trained on its model; leave base_model out"
        )
    train, data = _training(keys.train, models[keys.model].family, file, f"{where}.train")
    return Adapter(keys.model, None, train, data)


def _training(
    keys: Mapping[str, Any], family: str, file: str, where: str
) -> tuple[TrainSettings, DataSettings]:
    training = FAMILIES[family].training
    if training is None:
        raise UserError(
            f"{file}: {where}: a model of family {family} cannot be trained; give a source"
        )
    own = training.settings or TrainSettings
    for key in keys:
        if key != "data" and key not in own.model_fields:
            raise UserError(f"{file}: {_refused_training(key, family, own, where)}")
    data = _kind(keys, "data", file, where)
    if not isinstance(data, dict):
        raise UserError(f"{file}: {where}.data: {shown(data)} is not valid here; expected keys")
    kind = _kind(data, "format", file, f"{where}.data")
    data_format = require_format(kind, f"{file}: {where}.data.format")
    rest = {key: value for key, value in keys.items() if key != "data"}
    return (
        validated(own, rest, file, where),
        validated(data_format.settings, data, file, f"{where}.data"),
    )


def _refused_training(key: str, family: str, own: type[TrainSettings], where: str) -> str:
    """Say why a key is none of a training's."""
    if key in _keys_of_trainings():
        return f"{where}.{key}: has no meaning for a model of family {family}; leave it out"
    return unknown_key(key, where, ["data", *own.model_fields])


def _keys_of_trainings() -> set[str]:
    """Return the keys that any family's training has."""
    trainings = [FAMILIES[name].training for name in FAMILIES.own]
    return {
        key
        for training in trainings
        if training and training.settings
        for key in training.settings.model_fields
    }


# ----------------------------------------------------------------------------- experiments


def _experiments(
    whole: StudyFile,
    models: Mapping[str, ModelSettings],
    adapters: Mapping[str, Adapter],
    datasets: Mapping[str, DatasetSettings],
    file: str,
) -> dict[str, Experiment]:
    experiments: dict[str, Experiment] = {}
    ready = [*ready_of(whole.profiles, file)]
    for index, template in enumerate(with_ready(one, ready) for one in whole.experiments):
        where, entries = f"experiments[{index}]", []
        for entry in with_draws(expand(template, where, file), whole.adapters):
            settings = _completed(_settings(entry, models, file, where), datasets, file, where)
            settings = with_weights(settings, adapters, f"{file}: {where}")
            found = weighted(settings, adapters, models)
            for experiment in runs_of(settings, where, file):
                if experiment.id in experiments:
                    raise UserError(
                        f"{file}: experiments: the ID {experiment.id!r} stands for two "
                        "experiments; name every key of the grid in the ID, and {adapter} where "
                        "that stands for several draws"
                    )
                experiments[experiment.id] = replace(experiment, weighted=found)
                check_number(len(experiments), f"{file}: experiments")
            if isinstance(settings, ExperimentSettings):
                entries.append(settings)
        if "seed" in template.get("grid", ()):
            _refuse_equal_seeds(entries, f"{file}: {where}.grid.seed")
    if whole.drift:
        experiments |= _drifted(whole.drift, experiments, models, adapters, datasets, file)
    return experiments


def _drifted(
    drift: DriftKeys,
    others: Mapping[str, Experiment],
    models: Mapping[str, ModelSettings],
    adapters: Mapping[str, Adapter],
    datasets: Mapping[str, DatasetSettings],
    file: str,
) -> dict[str, Experiment]:
    """Return the experiments that the study's key drift stands for: of all adapters but nulls."""
    found: dict[str, Experiment] = {}
    asked = [one for one in others.values() if not _is_null(one, adapters)]
    for one in drifted(drift, asked, models, datasets, f"{file}: drift"):
        settings = _completed(one, datasets, file, "drift")
        (experiment,) = runs_of(settings, "drift", file)
        experiment = replace(experiment, weighted=weighted(settings, adapters, models))
        if experiment.id in others:
            raise UserError(
                f"{file}: drift: {experiment.id} is the ID of an experiment, too; rename that one"
            )
        found[experiment.id] = experiment
    check_number(len(others) + len(found), f"{file}: experiments")
    return found


def _is_null(experiment: Experiment, adapters: Mapping[str, Adapter]) -> bool:
    adapter = adapters.get(experiment.adapter or "")
    return adapter is not None and adapter.derived is not None and adapter.derived.is_null


def _refuse_equal_seeds(entries: Iterable[ExperimentSettings], where: str) -> None:
    """Refuse a grid that differs in the seed alone where answers are not sampled."""
    seeds: dict[str, set[int]] = {}
    for settings in entries:
        alike = seeds.setdefault(settings.model_copy(update={"seed": 0}).model_dump_json(), set())
        alike.add(settings.seed)
        if len(alike) > 1:
            what = f"{settings.id} under the seeds {', '.join(map(str, sorted(alike)))}"
            refuse_repetition(settings, where, what)


def _settings(
    entry: Mapping[str, Any], models: Mapping[str, ModelSettings], file: str, where: str
) -> CommonSettings:
    """Return an expanded entry by the keys that its model's family has, or one made elsewhere."""
    if "predictions" in entry:
        return _imported(entry, file, where)
    name = entry.get("model")
    if not isinstance(name, str) or name not in models:
        foreign = _keys_of_experiments() - ExperimentSettings.model_fields.keys()
        general = {key: value for key, value in entry.items() if key not in foreign}
        validated(ExperimentSettings, general, file, where)
        known = listing(models, 20)
        raise UserError(f"{file}: {where}: model {shown(name)} is not defined; known: {known}")
    family = models[name].family
    own = FAMILIES[family].experiment or ExperimentSettings
    for key in entry:
        if key not in own.model_fields:
            raise UserError(f"{file}: {_refused(key, name, family, own, where)}")
    return validated(own, entry, file, where)


def _imported(entry: Mapping[str, Any], file: str, where: str) -> ImportedSettings:
    """Return an entry whose predictions were made elsewhere."""
    for key in entry:
        if key not in ImportedSettings.model_fields and key in _keys_of_experiments():
            raise UserError(
                f"{file}: {where}.{key}: has no meaning for predictions that were made elsewhere; "
                "leave it out"
            )
    settings, place = validated(ImportedSettings, entry, file, where), f"{where}.predictions"
    kind = _kind(settings.predictions, "format", file, place)
    keys = PREDICTIONS.require(kind, f"{file}: {place}.format").settings
    filled = validated(keys, settings.predictions, file, place).model_dump()
    return settings.model_copy(update={"predictions": filled})


def _refused(key: str, model: str, family: str, own: type[ExperimentSettings], where: str) -> str:
    """Say why a key is none of an experiment's."""
    if key in _keys_of_experiments():
        return (
            f"{where}.{key}: has no meaning for the model {model!r} of family {family}; "
            "leave it out"
        )
    return unknown_key(key, where, [*own.model_fields, "predictions", "grid"])


def _keys_of_experiments() -> set[str]:
    """Return the keys that an experiment with a model of any family has."""
    models = [FAMILIES[name].experiment or ExperimentSettings for name in FAMILIES.own]
    return {key for model in models for key in model.model_fields}


def _completed(
    settings: CommonSettings,
    datasets: Mapping[str, DatasetSettings],
    file: str,
    where: str,
) -> CommonSettings:
    """Return the settings with mode and scorer of the dataset's answers, where they name none."""
    dataset = datasets.get(settings.dataset)
    if dataset is None:
        return settings
    answers = BENCHMARKS[dataset.benchmark].answers_of(dataset.model_dump())
    mode = settings.mode or next(iter(MODES[answers]), None)
    scorer = settings.scorer
    if scorer is None:
        scorer = default_scorer(answers, mode)
    filled = scorer and _scorer(scorer, file, f"{where}.scorer")
    if isinstance(filled, dict) and RULES in filled:
        rules = filled[RULES] or deciding_scorer(answers, mode)
        filled[RULES] = rules and _scorer(rules, file, f"{where}.scorer.{RULES}")
    return settings.model_copy(update={"mode": mode, "scorer": filled})


def _named(keys: dict[str, Any]) -> dict[str, Any]:
    """Return a scorer's keys with its name, which a key of that name says, too: {file: mine.py}."""
    if "name" in keys:
        return keys
    known = [key for key in keys if key in SCORERS and key in SCORERS[key].required]
    return {"name": known[0], **keys} if known else keys


def _scorer(given: str | dict[str, Any], file: str, where: str) -> str | dict[str, Any]:
    """Return a scorer's name, or its name and keys if it has some of its own, with defaults."""
    keys = {"name": given} if isinstance(given, str) else _named(given)
    name = _kind(keys, "name", file, where)
    scorer = SCORERS.require(name, f"{file}: {where}")
    own = scorer.settings
    if isinstance(given, str) and scorer.required:
        lacking = ", ".join(f"{key}: ..." for key in scorer.required)
        raise UserError(
            f"{file}: {where}: {name} needs keys of its own; write {{name: {name}, {lacking}}}"
        )
    filled = validated(own or ScorerSettings, keys, file, where)
    return filled.model_dump() if own else filled.name
