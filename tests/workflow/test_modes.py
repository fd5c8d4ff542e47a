"""Studies in which items are answered by likelihoods, or responses end at stop strings."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorascope.benchmarks.items import Item, from_table
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.inferring import shard
from lorascope.models.hf_audio.architecture import load_full
from lorascope.scoring.item_score import ItemScore
from lorascope.study.declarations import Scorer
from lorascope.study.registry import SCORERS
from tests.support import small_study
from tests.support.basics import ROOT
from tests.support.lab import write_track
from tests.support.passages import DATASET, MODEL, write_squad
from tests.support.stagehand import Bench, answers
from tests.support.tiny_audio_models import LORA_TARGETS, build
from tests.support.tiny_audio_models import write_adapter as write_audio_adapter
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import write_adapter, write_model

SCALINGS = [0, 1, 2]
SALMONN = {key: value.replace("models/", "files/") for key, value in small_study.MODEL.items()}
SPLITS = [(1, 3), (4, 1), (16, 3)]


def score_item(reply: Likelihoods, item: Item) -> list[ItemScore]:
    """Return nothing that matters here: the numbers are looked at as they are predicted."""
    return [ItemScore("", float(bool(reply.sums)), "valid", None, "read")]


SCORER = Scorer(
    judges=("options", "texts"),
    modes=("choose", "loss"),
    score_item=f"{__name__}:score_item",
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a new folder, with a scorer for every mode."""
    monkeypatch.setitem(SCORERS.others, "any", f"{__name__}:SCORER")
    monkeypatch.chdir(tmp_path)


def study(model: dict, dataset: dict, **experiment: Any) -> dict[str, Any]:
    """Return a study of a model, and of an adapter where its family has none of its own."""
    own = model["family"] == "salmonn"
    every = {"model": "m", "dataset": "d"} | experiment
    adapted = {"id": "S-{lora_scaling}", "grid": {"lora_scaling": SCALINGS}}
    return {
        "study": "modes",
        "models": {"m": model},
        "adapters": {} if own else {"a": {"model": "m", "source": "files/adapter"}},
        "datasets": {"d": dataset},
        "experiments": [
            {"id": "BASE", **every},
            {**adapted, **every, **({} if own else {"adapter": "a"})},
        ],
        "baseline": "BASE",
    }


def split(changed: dict[str, Any], batch_size: int, shards: int) -> dict[str, Any]:
    changed = deepcopy(changed) | {"shards": shards}
    for experiment in changed["experiments"]:
        experiment["batch_size"] = batch_size
    return changed


def text(folder: Path) -> tuple[dict, dict]:
    write_adapter(folder / "adapter", write_model(folder / "model"))
    write_squad(folder / "dev.json")
    return MODEL | {"model": "files/model"}, DATASET | {"source": "files/dev.json"}


def clips(folder: Path) -> dict:
    write_track(folder, "Animal", ["dog", "cat", "cow"])
    return {"benchmark": "sakura", "source": "files", "tracks": ["animal"]}


def salmonn(folder: Path) -> tuple[dict, dict]:
    folder.mkdir()
    write_salmonn(folder)
    return SALMONN, clips(folder)


def audio(folder: Path) -> tuple[dict, dict]:
    model = load_full(build("qwen2_audio", folder / "model"), "cpu", "float32", False)
    write_audio_adapter(model, folder / "adapter", LORA_TARGETS["qwen2_audio"])
    return {"family": "hf_audio", "model": "files/model"}, clips(folder)


