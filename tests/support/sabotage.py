"""What jobs of the small study are made to do, in their own processes, and what comes of it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from lorascope.planning.plan import Plan
from lorascope.storage.journal import Journal
from tests.support import small_study
from tests.support.small_study import BATCH, AtWork, Sabotage, Small

INFER = "0-of-2.parquet"  # the first shard of each experiment
ASKED, GO = Path("asked.txt"), Path("go")


def answering(change: Callable) -> None:
    """Replace how the model decodes by what ``change`` makes of it; keep answers as they come."""
    from lorascope.inferring import worker
    from lorascope.models.salmonn.answerer import SalmonnAnswerer

    worker.KEEP_SECONDS = 0
    SalmonnAnswerer.decode = change(SalmonnAnswerer.decode)


def count_questions() -> None:
    """Note every question that the model answers."""

    def counting(decode):
        def counted(self, asked, *rest):
            for answers in decode(self, asked, *rest):
                with ASKED.open("a") as file:
                    file.write("".join(f"{self.lora_scaling:g}\n" for _ in answers))
                yield answers

        return counted

    answering(counting)


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


def after_a_batch(act: Callable[[], object]) -> Callable:
    """Return what makes decoding call ``act`` once, when as many are answered as a batch holds."""

    def changed(decode):
        left = [BATCH]

        def interrupted(self, asked, *rest):
            for answers in decode(self, asked, *rest):
                yield answers
                before, left[0] = left[0], left[0] - len(answers)
                if before > 0 >= left[0]:
                    act()

        return interrupted

    return changed


def end_in_the_middle_of_a_batch(number: int) -> None:
    """Send ourselves a signal while the model answers the second batch."""
    count_questions()
    answering(after_a_batch(lambda: os.kill(os.getpid(), number)))


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

    errors = {"torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")}
    errors["cpu"] = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")

    def limiting(decode):
        def limited(self, asked, generation, room):
            if min(room.rows or len(asked), len(asked)) > fits:
                raise errors[error]
            yield from decode(self, asked, generation, room)

        return limited

    answering(limiting)


def encode_two_at_once() -> None:
    from lorascope.models.salmonn.encoder import SalmonnEncoder

    encode = SalmonnEncoder.encode_prepared

    def limited(self, clips):
        if len(clips) > 2:
            raise MemoryError
        return encode(self, clips)

    SalmonnEncoder.encode_prepared = limited


def pause() -> None:
    """Stop at the second batch until the test says go on."""
    count_questions()
    from lorascope.stages import encode

    encode.CLIPS_AT_ONCE = 2
    encode._encode = paused(encode._encode)
    answering(after_a_batch(wait_to_go_on))


def paused(function: Callable) -> Callable:
    calls = []

    def wrapped(*arguments):
        calls.append(1)
        if len(calls) == 2:
            wait_to_go_on()
        return function(*arguments)

    return wrapped


def wait_to_go_on() -> None:
    while not GO.exists():
        time.sleep(0.01)


def limit_files(size: int) -> None:
    """Let no file grow beyond ``size`` bytes, as a quota does."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def set_clock(years: float) -> None:
    now = time.time
    time.time = lambda: now() + years * 31557600


# ------------------------------------------------------------------------- what comes of it


def asked() -> int:
    """Return how many questions the model was asked in all."""
    return len(ASKED.read_text().splitlines()) if ASKED.exists() else 0


def start(plan: Plan, stage: str, name: str, sabotage: Sabotage | None = None) -> AtWork:
    """Start one job: of an experiment by its ID, with the name of its file."""
    job = next(job for job in plan.of_stage(stage) if name in str(job.out))
    return AtWork(job, sabotage)


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


def assert_unbroken(small: Small, until: str = "score") -> None:
    """Assert that the next run, or this one, ended with what an unbroken one gives.

    until: the last stage that is run and compared. Equal scores make equal reports, so that only
    what harms a report needs one.
    """
    assert small.run({"infer": count_questions}, until) == {}
    found, unbroken = small.outcome(until), small_study.reference()
    assert found == {path: unbroken[path] for path in found}
