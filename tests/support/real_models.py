"""Real models that the developers have at hand, and what lm-evaluation-harness says of them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.basics import shared_path

GOLDEN = "golden/lm_eval_smollm2"


def real_model(name: str) -> Path:
    """Return the folder of a real model; skip the test where it is absent."""
    folder = Path(os.environ.get("LORASCOPE_REAL_MODELS", "absent")) / name
    if not folder.is_dir():
        pytest.skip(f"real model absent: {name} (set LORASCOPE_REAL_MODELS)")
    return folder


def harness_samples(task: str, adapter: str) -> list[dict[str, Any]]:
    """Return the harness's samples of a task, "base" or "adapter"; skip where they are absent."""
    path = shared_path(f"{GOLDEN}/samples/{adapter}.{task}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
