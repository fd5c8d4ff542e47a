"""Files of one experiment or adapter in another's place: answers end as if it had not happened."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

from lorascope.planning.plan import Plan
from lorascope.storage.adapters import write_list
from tests.support.passages import write_squad
from tests.support.sabotage import answers as journals
from tests.support.sabotage import asked, assert_unbroken, start
from tests.support.small_study import ITEMS, Small
from tests.support.stagehand import Bench, answers
from tests.support.tiny_text_files import write_model
from tests.support.trainings import ROWS, write_rows

TRAIN = {"rank": 2, "steps": 3, "batch_size": 4, "learning_rate": 0.3, "sequence_length": 64}
PROMPT = {"prompt": "Say {question}"}


def study() -> dict:
    """Return a study of two adapters that are trained from other seeds."""
    data = {"format": "jsonl", "source": "rows.jsonl"}
    experiment = {
        "model": "llama",
        "dataset": "squad",
        "batch_size": 4,
        "generation": {"max_new_tokens": 6},
    }
    return {
        "study": "swapped",
        "models": {"llama": {"family": "hf_text", "model": "llama"}},
        "adapters": {
            name: {"model": "llama", "train": TRAIN | {"seed": seed, "data": data}}
            for seed, name in enumerate(("one", "two"))
        },
        "datasets": {"squad": {"benchmark": "squad", "source": "dev.json"} | PROMPT},
        "experiments": [
            experiment | {"id": name.upper(), "adapter": name} for name in ("one", "two")
        ],
        "baseline": "ONE",
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_model(folder / "llama")
    write_rows(folder / "rows.jsonl", ROWS)
    write_squad(folder / "dev.json", paragraphs=2)
    return folder


@pytest.fixture
def bench(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Bench:
    """Return a study that was run to its end, the first time by this fixture."""
    if not (made / "results").exists():
        monkeypatch.chdir(made)
        Bench(study(), capsys).finish()
    shutil.copytree(made, tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    return Bench(study(), capsys)


def swap(one: Path, two: Path) -> None:
    kept = one.with_name("kept")
    one.rename(kept)
    two.rename(one)
    kept.rename(two)


def swap_weights(plan: Plan) -> None:
    swap(*(plan.adapters[name].files["weights"] for name in ("one", "two")))


def swap_folders(plan: Plan) -> None:
    swap(*(plan.adapters[name].folder for name in ("one", "two")))


def flip_a_bit(plan: Plan) -> None:
    path = plan.adapters["one"].files["weights"]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1 << 6
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [swap_weights, swap_folders, flip_a_bit])
def test_an_adapter_that_is_not_the_trained_one_is_trained_again(
    bench: Bench, damage: Callable[[Plan], None]
) -> None:
    before = answers(bench)
    assert before["ONE"] != before["TWO"]
    damage(bench.plan)
    shutil.rmtree("results/experiments")
    shutil.rmtree("results/reports")
    broken = ["one"] if damage is flip_a_bit else ["one", "two"]
    for job in [job for job in bench.plan.left() if job.stage.name == "infer"]:
        code, text = bench.run(job)
        assert code == (job.wildcards["id"].lower() in broken)
        if code:
            assert text.splitlines()[-1].startswith("results/adapters/")
            assert "moved aside" in text and "Traceback" not in text
    assert bench.left().count("finetune") == len(broken)
    bench.finish()
    assert answers(bench) == before
    assert len([*Path("results/adapters").glob("*/*.unusable-*")]) == len(broken)


def test_peft_takes_the_folder_for_its_own(bench: Bench) -> None:
    folder = bench.plan.adapters["one"].folder
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("llama"), folder)
    assert model.peft_config["default"].r == 2


def test_the_report_says_that_an_adapter_was_trained_again(bench: Bench) -> None:
    """On a GPU a training may come out otherwise; here another seed takes its place."""
    three = bench.study["experiments"][0] | {"id": "THREE", "seed": 1}
    bench.study["experiments"].append(three)
    bench.make("infer", "merge", "score")
    note = "was trained again between rows"
    assert note not in (bench.finish() / "accuracy.md").read_text()
    one, two = (bench.plan.adapters[name] for name in ("one", "two"))
    shutil.copy(two.files["weights"], one.folder)
    write_list(one.folder, one.digest, {path.name for path in one.files.values()} - {"files.json"})
    shutil.rmtree(bench.plan.experiments["THREE"].folder)
    shutil.rmtree("results/reports")
    assert note in (bench.finish() / "accuracy.md").read_text()


def test_answers_of_another_experiment_are_not_taken_over(encoded: Small) -> None:
    plan = encoded.planned()
    for job in plan.of_stage("infer"):
        assert start(plan, "infer", str(job.out)).finished() == 0
    for path in Path("results").glob("experiments/*/*/shards/*"):
        path.unlink()
    swap(*(journals(name)[0].parent for name in ("SF-0", "SF-1")))
    assert_unbroken(encoded)
    assert asked() == 2 * ITEMS
