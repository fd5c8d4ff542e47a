r"""The normal form of a module: what it computes, without how that is written down.

Digests of results hold digests of code. Were a module's text hashed, a comment would start every
GPU again; so its syntax tree is brought into a form of nested lists first, in which

- docstrings, comments, annotations, types for a checker alone, and layout are gone,
- imports stand first, one name each, in alphabetical order, since formatters regroup them,
- what people read (print, log.info, UserError, any exception's arguments) has no wording,
- nothing depends on the version of Python, as ``ast.dump`` does.

Two modules with one form compute the same:

>>> digest = logic_digest_of("import math\nx: float = 2  # metres")
>>> digest == logic_digest_of("'''Lengths.'''\nimport math\n\nx = 2")
True
>>> digest == logic_digest_of("import math\nx = 3")
False

A form names each node of the syntax tree and what is in it, and what is no node by its type:

>>> normal_form(ast.parse("-x").body[0].value)
['UnaryOp', [['op', ['USub', []]], ['operand', ['Name', [['id', ['str', "'x'"]]]]]]]

An error counts by its kind, not by its words; a message by what it is told, not by how:

>>> normal_form(ast.parse("raise ValueError(f'no {x}')").body[0])
['Raise', ['Name', [['id', ['str', "'ValueError'"]]]]]
>>> normal_form(ast.parse("print('at work', x)").body[0].value)
['Message', [['Name', [['id', ['str', "'x'"]]]]]]
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from lorascope.identity.digests import text_digest, to_json

HARMLESS = "digests name files and decide nothing in them"

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
_LEFT_OUT = {"annotation", "returns", "type_comment", "type_params", "ctx", "kind"}


def logic_digest(file: Path) -> str:
    """Return the digest of what ``file`` computes: that of its normal form."""
    return logic_digest_of(file.read_text(encoding="utf-8"))


@cache
def logic_digest_of(source: str) -> str:
    """Return the digest of what a module computes, given its text."""
    return text_digest(to_json(normal_form(ast.parse(source))))


def normal_form(node: Any) -> Any:
    """Return the normal form of a syntax tree as nested lists (None: leave it out)."""
    if isinstance(node, list):
        return [form for item in node if (form := normal_form(item)) is not None]
    if not isinstance(node, ast.AST):
        return [type(node).__name__, repr(node)]
    if isinstance(node, ast.Raise):
        return ["Raise", normal_form(getattr(node.exc, "func", node.exc))]
    if isinstance(node, ast.AnnAssign):
        if node.value is None:
            return ["Declare", normal_form(node.target)]
        return [
            "Assign",
            [["targets", [normal_form(node.target)]], ["value", normal_form(node.value)]],
        ]
    if isinstance(node, ast.Call) and _called(node) in MESSAGE_CALLS:
        return ["Message", [normal_form(a) for a in node.args if not _is_text(a)]]
    if is_for_typing(node) or (isinstance(node, ast.Expr) and _is_text(node.value)):
        return None
    fields = [(name, normal_form(_field(node, name))) for name in node._fields]
    return [type(node).__name__, [[n, f] for n, f in fields if f not in (None, [])]]


def is_for_typing(node: ast.AST) -> bool:
    """Return whether a statement is ``if TYPE_CHECKING: ...``, which never runs."""
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def _field(node: ast.AST, name: str) -> Any:
    value = getattr(node, name, None)
    if name in _LEFT_OUT or (value is None and not isinstance(node, ast.Constant)):
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
