"""What decides how much is answered at once is part of an experiment's identity, or not."""

from pathlib import Path
from typing import Any

import pytest

from lorascope.planning.infer import PlannedExperiment, plan_experiment
from lorascope.planning.plan import load_plan


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(dtype: str, identifier: str = "A", **own: Any) -> PlannedExperiment:
    """Return an experiment with settings of its own."""
    study = {
        "study": "room",
        "models": {"llama": {"family": "hf_text", "model": "llama", "dtype": dtype}},
        "datasets": {"squad": {"benchmark": "squad", "source": "x.json", "prompt": "{question}"}},
        "experiments": [{"id": identifier, "model": "llama", "dataset": "squad", **own}],
        "baseline": identifier.format(batch_size=own.get("batch_size")),
    }
    plan = load_plan(study, "study.yaml")
    (name,) = plan.study.experiments
    return plan_experiment(plan.context, name)


@pytest.mark.parametrize(
    "room", [{"batch_size": 3}, {"tokens_at_once": 99}, {"batch_size": 3, "tokens_at_once": 99}]
)
def test_in_float32_nothing_of_it_is(room: dict[str, int]) -> None:
    assert planned("float32", **room).fingerprint == planned("float32").fingerprint


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_half_precision_it_is_the_one_that_decides(dtype: str) -> None:
    default = planned(dtype).fingerprint
    assert default["tokens_at_once"] == 16384
    assert "batch_size" not in default
    fewer = planned(dtype, tokens_at_once=99).fingerprint
    assert fewer == default | {"tokens_at_once": 99}
    three = planned(dtype, batch_size=3)
    assert three.fingerprint["batch_size"] == 3
    assert "tokens_at_once" not in three.fingerprint
    assert planned(dtype, batch_size=3, tokens_at_once=99).digest == three.digest


@pytest.mark.parametrize(
    ("settings", "identity"), [({"batch_size": 4}, "B4"), ({"batch_size": None}, "BNone")]
)
def test_an_id_can_name_the_batch_size(settings: dict[str, Any], identity: str) -> None:
    assert planned("float32", "B{batch_size}", **settings).id == identity
