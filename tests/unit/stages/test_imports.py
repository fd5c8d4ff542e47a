"""What a stage imports before it knows that there is work, and light ones until it is done."""

from pathlib import Path

import pytest

from lorascope.benchmarks.items import Item, to_table
from lorascope.inferring.shard import shard_schema
from lorascope.planning.plan import STAGES
from lorascope.planning.told import MergeJob, ScoreJob
from lorascope.storage.columns import table_of
from lorascope.storage.records import write_table
from lorascope.study.registry import SCORERS
from tests.support.basics import ROOT, printed

MODELS = {"torch", "transformers", "peft", "accelerate"}
TABLES = {"pandas", "scipy", "statsmodels", "matplotlib"}
HEAVY = {stage: MODELS | TABLES | {"pydantic"} for stage in STAGES}
# Of scipy it takes parts, and statsmodels where two judge the same.
HEAVY["report"] = MODELS | {"pydantic", "scipy.stats", "scipy.optimize", "statsmodels"}
# They read an adapter's configuration, which is checked by its types.
HEAVY["audit"] = HEAVY["derive"] = MODELS | TABLES


def loaded(modules: str, heavy: set[str]) -> set[str]:
    """Return which of the packages a fresh process has imported after ``modules``."""
    return {*printed(f"import sys, {modules}; print(*({heavy} & sys.modules.keys()))").split()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_starts_light(stage):
    assert loaded(f"lorascope.stages.{stage}", HEAVY[stage]) == set()


@pytest.mark.parametrize("stage", ["infer", "merge", "score"])
def test_a_stage_of_every_experiment_starts_without_what_plans_it(stage):
    planning = {path.stem for path in Path(ROOT, "workflow/lorascope/planning").glob("*.py")}
    named = {f"lorascope.planning.{module}" for module in planning - {"__init__"}}
    known = loaded(f"lorascope.stages.{stage}", named | {"lorascope.study.declarations"})
    assert known <= {
        f"lorascope.planning.{module}" for module in ("checks", "reasons", "results", "told")
    }


# One with keys of its own lies beside their declaration, and pydantic's import.
@pytest.mark.parametrize("scorer", [name for name in SCORERS.own if not SCORERS[name].settings])
def test_scoring_loads_no_declaration_of_settings(scorer):
    module = SCORERS[scorer].score_item.partition(":")[0]
    assert loaded(f"lorascope.stages.score, {module}", HEAVY["score"]) == set()


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the items of an experiment, and a shard of answers, into a folder; move there."""
    monkeypatch.chdir(tmp_path)
    item = Item(
        item_id="q",
        category="zoo",
        question="Which? (a) cat (b) dog",
        answer="(a) cat",
        answers=("(a) cat",),
        options=(("a", "cat"), ("b", "dog")),
        gold="a",
    )
    write_table("items", to_table([item]), "items", "d")
    row = {"item_id": "q", "category": "zoo", "response": "(a) cat", "finish_reason": "eos"}
    row |= {"prompt_tokens": 1, "response_tokens": 1, "lora_scaling": 1.0, "generation": "{}"}
    write_table("shard", table_of([row], shard_schema()), "shard", "p")
    told = {"settings": {}, "files": {}}
    merge = MergeJob(told, "p", "A", "d", "items", ["shard"], None)
    scorer = "lorascope.scoring.choice.scorer:score_item"
    score = ScoreJob(told, "s", "A", scorer, "d", "items", "predictions", "p")
    Path("merge.json").write_text(merge.json)
    Path("score.json").write_text(score.json)


def at_work(stage: str, *arguments: str) -> set[str]:
    """Return which heavy packages a stage has imported when it has done its work."""
    arguments = ("x", "--job", f"{stage}.json", "--log", "log", *arguments)
    heavy = MODELS | TABLES | {"pydantic"}
    code = f"""
import sys
from lorascope.stages import {stage}
sys.argv = {list(arguments)}
assert {stage}.main() == 0
print(*({heavy} & sys.modules.keys()))
"""
    return {*printed(code).split()}


def test_merging_and_scoring_stay_light_to_the_end(answered):
    assert at_work("merge", "--runtime", "runtime", "--out", "predictions") == set()
    assert at_work("score", "--out", "scores") == set()


def test_the_table_of_stages_is_whole():
    files = {path.stem for path in Path(ROOT, "workflow/lorascope/stages").glob("*.py")}
    assert files - {"__init__", "command"} == {*STAGES}


def test_what_is_heavy_is_seen():
    assert loaded("pandas", HEAVY["score"]) == {"pandas"}
