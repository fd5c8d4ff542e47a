import random

import pytest

from lorascope.study.order import natural


@pytest.mark.parametrize(
    "names",
    [
        ["SF--10", "SF--2", "SF--0.5", "SF-0", "SF-1e-05", "SF-0.5", "SF-2", "SF-2.5", "SF-10"],
        ["A", "A-1", "A-2", "A-10", "B", "B-2", "C"],
        ["SKR-SF-2-B5", "SKR-SF-2-B64", "SKR-SF-10-B5"],
        ["SF-2", "SF-2-1", "SF-2-10", "SF-10"],
        ["QF-W0.333-S0.333", "QF-W0.333-S0.5", "QF-W1-S0.5", "QF-W1.5-S0.5"],
        ["1", "1e3x", "2", "10", "x"],
        ["2", "2.0", "02x"],
        ["animal-multi", "animal-single", "emotion-multi"],
        ["results/2-of-12.log", "results/10-of-12.log"],
    ],
)
def test_numbers_sort_by_value_and_words_as_ever(names):
    shuffled = random.Random(1).sample(names, len(names))
    assert sorted(shuffled, key=natural) == names


def test_every_name_has_a_place():
    odd = ["", "-", "--", "9" * 400, "1e-999", "-1", "1.2.3", "٣", "²", "e-1", "1e-"]
    shuffled = random.Random(2).sample(odd, len(odd))
    assert sorted(odd, key=natural) == sorted(shuffled, key=natural)
