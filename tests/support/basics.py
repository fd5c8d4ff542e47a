"""What tests of every kind need."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GREEDY = {
    "max_new_tokens": 12,
    "min_length": 1,
    "num_beams": 1,
    "do_sample": False,
    # A greedy choice heeds none of these.
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 50,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
}
"""Settings of generation, as a study has them when its defaults are filled in."""


def thorough(*values: object) -> list[object]:
    """Return values of a parameter (tuples: of several) that only `make test-thorough` tries."""
    several = (value if isinstance(value, tuple) else (value,) for value in values)
    return [pytest.param(*one, marks=pytest.mark.thorough) for one in several]


def shared_path(relative: str) -> Path:
    """Return a path in the developers' shared data; skip the test where it is absent."""
    path = Path(os.environ.get("LORASCOPE_SHARED", ROOT.parent / "shared")) / relative
    if not path.exists():
        pytest.skip(f"shared data absent: {relative} (set LORASCOPE_SHARED)")
    return path


def printed(code: str) -> str:
    """Return what Python prints for ``code`` in a fresh process, which has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def flipped(path: Path, step: int = 1) -> Iterator[int]:
    """Yield the place of every ``step``th byte of a file, while a bit of it alone is flipped."""
    whole = path.read_bytes()
    for place in range(0, len(whole), step):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        yield place
