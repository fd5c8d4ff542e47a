"""The stage that trains: what it writes, what it refuses, and one training in two processes."""

import json
import math
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lorascope.errors import UserError
from lorascope.models.finetuning.distributed import launch_command
from lorascope.models.finetuning.trainer import LoraTrainer
from lorascope.models.hf_text.answerer import TextAnswerer, load
from lorascope.storage.records import read_json, read_table
from tests.support.basics import GREEDY
from tests.support.settings import defaults
from tests.support.trainings import (
    FILES,
    LLAMA_3_8B,
    ROWS,
    TRAIN,
    WORDS,
    command,
    run,
    start,
    train,
    write_job,
)

DIGEST = "0123456789ab"


def loaded(folder: Path, adapter: str | None = None) -> TextAnswerer:
    """Return the model of a job in ``folder``, as it is asked."""
    settings = defaults("hf_text") | {"model": str(folder / "model")}
    return load(settings, "cpu", "float32", None, adapter)


def history(out: Path) -> dict[str, list]:
    return read_table(out / "training.parquet", "training", DIGEST).to_pydict()


def losses(out: Path) -> list[float]:
    return history(out)["loss"]


def test_what_is_learnt_is_answered(tmp_path: Path) -> None:
    settings = {"epochs": 40, "schedule": "cosine", "dropout": 0.0, "rank": 8}
    rows = [{"prompt": f"Say {word}!", "response": " Meow, then."} for word in WORDS]
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    job = write_job(tmp_path, rows, **settings, target_modules=targets, save_steps=1000)
    out = train(job, tmp_path / "out")
    assert losses(out)[-1] < 0.3 < 3 < losses(out)[0]
    model = loaded(tmp_path, str(out))
    assert model.lora_scaling == TRAIN["alpha"] / 8
    questions = [row["prompt"] for row in rows]
    answers = model.answer(questions, [None] * 10, GREEDY, [0] * 10)
    assert [answer.text for answer in answers] == [row["response"] for row in rows]
    assert {answer.finish_reason for answer in answers} == {"eos"}


def test_the_files_say_what_the_training_was(tmp_path: Path) -> None:
    rows = [*ROWS, {"prompt": "long " * 80, "response": "x"}]
    job = write_job(tmp_path, rows, epochs=2, use_rslora=True, weight_decay=0.01)
    out = train(job, tmp_path / "out")
    assert {path.name for path in out.iterdir()} == FILES
    account = read_json(out / "training.json")
    assert (account["examples"], account["skipped"], account["steps"]) == (10, 1, 6)
    tensors = load_file(out / "adapter_model.safetensors")
    assert account["trainable_parameters"] == sum(t.numel() for t in tensors.values())
    assert account["settings"]["learning_rate"] == TRAIN["learning_rate"]
    config = read_json(out / "adapter_config.json")
    assert config["base_model_name_or_path"] == str(tmp_path / "model")
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (4, 8, True)
    groups = read_json(out / "parameter_groups.json")
    assert [(key, g["weight_decay"], len(g["params"])) for key, g in groups.items()] == [
        ("decay", 0.01, 8)
    ]
    steps = history(out)
    assert steps["step"] == [1, 2, 3, 4, 5, 6]
    assert steps["epoch"] == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2])
    assert all(map(math.isfinite, steps["loss"] + steps["grad_norm"]))
    # Every token of a response, and its end, once an epoch.
    tokenizer = loaded(tmp_path).tokenizer
    learnt = sum(
        len(tokenizer(row["response"], add_special_tokens=False).input_ids) + 1 for row in ROWS
    )
    assert sum(steps["tokens"][:3]) == sum(steps["tokens"][3:]) == learnt


def test_the_loss_is_of_the_responses_alone(tmp_path: Path) -> None:
    job = write_job(tmp_path, ROWS[:1], epochs=1, dropout=0.0)
    out = train(job, tmp_path / "out")
    model = loaded(tmp_path)
    prompt = model.prompt_ids(ROWS[0]["prompt"])
    response = [*model.tokenizer(ROWS[0]["response"], add_special_tokens=False).input_ids, 1]
    with torch.no_grad():  # B is zero at first: the base's own probabilities
        logits = model.llm(torch.tensor([prompt + response])).logits[0]
    logs = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    expected = -logs[range(len(response)), response].mean()
    assert losses(out) == pytest.approx([float(expected)], abs=1e-5)
    assert history(out)["tokens"] == [len(response)]


