"""Jobs of a run that answer each other's shards with one loaded model."""

import errno
import fcntl
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.inferring.claims import Others
from lorascope.inferring.handing import Handing
from lorascope.inferring.merging import merge
from lorascope.inferring.shard import Shard
from lorascope.planning.asked import ASKED, Run
from lorascope.planning.stage import PlannedJob
from lorascope.planning.told import job_file
from lorascope.storage.records import read_table, write_table
from tests.support.basics import thorough
from tests.support.cooperating import announced, counted, kept, loads
from tests.support.sabotage import (
    GO,
    answering,
    answers,
    asked,
    assert_unbroken,
    count_questions,
    pause,
    start,
    wait_for,
)
from tests.support.small_study import ITEMS, AtWork, Small

ALL = 2 * ITEMS  # of two experiments


def files_handed(jobs: list[PlannedJob]) -> list[Path]:
    """Return where the answers of jobs lie until these take them."""
    return [
        Handing(
            job.told(), int(str(job.wildcards["shard"])), int(str(job.wildcards["shards"]))
        ).file
        for job in jobs
    ]


def test_a_job_whose_handed_file_is_damaged_reads_the_journal(encoded: Small) -> None:
    with announced(encoded.planned()) as jobs:
        run(jobs[0])
        for file in files_handed(jobs[1:]):
            file.write_bytes(b"damaged")
        for job in jobs[1:]:
            run(job)
    assert asked() == ALL
    assert_unbroken(encoded)


def run(job, sabotage=None) -> AtWork:
    at_work = AtWork(job, sabotage or count_questions)
    assert at_work.finished() == 0, at_work.output()
    return at_work


def test_one_job_answers_all_that_its_run_was_asked_for(encoded: Small) -> None:
    with announced(encoded.planned()) as jobs:
        run(jobs[0])
        handed = [file.read_bytes() for file in files_handed(jobs[1:])]
        for job in jobs[1:]:
            run(job)
    assert [job.out.read_bytes() for job in jobs[1:]] == handed
    assert [counted(job).get("model loads", 0) for job in jobs] == [1, 0, 0, 0]
    assert [counted(job) for job in jobs[1:]] == [{}, {}, {}]
    assert "leased" not in jobs[1].log.read_text() + jobs[1].log.read_text()
    assert "computing on" not in jobs[1].log.read_text()
    assert asked() == ALL
    assert all(len(items) == len({*items}) for items in kept(encoded.planned()).values())
    assert_unbroken(encoded)
    assert asked() == ALL


def test_what_is_answered_whole_is_merged_for_its_own_job(encoded: Small) -> None:
    encoded.study["shards"] = 1
    with announced(encoded.planned()) as jobs:
        for job in jobs:
            run(job)
    plan = encoded.planned()
    for job in plan.of_stage("merge"):
        told = job.told()
        tables = merge(told.id, told.items, told.dataset, [*map(Path, told.shards)], told.digest)
        tables.write(Path("predictions.parquet"), Path("runtime.parquet"))
        run(job)
        assert "merged by the job that answered it" in job.log.read_text()
        for name, path in job.outputs.items():
            assert path.read_bytes() == Path(f"{name}.parquet").read_bytes()
    assert not [*Path("results").rglob("answers")]
    assert_unbroken(encoded)


def test_what_was_answered_anew_is_merged_anew(encoded: Small) -> None:
    encoded.study["shards"] = 1
    with announced(encoded.planned()) as jobs:
        for job in jobs:
            run(job)
    (first, *_) = encoded.planned().of_stage("merge")
    shard = Path(first.told().shards[0])
    write_table(shard, read_table(shard, "shard"), "shard", first.told().digest, {"made": "anew"})
    run(first)
    assert "merged by" not in first.log.read_text()
    assert_unbroken(encoded)


def a_full_disk_for_what_is_merged() -> None:
    count_questions()
    from lorascope.inferring import handing

    def refuse(*_: object) -> None:
        raise UserError("predictions.parquet: cannot be written")

    handing.Merged.give = refuse


def test_what_cannot_be_merged_is_left_to_its_own_job(encoded: Small) -> None:
    encoded.study["shards"] = 1
    with announced(encoded.planned()) as jobs:
        first = run(jobs[0], a_full_disk_for_what_is_merged)
    assert first.output().count("merging is left to its own job: predictions.parquet") == 2
    assert asked() == ALL
    assert_unbroken(encoded)


def test_a_job_of_one_experiment_answers_that_alone(encoded: Small) -> None:
    with announced(encoded.planned(), ids="SF-1") as jobs:
        run(jobs[0])
    assert {name: len(items) for name, items in kept(encoded.planned()).items()} == {
        "SF-0": 0,
        "SF-1": ITEMS,
    }
    assert_unbroken(encoded)


def test_two_jobs_at_once_load_twice_and_answer_everything_once(encoded: Small) -> None:
    with announced(encoded.planned(), slots=2) as jobs:
        first = [AtWork(job, count_questions) for job in jobs[:2]]
        assert [job.finished() for job in first] == [0, 0]
        for job in jobs[2:]:
            run(job)
    assert loads() == 2
    assert asked() == ALL
    assert_unbroken(encoded)


def others_than_this_run(case: str) -> None:
    if case == "damaged":
        ASKED.write_text(ASKED.read_text().replace("SF-1", "SF-2"))
    elif case == "of another version":
        ASKED.write_text("{}")
    elif case == "dead":
        Run._lock.close()
        Run._lock = None
    elif case == "missing":
        ASKED.unlink()


