"""What ends or damages jobs: the next run gives the very bytes of an unbroken one."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import small_study
from lab import BIN, ENVIRONMENT
from small_study import BATCH, ITEMS, Small, Stage

from lorascope.journal import Journal
from lorascope.plan import Plan

INFER = "0-of-2.parquet"  # the first shard of each experiment
ASKED, GO = Path("asked.txt"), Path("go")


@pytest.fixture(autouse=True)
def back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path.cwd())  # tests move into their copies


@pytest.fixture
def new(tmp_path: Path) -> Small:
    return small_study.new(tmp_path)


@pytest.fixture
def finished(tmp_path: Path) -> Small:
    return small_study.finished(tmp_path)


@pytest.fixture
def encoded(finished: Small) -> Small:
    """Return a copy in which the clips are encoded and nothing is answered."""
    shutil.rmtree("results/experiments")
    shutil.rmtree("results/reports")
    return finished


# -------------------------------------------------------------------- what a job is made to do
# These run in the job's own process, before it begins.


def count_questions() -> None:
    """Note every question that the model is asked."""
    from lorascope.models.salmonn.answerer import SalmonnAnswerer

    answer = SalmonnAnswerer.answer

    def counted(self, questions, *rest):
        with ASKED.open("a") as file:
            file.write("".join(f"{self.lora_scaling:g}\n" for _ in questions))
        return answer(self, questions, *rest)

    SalmonnAnswerer.answer = counted


def end_in_the_middle_of_a_line(number: int) -> None:
    """Send ourselves a signal when half of the second batch's line is written."""
    count_questions()
    append = Journal.append

    def torn(self, records):
        append(self, records)
        with self.file.open("r+b") as file:
            lines = file.readlines()
            if len(lines) > BATCH:
                file.truncate(sum(map(len, lines)) - len(lines[-1]) // 2)
                os.kill(os.getpid(), number)

    Journal.append = torn


def end_in_the_middle_of_a_batch(number: int) -> None:
    """Send ourselves a signal while the model answers the second batch."""
    count_questions()
    from lorascope.models.salmonn.answerer import SalmonnAnswerer

    answer = SalmonnAnswerer.answer
    calls = []

    def stopped(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), number)
        return answer(self, *arguments)

    SalmonnAnswerer.answer = stopped


def die_at_write(number: int, before: bool) -> None:
    """Die by SIGKILL before or after the file of this number is renamed into its place."""
    from lorascope.stages import encode

    encode.CLIPS_AT_ONCE = 3
    replace = Path.replace
    calls = []

    def killing(self, target):
        calls.append(1)
        if before and len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(self, target)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Path.replace = killing


def run_out_of_memory(error: str, fits: int) -> None:
    """Let the model answer no more than ``fits`` questions at once."""
    count_questions()
    import torch

    from lorascope.models.salmonn.answerer import SalmonnAnswerer

    answer = SalmonnAnswerer.answer
    errors = {"torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")}
    errors["cpu"] = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")

    def limited(self, questions, *rest):
        if len(questions) > fits:
            raise errors[error]
        return answer(self, questions, *rest)

    SalmonnAnswerer.answer = limited


def encode_two_at_once() -> None:
    from lorascope.models.salmonn.encoder import SalmonnEncoder

    encode = SalmonnEncoder.encode

    def limited(self, waves):
        if len(waves) > 2:
            raise MemoryError
        return encode(self, waves)

    SalmonnEncoder.encode = limited


def pause() -> None:
    """Stop at the second batch until the test says go on."""
    count_questions()
    from lorascope.models.salmonn.answerer import SalmonnAnswerer
    from lorascope.stages import encode

    encode.CLIPS_AT_ONCE = 2
    encode._encode = paused(encode._encode)
    SalmonnAnswerer.answer = paused(SalmonnAnswerer.answer)


def paused(function: Callable) -> Callable:
    calls = []

    def wrapped(*arguments):
        calls.append(1)
        while len(calls) == 2 and not GO.exists():
            time.sleep(0.01)
        return function(*arguments)

    return wrapped