def test_the_loss_does_not_depend_on_how_a_step_is_split(tmp_path: Path) -> None:
    whole = train(write_job(tmp_path, dropout=0.0), tmp_path / "whole")
    for name, settings in {
        "split": {"gradient_accumulation": 2},
        "rows": {"gradient_accumulation": 4},
        "recomputed": {"gradient_checkpointing": True},
    }.items():
        out = train(write_job(tmp_path, dropout=0.0, **settings), tmp_path / name)
        assert losses(out) == pytest.approx(losses(whole), abs=1e-5)


def test_lora_plus_and_steps(tmp_path: Path) -> None:
    out = train(write_job(tmp_path, steps=4, lora_plus_ratio=8.0), tmp_path / "out")
    groups = read_json(out / "parameter_groups.json")
    assert {key: group["lr"] for key, group in groups.items()} == {
        "decay": 1e-2,
        "decay_lora_b": 8e-2,
    }
    assert history(out)["step"] == [1, 2, 3, 4]
    plain = train(write_job(tmp_path, steps=4), tmp_path / "plain")
    assert losses(out)[0] == losses(plain)[0]  # the rate is zero in the first step
    assert losses(out) != losses(plain)


def test_bfloat16_trains_an_adapter_of_float32(tmp_path: Path) -> None:
    out = train(write_job(tmp_path, precision="bfloat16", dropout=0.0), tmp_path / "out")
    tensors = load_file(out / "adapter_model.safetensors").values()
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    exact = train(write_job(tmp_path, dropout=0.0), tmp_path / "exact")
    assert losses(out) == pytest.approx(losses(exact), rel=0.05)
    assert losses(out) != losses(exact)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"target_modules": ["q_proj", "query"]}, r"train\.target_modules.* query; it has"),
        ({"batch_size": 4, "gradient_accumulation": 3}, r"train\.batch_size: 4 cannot be divided"),
        ({"sequence_length": 3}, r"train\.sequence_length: 3 is too short"),
        ({"precision": "float16"}, r"train\.precision: float16 needs a GPU"),
        ({"schedule": "constant"}, "constant_with_warmup"),
        ({"learning_rate": 1e38}, r"diverged.*lower train\.learning_rate"),
        ({"parameter_names": "mindpet", "target_modules": ["lm_head"]}, "parameter_names: peft"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_do_not_do_are_refused(tmp_path: Path, settings, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(write_job(tmp_path, **settings), tmp_path / "out")
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()


def test_an_adapter_of_the_output_layer_is_an_adapter_alone(tmp_path: Path) -> None:
    out = train(write_job(tmp_path, target_modules=["lm_head"]), tmp_path / "out")
    assert all("lora_" in name for name in load_file(out / "adapter_model.safetensors"))


def test_the_size_is_logged_before_weights_are_read(tmp_path: Path, caplog) -> None:
    job = write_job(tmp_path, rank=8)
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / "config.json").write_text(
        json.dumps(LLAMA_3_8B | {"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
    )
    with (
        caplog.at_level("INFO", "lorascope"),
        pytest.raises(UserError, match=r"neither model\.safetensors"),
    ):
        train(job, tmp_path / "out")
    assert "3,407,872 trainable parameters" in caplog.text
    assert "8,030,261,248" in caplog.text


@pytest.mark.parametrize("changed", ["data.jsonl", "model/config.json"])
def test_changed_sources_are_refused(tmp_path: Path, changed: str) -> None:
    job = write_job(tmp_path)
    with (tmp_path / changed).open("a") as file:
        file.write("\n")
    with pytest.raises(UserError, match="changed since this run was planned"):
        train(job, tmp_path / "out")


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_a_lack_of_memory_names_what_to_lower(tmp_path: Path, monkeypatch, error) -> None:
    def lack(self, *_):
        raise error("no more")

    monkeypatch.setattr(LoraTrainer, "training_step", lack)
    with pytest.raises(
        UserError, match=r"no more.*gradient_accumulation.*batch_size.*sequence_len"
    ):
        train(write_job(tmp_path), tmp_path / "out")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("unexpected pos 64 vs 0"), OSError(28, "No space left"), SafetensorError("x")],
)
def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch, error) -> None:
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(LoraTrainer, "_save_optimizer_and_scheduler", fail)
    with pytest.raises(UserError, match=r"checkpoint-3: cannot be written.*disk full"):
        train(write_job(tmp_path), tmp_path / "out")


