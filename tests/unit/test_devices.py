"""GPUs leased to processes. There is none here: what is leased are names, which is all it takes."""

import fcntl
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from lorascope import devices
from lorascope.errors import UserError

# A job appends to its record while it holds its GPUs: first their names, then the time, again and
# again. So the last line of a job that was killed tells until when it held them at least. With 0
# GPUs it is the child of a job and goes on with its record.
JOB = """
import json, logging, os, subprocess, sys, time
record, count, seconds, child = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
file = open(record, "a", buffering=1)
if count:
    from lorascope import devices
    devices.POLL_SECONDS = 0.02
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    names = devices.lease(count).names
    print(json.dumps([names, os.environ["CUDA_VISIBLE_DEVICES"]]), file=file)
    print(time.monotonic(), file=file)
if child == "exec":
    same = [sys.executable, "-c", sys.orig_argv[2], record, "0", str(seconds), ""]
    subprocess.Popen(same, close_fds=False)
if child == "exec" or child == "fork" and os.fork():
    os._exit(0)
end = time.monotonic() + seconds
while time.monotonic() < end:
    print(time.monotonic(), file=file)
    time.sleep(0.01)
print(time.monotonic(), "end", sep="\\n", file=file)
"""


@pytest.fixture
def locks(tmp_path, monkeypatch):
    """A shared lock folder for the jobs of a test, and neither SLURM nor GPUs around it."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setenv("LORASCOPE_LOCKS", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(Path(devices.__file__).parent.parent))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # without a real nvidia-smi
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setattr(devices, "_held", None)
    return folder


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Return a function that puts an nvidia-smi on PATH that prints ``text`` and ends with rc."""

    def fake(text: str, rc: int = 0) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / "nvidia-smi"
        script.write_text(
            f"#!/bin/sh\n[ \"$*\" = -L ] || exit 9\n/bin/cat <<'END'\n{text}\nEND\nexit {rc}\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return fake


def start(
    record: Path, count: int, seconds: float = 0.25, child: str = "", **environment: str
) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(record), str(count), str(seconds), child],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@contextmanager
def held(record: Path, count: int) -> Iterator[subprocess.Popen]:
    """Have another process hold GPUs, and kill it in the end."""
    job = start(record, count, seconds=60)
    try:
        until(lambda: begun(record))
        yield job
    finally:
        job.kill()
        job.communicate()


def until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def begun(record: Path) -> bool:
    return record.exists() and record.read_text().count("\n") >= 3


def ended(record: Path) -> bool:
    return record.exists() and record.read_text().endswith("end\n")


def holding(record: Path) -> tuple[float, float, list[str]]:
    """Return (from, until, GPUs) as a job recorded it."""
    head, *beats = record.read_text().splitlines()
    names, visible = json.loads(head)
    assert visible == ",".join(names)
    times = [float(beat) for beat in beats if beat != "end"]
    return times[0], times[-1], names


def overlaps(records: list[Path]) -> list[tuple]:
    """Return the pairs of jobs that held a GPU at the same time."""
    spans = [holding(record) for record in records]
    return [
        (one, other)
        for i, one in enumerate(spans)
        for other in spans[i + 1 :]
        if one[0] < other[1] and other[0] < one[1] and set(one[2]) & set(other[2])
    ]


def leased(tmp_path: Path, count: int, **environment: str) -> list[str]:
    """Return the GPUs that a process of its own leases."""
    record = tmp_path / f"record-{time.monotonic_ns()}"
    job = start(record, count, seconds=0, **environment)
    _, log = job.communicate(timeout=10)
    assert job.returncode == 0, log
    return holding(record)[2]


# ------------------------------------------------------------------------ one at a time


