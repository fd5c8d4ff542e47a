"""Whether the base model that an adapter names is the model that a study runs it on.

Certain are: sizes that do not fit, files of the same content or of another one, the same repository
of the hub, and two repositories whose names say that they are different models. Names of folders
are a hint alone: they are renamed, and a trainer writes down those of its own machine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal, TypeAlias

from lorascope.errors import UserError, shown
from lorascope.models.auditing.adapters import Part
from lorascope.models.auditing.tensors import Stored, is_safe, read_model
from lorascope.models.auditing.weights import Weights
from lorascope.storage.hub import cached_config
from lorascope.storage.records import peek

Kind: TypeAlias = Literal["same", "unknown", "doubtful", "other", "misfit"]
"""What is known; misfit: it cannot be run on it, whatever it names."""
ANY = "anything"
"""The value of an adapter's key base_model that takes it on whatever it was trained for."""
COMPARED = 8
"""Tensors of which the first block is compared."""
ROUNDING = 2.0**-8
"""Relative difference of equal weights of which one was rounded to bfloat16, at most."""
_SIZES = (
    *("model_type", "hidden_size", "num_hidden_layers", "intermediate_size"),
    *("num_attention_heads", "num_key_value_heads", "n_embd", "n_layer", "d_model"),
)
# Words of a name that say how weights are packed, by whom and for what program.
_PACKAGING = {
    *("hf", "bnb", "4bit", "8bit", "int4", "int8", "nf4", "fp8", "fp16", "bf16", "fp32", "gptq"),
    *("awq", "gguf", "mlx", "unsloth", "quantized", "dynamic", "sharded", "safetensors"),
}
# Words that say what a model was made of another one of the same name.
_TUNED = {
    *("instruct", "chat", "it", "sft", "dpo", "rlhf", "rl", "coder", "code", "math", "thinking"),
    *("reasoning", "base", "pt", "vision", "vl", "audio", "tool", "distill", "preview"),
}
_SIZE = re.compile(r"(\d+x)?\d+(\.\d+)?[mb]")
_CACHED = re.compile(r".*models--([^/\\]+?)--([^/\\]+)([/\\].*)?")
_REPOSITORY = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")


@dataclass(frozen=True)
class Model:
    """A model that an adapter is run on, as a study names it: a folder, or ``hub`` a repository.

    ``folder`` is where it lies, None where it is not here.
    """

    name: str
    hub: str | None
    folder: Path | None

    @classmethod
    def at(cls, path: str) -> "Model":
        """Return the model in a folder, be it here or not."""
        folder = _folder(path)
        return cls(path, _cached_repository(str(folder.resolve()) if folder else path), folder)

    @classmethod
    def named(cls, name: str) -> "Model":
        """Return the model that a name stands for on this machine: a folder or a repository."""
        here = cls.at(name)
        hub = here.hub
        if here.folder:
            return here
        if hub is None and _REPOSITORY.fullmatch(name) and not name.startswith("."):
            hub = name
        return cls(name, hub, None)


@dataclass(frozen=True)
class Verdict:
    """What is known of the base model that an adapter names, and by what: ``words`` says it all."""

    kind: Kind
    words: str


def compare(
    base: str | None,
    parts: Sequence[Part],
    model: Model,
    tensors: Mapping[str, Stored] | None,
    accepted: str | None = None,
) -> Verdict:
    """Return whether an adapter of some ``parts`` is for a model.

    base: the name of its base model, None if it names none; accepted: the one that the study
    expects it to name, or ``ANY``; ``tensors`` are the model's, None if they are not known.
    """
    if tensors is not None and (misfit := Weights(tensors).misfit(parts)):
        return Verdict("misfit", f"is not for {model.name}: {misfit}")
    if base is None:
        return Verdict("unknown", "names no base model")
    named = Model.named(base)
    told = f"names {shown(base)} as its base model"
    if accepted in (ANY, base):
        return Verdict("unknown", f"{told}, as the study says; it is run on {model.name}")
    if _is_same_place(named, model):
        return Verdict("same", f"{told}, which is {model.name}")
    by_files = _by_files(_found(named), model, tensors)
    kind, why = by_files or _by_names(named, model)
    return Verdict(kind, f"{told} and is run on {model.name}: {why}")


