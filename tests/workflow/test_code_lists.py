"""A digest covers the code that decides a result: all a stage imports is listed, or harmless."""

import ast

import pytest

from lorascope.benchmarks import BENCHMARKS, benchmark
from lorascope.identity import PACKAGE, code_digests
from lorascope.models import FAMILIES, family
from lorascope.recipes import CODE
from lorascope.scoring import CODE as SCORER_CODE

# Modules that cannot change a result, and why.
HARMLESS = {
    "__init__.py": "empty",
    "benchmarks/__init__.py": "looks modules up by name",
    "models/__init__.py": "looks modules up by name",
    "models/protocol.py": "types",
    "scoring/__init__.py": "looks modules up by name",
    "stages/__init__.py": "empty",
    "stages/command.py": "command line, log, refusals",
    "errors.py": "messages",
    "identity.py": "digests",
    "planned.py": "paths",
    "records.py": "files, whose content is checked when read",
    "locks.py": "who waits for whom",
    "journal.py": "answers as they come, checked when read",
    "devices.py": "which GPU",
    "progress.py": "what is shown",
    "memory.py": "smaller batches where memory lacks, which is recorded",
    "hub.py": "downloads, at the commit that the recipe names",
    "reporting/__init__.py": "empty",
}


def module_file(name: str) -> str | None:
    """Return a module's path within the package: "models/lora.py" for lorascope.models.lora."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return str(file.relative_to(PACKAGE))
    return None


def imports(file: str) -> set[str]:
    """Return the modules of the package that a module imports when it runs, at any depth of it."""
    found = set()
    for node in _running(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    names = (name for name in found if name.split(".")[0] == "lorascope")
    return {path for name in names if (path := module_file(name))}


def _running(node: ast.AST) -> list[ast.AST]:
    """Return all nodes but those below ``if TYPE_CHECKING``."""
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        return []
    below = [inner for child in ast.iter_child_nodes(node) for inner in _running(child)]
    return [node, *below]


def listed(*modules: str) -> set[str]:
    return set(code_digests(modules))


def stages() -> dict[str, tuple[set[str], set[str]]]:
    """Return what decides a result -> its code list, and the lists of the stages before it."""
    data = {name: listed(*CODE["dataset"], *benchmark(name).CODE) for name in BENCHMARKS}
    upstream = set().union(*data.values())
    found = {f"dataset {name}": (code, set()) for name, code in data.items()}
    for name in FAMILIES:
        encode = set()
        if family(name).ENCODES:
            encode = listed(*CODE["encode"], *family(name).ENCODE_CODE)
            found[f"encode {name}"] = (encode, upstream)
        infer = listed(*CODE["infer"], *family(name).INFER_CODE)
        found[f"infer {name}"] = (infer, upstream | encode)
        upstream = upstream | encode | infer
    for name, code in SCORER_CODE.items():
        found[f"score {name}"] = (listed(*CODE["score"], *code), upstream)
    found["report"] = (listed(*CODE["report"]), upstream)
    return found


@pytest.mark.parametrize("stage", stages())
def test_what_a_stage_imports_is_in_its_digest(stage: str) -> None:
    code, upstream = stages()[stage]
    # A family's package module leads to all of its submodules, each of which only one stage loads.
    families = {f"models/{name}/__init__.py" for name in FAMILIES}
    for module in code - families:
        unlisted = imports(module) - code - upstream - HARMLESS.keys()
        assert not unlisted, f"{module} imports {sorted(unlisted)}, which {stage} does not list"


def test_the_list_of_harmless_modules_is_true() -> None:
    for module in HARMLESS:
        assert (PACKAGE / module).is_file()
    for code, _ in stages().values():
        assert not code & HARMLESS.keys()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_module_of_a_family_is_listed(name: str) -> None:
    module = family(name)
    code = listed(*(module.ENCODE_CODE if module.ENCODES else ()), *module.INFER_CODE)
    assert code >= listed(f"models/{name}/")
