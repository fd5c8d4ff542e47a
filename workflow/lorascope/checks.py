"""Whether the parts of a study go with each other: names, kinds of model and data, training."""

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from lorascope.benchmarks import benchmark
from lorascope.errors import UserError, listing
from lorascope.scoring import METRICS
from lorascope.scoring.item_score import scored_category

if TYPE_CHECKING:
    from lorascope.study import Experiment

TEXT_SCORERS = {"squad": ("official", "mindformers")}
"""Benchmarks of text -> the scorers that judge them."""
TRAINING_DATA = {"hf_text": ("jsonl", "squad"), "salmonn": ("sakura",)}
"""Families that can be trained -> the formats of their training data."""


def check_study(
    config: Mapping[str, Any], experiments: "Mapping[str, Experiment]", file: str
) -> None:
    """Raise UserError, naming ``file``, unless the parts of a study go with each other."""
    _refuse_salmonn_keys(config, file)
    for experiment in experiments.values():
        for kind in ("model", "dataset", "adapter"):
            name = experiment.settings[kind]
            if name is not None and name not in config[f"{kind}s"]:
                _raise_unknown(kind, name, config, f"{file}: experiment {experiment.id}")
        _check_adapter(config, experiment, file)
        _check_dataset(config, experiment, file)
    _check_metrics(config, experiments, file)
    for name, adapter in config["adapters"].items():
        if adapter["model"] not in config["models"]:
            _raise_unknown("model", adapter["model"], config, f"{file}: adapters.{name}")
        _check_training(config, name, file)
    _check_baseline(config, experiments, file)
    for i, gate in enumerate(config["retain"]):
        _check_id(gate["of"], experiments, f"{file}: retain[{i}].of")
        known = _categories(config, experiments[gate["of"]])
        if gate["metric"] not in known:
            raise UserError(
                f"{file}: retain[{i}].metric: {gate['of']} has no category {gate['metric']!r}; "
                f"it has {listing(known)}"
            )
    for name, dataset in config["datasets"].items():
        audio = dataset.get("audio")
        if audio and (audio["type"] == "source") != (audio["position"] == "original"):
            raise UserError(
                f"{file}: datasets.{name}.audio.position: {audio['position']!r} does not go with "
                f"type {audio['type']!r}; source means original, padded means early, middle or late"
            )


def _raise_unknown(kind: str, name: str, config: Mapping[str, Any], where: str) -> NoReturn:
    known = ", ".join(config[f"{kind}s"]) or "none"
    raise UserError(f"{where}: {kind} {name!r} is not defined; known: {known}")


def _check_id(identifier: str, experiments: "Mapping[str, Experiment]", where: str) -> None:
    if identifier not in experiments:
        close = difflib.get_close_matches(identifier, experiments, n=1)
        hint = f"did you mean {close[0]}?" if close else "name an experiment of this study"
        raise UserError(f"{where}: no experiment has the ID {identifier!r}; {hint}")
    if experiments[identifier].run:
        raise UserError(f"{where}: {identifier!r} is a repeated run; name the base ID")


def _categories(config: Mapping[str, Any], experiment: "Experiment") -> list[str]:
    """Return the categories that an experiment has in the tables."""
    dataset, scorer = config["datasets"][experiment.dataset], experiment.settings["scorer"]
    return [
        scored_category(category, metric)
        for category in benchmark(dataset["benchmark"]).categories(dataset)
        for metric in METRICS[scorer]
    ]


def _check_baseline(
    config: Mapping[str, Any], experiments: "Mapping[str, Experiment]", file: str
) -> None:
    """Refuse a baseline that leaves a category out, or has two figures for one."""
    baseline = config["baseline"]
    named = [baseline] if isinstance(baseline, str) else baseline
    levels: dict[str, str] = {}
    for identifier in named if isinstance(named, list) else ():
        _check_id(identifier, experiments, f"{file}: baseline")
        for category in _categories(config, experiments[identifier]):
            if category in levels:
                raise UserError(
                    f"{file}: baseline: {levels[category]} and {identifier} both have the category "
                    f"{category}; name one of them"
                )
            levels[category] = identifier
    known = levels if isinstance(named, list) else baseline
    for experiment in experiments.values():
        lacking = [c for c in _categories(config, experiment) if c not in known]
        if lacking and experiment.settings["table"]:
            raise UserError(
                f"{file}: baseline: has nothing for {listing(lacking)} of the experiment "
                f"{experiment.id}; give accuracies, or name an experiment with these categories"
            )


