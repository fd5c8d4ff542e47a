"""The study file: validate it against the closed schema and expand grids into experiments."""

import copy
import difflib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from lorascope.benchmarks import benchmark
from lorascope.checks import check_study
from lorascope.errors import UserError

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "schemas" / "study.schema.yaml"
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RULES = (
    "download",
    "dataset",
    "finetune",
    "encode",
    "infer",
    "merge",
    "score",
    "report",
    "gate",
)
"""The workflow's rules, in the order of the data's way; no experiment can have such a name."""
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Experiment:
    """One run of one model, adapter scaling, dataset and set of generation settings.

    ``base`` is the ID without the suffix of a repeated run, ``run`` counts repeats from 0.
    """

    id: str
    base: str
    run: int
    settings: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.settings["model"]

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.settings["dataset"]

    @property
    def adapter(self) -> str | None:
        """Name of the adapter, None for the model as it is."""
        return self.settings["adapter"]


@dataclass(frozen=True)
class Study:
    """A validated study with every default filled in and every grid expanded."""

    name: str
    file: str
    description: str
    models: Mapping[str, Mapping[str, Any]]
    adapters: Mapping[str, Mapping[str, Any]]
    datasets: Mapping[str, Mapping[str, Any]]
    experiments: Mapping[str, Experiment]
    baseline: str | Sequence[str] | Mapping[str, float]
    retain: Sequence[Mapping[str, Any]]
    shards: int
    limit: int | None
    report: Mapping[str, Any]
    resolved: Mapping[str, Any] = field(repr=False)


def parse_study(config: Mapping[str, Any], file: str) -> Study:
    """Return the study in ``config``, read from ``file`` (named in every message).

    Raises UserError for unknown keys, wrong types, unknown names and IDs that clash.
    """
    config = copy.deepcopy(dict(config))
    _check_finite(config, file, "")
    _validate(config, _frame(), file, "")
    _validate_parts(config, file)
    expanded = [
        _with_scorer(experiment, config["datasets"])
        for index, template in enumerate(config["experiments"])
        for experiment in _expand(template, f"experiments[{index}]", file)
    ]
    experiments = _by_id(expanded, file)
    check_study(config, experiments, file)
    resolved = {**config, "experiments": [{"id": e.id, **e.settings} for e in expanded]}
    return Study(
        name=config["study"],
        file=file,
        description=config["description"],
        models=config["models"],
        adapters=config["adapters"],
        datasets=config["datasets"],
        experiments=experiments,
        baseline=config["baseline"],
        retain=config["retain"],
        shards=config["shards"],
        limit=config["limit"],
        report=config["report"],
        resolved=resolved,
    )


def refuse_repeated_keys(file: Path) -> None:
    """Raise UserError where a mapping of a study file has a key twice: YAML would keep the last."""
    import yaml

    waiting = [yaml.compose(file.read_text(encoding="utf-8"), yaml.CSafeLoader)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise UserError(f"{file}: line {line}: {key.value} comes twice; remove one")
                seen |= {key.value} if isinstance(key, yaml.ScalarNode) else set()
                waiting.append(value)


@cache
def schema() -> dict[str, Any]:
    """Return the schema of the study file."""
    import yaml

    return yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))


@cache
def _frame() -> dict[str, Any]:
    """Return the schema with the parts left open whose kind or grid has to be known first."""
    frame = copy.deepcopy(schema())
    frame["properties"]["experiments"]["items"] = {"type": "object"}
    for section in ("models", "datasets"):
        frame["properties"][section]["additionalProperties"] = {"type": "object"}
    return frame


# ------------------------------------------------------------------------------ validation


