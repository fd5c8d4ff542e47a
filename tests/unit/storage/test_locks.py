import errno
import fcntl
import logging

import pytest

from lorascope.errors import UserError
from lorascope.storage.locks import exclusive, is_held


def test_a_lock_is_held_for_the_block(tmp_path):
    path = tmp_path / "deep/shard.lock"
    assert not is_held(path)
    with exclusive(path, "the shard"):
        assert is_held(path)
    assert not is_held(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_worked_on_with_a_warning(
    tmp_path, monkeypatch, caplog, number
):
    def refused(*_):
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    entered = []
    with caplog.at_level(logging.WARNING), exclusive(tmp_path / "a.lock", "the shard"):
        entered.append(True)
    assert entered
    assert "a.lock: this file system has no locks (No locks available)" in caplog.text


def test_a_lock_that_cannot_be_made_is_a_readable_error(tmp_path):
    (tmp_path / "file").touch()
    lock = exclusive(tmp_path / "file/a.lock", "the shard")
    with pytest.raises(UserError, match="cannot be written"), lock:
        pass
