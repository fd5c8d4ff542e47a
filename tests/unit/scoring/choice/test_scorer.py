"""The option scorer against its cases, the real items, and systematic templates."""

import csv
import json

import pytest

from lorascope.benchmarks.options import parse_gold, parse_options
from lorascope.errors import UserError
from lorascope.scoring.choice.__main__ import main, read_cases
from lorascope.scoring.choice.scorer import Score, score
from tests.support.basics import ROOT, printed, shared_path

CASES = ROOT / "tests" / "golden" / "choice_cases.jsonl"
ANIMALS = (("a", "cow"), ("b", "dog"), ("c", "cat"), ("d", "frog"))
QUESTION = "Which creature is making this noise? (a) cow (b) dog (c) cat (d) frog"

# {l} and {L}: the letter; {t}: the text; {o} and {p}: text and letter of the next option;
# {q}: the question. Every reply chooses {l}.
LETTER_FORMS = (
    "{l}", "{L}", "({l})", "({L})", "{l})", "{l}.", "{L}.", "{l}:", "[{L}]", '"{l}"', "**{L}**",
    "（{l}）", "Option {L}", "option ({l})", "The answer is ({l}).", "The answer is {L}.",
    "The answer is {l}.", "Answer: {l}", "Answer:\n{l}", "I choose {l}.", "It is {L}.",
    "<answer>{l}</answer>", "\\boxed{{{l}}}", "{q}\nAnswer: {l}",
    "The correct option is {L}, because of the sound.",
)  # fmt: skip
BOTH_FORMS = (
    "({l}) {t}", "({l}){t}", "{l}. {t}", "{L}. {t}", "{L}: {t}", "{l}) {t}", "{L} - {t}",
    "Option {L}: {t}", "The answer is ({l}) {t}.", "**({l}) {t}**", "**Answer:** ({l}) {t}",
    "{t} ({l})", "{q}\n({l}) {t}", "({l}) {t}, definitely not ({p}) {o}.",
    "({p}) {o} is incorrect. ({l}) {t} is correct.",
)  # fmt: skip
TEXT_FORMS = (
    "{t}", "{t}.", '"{t}"', "**{t}**", "The answer is {t}.", "The correct choice is {t}",
    "So the answer is: {t}", "Final answer: {t}", "The most likely option is {t}.",
    "I think the answer is {t}, not {o}.", "The answer is {t} rather than {o}.",
    "Not {o} but {t}.", "At first I thought {o}, but the answer is {t}.",
    "{o}... wait, no, {t}.", "It cannot be {o}. It must be {t}.", "{q} {t}",
    "The answer is {t}. ({p}) {o} does not fit.",
)  # fmt: skip


def test_cases(capsys):
    assert main([str(CASES)]) == 0, capsys.readouterr().out


def test_cases_cover_every_status():
    assert {case["expected_status"] for case in read_cases(CASES)} == {
        "single", "none", "multiple", "contradictory",
    }  # fmt: skip


