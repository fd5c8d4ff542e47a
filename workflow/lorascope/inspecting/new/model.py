"""What a model and an adapter are, by their small files."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.errors import UserError, shown
from lorascope.models.adapter_config import CONFIG, check_folder, read_config
from lorascope.models.stops import has_chat_template, unknown_stop
from lorascope.storage.hub import cached_config
from lorascope.storage.records import peek
from lorascope.study.registry import FAMILIES
from lorascope.study.settings import REPOSITORY

HARMLESS = "guesses, for a study that a user reads before it runs"

LARGE = 3_000_000_000
"""Bytes of weights from which a model runs in its own half precision."""
HALF = ("float16", "bfloat16")
SCALINGS = (0, 0.5, 1, 1.5, 2)
"""The grid, in units of an adapter's own scaling."""


@dataclass(frozen=True)
class Place:
    """A model or an adapter as the user named it: a folder, or a repository of the hub.

    ``folder`` is where its small files are, None for a repository of which nothing is here.
    """

    name: str
    folder: Path | None
    is_hub: bool

    @property
    def source(self) -> Any:
        """The value of a source in a study."""
        return {"hub": self.name} if self.is_hub else self.name

    @property
    def short(self) -> str:
        """A name for it in a study."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.name).name).strip("._-") or "model"


def find_place(name: str, option: str, file: str) -> Place:
    """Return where a model or adapter is that has ``file``; UserError for a missing path."""
    path = Path(name)
    if path.is_dir():
        return Place(name, path, is_hub=False)
    if path.exists():
        raise UserError(f"{option} {name}: is a file; name the folder that holds {file}")
    is_path = not re.fullmatch(REPOSITORY, name) or path.parent.is_dir()
    if is_path:
        raise UserError(
            f"{option} {name}: not found; name a folder that holds {file}, or a repository of the "
            "hub (owner/name)"
        )
    config = cached_config(name, "main", file)
    return Place(name, config and config.parent, is_hub=True)


@dataclass(frozen=True)
class Model:
    """A model for a study: its keys, each with words on where it comes from."""

    place: Place
    keys: Mapping[str, Any]
    said: Mapping[str, str]

    @property
    def family(self) -> str:
        """Name of the family that runs it."""
        return str(self.keys["family"])


def find_model(name: str, family: str | None) -> Model:
    """Return the model that the user named; UserError where it is none that a family runs."""
    place = find_place(name, "--model", "config.json")
    config = peek(place.folder / "config.json") if place.folder else {}
    if place.folder and not config:
        adapter = (place.folder / CONFIG).exists()
        more = f"it has {CONFIG}: name it by --adapter" if adapter else "is it a model's folder?"
        raise UserError(f"--model {name}: has no readable config.json; {more}")
    chosen, words = _family(place, config, family)
    source = FAMILIES[chosen].sources[0]
    keys: dict[str, Any] = {"family": chosen, source: place.source}
    said = {"family": words}
    keys["dtype"], said["dtype"] = _dtype(place.folder, config)
    if "chat_template" in FAMILIES[chosen].settings.model_fields:
        keys["chat_template"], said["chat_template"] = _chat_template(place.folder)
    return Model(place, keys, said)


def _family(place: Place, config: Mapping[str, Any], given: str | None) -> tuple[str, str]:
    """Return the family that runs a model, and why; UserError where none is known to."""
    if given:
        if not FAMILIES.require(given, "--family").recognises:
            raise UserError(
                f"--family {given}: is made of several files, which a study names; see "
                f"config.yaml, or take one of {_families()}"
            )
        return given, "as given" if config else "as given; the model is not here to look into"
    if not place.folder:
        raise UserError(
            f"--model {place.name}: no such folder here, and the hub is not looked into; if it is "
            f"a repository of the hub, say by --family what it is: {_families()}"
        )
    kind, classes = config.get("model_type"), config.get("architectures")
    classes = ", ".join(map(str, classes)) if isinstance(classes, list) else "no architectures"
    for name in FAMILIES:
        recognises = FAMILIES[name].recognises
        if recognises and recognises(config):
            return name, f"by config.json: {classes}"
    raise UserError(
        f"--model {place.name}: config.json says {kind} ({classes}), which no "
        f"family is known to run; say one by --family if you know better: {_families()}"
    )


def _families() -> str:
    return ", ".join(name for name in FAMILIES if FAMILIES[name].recognises)


def _dtype(folder: Path | None, config: Mapping[str, Any]) -> tuple[str, str]:
    if folder is None:
        return "bfloat16", "not looked at: the precision of most models on the hub"
    own = config.get("dtype") or config.get("torch_dtype")
    weights = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    size = sum(file.stat().st_size for file in weights)
    if own in HALF and size > LARGE:
        return str(own), "as its weights are"
    return "float32", "in which the batch size changes no answer"


def _chat_template(folder: Path | None) -> tuple[bool, str]:
    if folder is None:
        return False, "not looked at: true if its tokenizer has one"
    if not has_chat_template(folder):
        return False, "its tokenizer has none"
    stop = unknown_stop(folder)
    return not stop, f"its tokenizer's ends an answer with {stop}" if stop else "its tokenizer's"


# --------------------------------------------------------------------------------- adapters


@dataclass(frozen=True)
class Adapter:
    """An adapter for a study: where it is, the scalings to ask it at, and notes on both."""

    place: Place
    scalings: Sequence[float]
    notes: Sequence[str]


def find_adapter(name: str, model: Model) -> Adapter:
    """Return the adapter that the user named; UserError where it is none."""
    place = find_place(name, "--adapter", CONFIG)
    if place.folder is None:
        notes = ["not here to look into: its own scaling is taken for 1"]
        return Adapter(place, SCALINGS, notes)
    if not (place.folder / CONFIG).exists():
        is_model = (place.folder / "config.json").exists()
        more = "it has config.json: name it by --model" if is_model else "is it peft's folder?"
        raise UserError(f"--adapter {name}: has no {CONFIG}; {more}")
    if not place.is_hub:
        check_folder(place.folder)
    found = read_config(place.folder)
    rank, alpha = found.get("r", 8), found.get("lora_alpha", 8)
    root = bool(found.get("use_rslora"))
    own = alpha / (math.sqrt(rank) if root else rank)
    divided = "the square root of its rank" if root else "rank"
    notes = [f"rank {rank}, alpha {alpha:g}: its own scaling is {own:.4g}, alpha / {divided}"]
    if found.get("rank_pattern") or found.get("alpha_pattern"):
        notes.append("some layers have a rank or alpha of their own; a scaling is that of them all")
    base = peek(place.folder / CONFIG).get("base_model_name_or_path")
    if isinstance(base, str) and base and not _same(base, model.place):
        notes.append(
            f"it says that it was trained for {shown(base)}: check that this is {model.place.name}"
        )
    return Adapter(place, [_rounded(own * factor) for factor in SCALINGS], notes)


def _rounded(scaling: float) -> float:
    return float(f"{scaling:.12g}")


def _same(base: str, place: Place) -> bool:
    """Return whether two names are of one model, as far as names tell."""
    return Path(base).name.casefold() == Path(place.name).resolve().name.casefold()
