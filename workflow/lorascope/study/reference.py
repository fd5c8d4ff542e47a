"""The schema of the study file for editors, and its reference for readers, from the models."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import yaml
from pydantic.json_schema import models_json_schema

from lorascope.study.adapters import AdapterKeys, TrainSettings
from lorascope.study.baseline import Published, PublishedCounts
from lorascope.study.experiments import ExperimentSettings, Template
from lorascope.study.imported import ImportedSettings
from lorascope.study.judge_servers import JudgeServer
from lorascope.study.judges import JudgeSettings, PromptFile
from lorascope.study.registry import BENCHMARKS, FAMILIES, PREDICTIONS, SCORERS, data_formats
from lorascope.study.scalings import READY, ReadyProfiles
from lorascope.study.settings import HubFile, Settings
from lorascope.study.study import Gate, StudyFile
from lorascope.study.validation import plain_number

HARMLESS = "describes, and decides nothing"

Part: TypeAlias = dict[str, Any]

SCHEMA_HEAD = """\
# The study file, for editors that check YAML while it is written. Made by: make docs
"""
HEAD = """\
# The study file

A study is one complete YAML file: models, datasets, experiments, baseline and report. `config.yaml`
is one, and so is every file in `studies/`. Unknown keys are refused; a key that is left out takes
its default. `make study CONFIG=studies/x.yaml` prints a study with all defaults and IDs.

This page and `workflow/schemas/study.schema.yaml`, which editors can check a study with, are made
from the code by `make docs`.
"""
_DATA = {"data": {"type": "object", "description": "What it is trained on, see the next tables."}}


class _Definitions:
    """The JSON schema of every model of the study, by its name in ``$defs``."""

    def __init__(self) -> None:
        models: list[type[Settings]] = [
            StudyFile,
            AdapterKeys,
            ReadyProfiles,
            TrainSettings,
            ExperimentSettings,
            ImportedSettings,
            Template,
            Published,
            PublishedCounts,
            Gate,
            HubFile,
            JudgeSettings,
            JudgeServer,
            PromptFile,
            *(model for name in FAMILIES for model in _of_family(name)),
            *(BENCHMARKS[name].settings for name in BENCHMARKS),
            *(found.settings for found in data_formats().values()),
            *(PREDICTIONS[name].settings for name in PREDICTIONS),
            *_of_scorers().values(),
        ]
        asked = [(model, "validation") for model in dict.fromkeys(models)]
        refs, whole = models_json_schema(asked, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
        self.defs: dict[str, Part] = _without_titles(whole["$defs"])
        self._names = {
            model: refs[model, "validation"]["$ref"].rpartition("/")[2] for model, _ in asked
        }
        for name, own in _of_scorers().items():
            if name in SCORERS[name].required:  # that key says the name, too
                self[own]["required"].remove("name")

    def __getitem__(self, model: type[Settings]) -> Part:
        return self.defs[self._names[model]]

    def ref(self, model: type[Settings]) -> Part:
        """Return a reference to a model's schema."""
        return {"$ref": f"#/$defs/{self._names[model]}"}


def _of_scorers() -> dict[str, type[Settings]]:
    """Return scorer -> the model of its keys, for those that have some."""
    return {name: own for name in SCORERS if (own := SCORERS[name].settings)}


def _of_family(name: str) -> list[type[Settings]]:
    """Return the models of a family's keys."""
    family = FAMILIES[name]
    training = family.training.settings if family.training else None
    return [model for model in (family.settings, family.experiment, training) if model]


def _without_titles(part: Any) -> Any:
    """Return a schema without pydantic's titles, which repeat the keys."""
    if isinstance(part, dict):
        return {
            key: _without_titles(value)
            for key, value in part.items()
            if key != "title" or not isinstance(value, str)
        }
    return [_without_titles(item) for item in part] if isinstance(part, list) else part


# ---------------------------------------------------------------------------------- schema