def real_items():
    """The (question, options, gold letter, gold answer) of the real subset of SAKURA."""
    root = shared_path("data/sakura/data")
    for track in ("Animal", "Emotion", "Gender", "Language"):
        with (root / track / "metadata.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for hop in ("single", "multi"):
                    question, answer = row[f"{hop}_instruction"], row[f"{hop}_answer"]
                    options = parse_options(question)
                    yield question, options, parse_gold(answer, options), answer


def replies(forms, question, options):
    """Each form filled in for each option, with the letter it chooses."""
    for index, (letter, text) in enumerate(options):
        other, other_text = options[(index + 1) % len(options)]
        for form in forms:
            filled = form.format(
                l=letter, L=letter.upper(), t=text, o=other_text, p=other, q=question
            )
            yield filled, letter


def test_real_gold_answers_are_correct():
    items = list(real_items())
    assert len(items) == 334
    for question, options, gold, answer in items:
        got = score(answer, question, options, gold)
        assert got.correct, (answer, options, got)


@pytest.mark.parametrize("forms", [LETTER_FORMS, BOTH_FORMS, TEXT_FORMS])
def test_real_options_in_every_form(forms):
    wrong = []
    for question, options, gold, _ in list(real_items())[::4]:
        for reply, letter in replies(forms, question, options):
            got = score(reply, question, options, gold)
            if (got.status, got.choice, got.correct) != ("single", letter, letter == gold):
                wrong.append((reply, got))
    assert not wrong


def test_real_options_in_other_cases():
    for question, options, gold, _ in real_items():
        for letter, text in options:
            for reply in (text, text.lower(), text.upper(), text.rstrip(".!") + "."):
                got = score(reply, question, options, gold)
                assert (got.choice, got.correct) == (letter, letter == gold), (reply, got)


def test_every_option_listed_is_multiple():
    for question, options, gold, _ in real_items():
        listing = question[question.index("(a)") :]
        assert score(f"Well. {listing}", question, options, gold).status == "multiple"
        assert score(question, question, options, gold).status == "none"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("(b)", "letter pattern"),
        ("a dog", "option text"),
        ("(b) dog", "letter and text"),
        ("The answer is dog.", "final answer"),
        ("a puppy", "synonym"),
        ("", "no option named"),
        ("not a dog", "no option chosen"),
        ("dog or cat", "several options"),
        ("(b) cat", "letter and text disagree"),
    ],
)
def test_reason(response, reason):
    assert score(response, QUESTION, ANIMALS, "b").reason == reason


def test_score_is_frozen_and_gold_must_be_an_option():
    assert score("dog", QUESTION, ANIMALS, "b") == Score("single", "b", True, "option text")
    with pytest.raises(UserError, match="'e' is not among the options"):
        score("dog", QUESTION, ANIMALS, "e")


def test_options_of_the_same_text_are_told_apart_by_letter_alone():
    options = (("a", "dog"), ("b", "dog"))
    question = "Which? (a) dog (b) dog"
    assert score("(b)", question, options, "b").correct
    assert score("dog", question, options, "a").status == "none"


def test_forms_that_fit_two_options_must_match_verbatim():
    options = (("a", "happy"), ("b", "happiness"))
    question = "Which word is a noun here? (a) happy (b) happiness"
    assert score("happiness", question, options, "b").correct
    assert score("happy", question, options, "b").choice == "a"


def test_command_line(tmp_path, capsys):
    lines = CASES.read_text(encoding="utf-8").splitlines()[:2]
    good = tmp_path / "good.jsonl"
    good.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    assert main([str(good)]) == 0
    assert capsys.readouterr().out == "2 cases, 0 differ\n"
    case = json.loads(lines[0]) | {"id": "odd", "expected_status": "multiple"}
    differing = tmp_path / "differing.jsonl"
    differing.write_text(lines[1] + "\n" + json.dumps(case), encoding="utf-8")
    assert main([str(differing)]) == 1
    output = capsys.readouterr().out
    assert "odd: " in output and "expected multiple" in output
    assert output.endswith("2 cases, 1 differ\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1', ":1: not valid JSON"),
        ("[]", ":1: each line must be a JSON object"),
        ('{"id": "x"}', ":1: missing key instruction, options, gold"),
    ],
)
def test_command_line_bad_file(tmp_path, capsys, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "change", [{"options": {"a": 1}}, {"options": []}, {"response": None}, {"gold": "(e) horse"}]
)
def test_command_line_bad_case(tmp_path, capsys, change):
    case = json.loads(CASES.read_text(encoding="utf-8").splitlines()[0]) | change
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(case), encoding="utf-8")
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert f"{path}:1" in error and len(error.splitlines()) == 1


def test_command_line_missing_file(tmp_path, capsys):
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_scoring_imports_nothing_heavy():
    code = (
        "import sys, lorascope.scoring.choice.scorer; "
        "print([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])"
    )
    assert printed(code) == "[]\n"
