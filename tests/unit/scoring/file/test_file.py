"""A scorer of the user's own: what it may return, what is said of its errors, what counts as it."""

import math
from pathlib import Path

import numpy as np
import pytest

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.scoring.file.reading import declared_metrics, local_modules
from lorascope.scoring.item_score import ACCURACY, Measure
from tests.support.scoring import asked, scores

ITEM = asked("Paris", record='{"answer": "Paris", "level": 3}')


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a scorer, and return what scores a reply by it."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "mine.py"):
        Path(name).write_text(text)
        return lambda reply="Paris", item=ITEM: scores("file", reply, item, file=name)

    return write


def returning(value: str) -> str:
    return f"def score_item(response, item):\n    return {value}\n"


# -------------------------------------------------------------------------------- what returns


@pytest.mark.parametrize(
    ("value", "credits"),
    [
        ("response == item.answer", {"": 1}),
        ("response != item.answer", {"": 0}),
        ("0.25", {"": 0.25}),
        ("1", {"": 1}),
        ("__import__('numpy').float32(0.5)", {"": 0.5}),
        ("__import__('numpy').bool_(True)", {"": 1}),
        ("{'length': 0.5, 'style': True}", {"length": 0.5, "style": 1}),
        ("item.row['level'] / 4", {"": 0.75}),
        ("item.question == '?' and item.answers == ('Paris',) and not item.options", {"": 1}),
    ],
)
def test_what_a_function_returns_becomes_scores(own, value, credits):
    found = own(returning(value))()
    assert {one.metric: one.credit for one in found} == credits
    assert {one.measure for one in found} == {ACCURACY}
    assert {one.status for one in found} == {"scored"}


def test_a_list_of_scores_is_taken_as_it_is(own):
    found = own(
        "from lorascope.scoring.item_score import ItemScore, Measure\n"
        "def score_item(response, item):\n"
        "    errors = Measure('typos', 'plain', higher_is_better=False, bounded=False)\n"
        "    return [ItemScore('a', True, 'good', None, 'why'),\n"
        "            ItemScore('b', 7, 'bad', None, 'so', weight=2, measure=errors)]\n"
    )()
    assert [(one.metric, one.credit, one.weight) for one in found] == [("a", 1, 1), ("b", 7, 2)]
    assert found[1].measure == Measure("typos", "plain", False, False)
    assert isinstance(found[0].credit, float)


def test_likelihoods_are_given_as_they_are(own):
    score = own(returning("response.sums[0] > response.sums[1]"))
    assert score(Likelihoods((-1.0, -2.0), (1, 1), (True, False)))[0].credit == 1


@pytest.mark.parametrize(
    ("constants", "value", "measure"),
    [
        ("TITLE = 'politeness'", "0.5", Measure("politeness")),
        ("HIGHER_IS_BETTER = False", "0.5", Measure("mine", "percent", False)),
        ("BOUNDED = False; TITLE = 'words'", "12", Measure("words", "plain", True, False)),
        ("HIGHER_IS_BETTER = True", "0.5", Measure("mine")),
        ("METRICS = ('a', 'b'); TITLE = 'style'", "dict(a=1, b=0)",
         {"a": Measure("style: a"), "b": Measure("style: b")}),
        ("METRICS = ('a',); BOUNDED = False", "-3", {"a": Measure("a", "plain", True, False)}),
    ],
)  # fmt: skip
def test_constants_say_what_is_measured(own, constants, value, measure):
    found = own(f"{constants}\n{returning(value)}")()
    expected = measure if isinstance(measure, dict) else {"": measure}
    assert {one.metric: one.measure for one in found} == expected


