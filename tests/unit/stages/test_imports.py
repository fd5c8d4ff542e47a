"""What a stage imports before it knows that there is work to do: a light one starts in no time."""

from pathlib import Path

import pytest

from lorascope.planning.plan import STAGES
from lorascope.study.registry import SCORERS
from tests.support.basics import ROOT, printed

MODELS = {"torch", "transformers", "peft", "accelerate"}
TABLES = {"pandas", "scipy", "statsmodels", "matplotlib"}
HEAVY = {stage: MODELS | TABLES | {"pydantic"} for stage in STAGES}
HEAVY["report"] = MODELS | {"pydantic"}


def loaded(modules: str, heavy: set[str]) -> set[str]:
    """Return which of the packages a fresh process has imported after ``modules``."""
    return {*printed(f"import sys, {modules}; print(*({heavy} & sys.modules.keys()))").split()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_starts_light(stage):
    assert loaded(f"lorascope.stages.{stage}", HEAVY[stage]) == set()


# One with keys of its own lies beside their declaration, and pydantic's import.
@pytest.mark.parametrize("scorer", [name for name in SCORERS.own if not SCORERS[name].settings])
def test_scoring_loads_no_declaration_of_settings(scorer):
    module = SCORERS[scorer].score_item.partition(":")[0]
    assert loaded(f"lorascope.stages.score, {module}", HEAVY["score"]) == set()


def test_the_table_of_stages_is_whole():
    files = {path.stem for path in Path(ROOT, "workflow/lorascope/stages").glob("*.py")}
    assert files - {"__init__", "command"} == {*STAGES}


def test_what_is_heavy_is_seen():
    assert loaded("pandas", HEAVY["score"]) == {"pandas"}
