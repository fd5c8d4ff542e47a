"""Tasks that are not run here are refused while a study is planned, each with its reason."""

from pathlib import Path

import pytest

from lorascope.benchmarks.lm_eval import looking
from lorascope.benchmarks.lm_eval.generation import generation_of
from lorascope.errors import UserError
from tests.support.basics import printed
from tests.support.lm_eval_tasks import in_this_process, settings, write_task, write_yaml

CUSTOM = [{"name": "own", "filter": [{"function": "custom", "filter_fn": "x"}]}]
MCC = [{"metric": "mcc"}]
REASONS = {
    "unsafe_code": ({"unsafe_code": True}, "it runs the code that a model writes"),
    "images": ({"doc_to_image": "question"}, "it shows images"),
    "audio": ({"doc_to_audio": "question"}, "it plays audio"),
    "prompts": ({"use_prompt": "x:y"}, "its prompts come from the package promptsource"),
    "repeats": ({"repeats": 3}, "it asks each question 3 times (repeats), and here once a run"),
    "type": ({"output_type": "speak"}, "output_type speak is none of loglikelihood, multiple_"),
    "filter": ({"filter_list": CUSTOM}, "filter custom: it sees the responses to all items"),
    "mcc": ({"metric_list": MCC}, "metric mcc: its aggregation matthews_corrcoef is no mean of"),
    "unknown": ({"metric_list": [{"metric": "rouge"}]}, "metric rouge: it is code that is fetched"),
    "keys": ({"colour": "red"}, "its configuration cannot be read: TypeError"),
    "splits": ({"test_split": None, "validation_split": None}, "it has neither test_split nor"),
    "url": (
        {"dataset_kwargs": {"data_files": {"test": "https://example.org/a.jsonl"}}},
        "its data are fetched from https://example.org/a.jsonl; download them, name the file",
    ),
    "nowhere": ({"dataset_path": "/no/such"}, "dataset_path: /no/such is neither a folder below"),
    "kwargs": (
        {"of": "gsm8k", "generation_kwargs": {"until": ["x"], "penalty": 2}},
        "generation_kwargs: penalty has no counterpart here",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(looking, "_ask", in_this_process)
    return tmp_path


def refused(**keys):
    with pytest.raises(UserError) as caught:
        looking.look(settings(**keys))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", REASONS)
def test_a_task_that_is_not_run_here_is_refused_with_the_reason(folder, name):
    changes, reason = REASONS[name]
    write_task(folder, name, **{"of": "arc_easy", **changes})
    assert refused(task=f"tasks/tiny_{name}.yaml").startswith(
        f"task: tiny_{name} is not run here: {reason}"
    )


def test_a_python_class_is_refused(folder):
    write_yaml(folder, "x", {"task": "x", "class": "somewhere.Task"})
    said = refused(task="tasks/x.yaml")
    assert said == "task: x is not run here: it is a Python class of its own, not a configuration"


def test_functions_that_cannot_be_imported_are_named(folder):
    path = folder / "tasks/x.yaml"
    path.parent.mkdir()
    path.write_text("task: x\ndataset_path: json\nprocess_docs: !function own.run\n")
    (path.parent / "own.py").write_text("import no_such_package\n")
    assert "its functions cannot be imported: ModuleNotFoundError: No module named 'no_such" in (
        refused(task="tasks/x.yaml")
    )


def test_a_judge_that_is_asked_over_a_network_is_refused(folder):
    path = folder / "tasks/x.yaml"
    write_task(folder, "x", of="arc_easy")
    path = folder / "tasks/tiny_x.yaml"
    path.write_text(path.read_text() + "process_results: !function own.run\n")
    (path.parent / "own.py").write_text("def run(doc, results):\n    import openai\n")
    assert "own.py asks a model by the package openai" in refused(task="tasks/tiny_x.yaml")


def test_a_name_that_no_task_has_is_refused_with_the_ones_it_may_mean(folder, monkeypatch):
    write_task(folder, "arc_easy")
    from lorascope.benchmarks.lm_eval import describe

    monkeypatch.setattr(describe, "_of_harness", lambda kept: {})
    said = refused(task="tiny_arc_esy", include_path="tasks")
    assert said == (
        "task: no task, group or tag is called 'tiny_arc_esy'; did you mean tiny_arc_easy?"
    )
    (folder / "tasks/broken.yaml").write_text("task: [")
    assert "tasks/broken.yaml cannot be read: ParserError" in refused(
        task="other", include_path="tasks"
    )
    assert refused(task="tasks/no.yaml") == (
        "task: tasks/no.yaml: no such file, or one without a task; correct the path"
    )
    assert refused(task="x", include_path="no") == (
        "include_path: no: no such folder; correct the path"
    )


def test_a_task_that_comes_twice_is_refused(folder):
    write_task(folder, "arc_easy")
    write_yaml(folder, "both", {"group": "both", "task": ["tiny_arc_easy"]})
    said = refused(task=["both", "tiny_arc_easy"], include_path="tasks")
    assert said == "task: tiny_arc_easy comes twice, by itself or in a group; name it once"


def test_a_task_of_a_group_that_is_refused_is_named_with_what_to_do(folder):
    write_task(folder, "arc_easy")
    write_task(folder, "code", of="arc_easy", unsafe_code=True)
    write_yaml(folder, "both", {"group": "both", "task": ["tiny_arc_easy", "tiny_code"]})
    assert refused(task="both", include_path="tasks") == (
        "task: tiny_code is not run here: it runs the code that a model writes; name the others "
        "without it"
    )


def test_tasks_with_different_metrics_are_not_counted_together(folder):
    write_task(folder, "arc_easy")
    write_task(folder, "truthfulqa_mc1")
    tasks = ["tasks/tiny_arc_easy.yaml", "tasks/tiny_truthfulqa_mc1.yaml"]
    assert refused(task=tasks, category="both") == (
        "category: tiny_arc_easy has the metrics acc (none), acc_norm (none), tiny_truthfulqa_mc1 "
        "has acc (none); leave it out, and each task is counted apart"
    )


def test_where_the_harness_is_not_installed_the_command_is_said(folder, monkeypatch):
    monkeypatch.setattr(looking, "version", missing)
    assert refused(task="arc_easy") == (
        "benchmark lm_eval needs lm-evaluation-harness, which is not installed; run "
        "pip install 'lorascope[lm-eval]'"
    )


def missing(name):
    raise looking.PackageNotFoundError(name)


# ---------------------------------------------------------------------------------- looking


def test_a_look_is_kept_until_a_file_changes(folder, monkeypatch):
    write_task(folder, "arc_easy")
    given = settings(task="tiny_arc_easy", include_path="tasks", items=3)
    asked = []
    monkeypatch.setattr(looking, "_ask", lambda what: asked.append(what) or in_this_process(what))
    first = looking.look(given)
    assert looking.look({**given, "items": 5}).decides == first.decides
    assert len(asked) == 1
    write_task(folder, "arc_easy", num_fewshot=2)
    second = looking.look(given)
    assert len(asked) == 2
    assert second.decides != first.decides
    write_task(folder, "arc_easy")
    assert looking.look(given).decides == first.decides
    assert len(asked) == 2
    for kept in looking.KEPT.iterdir():
        kept.write_text("{")
    assert looking.look(given).decides == first.decides


def test_what_a_task_includes_and_the_functions_it_names_decide_it(folder, monkeypatch):
    write_task(folder, "arc_easy")
    path = folder / "tasks/tiny_arc_easy.yaml"
    path.write_text(path.read_text() + "process_docs: !function own.run\n")
    own = path.parent / "own.py"
    own.write_text("from beside import run\n")
    (path.parent / "beside.py").write_text("def run(docs):\n    return docs\n")
    write_yaml(folder, "upper", {"include": "tiny_arc_easy.yaml", "task": "upper"})
    monkeypatch.syspath_prepend(str(path.parent))
    given = settings(task="tasks/upper.yaml")
    first = looking.look(given)
    files = {Path(name).name for name in first.told["found"][0]["files"]}
    assert files == {"upper.yaml", "tiny_arc_easy.yaml", "own.py", "beside.py", "arc_easy.yaml"}
    (path.parent / "beside.py").write_text("def run(docs):\n    return docs.select([0])\n")
    assert looking.look(given).decides != first.decides


def test_planning_imports_nothing_of_the_harness():
    modules = "lorascope.benchmarks.lm_eval.declaration, lorascope.benchmarks.lm_eval.tasks"
    heavy = {"datasets", "lm_eval", "torch"}
    code = f"import sys, lorascope.planning.plan, {modules}; print({heavy} & sys.modules.keys())"
    assert printed(code) == "set()\n"


# -------------------------------------------------------------------------------- generation


def test_generation_is_read_as_the_harness_reads_it():
    assert generation_of({"until": "x", "do_sample": False, "temperature": 0.5}) == {
        "stop": ["x"], "max_new_tokens": 256, "do_sample": False,
    }  # fmt: skip
    assert generation_of({"until": ["", "a"], "temperature": 0.5, "max_gen_toks": "7"}) == {
        "stop": ["a"], "max_new_tokens": 7, "do_sample": True, "temperature": 0.5,
    }  # fmt: skip
    with pytest.raises(UserError, match="neither sampling nor greedy"):
        generation_of({"do_sample": True, "temperature": 0})
