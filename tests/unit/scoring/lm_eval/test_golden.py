"""Prompts, extractions and scores of lm-evaluation-harness itself, for a real model's replies."""

import json
import math
import os
from collections import defaultdict
from pathlib import Path

import pytest

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.benchmarks.lm_eval.items import build_items
from lorascope.errors import shown
from lorascope.scoring.lm_eval.judge import NO_ANSWER, score_item
from tests.support.basics import shared_path
from tests.support.lm_eval_tasks import environment, looked, settings

__all__ = ["environment"]
TASKS = ("xquad_choice", "xquad_numeric", "gsm8k_2shot", "xquad_perplexity")


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """Return the golden folder, and its items by their IDs."""
    folder = shared_path("golden/lm_eval_smollm2")
    shared_path("data/gsm8k")
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("golden"))
    try:
        given = settings(task=[*TASKS], include_path=str(folder / "tasks"), source=str(folder))
        items, _ = build_items(folder, looked(given), None)
        yield folder, {item.item_id: item for item in items}
    finally:
        os.chdir(before)


def samples(folder, model, task):
    text = (folder / f"samples/{model}.{task}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def replied(sample):
    """Return the reply in a sample of the harness."""
    if "response" in sample:
        return sample["response"]
    sums = sample.get("loglikelihoods") or [sample["loglikelihood"]]
    greedy = sample.get("greedy", [False])
    return Likelihoods(tuple(sums), (1,) * len(sums), tuple(greedy))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", ["base", "adapter"])
def test_prompts_and_scores_are_the_harness_s(golden, model, task):
    folder, items = golden
    found = defaultdict(lambda: [0.0, 0.0])
    measures = {}
    for sample in samples(folder, model, task):
        item = items[f"{task}/{sample['doc_id']}"]
        if "text" in sample:
            assert (item.mode, item.continuations) == ("loss", (sample["text"],))
        else:
            assert item.question == sample["prompt"]
        if "continuations" in sample:
            assert item.continuations == tuple(sample["continuations"])
        for score in score_item(replied(sample), item):
            check(score, sample)
            found[score.metric][0] += score.credit
            found[score.metric][1] += score.weight
            measures[score.metric] = score.measure
    values = json.loads((folder / f"samples/{model}.{task}.json").read_text())["values"]
    compared = 0
    for name, value in values.items():
        metric, _, filtered = name.partition(",")
        if not filtered or "_stderr" in metric:
            continue
        ours = metric if filtered == "none" else f"{metric}-{filtered}"
        credit, weight = found.pop(ours)
        mean = credit / weight
        exponential = measures[ours].scale == "exponential"
        # The samples' log-likelihoods are rounded to 5 digits.
        assert (math.exp(mean) if exponential else mean) == pytest.approx(value, rel=1e-6)
        compared += 1
    assert compared and not found


def check(score, sample):
    """Compare a score with what the harness says of the same reply."""
    metric, _, filtered = score.metric.partition("-")
    if filtered:
        said = sample[filtered]
        assert score.credit == said[metric]
        assert (score.status == "none") == (said["extracted"] == NO_ANSWER)
        if said["extracted"] != NO_ANSWER:
            assert score.reason == f"taken for {shown(said['extracted'])}"
    elif metric in sample:
        assert score.credit == sample[metric]


def test_the_option_and_its_margin_are_those_of_the_metric(golden):
    folder, items = golden
    for sample in samples(folder, "base", "xquad_choice"):
        item = items[f"xquad_choice/{sample['doc_id']}"]
        sums = sample["loglikelihoods"]
        by_length = [s / len(text) for s, (_, text) in zip(sums, item.options, strict=True)]
        gold = int(sample["target"])
        acc, norm = score_item(replied(sample), item)
        for score, numbers in ((acc, sums), (norm, by_length)):
            others = [n for i, n in enumerate(numbers) if i != gold]
            assert score.choice == "abcd"[numbers.index(max(numbers))]
            assert score.margin == pytest.approx(numbers[gold] - max(others))
            assert (score.margin > 0) == (score.credit == 1)


def test_generation_is_the_task_s(golden):
    _, items = golden
    assert json.loads(items["gsm8k_2shot/0"].generation) == {
        "do_sample": False,
        "max_new_tokens": 96,
        "stop": ["Question:", "</s>", "<|im_end|>"],
    }
