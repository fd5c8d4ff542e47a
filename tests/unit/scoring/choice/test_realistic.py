"""The option scorer against replies as models write them, and against gibberish.

The cases of each set were labelled before any scorer read them, those of the later sets after the
scorer had been fitted to the earlier ones. In the seventh set, eleven labels at odds with those of
like replies in earlier sets were brought in line with them after the scorer had read it.
"""

import random
import string
from collections import Counter, defaultdict

import pytest

from lorascope.benchmarks.options import parse_gold
from lorascope.scoring.choice.__main__ import read_cases
from lorascope.scoring.choice.scorer import score
from tests.support.basics import ROOT

CASES = ROOT / "tests" / "golden" / "choice_realistic_cases.jsonl"
KINDS = {
    "lone_letter", "gibberish", "shortened", "two_languages", "behaviour", "names", "refusal",
    "two_people", "cut_echo", "transcription", "verbose",
}  # fmt: skip
OPTIONS = (
    ("hen", "sheep", "frog", "dog"),
    ("fear", "sad", "happy", "angry"),
    ("fr", "zh", "it", "de"),
    ("Slamming a door.", "Spoiled food.", "Saying goodbye.", "An aggressive dog."),
)


@pytest.fixture(scope="module")
def cases():
    return list(read_cases(CASES))


def misread(case):
    options = tuple(case["options"].items())
    gold = parse_gold(case["gold"], options, case["where"])
    got = score(case["response"], case["instruction"], options, gold)
    expected = tuple(case[f"expected_{key}"] for key in ("status", "choice", "correct"))
    return (got.status, got.choice, got.correct) != expected


def test_cases_cover_each_kind_track_and_hop(cases):
    assert len(cases) >= 400
    assert {case["kind"] for case in cases} == KINDS
    assert len({(case["track"], case["hop"]) for case in cases}) == 8
    assert {case["expected_choice"] for case in cases} == {"a", "b", "c", "d", None}
    assert {case["expected_correct"] for case in cases} == {True, False}


@pytest.mark.parametrize("key", ["set", "kind"])
def test_at_most_two_in_a_hundred_are_misread(cases, key):
    groups = defaultdict(list)
    for case in cases:
        groups[case[key]].append(case)
    for name, group in groups.items():
        wrong = [case["id"] for case in group if misread(case)]
        assert len(wrong) <= 0.02 * len(group), (name, len(group), wrong)


PROSE = (
    "Track {x} of the album.", "vitamin {x}", "plan {x}", "Section {x} is loud.", "the key of {x}",
    "He got a {x} in biology.", "Gate {x}, please", "It is {x} minor.", "the letter of Mrs. {x}",
    "take bus {x} and line {x}", "{x}-side", "{x}++ code", "grade {x} quality", "Class {x}, room 5",
    "He lives on floor {x}.", "The rest of {x} was of the and {x} in it",
)  # fmt: skip


@pytest.mark.parametrize("letter", "abcd")
@pytest.mark.parametrize("prose", PROSE)
def test_letters_in_running_text_are_no_answer(letter, prose):
    options = tuple(zip("abcd", OPTIONS[1], strict=True))
    question = "Which emotion?"
    for form in (letter, letter.upper()):
        reply = prose.format(x=form)
        assert score(reply, question, options, "a").status == "none", reply


WORDS = (
    "river table the of and seven window blue run lamp into carpet or is spoon it was garden not "
    "two paper we cloud at stone with on for that all you say an when out go answer one so"
)


def random_words(rng):
    found = []
    for _ in range(rng.randint(3, 30)):
        word = rng.choice("abcdABCD") if rng.random() < 0.25 else rng.choice(WORDS.split())
        found.append(word + (rng.choice(".,:;)!?") if rng.random() < 0.1 else ""))
    return " ".join(found)


def random_characters(rng):
    return "".join(rng.choice(string.printable[:95]) for _ in range(rng.randint(20, 120)))


def random_letters(rng):
    return " ".join(rng.choice(string.ascii_letters) for _ in range(rng.randint(5, 25)))


@pytest.mark.parametrize("make", [random_words, random_characters, random_letters])
def test_gibberish_gives_each_letter_the_same_small_credit(make):
    rng = random.Random(7)
    chosen = Counter()
    count = 1000
    for number in range(count):
        options = tuple(zip("abcd", OPTIONS[number % len(OPTIONS)], strict=True))
        chosen[score(make(rng), "Which one fits?", options, "a").choice] += 1
    shares = [chosen[letter] / count for letter in "abcd"]
    assert max(shares) <= 0.012, shares
    assert max(shares) - min(shares) <= 0.006, shares