def test_no_two_processes_share_a_gpu_and_none_is_lost(tmp_path, locks):
    """8 jobs on 3 GPUs, of 1 and 2 GPUs: one is killed, two leave a child behind."""
    wants = [(1, ""), (2, ""), (1, "fork"), (2, "exec"), (1, ""), (2, ""), (2, "fork"), (1, "")]
    records = [tmp_path / f"job-{i}" for i in range(8)]
    with held(tmp_path / "victim", 2) as victim:
        jobs = [start(r, n, child=c) for r, (n, c) in zip(records, wants, strict=True)]
        until(lambda: any(map(begun, records)))  # on the one GPU that the victim leaves
        victim.send_signal(signal.SIGKILL)
        for job in [victim, *jobs]:
            job.communicate(timeout=15)
    until(lambda: all(map(ended, records)))
    assert victim.returncode == -signal.SIGKILL
    assert not ended(tmp_path / "victim")
    assert [job.returncode for job in jobs] == [0] * 8
    assert [len(holding(r)[2]) for r in records] == [n for n, _ in wants]
    assert overlaps([*records, tmp_path / "victim"]) == []
    assert leased(tmp_path, 3) == ["0", "1", "2"]


def test_the_check_of_overlaps_finds_one(tmp_path):
    for name, gpus, first in (("a", ["0", "1"], 1.0), ("b", ["1"], 1.5), ("c", ["0"], 2.5)):
        lines = [json.dumps([gpus, ",".join(gpus)]), first, first + 1, "end"]
        (tmp_path / name).write_text("\n".join(map(str, lines)))
    assert len(overlaps([tmp_path / name for name in "abc"])) == 1


@pytest.mark.parametrize("child", ["fork", "exec"])
def test_a_child_keeps_the_gpu_of_a_parent_that_died(tmp_path, locks, monkeypatch, child):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    record, after = tmp_path / "child", tmp_path / "after"
    parent = start(record, 1, seconds=0.6, child=child)
    parent.wait(timeout=10)
    assert not ended(record)
    job = start(after, 1, seconds=0)
    assert job.communicate(timeout=10)[1].startswith("waiting for 1 of the GPUs 0")
    assert ended(record)
    assert overlaps([record, after]) == []
    parent.communicate()


