"""The reference of the study file, generated from its schema."""

from collections.abc import Iterator, Mapping
from typing import Any

from lorascope.study import schema

Part = Mapping[str, Any]

HEAD = """\
# The study file

A study is one complete YAML file: models, datasets, experiments, baseline and report. `config.yaml`
is one, and so is every file in `studies/`. Unknown keys are refused; a key that is left out takes
its default. `make study CONFIG=studies/x.yaml` prints a study with all defaults and IDs.

This page is generated from `workflow/schemas/study.schema.yaml` by `make docs`.
"""
SECTIONS = {
    "The study": None,
    "models.<name>, family salmonn": "model_salmonn",
    "models.<name>, family hf_text": "model_hf_text",
    "models.<name>, family hf_audio": "model_hf_audio",
    "adapters.<name>": "adapter",
    "adapters.<name>.train": "train",
    "adapters.<name>.train.data, format jsonl": "data_jsonl",
    "adapters.<name>.train.data, format squad": "data_squad",
    "adapters.<name>.train.data, format sakura": "data_sakura",
    "datasets.<name>, benchmark sakura": "dataset_sakura",
    "datasets.<name>, benchmark squad": "dataset_squad",
    "experiments": "experiment",
    "retain": "retain",
    "A source of a model or adapter": "source",
    "A source of SQuAD": "squad_source",
}


def study_reference() -> str:
    """Return the reference as markdown: a table of keys for each part of the study."""
    parts = [HEAD]
    for title, name in SECTIONS.items():
        part = schema()["$defs"][name] if name else schema()
        parts += [f"## {title}\n", _sentence(part), "", *_table(part), ""]
    return "\n".join(parts).rstrip() + "\n"


def _table(part: Part) -> Iterator[str]:
    yield "| key | values | default | meaning |"
    yield "|---|---|---|---|"
    for variant in part.get("oneOf", [part]):
        for key, inner, required in _keys(variant):
            default = "**required**" if required else _code(inner.get("default", ""))
            if "properties" in inner:
                default = ""
            cells = (f"`{key}`", _values(inner), default, _sentence(inner))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _keys(part: Part, prefix: str = "") -> Iterator[tuple[str, Part, bool]]:
    for name, inner in part.get("properties", {}).items():
        yield prefix + name, inner, name in part.get("required", ())
        yield from _keys(inner, f"{prefix}{name}.")


def _values(part: Part) -> str:
    if "enum" in part:
        return ", ".join(_code(value) for value in part["enum"])
    if "enum" in part.get("items", {}):
        return "list of " + _values(part["items"])
    if "$ref" in part:
        return part["$ref"].rpartition("/")[2]
    if "oneOf" in part:
        return " or ".join(_values(variant) for variant in part["oneOf"])
    kinds = part.get("type", "")
    names = [kinds] if isinstance(kinds, str) else kinds
    words = {"object": "keys", "array": "list", "string": "text", "boolean": "true or false"}
    bounds = [
        f"{sign} {part[key]:g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if key in part
    ]
    return " ".join(
        [" or ".join(words.get(name, name) for name in names), ", ".join(bounds)]
    ).strip()


def _code(value: Any) -> str:
    if value == "":
        return ""
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value!r}`" if isinstance(value, str) and "\n" in value else f"`{value}`"


def _sentence(part: Part) -> str:
    return " ".join(part.get("description", "").split())