def study_schema() -> Part:
    """Return the JSON schema of the study file."""
    found = _Definitions()
    kinds = (
        ("family", {name: FAMILIES[name].settings for name in FAMILIES}),
        ("benchmark", {name: BENCHMARKS[name].settings for name in BENCHMARKS}),
        ("format", {name: one.settings for name, one in data_formats().items()}),
        ("name", _of_scorers()),
        ("format", {name: PREDICTIONS[name].settings for name in PREDICTIONS}),
    )
    for key, settings in kinds:
        for name, model in settings.items():
            found[model]["properties"][key] |= {"const": name}
    models, datasets, formats, scorers, predictions = (
        {"oneOf": [found.ref(model) for model in settings.values()]} for _, settings in kinds
    )
    train = _union([TrainSettings, *_own_models("training")], found)
    data = {"description": "What it is trained on.", **formats}
    train["properties"] = {"data": data, **train["properties"]}
    train["required"] = ["data"]
    found[AdapterKeys]["properties"]["train"] = train
    general: list[type[Settings]] = [ImportedSettings, ExperimentSettings, Template]
    experiment = _union([*general, *_own_models("experiment")], found)
    experiment["required"] = ["id"]
    experiment["description"] = found[ExperimentSettings]["description"]
    own = experiment["properties"]["predictions"]["description"]
    experiment["properties"]["predictions"] = {"description": own, **predictions}
    experiment["properties"]["scorer"] = _scorer_schema(
        experiment["properties"]["scorer"], scorers["oneOf"]
    )
    root = found[StudyFile]
    adapters = found.ref(AdapterKeys)
    for key, part in (("models", models), ("adapters", adapters), ("datasets", datasets)):
        names = root["properties"][key]["patternProperties"]
        root["properties"][key] |= {
            "patternProperties": dict.fromkeys(names, part),
            "additionalProperties": False,  # other names are refused
        }
    root["properties"]["profiles"]["properties"] = {READY: found.ref(ReadyProfiles)}
    root["properties"]["experiments"]["items"] = experiment
    gates = root["properties"]["retain"]
    root["properties"]["retain"] = {
        "description": gates.pop("description"),
        "default": gates.pop("default"),
        "anyOf": [found.ref(Gate), gates],
    }
    root["properties"]["baseline"] = _any_of(root["properties"]["baseline"])
    used = {name: part for name, part in found.defs.items() if part is not root}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A lorascope study",
        **root,
        "$defs": used,
    }


def _scorer_schema(general: Part, models: list[Part]) -> Part:
    """Return the schema of a scorer: its name, or the keys of one of the models."""
    names = {"enum": [name for name in SCORERS if not SCORERS[name].required]}
    keyless = {"enum": [name for name in SCORERS if not SCORERS[name].settings]}
    named = {
        "type": "object",
        "properties": {"name": keyless},
        "required": ["name"],
        "additionalProperties": False,
    }
    plain = {key: general[key] for key in ("default", "description")}
    return {"anyOf": [names, *models, named, {"type": "null"}], **plain}


def _any_of(part: Any) -> Any:
    """Return a schema whose forms may overlap: which one is meant is told when it is read."""
    if isinstance(part, dict):
        return {"anyOf" if k == "oneOf" else k: _any_of(inner) for k, inner in part.items()}
    return [_any_of(item) for item in part] if isinstance(part, list) else part


def _own_models(kind: str) -> list[type[Settings]]:
    found: list[type[Settings]] = []
    for name in FAMILIES:
        family = FAMILIES[name]
        training = family.training.settings if family.training else None
        own: type[Settings] | None = training if kind == "training" else family.experiment
        found += [own] if own else []
    return found


def _union(models: list[type[Settings]], found: _Definitions) -> Part:
    """Return a schema of the keys of all models: which go together is told when it is read."""
    keys = {key: part for model in models for key, part in found[model]["properties"].items()}
    return {
        "type": "object",
        "additionalProperties": False,
        "description": found[models[0]]["description"],
        "properties": keys,
    }


def schema_text() -> str:
    """Return the content of ``workflow/schemas/study.schema.yaml``."""
    return SCHEMA_HEAD + as_yaml(study_schema())


def as_yaml(value: Any) -> str:
    """Return a value as YAML in its own order, whole numbers without a fraction."""
    return yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True, width=100)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# ------------------------------------------------------------------------------- reference


def study_reference() -> str:
    """Return the reference as markdown: a table of keys for each part of the study."""
    found = _Definitions()
    parts = [HEAD]
    for title, part in _sections(found):
        parts += [f"## {title}\n", _sentence(part), "", *_table(part, found), ""]
    parts += ["## Scorers\n", *_scorers(), ""]
    for name, model in _of_scorers().items():
        part = _named(found[model], name)
        parts += [f"### scorer {name}\n", _sentence(part), "", *_table(part, found), ""]
    return "\n".join(parts).rstrip() + "\n"