def test_jobs_of_two_gpus_do_not_hold_one_each(tmp_path, locks, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    records = [tmp_path / f"job-{i}" for i in range(5)]
    jobs = [start(record, 2, seconds=0.02) for record in records]
    assert [job.communicate(timeout=15) and job.returncode for job in jobs] == [0] * 5
    assert overlaps(records) == []


def test_one_process_looks_for_gpus_at_a_time(tmp_path, locks):
    with (locks / "scan.lock").open("w") as scanning:
        fcntl.flock(scanning, fcntl.LOCK_EX)
        job = start(tmp_path / "job", 1, seconds=0)
        time.sleep(0.5)
        assert (tmp_path / "job").read_text() == ""
    assert job.communicate(timeout=10)[1] == "leased GPU 0\n"


def test_a_waiting_job_says_what_it_waits_for_and_gets_it(tmp_path, locks, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with held(tmp_path / "holder", 1) as holder:
        waiting = start(tmp_path / "waiting", 1, seconds=0)
        assert waiting.stderr.readline() == f"waiting for 1 of the GPUs 1 (process {holder.pid})\n"
        assert (tmp_path / "waiting").read_text() == ""
    assert waiting.communicate(timeout=10)[1] == "leased GPU 1\n"
    assert holding(tmp_path / "waiting")[2] == ["1"]


def test_workflows_with_different_pools_share_what_they_have_in_common(
    tmp_path, locks, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with held(tmp_path / "holder", 2):
        assert leased(tmp_path, 1, CUDA_VISIBLE_DEVICES="1,0,2") == ["2"]
        # Inside an allocation the same index is another GPU.
        assert leased(tmp_path, 1, CUDA_VISIBLE_DEVICES="1,0,2", SLURM_JOB_ID="77") == ["1"]
        assert (locks / "slurm-77-1.lock").exists()


# --------------------------------------------------------------------------------- pool

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-f14bd1ea-8c7b-4f3e-8a7c-0d1f6f3c8a11)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 3g.20gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)"""
WHOLE = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"
PARTS = [
    "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
    "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb",
]


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, [WHOLE, *PARTS]),
        ("", []),
        (" ", []),
        ("0", [WHOLE]),
        ("1,0", [PARTS[0], WHOLE]),  # CUDA takes the first instance of a GPU in MIG mode
        ("GPU-5d5b", [WHOLE]),  # CUDA takes UUIDs cut short
        (PARTS[1], [PARTS[1]]),
        (f"0,{WHOLE}", [WHOLE]),
        ("0,2,1", [WHOLE]),  # there is no GPU 2, and CUDA ignores what follows
        ("-1", []),
        ("NoDevFiles", []),
        ("MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/7/0", None),
    ],
)
def test_pool_with_nvidia_smi(nvidia_smi, monkeypatch, visible, names):
    nvidia_smi(LISTED)
    set_visible(monkeypatch, visible)
    assert devices.pool() == ([visible] if names is None else names)


@pytest.mark.parametrize(
    ("visible", "names"),
    [(None, []), ("", []), ("2,0", ["2", "0"]), ("0,0", ["0"]), ("-1", []), ("0,-1,1", ["0"])],
)
def test_pool_without_nvidia_smi(tmp_path, monkeypatch, visible, names):
    monkeypatch.setenv("PATH", str(tmp_path))
    set_visible(monkeypatch, visible)
    assert devices.pool() == names


def test_an_nvidia_smi_that_fails_is_reported(nvidia_smi, monkeypatch, caplog):
    nvidia_smi("Failed to initialize NVML: Driver/library version mismatch", rc=18)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.pool() == []
    assert "Driver/library version mismatch" in caplog.text


def set_visible(monkeypatch, visible: str | None) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


def test_one_gpu_has_one_lock_under_all_its_names(tmp_path, locks, nvidia_smi, monkeypatch):
    nvidia_smi(LISTED)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with held(tmp_path / "holder", 2):
        assert holding(tmp_path / "holder")[2] == [WHOLE, PARTS[0]]
        assert leased(tmp_path, 1, CUDA_VISIBLE_DEVICES=f"0,1,{PARTS[1]}") == [PARTS[1]]
    assert leased(tmp_path, 1, CUDA_VISIBLE_DEVICES="0") == [WHOLE]


# ------------------------------------------------------------------------------ no GPUs


@pytest.mark.parametrize(
    ("count", "visible", "why"),
    [
        (0, "0,1", "the job asks for no GPU"),
        (1, "", "CUDA_VISIBLE_DEVICES= names no GPU"),
        (2, "-1", "CUDA_VISIBLE_DEVICES=-1 names no GPU"),
        (1, None, "nvidia-smi names no GPU, and CUDA_VISIBLE_DEVICES is not set"),
    ],
)
def test_without_gpus_the_cpu_computes(locks, monkeypatch, caplog, count, visible, why):
    set_visible(monkeypatch, visible)
    monkeypatch.setenv("PATH", str(locks))
    caplog.set_level(logging.INFO)
    lease = devices.lease(count)
    assert (lease.names, lease.device, lease.placement) == ((), "cpu", "cpu")
    assert caplog.messages == [f"computing on the CPU: {why}"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert list(locks.iterdir()) == []


def test_a_pool_smaller_than_the_job_is_a_user_error(locks):
    with pytest.raises(UserError, match=r"gpus_per_job: 4, but 3 can be used here \(0, 1, 2\)"):
        devices.lease(4)


# ------------------------------------------------------------------------------ in torch


def fake_torch(monkeypatch, available: bool, initialized: bool = False) -> None:
    cuda = SimpleNamespace(is_available=lambda: available, is_initialized=lambda: initialized)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, __version__="2.13.0"))


@pytest.mark.parametrize(
    ("names", "available", "device", "placement"),
    [
        (("0",), True, "cuda", "cuda"),
        (("0", "1"), True, "cuda", "auto"),
        (("0", "1"), False, "cpu", "cpu"),
        ((), True, "cpu", "cpu"),
    ],
)
def test_device_and_placement(monkeypatch, caplog, names, available, device, placement):
    fake_torch(monkeypatch, available)
    lease = devices.Lease(names)
    assert (lease.device, lease.placement) == (device, placement)
    assert ("cannot use it" in caplog.text) == (bool(names) and not available)


def test_a_lease_is_for_the_life_of_the_process_and_comes_first(locks, monkeypatch):
    fake_torch(monkeypatch, available=True, initialized=True)
    with pytest.raises(RuntimeError, match="before the first CUDA call"):
        devices.lease(1)
    held = devices.Lease(("0",))
    monkeypatch.setattr(devices, "_held", held)
    assert devices.lease(1) is held
    with pytest.raises(ValueError, match="holds 1 GPUs and asks for 2"):
        devices.lease(2)


def test_leasing_imports_no_torch(locks):
    code = (
        "import sys; from lorascope import devices; devices.lease(1); print('torch' in sys.modules)"
    )
    job = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert job.stdout == "False\n"


# -------------------------------------------------------------------------- lock folders


@pytest.fixture
def private(tmp_path, locks, monkeypatch):
    """The user's own lock folder, which is not there yet."""
    monkeypatch.delenv("LORASCOPE_LOCKS")
    monkeypatch.setattr(devices, "TEMPORARY", tmp_path)
    return tmp_path / f"lorascope-{os.getuid()}"


def test_the_private_folder_is_the_users_alone(private):
    before = os.umask(0)
    try:
        assert devices._Locks().take(["0"], 1) == ("0",)
    finally:
        os.umask(before)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in private.iterdir()} == {0o600}


