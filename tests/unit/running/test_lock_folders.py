"""The folders in which GPUs are locked: one user's own, or one that users share."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.running import devices
from tests.support import gpu_jobs
from tests.support.gpu_jobs import held, leased

locks = gpu_jobs.locks


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
import lorascope.running.devices  # before the other user, who may not be able to read it
import os
os.setuid(65534)
locks = lorascope.running.devices._Locks()
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
