"""Numbers in texts, the one that counts, and how near it has to be."""

import json

import pytest

from lorascope.errors import UserError
from lorascope.scoring.figures import numbers_in
from lorascope.scoring.number import extracted
from tests.support.basics import ROOT, shared_path
from tests.support.scoring import asked, credit, harness_samples, options, scores

CASES = [
    json.loads(line)
    for line in (ROOT / "tests/golden/number_cases.jsonl").read_text(encoding="utf-8").splitlines()
]
FILTERS = {"strict-match": "strict", "flexible-extract": "flexible"}
"""Name of the harness's filter in its logs -> ours."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:30] or "empty")
def test_the_numbers_in_a_text(case):
    found = [None if number is None else str(number) for number in numbers_in(case["text"])]
    assert found == case["numbers"]


def test_a_loop_of_digits_is_a_number_without_a_value_and_takes_no_time():
    for text in ("1" * 5_000, "1," * 5_000, "1/" * 5_000, "1 " * 5_000, ",111" * 2_000):
        numbers = list(numbers_in(text))
        assert numbers == [None] or len(numbers) > 1000


@pytest.mark.parametrize(
    ("response", "answer", "keys", "right"),
    [
        ("The answer is 18.", "18", {}, 1),
        ("18 then 20", "18", {}, 0),
        ("18 then 20", "18", {"extract": "first"}, 1),
        ("So she makes $1,800.", "16*2=32\n#### 1,800", {}, 1),
        ("1800.00", "#### 1,800", {}, 1),
        ("0.75", "3/4", {}, 1),
        ("0.33", "1/3", {}, 0),
        ("0.33", "1/3", {"tolerance": 0.01}, 1),
        ("0.31", "0.30", {"tolerance": 0.01}, 1),
        ("0.3100001", "0.30", {"tolerance": 0.01}, 0),
        ("99", "100", {"relative_tolerance": 0.01}, 1),
        ("98.9", "100", {"relative_tolerance": 0.01}, 0),
        ("98", "100", {"relative_tolerance": 0.01, "tolerance": 2}, 1),
        ("-99", "100", {"relative_tolerance": 0.01}, 0),
        ("50", "50%", {}, 1),
        ("5 million", "5,000,000", {}, 1),
        ("-5", "5", {}, 0),
        ("0", "-0.0", {}, 1),
        ("no idea", "18", {}, 0),
        ("18/0", "18", {}, 0),
        ("#### 18\nQuestion: 4 more", "#### 18", {"extract": "strict"}, 1),
        ("The answer is 18", "#### 18", {"extract": "strict"}, 0),
        ("#### 1,800.", "#### 1800", {"extract": "strict"}, 1),
        ("#### 1.2.3", "#### 1.2", {"extract": "strict"}, 0),
        ("#### $18", "#### 18", {"extract": "strict"}, 0),
        ("in 2 days $18.", "#### 18", {"extract": "flexible"}, 1),
        ("18 ...", "#### 18", {"extract": "flexible"}, 0),
    ],
)
def test_a_number_counts_by_its_value(response, answer, keys, right):
    assert credit("number", response, answer, **keys) == right


def test_a_response_without_a_number_gave_none():
    status = {
        text: scores("number", text, asked("18"))[0].status for text in ("ten", "18", "3/0", "")
    }
    assert status == {"ten": "none", "18": "scored", "3/0": "scored", "": "none"}
    (found,) = scores("number", "19,000 or 20", asked("18", "16"))
    assert found.reason == "20 is not 18 or 16"


def test_any_of_the_answers_counts_and_the_right_option_by_its_text():
    assert credit("number", "4", "four", "4") == 1
    (found,) = scores("number", "b, so 30", options(["20", "30"], "b"))
    assert found.credit == 1


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["four"], "the answer 'four' has no number, where one is needed; correct it, or use"),
        (["3 or 4"], "the answer '3 or 4' has several numbers, where one is needed"),
        (["3/0"], "the answer '3/0' has no number"),
    ],
)
def test_an_answer_without_one_number_is_refused(answers, message):
    with pytest.raises(UserError, match=message):
        scores("number", "4", asked(*answers))


# ------------------------------------------------------------------------- the harness's filters


@pytest.mark.parametrize("run", ["base", "adapter"])
@pytest.mark.parametrize("task", ["gsm8k_2shot", "xquad_numeric"])
def test_the_harness_filters_and_judges_its_samples_alike(run, task):
    judged = 0
    for sample in harness_samples(run, task):
        for name in FILTERS.keys() & sample.keys():
            found = extracted(sample["response"], FILTERS[name])
            assert (found or "[invalid]") == sample[name]["extracted"]
            right = credit("number", sample["response"], sample["target"], extract=FILTERS[name])
            assert right == sample[name]["exact_match"]
            judged += 1
    assert judged >= 20


def test_extraction_equals_the_harness_s_own_filter_on_odd_responses():
    extraction = pytest.importorskip("lm_eval.filters.extraction", reason="lm-eval is not here")
    strict = extraction.RegexFilter(r"#### (\-?[0-9\.\,]+)")
    flexible = extraction.RegexFilter(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1)
    texts = [case["text"] for case in CASES] + [f"#### {case['text']}" for case in CASES]
    for text in [*texts, "#### -1,2. #### 5", "$.", "..", " 5 ", "####5", "#### 5 .,"]:
        for name, other in (("strict", strict), ("flexible", flexible)):
            ((expected,),) = other.apply([[text]], [{}])
            assert (extracted(text, name) or "[invalid]") == expected


def test_every_worked_solution_of_gsm8k_is_right_by_itself():
    lines = shared_path("data/gsm8k/test.jsonl").read_text(encoding="utf-8").splitlines()
    for answer in (json.loads(line)["answer"] for line in lines):
        for extract in ("last", "strict", "flexible"):
            assert credit("number", answer, answer, extract=extract) == 1
