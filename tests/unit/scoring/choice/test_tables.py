"""Every row of the option scorer's tables does what its example says."""

import pytest

from lorascope.scoring.choice import asides, cues
from lorascope.scoring.choice.letters import FORMS
from lorascope.scoring.choice.scorer import score

LETTERS = "abcdefghijklmnop"


def rows(table):
    return [(subject, row) for subject, group in table.items() for row in group]


def options_of(subject):
    """All options of a subject that exclude each other, each with its letter."""
    texts = dict.fromkeys(
        row.option for table in (cues.SYNONYMS, cues.SIGNS) for row in table.get(subject, ())
    )
    return tuple(zip(LETTERS, texts, strict=False))


@pytest.mark.parametrize(("subject", "row"), rows(cues.SYNONYMS) + rows(cues.SIGNS))
def test_cue_tells_its_option(subject, row):
    others = {"hen": {"rooster"}, "rooster": {"hen"}, "joy": {"happy"}, "happy": {"joy"}}
    options = tuple(
        pair for pair in options_of(subject) if pair[1] not in others.get(row.option, ())
    )
    got = score(row.example, "Which one?", options, options[0][0])
    assert got.status == "single" and dict(options)[got.choice] == row.option, got
    assert got.reason in ("synonym", "sign", "option text", "part of option text")


@pytest.mark.parametrize("subject", ["emotion", "gender", "animal", "language"])
def test_no_phrase_stands_for_two_options(subject):
    for table in (cues.SYNONYMS, cues.SIGNS):
        found = {}
        for row in table.get(subject, ()):
            if row.option in ("joy", "rooster"):
                continue
            for phrase in row.phrases.split(", "):
                key = cues.phrase_key(phrase)
                assert found.setdefault(key, row.option) == row.option, phrase


ASIDE_OPTIONS = (
    ("happy", "sad", "angry", "fear", "disgust", "surprise"),
    ("dog", "cat", "cow", "sheep"),
    ("Female", "Male"),
    ("Madam", "Sir"),
    ("English", "French", "Italian", "German"),
)


@pytest.mark.parametrize("row", [*asides.COURTESIES, *asides.REFUSALS, *asides.SPEECH])
@pytest.mark.parametrize("texts", ASIDE_OPTIONS)
def test_aside_chooses_nothing(row, texts):
    options = tuple(zip(LETTERS, texts, strict=False))
    assert row.pattern.search(row.example.lower().rstrip("."))
    assert score(row.example, "Which one?", options, "a").status == "none"


@pytest.mark.parametrize("letter", "abcd")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_letter_form_answers_with_each_letter(form, letter):
    options = tuple(zip("abcd", ("hen", "sheep", "frog", "dog"), strict=True))
    for written in (letter, letter.upper()):
        got = score(form.example.format(x=written), "Which one?", options, letter)
        assert got.correct, (form.example, written, got)