def refusal(where: str, verdict: Verdict) -> str:
    """Return what is said against an adapter of another base model, and the remedy."""
    remedy = "take the model that it was made for"
    if verdict.kind == "other":
        remedy += f", or set base_model: {ANY} where that is meant"
    return f"{where}: {verdict.words}; {remedy}"


def _cached_repository(name: str) -> str | None:
    """Return the repository in whose folder of the hub's cache a path lies."""
    match = _CACHED.fullmatch(name)
    return f"{match[1]}/{match[2]}" if match else None


def _folder(name: str) -> Path | None:
    try:
        return Path(name) if Path(name).is_dir() else None
    except OSError:  # such as a name that is too long for one
        return None


def _is_same_place(named: Model, model: Model) -> bool:
    if named.folder and model.folder and named.folder.resolve() == model.folder.resolve():
        return True
    if named.name == model.name:
        return True
    return bool(named.hub and model.hub and named.hub.casefold() == model.hub.casefold())


def _found(named: Model) -> Path | None:
    """Return the folder of the model that an adapter names, if it is on this machine."""
    if named.folder or not named.hub or "/" not in named.hub:
        return named.folder
    config = cached_config(named.hub, "main")
    return config.parent if config else None


def _by_files(
    named: Path | None, model: Model, tensors: Mapping[str, Stored] | None
) -> tuple[Kind, str] | None:
    """Compare two models by their files; None where these do not tell."""
    if named is None or model.folder is None:
        return None
    one, other = (_sizes(peek(folder / "config.json")) for folder in (named, model.folder))
    for key in one.keys() & other.keys():
        if one[key] != other[key]:
            return "other", f"another one, its {key} is {one[key]}, not {other[key]}"
    try:
        mine = read_model(named) if is_safe(named) else None
    except UserError:
        return None
    return _by_values(mine, tensors) if mine and tensors else None


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    inner = config.get("text_config")
    known = {**config, **(inner if isinstance(inner, dict) else {})}
    return {key: known[key] for key in _SIZES if known.get(key) is not None}


def _by_values(one: Mapping[str, Stored], other: Mapping[str, Stored]) -> tuple[Kind, str] | None:
    """Compare some of the tensors that two models have under one name."""
    common = [
        name
        for name in sorted(one.keys() & other.keys())
        if one[name].is_plain and other[name].is_plain and one[name].size
    ]
    if not common:
        return None
    for name in common[:: -(-len(common) // COMPARED)]:
        if one[name].shape != other[name].shape:
            return "other", f"another one, {name} has another shape"
        a, b = next(one[name].blocks()), next(other[name].blocks())
        off = float(((a - b) @ (a - b)) ** 0.5)
        allowed = 0.0 if one[name].format == other[name].format else ROUNDING
        if not off <= allowed * float((a @ a) ** 0.5):
            return "other", f"of the same shape, but its {name} has other values"
    return "same", "the same weights"


def _by_names(named: Model, model: Model) -> tuple[Kind, str]:
    """Compare two models of which no more than names is known."""
    sure = bool(named.hub and model.hub)
    one, other = _words(named, model)
    sizes = [{word for word in words if _SIZE.fullmatch(word)} for words in (one, other)]
    if all(sizes) and sizes[0] != sizes[1]:
        return ("other" if sure else "doubtful"), "by their names of another size"
    if one == other:
        return "unknown", "by its name a copy of the same model; nothing else tells"
    if one - _TUNED == other - _TUNED and one | other:
        return ("other" if sure else "doubtful"), "by their names, one was tuned from the other"
    if one & other and one - other and other - one:
        return ("other" if sure else "doubtful"), "by their names different models"
    return ("doubtful" if sure else "unknown"), "nothing tells whether they are the same"


def _words(named: Model, model: Model) -> tuple[set[str], set[str]]:
    """Return the words of two models' names, but those that say who packed them, and how."""
    names = [one.hub or _last(one.name) for one in (named, model)]
    owners = {word for name in names if "/" in name for word in _split(name.split("/")[0])}
    ignored = (_PACKAGING | owners) - _TUNED
    first, second = ({*_split(name.rpartition("/")[2])} - ignored for name in names)
    return first, second


def _last(path: str) -> str:
    """Return the last part of a path, of whichever machine."""
    return PureWindowsPath(path.rstrip("/\\")).name


def _split(name: str) -> list[str]:
    return [word for word in re.split(r"[-_\s]+", name.casefold()) if word]
