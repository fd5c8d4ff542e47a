import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


def shared_path(relative: str) -> Path:
    """Return a path in the developers' shared data; skip the test where it is absent."""
    path = Path(os.environ.get("LORASCOPE_SHARED", ROOT.parent / "shared")) / relative
    if not path.exists():
        pytest.skip(f"shared data absent: {relative} (set LORASCOPE_SHARED)")
    return path