def test_metrics_come_in_one_order(own):
    found = own(f"METRICS = ['b', 'a']\n{returning('dict(a=1, b=0)')}")()
    assert [one.metric for one in found] == ["b", "a"]


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (returning("None"), "mine.py: score_item returned None; return True or False, a number"),
        (returning("'yes'"), "mine.py: score_item returned 'yes'; return True"),
        (returning("[]"), "mine.py: score_item returned []; return True"),
        (returning("{}"), "mine.py: score_item returned an empty mapping"),
        (returning("2"), "mine.py: score_item returned 2; return 0 to 1, or say BOUNDED = False"),
        (returning("-0.1"), "mine.py: score_item returned -0.1; return 0 to 1"),
        (returning("float('nan')"), "mine.py: score_item returned nan; return a finite number"),
        (returning("[1, 2]"), "mine.py: score_item returned [1, 2]; return True"),
        (returning("__import__('numpy').ones(2)"), "mine.py: score_item returned array([1., 1.])"),
        (returning("{'a': None}"), "mine.py: score_item returned None"),
        (returning("{'a b': 1}"), "mine.py: its metrics are ['a b']; give names of letters"),
        (f"METRICS = ('a',)\n{returning('dict(b=1)')}",
         "mine.py: score_item returned the metrics ['b'], and METRICS names ['a']"),
        (f"METRICS = ('a', 'b')\n{returning('1')}", "returned one value for the METRICS a, b"),
        (f"BOUNDED = 'no'\n{returning('1')}", "mine.py: BOUNDED is 'no'; it has to be True or"),
        (f"TITLE = 3\n{returning('1')}", "mine.py: TITLE is 3; it has to be a text"),
        ("def score_item(response, item):\n    x = 1\n    return item.nothing\n",
         "mine.py: line 3: AttributeError: 'Item' object has no attribute 'nothing'"),
        (returning("__import__('json').loads(response)"), "mine.py: line 2: JSONDecodeError: Exp"),
        ("def score_item(response):\n    return 1\n", "mine.py: TypeError: score_item() takes 1"),
        ("x = 1\nimport nothing_of_this_name\n" + returning("1"),
         "mine.py: line 2: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("import sys\n" + returning("sys.exit(3)"), "mine.py: line 3: SystemExit: 3"),
    ],
)  # fmt: skip
def test_an_error_names_file_and_line_and_a_wrong_value_the_remedy(own, text, message):
    with pytest.raises(UserError) as told:
        own(text)()
    assert str(told.value).startswith(message) or message in str(told.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def score_itm(response, item):\n    return 1\n", "defines no score_item(response, item)"),
        ("def score_item(response, item:\n    return 1\n", "line 1: is no Python: "),
        (f"METRICS = tuple('ab')\n{returning('1')}", "line 1: METRICS has to be written out"),
        (f"METRICS = ()\n{returning('1')}", "its metrics are (); give names"),
        (f"METRICS = 'ab'\n{returning('1')}", "its metrics are 'ab'; give names"),
        (f"METRICS = ('a', 'a')\n{returning('1')}", "its metrics are ('a', 'a'); give names"),
        (f"METRICS = ('a', 3)\n{returning('1')}", "its metrics are ('a', 3); give names"),
        ("\0", "is no Python: "),
    ],
)
def test_what_is_no_scorer_is_said_without_running_it(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UserError) as told:
        declared_metrics(path)
    assert str(told.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        (returning("1"), None),
        (f"METRICS = ('a', 'b')\n{returning('1')}", ("a", "b")),
        (f"METRICS: tuple[str, ...] = ['a']\n{returning('1')}", ("a",)),
        ("from helper import score_item", None),
        ("from helper import *", None),
        ("score_item = lambda response, item: 1", None),
        ("if True:\n    def score_item(response, item): return 1", None),
        (f"raise RuntimeError\n{returning('1')}", None),
    ],
)
def test_metrics_are_read_and_nothing_is_run(tmp_path, text, metrics):
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert declared_metrics(path) == metrics
    assert declared_metrics(tmp_path / "absent.py") is None


# ----------------------------------------------------------------------- modules beside the file


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_modules_beside_it_that_it_imports_count_and_no_others(tmp_path):
    files = {
        "mine.py": "import os, numpy\nimport direct\ndef f():\n    from pack.inner import x\n",
        "direct.py": "from indirect import y\nimport mine",
        "indirect.py": "y = 1",
        "unused.py": "z = 1",
        "pack/__init__.py": "from . import base",
        "pack/base.py": "",
        "pack/inner.py": "from .deep.down import x",
        "pack/deep/down.py": "x = 1",
        "pack/unused.py": "",
        "data/words.txt": "",
    }
    write(tmp_path, files)
    assert local_modules(tmp_path / "mine.py") == local_modules(tmp_path / "mine.py")
    found = {
        str(path.relative_to(tmp_path)) for path in local_modules(tmp_path / "mine.py").values()
    }
    assert found == {
        "direct.py", "indirect.py", "pack/__init__.py", "pack/base.py", "pack/inner.py",
        "pack/deep/down.py",
    }  # fmt: skip


def test_an_import_relative_to_no_package_is_refused(tmp_path):
    write(tmp_path, {"mine.py": "x = 1\nfrom . import helper", "helper.py": ""})
    message = r"mine.py: line 2: imports relative to a package, .* write import helper"
    with pytest.raises(UserError, match=message):
        local_modules(tmp_path / "mine.py")


def test_a_module_beside_it_is_imported_and_its_error_is_at_its_line(own, tmp_path):
    write(tmp_path, {"own_helper_a.py": "def half(x):\n    return 1 / len(x)\n"})
    score = own(f"import own_helper_a\n{returning('own_helper_a.half(response)')}")
    assert score("ab")[0].credit == 0.5
    with pytest.raises(UserError, match=r"^own_helper_a.py: line 2: ZeroDivisionError"):
        score("")


def test_a_file_in_another_folder_is_named_as_the_study_names_it(own, tmp_path):
    write(tmp_path, {"scorers/own_helper_b.py": "x = 1 +"})
    score = own(f"import own_helper_b\n{returning('1')}", "scorers/mine.py")
    with pytest.raises(UserError, match=r"^scorers/own_helper_b.py: line 1: SyntaxError: invalid"):
        score()


def test_a_module_whose_name_is_taken_is_refused_rather_than_passed_over(own, tmp_path):
    write(tmp_path, {"json.py": "def dumps(x):\n    return 'mine'\n"})
    with pytest.raises(
        UserError, match=r"mine.py: import json finds .*json/__init__.py, not json.p"
    ):
        own(f"import json\n{returning('1')}")()


def test_numbers_of_numpy_are_numbers(own):
    assert math.isclose(own(returning("float(response)"))(str(np.float64(0.5)))[0].credit, 0.5)