def limit_files(size: int) -> None:
    """Let no file grow beyond ``size`` bytes, as a quota does."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def set_clock(years: float) -> None:
    now = time.time
    time.time = lambda: now() + years * 31557600


# ------------------------------------------------------------------------------------- helpers


def asked() -> int:
    """Return how many questions the model was asked in all."""
    return len(ASKED.read_text().splitlines()) if ASKED.exists() else 0


def start(plan: Plan, rule: str, name: str, sabotage: Callable[[], None] | None = None) -> Stage:
    """Start one job: of an experiment by its ID, with the name of its file."""
    made = {path: job for path, job in plan.made.items() if job.rule == rule}
    return next(Stage(plan, job, sabotage) for path, job in made.items() if name in str(path))


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def answers(identifier: str) -> list[Path]:
    return sorted(Path("results/experiments").glob(f"{identifier}/*/answers/*.jsonl"))


def runtime(identifier: str) -> list[dict]:
    (file,) = Path("results/experiments").glob(f"{identifier}/*/runtime.parquet")
    return pq.read_table(file).to_pylist()


def assert_unbroken(small: Small) -> None:
    """Assert that the next run, or this one, ended with what an unbroken one gives."""
    assert small.run({"infer": count_questions}) == {}
    assert small.outcome() == small_study.reference()


# ----------------------------------------------------------------------------- a job that ends


def test_a_job_killed_at_any_write(new: Small) -> None:
    """Every rule's job dies before and after each of its writes, and ends in a later run."""
    new.study["shards"] = 1
    kills = 0
    for rule in ("dataset", "encode", "infer", "merge", "score", "report"):
        number, before = 1, True
        while failed := new.run({rule: partial(die_at_write, number, before)}, until=rule):
            assert all(job.startswith(rule) for job in failed)
            kills += len(failed)
            number, before = number + (not before), not before
    assert kills >= 25
    assert_unbroken(new)


@pytest.mark.parametrize("end", [end_in_the_middle_of_a_line, end_in_the_middle_of_a_batch])
def test_a_killed_job_loses_one_batch(encoded: Small, end: Callable) -> None:
    failed = encoded.run({INFER: partial(end, signal.SIGKILL), "infer": count_questions})
    assert len(failed) == 2
    assert_unbroken(encoded)
    assert asked() <= 2 * (ITEMS + BATCH)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
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


@pytest.mark.parametrize("error", ["torch", "cpu"])
def test_a_batch_that_does_not_fit_is_halved(encoded: Small, error: str) -> None:
    assert encoded.run({INFER: partial(run_out_of_memory, error, 1)}) == {}
    assert encoded.outcome() == small_study.reference()
    assert sorted(row["halvings"] for row in runtime("SF-0")) == [0] * 6 + [1] * 6
    logs = [p.read_text() for p in Path("results/logs").glob("infer*")]
    assert any("2 do not fit into memory, going on with 1" in log for log in logs)


def test_a_single_item_that_does_not_fit_ends_in_one_message(encoded: Small) -> None:
    failed = encoded.run({"infer": partial(run_out_of_memory, "torch", 0)})
    assert len(failed) == 4
    assert all("not even a single one fits into memory" in o for o in failed.values())
    assert not any("Traceback" in output for output in failed.values())
    assert_unbroken(encoded)


def test_clips_that_do_not_fit_are_encoded_in_halves(new: Small) -> None:
    assert new.run({"encode": encode_two_at_once}) == {}
    assert new.outcome() == small_study.reference()


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
    assert_unbroken(new)


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


@pytest.mark.parametrize("damage", [empty, truncate, flip])
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
    assert_unbroken(finished)


@pytest.mark.parametrize("damage", [empty, truncate, flip])
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


@pytest.mark.parametrize("damage", [empty, truncate, flip])
def test_a_damaged_journal_is_answered_again(encoded: Small, damage: Callable) -> None:
    for shard in range(2):
        start(encoded.planned(), "infer", f"{shard}-of-2").finished()
    for path in answers("SF-0")[:1]:
        damage(path)
    for path in Path("results").glob("experiments/*/*/shards/*"):
        path.unlink()
    assert_unbroken(encoded)
    assert 0 < asked() <= ITEMS + ITEMS // 2


@pytest.mark.parametrize("damage", [empty, truncate, flip])
def test_a_damaged_part_of_features_is_encoded_again(new: Small, damage: Callable) -> None:
    new.run({"encode": partial(die_at_write, 2, False)}, until="encode")
    first, second = Path("results").glob("features/*/*/*/parts/[!.]*.safetensors")
    kept = first.read_bytes()
    damage(second)
    assert new.run() == {}
    assert new.outcome() == small_study.reference()
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


# ---------------------------------------------------------------------------------- orphans