def _validate_parts(config: dict[str, Any], file: str) -> None:
    """Check models, datasets and training by the part of the schema for their kind."""
    for name, model in config["models"].items():
        _validate_kind(model, "family", "model", file, f"models.{name}")
    for name, dataset in config["datasets"].items():
        _validate_kind(dataset, "benchmark", "dataset", file, f"datasets.{name}")
    for name, adapter in config["adapters"].items():
        where = f"adapters.{name}"
        if ("source" in adapter) == ("train" in adapter):
            raise UserError(f"{file}: {where}: give either source or train")
        if "train" in adapter:
            _validate(adapter["train"], schema()["$defs"]["train"], file, f"{where}.train")
            _validate_kind(adapter["train"]["data"], "format", "data", file, f"{where}.train.data")
    if isinstance(config["retain"], dict):
        config["retain"] = [config["retain"]]


def _validate_kind(part: dict[str, Any], key: str, name: str, file: str, where: str) -> None:
    """Check a part by the schema's ``<name>_<kind>``, where ``key`` says the kind."""
    kinds = [d.removeprefix(f"{name}_") for d in schema()["$defs"] if d.startswith(f"{name}_")]
    if key not in part:
        raise UserError(f"{file}: {where}: key {key!r} is missing")
    if part[key] not in kinds:
        choices = ", ".join(kinds)
        raise UserError(f"{file}: {where}.{key}: {part[key]!r} is not one of {choices}")
    _validate(part, schema()["$defs"][f"{name}_{part[key]}"], file, where)