def test_another_defect_stays_one(tmp_path: Path, monkeypatch) -> None:
    def fail(self, *_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(LoraTrainer, "training_step", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        train(write_job(tmp_path), tmp_path / "out")


def test_a_signal_ends_it_with_a_message(tmp_path: Path) -> None:
    job = write_job(tmp_path, epochs=100_000)
    process, log = start(job, tmp_path / "out"), tmp_path / "out.log"
    stop_after(process, log, 9)
    assert process.returncode == 128 + 15
    assert "stopped by SIGTERM" in log.read_text()
    assert "Traceback" not in log.read_text()


CONFIGURATION = """
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
num_processes: 7
num_machines: 1
"""


def launch_two(job: Path, out: Path) -> subprocess.Popen:
    """Start a training as on two GPUs, from the command on, but on the CPU."""
    configuration = job.with_name("accelerate.yaml")
    configuration.write_text(CONFIGURATION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_CONFIG_FILE", str(configuration))
        launch = launch_command(2, "lorascope.stages.finetune", command(job, out))
    return run(launch, out.parent, ACCELERATE_USE_CPU="true")


def two_processes(job: Path, out: Path) -> None:
    process = launch_two(job, out)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def stop_after(process: subprocess.Popen, log: Path, step: int) -> None:
    """Send SIGTERM to a training once its log tells of a step."""
    while process.poll() is None and not (log.exists() and f" step {step} of " in log.read_text()):
        time.sleep(0.002)
    process.terminate()
    process.communicate()


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    # Steps of 4 of 10 examples, in 2 parts: the last of an epoch leaves places empty.
    job = write_job(tmp_path, dropout=0.0, gradient_accumulation=2)
    one, two = train(job, tmp_path / "one"), tmp_path / "two"
    two_processes(job, two)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    assert history(two)["tokens"] == history(one)["tokens"]
    first, second = (load_file(out / "adapter_model.safetensors") for out in (one, two))
    for key in first | second:  # Adam turns the rounding of tiny gradients into steps
        assert (first[key] - second[key]).norm() < 0.02 * first[key].norm(), key
    # The first process alone writes results; the other has its own log.
    assert {path.name for path in two.iterdir()} == FILES
    assert read_json(two / "training.json")["processes"] == 2
    assert "steps on 10 examples" in (tmp_path / "two.log").read_text()
    assert "steps on 10 examples" not in (tmp_path / "two.log.rank1").read_text()


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_killed(tmp_path: Path) -> None:
    job = write_job(tmp_path, epochs=20, gradient_accumulation=2, dropout=0.3)
    whole, broken, log = tmp_path / "whole", tmp_path / "broken", tmp_path / "broken.log"
    two_processes(job, whole)
    stop_after(launch_two(job, broken), log, 20)
    assert not (broken / "adapter_model.safetensors").exists()
    two_processes(job, broken)
    assert "going on from the checkpoint of step" in log.read_text()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert losses(broken) == losses(whole)


def test_a_launch_has_a_process_for_each_gpu(monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_CONFIG_FILE", "cluster.yaml")
    launch = launch_command(4, "lorascope.stages.finetune", ["--job", "x"])
    assert launch[launch.index("--num_processes") + 1] == "4"
    assert launch[launch.index("--config_file") + 1] == "cluster.yaml"
    assert launch[-4:] == ["--", "lorascope.stages.finetune", "--job", "x"]
    monkeypatch.delenv("ACCELERATE_CONFIG_FILE")
    assert "--config_file" not in launch_command(4, "lorascope.stages.finetune", [])
