"""A training that was killed ends with the adapter, and the log, of one that was not."""

import random
import re
import shutil
import time
from pathlib import Path

import pytest

from lorascope.models.finetuning.checkpoints import COMPLETE, last_complete, step_of
from lorascope.storage.records import read_table
from tests.support.trainings import FILES, Killed, kill_after, start, train, write_job

# Ten examples in batches of 4 with two parts each: 3 steps an epoch, 15 in all.
SETTINGS = {"epochs": 5, "gradient_accumulation": 2, "save_steps": 4, "dropout": 0.3}
DECISIVE = ("adapter_model.safetensors", "adapter_config.json", "parameter_groups.json")


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    return write_job(tmp_path_factory.mktemp("job"), **SETTINGS)


@pytest.fixture(scope="module")
def unbroken(job: Path) -> Path:
    return train(job, job.parent / "unbroken")


def broken(job: Path, out: Path, step: int) -> Path:
    """Return ``out`` as a training leaves it that is killed after ``step``."""
    with pytest.MonkeyPatch.context() as patch:
        kill_after(patch, step)
        with pytest.raises(Killed):
            train(job, out)
    return out


def assert_same(out: Path, unbroken: Path) -> None:
    for name in DECISIVE:
        assert (out / name).read_bytes() == (unbroken / name).read_bytes(), name
    first, second = (
        read_table(folder / "training.parquet", "training", "0123456789ab").drop(["seconds"])
        for folder in (out, unbroken)
    )
    assert first.equals(second)


def checkpoints(out: Path) -> list[int]:
    return sorted(step_of(path) for path in (out / "checkpoints").glob("checkpoint-*"))


def test_an_unbroken_training_leaves_its_files_alone(unbroken: Path) -> None:
    assert {path.name for path in unbroken.iterdir()} == FILES
    steps = read_table(unbroken / "training.parquet", "training")["step"].to_pylist()
    assert steps == list(range(1, 16))


# Before the first checkpoint, after one at the end of an epoch (12), in its middle, at the end.
@pytest.mark.parametrize("step", [2, 4, 7, 9, 13, 15])
def test_a_broken_training_goes_on(job: Path, unbroken: Path, step: int) -> None:
    out = broken(job, job.parent / f"step-{step}", step)
    assert not (out / "adapter_model.safetensors").exists()
    # The checkpoint of the very step is not written any more; two are kept.
    assert checkpoints(out) == [s for s in (4, 8, 12) if s < step][-2:]
    assert_same(train(job, out), unbroken)


def test_it_may_be_broken_again_and_again(job: Path, unbroken: Path) -> None:
    for step in (6, 10, 11, 14):
        out = broken(job, job.parent / "again", step)
    assert_same(train(job, out), unbroken)


@pytest.mark.parametrize(
    "damage, file",
    [
        ("unmarked", "optimizer.pt"),
        ("truncated", "adapter_model.safetensors"),
        ("lost", "rng_state.pth"),
        ("mark", COMPLETE),
        ("changed", "optimizer.pt"),
    ],
)
def test_a_half_written_checkpoint_is_not_used(
    job: Path, unbroken: Path, damage: str, file: str, caplog
) -> None:
    out = broken(job, job.parent / f"{damage}-{file}", 10)
    assert checkpoints(out) == [4, 8]
    last = out / "checkpoints" / "checkpoint-8"
    if damage == "unmarked":
        (last / COMPLETE).unlink()
        (last / file).write_bytes((last / file).read_bytes()[:100])
    elif damage == "truncated":
        (last / file).write_bytes((last / file).read_bytes()[:-10])
    elif damage == "lost":
        (last / file).unlink()
    elif damage == "mark":
        (last / file).write_text("{")
    else:
        data = bytearray((last / file).read_bytes())
        data[len(data) // 2] ^= 1
        (last / file).write_bytes(data)
    with caplog.at_level("INFO", "lorascope"):
        assert_same(train(job, out), unbroken)
    assert "checkpoint-8: written in part only" in caplog.text
    assert "from the checkpoint of step 4" in caplog.text


def test_a_checkpoint_of_another_training_is_not_used(job: Path, unbroken: Path, caplog) -> None:
    text = write_job(job.parent / "another", **SETTINGS, seed=9).read_text()
    other = job.parent / "another" / "other.json"
    other.write_text(text.replace("0123456789ab", "ba9876543210"))
    foreign = broken(other, job.parent / "foreign", 10) / "checkpoints"
    out = broken(job, job.parent / "mixed", 10)
    shutil.rmtree(out / "checkpoints/checkpoint-8")
    shutil.copytree(foreign / "checkpoint-8", out / "checkpoints/checkpoint-8")
    with caplog.at_level("INFO", "lorascope"):
        assert_same(train(job, out), unbroken)
    assert "checkpoint-8: written in part only, or was written by other settings" in caplog.text
    assert "from the checkpoint of step 4" in caplog.text


def test_without_a_complete_checkpoint_it_starts_anew(job: Path, unbroken: Path) -> None:
    out = broken(job, job.parent / "none", 5)
    (out / "checkpoints" / "checkpoint-4" / COMPLETE).unlink()
    assert last_complete(out / "checkpoints", "0123456789ab") is None
    assert_same(train(job, out), unbroken)


def test_a_finished_training_is_not_done_again(job: Path, unbroken: Path, caplog) -> None:
    out = job.parent / "twice"
    shutil.copytree(unbroken, out)
    before = (out / "adapter_model.safetensors").stat().st_mtime_ns
    with caplog.at_level("INFO", "lorascope"):
        train(job, out)
    assert "an earlier job has trained it" in caplog.text
    assert (out / "adapter_model.safetensors").stat().st_mtime_ns == before


def test_killed_by_a_signal_at_a_random_step(job: Path, unbroken: Path) -> None:
    step = random.randint(1, 10)
    out, log = job.parent / "killed", job.parent / "killed.log"
    process = start(job, out)
    while process.poll() is None:
        if log.exists() and re.search(rf" step {step} of 15", log.read_text()):
            process.kill()
            break
        time.sleep(0.002)
    process.communicate()
    assert process.returncode == -9, f"too slow to be killed after step {step}"
    assert start(job, out).wait() == 0, log.read_text()
    assert_same(out, unbroken)
    print(f"killed after step {step}")


@pytest.mark.slow
def test_a_second_job_waits_for_the_first_and_takes_what_it_made(job: Path, unbroken: Path) -> None:
    out = job.parent / "both"
    processes = [start(job, out) for _ in range(2)]
    texts = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], texts
    assert sum("an earlier job has trained it" in text for text in texts) == 1
    assert sum("15 steps on 10 examples" in text for text in texts) == 1
    assert_same(out, unbroken)
    assert {path.name for path in out.iterdir()} == FILES
