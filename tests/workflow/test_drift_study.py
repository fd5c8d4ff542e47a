"""Studies that ask for drift: the same in every batch and shard, and shown beside the gain."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer

from lorascope.benchmarks.likelihoods import Drift
from lorascope.inspecting.answered import read_answered
from tests.support.drifts import CLOSE, largest_gap, plain_drift, two_models
from tests.support.stagehand import Bench
from tests.workflow.test_modes import salmonn, split, study, text

PROSE = (
    "Which animal can be heard?\n\nThe language of Spain,\nor of France.\n\nSad? " + "a dog " * 60
)

SPLITS = [(1, 3), (16, 1)]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a new folder."""
    monkeypatch.chdir(tmp_path)


def drifts(bench: Bench) -> dict[str, list[dict]]:
    """Return experiment -> the drift of its items, of those in the mode drift."""
    planned = {p.id: p for p in bench.plan.experiments.values() if p.experiment.mode == "drift"}
    return {name: pq.read_table(p.predictions)["drift"].to_pylist() for name, p in planned.items()}


def prose() -> dict:
    """Return a study of a text model that reads a plain text under its scalings, too."""
    model, questions = text(Path("files"))
    Path("prose.txt").write_text(PROSE)
    whole = swept(study(model, questions, generation={"max_new_tokens": 4}))
    whole["datasets"]["prose"] = {"benchmark": "table", "source": "prose.txt", "text": "text"}
    retain = {"of": "BASE", "metric": "zoo-f1"}
    return whole | {"drift": {"dataset": ["prose", "d"]}, "retain": retain}


def heard() -> dict:
    """Return a study of a SALMONN that reads prompts about clips, and the right options."""
    return swept(study(*salmonn(Path("files")))) | {"drift": {"dataset": "d"}}


def swept(whole: dict) -> dict:
    """Return a study under two scalings."""
    whole["experiments"][1]["grid"] = {"lora_scaling": [0, 2]}
    return whole


@pytest.mark.parametrize("made", [prose, heard])
def test_drift_does_not_move_with_batch_size_or_shards(
    made: Callable, capsys: pytest.CaptureFixture
) -> None:
    whole, found = made(), []
    for batch_size, shards in SPLITS:
        changed = split(whole, batch_size, shards)
        bench = Bench(changed, capsys)
        # What the key drift adds has a batch size of its own.
        own = [e.settings.model_dump() for e in bench.plan.study.experiments.values()]
        changed["experiments"] = [e for e in own if e["mode"] == "drift"]
        changed["baseline"] = dict.fromkeys(("zoo", "table"), 0.0)
        del changed["drift"]
        changed.pop("retain", None)
        bench = Bench(split(changed, batch_size, shards), capsys)
        bench.make("dataset", "encode", "infer", "merge")
        found.append(drifts(bench))
        Path("results/experiments").rename(f"done-{batch_size}")
    first, *others = found
    assert all(other.keys() == first.keys() for other in others)
    for name, rows in first.items():
        for other in others:
            for one, another in zip(rows, other[name], strict=True):
                assert largest_gap(Drift.of(one), another) < CLOSE
                assert one["ids"] == another["ids"]
        still = made is prose and (name.startswith("BASE") or name.startswith("S-0"))
        largest = max(kl for row in rows for kl in row["kl"])
        assert (largest == 0) == (still or name.startswith("S-0"))


def test_a_whole_study_shows_the_numbers_of_two_models(capsys: pytest.CaptureFixture) -> None:
    bench = Bench(prose(), capsys)
    folder = bench.finish()
    models = two_models(Path("files/model"), Path("files/adapter"), 2.0)
    tokenizer = AutoTokenizer.from_pretrained("files/model")
    total, tokens = 0.0, 0
    found = drifts(bench)["S-2-drift-prose"]
    for part, one in zip(PROSE.split("\n\n"), found, strict=True):
        ids = tokenizer(part.strip(), add_special_tokens=False).input_ids
        row = [tokenizer.bos_token_id, *ids][:161]  # the model's positions, and one more
        expected = plain_drift(models, torch.tensor(row[:-1]), [*enumerate(row)][1:])
        few = {name: values[:160] for name, values in one.items()}
        assert largest_gap(Drift.of(few), expected) < CLOSE
        total, tokens = total + sum(one["kl"]), tokens + len(one["ids"])
    rows = list(csv.DictReader(io.StringIO((folder / "drift.csv").read_text())))
    by_id = {row["experiment"]: row for row in rows}
    assert by_id.keys() == {*drifts(bench)}
    assert float(by_id["S-2-drift-prose"]["kl"]) == pytest.approx(total / tokens, rel=1e-9)
    assert int(by_id["S-2-drift-prose"]["tokens"]) == tokens
    assert float(by_id["S-0-drift-prose"]["kl"]) == float(by_id["BASE-drift-d"]["kl"]) == 0
    pairs = list(csv.DictReader(io.StringIO((folder / "tradeoff.csv").read_text())))
    assert {(row["on"], row["category"]) for row in pairs} == {
        (on, category) for on in ("table", "zoo") for category in ("zoo-em", "zoo-f1")
    }
    page = (folder / "accuracy.md").read_text()
    assert "## Drift" in page
    assert "zoo-reverse_kl" not in page.partition("## What the replies were")[2].partition("##")[0]
    assert (folder / "drift.svg").exists()
    assert (folder / "index.html").exists()
    answered = read_answered(bench.plan, "S-2-drift-d")
    assert json.dumps(answered.answers[0].drift["kl"])
