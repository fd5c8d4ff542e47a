"""Content hashes of source files: models, adapters and data that a study names by path."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.storage.files import not_of_the_system, regular
from lorascope.storage.records import checked_document, write_document

HARMLESS = "digests name files and decide nothing in them"

KIND = "hashes of sources"
MOST_FILES = 10_000
"""In the folder of a model or an adapter."""
NOT_CONTENT = {".md", ".gitattributes", ".gitignore"}
INDEX = ".index.json"
"""Ends the name of a file that maps tensors to the files that hold them."""
Content: TypeAlias = dict[str, str] | str
"""What a source is: name -> SHA-256 of its files, or one digest of many files."""


class SourceIndex:
    """Content hashes of local source files, kept between plans.

    A hash holds as long as the file's size, its times of modification and of change, and its inode
    do: the kernel sets the time of change, so that an edit in place shows that restores the other.
    What a source was when it was last seen is kept, too, for the time in which it is not there.
    """

    def __init__(self, cache_file: Path) -> None:
        self.cache_file = cache_file
        self._known, self._seen = _kept(cache_file)
        self._fresh = False

    def file(self, path: Path) -> str:
        """Return the SHA-256 of a file's bytes."""
        stat = regular(path).stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        known = self._known.get(str(path))
        if known and known[0] == stamp:
            return known[1]
        with path.open("rb") as content:
            sha = hashlib.file_digest(content, "sha256").hexdigest()
        self._known[str(path)] = (stamp, sha)
        self._fresh = True
        return sha

    def files(self, paths: Iterable[Path], root: Path) -> str | None:
        """Return one digest of files and their names as seen from ``root`` (None: there are none).

        They may lie beside it.
        """
        listing = {os.path.relpath(path, root): self.file(path) for path in paths if path.exists()}
        return digest(listing) if listing else None

    def local(self, path: Path) -> dict[str, str]:
        """Return name -> SHA-256 of a file, or of every content file of a folder.

        Those are the files in the folder, and the ones below it that a weight map names. Where the
        path, or a file of the weight map, is not there: {"absent": what is not there}.
        """
        if lacking := absent_part(path):
            return {"absent": str(lacking)}
        return {name: self.file(file) for name, file in _content(path)}

    def last_seen(self, name: str) -> Content | None:
        """Return what ``name`` was when it was last seen, None if that was never."""
        return self._seen.get(name)

    def see(self, name: str, content: Content) -> None:
        """Keep what ``name`` is now."""
        if self._seen.get(name) != content:
            self._seen[name] = content
            self._fresh = True

    def save(self) -> None:
        """Keep the hashes for the next plan; a read-only folder only makes that one slower."""
        if not self._fresh:
            return
        # Another plan may have saved what it saw meanwhile.
        known, seen = _kept(self.cache_file)
        try:
            kept = {"files": known | self._known, "seen": seen | self._seen}
            write_document(self.cache_file, KIND, "", kept)
        except UserError:
            return
        self._fresh = False


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and below it, sorted, but hidden ones."""
    found = (path for path in folder.rglob("*") if path.is_file())
    hidden = (".", "__")
    return sorted(f for f in found if not f.relative_to(folder).parts[0].startswith(hidden))


def absent_part(path: Path) -> Path | None:
    """Return what of a local source is not there: itself, or a file that its weight map names.

    A folder without a content file, such as a place where nothing is mounted, is not there.
    """
    content = [file for _, file in _content(path)]
    return next((file for file in content if not file.exists()), None) if content else path


def _content(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of a file, or of every content file of a folder, there or not."""
    if not path.is_dir():
        if path.exists():
            yield path.name, path
        return
    found = [f for f in not_of_the_system(path).iterdir() if f.exists() and _is_content(f)]
    names = [f.name for f in sorted(found) if not f.is_dir()]
    if len(names) > MOST_FILES:
        raise UserError(
            f"{path}: holds {len(names):,} files; name the folder of one model, which has at most "
            f"{MOST_FILES:,}"
        )
    for name in dict.fromkeys([*names, *_mapped(path, set(names))]):
        yield name, path / name


def _is_content(file: Path) -> bool:
    return not file.name.startswith(".") and file.suffix not in NOT_CONTENT


def _mapped(folder: Path, names: set[str]) -> list[str]:
    """Return the files of the weight map that a model in ``folder`` is loaded by, in any subfolder.

    A model's folder may hold maps of other formats, whose files nobody needs: as transformers does,
    ``models.weights`` looks for one file before a map, and for safetensors before pickles.
    """
    for whole in ("model.safetensors", "pytorch_model.bin"):
        if whole in names:
            return []
        if whole + INDEX in names:
            mapped = _json(folder / (whole + INDEX)).get("weight_map")
            files = mapped.values() if isinstance(mapped, dict) else ()
            return sorted({file for file in files if isinstance(file, str)})
    return []


def _kept(cache_file: Path) -> tuple[dict[str, tuple[list[int], str]], dict[str, Content]]:
    """Return what an earlier plan kept; only a cache: of a damaged one, nothing is believed."""
    try:
        kept = checked_document(cache_file, KIND, "")
        known, seen = kept["files"], kept["seen"]
    except (ValueError, KeyError, UserError):
        return {}, {}
    return {path: (entry[0], entry[1]) for path, entry in known.items()}, seen


def _json(file: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file, an empty one where there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
