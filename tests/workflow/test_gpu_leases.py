"""Eight jobs on three fake GPUs, Snakemake killed in their midst and started again at once."""

import json
import os
import signal
import subprocess
import time
from itertools import combinations
from pathlib import Path

import pytest

from tests.support.basics import ROOT
from tests.support.lab import BIN, ENVIRONMENT

DEVICES = "0,1,2"
# Each job writes down, under its own process ID, when it held which devices: at once, since a job
# may be killed, and again at the end.
JOB = """
import json, os, sys, time
from pathlib import Path
from lorascope.running.devices import lease

names = lease(int(sys.argv[1])).names
record = {"names": names, "start": time.time(), "pid": os.getpid()}
path = Path("records") / f"{os.getpid()}.json"
for _ in range(8):
    path.write_text(json.dumps({**record, "end": time.time()}))
    time.sleep(0.1)
path.write_text(json.dumps({**record, "end": time.time()}))
Path(sys.argv[2]).touch()
"""
SNAKEFILE = """
GPUS = {"a": 1, "b": 2, "c": 1, "d": 2, "e": 1, "f": 1, "g": 2, "h": 1}
rule all:
    input: expand("done/{job}", job=GPUS)
rule hold:
    output: "done/{job}"
    params: gpus=lambda w: GPUS[w.job]
    shell: "python job.py {params.gpus} {output}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("records", "locks"):
        (tmp_path / name).mkdir()
    (tmp_path / "locks").chmod(0o1777)
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def with_gpus(folder: Path) -> dict[str, str]:
    return {
        **ENVIRONMENT,
        "CUDA_VISIBLE_DEVICES": DEVICES,
        "LORASCOPE_LOCKS": str(folder / "locks"),
        "PYTHONPATH": str(ROOT / "workflow"),
    }


def snakemake(folder: Path, *options: str) -> subprocess.Popen:
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            [BIN / "snakemake", "--cores", "8", "--rerun-incomplete", *options],
            cwd=folder, env=with_gpus(folder), stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def records(folder: Path) -> list[dict]:
    found = []
    for path in (folder / "records").glob("*.json"):
        text = path.read_text()
        if text:
            found.append(json.loads(text))
    return found


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_no_device_is_shared_or_lost_when_snakemake_is_killed(folder: Path) -> None:
    first = snakemake(folder)
    wait_until(lambda: len(records(folder)) >= 2)
    os.kill(first.pid, signal.SIGKILL)  # its jobs live on as orphans
    first.wait()
    holding = [r["pid"] for r in records(folder) if alive(r["pid"])]
    os.kill(holding[0], signal.SIGKILL)
    assert snakemake(folder, "--unlock").wait(60) == 0
    assert snakemake(folder).wait(120) == 0, (folder / "log").read_text()
    wait_until(lambda: not any(alive(r["pid"]) for r in records(folder)))
    held = records(folder)
    assert {name for record in held for name in record["names"]} == set(DEVICES.split(","))
    shared = [
        (one, other)
        for one, other in combinations(held, 2)
        if set(one["names"]) & set(other["names"])
        and one["start"] < other["end"]
        and other["start"] < one["end"]
    ]
    assert shared == []
    # None is lost: a job of three GPUs gets them all.
    check = "from lorascope.running.devices import lease; assert len(lease(3).names) == 3"
    command = [BIN / "python", "-c", check]
    subprocess.run(command, env=with_gpus(folder), check=True, timeout=30)