def _check_finite(value: Any, file: str, key: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{file}: {key}: {value} is not a finite number")
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for name, item in items:
        step = f"[{name}]" if isinstance(value, list) else f".{name}" if key else str(name)
        _check_finite(item, file, key + step)


def _validate(value: Any, part: Mapping[str, Any], file: str, where: str) -> None:
    """Fill defaults into ``value`` in place and check it against a part of the schema."""
    whole = {**part, "$defs": schema()["$defs"]}
    errors = sorted(_validator()(whole).iter_errors(value), key=lambda e: list(map(str, e.path)))
    if errors:
        error = errors[0]
        key = where + "".join(
            f"[{p}]" if isinstance(p, int) else f".{p}" if where or i else str(p)
            for i, p in enumerate(error.absolute_path)
        )
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise UserError(f"{file}: {_explain(error, key)}{more}")


@cache
def _validator() -> Any:
    """Return a JSON Schema validator that also fills defaults and reads 1e-4 as a number."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    inner = Draft202012Validator.VALIDATORS["properties"]
    inner_additional = Draft202012Validator.VALIDATORS["additionalProperties"]

    def properties(validator: Any, parts: Any, instance: Any, part: Any) -> Iterator:
        if isinstance(instance, dict):
            for key, subschema in parts.items():
                if "default" in subschema:
                    instance.setdefault(key, copy.deepcopy(subschema["default"]))
                if key in instance:
                    instance[key] = _number(instance[key], subschema)
        yield from inner(validator, parts, instance, part)

    def additional(validator: Any, subschema: Any, instance: Any, part: Any) -> Iterator:
        if isinstance(instance, dict) and isinstance(subschema, dict):
            for key in set(instance) - set(part.get("properties", {})):
                instance[key] = _number(instance[key], subschema)
        yield from inner_additional(validator, subschema, instance, part)

    return extend(
        Draft202012Validator, {"properties": properties, "additionalProperties": additional}
    )


def _number(value: Any, part: Mapping[str, Any]) -> Any:
    """Return the number meant: 1e-4, which YAML 1.1 reads as a string, and 60 for 60.0."""
    kinds = part.get("type", ())
    if not {"number", "integer"} & ({kinds} if isinstance(kinds, str) else set(kinds)):
        return value
    number = float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value
    if not isinstance(number, float) or not math.isfinite(number):
        return value
    return int(number) if number.is_integer() else number


def _explain(error: Any, key: str) -> str:
    place = key or "the study"
    if error.validator == "additionalProperties":
        allowed = error.schema.get("properties", {})
        unknown = next(k for k in error.instance if k not in allowed)
        close = difflib.get_close_matches(str(unknown), allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(allowed)}"
        return f"{place}: unknown key {unknown!r}; {hint}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{place}: key {missing[0]!r} is missing"
    if error.validator == "enum":
        choices = ", ".join(map(str, error.validator_value))
        return f"{place}: {error.instance!r} is not one of {choices}"
    if error.validator in ("minItems", "minProperties"):
        return f"{place}: must not be empty"
    if error.validator == "pattern":
        return f"{place}: {error.instance!r} has a form that is not allowed ({_meaning(error)})"
    return f"{place}: {error.instance!r} is not valid here; expected {_expected(error)}"


def _meaning(error: Any) -> str:
    return error.schema.get("description", error.validator_value).rstrip(".")


def _expected(error: Any) -> str:
    if error.validator == "type":
        kinds = error.validator_value
        return kinds if isinstance(kinds, str) else " or ".join(kinds)
    return error.schema.get("description", error.message).rstrip(".")


# ------------------------------------------------------------------------------- expansion


def _expand(template: Mapping[str, Any], where: str, file: str) -> Iterator[Experiment]:
    grid = template.get("grid", {})
    if "grid" in template:
        part = schema()["$defs"]["experiment"]["properties"]["grid"]
        _validate(grid, part, file, f"{where}.grid")
    for values in itertools.product(*grid.values()):
        entry = {k: copy.deepcopy(v) for k, v in template.items() if k != "grid"}
        for key, value in zip(grid, values, strict=True):
            _assign(entry, key, value, f"{where}.grid", file)
        _validate(entry, schema()["$defs"]["experiment"], file, where)
        base = _format_id(entry, grid, where, file)
        settings = {k: v for k, v in entry.items() if k not in ("id", "runs")}
        for run in range(entry["runs"]):
            identity = f"{base}-{run}" if run else base
            seeded = {**settings, "seed": settings["seed"] + run}
            yield Experiment(id=identity, base=base, run=run, settings=seeded)


def _with_scorer(experiment: Experiment, datasets: Mapping[str, Any]) -> Experiment:
    """Return the experiment with its benchmark's own scorer, where it names none."""
    settings = experiment.settings
    if settings["scorer"] or experiment.dataset not in datasets:
        return experiment
    scorer = benchmark(datasets[experiment.dataset]["benchmark"]).DEFAULT_SCORER
    return replace(experiment, settings={**settings, "scorer": scorer})


def _assign(entry: dict[str, Any], key: str, value: Any, where: str, file: str) -> None:
    *parents, last = key.split(".")
    target = entry
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise UserError(f"{file}: {where}.{key}: {parent} is not a group of keys")
    if last in target or (not parents and last in ("id", "runs", "grid")):
        raise UserError(f"{file}: {where}.{key}: given by the experiment itself, too; remove one")
    target[last] = value


def _format_id(entry: Mapping[str, Any], grid: Mapping[str, Any], where: str, file: str) -> str:
    values = {k: v for k, v in entry.items() if not isinstance(v, dict | list)}
    values |= {k: v for k, v in entry["generation"].items() if k not in values}
    try:
        identity = entry["id"].format(**{k: _word(v) for k, v in values.items()})
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise UserError(
            f"{file}: {where}.id: {entry['id']!r} does not expand ({error}); "
            f"names it can use: {', '.join(values)}"
        ) from None
    if not ID_PATTERN.fullmatch(identity):
        raise UserError(
            f"{file}: {where}.id: {identity!r} cannot be an experiment ID; "
            "use letters, digits, '.', '_' and '-', and begin with a letter or digit"
        )
    if identity in ("all", *RULES):
        raise UserError(f"{file}: {where}.id: {identity!r} is the name of a rule; choose another")
    return identity


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _by_id(expanded: list[Experiment], file: str) -> dict[str, Experiment]:
    experiments: dict[str, Experiment] = {}
    for experiment in expanded:
        if experiment.id in experiments:
            raise UserError(
                f"{file}: experiments: the ID {experiment.id!r} stands for two experiments; "
                "name every key of the grid in the ID"
            )
        experiments[experiment.id] = experiment
    return experiments