@pytest.mark.parametrize("case", ["damaged", "dead", *thorough("of another version", "missing")])
def test_a_list_of_no_use_leaves_a_job_alone(encoded: Small, case: str) -> None:
    with announced(encoded.planned()) as jobs:
        others_than_this_run(case)
        run(jobs[0])
    assert asked() == ITEMS // 2


def test_a_job_that_is_not_in_the_list_works_alone(encoded: Small) -> None:
    with announced(encoded.planned(), ids="SF-1"):
        (own,) = [j for j in encoded.planned().of_stage("infer") if "SF-0/" in str(j.out)][:1]
        run(own)
    assert asked() == ITEMS // 2
    assert not kept(encoded.planned())["SF-1"]


def test_a_job_helps_elsewhere_before_it_waits_for_its_own_shard(encoded: Small) -> None:
    busy = start(encoded.planned(), "infer", "SF-0/", pause)
    wait_for(lambda: [file for file in answers("SF-0") if file.stat().st_size])
    with announced(encoded.planned()) as jobs:
        helper = AtWork(jobs[0], count_questions)
        wait_for(lambda: "waiting for an earlier job" in helper.stderr.read_text())
        assert len(kept(encoded.planned())["SF-1"]) == ITEMS
        status = encoded.planned()
        assert not jobs[0].out.exists()
        GO.touch()
        assert (busy.finished(), helper.finished()) == (0, 0)
        assert status
    assert counted(jobs[0])["model loads"] == 1
    assert asked() == ALL
    assert_unbroken(encoded)


def one_by_one_and(refused: float) -> None:
    """Let no scalings be answered together, and one of them not at all."""
    count_questions()
    from lorascope.models.salmonn.answerer import SalmonnAnswerer

    SalmonnAnswerer.scales_rows = False
    adapt = SalmonnAnswerer.adapt

    def refusing(self, adapter, scaling, *strength):
        if scaling == refused:
            raise UserError(f"no {scaling}")
        adapt(self, adapter, scaling, *strength)

    SalmonnAnswerer.adapt = refusing


def test_what_fails_elsewhere_is_left_to_its_own_job(encoded: Small) -> None:
    with announced(encoded.planned()) as jobs:
        helper = run(jobs[0], partial(one_by_one_and, 1.0))
        assert "SF-1, shard 0 of 2: left to its own job: no 1" in helper.output()
    assert {name: len(items) for name, items in kept(encoded.planned()).items()} == {
        "SF-0": ITEMS,
        "SF-1": 0,
    }
    assert_unbroken(encoded)


def stopped_while_helping(number: int) -> None:
    """Send ourselves a signal once another shard has some answers."""
    one_by_one_and(-1.0)
    shards = []

    def stopping(decode):
        def stopped(self, asked, *rest):
            shards.append(1)
            for several in decode(self, asked, *rest):
                yield several
                if len(shards) == 2:
                    os.kill(os.getpid(), number)

        return stopped

    answering(stopping)


@pytest.mark.parametrize("number", [signal.SIGTERM, *thorough(signal.SIGINT)])
def test_a_signal_while_helping_leaves_the_own_result(encoded: Small, number: int) -> None:
    with announced(encoded.planned()) as jobs:
        helper = run(jobs[0], partial(stopped_while_helping, number))
    name = signal.Signals(number).name
    assert f"stopped by {name} while it helped other jobs" in helper.output()
    assert jobs[0].out.exists()
    plan = encoded.planned()
    assert ITEMS // 2 < sum(map(len, kept(plan).values())) < ITEMS + ITEMS // 2
    assert_unbroken(encoded)
    assert asked() == ALL


def at_a_time_limit(seconds: float) -> None:
    count_questions()
    os.environ["SLURM_JOB_ID"] = "7"
    os.environ["SLURM_JOB_END_TIME"] = str(int(time.time() + seconds))


@pytest.mark.parametrize(("seconds", "helped"), [(20, 0), (2000, ALL - ITEMS // 2)])
def test_a_job_near_its_time_limit_helps_nobody(
    encoded: Small, seconds: float, helped: int
) -> None:
    with announced(encoded.planned()) as jobs:
        run(jobs[0], partial(at_a_time_limit, seconds))
    assert asked() == ITEMS // 2 + helped


def test_without_locks_every_job_is_alone(encoded: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    jobs = [*encoded.planned().of_stage("infer")]
    assert Run.announce(jobs, lambda job: 1) == (
        "results/asked.lock: No locks available: every job loads its model for itself"
    )
    assert not ASKED.exists()


# ---------------------------------------------------------------------------------- claims


def own(job) -> Shard:
    path = job_file(job.told().json)
    shard = Shard(job.told(), int(job.wildcards["shard"]), int(job.wildcards["shards"]))
    shard.told = path
    return shard


def test_a_claim_is_a_fair_share_of_what_is_left(encoded: Small) -> None:
    """Of six experiments of which one is being answered elsewhere."""
    encoded.study["experiments"][0]["grid"] = {"lora_scaling": [0, 1, 2, 3, 4, 5]}
    cases = {(1, 1): 5, (1, 2): 3, (1, 4): 2, (1, 9): 1, (3, 2): 6, (3, 9): 2}
    for (shards, slots), claimed in cases.items():
        encoded.study["shards"] = shards
        with announced(encoded.planned(), slots) as jobs:
            first, elsewhere = own(jobs[0]), own(jobs[-1])
            first.prepare()
            with first.journal.held(), elsewhere.journal.held():
                others = Others(first, first.told, 0)
                with others.alike(first, lambda job: True) as claim:
                    assert len(claim.shards) == claimed - 1, (shards, slots)
                    assert {shard.shard for shard in claim.shards} <= {0}
                    assert all(shard.journal.is_held for shard in claim.shards)
                assert not any(shard.journal.is_held for shard in claim.shards)
