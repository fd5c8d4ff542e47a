import pytest

from lorascope.study.weights import adapter_label, chart_axes, in_words, varying


def points(*values: tuple[float, ...]) -> list[dict[str, float]]:
    return [dict(zip("abcd", own, strict=False)) for own in values]


@pytest.mark.parametrize(
    "values, axes",
    [
        ([(0, 1), (0.5, 1), (2, 1)], ("a",)),
        ([(0, 0), (0, 1), (1, 0)], ("a", "b")),
        ([(0, 1), (0.25, 0.75), (1, 0)], ("a",)),  # what a has not is b's
        ([(1, -1), (0, 0)], ("a", "b")),
        ([(1, 0, 0), (0, 1, 0), (0.1, 0.2, 0.7)], ("a", "b", "c")),
        ([(1, 0, 0, 2), (0, 1, 0, 2), (0.5, 0.2, 0.3, 2)], ("a", "b", "c")),
        ([(1, 0, 0), (0, 1, 0), (1, 1, 1)], ()),
        ([(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)], ()),
        ([(1, 0)], ()),
    ],
)
def test_the_axes_of_a_chart(values: list[tuple[float, ...]], axes: tuple[str, ...]) -> None:
    assert chart_axes(points(*values)) == axes


def test_what_varies() -> None:
    assert varying(points((1, 2, 3), (1, 0, 4))) == ["b", "c"]


def test_a_sum_in_words() -> None:
    assert in_words("mix", {"a": 0.5, "b": -1, "c": 0}) == "mix (0.5 a - 1 b + 0 c)"
    assert in_words("mix", {"a": -0.5}) == "mix (-0.5 a)"


def test_a_label_is_the_name_of_what_is_no_sum() -> None:
    assert adapter_label({"adapter": "a", "weights": None}) == "a"
    assert adapter_label({"adapter": None}) is None
    assert adapter_label({"adapter": "mix", "weights": {"a": 2.0}}) == "mix (2 a)"
