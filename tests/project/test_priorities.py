"""What is made before answers, so that one loaded model finds all that there is to ask."""

import re

from lorascope.planning.plan import STAGES
from tests.support.basics import ROOT

FIRST = {"download", "dataset", "finetune", "derive", "audit", "encode"}


def test_all_that_answers_need_comes_before_them():
    found = {}
    for stage in STAGES:
        rule = (ROOT / "workflow" / "rules" / f"{stage}.smk").read_text(encoding="utf-8")
        found[stage] = int((re.findall(r"^    priority: (\d+)$", rule, re.M) or ["0"])[0])
    assert {stage for stage in found if found[stage] > found["infer"]} == FIRST
