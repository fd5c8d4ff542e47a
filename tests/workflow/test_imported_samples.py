"""lm-evaluation-harness's samples of a real model, written by its own tracker, are imported."""

import csv

import pyarrow.parquet as pq
import pytest

from lorascope.benchmarks.items import from_table
from tests.support.basics import shared_path
from tests.support.lm_eval_tasks import environment
from tests.support.real_models import harness_samples
from tests.support.stagehand import Bench

__all__ = ["environment"]
TASKS = ("xquad_choice", "xquad_numeric", "xquad_perplexity")


def study(golden) -> dict:
    dataset = {
        "benchmark": "lm_eval",
        "task": [*TASKS],
        "include_path": str(golden / "tasks"),
        "source": str(golden),
    }
    return {
        "study": "samples",
        "datasets": {"xquad": dataset},
        "experiments": [
            {"id": name, "dataset": "xquad", "model": "SmolLM2"}
            | {"predictions": {"source": name, "format": "lm_eval"}}
            for name in ("base", "adapter")
        ],
        "baseline": "base",
    }


def as_evaluated(sample: dict, item) -> list[dict]:
    """Return what the harness has of a row once it is evaluated, for each of the task's filters."""
    whole = {"doc_id": sample["doc_id"], "doc": item.row["row"], "target": "", "filtered_resps": []}
    context = item.question
    if "loglikelihoods" in sample:
        pairs = zip(sample["loglikelihoods"], sample["greedy"], strict=True)
        whole |= {"arguments": [(context, text) for text in sample["continuations"]]}
        whole |= {"resps": [[pair] for pair in pairs], "filter": "none"}
        return [whole | {"metrics": ["acc"], "acc": sample["acc"]}]
    if "loglikelihood" in sample:
        whole |= {"arguments": [(sample["text"],)], "resps": [[sample["loglikelihood"]]]}
        return [
            whole | {"filter": "none", "metrics": ["word_perplexity"], "word_perplexity": (1, 2)}
        ]
    whole |= {"arguments": [(context, {"until": ["\n"]})], "resps": [[sample["response"]]]}
    return [
        whole
        | {"filter": way, "metrics": ["exact_match"], "exact_match": sample[way]["exact_match"]}
        for way in ("flexible-extract", "whole")
    ]


@pytest.mark.usefixtures("environment")
def test_the_harness_s_samples_have_the_harness_s_scores(tmp_path, monkeypatch, capsys):
    from lm_eval.loggers.evaluation_tracker import EvaluationTracker

    golden = shared_path("golden/lm_eval_smollm2")
    monkeypatch.chdir(tmp_path)
    bench = Bench(study(golden), capsys)
    bench.make("dataset")
    (planned,) = bench.plan.datasets.values()
    items = {item.item_id: item for item in from_table(pq.read_table(planned.items))}
    for name in ("base", "adapter"):
        tracker = EvaluationTracker(output_path=str(tmp_path / name))
        tracker.general_config_tracker.model_name_sanitized = "smol"
        tracker.date_id = "2026-01-02T03-04-05.678901"
        for task in TASKS:
            rows = harness_samples(task, name)
            made = [as_evaluated(row, items[f"{task}/{row['doc_id']}"]) for row in rows]
            tracker.save_results_samples(task, [one for several in made for one in several])
    folder = bench.finish()
    with (folder / "accuracy.csv").open() as file:
        found = {(r["experiment"], r["category"]): r["accuracy"] for r in csv.DictReader(file)}
    expected = {
        ("base", "xquad_choice-acc"): 100 * 41 / 60,
        ("base", "xquad_choice-acc_norm"): 60,
        ("base", "xquad_numeric-exact_match-flexible-extract"): 40,
        ("base", "xquad_numeric-exact_match-whole"): 10,
        ("base", "xquad_perplexity-word_perplexity"): 119.7911,
        ("base", "xquad_perplexity-bits_per_byte"): 1.0876,
        ("adapter", "xquad_choice-acc"): 85,
        ("adapter", "xquad_numeric-exact_match-whole"): 70,
        ("adapter", "xquad_perplexity-word_perplexity"): 128.6230,
    }
    for key, value in expected.items():
        assert float(found[key]) == pytest.approx(value, abs=1e-3)
    text = (folder / "accuracy.md").read_text().partition("sums of their credits")[2]
    table = [line.split("|")[1:-1] for line in text.splitlines() if "xquad" in line][:6]
    differ = {(r[0].strip(), r[1].strip()): r[-1].strip() for r in table}
    assert differ == {
        (name, f"xquad_{category}"): "0"
        for name in ("base", "adapter")
        for category in (
            *("choice-acc", "numeric-exact_match-flexible-extract", "numeric-exact_match-whole"),
        )
    }
