"""Items and scores are those that the harness itself arrives at, for tasks of every shape."""

import json
import math
import os
from collections import defaultdict
from pathlib import Path

import pytest

from lorascope.benchmarks.lm_eval.items import build_items
from lorascope.benchmarks.lm_eval.tasks import OFFLINE
from lorascope.scoring.lm_eval.judge import score_item
from tests.support.lm_eval_tasks import (
    ROWS,
    environment,
    likelihood,
    looked,
    reply,
    response,
    settings,
    write_task,
    write_yaml,
)

__all__ = ["environment"]
MUTUAL = [{"metric": "acc", "aggregation": "mean"}, {"metric": "acc_mutual_info"}]
MANY = [{"metric": name} for name in ("acc", "acc_norm", "acc_bytes", "brier_score", "mcc")]
VARIANTS = {
    "fewshot": {"of": "arc_easy", "num_fewshot": 3, "description": "Questions.\n\n"},
    "mutual": {"of": "arc_easy", "metric_list": MUTUAL},
    "brier": {"of": "arc_easy", "metric_list": MANY},
    "prefix": {"of": "gsm8k", "gen_prefix": "Well,", "num_fewshot": 1},
    "blank": {"of": "lambada_openai", "doc_to_text": "{{text[:9]}}  ", "doc_to_target": "so"},
    "several": {"of": "arc_easy", "doc_to_target": "{{[0, 1]}}"},
    "drawn": {"of": "winogrande", "num_fewshot": 2},
}
"""A task of our own -> what it says otherwise than one of the harness's."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return the harness's requests and results, and our items, for the same tasks."""
    folder = tmp_path_factory.mktemp("lm_eval")
    before = Path.cwd()
    os.chdir(folder)
    os.environ.update(OFFLINE)
    try:
        for name in ROWS:
            write_task(folder, name)
        for name, changes in VARIANTS.items():
            write_task(folder, name, **changes)
        group = {"group": "tiny_mmlu", "task": ["tiny_mmlu_anatomy", "tiny_mmlu_virology"]}
        write_yaml(folder, "tiny_mmlu", group)
        grouped = {"mmlu_anatomy", "mmlu_virology"}
        names = [f"tiny_{name}" for name in [*ROWS, *VARIANTS] if name not in grouped]
        names.append("tiny_mmlu")
        given = settings(task=names, include_path="tasks", num_fewshot=None)
        items, notes = build_items(Path(), looked(given), None)
        yield harness(names, "tasks"), items, notes
    finally:
        os.chdir(before)


def harness(names, include_path):
    """Return task -> requests, and task -> results, as the harness has them."""
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Numbers(LM):
        def loglikelihood(self, requests):
            return [likelihood(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests):
            return [likelihood("", *request.args)[0] for request in requests]

        def generate_until(self, requests):
            return [response(request.args[0]) for request in requests]

    found = simple_evaluate(
        model=Numbers(),
        tasks=names,
        task_manager=TaskManager(include_path=include_path, include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )
    return found["samples"], found["results"]


def test_the_requests_are_the_harness_s(both):
    (samples, _), items, _ = both
    ours = {item.item_id: item for item in items}
    asked = set()
    for task, rows in samples.items():
        for row in rows:
            item = ours[f"{task}/{row['doc_id']}"]
            asked.add(item.item_id)
            assert json.loads(item.record)["row"] == row["doc"]
            if item.mode == "generate":
                [(prompt, kwargs)] = row["arguments"]
                assert item.question == prompt
                assert json.loads(item.generation)["stop"] == kwargs["until"]
                continue
            contexts = item.contexts or (item.question,) * len(item.continuations)
            pairs = zip(contexts, item.continuations, strict=True)
            asked_for = ["".join(args) for args in row["arguments"]]
            assert ["".join(pair) for pair in pairs] == asked_for
    assert asked == ours.keys()


def test_blanks_at_the_end_of_a_context_belong_to_the_continuation(both):
    _, items, _ = both
    blank = next(item for item in items if item.category == "tiny_blank")
    assert blank.question == blank.question.rstrip()
    assert blank.continuations[0].endswith("  so")


def test_the_results_are_the_harness_s(both):
    (_, results), items, _ = both
    found = defaultdict(lambda: [0.0, 0.0])
    measures = {}
    for item in items:
        for score in score_item(reply(item), item):
            key = item.category, score.metric
            found[key][0] += score.credit
            found[key][1] += score.weight
            assert measures.setdefault(key, score.measure) == score.measure
    compared = set()
    for task, metrics in results.items():
        for named, value in metrics.items():
            metric, _, filtered = named.partition(",")
            name = metric if filtered == "none" else f"{metric}-{filtered}"
            if not filtered or "_stderr" in metric or metric == "mcc" or task == "tiny_mmlu":
                continue
            credit, weight = found[task, name]
            mean = credit / weight
            scale = measures[task, name].scale
            assert (math.exp(mean) if scale == "exponential" else mean) == pytest.approx(
                value, 1e-12
            )
            compared.add((task, name))
    assert compared == found.keys()
    assert len(compared) > 20


def test_measures_say_which_way_is_better(both):
    _, items, _ = both
    found = {
        (item.category, score.metric): score.measure
        for item in items
        for score in score_item(reply(item), item)
    }
    assert found["tiny_arc_easy", "acc"].scale == "percent"
    perplexity = found["tiny_wikitext", "word_perplexity"]
    assert (perplexity.scale, perplexity.higher_is_better) == ("exponential", False)
    bits = found["tiny_wikitext", "bits_per_byte"]
    assert (bits.scale, bits.higher_is_better, bits.bounded) == ("plain", False, False)
    assert not found["tiny_brier", "brier_score"].higher_is_better


def test_a_metric_that_is_no_mean_of_items_is_left_out_and_said(both):
    _, _, notes = both
    reason = "its aggregation matthews_corrcoef is no mean of items"
    assert f"tiny_brier: metric mcc is left out, as {reason}" in notes
