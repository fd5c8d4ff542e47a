import os
import sys
from collections.abc import Iterator

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def import_path() -> Iterator[None]:
    """Leave the folders of imports as they were: a user's scorer adds its own."""
    before = [*sys.path]
    yield
    sys.path[:] = before
