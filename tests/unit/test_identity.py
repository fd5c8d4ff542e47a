from pathlib import Path

import pytest

from lorascope import identity
from lorascope.identity import SourceIndex, canonical, digest, logic_digest

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
    assert logic_digest(file) == "f502cc796a71"


def test_canonical_json_ignores_key_order_and_number_spelling():
    assert canonical({"b": 60.0, "a": [1, 2.5]}) == canonical({"a": (1.0, 2.5), "b": 60})
    assert canonical({"a": True}) != canonical({"a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert len(digest({})) == 12


def test_canonical_json_refuses_numbers_that_are_not_finite():
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})


def test_sources_are_hashed_once_and_again_when_they_change(tmp_path, monkeypatch):
    file, cache = tmp_path / "a.bin", tmp_path / "cache.json"
    file.write_bytes(b"one")
    index = SourceIndex(cache)
    first = index.file(file)
    index.save()
    monkeypatch.setattr(identity.hashlib, "file_digest", None)  # a second hash would fail
    assert SourceIndex(cache).file(file) == first
    monkeypatch.undo()
    file.write_bytes(b"two")
    assert SourceIndex(cache).file(file) != first


def test_a_damaged_cache_of_hashes_is_only_slower(tmp_path):
    (tmp_path / "cache.json").write_text("{")
    (tmp_path / "a.bin").write_bytes(b"one")
    assert len(SourceIndex(tmp_path / "cache.json").file(tmp_path / "a.bin")) == 64


def test_an_absent_source_is_planned_as_absent(tmp_path):
    index = SourceIndex(tmp_path / "cache.json")
    assert index.local(tmp_path / "llm") == {"absent": str(tmp_path / "llm")}
    assert index.files([tmp_path / "x.wav"], tmp_path) is None


def test_a_folder_counts_by_its_content_files(tmp_path):
    for name in ("config.json", "README.md", ".hidden"):
        (tmp_path / name).write_text(name)
    assert SourceIndex(tmp_path / "cache").local(tmp_path).keys() == {"config.json"}
