"""The reader of drift on models that do more to scores, or keep something else, than most."""

import pytest
import torch
from torch.nn.functional import kl_div
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GraniteConfig, GraniteForCausalLM

from lorascope.models.engine import drift
from lorascope.models.engine.drift import DriftReader, Reading, changes_nothing, compared
from lorascope.models.lora import set_scaling
from tests.support.drifts import CLOSE, largest_gap, plain_drift
from tests.support.random_weights import GROUPED
from tests.support.readings import MODELS, ids, random_model

BOUNDED = {
    "capped": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**GROUPED, head_dim=8, final_logit_softcapping=1.5)
    ),
    "divided": lambda: GraniteForCausalLM(GraniteConfig(**GROUPED, logits_scaling=3.0)),
}
ROWS = [ids(9, 1), ids(30, 2), ids(4, 3), ids(17, 4)]


def reading(row, start=1):
    return Reading(lambda: torch.tensor(row[:2]), row[:2], row[2:], start, tuple(row))


def expected(base, model, row):
    return plain_drift((base, model), torch.tensor(row[:-1]), [*enumerate(row)][1:])


@pytest.fixture(params=["llama", "sliding", "recurrent", *BOUNDED])
def models(request, monkeypatch):
    """A model with a LoRA at scaling 1.5, and the same one at 0."""
    monkeypatch.setattr("tests.support.readings.MODELS", {**MODELS, **BOUNDED})
    targets = ["x_proj", "in_proj"] if request.param == "recurrent" else ["q_proj", "down_proj"]
    base, model = (random_model(request.param, lora=targets) for _ in range(2))
    set_scaling(base, 0.0)
    set_scaling(model, 1.5)
    return base, model, request.param


def test_numbers_are_those_of_plain_forwards(models, monkeypatch):
    base, model, kind = models
    monkeypatch.setattr(drift, "MOST_SCORES", 7 * len(model.get_input_embeddings().weight))
    reader = DriftReader(model)
    for found, row in zip(reader.read([reading(r) for r in ROWS], 4), ROWS, strict=True):
        assert largest_gap(found, expected(base, model, row)) < CLOSE
        assert found.ids == tuple(row[1:])
    assert reader._is_head is (kind not in BOUNDED)


def test_rows_have_scalings_of_their_own_on_a_model_that_does_more(monkeypatch):
    monkeypatch.setattr("tests.support.readings.MODELS", BOUNDED)
    base, model = (random_model("capped", lora=["q_proj", "down_proj"]) for _ in range(2))
    set_scaling(base, 0.0)
    rows, scalings = [ROWS[0], ROWS[0], ROWS[1], ROWS[1]], [2.0, 0.0, None, -1.0]
    set_scaling(model, 0.5)
    found = DriftReader(model).read([reading(row) for row in rows], 4, scalings)
    for one, row, scaling in zip(found, rows, scalings, strict=True):
        set_scaling(model, 0.5 if scaling is None else scaling)
        assert largest_gap(one, expected(base, model, row)) < CLOSE
    assert max(found[1].kl) == 0


def test_a_row_with_nothing_to_look_at_is_not_read():
    model = random_model("llama", lora=["q_proj"])
    alone = Reading(lambda: torch.tensor([5]), [5], [], 1, "alone")
    clip = Reading(lambda: torch.tensor([5, 6, 7]), [5, None, 7], [], 1, "clip")
    found = DriftReader(model).read([alone, clip, reading(ROWS[0])], 2)
    assert [len(one.ids) for one in found] == [0, 1, 8]


def test_divergences_are_those_of_torch_and_never_negative():
    scores = torch.randn(50, 400, generator=torch.Generator().manual_seed(0)) * 9
    near = scores + 1e-6 * torch.randn(50, 400, generator=torch.Generator().manual_seed(1))
    for other in (near, scores.roll(1, 0)):
        found = compared(scores, other, [3] * 50)
        logs = [one.double().log_softmax(-1) for one in (other, scores)]
        exact = kl_div(*logs, reduction="none", log_target=True).sum(-1)
        assert list(found.kl) == pytest.approx(exact.tolist(), rel=1e-9, abs=1e-15)
        assert min(found.kl + found.reverse_kl) >= 0


def test_a_token_that_both_rule_out_adds_nothing_and_one_that_one_does_is_infinite():
    before, after = torch.zeros(1, 4), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    before[0, 3] = after[0, 3] = -torch.inf
    assert compared(before, after, [1]).kl[0] == pytest.approx(
        kl_div(*(t[:, :3].log_softmax(-1) for t in (after, before)), log_target=True).item() * 3
    )
    after[0, 2] = -torch.inf
    found = compared(before, after, [1])
    assert found.kl[0] == torch.inf
    assert not found.is_finite


def test_what_changes_nothing_is_told_by_its_scalings():
    assert changes_nothing(random_model("llama"))
    model = random_model("llama", lora=["q_proj"])
    assert not changes_nothing(model)
    set_scaling(model, 0.0)
    assert changes_nothing(model)