def test_a_private_folder_that_others_can_write_to_is_refused(private):
    private.mkdir()
    private.chmod(0o777)
    with pytest.raises(UserError, match="must be yours alone"):
        devices.lease(1)


def test_a_private_folder_that_is_a_link_is_refused(private, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    private.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="no folder for GPU locks"):
        devices.lease(1)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_files_in_the_shared_folder_are_for_all_its_users(locks):
    before = os.umask(0o077)
    try:
        assert devices._Locks().take(["MIG-GPU-5c89/7/0"], 1) == ("MIG-GPU-5c89/7/0",)
    finally:
        os.umask(before)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in locks.iterdir()}
    assert files == {"scan.lock": 0o666, "MIG-GPU-5c89%2F7%2F0.lock": 0o666}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")
def test_two_users_share_a_folder(tmp_path, locks, monkeypatch):
    code = """
import lorascope.devices  # before the other user, who may not be able to read it
import os
os.setuid(65534)
locks = lorascope.devices._Locks()
print(locks.take(["0", "1", "2"], 3), locks.take(["0", "1", "2"], 1), locks.describe(["0"]))
"""
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is closed to other users
        Path(folder).chmod(0o1777)
        monkeypatch.setenv("LORASCOPE_LOCKS", folder)
        with held(tmp_path / "holder", 2) as holder:
            other = [sys.executable, "-c", code]
            job = subprocess.run(other, capture_output=True, text=True, check=False)
            assert job.stdout == f"() ('2',) 0 (process {holder.pid})\n", job.stderr
            assert leased(tmp_path, 1) == ["2"]


def test_a_shared_folder_that_is_not_there_is_a_user_error(locks):
    locks.rmdir()
    with pytest.raises(UserError, match=r"LORASCOPE_LOCKS=.*mkdir -m 1777"):
        devices.lease(1)


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_links_in_the_folder_are_refused_and_what_they_name_is_left_alone(tmp_path, locks, link):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    if link == "symbolic":
        (locks / "0.lock").symlink_to(precious)
    else:
        (locks / "0.lock").hardlink_to(precious)
    with pytest.raises(UserError, match="lock"):
        devices.lease(1)
    assert precious.read_text() == "mine"
