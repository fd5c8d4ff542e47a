"""GPUs leased to processes. There is none here: what is leased are names, which is all it takes."""

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from lorascope.errors import UserError
from lorascope.running import devices
from tests.support import gpu_jobs
from tests.support.gpu_jobs import begun, ended, held, holding, leased, overlaps, start, until

locks = gpu_jobs.locks


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
    torch = SimpleNamespace(
        cuda=cuda,
        __version__="2.13.0",
        backends=SimpleNamespace(
            cudnn=SimpleNamespace(allow_tf32=True, benchmark=True),
            cuda=SimpleNamespace(enable_cudnn_sdp=lambda on: setattr(torch, "plans", on)),
        ),
        set_float32_matmul_precision=lambda precision: setattr(torch, "precision", precision),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)


def test_a_gpu_multiplies_float32_in_float32_by_the_same_kernels_each_time(monkeypatch):
    fake_torch(monkeypatch, available=True)
    assert devices.Lease(("0",)).device == "cuda"
    torch = sys.modules["torch"]
    assert torch.precision == "highest"
    assert torch.plans is False
    assert vars(torch.backends.cudnn) == {
        "allow_tf32": False,
        "benchmark": False,
        "deterministic": True,
    }


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
        "import sys; from lorascope.running.devices import lease; lease(1);"
        "print('torch' in sys.modules)"
    )
    job = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert job.stdout == "False\n"
