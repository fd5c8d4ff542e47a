"""Content hashes of source files: models, adapters and data that a study names by path."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.storage.records import write_json

HARMLESS = "digests name files and decide nothing in them"

NOT_CONTENT = {".md", ".gitattributes", ".gitignore"}


class SourceIndex:
    """Content hashes of local source files, kept by (path, size, mtime, inode) between plans."""

    def __init__(self, cache_file: Path) -> None:
        self.cache_file = cache_file
        self._known: dict[str, tuple[list[int], str]] = {}
        self._fresh = False
        if cache_file.exists():
            try:
                self._known = json.loads(cache_file.read_text(encoding="utf-8"))
            except ValueError:
                self._known = {}  # only a cache: every hash is computed again

    def file(self, path: Path) -> str:
        """Return the SHA-256 of a file's bytes."""
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        known = self._known.get(str(path))
        if known and [*known[0]] == stamp:
            return known[1]
        with path.open("rb") as content:
            sha = hashlib.file_digest(content, "sha256").hexdigest()
        self._known[str(path)] = (stamp, sha)
        self._fresh = True
        return sha

    def files(self, paths: Iterable[Path], root: Path) -> str | None:
        """Return one digest of files and their names under ``root`` (None: there are none)."""
        listing = {str(path.relative_to(root)): self.file(path) for path in paths if path.exists()}
        return digest(listing) if listing else None

    def local(self, path: Path) -> dict[str, str]:
        """Return name -> SHA-256 of a file, or of every content file of a folder.

        An absent path is planned as absent: the job that needs it will name it.
        """
        if path.is_file():
            return {path.name: self.file(path)}
        if not path.is_dir():
            return {"absent": str(path)}
        found = [f for f in sorted(path.iterdir()) if f.is_file() and _is_content(f)]
        return {f.name: self.file(f) for f in found}

    def save(self) -> None:
        """Keep the hashes for the next plan; a read-only folder only makes that one slower."""
        if self._fresh:
            try:
                write_json(self.cache_file, self._known)
            except UserError:
                return
            self._fresh = False


def _is_content(file: Path) -> bool:
    return not file.name.startswith(".") and file.suffix not in NOT_CONTENT
