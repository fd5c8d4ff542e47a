"""Named normalisations, one by one and together, and exact match by them."""

import itertools

import pytest

from lorascope.scoring.normalising import MEANINGS, NAMES, normalised
from tests.support.scoring import credit, options, scores


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("unicode", "ﬁne ２ … x²", "fine 2 ... x2"),
        ("lower", "ÄRGER Ok", "ärger ok"),
        ("accents", "Café Ærø naïve", "Cafe Ærø naive"),
        ("punctuation", "«Hello», (world)! it's 'so' — $5; #1?", "Hello world its so   5 1"),
        ("punctuation", "well-known and/or snake_case", "well known and or snake case"),
        ("punctuation", "-3.5, 1,234.5 and 5-3: −2", "-3.5 1234.5 and 5 3 −2"),
        ("punctuation", "。、「答案」", "答案"),
        ("articles", "The cat and a dog, an ape; theme", "  cat and   dog,   ape; theme"),
        ("whitespace", " a\t\nb\u00a0 c ", "a b c"),
        ("english", "I won't, um, pay Mr. Jones [sic] ten dollars!",
         "i will not pay mister jones $10"),
    ],
)  # fmt: skip
def test_a_normalisation_does_what_its_name_says(name, text, left):
    assert normalised(text, [name]) == left


@pytest.mark.parametrize(
    ("words", "figures"),
    [
        ("ten", "10"), ("zero", "0"), ("oh", "0"), ("Nineteen", "19"), ("one", "1"), ("1", "1"),
        ("ninety nine", "99"), ("twenty-one", "21"), ("well-known", "well-known"),
        ("five five", "55"), ("5 5", "55"), ("five 5", "55"), ("zero seven", "07"), ("0 7", "07"),
        ("07", "07"), ("nineteen eighty four", "1984"), ("19 84", "1984"), ("1984", "1984"),
        ("one hundred and five", "105"), ("1,234", "1234"),
        ("one thousand two hundred thirty four", "1234"),
        ("three point five", "3.5"), ("3.5", "3.5"), ("first", "1st"),
        ("no one knows", "no 1 knows"), ("ten of clubs", "10 of clubs"),
        ("minus five", "-5"), ("five percent", "5%"),
        ("", ""), ("tension", "tension"),
    ],
)  # fmt: skip
def test_number_words_become_figures(words, figures):
    assert normalised(words, ["numbers"]) == figures
    assert normalised(figures, ["numbers"]) == figures


SPELT = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)


def test_every_number_below_a_hundred_is_read_as_word_and_as_figure():
    ones = SPELT.split()
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    words = [*ones, *(f"{ten} {one}".strip() for ten in tens for one in ["", *ones[1:10]])]
    assert [normalised(word, ["numbers"]) for word in words] == [str(n) for n in range(100)]
    assert [normalised(str(n), ["numbers"]) for n in range(100)] == [str(n) for n in range(100)]


def test_digits_said_one_by_one_are_the_same_however_they_are_written():
    for three in itertools.product(range(0, 10, 3), repeat=3):
        said = " ".join(SPELT.split()[digit] for digit in three)
        spaced = " ".join(map(str, three))
        joined = "".join(map(str, three))
        assert {normalised(text, ["numbers"]) for text in (said, spaced, joined)} == {joined}


def test_a_loop_of_digits_is_no_trouble():
    for names in (["numbers"], ["english"]):
        left = normalised("7" * 9_000 + " ten", names)
        assert left.replace(" ", "") == "7" * 9_000 + "10"


def test_a_list_is_applied_in_one_order_whatever_its_own():
    for names in itertools.permutations(["lower", "punctuation", "numbers", "whitespace"]):
        assert credit("exact", "Twenty-One.", "21", normalise=list(names)) == 1


def test_every_normalisation_is_described_where_a_user_looks():
    assert all(f"`{name}`" in MEANINGS for name in NAMES)


# ----------------------------------------------------------------------------- exact match


@pytest.mark.parametrize(
    ("response", "answers", "keys", "right"),
    [
        ("Paris", ["Paris"], {}, 1),
        (" paris.\n", ["Paris"], {}, 1),
        ("Paris, France", ["Paris"], {}, 0),
        ("Paris France", ["Paris", "Paris, France"], {}, 1),
        ("the Paris", ["Paris"], {}, 0),
        ("the Paris", ["Paris"], {"normalise": ["articles", "whitespace"]}, 1),
        ("paris", ["Paris"], {"normalise": []}, 0),
        ("Paris", ["Paris"], {"normalise": []}, 1),
        ("ten", ["10"], {}, 0),
        ("Ten.", ["10"], {"normalise": ["punctuation", "numbers"]}, 1),
        ("10", ["ten"], {"normalise": ["numbers"]}, 1),
        ("Cafe", ["café"], {"normalise": ["lower", "accents"]}, 1),
        ("35", ["3.5"], {}, 0),
        ("5", ["-5"], {}, 0),
        ("ﬁne", ["fine"], {}, 1),
        ("", ["Paris"], {}, 0),
        # Of these answers punctuation leaves nothing: they count as they are.
        ("+", ["+"], {}, 1),
        ("-", ["+"], {}, 0),
        ("", ["+"], {}, 0),
        ("A", ["The"], {"normalise": ["articles", "whitespace"]}, 0),
    ],
)
def test_the_whole_response_has_to_equal_an_answer(response, answers, keys, right):
    assert credit("exact", response, *answers, **keys) == right


def test_an_option_is_named_by_its_letter_or_its_text():
    item = options(["cat", "dog"], "b")
    replies = ["b", "B.", "(b)", "dog", "Dog!", "a", "cat", "(b) dog"]
    found = [scores("exact", reply, item)[0].credit for reply in replies]
    assert found == [1, 1, 1, 1, 1, 0, 0, 0]
