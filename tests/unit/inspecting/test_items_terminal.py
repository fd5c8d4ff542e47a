"""What is printed fits the terminal, and obeys nobody but the user."""

import re

import pytest

from lorascope.inspecting.items.showing import Showing, Shown
from lorascope.inspecting.items.terminal import Paint, changed, columns, printable, wrapped
from lorascope.scoring.item_score import ACCURACY
from tests.support.answered import answer, choice_item, score, text_item

PLAIN, COLOURED = Paint(is_on=False), Paint(is_on=True)


def shown(text: str, question: str = "What?") -> Shown:
    item = text_item("x", question=question)
    found = answer(item, text, score(item, 0.0))
    return Shown(item, {"SF-1": found}, {"SF-1": lambda category: ACCURACY})


@pytest.mark.parametrize("width", [40, 72, 120])
@pytest.mark.parametrize(
    "text",
    [
        "word " * 60,
        "猫が鳴いている" * 30,
        "x" * 300,
        "e\u0301" * 150,
        "a\n\n  b" * 20,
        "\x1b[2J" * 40,
    ],
    ids=["words", "wide", "one word", "accents", "lines", "escapes"],
)
def test_no_line_is_wider_than_the_terminal(text, width):
    for paint in (PLAIN, COLOURED):
        lines = [*Showing(paint, width).lines(shown(text, question=text))]
        assert max(map(columns, lines)) <= width


def test_all_of_a_response_is_shown():
    text = "One two three. " * 30 + "\n" + "猫" * 100
    lines = Showing(PLAIN, 60).lines(shown(text))
    told = "".join("".join(lines).split())
    assert "".join(text.split()) in told


def test_a_response_is_no_command_to_the_terminal():
    lines = "\n".join(Showing(PLAIN, 80).lines(shown("a\x1b[31mb\x07\x9b2J\u202ec\rd\te")))
    assert r"a\x1b[31mb\x07\x9b2J\u202ec\rd e" in lines
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", lines) is None


def test_a_response_without_a_word_is_said_to_be_none():
    assert "              (nothing)" in Showing(PLAIN, 80).lines(shown(" \n"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a big cat", "a small cat", ("a [-big-] cat", "a {+small+} cat")),
        ("the cat", "the cat", ("the cat", "the cat")),
        ("", "it", ("", "{+it+}")),
        ("one\ntwo x", "three\nfour x", ("[-one-]\n[-two-] x", "{+three+}\n{+four+} x")),
        ("x y z", "p q", ("[-x y z-]", "{+p q+}")),
    ],
)
def test_what_changed_is_marked_without_colours_too(old, new, expected):
    assert changed(old, new, PLAIN) == expected
    coloured = changed(old, new, COLOURED)
    assert [re.sub(r"\x1b\[\d+m", "", one) for one in coloured] == [old, new]


def test_long_texts_are_not_compared_word_by_word():
    old, new = "a " * 1500, "b " * 1500
    assert changed(old, new, PLAIN) == (old, new)


def test_a_colour_goes_on_in_the_next_line():
    lines = [*wrapped(COLOURED("one two three four", "red"), 9)]
    assert lines == ["\x1b[31mone two\x1b[0m", "\x1b[31mthree\x1b[0m", "\x1b[31mfour\x1b[0m"]


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_alone(monkeypatch, terminal, environment, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    assert Paint().is_on is coloured


def test_the_gold_and_the_verdict_have_their_colours():
    item = choice_item("cat0")
    found = answer(item, "a dog", score(item, 0.0))
    lines = Showing(COLOURED, 80).lines(
        Shown(item, {"SF-1": found}, {"SF-1": lambda category: ACCURACY}, "lost")
    )
    text = "\n".join(lines)
    assert "\x1b[32m* (a) cat\x1b[0m" in text
    assert "\x1b[31mwrong\x1b[0m" in text
    assert "\x1b[31mlost\x1b[0m" in text


def test_printable_keeps_what_can_be_printed():
    assert printable("naïve 猫\r\nnext\tone") == "naïve 猫\nnext one"


def test_texts_that_options_follow_are_shown_each():
    item = text_item(
        "x",
        question="one _",
        contexts=("one _", "two _"),
        continuations=(" a", " a"),
        options=(("a", "one"), ("b", "two")),
        gold="b",
    )
    found = answer(item, "two", score(item, 1.0, choice="b"), loglikelihoods=(-2.0, -1.0))
    lines = [
        *Showing(PLAIN, 80).lines(Shown(item, {"SF-1": found}, {"SF-1": lambda category: ACCURACY}))
    ]
    assert "  context     one _" in lines
    assert "  context     two _" in lines
    assert "              * (b) two  [-1.000]" in lines
