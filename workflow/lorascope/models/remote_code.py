"""Python code that comes with a model's files: refused where the study does not let it run.

transformers asks on the terminal where it is not told, and falls back on a class of its own where a
file names another one that it does not know: it would answer, otherwise than the model is meant to.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, dynamic_module_utils

from lorascope.errors import UserError, listing
from lorascope.storage.files import read_object

# Also where transformers calls itself without saying: what is not allowed is an error at once.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0

FILES = {
    "config.json": {"AutoModel": "architectures"},
    "tokenizer_config.json": {"AutoTokenizer": "tokenizer_class"},
    "processor_config.json": {"AutoProcessor": "processor_class"},
    "preprocessor_config.json": {
        "AutoProcessor": "processor_class",
        "AutoFeatureExtractor": "feature_extractor_type",
    },
}
"""File -> beginning of a key of its auto_map -> the key that names the very class."""


def refuse_code(folder: Path, key: str, allowed: bool | None) -> None:
    """UserError, naming file and remedy, where a model needs Python code that comes with its files.

    A class that transformers knows is loaded by transformers' code, whatever auto_map says.
    ``allowed`` is None for a family that never runs such code; ``key`` is the model's in the study.
    """
    if allowed:
        return
    for name, declared in FILES.items():
        path = folder / name
        if path.exists() and (needed := {*_needed(read_object(path), declared)}):
            raise code_refused(key, f"{path} asks for {listing(needed)}", allowed)


def code_refused(key: str, what: str, allowed: bool | None) -> UserError:
    """Return the error that says that, and how, a model may not bring code."""
    remedy = (
        "Use a version of the model in transformers' own layout; this family runs no such code."
        if allowed is None
        else "Read it, and set trust_remote_code: true of the model if it may run."
    )
    return UserError(f"{key}: {what}: it brings its own Python code, which is not run. {remedy}")


def _needed(content: Mapping[str, Any], declared: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of classes that are to come from the folder's own code."""
    auto_map = content.get("auto_map") or {}
    if not isinstance(auto_map, dict):  # as older tokenizers have it
        auto_map = {"AutoTokenizer": auto_map}
    for auto, references in auto_map.items():
        if auto == "AutoConfig":
            if content.get("model_type") not in CONFIG_MAPPING:
                yield str(content.get("model_type"))
            continue
        for start, key in declared.items():
            if auto.startswith(start):
                named = content.get(key) or references
                yield from (n for n in _class_names(named) if not _is_known(n))


def _class_names(named: Any) -> list[str]:
    """Return the last parts of names such as "owner/name--module.Class", of one or of several."""
    several = named if isinstance(named, list | tuple) else [named]
    return [re.split(r"[.]|--", str(name))[-1] for name in several if name is not None]


def _is_known(name: str) -> bool:
    """Return whether transformers has a class of this name; fast tokenizers have the plain one."""
    known = dir(transformers)
    return name in known or name.removesuffix("Fast") in known
