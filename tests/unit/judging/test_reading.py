"""What a judge wrote, and the verdict that is read in it: a data file of cases."""

import json
import re
from pathlib import Path

import pytest

from lorascope.judging import reading
from lorascope.judging.reading import read
from tests.support.basics import ROOT

CASES = [
    json.loads(line)
    for line in Path(ROOT, "tests", "golden", "verdict_cases.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
PROBLEMS = {
    "empty": reading.SAID_NOTHING,
    "contradictory": reading.CONTRADICTORY,
    "cut": reading.CUT,
}


def names(cases):
    return [f"{case['kind']}: {case['id']}" for case in cases]


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_the_verdict_that_is_meant_is_read(case):
    found = read(case["text"], case["kind"], tuple(filter(None, [case.get("response")])))
    assert found.verdict == case["verdict"]
    if case["verdict"] is None:
        assert found.problem == PROBLEMS.get(case.get("problem", ""), reading.NO_VERDICT)


def test_all_ten_plausible_outputs_are_read_of_which_the_published_pattern_reads_three():
    ten = [case for case in CASES if case.get("ten")]
    published = re.compile(r"Explanation: .*?\nJudgement: (correct|incorrect)", re.DOTALL)
    by_pattern = [m[1] if (m := published.fullmatch(case["text"])) else None for case in ten]
    assert len(ten) == 10
    assert sum(a == case["verdict"] for a, case in zip(by_pattern, ten, strict=True)) == 3
    assert [read(case["text"], "verdict").verdict for case in ten] == [c["verdict"] for c in ten]


@pytest.mark.parametrize("text", ["(", "judgement ", "the ", "is correct ", "not "])
def test_odd_replies_are_read_in_no_time(text):
    assert read(20_000 * text, "verdict").verdict in (None, "correct")