def _sections(found: _Definitions) -> Iterator[tuple[str, Part]]:
    yield "The study", found[StudyFile]
    for name in FAMILIES:
        yield f"models.<name>, family {name}", _named(found[FAMILIES[name].settings], name)
    yield "adapters.<name>", found[AdapterKeys]
    train = found[TrainSettings]
    yield (
        "adapters.<name>.train",
        {**train, "properties": _DATA | train["properties"], "required": ["data"]},
    )
    for name in FAMILIES:
        training = FAMILIES[name].training
        if training and training.settings:
            own = _own_keys(found[training.settings], found[TrainSettings])
            yield f"adapters.<name>.train, for family {name} alone", own
    for name, data_format in data_formats().items():
        part = _named(found[data_format.settings], name)
        yield f"adapters.<name>.train.data, format {name}", part
    yield "profiles.ready", found[ReadyProfiles]
    yield "judges.<name>", found[JudgeSettings]
    for name in BENCHMARKS:
        yield f"datasets.<name>, benchmark {name}", _named(found[BENCHMARKS[name].settings], name)
    experiment, grid = found[ExperimentSettings], found[Template]["properties"]
    yield "experiments", {**experiment, "properties": experiment["properties"] | grid}
    for name in FAMILIES:
        if settings := FAMILIES[name].experiment:
            own = _own_keys(found[settings], experiment)
            yield f"experiments, for family {name} alone", own
    yield "experiments, with predictions made elsewhere", found[ImportedSettings]
    for name in PREDICTIONS:
        part = _named(found[PREDICTIONS[name].settings], name)
        yield f"experiments, predictions of format {name}", part
    yield "baseline, a published one", found[Published]
    yield "baseline.<category>, a published one with counts", found[PublishedCounts]
    yield "retain", found[Gate]
    yield "A source on the hub", found[HubFile]


def _named(part: Part, name: str) -> Part:
    """Return a part with the one value that the key which decides the other keys has."""
    kinds = ("family", "benchmark", "format", "name")
    keys = {
        key: {**inner, "const": name} if key in kinds else inner
        for key, inner in part["properties"].items()
    }
    return {**part, "properties": keys}


def _own_keys(part: Part, general: Part) -> Part:
    own = {k: v for k, v in part["properties"].items() if k not in general["properties"]}
    return {**part, "properties": own}


def _table(part: Part, found: _Definitions) -> Iterator[str]:
    yield "| key | values | default | meaning |"
    yield "|---|---|---|---|"
    keys = sorted(_keys(part, found), key=lambda entry: not entry[2])
    for key, inner, required in keys:
        given = "" if "$ref" in inner else _code(inner.get("default", ""))
        default = "**required**" if required else given
        meaning = _sentence(inner) or _sentence(_resolved(inner, found))
        cells = (f"`{key}`", _values(inner, found), default, meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _keys(part: Part, found: _Definitions, prefix: str = "") -> Iterator[tuple[str, Part, bool]]:
    required = part.get("required", ())
    for name, inner in part.get("properties", {}).items():
        yield prefix + name, inner, name in required
        # The keys of a part that stands here and nowhere else.
        for part in (inner, *inner.get("anyOf", ())):
            if "$ref" in part:
                for below in _keys(_resolved(part, found), found, f"{prefix}{name}."):
                    yield (*below[:2], False)


def _resolved(part: Part, found: _Definitions) -> Part:
    name = part.get("$ref", "").rpartition("/")[2]
    return found.defs[name] if name else part


def _values(part: Part, found: _Definitions) -> str:
    if "const" in part:
        return _code(part["const"])
    if "enum" in part:
        return ", ".join(_code(value) for value in part["enum"])
    if "$ref" in part:
        return "a source on the hub" if "hub" in _resolved(part, found)["properties"] else "keys"
    for options in (part.get("anyOf"), part.get("oneOf")):
        if options:
            return " or ".join(dict.fromkeys(_values(option, found) for option in options))
    if part.get("type") == "array" and "items" in part:
        return f"list of {_values(part['items'], found)}" if part["items"] else "list"
    return _kind(part)


def _kind(part: Part) -> str:
    words = {
        "object": "keys",
        "string": "text",
        "boolean": "true or false",
        "null": "null",
        "array": "list",
    }
    name = str(part.get("type", "any"))
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    bounds = [f"{sign} {plain_number(part[key])}" for key, sign in signs.items() if key in part]
    return " ".join([words.get(name, name), ", ".join(bounds)]).strip()


def _scorers() -> Iterator[str]:
    yield "Values of `scorer` of an experiment. Where a study names none, it is the first that"
    yield "judges the benchmark's answers in the experiment's mode and needs no keys. Keys stand"
    yield "with the name, as in `scorer: {name: number, tolerance: 0.01}`."
    yield ""
    yield "| scorer | judges | a category of the tables for each |"
    yield "|---|---|---|"
    judged = {
        "options": "the choice of an option",
        "texts": "free answers",
        "nothing": "a text",
        "task": "what its task asks",
    }
    for name in SCORERS:
        scorer = SCORERS[name]
        what = ", ".join(judged[answers] for answers in scorer.judges)
        own = scorer.settings
        keys = own.model_construct(name=name).model_dump(exclude={"name"}) if own else {}
        categories = scorer.categories("category", keys)
        shown = "its own" if categories is None else ", ".join(categories)
        yield f"| `{name}` | {what} ({' or '.join(scorer.modes)}) | {shown} |"


def _code(value: Any) -> str:
    if value in ("", {}):
        return ""
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value!r}`" if isinstance(value, str) and "\n" in value else f"`{value}`"


def _sentence(part: Part) -> str:
    return " ".join(part.get("description", "").split())
