"""What ends or damages jobs: the next run gives the very bytes of an unbroken one."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.basics import thorough
from tests.support.lab import BIN, ENVIRONMENT
from tests.support.sabotage import (
    INFER,
    answers,
    asked,
    assert_unbroken,
    count_questions,
    die_at_write,
    encode_two_at_once,
    end_in_the_middle_of_a_batch,
    end_in_the_middle_of_a_line,
    limit_files,
    run_out_of_memory,
    runtime,
    set_clock,
    start,
)
from tests.support.small_study import BATCH, ITEMS, Small, reference

# ----------------------------------------------------------------------------- a job that ends


RULES = ("dataset", "encode", "infer", "merge", "score", "report")


@pytest.mark.parametrize(("rules", "least"), [(RULES[2:4], 9), *thorough((RULES, 25))])
def test_a_job_killed_at_any_write(new: Small, rules: tuple[str, ...], least: int) -> None:
    """A rule's job dies before and after each of its writes, and ends in a later run."""
    new.study["shards"] = 1
    kills = 0
    for rule in rules:
        number, before = 1, True
        while failed := new.run({rule: partial(die_at_write, number, before)}, until=rule):
            assert all(job.startswith(rule) for job in failed)
            kills += len(failed)
            number, before = number + (not before), not before
    assert kills >= least
    assert_unbroken(new, until="page")


@pytest.mark.parametrize("end", [end_in_the_middle_of_a_line, end_in_the_middle_of_a_batch])
def test_a_killed_job_loses_one_batch(encoded: Small, end: Callable) -> None:
    failed = encoded.run({INFER: partial(end, signal.SIGKILL), "infer": count_questions})
    assert len(failed) == 2
    assert_unbroken(encoded)
    assert asked() <= 2 * (ITEMS + BATCH)


