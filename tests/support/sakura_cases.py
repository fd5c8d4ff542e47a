"""A track of SAKURA made up for the tests, and its items."""

import csv
import hashlib
import json

import numpy as np
import pytest
import soundfile

from lorascope.benchmarks.sakura import items as sakura
from lorascope.errors import UserError

AUDIO = {"type": "source", "position": "original", "target_len": 30.0, "noise_sigma": 0.005}
AUDIO |= {"too_long": "error", "seed": 0}
PADDED = AUDIO | {"type": "zero-padded", "position": "early", "target_len": 1.0}
ANIMALS = ("cat", "cow", "dog")


def dataset(**settings):
    settings = {
        "tracks": ["animal"],
        "hops": ["single", "multi"],
        "items_per_category": None,
        "audio": AUDIO,
        "control": "none",
    } | settings
    return settings


def row(stem, label, **changes):
    return {
        "file": f"{stem}.wav",
        "attribute_label": label,
        "single_instruction": "Which animal? (a) cat (b) cow (c) dog",
        "single_answer": f"({'abc'[ANIMALS.index(label)]}) {label}",
        "multi_instruction": "What does it say? (a) meow (b) moo (c) woof",
        "multi_answer": ("(a) meow", "(b) moo", "(c) woof")[ANIMALS.index(label)],
    } | changes


ROW = json.dumps(row("a", "cat"))


def write_csv(root, rows, track="Animal", encoding="utf-8"):
    path = root / "data" / track / "metadata.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_clip(root, name, seconds=0.05, track="Animal", rate=16000):
    path = root / "data" / track / "audio" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    level = int(hashlib.sha256(name.encode()).hexdigest()[:4], 16) / 65536
    soundfile.write(path, np.full(round(seconds * rate), level), rate)
    return path


@pytest.fixture
def root(tmp_path):
    """A track of 4 cats, 4 dogs and 2 cows."""
    rows = [row(f"{label}{n}", label) for n in range(4) for label in ("cat", "dog")]
    rows += [row(f"cow{n}", "cow") for n in range(2)]
    write_csv(tmp_path, rows)
    for entry in rows:
        write_clip(tmp_path, entry["file"])
    return tmp_path


def rows_of(root):
    with (root / "data/Animal/metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def change(root, number, **changes):
    rows = rows_of(root)
    rows[number] |= changes
    write_csv(root, rows)


def build(root, limit=None, **settings):
    return sakura.build_items(root, dataset(**settings), limit)[0]


def refuses(root, *words, limit=None, **settings):
    with pytest.raises(UserError) as caught:
        build(root, limit, **settings)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
