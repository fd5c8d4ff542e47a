"""A digest covers the code that decides a result: all that a stage's functions import."""

import ast
from functools import cache
from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.identity.code import PACKAGE, CodeIndex, changed_code, code_digests
from lorascope.planning.audit import READ_TORCH
from lorascope.planning.derive import MAKERS
from lorascope.study.registry import BENCHMARKS, FAMILIES, PREDICTIONS, SCORERS, data_formats
from tests.support import studies
from tests.support.basics import printed
from tests.support.code_closures import DECIDES, NEVER

USED_BY_HARMLESS = {
    ("benchmarks/sakura/__init__.py", "benchmarks/sakura/items.py"): "counts items for a plan",
    ("benchmarks/squad/__init__.py", "benchmarks/squad/items.py"): "counts items for a plan",
    ("benchmarks/table/__init__.py", "benchmarks/table/sources.py"): "counts items for a plan",
    (
        "benchmarks/table/settings.py",
        "benchmarks/table/columns.py",
    ): "refuses, and hands nothing on",
    ("benchmarks/lm_eval/looking.py", "benchmarks/lm_eval/tasks.py"): "names tasks, by contents",
    ("models/hf_speech/__init__.py", "models/hf_speech/files.py"): "refuses, and hands nothing on",
    ("study/drifting.py", "study/adapted.py"): "asks for experiments, by what fingerprints hold",
    ("benchmarks/settings.py", "benchmarks/conditions.py"): "defaults, which fingerprints hold",
    (
        "planning/adapters.py",
        "models/deriving/shuffling.py",
    ): "refuses, and hands nothing on",
    ("inspecting/audit.py", "models/adapter_config.py"): "shows an adapter",
    **{
        ("inspecting/audit.py", f"models/auditing/{name}.py"): "shows an adapter"
        for name in ("adapters", "audit", "base", "oddities", "tensors")
    },
    **{
        ("planning/adapters.py", f"models/auditing/{name}.py"): "refuses, and hands nothing on"
        for name in ("adapters", "base", "tensors")
    },
    ("planning/report.py", "study/weights.py"): "names files, and labels that the job holds",
    ("inspecting/new/__init__.py", "benchmarks/table/files.py"): "reads, and guesses",
    ("inspecting/new/__init__.py", "benchmarks/table/options.py"): "reads, and guesses",
    ("inspecting/new/columns.py", "benchmarks/table/columns.py"): "reads, and guesses",
    ("inspecting/new/columns.py", "benchmarks/table/files.py"): "reads, and guesses",
    ("inspecting/new/guess.py", "benchmarks/table/columns.py"): "reads, and guesses",
    ("inspecting/new/guess.py", "benchmarks/table/files.py"): "reads, and guesses",
    ("inspecting/new/model.py", "models/adapter_config.py"): "shows an adapter's own scaling",
    ("inspecting/new/options.py", "benchmarks/table/files.py"): "reads, and guesses",
    ("inspecting/new/options.py", "benchmarks/table/options.py"): "reads, and guesses",
    ("inferring/claims.py", "inferring/shard.py"): "prepares it as its own job does",
    ("inspecting/overview.py", "models/finetuning/count.py"): "shows a number of parameters",
    ("planning/adapters.py", "models/adapter_config.py"): "refuses, and hands nothing on",
    ("planning/profiles.py", "models/adapter_config.py"): "the name of a file",
    ("planning/profiles.py", "models/profiles.py"): "refuses, and hands nothing on",
    ("study/scalings.py", "study/profiles.py"): "one way to write it, which fingerprints hold",
    ("study/scaling_words.py", "study/profiles.py"): "the name of a key",
    ("study/study.py", "study/profiles.py"): "the name of a key",
    ("planning/adapters.py", "models/strength/kinds.py"): "refuses, and hands nothing on",
    ("models/salmonn/__init__.py", "models/salmonn/files.py"): "the name of a file",
    ("planning/judge.py", "judging/prompts.py"): "refuses, and hands nothing on",
    ("study/baseline.py", "study/order.py"): "the order of names in a message",
    ("inspecting/answered.py", "benchmarks/items.py"): "shows items",
    ("inspecting/answered.py", "scoring/item_score.py"): "shows scores",
    ("inspecting/items/changes.py", "scoring/item_score.py"): "shows scores",
    ("inspecting/items/showing.py", "benchmarks/items.py"): "shows items",
    ("inspecting/items/showing.py", "scoring/item_score.py"): "shows scores",
    ("inspecting/items/__init__.py", "exchange/jsonl.py"): "writes what was decided elsewhere",
    ("exchange/formats.py", "exchange/jsonl.py"): "writes what was decided elsewhere",
    ("exchange/formats.py", "exchange/sakura.py"): "writes what was decided elsewhere",
    ("exchange/answers.py", "benchmarks/items.py"): "writes items",
    ("exchange/answers.py", "scoring/item_score.py"): "writes scores",
    ("exchange/every_eval_ever/__init__.py", "exchange/jsonl.py"): "writes JSON",
    ("exchange/every_eval_ever/aggregate.py", "exchange/jsonl.py"): "writes settings",
    ("exchange/every_eval_ever/aggregate.py", "scoring/item_score.py"): "writes scores",
    ("exchange/every_eval_ever/values.py", "scoring/item_score.py"): "writes scores",
    ("inspecting/prune.py", "study/order.py"): "the order of what is shown",
    ("inspecting/status.py", "study/order.py"): "the order of what is shown",
    ("study/declarations.py", "study/categories.py"): "checks a study by its categories",
}
"""A harmless module and one that is not, but that it imports -> why it decides nothing there."""


