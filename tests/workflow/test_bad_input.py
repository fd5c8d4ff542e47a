"""Bad input and half-finished state: one message with file, key and remedy, and nothing written."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from lorascope.models.salmonn.checkpoint import LORA_PREFIX
from lorascope.planning.plan import STAGES, Plan
from tests.support.lab import Lab, copy_repository, write_track
from tests.support.small_study import MODEL
from tests.support.stagehand import Bench
from tests.support.tiny_salmonn_files import write_salmonn

STUDY: dict[str, Any] = {
    "study": "lab",
    "models": {"tiny": {**MODEL, "qformer_heads": 2, "lora_alpha": 8}},
    "datasets": {"zoo": {"benchmark": "sakura", "source": "sakura", "tracks": ["animal"]}},
    "experiments": [
        {
            "id": "A",
            "model": "tiny",
            "dataset": "zoo",
            "lora_scaling": 1,
            "generation": {"max_new_tokens": 4},
        }
    ],
    "baseline": "A",
}

# ----------------------------------------------------------- the study file, read by Snakemake


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("bad")
    copy_repository(folder)
    return Lab(folder, STUDY)


def set_key(*keys: Any, value: Any) -> Callable[[dict], None]:
    def change(study: dict) -> None:
        *parents, last = keys
        for parent in parents:
            study = study[parent]
        study[last] = value

    return change


def name_experiment(identifier: str) -> Callable[[dict], None]:
    def change(study: dict) -> None:
        study["experiments"][0]["id"] = study["baseline"] = identifier

    return change


FIRST = ("experiments", 0)
SAME_TWICE = [{**STUDY["experiments"][0], "grid": {"seed": [1, 2]}}]
BAD_STUDIES = {
    "unknown key": (
        set_key(*FIRST, "lora_scalling", value=1),
        "experiments[0]: unknown key 'lora_scalling'; did you mean lora_scaling?",
    ),
    "wrong type": (
        set_key("shards", value="many"),
        "shards: 'many' is not valid here; expected integer",
    ),
    "two experiments under one ID": (
        set_key("experiments", value=SAME_TWICE),
        "the ID 'A' stands for two experiments; name every key of the grid in the ID",
    ),
    "an ID with a slash": (
        set_key(*FIRST, "id", value="a/b"),
        "experiments[0].id: 'a/b' cannot be an experiment ID; use letters",
    ),
    "an unknown baseline": (
        set_key("baseline", value="B"),
        "baseline: no experiment has the ID 'B'",
    ),
    "an empty grid": (
        set_key(*FIRST, "grid", value={"seed": []}),
        "experiments[0].grid.seed: must not be empty",
    ),
    "an ID that is a rule's name": (
        name_experiment("merge"),
        "experiments: the ID 'merge' is the name of a rule; choose another",
    ),
    "a scaling that is not finite": (
        set_key(*FIRST, "lora_scaling", value=float("inf")),
        "experiments[0].lora_scaling: inf is not a finite number",
    ),
    "a number too large": (
        set_key(*FIRST, "lora_scaling", value="1e999"),
        "experiments[0].lora_scaling: '1e999' is not valid here; expected a number, the name of a "
        "profile, or a mapping of parts to numbers",
    ),
}


@pytest.mark.parametrize("change,message", BAD_STUDIES.values(), ids=BAD_STUDIES)
def test_a_bad_study_is_one_line(lab: Lab, change: Callable[[dict], None], message: str) -> None:
    lab.study = deepcopy(STUDY)
    change(lab.study)
    refuses(lab, f"{lab.folder}/study.yaml: ", message)


def refuses(lab: Lab, *words: str, study: str = "study.yaml", options: tuple = ()) -> None:
    """Assert that Snakemake ends in one line that holds ``words``, before it does anything."""
    done = lab.snakemake("-n", *options, study=study)
    assert done.returncode != 0
    lines = [line for line in done.stdout.splitlines() if "workflow specific profile" not in line]
    assert len(lines) == 1, done.stdout
    for word in words:
        assert word in lines[0]
    assert not (lab.folder / "results").exists()


def test_a_value_on_the_command_line_is_checked_too(lab: Lab) -> None:
    lab.study = deepcopy(STUDY)
    refuses(lab, "shards: 'x' is not valid here", options=("--config", "shards=x"))


@pytest.mark.parametrize("content", ["", "- 1\n- 2\n"], ids=["empty", "list"])
def test_a_file_that_is_no_study(lab: Lab, content: str) -> None:
    (lab.folder / "other.yaml").write_text(content)
    refuses(lab, "other.yaml: holds no study; see config.yaml for one", study="other.yaml")


def test_a_key_that_comes_twice(lab: Lab) -> None:
    lab.write("study.yaml")
    text = (lab.folder / "study.yaml").read_text() + "shards: 1\nshards: 2\n"
    (lab.folder / "twice.yaml").write_text(text)
    line = text.count("\n")
    refuses(lab, f"twice.yaml: line {line}: shards comes twice; remove one", study="twice.yaml")


def test_an_unknown_id_on_the_command_line(lab: Lab) -> None:
    lab.study = deepcopy(STUDY)
    done = lab.snakemake("-n", "Z")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "No rule to produce Z" in done.stdout


def test_every_rule_is_a_reserved_name(lab: Lab) -> None:
    lab.study = deepcopy(STUDY)
    done = lab.snakemake("--list-rules")
    listed = {line.strip() for line in done.stdout.splitlines()}
    assert {"all", "default", *STAGES} <= listed
    rules = (lab.folder / "workflow/rules").glob("*.smk")
    named = [line for path in rules for line in path.read_text().splitlines()]
    rules = {line.split()[1][:-1] for line in named if line.startswith(("rule ", "checkpoint "))}
    assert rules == set(STAGES)


# --------------------------------------------------------------- the stages, in the test's process


def refused(bench: Bench, stage: str, *words: str, plan: Plan | None = None) -> None:
    """Assert that a stage ends in one message that holds ``words`` and writes nothing."""
    before, plan = files(), plan or bench.plan
    code, text = bench.run(next(plan.of_stage(stage)))
    assert code == 1, text
    assert "Traceback" not in text
    (error,) = [line for line in Path("log").read_text().splitlines() if " ERROR " in line]
    message = error.partition(" ERROR ")[2]
    assert text.rstrip().endswith(message)
    for word in words:
        assert word in message
    written = {path.name for path in files() - before}
    assert {name for name in written if not name.endswith(".lock")} <= {"fingerprint.json"}


def files() -> set[Path]:
    """Return the files under results/, without those that were moved aside."""
    found = (path for path in Path("results").rglob("*") if path.is_file())
    return {path for path in found if ".unusable-" not in path.name}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_salmonn(folder)
    return folder


@pytest.fixture
def bench(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Bench:
    monkeypatch.chdir(tmp_path)
    Path("models").symlink_to(models)
    write_track(Path("sakura"), "Animal", ["cat", "dog"])
    return Bench(STUDY, capsys)


CLIP = Path("sakura/data/Animal/audio/dog0.wav")
METADATA = Path("sakura/data/Animal/metadata.csv")


def clip_missing() -> None:
    CLIP.unlink()


def clip_truncated() -> None:
    CLIP.write_bytes(CLIP.read_bytes()[:3000])


def clip_empty() -> None:
    CLIP.write_bytes(b"")


def clip_without_samples() -> None:
    import soundfile

    soundfile.write(CLIP, [], 16000)


def clip_with_nan() -> None:
    import soundfile

    soundfile.write(CLIP, [0.0, float("nan"), 0.1], 16000, subtype="FLOAT")


def options_that_do_not_parse() -> None:
    METADATA.write_text(METADATA.read_text().replace("(a) cat (b) dog", "cat or dog", 1))


def gold_not_among_the_options() -> None:
    METADATA.write_text(METADATA.read_text().replace(",(a) cat,", ",(c) frog,", 1))


def metadata_missing() -> None:
    METADATA.unlink()


def a_column_missing() -> None:
    METADATA.write_text(METADATA.read_text().replace("multi_answer", "answer", 1))


BAD_DATA = [
    (clip_missing, (str(CLIP), "missing", "restore it or remove its metadata row", "line 4")),
    (clip_truncated, (str(CLIP), "truncated", "replace it")),
    (clip_empty, (str(CLIP), "replace it")),
    (clip_without_samples, (str(CLIP), "no samples", "replace it")),
    (clip_with_nan, (str(CLIP), "NaN", "replace it")),
    (options_that_do_not_parse, (str(METADATA), "line 2", "cat0.wav", "single", "option")),
    (gold_not_among_the_options, (str(METADATA), "line 2", "cat0.wav", "single", "frog")),
    (metadata_missing, (str(METADATA), "not found", "source")),
    (a_column_missing, (str(METADATA), "no column multi_answer", "add it")),
]


@pytest.mark.parametrize("damage,words", BAD_DATA, ids=lambda value: getattr(value, "__name__", ""))
def test_bad_data_is_refused_by_the_dataset_stage_or_the_plan(
    bench: Bench, damage: Callable[[], None], words: tuple[str, ...]
) -> None:
    damage()
    try:
        bench.plan  # noqa: B018
    except Exception as error:
        # Metadata is read while planning; its message is printed alone, as for a bad study.
        assert type(error).__name__ == "UserError"
        for word in words:
            assert word in str(error)
    else:
        refused(bench, "dataset", *words)


# ----------------------------------------------------------------------------------- models


def rewrite(name: str, change: Callable[[dict], None]) -> None:
    """Give the bench its own checkpoint, changed."""
    content = torch.load("models/salmonn.pth", weights_only=True)
    change(content["model"])
    torch.save(content, name)


def test_a_missing_checkpoint_is_named_by_path_and_key(bench: Bench) -> None:
    bench.make("dataset")
    bench.study["models"]["tiny"]["checkpoint"] = "models/salmon.pth"
    refused(bench, "encode", "models/salmon.pth", "checkpoint", "correct the path")


Q, V = (f"{LORA_PREFIX}model.layers.1.self_attn.{name}_proj" for name in "qv")


def drop_a_tensor_of_the_bridge(model: dict) -> None:
    del model["speech_query_tokens"]


def drop_half_of_a_pair(model: dict) -> None:
    del model[f"{Q}.lora_B.default.weight"]


def drop_a_layer(model: dict) -> None:
    for side in "AB":
        del model[f"{Q}.lora_{side}.default.weight"]


def add_a_tensor(model: dict) -> None:
    model["speech_llama_proj_2.weight"] = torch.zeros(2, 2)


def mix_ranks(model: dict) -> None:
    model[f"{V}.lora_A.default.weight"] = torch.zeros(8, 32)
    model[f"{V}.lora_B.default.weight"] = torch.zeros(32, 8)


def adapt_another_width(model: dict) -> None:
    model[f"{V}.lora_A.default.weight"] = torch.zeros(4, 64)


BAD_CHECKPOINTS = [
    ("encode", drop_a_tensor_of_the_bridge, ("speech_query_tokens",)),
    ("encode", add_a_tensor, ("unexpected keys", "speech_llama_proj_2.weight")),
    ("infer", drop_half_of_a_pair, ("missing key", "layers.1.self_attn.q_proj.lora_B")),
    ("infer", drop_a_layer, ("lacks LoRA tensors", "layers.1.self_attn.q_proj")),
    ("infer", mix_ranks, ("several ranks", "4", "8")),
    ("infer", adapt_another_width, ("layers.1.self_attn.v_proj", "64 inputs")),
]


@pytest.mark.parametrize(
    "stage,change,words", BAD_CHECKPOINTS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_checkpoint_that_does_not_fit(
    bench: Bench, stage: str, change: Callable[[dict], None], words: tuple[str, ...]
) -> None:
    rewrite("changed.pth", change)
    bench.study["models"]["tiny"]["checkpoint"] = "changed.pth"
    bench.make(*["dataset", "encode"][: 1 + (stage == "infer")])
    refused(bench, stage, "changed.pth", *words)


def test_a_checkpoint_that_is_no_file_of_tensors(bench: Bench) -> None:
    Path("changed.pth").write_bytes(b"not a checkpoint")
    bench.study["models"]["tiny"]["checkpoint"] = "changed.pth"
    bench.make("dataset")
    refused(bench, "encode", "changed.pth is not a readable PyTorch file", "Download it again")


# ------------------------------------------------------------------ inputs edited in mid-run


def edit_clip() -> None:
    CLIP.write_bytes(CLIP.read_bytes()[:-2] + b"\0\1")


def edit_checkpoint() -> None:
    rewrite("own.pth", lambda model: model.update(speech_query_tokens=torch.ones(1, 1, 24)))


@pytest.mark.parametrize(
    "stage,edit,name",
    [
        ("dataset", edit_clip, "sakura"),
        ("encode", edit_clip, str(CLIP)),
        ("encode", edit_checkpoint, "own.pth"),
        ("infer", edit_checkpoint, "own.pth"),
    ],
)
def test_a_source_edited_after_planning_is_refused(
    bench: Bench, stage: str, edit: Callable[[], None], name: str
) -> None:
    """Else its results would stay under the name of what was planned."""
    rewrite("own.pth", lambda model: None)
    bench.study["models"]["tiny"]["checkpoint"] = "own.pth"
    plan = bench.plan
    bench.make(*["dataset", "encode", "infer"][: ["dataset", "encode", "infer"].index(stage)])
    edit()
    refused(bench, stage, f"{name}: changed since this run was planned", plan=plan)


# -------------------------------------------------------------- results that are not what they say


def test_results_of_other_settings_put_in_place_by_hand(bench: Bench) -> None:
    bench.make("dataset", "encode", "infer", "merge")
    (other,) = bench.plan.experiments.values()
    bench.study["experiments"][0]["lora_scaling"] = 2
    (planned,) = bench.plan.experiments.values()
    planned.folder.mkdir()
    for name in ("predictions.parquet", "runtime.parquet"):
        (planned.folder / name).write_bytes((other.folder / name).read_bytes())
    refused(bench, "score", str(planned.predictions), "other settings", "Run snakemake again")
    assert bench.left() == ["audit", "infer", "merge", "page", "report", "score"]
    bench.make("infer", "merge", "score")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def overwrite(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:30] + bytes(len(content) - 60) + content[-30:])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, overwrite, empty])
def test_a_damaged_intermediate_is_moved_aside_and_remade(
    bench: Bench, damage: Callable[[Path], None]
) -> None:
    stages = ["dataset", "audit", "encode", "infer", "merge", "score", "report", "page"]
    bench.make(*stages)
    assert bench.left() == []
    plan = bench.plan
    (planned,), (scored,) = plan.experiments.values(), plan.scores.values()
    scores, manifest = scored.path, plan.report.manifest
    before = (plan.report.folder / "accuracy.csv").read_bytes()
    readers = {
        planned.features.dataset.items: ("score", scores, ["dataset", "score"]),
        planned.features.files[0]: ("infer", planned.predictions, ["encode", "infer", "merge"]),
        planned.predictions: ("score", scores, ["infer", "merge", "score"]),
        scores: ("report", manifest, ["score", "report"]),
        planned.runtime: ("report", manifest, ["infer", "merge", "report"]),
    }
    for path, (reader, product, remade) in readers.items():
        product.unlink()
        damage(path)
        refused(bench, reader, str(path), "moved aside", "Run snakemake again to remake it")
        assert not path.exists()
        assert bench.left() == sorted(remade)
        bench.make(*remade)
        assert bench.left() == []
    assert (plan.report.folder / "accuracy.csv").read_bytes() == before
