"""Whole studies of a SALMONN whose LoRA, and whose bridge, the study trains."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.lab import write_track
from tests.support.small_study import STUDY
from tests.support.stagehand import Bench
from tests.support.tiny_salmonn_files import write_salmonn

TRAIN = {
    "data": {"format": "sakura", "source": "data-sets", "tracks": ["animal"]},
    "rank": 2,
    "steps": 3,
    "batch_size": 4,
    "learning_rate": 0.05,
}


def study(**train: Any) -> dict[str, Any]:
    """Return a study that compares the checkpoint's own adapter with a trained one."""
    changed = deepcopy(STUDY)
    (own,) = changed["experiments"]
    own |= {"id": "OWN", "lora_scaling": 1}
    del own["grid"]
    changed["adapters"] = {"mine": {"model": "tiny", "train": TRAIN | train}}
    changed["experiments"] = [own, own | {"id": "MINE", "adapter": "mine"}]
    return changed | {"baseline": "OWN", "shards": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with models and clips."""
    write_salmonn(tmp_path / "models")
    write_track(tmp_path / "data-sets", "Animal", ["cat", "dog", "cow"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("bridge", [False, True])
def test_a_study_trains_an_adapter_and_answers_with_it(
    folder: Path, capsys: pytest.CaptureFixture, bridge: bool
) -> None:
    bench = Bench(study(bridge=bridge), capsys)
    # Clips are encoded for each bridge: the released one, and the one that is trained.
    assert bench.left().count("encode") == 1 + bridge
    bench.finish()
    plan = bench.plan
    trained = plan.adapters["mine"].folder
    assert (trained / "bridge.safetensors").exists() == bridge
    tokens = {
        name: pq.read_table(planned.predictions)["tokens"].to_pylist()
        for name, planned in plan.experiments.items()
    }
    assert tokens["OWN"] != tokens["MINE"]


def test_a_trained_folder_serves_as_a_ready_made_adapter(
    folder: Path, capsys: pytest.CaptureFixture
) -> None:
    bench = Bench(study(bridge=True), capsys)
    bench.finish()
    trained = bench.plan.adapters["mine"].folder
    ready = study()
    ready["adapters"] = {"mine": {"model": "tiny", "source": str(trained)}}
    ready["experiments"][1]["id"] = "READY"
    again = Bench(ready, capsys)
    assert again.left().count("encode") == 1
    again.finish()
    answers = [
        pq.read_table(b.plan.experiments[name].predictions)["tokens"].to_pylist()
        for b, name in ((bench, "MINE"), (again, "READY"))
    ]
    assert answers[0] == answers[1]
