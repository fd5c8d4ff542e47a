"""A sweep that Snakemake runs: a model is loaded once for each device, and each clip heard once."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lorascope.planning.asked import ASKED, RUN
from tests.support import small_study
from tests.support.cooperating import loads
from tests.support.lab import ENVIRONMENT
from tests.support.small_study import Small


def test_a_sweep_loads_its_model_once_for_each_gpu(
    new: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two GPUs by name alone, three experiments."""
    (new.folder / "locks").mkdir()
    monkeypatch.setitem(ENVIRONMENT, "CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setitem(ENVIRONMENT, "LORASCOPE_LOCKS", str(new.folder / "locks"))
    new.study["experiments"][0]["grid"] = {"lora_scaling": [0, 1, 2]}
    new.study["shards"] = 1
    done = new.snakemake("--cores", "2", "--resources", "gpu=2")
    assert done.returncode == 0, done.stdout
    assert not ASKED.exists() and not RUN.exists()
    sidecars = Path("results/experiments").glob("*/*/runtime.parquet")
    found = {name for path in sidecars for name in pq.read_table(path)["load"].to_pylist()}
    assert loads() == len(found) in (1, 2)
    logs = [path.read_text() for path in Path("results/logs/infer").rglob("*.log")]
    assert len(logs) == 3
    assert sum("leased GPU" in log for log in logs) == len(found)
    merges = [path.read_text() for path in Path("results/logs/merge").rglob("*.log")]
    assert [" merged by the job that answered it" in text for text in merges] == 3 * [True]
    (heard,) = Path("results/logs/encode").rglob("*.log")
    assert "6 clips, 6 of them encoded now" in heard.read_text()
    outcome = new.outcome()
    for path, content in small_study.reference().items():
        assert "accuracy" in path or "comparison" in path or outcome[path] == content, path
