"""What Snakemake plans after each kind of change: no more than what changed, and no less."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from tests.support.basics import ROOT
from tests.support.lab import BIN, ENVIRONMENT, Lab, copy_repository, write_track
from tests.support.small_study import MODEL

SCORER = "scoring/choice/scorer.py"
ITEMS = "benchmarks/sakura/items.py"
STUDY = {
    "study": "lab",
    "models": {"tiny": MODEL},
    "datasets": {
        "zoo": {"benchmark": "sakura", "source": "data-sets", "tracks": ["animal"]},
        "moods": {"benchmark": "sakura", "source": "data-sets", "tracks": ["emotion"]},
    },
    "experiments": [
        {"id": "A", "model": "tiny", "dataset": "zoo", "lora_scaling": 1},
        {"id": "B", "model": "tiny", "dataset": "zoo", "lora_scaling": 2},
        {"id": "C", "model": "tiny", "dataset": "moods", "lora_scaling": 1},
    ],
    "baseline": ["A", "C"],
    "shards": 2,
}
AUDIT = "audit tiny"
EVERYTHING = [
    AUDIT,
    "dataset moods",
    "dataset zoo",
    "encode tiny moods 0-of-1",
    "encode tiny zoo 0-of-1",
    *(f"infer {name} {shard}-of-2" for name in "ABC" for shard in range(2)),
    *(f"merge {name}" for name in "ABC"),
    *("page", "report"),
    *(f"score {name}" for name in "ABC"),
]


def answered(name: str, shards: int = 2) -> list[str]:
    """Return the jobs of an experiment from inference to scores."""
    return [f"infer {name} {k}-of-{shards}" for k in range(shards)] + jobs("merge", "score", name)


def jobs(*words: str) -> list[str]:
    """Return "merge A", "score A" for "merge", "score", "A"."""
    return [f"{rule} {words[-1]}" for rule in words[:-1]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository in which a study was run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    copy_repository(folder)
    for name in ("llm/config.json", "whisper/config.json", "beats.pt", "salmonn.pth"):
        path = folder / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"stands for {name}")
    write_track(folder / "data-sets", "Animal", ["cat", "dog"])
    write_track(folder / "data-sets", "Emotion", ["happy", "sad"])
    Lab(folder, deepcopy(STUDY)).finish()
    return folder


@pytest.fixture
def lab(finished: Path, tmp_path: Path) -> Lab:
    shutil.copytree(finished, tmp_path / "lab")
    return Lab(tmp_path / "lab", deepcopy(STUDY))


def test_a_new_study_plans_every_job_once(lab: Lab) -> None:
    shutil.rmtree(lab.folder / "results")
    assert lab.plan() == EVERYTHING


# -------------------------------------------------------------------------------- the study


def unchanged(lab: Lab) -> None:
    pass


def add_experiment(lab: Lab) -> None:
    new = {"id": "D", "model": "tiny", "dataset": "zoo", "lora_scaling": 3}
    lab.study["experiments"].append(new)


def remove_experiment(lab: Lab) -> None:
    del lab.study["experiments"][1]


def edit_scaling(lab: Lab) -> None:
    lab.study["experiments"][1]["lora_scaling"] = 3


def edit_generation(lab: Lab) -> None:
    lab.study["experiments"][2]["generation"] = {"max_new_tokens": 60}


def edit_baseline(lab: Lab) -> None:
    lab.study["baseline"] = ["B", "C"]


def edit_batch_size_in_float32(lab: Lab) -> None:
    """Padding is masked, so in float32 an answer does not depend on its neighbours."""
    lab.study["experiments"][1]["batch_size"] = 3


def rename_experiment(lab: Lab) -> None:
    lab.study["experiments"][1]["id"] = "B2"


def share_predictions(lab: Lab) -> None:
    lab.study["experiments"].append({**lab.study["experiments"][1], "id": "B2"})


def rename_study(lab: Lab) -> None:
    lab.study["study"] = "another"


def reorder_and_respell(lab: Lab) -> None:
    lab.study["experiments"][0]["lora_scaling"] = 1.0
    lab.study["shards"] = 2.0
    lab.study["datasets"]["zoo"]["audio"] = {"target_len": "3e1"}
    for name in ("models", "datasets"):
        lab.study[name] = dict(reversed(lab.study[name].items()))
    lab.study["experiments"] = [dict(reversed(e.items())) for e in lab.study["experiments"]]
    lab.study = dict(reversed(lab.study.items()))


def spell_out_defaults(lab: Lab) -> None:
    lab.study["limit"] = None
    lab.study["experiments"][0] |= {"generation": {"num_beams": 1}, "runs": 1, "scorer": "choice"}


def change_shards(lab: Lab) -> None:
    lab.study["shards"] = 7


# --------------------------------------------------------------------------------- the code


def edit_scorer(lab: Lab) -> None:
    path = lab.folder / "workflow/lorascope" / SCORER
    path.write_text(path.read_text() + "\nSTRICTER = True\n")


def edit_words(lab: Lab) -> None:
    """Comments, docstrings and messages of every module."""
    for path in (lab.folder / "workflow/lorascope").rglob("*.py"):
        raw, quotes, text = path.read_text().partition('"""')
        assert quotes and raw in ("", "r"), f"{path} has no docstring"
        path.write_text(f"{raw}{quotes}Changed. {text}\n# a comment\n")
    lab.edit(
        "benchmarks/audio.py",
        "the audio file is missing; restore it",
        "no such clip; bring it back",
    )


