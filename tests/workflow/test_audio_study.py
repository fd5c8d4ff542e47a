"""Whole studies of transformers' audio models: random and tiny, on clips laid out as SAKURA's."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from lorascope.models.hf_audio.architecture import load_full
from tests.support.lab import Lab, copy_repository, write_track
from tests.support.stagehand import QUIET, Bench, answers, link_all
from tests.support.tiny_audio_models import HIDDEN, LORA_TARGETS, available, build, write_adapter

STUDY: dict[str, Any] = {
    "study": "audio",
    "models": {"heard": {"family": "hf_audio", "model": "model"}},
    "adapters": {"ready": {"model": "heard", "source": "adapter"}},
    "datasets": {"zoo": {"benchmark": "sakura", "source": "data-sets", "tracks": ["animal"]}},
    "experiments": [
        {"id": "BASE", "model": "heard", "dataset": "zoo"},
        {
            "id": "LoRA-{lora_scaling}",
            "model": "heard",
            "adapter": "ready",
            "dataset": "zoo",
            "grid": {"lora_scaling": [0, 1, 2]},
        },
        {"id": "LoRA-own", "model": "heard", "adapter": "ready", "dataset": "zoo"},
    ],
    "baseline": "BASE",
}
for experiment in STUDY["experiments"]:
    experiment |= {"batch_size": 3, "generation": {"max_new_tokens": 6}}
LABELS = ["dog", "cat", "cow"]
CLIPS, QUESTIONS = 2 * len(LABELS), 2


@pytest.fixture(scope="module", params=available())
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with model, adapter and clips."""
    return write_files(tmp_path_factory.mktemp("audio"), request.param)


def write_files(folder: Path, kind: str) -> Path:
    model = load_full(build(kind, folder / "model"), "cpu", "float32", trust_remote_code=False)
    write_adapter(model, folder / "adapter", LORA_TARGETS[kind])
    write_track(folder / "data-sets", "Animal", LABELS)
    return folder


def widths() -> list[int]:
    """Return the width of each clip's features."""
    found = []
    for path in sorted(Path("results/features").rglob("*-of-*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            found += [file.get_slice(clip).get_shape()[1] for clip in file.keys()]  # noqa: SIM118
    return found


@pytest.fixture(scope="module")
def made(
    files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Bench, dict[str, list]]]:
    """Move into a folder in which the study was run to its end; return it and its answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("made"))
        link_all(files, Path())
        bench = Bench(STUDY, QUIET)
        assert bench.left().count("encode") == 1
        bench.finish()
        yield bench, answers(bench)


def test_what_the_adapter_does_shows(made: tuple[Bench, dict[str, list]]) -> None:
    bench, found = made
    assert widths() == [HIDDEN] * CLIPS
    assert {len(tokens) for tokens in found.values()} == {CLIPS * QUESTIONS}
    assert found["BASE"] == found["LoRA-0"]
    assert found["LoRA-own"] == found["LoRA-2"]  # alpha / r
    assert found["LoRA-1"] != found["LoRA-2"] != found["BASE"] != found["LoRA-1"]
    assert set(answers(bench, "lora_scaling")["LoRA-own"]) == {2.0}
    assert (bench.plan.report.folder / "accuracy.csv").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"models": {"heard": STUDY["models"]["heard"] | {"encode_once": False}}},
        {"experiments": [e | {"batch_size": 16} for e in STUDY["experiments"]], "shards": 2},
    ],
    ids=["heard for every question", "other batches"],
)
def test_answers_do_not_move(
    made: tuple[Bench, dict[str, list]], start: Callable, change: dict
) -> None:
    other = start(**change)
    other.make("dataset", "encode", "infer", "merge")
    assert answers(other) == made[1]
    assert set(widths()) == ({1} if "models" in change else {HIDDEN})


@pytest.mark.thorough  # the rules know no family: test_end_to_end runs the same on another one
def test_snakemake_runs_it_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    lab = Lab(tmp_path, deepcopy(STUDY))
    copy_repository(tmp_path)
    write_files(tmp_path, "qwen2_audio")
    lab.study["experiments"] = [STUDY["experiments"][0], STUDY["experiments"][2]]
    assert [name.split()[0] for name in lab.plan()].count("encode") == 1
    done = lab.snakemake()
    assert done.returncode == 0, done.stdout
    assert lab.plan() == []
    assert (tmp_path / "results/reports/audio/accuracy.md").exists()
