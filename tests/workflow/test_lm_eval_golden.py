"""Tasks of lm-evaluation-harness, answered by a real model, have the harness's own numbers."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support.basics import shared_path
from tests.support.lm_eval_tasks import environment
from tests.support.real_models import harness_samples, real_model
from tests.support.small_study import Small

__all__ = ["environment"]
ITEMS = 4


@pytest.fixture
def study(tmp_path, monkeypatch) -> Small:
    golden, model = shared_path("golden/lm_eval_smollm2"), real_model("smollm2-135m-instruct")
    monkeypatch.chdir(tmp_path)
    dataset = {
        "benchmark": "lm_eval",
        "task": ["xquad_choice", "xquad_numeric", "xquad_perplexity"],
        "include_path": str(golden / "tasks"),
        "source": str(golden),
    }
    plain = {"model": "smol", "dataset": "xquad", "batch_size": ITEMS}
    content = {
        "study": "golden",
        "models": {"smol": {"family": "hf_text", "model": str(model)}},
        "adapters": {"lora": {"model": "smol", "source": str(golden / "adapter")}},
        "datasets": {"xquad": dataset},
        "experiments": [{"id": "adapter", "adapter": "lora", **plain}],
        "baseline": "adapter",
        "limit": ITEMS,
    }
    return Small(tmp_path, content)


def samples(task):
    return harness_samples(task, "adapter")[:ITEMS]


def test_a_real_model_s_replies_and_scores_are_the_harness_s(study):
    assert study.run(until="score") == {}
    plan = study.planned()
    read = pq.read_table(plan.experiments["adapter"].predictions).to_pylist()
    replies = {row["item_id"]: row for row in read}
    scored = pq.read_table(plan.scores["adapter"].path).to_pylist()
    credits = {(row["item_id"], row["category"]): row["credit"] for row in scored}
    for sample in samples("xquad_choice"):
        name = f"xquad_choice/{sample['doc_id']}"
        assert np.allclose(replies[name]["loglikelihoods"], sample["loglikelihoods"], atol=1e-3)
        assert credits[name, "xquad_choice-acc_norm"] == sample["acc_norm"]
    for sample in samples("xquad_numeric"):
        name = f"xquad_numeric/{sample['doc_id']}"
        assert replies[name]["response"] == sample["response"]
        assert credits[name, "xquad_numeric-exact_match-whole"] == sample["whole"]["exact_match"]
    for sample in samples("xquad_perplexity"):
        name = f"xquad_perplexity/{sample['doc_id']}"
        assert replies[name]["loglikelihoods"] == pytest.approx([sample["loglikelihood"]], abs=1e-2)
        nats = credits[name, "xquad_perplexity-word_perplexity"]
        assert nats == pytest.approx(-sample["loglikelihood"], abs=1e-2)