def format_otherwise(lab: Lab) -> None:
    """Another line length, other quotes, imports sorted in another way."""
    (lab.folder / "ruff.toml").write_text(
        'line-length = 60\n[format]\nquote-style = "single"\nskip-magic-trailing-comma = true\n'
        '[lint]\nselect = ["I"]\n[lint.isort]\nforce-sort-within-sections = true\n'
        "force-single-line = true\n"
    )
    for command in (["check", "--fix"], ["format"]):
        subprocess.run(
            [BIN / "ruff", *command, "--quiet", "--no-cache", "workflow"],
            cwd=lab.folder,
            check=True,
        )
    formatted = lab.folder / "workflow/lorascope" / SCORER
    assert formatted.read_text() != (ROOT / "workflow/lorascope" / SCORER).read_text()


# -------------------------------------------------------------------------------- the files


def delete_predictions(lab: Lab) -> None:
    lab.results("experiments/B/*/predictions.parquet")[0].unlink()


def delete_sidecar(lab: Lab) -> None:
    lab.results("experiments/B/*/runtime.parquet")[0].unlink()


def delete_scores(lab: Lab) -> None:
    lab.results("experiments/B/*/scores-*.parquet")[0].unlink()


def delete_report(lab: Lab) -> None:
    lab.results("reports/lab/accuracy.csv")[0].unlink()


def delete_features(lab: Lab) -> None:
    shutil.rmtree(lab.folder / "results/features")


def prune_and_add(lab: Lab) -> None:
    delete_features(lab)
    add_experiment(lab)


def prune_everything_upstream_and_add(lab: Lab) -> None:
    prune_and_add(lab)
    shutil.rmtree(lab.folder / "results/datasets")


def lose_a_shard(lab: Lab) -> None:
    """B was being inferred when one of its two shards was deleted."""
    folder = lab.results("experiments/B/*/predictions.parquet")[0].parent
    for path in folder.glob("*.parquet"):
        path.unlink()
    shutil.rmtree(lab.folder / "results/reports/lab")
    (folder / "shards").mkdir()
    (folder / "shards/0-of-2.parquet").touch()


def lose_metadata_and_edit(lab: Lab) -> None:
    shutil.rmtree(lab.folder / ".snakemake", ignore_errors=True)
    edit_scaling(lab)


def shuffle_times(lab: Lab) -> None:
    for age, path in enumerate(sorted(lab.folder.rglob("*"), key=lambda p: hash(p.name))):
        if path.is_file():
            os.utime(path, (1.6e9 + 1000 * age, 1.6e9 + 1000 * age))


def copy_elsewhere(lab: Lab) -> None:
    elsewhere = lab.folder.parent / "else where"
    shutil.copytree(lab.folder, elsewhere)
    shutil.rmtree(lab.folder)
    lab.folder = elsewhere


