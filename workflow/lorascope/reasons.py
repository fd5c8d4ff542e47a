"""Why an experiment has to be inferred: what differs from the recipe it was last made with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lorascope import identity
from lorascope.planned import RESULTS, PlannedExperiment, Recipe

MODULES = 4  # that a reason names; a larger change is a new version


def reason(planned: PlannedExperiment) -> str:
    """Say in words why an experiment has to be inferred."""
    if (planned.folder / "recipe.json").exists():
        return "unfinished"
    earlier = [
        path
        for inner in subfolders(RESULTS / "experiments" / planned.experiment.id)
        if (path := inner / "recipe.json").exists()
    ]
    if not earlier:
        return "new"
    newest = max(earlier, key=lambda path: path.stat().st_mtime_ns)
    try:
        before = json.loads(newest.read_text(encoding="utf-8"))
    except ValueError:
        return f"changed ({newest} is damaged)"
    return "; ".join(differences(before, planned.recipe)) or "changed"


def differences(before: Recipe, after: Recipe) -> list[str]:
    """Return in words what differs between two recipes, as "lora_scaling 2 -> 3"."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    keys = sorted(key for key in {*old, *new} if _word(old.get(key)) != _word(new.get(key)))
    modules = sorted({key[-1] for key in keys if "code" in key})
    code = [f"code of {name} changed" for name in modules]
    if len(modules) > MODULES:
        code = [f"code of {len(modules)} modules changed"]
    rest = (_difference(key, old.get(key), new.get(key)) for key in keys if "code" not in key)
    return [*code, *dict.fromkeys(rest)]


def _leaves(recipe: Recipe, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in recipe.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _difference(key: tuple[str, ...], before: Any, after: Any) -> str:
    if "sources" in key:
        return f"{key[key.index('sources') + 1]} changed"
    if "data_source" in key:
        return "training data changed"
    if "source" in key:
        return "files of the dataset changed"
    name = ".".join(part for part in key if part not in ("features", "settings"))
    return f"{name} {_word(before)} -> {_word(after)}"


def _word(value: Any) -> str:
    return "none" if value is None else identity.canonical(value).strip('"')


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in ``folder`` (none if it is absent)."""
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
