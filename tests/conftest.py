import os
import sys
from collections.abc import Iterator

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


LONGEST = ("test_slurm.py", "test_faults.py", "test_random_kills.py", "test_orphans.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that one process does not end long before the other."""
    items.sort(key=lambda item: (item.path.name not in LONGEST, "workflow" not in item.path.parts))


@pytest.fixture(autouse=True)
def import_path() -> Iterator[None]:
    """Leave the folders of imports as they were: a user's scorer adds its own."""
    before = [*sys.path]
    yield
    sys.path[:] = before