def stages() -> dict[str, tuple[str, ...]]:
    """Return what decides a result -> the functions that its stage runs."""
    found = {f"dataset {n}": ("dataset", BENCHMARKS[n].build_items) for n in BENCHMARKS.own}
    for name in FAMILIES.own:
        family = FAMILIES[name]
        if family.encoding:
            found[f"encode {name}"] = ("encode", family.encoding.load)
        found[f"infer {name}"] = ("infer", family.answerer)
        if family.training:
            for kind, data in data_formats().items():
                if callable(data.gives) or data.gives == family.takes:
                    functions = ("finetune", family.training.prepare, data.read)
                    found[f"finetune {name} on {kind}"] = functions
    found |= {
        f"importing {name}": ("importing", PREDICTIONS[name].read) for name in PREDICTIONS.own
    }
    found |= {f"score {name}": ("score", SCORERS[name].score_item) for name in SCORERS.own}
    found["audit"] = ("audit", READ_TORCH)
    found |= {f"derive {kind}": ("derive", make, READ_TORCH) for kind, make in MAKERS.items()}
    for name in FAMILIES.own:
        if own := FAMILIES[name].own_lora:
            found[f"audit {name}"] = ("audit", READ_TORCH, own.read)
    found |= {"search": ("search",), "judge": ("judge",), "report": ("report",), "page": ("page",)}
    return {k: (f"lorascope.stages.{stage}", *rest) for k, (stage, *rest) in found.items()}


@cache
def closure(stage: str) -> set[str]:
    """Return the files that decide a result, as paths within the package."""
    return {name.removeprefix("lorascope/") for name in code_digests(stages()[stage])}


