"""What the tests of the two SQuAD conventions share."""

import json
from fractions import Fraction

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.squad import items as squad
from tests.support.basics import ROOT, shared_path

CASES = [
    json.loads(line)
    for line in (ROOT / "tests" / "golden" / "span_cases.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


def item(*answers):
    return Item(
        item_id="squad/1", category="squad", question="?", answer=answers[0], answers=answers
    )


def expected(case, convention):
    """Return the F1 and the exact match of a case."""
    return [float(Fraction(str(value))) for value in case[convention]]


def real_items():
    """Return the first question of each of the 2,067 paragraphs of the real dev file."""
    dataset = {"split": "dev", "category": "squad", "one_per_paragraph": True}
    dataset |= {"items": None, "prompt": squad.PROMPT}
    return squad.build_items(shared_path("data/squad_v1.1"), dataset, None)[0]


def percentages(scores):
    """Return F1 and exact match, mean x 100, of the lists of scores of items."""
    return tuple(100 * sum(pair[k].credit for pair in scores) / len(scores) for k in range(2))