def edit_clip(lab: Lab) -> None:
    clip = lab.folder / "data-sets/data/Emotion/audio/sad0.wav"
    content = bytearray(clip.read_bytes())
    content[-1] ^= 1
    times = clip.stat()
    clip.write_bytes(content)
    os.utime(clip, ns=(times.st_atime_ns, times.st_mtime_ns))


def edit_adapter(lab: Lab) -> None:
    (lab.folder / "models/salmonn.pth").write_text("other weights")


def edit_language_model(lab: Lab) -> None:
    (lab.folder / "models/llm/config.json").write_text("another model")


REPORT = ["page", "report"]
ON_MOODS = ["dataset moods", "encode tiny moods 0-of-1", *answered("C"), *REPORT]
CHANGES = [
    (unchanged, []),
    (add_experiment, [*answered("D"), *REPORT]),
    (remove_experiment, REPORT),
    (edit_scaling, [*answered("B"), *REPORT]),
    (edit_generation, [*answered("C"), *REPORT]),
    (edit_baseline, REPORT),
    (edit_batch_size_in_float32, REPORT),
    (rename_experiment, [*jobs("merge", "score", "B2"), *REPORT]),
    (share_predictions, [*jobs("merge", "score", "B2"), *REPORT]),
    (rename_study, REPORT),
    (reorder_and_respell, []),
    (spell_out_defaults, []),
    (change_shards, []),
    (edit_scorer, [*REPORT, "score A", "score B", "score C"]),
    (edit_words, []),
    (format_otherwise, []),
    (delete_predictions, answered("B")[:-1]),
    (delete_sidecar, answered("B")[:-1]),
    (delete_scores, ["score B"]),
    (delete_report, ["report"]),
    (delete_features, []),
    (prune_and_add, ["encode tiny zoo 0-of-1", *answered("D"), *REPORT]),
    (
        prune_everything_upstream_and_add,
        # The page shows the items of every dataset.
        ["dataset moods", "dataset zoo", "encode tiny zoo 0-of-1", *answered("D"), *REPORT],
    ),
    (lose_a_shard, [*answered("B")[1:], *REPORT]),
    (lose_metadata_and_edit, [*answered("B"), *REPORT]),
    (shuffle_times, []),
    (copy_elsewhere, []),
    (edit_clip, ON_MOODS),
    (edit_adapter, [job for job in EVERYTHING if not job.startswith("dataset")]),
    (edit_language_model, [AUDIT, *(job for name in "ABC" for job in answered(name)), *REPORT]),
]


@pytest.mark.parametrize(("change", "planned"), CHANGES, ids=lambda value: _name(value))
def test_only_what_changed_is_planned(
    lab: Lab, change: Callable[[Lab], None], planned: list[str]
) -> None:
    change(lab)
    assert lab.plan() == sorted(planned)


def _name(value: object) -> str:
    return value.__name__ if callable(value) else ""


def test_experiments_that_are_the_same_are_inferred_once(lab: Lab) -> None:
    shutil.rmtree(lab.folder / "results")
    share_predictions(lab)
    assert lab.plan() == sorted([*EVERYTHING, *jobs("merge", "score", "B2")])


def test_edited_and_reverted(lab: Lab) -> None:
    """After a run with another scaling, going back makes only the report again."""
    edit_scaling(lab)
    lab.finish()
    for older in lab.results("reports/lab/*-????????????.json"):
        older.unlink()  # the stages report and page keep only their own
    lab.finish()
    lab.study = deepcopy(STUDY)
    (lab.folder / "results/reports/lab").joinpath("accuracy.csv").unlink()
    assert lab.plan() == REPORT


def test_shards_changed_in_mid_run(lab: Lab) -> None:
    """The unfinished experiment is split anew; finished ones stay as they are."""
    lose_a_shard(lab)
    lab.study["shards"] = 3
    assert lab.plan() == sorted([*answered("B", shards=3), *REPORT])


