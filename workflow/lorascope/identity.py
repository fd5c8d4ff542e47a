"""What determines a file's content, as 12 hex digits: settings, sources and code.

Plain Python, no torch: every digest of a study is computed while Snakemake plans.
"""

import ast
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lorascope.errors import UserError
from lorascope.records import write_json

PACKAGE = Path(__file__).resolve().parent
# Calls whose string arguments are read by people, not by later stages.
MESSAGE_CALLS = {
    "print",
    "warn",
    "debug",
    "info",
    "warning",
    "error",
    "exception",
    "tqdm",
    "UserError",
}
NOT_CONTENT = {".md", ".gitattributes", ".gitignore"}


def canonical(value: Any) -> str:
    """Return ``value`` as JSON that is equal for equal settings: keys sorted, 60.0 written 60."""
    return json.dumps(
        _normal(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _normal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return value


def digest(value: Any) -> str:
    """Return the first 12 hex digits of the SHA-256 of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:12]


# ---------------------------------------------------------------------------------- code


def code_digests(modules: Iterable[str]) -> dict[str, str]:
    """Return the digest of the logic of each module, given as a path within the package.

    A path that ends in ``/`` stands for every module of that folder.
    """
    files = [file for module in modules for file in _module_files(module)]
    return {str(file.relative_to(PACKAGE)): logic_digest(file) for file in sorted(set(files))}


def _module_files(module: str) -> list[Path]:
    return sorted((PACKAGE / module).glob("*.py")) if module.endswith("/") else [PACKAGE / module]


@cache
def _logic_digest(source: str) -> str:
    return digest(_form(ast.parse(source)))


def logic_digest(file: Path) -> str:
    """Return a digest of what ``file`` computes.

    Comments, docstrings, annotations, layout, the order of imports and the wording of messages
    do not count, and neither does the version of Python (``ast.dump`` would).
    """
    return _logic_digest(file.read_text(encoding="utf-8"))


def _form(node: Any) -> Any:
    """Return the normal form of a syntax tree as nested lists (None: leave it out)."""
    if isinstance(node, list):
        return [form for item in node if (form := _form(item)) is not None]
    if not isinstance(node, ast.AST):
        return [type(node).__name__, repr(node)]
    if isinstance(node, ast.Raise):
        return ["Raise", _form(getattr(node.exc, "func", node.exc))]
    if isinstance(node, ast.AnnAssign):
        if node.value is None:
            return ["Declare", _form(node.target)]
        return ["Assign", _form([node.target]), _form(node.value)]
    if isinstance(node, ast.Call) and _called(node) in MESSAGE_CALLS:
        return ["Message", [_form(a) for a in node.args if not _is_text(a)]]
    if isinstance(node, ast.Expr) and _is_text(node.value):
        return None
    fields = [(name, _form(_field(node, name))) for name in node._fields]
    return [type(node).__name__, [[n, f] for n, f in fields if f not in (None, [])]]


def _field(node: ast.AST, name: str) -> Any:
    skipped = {"annotation", "returns", "type_comment", "type_params", "ctx", "kind"}
    value = getattr(node, name, None)
    if name in skipped or (value is None and not isinstance(node, ast.Constant)):
        return []
    if name == "body" and isinstance(value, list):
        return _imports_first(value)
    return value


def _imports_first(body: list[ast.stmt]) -> list[ast.stmt]:
    """Split imports into single names, in sorted order: formatters regroup and reorder them."""
    single: dict[str, ast.stmt] = {}
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for name in statement.names:
                one = type(statement)(**{**dict(ast.iter_fields(statement)), "names": [name]})
                single[ast.unparse(one)] = one
    rest = [s for s in body if not isinstance(s, ast.Import | ast.ImportFrom)]
    return [single[key] for key in sorted(single)] + rest


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


# ------------------------------------------------------------------------------- sources


class SourceIndex:
    """Content hashes of local source files, kept by (path, size, mtime, inode) between plans."""

    def __init__(self, cache_file: Path) -> None:
        self.cache_file = cache_file
        self._known: dict[str, list] = {}
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
        if known and known[0] == stamp:
            return known[1]
        with path.open("rb") as content:
            sha = hashlib.file_digest(content, "sha256").hexdigest()
        self._known[str(path)] = [stamp, sha]
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
