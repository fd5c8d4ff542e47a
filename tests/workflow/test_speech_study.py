"""Whole studies of recognisers, random and tiny: from clips and transcripts to a report."""

import csv
import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import WhisperForConditionalGeneration

from lorascope.benchmarks.audio import read_clip
from lorascope.errors import UserError
from lorascope.planning.plan import load_plan
from lorascope.study.registry import BENCHMARKS
from tests.support.outside_training import train_outside
from tests.support.speech_cases import noise, own_tokens, scaled
from tests.support.stagehand import answers
from tests.support.tiny_speech_models import WIDTH, build
from tests.support.trainings import Killed, kill_after

TEXTS = ["one two", "three", "four five six", "seven"]
NEW = 8
STUDY: dict[str, Any] = {
    "study": "speech",
    "models": {"heard": {"family": "hf_speech", "model": "model"}},
    "adapters": {
        "ready": {"model": "heard", "source": "adapter"},
        "taught": {
            "model": "heard",
            "train": {
                "data": {
                    "format": "table",
                    "source": "clips.csv",
                    "clip": "file",
                    "answer": "transcript",
                },
                "steps": 4,
                "batch_size": 4,
                "learning_rate": 0.03,
                "rank": 4,
            },
        },
    },
    "datasets": {
        "said": {
            "benchmark": "table",
            "source": "clips.csv",
            "clip": "file",
            "answer": "transcript",
            "id": "file",
        }
    },
    "experiments": [
        {"id": "BASE"},
        {"id": "LoRA-{lora_scaling}", "adapter": "ready", "grid": {"lora_scaling": [0, 0.5, 1]}},
        {"id": "TAUGHT", "adapter": "taught"},
    ],
    "baseline": "BASE",
}
for experiment in STUDY["experiments"]:
    experiment |= {
        "model": "heard",
        "dataset": "said",
        "batch_size": 3,
        "scorer": "wer",
        "generation": {"max_new_tokens": NEW},
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with model, adapter and clips."""
    return write_files(tmp_path_factory.mktemp("speech"))


def write_files(folder: Path) -> Path:
    model = build("english", folder / "model")
    train_outside(model, folder / "adapter", noise(), TEXTS)
    rows = [("file", "transcript", "wrong")]
    for i, (wave, text) in enumerate(zip(noise(), TEXTS, strict=True)):
        soundfile.write(folder / f"{i}.wav", wave, 16000)
        rows.append((f"{i}.wav", text, "ten"))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def all_but_taught(**changes: Any) -> dict[str, Any]:
    return {"experiments": [e | changes for e in STUDY["experiments"][:2]]}


def peft_says(adapter: Path, scaling: float) -> list[list[int]]:
    base = WhisperForConditionalGeneration.from_pretrained("model")
    model = scaled(PeftModel.from_pretrained(base, adapter), scaling).eval()
    clips = [read_clip(f"{i}.wav") for i in range(len(TEXTS))]
    return [own_tokens(model.base_model.model, Path("model"), c, max_new_tokens=NEW) for c in clips]


def test_from_clips_to_a_report_of_word_errors(start: Callable) -> None:
    bench = start()
    assert bench.left().count("encode") == 1
    report = bench.finish()
    [chunk] = Path("results/features").rglob("*-of-*.safetensors")
    with safe_open(chunk, framework="numpy") as file:
        assert {file.get_slice(clip).get_shape()[1] for clip in file.keys()} == {WIDTH}  # noqa: SIM118
    end = json.loads(Path("model/generation_config.json").read_text())["eos_token_id"]
    found = {
        name: [[token for token in tokens if token != end] for tokens in several]
        for name, several in answers(bench).items()
    }
    taught = bench.plan.experiments["TAUGHT"].adapter.folder
    for name, adapter, scaling in (
        ("LoRA-0", Path("adapter"), 0.0),
        ("LoRA-0.5", Path("adapter"), 0.5),
        ("LoRA-1", Path("adapter"), 1.0),
        ("TAUGHT", taught, 4.0),
    ):
        assert found[name] == peft_says(adapter, scaling)
    assert found["BASE"] == found["LoRA-0"]
    assert found["LoRA-0"] != found["LoRA-0.5"] != found["LoRA-1"]
    assert found["TAUGHT"] != found["BASE"]
    rows = list(csv.DictReader((report / "accuracy.csv").open()))
    assert {row["experiment"] for row in rows} == {*found}
    losses = bench.plan.experiments["TAUGHT"].adapter.files["training"]
    assert losses.exists()


@pytest.mark.parametrize(
    "change",
    [
        all_but_taught(batch_size=1),
        all_but_taught(batch_size=16) | {"shards": 3},
        all_but_taught() | {"models": {"heard": STUDY["models"]["heard"] | {"encode_once": False}}},
    ],
    ids=["one by one", "other batches and shards", "heard for every answer"],
)
def test_answers_do_not_move(start: Callable, change: dict) -> None:
    bench = start(**all_but_taught())
    bench.make("dataset", "encode", "infer", "merge")
    other = start(**change)
    other.make("dataset", "encode", "infer", "merge")
    assert answers(other) == answers(bench)


def test_options_are_chosen_by_the_likelihood_of_what_is_said(start: Callable) -> None:
    chosen = STUDY["datasets"]["said"] | {
        "options": ["transcript", "wrong"],
        "answer": "transcript",
    }
    bench = start(
        datasets={"said": chosen}, **all_but_taught(mode="choose", scorer="likelihood")
    )  # fmt: skip
    report = bench.finish()
    found = answers(bench, "loglikelihoods")
    assert {len(sums) for several in found.values() for sums in several} == {2}
    assert found["BASE"] == found["LoRA-0"] != found["LoRA-1"]
    assert (report / "accuracy.csv").exists()


def trained(start: Callable, **train: Any) -> dict[str, torch.Tensor]:
    """Return the tensors that a training makes."""
    adapters = deepcopy(STUDY["adapters"])
    adapters["taught"]["train"] |= train
    bench = start(adapters=adapters, experiments=STUDY["experiments"][2:], baseline="TAUGHT")
    bench.make("finetune")
    [planned] = (e.adapter for e in bench.plan.experiments.values())
    return load_file(planned.files["weights"])


def test_what_is_trained_does_not_depend_on_how_it_is_computed(
    start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(start)
    for change in ({"gradient_checkpointing": True}, {"gradient_accumulation": 2}):
        found = trained(start, **change)
        assert found.keys() == whole.keys()
        assert all(torch.allclose(found[name], whole[name], atol=1e-4) for name in whole)
    shutil.rmtree("results")
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_after(patched, 3)
        trained(start, save_steps=1)
    found = trained(start, save_steps=1)
    assert all(torch.equal(found[name], whole[name]) for name in whole)


def test_a_question_is_refused_before_anything_is_planned(start: Callable) -> None:
    asked = STUDY["datasets"]["said"] | {"question": "What is said?"}
    with pytest.raises(UserError) as raised:
        load_plan(deepcopy(STUDY | {"datasets": {"said": asked}}), "study.yaml")
    assert str(raised.value) == (
        "study.yaml: experiment BASE: dataset 'said' (benchmark table) asks questions, and model "
        "'heard' (family hf_speech) writes down what it hears; use a dataset without questions, or "
        "a model that is asked"
    )


def test_a_question_that_only_items_tell_is_refused_before_it_is_answered(
    start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BENCHMARKS._loaded, "table", replace(BENCHMARKS["table"], asks=None))
    asked = STUDY["datasets"]["said"] | {"question": "Say {transcript}!"}
    bench = start(datasets={"said": asked}, experiments=STUDY["experiments"][:1])
    bench.make("dataset", "encode")
    job = next(job for job in bench.plan.left() if job.stage.name == "infer")
    code, text = bench.run(job)
    assert code == 1
    assert text.splitlines()[-1] == (
        "BASE: dataset said: 4 of 4 items have a question (table/0.wav: 'Say one two!'), and the "
        "model writes down what it hears; leave the question of the dataset out, or use a model "
        "that is asked"
    )


def test_an_adapter_of_the_encoder_is_planned_with_a_model_that_hears_every_time(
    start: Callable,
) -> None:
    whole = deepcopy(STUDY["adapters"])
    whole["taught"]["train"]["adapt"] = "all"
    taught = {"adapters": whole, "experiments": [STUDY["experiments"][0], STUDY["experiments"][2]]}
    with pytest.raises(UserError) as raised:
        load_plan(deepcopy(STUDY | taught), "study.yaml")
    assert str(raised.value) == (
        "study.yaml: adapters.taught.train.adapt: all changes the encoder, so that clips encoded "
        "once are not its own; set encode_once: false of the model, or adapt: decoder"
    )
    model = STUDY["models"]["heard"] | {"encode_once": False}
    bench = start(models={"heard": model}, **taught)
    bench.make("dataset", "finetune", "encode", "infer", "merge")
    end = json.loads(Path("model/generation_config.json").read_text())["eos_token_id"]
    found = [[token for token in tokens if token != end] for tokens in answers(bench)["TAUGHT"]]
    assert found == peft_says(bench.plan.experiments["TAUGHT"].adapter.folder, 4.0)
