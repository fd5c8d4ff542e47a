"""The conda environments hold what their stages import, at the pins of requirements.lock."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from tests.support.basics import ROOT

WORKFLOW = ROOT / "workflow"
PACKAGE = WORKFLOW / "lorascope"
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# What stages import by a name from the study.
PLUGINS = {
    "encode": ["models", "benchmarks"],
    "infer": ["models", "benchmarks"],
    "dataset": ["benchmarks"],
    "score": ["benchmarks", "scoring"],
    "search": ["benchmarks", "scoring"],
}


def pins(lines: list[str]) -> dict[str, str]:
    """Return package -> version of lines such as ``numpy==2.4.6``."""
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), pairs
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def environment(file: Path) -> tuple[list[str], dict[str, str]]:
    """Return an environment's conda packages and its pins for pip."""
    packages = yaml.safe_load(file.read_text(encoding="utf-8"))["dependencies"]
    conda = [package for package in packages if isinstance(package, str)]
    (pip,) = [package["pip"] for package in packages if not isinstance(package, str)]
    return conda, pins(pip)


LOCK = pins((ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines())


def stages(environment_name: str) -> list[str]:
    """Return the stages that the rules run in an environment."""
    rules = "\n".join(file.read_text() for file in sorted((WORKFLOW / "rules").glob("*.smk")))
    blocks = re.split(r"^(?= *(?:rule|checkpoint) )", rules, flags=re.M)
    return [
        stage[1]
        for block in blocks
        if f"envs/{environment_name}" in block
        and (stage := re.search(r"python -m lorascope\.stages\.(\w+)", block))
    ]


@cache
def imported(file: Path) -> frozenset[str]:
    """Return the dotted names that a module imports anywhere in it, except for typing alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(_names(tree.body))


def _names(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)
        yield from _names(list(ast.iter_child_nodes(node)))


def modules(name: str) -> list[Path]:
    """Return the file of a dotted name of the package, and its parents' files."""
    parts = name.split(".")[1:]
    files = [PACKAGE / "__init__.py"]
    for i in range(1, len(parts) + 1):
        stem = PACKAGE.joinpath(*parts[:i])
        files += [file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.exists()]
    return files


@cache
def distributions() -> dict[str, list[str]]:
    """Return the installed packages that provide each top-level module."""
    found = packages_distributions().items()
    return {module: [name.lower().replace("_", "-") for name in names] for module, names in found}


def packages_of(stage: str) -> set[str]:
    """Return the distributions that a stage imports, itself or through the package's modules."""
    todo = modules(f"lorascope.stages.{stage}")
    todo += [file for folder in PLUGINS.get(stage, []) for file in (PACKAGE / folder).rglob("*.py")]
    seen: set[Path] = set()
    found: set[str] = set()
    while todo:
        if (file := todo.pop()) in seen:
            continue
        seen.add(file)
        for name in imported(file):
            if name.startswith("lorascope."):
                todo += modules(name)
            else:
                found.add(name.partition(".")[0])
    return {d for name in found for d in distributions().get(name, [])}


def test_every_rule_has_an_environment():
    used = [stage for file in ENVIRONMENTS for stage in stages(file.name)]
    files = {file.stem for file in (PACKAGE / "stages").glob("*.py")} - {"__init__", "command"}
    assert sorted(used) == sorted(files)


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_pins_are_those_of_the_lock(file):
    conda, pip = environment(file)
    assert conda == ["python=3.11", "pip"]
    assert pip == {name: LOCK.get(name) for name in pip}


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environment_holds_what_its_stages_import(file):
    needed = set().union(*map(packages_of, stages(file.name)))
    assert needed
    assert needed - environment(file)[1].keys() == set()
