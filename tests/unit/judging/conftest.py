from collections.abc import Iterator

import pytest

from lorascope.judging import pacing
from tests.support.judge_server import Scripted, scripted_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """Run the scripted server."""
    with scripted_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make calls again after a hundredth of a second."""
    monkeypatch.setattr(pacing, "FIRST_WAIT", 0.01)
