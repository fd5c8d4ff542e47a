"""The default study on a real SLURM of one node, whose two GPUs are mere device nodes.

The jobs lease a GPU as they would on a cluster and compute on the CPU, which is all there is.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.basics import ROOT

SLURM = ROOT / "tests" / "slurm"
NOT_ALLOWED = 77
SHARED = ("Snakefile", "config.yaml", "envs", "profiles", "resources", "workflow")
# Of the profile, only its patience does not suit a test.
SNAKEMAKE = (
    *("snakemake", "--nocolor", "--workflow-profile", "profiles/slurm"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
)
REPORT = "results/reports/tiny-salmonn-lora-scaling/accuracy.csv"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Held:
    """A GPU and when a job held it, by the job's own log."""

    job: Path
    gpu: str
    start: datetime
    end: datetime

    def overlaps(self, other: "Held") -> bool:
        return self.start < other.end and other.start < self.end


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    yield from cluster_of()


def cluster_of(**wanted: str) -> Iterator[dict[str, str]]:
    """Bring SLURM up, yield the environment in which its commands work, and take it down."""
    if os.environ.get("LORASCOPE_SLURM") == "0":
        pytest.skip("LORASCOPE_SLURM=0")
    # A short path: it will hold a socket.
    folder = Path(tempfile.mkdtemp(prefix="lorascope-slurm-", dir="/tmp"))
    try:
        up = subprocess.run(
            [SLURM / "up.sh", folder],
            env=os.environ | wanted,
            text=True,
            capture_output=True,
            check=False,
            timeout=180,
        )
        if up.returncode == NOT_ALLOWED:
            pytest.skip(up.stderr.strip().splitlines()[-1])
        assert up.returncode == 0, up.stderr
        exported = dict(re.findall(r"(\w+)=(\S+)", up.stdout))
        path = (str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])
        yield {
            **os.environ,
            "SLURM_CONF": exported["SLURM_CONF"],
            "PATH": os.pathsep.join(path),
        }
    finally:
        subprocess.run([SLURM / "down.sh", folder], check=True, timeout=60)


def working_copy(folder: Path) -> Path:
    """Return a folder that looks like the repository, with results of its own."""
    folder.mkdir()
    for name in SHARED:
        (folder / name).symlink_to(ROOT / name)
    return folder


def run(command: tuple[str, ...], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def queue(environment: dict[str, str], *states: str) -> list[str]:
    """Return the infer jobs in these states, as SLURM knows them."""
    command = ["squeue", "--noheader", "--array", "--format=%i %k", f"--states={','.join(states)}"]
    listed = subprocess.run(command, env=environment, text=True, capture_output=True, check=True)
    return [line for line in listed.stdout.splitlines() if " rule_infer_" in line]


def wait_until(condition: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.2)


def interrupted_run(folder: Path, environment: dict[str, str]) -> None:
    """Run the study, press Ctrl-C while jobs run and wait, and see SLURM empty afterwards."""

    def in_the_middle() -> bool:
        assert snakemake.poll() is None, log.read_text(encoding="utf-8")
        kept = any((folder / "results/experiments").glob("*/*/answers/*.jsonl"))
        return kept and all(queue(environment, state) for state in ("RUNNING", "PENDING"))

    log = folder / "interrupted.log"
    with log.open("wb") as output:
        snakemake = subprocess.Popen(
            SNAKEMAKE,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell that runs the tests in the background has them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        wait_until(in_the_middle, 150, log)
        os.killpg(snakemake.pid, signal.SIGINT)
        assert snakemake.wait(60) != 0
    finally:
        if snakemake.poll() is None:
            os.killpg(snakemake.pid, signal.SIGKILL)
            snakemake.wait()
    wait_until(lambda: not queue(environment, "RUNNING", "PENDING", "COMPLETING"), 15, log)
    assert queue(environment, "CANCELLED")
    assert not (folder / REPORT).exists()


def held(folder: Path) -> set[Held]:
    """Return what each infer job says that it held, from its lease to the last line of its log."""
    found = set()
    for log in (folder / "results/logs/infer").rglob("*.log"):
        lines = re.findall(r"^([\d-]+ [\d:,]+) [A-Z]+ (.*)", log.read_text(encoding="utf-8"), re.M)
        for when, message in lines:
            if gpus := re.fullmatch("leased GPU (.*)", message):
                start, end = map(datetime.fromisoformat, (when, lines[-1][0]))
                found.add(Held(log, gpus[1], start, end))
    return found


def check_gpus(jobs: set[Held]) -> None:
    """Check that both GPUs were in use at the same time, and neither by two jobs at once."""
    assert {job.gpu for job in jobs} == {"0", "1"}
    together = [pair for pair in combinations(jobs, 2) if pair[0].overlaps(pair[1])]
    assert together
    for one, other in together:
        assert one.gpu != other.gpu, (one, other)


def answers(folder: Path) -> dict[str, list[dict]]:
    return {
        path.parent.parent.name: pq.read_table(path).to_pylist()
        for path in (folder / "results/experiments").glob("*/*/predictions.parquet")
    }


@pytest.fixture(scope="module")
def local(tmp_path_factory, environment) -> Path:
    """A working copy in which the study ran without SLURM."""
    folder = working_copy(tmp_path_factory.mktemp("slurm") / "local")
    run(("snakemake", "--nocolor"), folder, environment)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, environment) -> Path:
    return working_copy(tmp_path_factory.mktemp("slurm") / "cluster")


def test_study_interrupted_on_slurm_ends_in_the_local_table(local, cluster, environment):
    interrupted_run(cluster, environment)
    jobs = held(cluster)
    kept = answers(cluster)
    run(SNAKEMAKE, cluster, environment)
    assert not queue(environment, "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")

    jobs |= held(cluster)
    check_gpus(jobs)
    runtimes = list((cluster / "results/experiments").glob("*/*/runtime.parquet"))
    assert len(runtimes) == 6
    # Those that start first go on to what the others were to answer.
    assert 1 <= len({job.job for job in jobs}) <= 6
    for path in runtimes:
        for row in pq.read_table(path).to_pylist():
            assert json.loads(row["environment"])["gpus"] in (["0"], ["1"])

    assert (cluster / REPORT).read_bytes() == (local / REPORT).read_bytes()
    assert answers(cluster) == answers(local)
    assert kept.items() <= answers(cluster).items()


def test_local_run_inside_an_allocation_shares_out_its_gpus(local, cluster, environment):
    experiment = "SKR-LoRA-SF-1-B64"
    shutil.rmtree(cluster / "results/experiments" / experiment)
    shutil.rmtree(cluster / "results/logs/infer")
    allocation = ("srun", "--nodes=1", "--ntasks=1", "--cpus-per-task=2", "--gpus=2")
    snakemake = ("snakemake", "--nocolor", "--cores=2", "--resources=gpu=2")
    run((*allocation, *snakemake, "--config", "shards=2", "--", experiment), cluster, environment)
    jobs = held(cluster)
    assert 1 <= len(jobs) <= 2
    check_gpus(jobs)
    assert answers(cluster) == answers(local)
