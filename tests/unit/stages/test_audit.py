"""The stage that looks into adapters: SALMONN's own, one of peft's, one for another model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorascope.models.salmonn.checkpoint import LORA_PREFIX
from lorascope.planning.audit import KIND, MODULES, plan_audits
from lorascope.planning.report import AUDITS, ReportAudit
from lorascope.storage.records import read_document, read_table
from tests.support.report_jobs import report_maker, scored
from tests.support.small_study import STUDY
from tests.support.stagehand import Bench
from tests.support.tiny_salmonn_files import RANK, write_salmonn

READY = "ready"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Bench:
    """A study of a SALMONN with its own LoRA and with one that is ready-made."""
    monkeypatch.chdir(tmp_path)
    write_salmonn(Path("models"))
    Path("data-sets/data/Animal").mkdir(parents=True)
    (own,) = STUDY["experiments"]
    experiments = [own, {**own, "id": "R-{lora_scaling}", "adapter": READY}]
    adapters = {READY: {"model": "tiny", "source": READY}}
    return Bench({**STUDY, "adapters": adapters, "experiments": experiments}, capsys)


def write_adapter(**config: Any) -> None:
    """Write SALMONN's own LoRA as peft would."""
    from safetensors.torch import save_file

    model = torch.load("models/salmonn.pth", weights_only=True)["model"]
    lora = {
        k.removeprefix("llama_model."): v for k, v in model.items() if k.startswith(LORA_PREFIX)
    }
    Path(READY).mkdir(exist_ok=True)
    plain = {name.replace(".default", ""): tensor for name, tensor in lora.items()}
    save_file(plain, Path(READY, "adapter_model.safetensors"))
    own = {"peft_type": "LORA", "r": RANK, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"]}
    Path(READY, "adapter_config.json").write_text(json.dumps(own | config))


def test_a_models_own_and_a_ready_made_one(bench: Bench) -> None:
    write_adapter(base_model_name_or_path="lmsys/vicuna-7b-v1.5")
    bench.make("audit")
    ready, own = plan_audits(bench.plan.context)
    assert (ready.name, own.name, bool(own.own)) == (READY, "tiny", True)
    found = [read_document(one.files["audit"], KIND, one.digest) for one in (ready, own)]
    assert [one["base"]["kind"] for one in found] == ["unknown", "same"]
    assert found[0]["base"]["named"] == "lmsys/vicuna-7b-v1.5"
    assert found[0]["norm"] == pytest.approx(found[1]["norm"])
    assert found[0]["of_known_weight"] == found[0]["modules"] == 4
    model = torch.load("models/salmonn.pth", weights_only=True)["model"]
    rows = read_table(own.files["modules"], MODULES, own.digest).to_pylist()
    for row in rows:
        down, up = (
            model[f"{LORA_PREFIX}{row['module']}.lora_{side}.default.weight"].double().numpy()
            for side in "AB"
        )
        change = 32 / RANK * up @ down
        assert row["norm"] == pytest.approx(np.linalg.norm(change), rel=1e-5)
        assert row["singular_values"] == pytest.approx(
            np.linalg.svd(change, compute_uv=False)[:RANK], rel=1e-5
        )
    assert len(rows) == 4


def test_an_adapter_of_another_model_ends_the_run(bench: Bench) -> None:
    """One that was not here while the study was planned, as of the hub, is told by the job."""
    write_adapter(base_model_name_or_path=str(Path("other").absolute()))
    (job, *_) = bench.plan.of_stage("audit")
    told = job.told()
    Path("other").mkdir()
    Path("other/config.json").write_text(json.dumps({"hidden_size": 7}))
    assert Path(told.sources["adapter"]).exists()
    code, said = bench.run(job)
    assert code == 1
    assert "adapters.ready: names" in said
    assert "its hidden_size is 7, not" in said
    assert "set base_model: anything" in said
    assert "Traceback" not in said


def test_a_changed_adapter_is_not_taken_for_the_planned_one(bench: Bench) -> None:
    write_adapter()
    (job, *_) = bench.plan.of_stage("audit")
    write_adapter(lora_alpha=7)
    code, said = bench.run(job)
    assert (code, "ready: changed since this run was planned" in said) == (1, True)


def test_the_report_has_what_was_found_and_names_what_was_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    write_adapter()
    bench.make("audit")
    audits = [
        ReportAudit(one.name, str(one.files["audit"]), str(one.files["modules"]), one.digest)
        for one in plan_audits(bench.plan.context)
    ]
    make = report_maker(Path.cwd(), monkeypatch, capsys)
    rows = [scored("BASE", {"squad-f1": [1.0, 0.0]}, 0.0)]
    found = make(rows, audits=audits, planned_audits=[READY, "tiny", "gone"], files=AUDITS)
    page = found["accuracy.md"].decode()
    assert "**Warning.** The audit of adapter gone is missing." in page
    assert f"**Warning.** Adapters {READY} and tiny do the same to the weights." in page
    assert "- tiny comes with models/llm." in page
    assert found["audits.csv"].decode().count("\n") == 1 + 2 * 4
    assert len(found["audits.png"]) > 5_000
    assert {*AUDITS} <= json.loads(found["manifest-d.json"])["files"].keys()
