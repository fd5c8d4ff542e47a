"""Whole studies of text: a tiny random Llama and its LoRA adapter on questions like SQuAD's."""

import csv
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorascope.__main__ import main
from lorascope.errors import UserError
from lorascope.planning.plan import load_plan
from tests.support.basics import ROOT
from tests.support.lab import Lab, copy_repository
from tests.support.passages import GENERATION, PARAGRAPHS, passages_study, write_squad
from tests.support.stagehand import answers, link_all
from tests.support.tiny_text_files import write_adapter, write_model
from tests.support.trainings import LLAMA_3_8B

STUDY = passages_study(
    "text",
    [
        {"id": "BASE"},
        {"id": "LoRA-{lora_scaling}", "adapter": "ready", "grid": {"lora_scaling": [0, 1, 2]}},
        {"id": "LoRA-own", "adapter": "ready"},
    ],
    adapters={"ready": {"model": "llama", "source": "adapter"}},
    retain={"of": "BASE", "metric": "zoo-f1"},
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with model, adapter and questions."""
    folder = tmp_path_factory.mktemp("text")
    write_adapter(folder / "adapter", write_model(folder / "llama"))
    write_squad(folder / "dev.json")
    return folder


@pytest.fixture(scope="module")
def unsplit(files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """Return what one item at a time in one shard answers."""
    from lorascope.models.hf_text.answerer import load

    found, study = {}, load_plan(deepcopy(STUDY), "study.yaml").study
    settings = study.models["llama"].model_dump() | {"model": str(files / "llama")}
    generation = study.experiments["BASE"].settings.generation.model_dump()
    questions = [item.question for item in items(files)]
    for name, adapter, scaling in (
        ("BASE", None, None),
        ("LoRA-0", "adapter", 0),
        ("LoRA-1", "adapter", 1),
        ("LoRA-2", "adapter", 2),
        ("LoRA-own", "adapter", None),
    ):
        folder = str(files / adapter) if adapter else None
        model = load(settings, "cpu", "float32", scaling, folder)
        found[name] = [model.answer([q], [None], generation, [0])[0].tokens for q in questions]
    return found


def items(files: Path) -> list:
    from lorascope.benchmarks.squad.items import build_items

    settings = load_plan(deepcopy(STUDY), "study.yaml").study.datasets["passages"]
    return build_items(files / "dev.json", settings.model_dump(), None)[0]


def split(batch_size: int, shards: int) -> dict[str, Any]:
    experiments = [e | {"batch_size": batch_size} for e in STUDY["experiments"]]
    return {"experiments": experiments, "shards": shards}


@pytest.mark.parametrize(("batch_size", "shards"), [(1, 3), (4, 1), (16, 3)])
def test_answers_do_not_move_with_batch_size_or_shards(
    start: Callable, unsplit: dict[str, list], batch_size: int, shards: int
) -> None:
    bench = start(**split(batch_size, shards))
    bench.make("dataset", "infer", "merge")
    assert answers(bench) == unsplit


def test_what_the_adapter_does_shows(start: Callable) -> None:
    bench = start()
    report = bench.finish()
    found = answers(bench)
    assert found["BASE"] == found["LoRA-0"]
    assert found["LoRA-own"] == found["LoRA-2"]  # alpha / r
    assert found["LoRA-1"] != found["LoRA-2"] != found["BASE"]
    assert set(answers(bench, "lora_scaling")["LoRA-own"]) == {2.0}
    rows = list(csv.DictReader((report / "accuracy.csv").open()))
    assert {row["category"] for row in rows} == {"zoo-f1", "zoo-em"}
    assert {row["total"] for row in rows} == {str(PARAGRAPHS)}
    page = (report / "accuracy.md").read_text()
    assert "Generation Config is: {" in page
    assert f"total_count: {PARAGRAPHS}" in page
    verdicts = list(csv.DictReader((report / "retention.csv").open()))
    assert {row["experiment"] for row in verdicts} == {"LoRA-0", "LoRA-1", "LoRA-2", "LoRA-own"}


def test_generation_settings_are_written_beside_the_answers(start: Callable) -> None:
    bench = start()
    bench.make("dataset", "infer", "merge")
    lengths = answers(bench, "prompt_tokens")["BASE"]
    settings = [json.loads(text) for text in answers(bench, "generation")["BASE"]]
    assert [s["max_length"] for s in settings] == [length + 6 for length in lengths]
    assert {(s["num_beams"], s["do_sample"], s["top_k"]) for s in settings} == {(1, False, 0)}


def test_a_changed_adapter_is_inferred_again_and_the_base_is_not(start: Callable) -> None:
    bench = start()
    bench.finish()
    config = Path("adapter/adapter_config.json")
    content = json.loads(config.read_text())
    Path("adapter").unlink()
    Path("adapter").mkdir()
    bench_files = Path("llama").resolve().parent / "adapter"
    for file in bench_files.iterdir():
        Path("adapter", file.name).symlink_to(file)
    config.unlink()
    config.write_text(json.dumps(content | {"lora_alpha": 16}))
    left = bench.left()
    assert left.count("infer") == 4
    bench.make("infer", "merge")
    assert set(answers(bench, "lora_scaling")["LoRA-own"]) == {4.0}


def test_snakemake_runs_it_and_then_has_nothing_to_do(files: Path, tmp_path: Path) -> None:
    lab = Lab(tmp_path, deepcopy(STUDY))
    copy_repository(tmp_path)
    link_all(files, tmp_path)
    lab.study["experiments"] = [STUDY["experiments"][0], STUDY["experiments"][2]]
    lab.study["retain"] = {"of": "BASE", "metric": "zoo-f1", "stop_on": "undecided"}
    stopped = lab.snakemake()
    assert stopped.returncode != 0
    assert "not retained: LoRA-own" in stopped.stdout
    assert "Traceback" not in stopped.stdout
    ran = {job.rule for job in lab.ran}
    assert ran == {"audit", "dataset", "infer", "merge", "score", "report", "page", "gate"}
    assert [name.split()[0] for name in lab.plan()] == ["gate"]
    assert (tmp_path / "results/reports/text/accuracy.md").exists()
    lab.study["retain"]["stop_on"] = "never"
    assert lab.snakemake().returncode == 0
    assert lab.plan() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora_scaling": 2, "adapter": None}, "lora_scaling 2 touches no layer; name an adapter"),
        ({"adapter": "raedy"}, "adapter 'raedy' is not defined; known: ready"),
        ({"scorer": "choice"},
         "scorer 'choice' does not judge what mode generate makes of 'passages'; use official"),
        ({"scorer": "mindformers"}, "category 'zoo-f1' comes from dataset and scorer"),
        ({"second_stride": 1}, "has no meaning for the model 'llama'"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_refused(change: dict, message: str) -> None:
    study = deepcopy(STUDY)
    study["experiments"] = [study["experiments"][0], study["experiments"][2] | change]
    with pytest.raises(UserError, match=message):
        load_plan(study, "study.yaml")


# ---------------------------------------------------------------------------------- training

TRAIN: dict[str, Any] = {
    "data": {"format": "squad", "source": "dev.json", "prompt": "{context} {question}"},
    "rank": 2,
    "steps": 4,
    "batch_size": 4,
    "learning_rate": 0.01,
    "save_steps": 2,
    "parameter_names": "mindpet",
}


def trained(**changes: Any) -> dict[str, Any]:
    """Return what a study has to say to train its adapter and to compare it with the base."""
    base, _, own = STUDY["experiments"]
    return {
        "adapters": {"ready": {"model": "llama", "train": TRAIN | changes}},
        "experiments": [base, own],
    }


def test_an_adapter_is_trained_once_and_shown(start: Callable) -> None:
    bench = start(**trained())
    report = bench.finish()
    folder = bench.plan.adapters["ready"].folder
    assert not (folder / "checkpoints").exists()
    groups = json.loads((folder / "parameter_groups.json").read_text())
    assert "model.layers.0.attention.wq.mindpet_delta_lora_a" in groups["decay"]["params"]
    assert answers(bench)["LoRA-own"] != answers(bench)["BASE"]
    assert set(answers(bench, "lora_scaling")["LoRA-own"]) == {8.0}
    assert (report / "loss.png").stat().st_size > 5_000
    assert "(loss.svg)" in (report / "accuracy.md").read_text()


@pytest.mark.parametrize(
    ("change", "trains"),
    [
        ({"learning_rate": 0.02}, True),
        ({"data": TRAIN["data"] | {"limit": 3}}, True),
        ({"gpus": 4}, False),
        ({"save_steps": 1}, False),
        ({"alpha": 16.0}, False),
    ],
)
def test_what_changes_an_adapter_trains_it_again(
    start: Callable, change: dict, trains: bool
) -> None:
    plan = start(**trained()).plan
    for path in plan.jobs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    left = start(**trained(**change)).left()
    again = ["audit", "finetune", "infer", "merge", "page", "report", "score"]
    assert left == (again if trains else [])


def test_a_renamed_adapter_is_not_trained_again(start: Callable) -> None:
    bench = start(**trained())
    for path in bench.plan.jobs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    renamed = trained()
    renamed["adapters"] = {"other": renamed["adapters"]["ready"]}
    renamed["experiments"] = [
        STUDY["experiments"][0],
        STUDY["experiments"][2] | {"adapter": "other"},
    ]
    # The report names it.
    assert start(**renamed).left() == ["page", "report"]


def test_two_names_of_one_training_train_it_once(start: Callable) -> None:
    twice = trained()
    twice["adapters"]["other"] = twice["adapters"]["ready"]
    twice["experiments"].append(STUDY["experiments"][2] | {"id": "AGAIN", "adapter": "other"})
    left = start(**twice).left()
    assert (left.count("finetune"), left.count("infer")) == (1, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"retain": {"of": "BASE", "metric": "zoo-f2"}}, "it has zoo-em, zoo-f1"),
        ({"retain": {"of": "BSAE", "metric": "zoo-f1"}}, "did you mean BASE"),
        ({"baseline": {"zoo-f1": 50}}, "has nothing for zoo-em of the experiment BASE"),
        ({"baseline": ["BASE", "LoRA-own"]}, "both have the category zoo-f1"),
    ],
)
def test_comparisons_that_cannot_be_made_are_refused(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_plan(deepcopy(STUDY) | deepcopy(change), "study.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 6, "gradient_accumulation": 4}, "batch_size: 6 does not divide among 4"),
        ({"bridge": True}, "train.bridge: has no meaning for a model of family hf_text"),
        ({"data": {"format": "sakura", "source": "x"}}, "use jsonl or squad"),
        ({"data": {"format": "csv", "source": "x"}}, "'csv' is not one of jsonl, sakura, squad"),
        ({"rnak": 4}, "unknown key 'rnak'; did you mean rank?"),
    ],
)
def test_a_training_that_cannot_be_is_refused(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_plan(deepcopy(STUDY) | deepcopy(trained(**change)), "study.yaml")


# ------------------------------------------------------------------------- the study of Llama 3

LLAMA_STUDY = ROOT / "studies/llama3-8b-squad-lora.yaml"


def test_a_dry_run_names_every_job_of_the_llama_study_without_weights(tmp_path: Path) -> None:
    study = yaml.safe_load(LLAMA_STUDY.read_text())
    lab = Lab(tmp_path, study)
    copy_repository(tmp_path)
    names = lab.plan()
    ids = ["SQuAD-BASE", "SQuAD-LoRA", *(f"SQuAD-LoRA-SF-{s:g}" for s in (0, 0.5, 1, 3, 4))]
    assert names == sorted(
        [
            *(
                "download datasets--rajpurkar--squad@main",
                "download meta-llama--Meta-Llama-3-8B@main",
            ),
            *("audit qv-r8", "dataset squad", "finetune qv-r8", "page", "report"),
            *(f"infer {i} {shard}-of-2" for i in ids for shard in (0, 1)),
            *(f"{rule} {i}" for rule in ("merge", "score") for i in ids),
        ]
    )
    said = {job.name: job.message for job in lab.ran}
    assert said["infer SQuAD-BASE 0-of-2"] == "SQuAD-BASE, shard 0 of 2: new (GPUs: 1)"
    assert said["finetune qv-r8"].startswith("qv-r8: train LoRA of rank 8 on q_proj, v_proj")
    assert said["finetune qv-r8"].endswith("(GPUs: 1)")


def test_the_plan_counts_what_a_training_trains_where_config_json_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    study = yaml.safe_load(LLAMA_STUDY.read_text())
    study["models"]["llama3-8b"]["model"] = "llama"
    Path("study.yaml").write_text(yaml.safe_dump(study))
    main(["plan", "--configfile", "study.yaml"])
    assert "as many parameters as its log will say" in capsys.readouterr().out
    Path("llama").mkdir()
    Path("llama/config.json").write_text(json.dumps(LLAMA_3_8B | {"model_type": "llama"}))
    main(["plan", "--configfile", "study.yaml"])
    assert "q_proj, v_proj of llama3-8b: 3,407,872 parameters" in capsys.readouterr().out


def test_the_day_of_a_chat_template_is_a_setting_and_in_the_report(start, tmp_path):
    template = "{{ strftime_now('%d %b %Y') }} {{ messages[-1]['content'] }}{{ eos_token }}"
    write_model(tmp_path / "dated", chat_template=template)
    plain = {"family": "hf_text", "model": "dated"}
    experiments = [
        {"id": name.upper(), "model": name, "dataset": "passages", "generation": GENERATION}
        for name in ("plain", "usual", "later")
    ]
    models = {
        "plain": plain,
        "usual": plain | {"chat_template": True},
        "later": plain | {"chat_template": True, "date": yaml.safe_load("2031-02-09")},
    }
    bench = start(models=models, adapters={}, experiments=experiments, baseline="PLAIN", retain=[])
    report = (bench.finish() / "accuracy.md").read_text()
    prompts = answers(bench, "prompt")
    assert [prompts[name][0][:11] for name in ("USUAL", "LATER")] == ["26 Jul 2024", "09 Feb 2031"]
    assert prompts["PLAIN"][0].startswith("Passage")
    told = [line for line in report.splitlines() if "its chat template says the date" in line]
    assert [line.partition(",")[0] for line in told] == [
        "- later: its chat template says the date",
        "- usual: its chat template says the date",
    ]
    assert "takes 2024-07-26 for today" in told[1]
    assert "takes 2031-02-09 for today" in told[0]


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        ("float16", "set dtype of the model to bfloat16 or float32"),
        ("bfloat16", "a smaller lora_scaling may help, or dtype: float32"),
        ("float32", "no dtype has a larger range"),
    ],
)
def test_an_over_scaled_adapter_leaves_no_answer(start, dtype, remedy):
    entry = {"model": "llama", "dataset": "passages", "batch_size": 4, "generation": GENERATION}
    experiments = [
        {"id": "BASE", **entry},
        {"id": "OVER", "adapter": "ready", "lora_scaling": 1e38, **entry},
    ]
    models = {"llama": STUDY["models"]["llama"] | {"dtype": dtype}}
    bench = start(models=models, experiments=experiments, retain=[])
    bench.make("dataset")
    job = next(j for j in bench.plan.left() if j.stage.name == "infer" and "OVER" in str(j.out))
    code, said = bench.run(job)
    assert code == 0
    assert f"OVER: the numbers of {PARAGRAPHS} of {PARAGRAPHS} items ceased to be finite" in said
    assert remedy in said
    bench.finish()
    assert set(answers(bench, "finish_reason")["OVER"]) == {"nonfinite"}
    assert set(answers(bench, "response")["OVER"]) == {""}
    assert "nonfinite" not in answers(bench, "finish_reason")["BASE"]
