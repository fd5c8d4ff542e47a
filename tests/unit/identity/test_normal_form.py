import doctest
from pathlib import Path

import pytest

from lorascope.identity import normal_form
from lorascope.identity.normal_form import logic_digest, logic_digest_of

CODE = '''
"""What it does."""
import os
from math import sqrt, pi


def area(radius: float) -> float:
    """Return the area."""
    if radius < 0:
        raise ValueError(f"negative radius {radius}")
    print("working")  # tell
    return pi * radius**2
'''


def test_the_examples_are_true():
    found = doctest.testmod(normal_form)
    assert found.attempted and not found.failed


@pytest.fixture
def changed(tmp_path: Path):
    def digest_after(old: str = "", new: str = "") -> str:
        assert old in CODE
        file = tmp_path / "module.py"
        file.write_text(CODE.replace(old, new))
        return logic_digest(file)

    return digest_after


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it does.", "Something else."),
        ("Return the area.", "Return it."),
        ("# tell", "# say so"),
        (": float) -> float", ")"),
        ("negative radius", "a radius below zero:"),
        ('"working"', '"at work"'),
        ("import os\nfrom math import sqrt, pi", "from math import pi, sqrt\nimport os"),
        ("pi * radius**2", "(\n        pi\n        * radius ** 2\n    )"),
    ],
)
def test_what_no_answer_depends_on_leaves_the_logic_digest(changed, old, new):
    assert changed(old, new) == changed()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("radius**2", "radius**3"),
        ("radius < 0", "radius <= 0"),
        ("ValueError", "TypeError"),
        ("sqrt, pi", "tau as pi"),
        ("return pi", "return -pi"),
        ("def area(radius", "def area(radius=None, *, other"),
    ],
)
def test_what_an_answer_may_depend_on_changes_the_logic_digest(changed, old, new):
    assert changed(old, new) != changed()


def test_logic_digest_is_the_same_in_every_python(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(CODE)
    # A fixed value: were the form to depend on the interpreter, another Python would differ.
    assert logic_digest(file) == "f502cc796a71" == logic_digest_of(CODE)
