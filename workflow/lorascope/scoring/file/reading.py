"""What a user's scorer says of itself, read and not run: planning runs nobody's code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from lorascope.errors import UserError, shown, unreadable
from lorascope.identity.code import outline
from lorascope.storage.files import regular
from lorascope.study.settings import NAME

HARMLESS = "reads what the files say whose content is in the fingerprint"

FUNCTION = "score_item"


def declared_metrics(file: Path) -> tuple[str, ...] | None:
    """Return the ``METRICS`` of a scorer, None where it has none or is not here.

    UserError unless it is a Python file that defines ``score_item``, and for other values.
    """
    if not file.exists():
        return None
    tree = _tree(file)
    names = set(_defined(tree))
    if not names & {FUNCTION, "*"}:
        raise UserError(f"{file}: defines no {FUNCTION}(response, item); write this function")
    value = next(filter(None, map(_metrics, tree.body)), None)
    return None if value is None else checked_metrics(_literal(value, file), str(file))


def checked_metrics(value: object, file: str) -> tuple[str, ...]:
    """Return the names of metrics in a value of ``METRICS``; UserError unless it holds some."""
    names = value if isinstance(value, tuple | list) else ()
    are_names = all(isinstance(name, str) and re.fullmatch(NAME, name) for name in names)
    if not names or not are_names or len({*names}) < len(names):
        raise UserError(
            f"{file}: its metrics are {shown(value)}; give names of letters, digits, '.', '_' and "
            '\'-\', each once: METRICS = ("length", "style")'
        )
    return tuple(names)


def local_modules(file: Path) -> dict[str, Path]:
    """Return name -> file of the modules beside a scorer that it imports, directly or not.

    UserError for an import relative to the folder, which is no package.
    """
    found: dict[str, Path] = {}
    waiting = _imports(file, file.stem)
    while waiting:
        name = waiting.pop()
        path = _beside(file.parent, name)
        if path and name not in found and path != file:
            found[name] = path
            waiting += _imports(path, name)
    return found


def _imports(file: Path, module: str) -> list[str]:
    """Return the dotted names that a module imports, and the packages on the way to them."""
    is_package = file.name == "__init__.py"
    if not is_package and "." not in module:
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.ImportFrom) and node.level:
                raise UserError(
                    f"{file}: line {node.lineno}: imports relative to a package, which its folder "
                    f"is not; write import {node.module or node.names[0].name}"
                )
    return [*outline(source_of(file), module, is_package).imports]


def _beside(folder: Path, module: str) -> Path | None:
    path = folder.joinpath(*module.split("."))
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _tree(file: Path) -> ast.Module:
    try:
        return ast.parse(source_of(file))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        number = getattr(error, "lineno", None)
        line = f"line {number}: " if number else ""
        raise UserError(f"{file}: {line}is no Python: {error}") from None


def source_of(file: Path) -> str:
    """Return the text of a Python file; UserError where it cannot be read."""
    try:
        return regular(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is no Python in UTF-8: {error}") from None
    except OSError as error:
        raise unreadable(error, "a scorer's code") from None


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module's statements define at its top; "*" for any."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif not isinstance(node, ast.Expr):  # an assignment, or a block that may define it
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name))
            yield from (n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef))


def _metrics(statement: ast.stmt) -> ast.expr | None:
    """Return the value of METRICS where a statement assigns it."""
    if isinstance(statement, ast.AnnAssign):
        targets: list[ast.expr] = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        return None
    is_it = any(isinstance(target, ast.Name) and target.id == "METRICS" for target in targets)
    return statement.value if is_it else None


def _literal(value: ast.expr, file: Path) -> object:
    try:
        found: object = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError):
        raise UserError(
            f"{file}: line {value.lineno}: METRICS has to be written out, since planning reads it "
            'without running the file: METRICS = ("length", "style")'
        ) from None
    return found
