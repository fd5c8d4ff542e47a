"""Why an experiment has to be inferred: what differs from what it was last made from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lorascope.identity.digests import canonical, digest
from lorascope.planning.told import Fingerprint
from lorascope.storage.files import parse_json

HARMLESS = "plans files, by the fingerprints of what decides them"

FINGERPRINT = "fingerprint.json"
"""In the folder of an experiment and digest: what determines its answers."""
MODULES = 4  # that a reason names; a larger change is a new version


def why_inferred(folder: Path, fingerprint: Fingerprint) -> str:
    """Say in words why an experiment's questions have to be asked.

    folder: of the experiment and the digest of ``fingerprint``; earlier ones lie beside it.
    """
    if (folder / FINGERPRINT).exists():
        return "unfinished"
    earlier = [
        path for other in subfolders(folder.parent) if (path := other / FINGERPRINT).exists()
    ]
    if not earlier:
        return "new"
    newest = max(earlier, key=lambda path: path.stat().st_mtime_ns)
    try:
        before = parse_json(newest.read_bytes())
        whole = digest(before) == newest.parent.name  # a fingerprint lies under its own digest
    except ValueError:
        before, whole = None, False
    if not whole:
        return f"changed ({newest} is damaged)"
    return "; ".join(differences(before, fingerprint)) or "changed"


def differences(before: Fingerprint, after: Fingerprint) -> list[str]:
    """Return in words what differs between two fingerprints, as "lora_scaling 2 -> 3"."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    keys = sorted(key for key in {*old, *new} if _word(old.get(key)) != _word(new.get(key)))
    modules = sorted({key[-1] for key in keys if "code" in key})
    code = [f"code of {name} changed" for name in modules]
    if len(modules) > MODULES:
        code = [f"code of {len(modules)} modules changed"]
    rest = (_difference(key, old.get(key), new.get(key)) for key in keys if "code" not in key)
    return [*code, *dict.fromkeys(rest)]


def _leaves(
    fingerprint: Fingerprint, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in fingerprint.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _difference(key: tuple[str, ...], before: Any, after: Any) -> str:
    if "sources" in key:
        return f"{key[key.index('sources') + 1]} changed"
    if "data_source" in key:
        return "training data changed"
    if key[0] == "predictions":
        return "files of the predictions changed"
    if "source" in key:
        return "files of the dataset changed"
    name = ".".join(part for part in key if part not in ("features", "settings"))
    return f"{name} {_word(before)} -> {_word(after)}"


def _word(value: Any) -> str:
    return "none" if value is None else canonical(value).strip('"')


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in ``folder`` (none if it is absent)."""
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
