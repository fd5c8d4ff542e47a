"""What is wrong with the metadata or the clips of a track is named, by file and line."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lorascope.benchmarks.sakura import items as sakura
from tests.support import sakura_cases
from tests.support.sakura_cases import ROW, build, change, refuses, rows_of, write_clip, write_csv

root = sakura_cases.root


def test_missing_metadata(root):
    refuses(root, "Emotion/metadata.csv", "not found", "source", tracks=["emotion"])
    refuses(root / "nowhere", "nowhere/data/Animal/metadata.csv", "not found")


def test_a_row_without_its_clip(root):
    (root / "data/Animal/audio/dog0.wav").unlink()
    refuses(root, "metadata.csv: line 3 (dog0.wav)", "audio/dog0.wav", "missing", "remove its")


@pytest.mark.parametrize("data", [b"", b"nonsense"])
def test_an_unreadable_clip(root, data):
    (root / "data/Animal/audio/dog0.wav").write_bytes(data)
    refuses(root, "line 3 (dog0.wav)", "not a readable audio file")


def test_a_truncated_clip(root):
    path = root / "data/Animal/audio/dog0.wav"
    path.write_bytes(path.read_bytes()[:400])
    refuses(root, "line 3 (dog0.wav)", "truncated")


def test_an_empty_clip(root):
    write_clip(root, "dog0.wav", seconds=0)
    refuses(root, "line 3 (dog0.wav)", "empty")


def test_a_clip_of_nan(root):
    path = root / "data/Animal/audio/dog0.wav"
    soundfile.write(path, np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    refuses(root, "line 3 (dog0.wav)", "NaN")


def test_many_problems_are_counted(root):
    for path in (root / "data/Animal/audio").iterdir():
        path.unlink()
    refuses(root, "is missing", "and 9 more problems")


@pytest.mark.parametrize("hop", sakura.HOPS)
def test_an_option_list_that_does_not_parse(root, hop):
    change(root, 1, **{f"{hop}_instruction": "Which animal? cat, cow or dog"})
    refuses(root, f"line 3 (dog0.wav): {hop} hop", "option")


@pytest.mark.parametrize("answer", ["(d) horse", "(a) dog", "horse"])
def test_gold_not_among_the_options(root, answer):
    change(root, 1, single_answer=answer)
    refuses(root, "line 3 (dog0.wav): single hop", answer, "option")


def test_rows_that_are_not_selected_are_not_judged(root):
    kept = {item.item_id for item in build(root, limit=2)}
    for number, entry in enumerate(rows_of(root)):
        if f"animal-single/{Path(entry['file']).stem}" not in kept:
            change(root, number, single_answer="(z) nothing")
    assert {item.item_id for item in build(root, limit=2)} == kept


@pytest.mark.parametrize("file", ["cat0.wav", "cat0.ogg", "data/Animal/audio/cat0.wav"])
def test_an_item_that_comes_twice(root, file):
    change(root, 1, file=file)
    refuses(root, "line 3", "line 2", "same item")


@pytest.mark.parametrize("column", ["file", *sakura.COLUMNS])
def test_a_blank_field(root, column):
    change(root, 1, **{column: " "})
    refuses(root, "metadata.csv: line 3", f"no {column}")


def test_a_missing_column(root):
    rows = [{k: v for k, v in entry.items() if k != "multi_answer"} for entry in rows_of(root)]
    write_csv(root, rows)
    refuses(root, "metadata.csv", "no column multi_answer")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x.wav,cat", ("line 12 (x.wav)", "no single_instruction")),
        ("x.wav,cat,a,b,c,d,e", ("line 12 (x.wav)", "more fields")),
        ('x.wav,cat,"never closed', ("after line 11", "correct the CSV")),
    ],
)
def test_a_ragged_row(root, line, words):
    with (root / "data/Animal/metadata.csv").open("a", encoding="utf-8") as file:
        file.write(line)
    refuses(root, *words)


def test_metadata_that_is_not_text_or_has_no_rows(root):
    path = root / "data/Animal/metadata.csv"
    header = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(header)
    refuses(root, "metadata.csv", "no rows")
    path.write_bytes(header + b"caf\xe9.wav,cat,a,b,c,d")
    refuses(root, "metadata.csv", "not UTF-8")
    path.write_bytes(b"")
    refuses(root, "metadata.csv", "no column")
    path.unlink()
    path.mkdir()
    refuses(root, "metadata.csv", "cannot be read")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[]", "no rows"),
        ("3", "must map"),
        ('["a.wav"]', "must map"),
        ('{"a.wav": "cat"}', "must map"),
        ('{"a.wav": {"attribute_label": 3}}', "no attribute_label"),
        (f'{{"a.wav": {ROW}, "a.wav": {ROW}}}', "same item"),
        (f'{{"a.wav": {ROW}, "b/a.ogg": {ROW}}}', "same item"),
    ],
)
def test_malformed_json(tmp_path, text, word):
    path = tmp_path / "data/Animal/metadata.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    refuses(tmp_path, "metadata.json", word)
