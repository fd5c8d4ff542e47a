"""Parsing options and gold answers out of SAKURA's texts."""

import pytest

from lorascope.benchmarks.options import parse_gold, parse_options
from lorascope.errors import UserError

ANIMALS = (("a", "cow"), ("b", "dog"))


def test_options_keep_their_text_verbatim():
    question = (
        "Which option(s) fit? (a) Ms.  (b) move past the uncomfortable    situation. (c) 용기"
    )
    assert parse_options(question) == (
        ("a", "Ms."),
        ("b", "move past the uncomfortable    situation."),
        ("c", "용기"),
    )


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("Which animal is it?", "fewer than two options"),
        ("Which animal is it? (a) dog", "fewer than two options"),
        ("Which? (a) dog (c) cat", "letters a, c are not consecutive"),
        ("Which? (b) dog (c) cat", "letters b, c are not consecutive"),
        ("Which? (b) dog (a) cat", "letters b, a are not consecutive"),
        ("Which? (a) dog (a) cat", r"letter \(a\) appears more than once"),
        ("Which? (a) dog (b)  ", r"option \(b\) has no text"),
        ("Which? (a) (b) dog", r"option \(a\) has no text"),
    ],
)
def test_bad_option_list_names_the_item(question, message):
    with pytest.raises(UserError, match="item animal-multi/cat34: .*" + message):
        parse_options(question, item="animal-multi/cat34")


@pytest.mark.parametrize(
    "answer", ["(b) dog", " (b) dog", "(b)  Dog", "(b)", "b", "b.", "b) dog", "b. dog", "dog"]
)
def test_gold(answer):
    assert parse_gold(answer, ANIMALS) == "b"


@pytest.mark.parametrize("answer", ["(c) cat", "cat", "", "(c)", "bdog"])
def test_gold_outside_the_options(answer):
    with pytest.raises(UserError, match=r"item x/y: .* is not among the options"):
        parse_gold(answer, ANIMALS, item="x/y")


def test_gold_with_the_letter_of_another_option():
    with pytest.raises(UserError, match="has the letter of another option"):
        parse_gold("(a) dog", ANIMALS)


def test_gold_text_that_begins_with_a_letter():
    assert parse_gold("(a) A broad smile", (("a", "A broad smile"), ("b", "tears"))) == "a"
