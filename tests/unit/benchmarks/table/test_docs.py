"""The mappings of docs/table.md, as they stand there, on rows of the very shapes."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from lorascope.benchmarks.table.items import build_items
from tests.support.basics import ROOT, shared_path
from tests.support.lab import write_clip
from tests.support.tables import dataset, write_rows

BLOCK = re.compile(r"```(yaml|json)\n(.*?)```", re.DOTALL)
NAMES = ["MMLU", "ARC", "TruthfulQA", "GSM8K", "MMAU", "Clips with transcripts"]


@cache
def page() -> dict[str, tuple[dict, list]]:
    """Return title -> mapping and rows of each section of the page that has both."""
    found = {}
    text = (ROOT / "docs/table.md").read_text(encoding="utf-8")
    for section in text.split("\n## ")[1:]:
        blocks = dict(BLOCK.findall(section))
        if len(blocks) == 2:
            [mapping] = yaml.safe_load(blocks["yaml"])["datasets"].values()
            rows = [json.loads(line) for line in blocks["json"].splitlines()]
            found[section.splitlines()[0]] = mapping, rows
    return found


def laid_out(name: str, folder: Path) -> tuple[Path, dict]:
    """Write a section's rows where its mapping looks for them; return source and keys."""
    mapping, rows = page()[name]
    keys = {key: value for key, value in mapping.items() if key not in ("benchmark", "source")}
    if isinstance(mapping["source"], str):
        return write_rows(folder / mapping["source"], rows), keys
    few_shot = keys.get("few_shot", {})
    for pattern in filter(None, [keys["files"], few_shot.get("files")]):
        write_rows(folder / "hub" / pattern.replace("*", "00000-of-00001"), rows)
    if few_shot:
        keys["few_shot"] = few_shot | {"count": 2}
    return folder / "hub", keys


def items_of(name: str, folder: Path) -> list:
    source, keys = laid_out(name, folder)
    return build_items(source, dataset(source, **keys), None)[0]


def test_every_mapping_of_the_page_is_tried_here():
    assert [*page()] == NAMES
    text = (ROOT / "docs/table.md").read_text(encoding="utf-8")
    first = yaml.safe_load(BLOCK.search(text)[2])["datasets"]["capitals"]
    assert dataset(first.pop("source"), **{k: v for k, v in first.items() if k != "benchmark"})


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_mapping_of_the_hub_goes_with_its_source(name):
    mapping, _ = page()[name]
    keys = {key: value for key, value in mapping.items() if key not in ("benchmark", "source")}
    assert dataset(mapping["source"], **keys)["source"] == mapping["source"]


def test_mmlu(tmp_path):
    items = items_of("MMLU", tmp_path)
    assert [item.item_id for item in items] == [
        "astronomy/1",
        "high_school_chemistry/2",
        "elementary_mathematics/3",
    ]
    assert [item.gold for item in items] == ["B", "B", "D"]
    assert items[0].options[1] == ("B", "Mercury")
    assert items[2].continuations == (" A", " B", " C", " D")
    end = "\n\nWhat is 3 + 1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"
    assert items[2].question.endswith(end)
    assert items[2].question.count("\nAnswer: ") == 2


def test_arc(tmp_path):
    first, second = items_of("ARC", tmp_path)
    assert (first.item_id, first.gold, first.answer) == ("arc-easy/Mercury_417466", "C", "wind")
    assert (second.gold, second.answer) == ("2", "ruler")
    assert first.question == ("Question: Which of these is a renewable source of energy?\nAnswer:")
    assert second.continuations == (" balance", " ruler", " thermometer")


def test_truthfulqa(tmp_path):
    first, second = items_of("TruthfulQA", tmp_path)
    assert (first.gold, first.answer) == ("a", "It passes through you")
    assert (second.gold, second.answer) == ("b", "Craters")
    assert first.question == "Q: What happens if you swallow a seed?\nA:"
    assert len(first.continuations) == 3


def test_gsm8k(tmp_path):
    items = items_of("GSM8K", tmp_path)
    assert items[0].answers == ("3 boxes hold 3 * 6 = <<3*6=18>>18 eggs.\n#### 18",)
    assert items[0].options == ()
    assert items[0].question.count("####") == 2
    assert json.loads(items[0].record) == page()["GSM8K"][1][0]


def test_gsm8k_as_it_is_published(tmp_path):
    path = shared_path("data/gsm8k/test.jsonl")
    _, keys = laid_out("GSM8K", tmp_path)
    keys = {**keys, "files": None, "few_shot": {"count": 2}}
    items = build_items(path, dataset(path, **keys), None)[0]
    assert len(items) == 100
    golds = [item.answer.rpartition("#### ")[2] for item in items]
    assert all(re.fullmatch(r"-?[0-9][0-9,]*", gold) for gold in golds)
    assert len({item.question.rpartition("Question: ")[0] for item in items}) == 1


def test_mmau(tmp_path):
    for row in page()["MMAU"][1]:
        write_clip(tmp_path / "data/mmau" / row["audio_id"])
    first, second = items_of("MMAU", tmp_path)
    assert (first.category, second.category) == ("sound", "speech")
    assert (first.gold, second.gold) == ("b", "b")
    assert first.clip == "test-mini-audios/3fe64f3d.wav"
    assert second.question == "How many speakers are heard? (a) One (b) Two"


def test_clips_with_transcripts(tmp_path):
    import numpy as np
    import soundfile

    (tmp_path / "data/sentences").mkdir(parents=True)
    soundfile.write(tmp_path / "data/sentences/a.flac", np.zeros(800), 8000)
    [item] = items_of("Clips with transcripts", tmp_path)
    assert (item.question, item.answers) == ("", ("he was not an ill man",))
    assert (item.clip, item.clip_seconds) == ("sentences/a.flac", 0.1)


def test_clips_with_transcripts_as_they_are_recorded():
    path = shared_path("data/speech/digits.csv")
    items = build_items(path, dataset(path, clip="file", answer="word"), None)[0]
    assert len(items) == 60
    assert {item.answer for item in items} > {"zero", "nine"}
    assert all(item.clip_sha256 and 0.1 < item.clip_seconds < 2 for item in items)