def test_the_plan_says_why(lab: Lab) -> None:
    edit_scaling(lab)
    edit_generation(lab)
    lab.plan()
    said = {job.name: job.message for job in lab.ran}
    assert "B, shard 0 of 2: lora_scaling 2 -> 3" in said["infer B 0-of-2"]
    assert "C, shard 1 of 2: generation.max_new_tokens 200 -> 60" in said["infer C 1-of-2"]


def test_one_experiment_alone(lab: Lab) -> None:
    edit_scaling(lab)
    edit_generation(lab)
    lab.snakemake("-n", "B")
    assert sorted(job.name for job in lab.ran) == answered("B")


def test_another_study_leaks_nothing_and_reuses_predictions(lab: Lab) -> None:
    """Beside a config.yaml full of other experiments, under names of its own."""
    default = deepcopy(STUDY)
    default["experiments"][0]["lora_scaling"] = 9
    (lab.folder / "config.yaml").write_text(yaml.safe_dump(default))
    lab.study |= {"study": "other", "baseline": "Z", "shards": 1}
    lab.study["experiments"] = [{**STUDY["experiments"][0], "id": "Z"}]
    assert lab.plan() == ["merge Z", *REPORT, "score Z"]


def test_a_value_on_the_command_line_changes_the_default_study(lab: Lab) -> None:
    edit_scaling(lab)
    (lab.folder / "config.yaml").write_text(yaml.safe_dump(lab.study))
    done = lab.snakemake("-n", "--config", "shards=3", study=None)
    assert done.returncode == 0, done.stdout
    planned = sorted(job.name for job in lab.ran)
    assert planned == sorted([*answered("B", shards=3), *REPORT])


# ------------------------------------------------------------------- code edited in mid-run


def test_a_stage_refuses_code_that_was_not_planned(lab: Lab, tmp_path: Path) -> None:
    shutil.rmtree(lab.folder / "results/datasets")
    job = {
        "fingerprint": {
            "benchmark": "sakura",
            "code": {f"lorascope/{ITEMS}": "0123456789ab"},
        },
        "digest": "0123456789ab",
        "build_items": "lorascope.benchmarks.sakura.items:build_items",
        "source_files": "lorascope.benchmarks.sakura.items:source_files",
        "root": "data-sets",
        "local": True,
        "told": {},
        "repositories": {},
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    out = tmp_path / "items.parquet"
    arguments = ["--job", tmp_path / "job.json", "--out", out, "--log", tmp_path / "log"]
    done = subprocess.run(
        [sys.executable, "-m", "lorascope.stages.dataset", *arguments],
        cwd=lab.folder,
        env=ENVIRONMENT | {"PYTHONPATH": str(lab.folder / "workflow")},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 1
    assert f"lorascope/{ITEMS} changed since this run was planned" in done.stderr
    assert not out.exists()


def test_code_edited_during_a_run_stops_its_later_jobs(lab: Lab, tmp_path: Path) -> None:
    """The first dataset is made, then the module is edited, and the second one is refused."""
    shutil.rmtree(lab.folder / "results")
    planned = {path for _, outputs in lab.left() for path in outputs if "/datasets/" in path}
    assert len(planned) == 2
    module = lab.folder / "workflow/lorascope" / ITEMS
    # Python imports sitecustomize at its start; here every process of the dataset stage leaves
    # the module edited.
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "def edit():\n"
        "    if sys.argv[0].endswith('stages/dataset.py'):\n"
        f"        open({str(module)!r}, 'a').write('EDITED = 1\\n')\n"
        "atexit.register(edit)\n"
    )
    done = lab.snakemake("--until", "dataset", pythonpath=tmp_path)
    assert done.returncode == 1
    refused = [
        log
        for log in lab.results("logs/dataset/**/*.log")
        if f"lorascope/{ITEMS} changed since this run was planned" in log.read_text()
    ]
    assert len(refused) == 1
    made = {str(path.relative_to(lab.folder)) for path in lab.results("datasets/*/*/*")}
    assert len(made) == 1
    assert made < planned
    # Under the edited code the first one's file is another.
    assert [job for job in lab.plan() if job.startswith("dataset")] == EVERYTHING[1:3]
