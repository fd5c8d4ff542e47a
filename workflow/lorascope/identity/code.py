"""Which modules decide a result: all that a stage's functions import, found without importing.

The functions that a stage runs are known by name, as "lorascope.models.salmonn.answerer:load". From
their modules, imports are followed through the syntax trees, those within functions too, as far as
they stay in lorascope and in the packages of the functions (a plug-in may live in another one).
Other packages count by their versions, which stand beside every result.

A module that cannot change a result says so, with its reason, in a constant ``HARMLESS``; it does
not count, and imports are not followed through it.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lorascope.errors import UserError
from lorascope.identity.digests import text_digest
from lorascope.identity.normal_form import is_for_typing, logic_digest_of
from lorascope.storage.records import checked_document, write_document

HARMLESS = "digests name files and decide nothing in them"

KIND = "outlines of modules"
PACKAGE = Path(__file__).resolve().parent.parent
"""Folder of this package."""


def code_digests(functions: Iterable[str]) -> dict[str, str]:
    """Return file -> digest of the logic of every module that decides what ``functions`` compute.

    functions: "module:name" each, or a module alone. Files are named relative to the folder that
    holds their package, as "lorascope/models/lora.py".
    """
    return CodeIndex().digests(functions)


def changed_code(planned: Mapping[str, str], cache_file: Path | None = None) -> list[str]:
    """Return those of the files in ``planned``, as `code_digests` made it, whose logic changed.

    A text that the plan has looked at, and kept in ``cache_file``, is not analysed again.
    """
    known = CodeIndex(cache_file).digest_of_text
    return [name for name, digest in planned.items() if _digest_now(name, known) != digest]


@dataclass(frozen=True)
class Outline:
    """What matters of a module: its text and logic, whether it counts, what it may import."""

    text: str
    digest: str
    harmless: bool
    is_empty: bool
    imports: list[str]


class CodeIndex:
    """What is known of modules, as long as their texts stay; kept between plans in a file."""

    def __init__(self, cache_file: Path | None = None) -> None:
        self.cache_file = cache_file
        self._known: dict[str, Outline] = {}
        self._fresh = False
        if cache_file and cache_file.exists():
            try:
                kept = checked_document(cache_file, KIND, _version())["modules"]
            except (ValueError, UserError):
                kept = {}  # only a cache: every module is read again
            self._known = {module: Outline(**found) for module, found in kept.items()}

    @property
    def digest_of_text(self) -> dict[str, str]:
        """Return digest of a module's text -> digest of its logic, of what is known."""
        return {one.text: one.digest for one in self._known.values() if not one.harmless}

    def digests(self, functions: Iterable[str]) -> dict[str, str]:
        """Return what `code_digests` does."""
        modules = self.closure(functions)
        return {name: modules[name].digest for name in sorted(modules)}

    def closure(self, functions: Iterable[str]) -> dict[str, Outline]:
        """Return name -> outline of every module that decides what ``functions`` compute.

        UserError for a function whose module does not exist.
        """
        waiting = [function.partition(":")[0] for function in functions]
        for module in waiting:
            if _file(module) is None:
                raise UserError(f"{module}: no such module on Python's path; install it")
        packages = {PACKAGE.name, *(module.partition(".")[0] for module in waiting)}
        found: dict[str, Outline] = {}
        seen: set[str] = set()
        while waiting:
            module = waiting.pop()
            if module in seen or module.partition(".")[0] not in packages:
                continue
            seen.add(module)
            if (file := _file(module)) is None:  # a name within a module
                continue
            known = self._outline(module, file)
            if not known.harmless:
                waiting += known.imports
                if not known.is_empty:
                    found[_name(file, module)] = known
        return found

    def save(self) -> None:
        """Keep what is known for the next plan; a read-only folder only makes that one slower."""
        if self.cache_file and self._fresh:
            kept = {module: asdict(found) for module, found in self._known.items()}
            try:
                write_document(self.cache_file, KIND, _version(), {"modules": kept})
            except UserError:
                return
            self._fresh = False

    def _outline(self, module: str, file: Path) -> Outline:
        source = file.read_text(encoding="utf-8")
        known = self._known.get(module)
        if known is None or known.text != text_digest(source):
            known = outline(source, module, file.name == "__init__.py")
            self._known[module], self._fresh = known, True
        return known


@cache
def outline(source: str, module: str, is_package: bool) -> Outline:
    """Return the outline of a module with this text and name."""
    tree, text = ast.parse(source), text_digest(source)
    if any(_says_harmless(statement) for statement in tree.body):
        return Outline(text, digest="", harmless=True, is_empty=False, imports=[])
    package = module if is_package else module.rpartition(".")[0]
    names = {name for node in _running(tree.body) for name in _imported(node, package)}
    parents = {parent for name in {module, *names} for parent in _parents(name)}
    return Outline(
        text,
        digest=logic_digest_of(source),
        harmless=False,
        is_empty=all(isinstance(statement, ast.Expr) for statement in tree.body),
        imports=sorted(names | parents),
    )


def _says_harmless(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "HARMLESS" for target in statement.targets
    )


def _running(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the statements in ``body`` and below, but those that are for a type checker alone."""
    for statement in body:
        if not is_for_typing(statement):
            yield statement
            for block in ("body", "orelse", "handlers", "finalbody", "cases"):
                yield from _running(getattr(statement, block, ()))


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Yield the dotted names that a statement in ``package`` imports, be they modules or not."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*above, *([base] if base else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _parents(module: str) -> Iterator[str]:
    """Yield the packages that Python runs before a module: "a" and "a.b" for "a.b.c"."""
    parts = module.split(".")[:-1]
    yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


# ------------------------------------------------------------------------------------ files


def _file(module: str) -> Path | None:
    """Return the file of a module, None if there is none by this name."""
    root = _root(module.partition(".")[0])
    if root is None:
        return None
    path = root.joinpath(*module.split("."))
    for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _name(file: Path, module: str) -> str:
    root = _root(module.partition(".")[0])
    assert root is not None, "its file was found there"
    return str(file.relative_to(root))


@cache
def _root(top: str) -> Path | None:
    """Return the folder that holds a top-level package or module; nothing is imported."""
    if top == PACKAGE.name:
        return PACKAGE.parent
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    file = Path(spec.origin)
    return file.parent.parent if file.name == "__init__.py" else file.parent


def _digest_now(name: str, known: Mapping[str, str]) -> str | None:
    """Return the digest of a file that `code_digests` named, None where it is gone.

    ``known`` are digests of logic by those of texts.
    """
    root = _root(Path(name).parts[0].removesuffix(".py"))
    try:
        source = (root / name).read_text(encoding="utf-8") if root else None
    except OSError:
        return None
    if source is None:
        return None
    return known.get(text_digest(source)) or logic_digest_of(source)


@cache
def _version() -> str:
    """Return a digest of what outlines are made by."""
    here = Path(__file__)
    texts = [path.read_text(encoding="utf-8") for path in (here, here.with_name("normal_form.py"))]
    return text_digest("".join(texts))