def _check_adapter(config: Mapping[str, Any], experiment: "Experiment", file: str) -> None:
    where = f"{file}: experiment {experiment.id}"
    model = config["models"][experiment.model]
    if experiment.adapter is None:
        if model["family"] != "salmonn" and experiment.settings["lora_scaling"]:
            raise UserError(
                f"{where}: lora_scaling {experiment.settings['lora_scaling']} touches no layer; "
                "name an adapter"
            )
    elif model["family"] == "salmonn" and "hub" in config["adapters"][experiment.adapter].get(
        "source", ()
    ):
        raise UserError(
            f"{file}: adapters.{experiment.adapter}.source: whether a SALMONN's adapter brings its "
            "bridge along has to be seen before the clips are encoded; download it, give its folder"
        )
    elif (other := config["adapters"][experiment.adapter]["model"]) != experiment.model:
        raise UserError(
            f"{where}: adapter {experiment.adapter!r} is for the model {other!r}, "
            f"not {experiment.model!r}"
        )


def _check_dataset(config: Mapping[str, Any], experiment: "Experiment", file: str) -> None:
    """Refuse a text model on clips, an audio model on text, and another scorer than fits."""
    where = f"{file}: experiment {experiment.id}"
    kind = config["datasets"][experiment.dataset]["benchmark"]
    family = config["models"][experiment.model]["family"]
    if (family == "hf_text") != (kind in TEXT_SCORERS):
        raise UserError(
            f"{where}: model {experiment.model!r} (family {family}) cannot answer dataset "
            f"{experiment.dataset!r} (benchmark {kind})"
        )
    allowed = TEXT_SCORERS.get(kind, ("choice",))
    if (scorer := experiment.settings["scorer"]) not in allowed:
        raise UserError(
            f"{where}: scorer {scorer!r} does not judge {kind}; use {' or '.join(allowed)}"
        )


def _refuse_salmonn_keys(config: Mapping[str, Any], file: str) -> None:
    """Refuse keys that only a SALMONN heeds for other models, instead of ignoring them."""
    for index, template in enumerate(config["experiments"]):
        grid = template.get("grid", {})
        models = grid.get("model", [template.get("model")])
        others = [m for m in models if config["models"].get(m, {}).get("family") != "salmonn"]
        for key in ("second_per_window", "second_stride"):
            if others and (key in template or key in grid):
                raise UserError(
                    f"{file}: experiments[{index}].{key}: has no meaning for the model "
                    f"{others[0]!r}, which is no SALMONN; leave it out"
                )


def _check_metrics(
    config: Mapping[str, Any], experiments: "Mapping[str, Experiment]", file: str
) -> None:
    """Refuse one category scored in two ways: tables would compare what is not comparable."""
    seen: dict[str, Experiment] = {}
    for experiment in experiments.values():
        category = config["datasets"][experiment.dataset].get("category")
        if category is None:
            continue
        first = seen.setdefault(category, experiment)
        ways = [(e.dataset, e.settings["scorer"]) for e in (first, experiment)]
        if ways[0] != ways[1]:
            raise UserError(
                f"{file}: experiments {first.id} and {experiment.id}: category {category!r} comes "
                f"from dataset and scorer {' '.join(ways[0])} and from {' '.join(ways[1])}; give "
                "the dataset of one a category of its own"
            )


def _check_training(config: Mapping[str, Any], name: str, file: str) -> None:
    """Refuse training whose data or settings the family of its model cannot use."""
    adapter = config["adapters"][name]
    family = config["models"][adapter["model"]]["family"]
    train = adapter.get("train")
    if train is None:
        return
    where = f"{file}: adapters.{name}.train"
    formats = TRAINING_DATA.get(family, ())
    if not formats:
        raise UserError(f"{where}: a model of family {family} cannot be trained; give a source")
    if train["data"]["format"] not in formats:
        raise UserError(
            f"{where}.data.format: {train['data']['format']!r} does not train a model of family "
            f"{family}; use {' or '.join(formats)}"
        )
    if train["bridge"] and family != "salmonn":
        raise UserError(f"{where}.bridge: a model of family {family} has no bridge; leave it out")
    parts = train["gradient_accumulation"] * max(train["gpus"], 1)
    if train["batch_size"] % parts:
        raise UserError(
            f"{where}.batch_size: {train['batch_size']} does not divide among {parts} parts "
            "(gradient_accumulation x gpus)"
        )