@pytest.fixture
def orphan(encoded: Small) -> Stage:
    """Return a job that has answered one batch and is at work on the next."""
    job = start(encoded.planned(), "infer", "SF-0/", pause)
    wait_for(lambda: [file for file in answers("SF-0") if file.stat().st_size])
    return job


def successor(small: Small, rule: str = "infer", name: str = "SF-0/") -> Stage:
    """Return a job that waits for the orphan."""
    job = start(small.planned(), rule, name, count_questions)
    said = "waiting for an earlier job that is still at work on "
    wait_for(lambda: job.stderr.exists() and said in job.output())
    return job


def test_a_successor_waits_for_an_orphan_and_reuses_its_answers(
    encoded: Small, orphan: Stage
) -> None:
    waiting = successor(encoded)
    GO.touch()
    assert (orphan.process.join(), waiting.finished()) == (None, 0)
    assert asked() == ITEMS // 2
    assert_unbroken(encoded)


def test_a_successor_takes_over_when_the_orphan_dies(encoded: Small, orphan: Stage) -> None:
    waiting = successor(encoded)
    orphan.process.kill()
    assert waiting.finished() == 0
    assert asked() <= ITEMS // 2 + BATCH
    assert_unbroken(encoded)


def test_a_run_with_more_shards_waits_for_orphans_too(encoded: Small, orphan: Stage) -> None:
    encoded.study["shards"] = 3
    waiting = successor(encoded)
    GO.touch()
    assert (orphan.process.join(), waiting.finished()) == (None, 0)
    assert_unbroken(encoded)
    assert asked() == 2 * ITEMS


def test_an_orphan_that_encodes_is_waited_for(new: Small) -> None:
    new.run(until="dataset")
    orphan = start(new.planned(), "encode", "0-of-1", pause)
    wait_for(lambda: list(Path("results").glob("features/*/*/*/parts/[!.]*.safetensors")))
    waiting = successor(new, "encode", "0-of-1")
    GO.touch()
    assert (orphan.process.join(), waiting.finished()) == (None, 0)
    assert "6 clips, 0 of them encoded now" in waiting.output()
    assert_unbroken(new)


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
    assert encoded.outcome() == small_study.reference()
    done = encoded.snakemake("-n")
    assert "Nothing to be done" in done.stdout, done.stdout


# ---------------------------------------------------------------------------- Snakemake itself


def launch(*arguments: str) -> subprocess.Popen:
    """Start Snakemake as the leader of a process group."""
    command = [BIN / "snakemake", *arguments, "--cores", "2", "--configfile", "study.yaml"]
    with Path("snakemake.txt").open("w") as output:
        return subprocess.Popen(
            command, env=ENVIRONMENT, stdout=output, stderr=output, start_new_session=True
        )


def snakemake(small: Small, *arguments: str) -> str:
    done = small.snakemake("--cores", "2", *arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def halted(encoded: Small) -> Iterator[subprocess.Popen]:
    """Return a Snakemake that is stopped with its jobs when they have begun to answer."""
    encoded.write("study.yaml")
    run = launch("SF-0")
    wait_for(lambda: answers("SF-0"))
    os.killpg(run.pid, signal.SIGSTOP)
    yield run
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)


def test_a_second_snakemake_is_refused_and_a_killed_one_unlocked(
    encoded: Small, halted: subprocess.Popen
) -> None:
    second = encoded.snakemake("SF-0")
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout
    assert "--unlock" in second.stdout
    assert "Traceback" not in second.stdout
    os.killpg(halted.pid, signal.SIGKILL)
    assert halted.wait() == -signal.SIGKILL
    snakemake(encoded, "--unlock")
    snakemake(encoded, "SF-0")
    assert_unbroken(encoded)


def test_a_killed_snakemake_whose_jobs_live_on(encoded: Small, halted: subprocess.Popen) -> None:
    halted.kill()
    halted.wait()
    os.killpg(halted.pid, signal.SIGCONT)
    snakemake(encoded, "--unlock")
    snakemake(encoded, "SF-0")
    assert_unbroken(encoded)


def test_snakemake_at_a_time_limit(encoded: Small, halted: subprocess.Popen) -> None:
    """SIGTERM to all: nothing is left locked."""
    os.killpg(halted.pid, signal.SIGTERM)
    os.killpg(halted.pid, signal.SIGCONT)
    assert halted.wait(60) != 0
    assert "stopped by SIGTERM" in Path("snakemake.txt").read_text()
    snakemake(encoded, "SF-0")
    assert_unbroken(encoded)