@cache
def modules() -> dict[str, ast.Module]:
    """Return path within the package -> syntax tree of every module that holds any code."""
    trees = {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    return {path: tree for path, tree in trees.items() if len(tree.body) > 1}


@cache
def reasons() -> dict[str, object]:
    """Return harmless module -> the reason that it gives."""
    return {
        path: statement.value
        for path, tree in modules().items()
        for statement in tree.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "HARMLESS"
    }


def imports(tree: ast.Module) -> set[str]:
    """Return the modules of the package that a module imports when it runs, at any depth of it."""
    found = set()
    for node in _running(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    names = (name for name in found if name.split(".")[0] == "lorascope")
    return {path for name in names if (path := _file(name))}


def _running(node: ast.AST) -> list[ast.AST]:
    """Return all nodes but those below ``if TYPE_CHECKING``."""
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        return []
    below = [inner for child in ast.iter_child_nodes(node) for inner in _running(child)]
    return [node, *below]


def _file(name: str) -> str | None:
    """Return a module's path within the package: "models/lora.py" for lorascope.models.lora."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return str(file.relative_to(PACKAGE))
    return None


# ----------------------------------------------------------------------- this package's modules


def test_every_result_is_looked_at():
    assert stages().keys() == DECIDES.keys()


@pytest.mark.parametrize("stage", stages())
def test_what_decides_a_result_is_in_its_digest(stage):
    assert closure(stage) >= DECIDES[stage]


@pytest.mark.parametrize("stage", stages())
def test_what_a_stage_imports_is_in_its_digest(stage):
    code, all_modules = closure(stage), modules()
    for module in code:
        lacking = (imports(all_modules[module]) & all_modules.keys()) - code - reasons().keys()
        assert not lacking, f"{module} imports {sorted(lacking)}, not in the digest of {stage}"


@pytest.mark.parametrize("stage", stages())
def test_no_harmless_module_is_in_a_digest(stage):
    assert not closure(stage) & (reasons().keys() | NEVER)


def test_a_harmless_module_says_why():
    assert reasons().keys() >= NEVER
    for module, reason in reasons().items():
        assert isinstance(reason, ast.Constant) and reason.value.strip(), module


def test_what_a_harmless_module_imports_is_harmless_too():
    harmless, all_modules = reasons(), modules()
    used = {(m, other) for m in harmless for other in imports(all_modules[m])}
    found = {(m, other) for m, other in used if other in all_modules and other not in harmless}
    assert found == USED_BY_HARMLESS.keys()


@pytest.mark.parametrize("name", FAMILIES.own)
def test_every_module_of_a_family_decides_something(name):
    own = {module for module in modules() if module.startswith(f"models/{name}/")}
    code = {module for stage in stages() if f" {name}" in stage for module in closure(stage)}
    assert own - {f"models/{name}/__init__.py"} <= code


def test_a_plan_has_the_digests_of_what_its_stages_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = studies.write(studies.STUDY)
    planned = plan.experiments["SF-1"]
    for stage, fingerprint in {
        "dataset sakura": planned.dataset.fingerprint,
        "encode salmonn": planned.features.fingerprint,
        "infer salmonn": planned.fingerprint,
        "score choice": plan.scores["SF-1"].fingerprint,
        "report": plan.report.fingerprint,
        "page": plan.page.fingerprint,
    }.items():
        assert fingerprint["code"] == code_digests(stages()[stage])


def test_no_module_is_imported_to_be_looked_at():
    code = (
        "import sys; from lorascope.identity.code import code_digests; "
        "code_digests(['lorascope.stages.finetune', 'lorascope.models.salmonn.training:prepare']); "
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('torch', 'numpy', 'pydantic')"
        " or m.startswith(('lorascope.stages', 'lorascope.models', 'lorascope.benchmarks'))))"
    )
    assert printed(code) == "[]\n"


# ----------------------------------------------------------------------------- other packages


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return what writes a module of the package ``plugin`` and returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / f"plugin_{tmp_path.name.replace('-', '_')}"
    package.mkdir()
    (package / "__init__.py").touch()

    def write_module(name: str, text: str) -> str:
        path = package.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return f"{package.name}.{name}"

    return write_module


def found(*functions: str) -> set[str]:
    """Return the names of the files below their packages."""
    return {name.partition("/")[2] for name in code_digests(functions)}


def test_imports_are_followed_wherever_they_stand(write):
    for name in ("a", "b", "c", "d", "e", "f"):
        write(name, "x = 1")
    module = write(
        "main",
        "from . import a\n"
        "def run(x):\n"
        "    from .b import x\n"
        "    try:\n        from .c import x\n"
        "    except ImportError:\n        from .d import x\n"
        "    match x:\n        case 1:\n            from .e import x\n"
        "    with x:\n        class Inner:\n            from .f import x\n",
    )
    names = {f"{letter}.py" for letter in "abcdef"}
    assert found(f"{module}:run") == {"main.py", *names} == found(module)


def test_what_is_for_a_type_checker_alone_is_not_followed(write):
    write("types_only", "x = 1")
    module = write(
        "main",
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from .types_only import x\nx = 2\n",
    )
    assert found(module) == {"main.py"}


def test_a_plugin_counts_with_what_it_uses_of_this_package_and_of_its_own(write):
    write("inner.deep", "from ..base import x")
    write("base", "import lorascope.models.lora")
    module = write("main", "import os, torch\nfrom .inner import deep")
    names = found(module)
    assert names >= {"main.py", "inner/deep.py", "base.py", "models/lora.py", "models/weights.py"}
    assert names == {"main.py", "inner/deep.py", "base.py"} | found("lorascope.models.lora")


def test_packages_on_the_way_to_a_module_count_unless_they_are_empty(write):
    write("inner.__init__", '"""What it holds."""')
    write("inner.deep", "x = 1")
    write("full.__init__", "x = 1")
    write("full.deep", "x = 1")
    module = write("main", "from .inner import deep\nfrom .full.deep import x")
    assert found(module) == {"main.py", "inner/deep.py", "full/__init__.py", "full/deep.py"}


def test_a_harmless_module_hides_what_it_imports(write):
    write("hidden", "x = 1")
    write("harmless", 'from . import hidden\nHARMLESS = "looks"')
    module = write("main", "from . import harmless")
    assert found(module) == {"main.py"}


def test_modules_that_import_each_other_are_no_trouble(write):
    write("other", "from . import main")
    assert found(write("main", "from . import other")) == {"main.py", "other.py"}


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"lorascope\.models\.nowhere: no such module"):
        code_digests(["lorascope.models.nowhere:load"])
    with pytest.raises(UserError, match="no_such_plugin: no such module on Python's path; install"):
        code_digests(["no_such_plugin:load"])


# ------------------------------------------------------------------------------------- changes


def test_a_change_of_logic_is_seen_and_a_comment_is_not(write):
    module = write("main", "from . import other")
    write("other", "x = 1")
    planned = code_digests([module])
    assert changed_code(planned) == []
    write("other", "x = 1  # metres")
    assert changed_code(planned) == []
    assert code_digests([module]) == planned
    write("other", "x = 2")
    (name,) = changed_code(planned)
    assert name.endswith("/other.py")
    assert code_digests([module]) != planned


def test_a_module_that_is_gone_has_changed(write, tmp_path):
    planned = code_digests([write("main", "x = 1")])
    (name,) = planned
    (tmp_path / name).unlink()
    assert changed_code(planned) == [name]


def test_a_text_that_the_plan_has_looked_at_is_not_analysed_again(write, tmp_path, monkeypatch):
    module, cache = write("main", "x = 1"), tmp_path / "code.json"
    index = CodeIndex(cache)
    planned = index.digests([module])
    index.save()
    with monkeypatch.context() as patch:
        patch.setattr("lorascope.identity.code.logic_digest_of", None)  # analysing would fail
        assert changed_code(planned, cache) == []
    write("main", "x = 2")
    assert changed_code(planned, cache) == [*planned]
    write("main", "x = 1  # metres")
    assert changed_code(planned, cache) == []


def test_what_is_known_of_modules_is_kept_and_read_again_where_they_changed(
    write, tmp_path, monkeypatch
):
    module, cache = write("main", "from . import other"), tmp_path / "code.json"
    write("other", "x = 1")
    index = CodeIndex(cache)
    first = index.digests([module])
    index.save()
    with monkeypatch.context() as patch:
        patch.setattr("lorascope.identity.code.outline", None)  # parsing again would fail
        assert CodeIndex(cache).digests([module]) == first
    write("other", "from . import third")
    write("third", "x = 1")
    second = CodeIndex(cache).digests([module])
    assert second != first
    assert {Path(name).name for name in second} == {"main.py", "other.py", "third.py"}


@pytest.mark.parametrize("damage", ["{", "[]", "{}", "null", '{"modules": {"m": {"text": 1}}}'])
def test_a_damaged_cache_of_modules_is_only_slower(write, tmp_path, damage):
    module, cache = write("main", "x = 1"), tmp_path / "code.json"
    index = CodeIndex(cache)
    first = index.digests([module])
    index.save()
    kept = cache.read_text()
    for damaged in (damage, kept.replace('"harmless": false', '"harmless": true')):
        assert damaged != kept
        cache.write_text(damaged)
        assert CodeIndex(cache).digests([module]) == first


def test_a_cache_that_cannot_be_written_is_only_slower(write, tmp_path):
    (tmp_path / "folder").touch()
    index = CodeIndex(tmp_path / "folder" / "code.json")
    digests = index.digests([write("main", "x = 1")])
    index.save()
    assert len(digests) == 1