@pytest.mark.parametrize("number", [signal.SIGTERM, *thorough(signal.SIGINT)])
def test_a_job_that_is_told_to_stop_says_so(encoded: Small, number: int) -> None:
    stop = partial(end_in_the_middle_of_a_batch, number)
    failed = encoded.run({INFER: stop, "infer": count_questions})
    assert len(failed) == 2
    for output in failed.values():
        assert output.splitlines()[-1].startswith(f"stopped by {signal.Signals(number).name}")
        assert "Traceback" not in output
    assert [len(file.read_text().splitlines()) for file in answers("SF-0")] == [BATCH, ITEMS // 2]
    assert encoded.leftovers() == []
    assert_unbroken(encoded)
    assert asked() <= 2 * (ITEMS + BATCH)


# ----------------------------------------------------------------------------- out of memory


@pytest.mark.parametrize("error", ["cpu", *thorough("torch")])
def test_a_batch_that_does_not_fit_is_halved(encoded: Small, error: str) -> None:
    with_little = partial(run_out_of_memory, error, 1)
    assert encoded.run({INFER: with_little}, until="infer") == {}
    assert_unbroken(encoded)
    assert sorted(row["halvings"] for row in runtime("SF-0")) == [0] * 6 + [1] * 6
    logs = [p.read_text() for p in Path("results/logs/infer").rglob("*.log")]
    assert any("2 do not fit into memory, going on with 1" in log for log in logs)


def test_a_single_item_that_does_not_fit_ends_in_one_message(encoded: Small) -> None:
    failed = encoded.run({"infer": partial(run_out_of_memory, "torch", 0)})
    assert len(failed) == 4
    assert all("not even a single one fits into memory" in o for o in failed.values())
    assert not any("Traceback" in output for output in failed.values())
    assert_unbroken(encoded)


def test_clips_that_do_not_fit_are_encoded_in_halves(new: Small) -> None:
    assert new.run({"encode": encode_two_at_once}, until="encode") == {}
    assert_unbroken(new)


# ---------------------------------------------------------------------------------- full disk


def test_a_quota_ends_every_stage_in_one_message(new: Small) -> None:
    for rule in ("dataset", "encode", "infer", "merge", "score", "report"):
        failed = new.run({rule: partial(limit_files, 700)}, until=rule)
        assert failed, rule
        for output in failed.values():
            assert output.splitlines()[-1].startswith("results/"), output
            assert "cannot be written: " in output.splitlines()[-1]
            assert "Traceback" not in output
        assert new.leftovers() == []
        assert new.run(until=rule) == {}
    assert_unbroken(new, until="page")


FULL_DISK = """
mount -t tmpfs -o size=20k tmpfs results/experiments
"$@" > full.txt 2>&1 && exit 3
find results/experiments -type f > full-files.txt
mount -o remount,size=50m results/experiments
"$@" > room.txt 2>&1 || exit 4
cp -r results/experiments kept
"""


def test_a_full_disk(encoded: Small) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here")
    encoded.write("study.yaml")
    Path("results/experiments").mkdir()
    snakemake = [BIN / "snakemake", "SF-0", "--cores", "1", "--configfile", "study.yaml"]
    command = [*namespace, "sh", "-c", FULL_DISK, "sh", *snakemake]
    done = subprocess.run(command, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, Path("full.txt").read_text()
    said = Path("full.txt").read_text()
    assert "cannot be written: No space left on device" in said
    assert "Traceback" not in said
    files = [Path(line).name for line in Path("full-files.txt").read_text().splitlines()]
    assert not [name for name in files if name.startswith((".", "predictions"))]
    shutil.rmtree("results/experiments")
    shutil.copytree("kept", "results/experiments")
    assert_unbroken(encoded)


# ------------------------------------------------------------------------------ damaged files


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flip(path: Path) -> None:
    """Damage what a reader looks at: much of a table, since a reader takes some columns only."""
    data = bytearray(path.read_bytes())
    place, length = len(data) // 2, 9
    if path.suffix == ".parquet":
        place, length = len(data) // 10, len(data) // 2
    if path.suffix == ".jsonl":
        place = data.rindex(b"animal")
    data[place : place + length] = bytes(byte ^ 0xFF for byte in data[place : place + length])
    path.write_bytes(data)


# What is damaged, which files are missing besides, and the rule whose job comes upon it.
DAMAGED = {
    "items": ("datasets/*/*/items.parquet", ["experiments/*/*/scores-*"], "score"),
    "features": ("features/*/*/*/*.safetensors", ["experiments"], "infer"),
    "predictions": (
        "experiments/SF-0/*/predictions.parquet",
        ["experiments/*/*/scores-*"],
        "score",
    ),
    "runtime": ("experiments/SF-0/*/runtime.parquet", ["reports"], "report"),
    "scores": ("experiments/SF-0/*/scores-*", ["reports"], "report"),
}


@pytest.mark.parametrize("damage", [flip, *thorough(empty, truncate)])
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_moved_aside(finished: Small, kind: str, damage: Callable) -> None:
    pattern, missing, rule = DAMAGED[kind]
    for wanted in ("reports", *missing):
        for path in Path("results").glob(wanted):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (path,) = Path("results").glob(pattern)
    damage(path)
    failed = finished.run()
    assert {job.partition(" ")[0] for job in failed} == {rule}
    for output in failed.values():
        assert "Traceback" not in output
        assert f"{path}: " in output.splitlines()[-1]
    assert "moved aside" in "".join(failed.values())
    assert len(list(path.parent.glob(f"{path.name}.unusable-*"))) == 1
    assert_unbroken(finished, until="page" if rule == "report" else "score")


@pytest.mark.parametrize("damage", [truncate, *thorough(empty, flip)])
def test_a_damaged_shard_is_moved_aside(encoded: Small, damage: Callable) -> None:
    for name in ("SF-0", "SF-1"):
        assert start(encoded.planned(), "infer", f"{name}/").finished() == 0
    (path,) = Path("results").glob("experiments/SF-0/*/shards/0-of-2.parquet")
    damage(path)
    (output,) = encoded.run({"infer": count_questions}).values()
    assert f"{path}: " in output
    assert "moved aside" in output
    assert_unbroken(encoded)
    assert asked() == ITEMS  # the answers of the damaged shard were kept elsewhere


@pytest.mark.parametrize("damage", [flip, *thorough(empty, truncate)])
def test_a_damaged_journal_is_answered_again(encoded: Small, damage: Callable) -> None:
    for shard in range(2):
        start(encoded.planned(), "infer", f"{shard}-of-2").finished()
    for path in answers("SF-0")[:1]:
        damage(path)
    for path in Path("results").glob("experiments/*/*/shards/*"):
        path.unlink()
    assert_unbroken(encoded)
    assert 0 < asked() <= ITEMS + ITEMS // 2


@pytest.mark.parametrize("damage", [empty, *thorough(truncate, flip)])
def test_a_damaged_part_of_features_is_encoded_again(new: Small, damage: Callable) -> None:
    new.run({"encode": partial(die_at_write, 2, False)}, until="encode")
    first, second = Path("results").glob("features/*/*/*/parts/[!.]*.safetensors")
    kept = first.read_bytes()
    damage(second)
    assert_unbroken(new)
    assert len(kept) > 0
    assert len(list(second.parent.glob("*.unusable-*"))) == 1


def test_a_damaged_job_description_is_written_again(encoded: Small) -> None:
    plan = encoded.planned()
    text = next(p for p in Path("results/jobs").glob("*.json") if '"twin"' in p.read_text())
    text.write_text(text.read_text().replace('"SF-0"', '"SF-1"').replace("[", "[ ", 1))
    command = ["--job", text, "--out", "out", "--runtime", "r", "--log", "log"]
    done = subprocess.run(
        [BIN / "python", "-m", "lorascope.stages.merge", *command],
        env=ENVIRONMENT | {"PYTHONPATH": "workflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{text}: damaged; moved aside")
    assert not text.exists()
    assert plan.experiments


# ------------------------------------------------------------------------------------- clock


def test_a_clock_that_jumped_changes_nothing(encoded: Small) -> None:
    encoded.run(
        {
            INFER: partial(end_in_the_middle_of_a_batch, signal.SIGKILL),
            "score": partial(set_clock, 9),
        }
    )
    draw = random.Random(0)
    for path in [p for p in Path().rglob("*") if p.is_file()]:
        when = time.time() + draw.uniform(-9e8, 9e8)
        os.utime(path, (when, when))
    assert encoded.run({r: partial(set_clock, y) for r, y in (("infer", -30), ("merge", 20))}) == {}
    assert encoded.outcome() == reference()
    done = encoded.snakemake("-n")
    assert "Nothing to be done" in done.stdout, done.stdout
