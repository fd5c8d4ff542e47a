"""Nobody but the registry knows a plug-in by its name."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lorascope.study.adapters import TrainSettings
from lorascope.study.experiments import ExperimentSettings
from lorascope.study.registry import BENCHMARKS, FAMILIES, FORMATS, PREDICTIONS, SCORERS
from tests.support.basics import ROOT

PACKAGE = ROOT / "workflow/lorascope"
REGISTRIES = (FAMILIES, BENCHMARKS, SCORERS, FORMATS, PREDICTIONS)
# Plug-ins whose names are words of the language, which nobody can do without.
WORDS = {"exact", "number", "f1", "likelihood", "perplexity", "file", "judge", "preference"}
# Words that are the name of a plug-in and something else, too: the column of scores,
# the suffix of journals and of a file of cases, a published protocol of judges.
NAMESAKES = {
    ("judging/prompts.py", "choice"),
    ("judging/prompts.py", "sakura"),
    ("judging/reading.py", "choice"),
    ("scoring/replies.py", "choice"),
    ("study/judges.py", "sakura"),
    ("inspecting/new/columns.py", "choice"),
    ("reporting/browsing/index.py", "choice"),
    ("reporting/choices.py", "choice"),
    ("reporting/crossfitting.py", "choice"),
    ("study/choices.py", "choice"),
    ("study/study.py", "choice"),
    ("planning/report.py", "choice"),
    ("study/searches.py", "choice"),
    ("scoring/item_score.py", "choice"),
    ("stages/score.py", "choice"),
    ("study/reference.py", "choice"),
    ("scoring/file/scorer.py", "choice"),
    ("scoring/lm_eval/judge.py", "choice"),
    ("scoring/choice/__main__.py", "jsonl"),
    ("exchange/answers.py", "choice"),
    ("exchange/every_eval_ever/samples.py", "choice"),
    ("inspecting/items/showing.py", "choice"),
    ("exchange/every_eval_ever/__init__.py", "jsonl"),
    ("exchange/every_eval_ever/aggregate.py", "jsonl"),
    ("exchange/formats.py", "jsonl"),
    ("exchange/jsonl.py", "jsonl"),
    ("exchange/formats.py", "sakura"),
    ("inspecting/items/__init__.py", "jsonl"),
    ("judging/calls.py", "jsonl"),
    ("storage/journal.py", "jsonl"),
    ("benchmarks/table/files.py", "jsonl"),
    ("benchmarks/table/settings.py", "jsonl"),
    ("exchange/lm_eval.py", "jsonl"),
}
# Words of every day, which stand for anything.
EVERYDAY = {"table", "adapt"}


def home(place: str) -> str:
    """Return the file or folder, in a room of the package, of what is declared at a place."""
    module = Path(*place.partition(":")[0].split(".")[1:3])
    return str(module if (PACKAGE / module).is_dir() else module.with_suffix(".py"))


HOMES = {
    name: tuple(home(r.own[name]) for r in REGISTRIES if name in r.own)
    for registry in REGISTRIES
    for name in registry.own
}


def words(tree: ast.AST) -> Iterator[str]:
    """Yield the names in code and the words in its strings; not in comments and docstrings."""
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from () if id(node) in prose else re.findall(r"\w+", node.value)
        for attribute in ("id", "attr", "arg", "module", "name"):
            if isinstance(found := getattr(node, attribute, None), str):
                yield from found.split(".")


def picked(tree: ast.AST) -> Iterator[str]:
    """Yield the strings by which code picks a plug-in: looked up, or compared with its name."""
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Subscript):
            parts = [node.value, node.slice]
        elif isinstance(node, ast.Call):
            parts = [node.func, *node.args]
        names = {*words(ast.Tuple([p for p in parts if not isinstance(p, ast.Constant)]))}
        if names & {"SCORERS", "scorer"}:
            inner = (found for part in parts for found in ast.walk(part))
            yield from (n.value for n in inner if isinstance(n, ast.Constant) and n.value in WORDS)


@cache
def words_of(path: Path) -> frozenset[str]:
    """Return the words of a module; of `WORDS`, those by which it picks a plug-in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset((frozenset(words(tree)) - WORDS) | {*picked(tree)})


@pytest.mark.parametrize("name", sorted(HOMES.keys() - EVERYDAY))
def test_no_room_names_a_foreign_plug_in(name):
    registry = PACKAGE / "study/registry.py"
    foreign = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path != registry
        and not str(path.relative_to(PACKAGE)).startswith(HOMES[name])
        and name in words_of(path)
    ]
    assert [where for where in foreign if (where, name) not in NAMESAKES] == []


@pytest.mark.parametrize("name", sorted(HOMES.keys() - EVERYDAY))
def test_no_rule_names_a_plug_in(name):
    rules = [ROOT / "Snakefile", ROOT / "workflow/Snakefile", *(ROOT / "workflow/rules").iterdir()]
    pattern = rf"scorer\W+{name}\b" if name in WORDS else rf"\b{name}\b"
    assert [path.name for path in rules if re.search(pattern, path.read_text())] == []


@pytest.mark.parametrize("name", [*FAMILIES.own])
def test_no_room_names_the_settings_that_one_family_has(name):
    family, general = FAMILIES[name], ExperimentSettings.model_fields | TrainSettings.model_fields
    models = [family.experiment, family.training.settings if family.training else None]
    own = {key for model in models if model for key in model.model_fields} - general.keys()
    foreign = [
        (str(path.relative_to(PACKAGE)), key)
        for path in PACKAGE.rglob("*.py")
        if not str(path.relative_to(PACKAGE)).startswith(HOMES[name])
        for key in (own - EVERYDAY) & words_of(path)
    ]
    assert foreign == []


def test_the_scan_for_names_that_are_words_finds_them():
    for text in ('SCORERS["file"]', 'x.scorer == "file"', 'SCORERS.require("file", y)',
                 'x.scorer in ("f", "file")'):  # fmt: skip
        assert [*picked(ast.parse(text))] == ["file"]
    assert [*picked(ast.parse('open("file") == x["file"]'))] == []


def test_the_scan_for_names_finds_them():
    text = 'def f(x):\n    "on salmonn"\n    return f.squad("a hf_text")  # choice\n'
    assert {"squad", "hf_text"} <= {*words(ast.parse(text))}
    assert not {"salmonn", "choice"} & {*words(ast.parse(text))}