@pytest.mark.parametrize(
    ("files", "mode"), [(text, "loss"), (salmonn, "choose"), (audio, "choose")]
)
def test_likelihoods_do_not_move_with_batch_size_or_shards(
    files: Callable, mode: str, capsys: pytest.CaptureFixture
) -> None:
    whole = study(*files(Path("files")), mode=mode, scorer="any")
    found = []
    for batch_size, shards in SPLITS:
        bench = Bench(split(whole, batch_size, shards), capsys)
        bench.make("dataset", "encode", "infer", "merge")
        columns = ("loglikelihoods", "continuation_tokens", "greedy", "prompt_tokens", "response")
        found.append([answers(bench, column) for column in columns])
        for finish in answers(bench, "finish_reason").values():
            assert {*finish} == {"likelihood"}
        Path("results/experiments").rename(f"done-{batch_size}")
    (sums, *rest), *others = found
    assert all(other[1:] == rest for other in others)
    for identifier, rows in sums.items():
        for other in others:
            for one, another in zip(rows, other[0][identifier], strict=True):
                assert one == pytest.approx(another, rel=0, abs=1e-4)
    if files is not salmonn:  # whose own adapter is the base's
        assert sums["BASE"] == sums["S-0"]
    assert sums["S-0"] != sums["S-1"] != sums["S-2"]
    width = 3 if mode == "choose" else 1
    assert {len(row) for row in sums["BASE"]} == {width}
    chosen = {*rest[-1]["BASE"]}
    assert all(one.startswith(" (") for one in chosen) if mode == "choose" else chosen == {""}


def test_responses_end_alike_in_every_batch_and_shard(capsys: pytest.CaptureFixture) -> None:
    whole = study(*text(Path("files")), generation={"max_new_tokens": 10})
    whole["experiments"] = [whole["experiments"][1] | {"grid": {"lora_scaling": [2]}}]
    whole["baseline"] = "S-2"
    bench = Bench(split(whole, 4, 1), capsys)
    bench.make("dataset", "infer", "merge")
    free = [response for response in answers(bench, "response")["S-2"] if response[3:]]
    stops = list(dict.fromkeys(c for r in free for c in r[2:4] if c.isascii() and c.isprintable()))[
        :3
    ]
    found = []
    for batch_size, shards in SPLITS:
        changed = split(whole, batch_size, shards)
        changed["experiments"][0]["generation"]["stop"] = stops
        bench = Bench(changed, capsys)
        bench.make("dataset", "infer", "merge")
        found.append([answers(bench, c)["S-2"] for c in ("tokens", "response", "finish_reason")])
        Path("results/experiments").rename(f"done-{batch_size}")
    assert found[0] == found[1] == found[2]
    assert "stop" in found[0][2]
    assert not any(stop in response for stop in stops for response in found[0][1])


def test_squads_official_scorer_and_an_answer_that_runs_on(capsys: pytest.CaptureFixture) -> None:
    """The tiny Llama, kept from ending, goes on after its answer, by "grey" mostly."""
    dataset = {
        "benchmark": "squad",
        "source": str(ROOT / "resources/mini-squad/original-dev.json"),
        "category": "original",
        "items": 16,
        "prompt": "{context}\nQ: {question}\nA:",
        "one_per_paragraph": False,
    }
    model = {"family": "hf_text", "model": str(ROOT / "resources/tiny-llama")}
    running_on = {"max_new_tokens": 12, "min_length": 13}
    whole = study(model, dataset) | {"adapters": {}, "baseline": "ON"}
    common = {"model": "m", "dataset": "d", "scorer": "official", "batch_size": 16}
    whole["experiments"] = [
        {**common, "id": "ON", "generation": running_on},
        {**common, "id": "STOP", "generation": running_on | {"stop": ["\n", " grey"]}},
    ]
    bench = Bench(whole, capsys)
    rows = (bench.finish() / "accuracy.csv").read_text().splitlines()
    exact = {}
    for row in rows[1:]:
        fields = dict(zip(rows[0].split(","), row.split(","), strict=True))
        if fields["category"] == "original-em":
            exact[fields["experiment"]] = float(fields["accuracy"])
    assert exact["ON"] == 0
    assert exact["STOP"] > 80


def test_items_with_nothing_to_be_read_are_named(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = study(*text(Path("files")), mode="loss", scorer="any")
    bench = Bench(whole, capsys)
    bench.make("dataset")
    monkeypatch.setattr(
        shard, "from_table", lambda table: [replace(i, continuations=()) for i in from_table(table)]
    )
    job = next(job for job in bench.plan.left() if job.stage.name == "infer")
    code, said = bench.run(job)
    assert code != 0
    assert "mode loss: nothing is given to be read after zoo/q" in said
    assert "Traceback" not in said
