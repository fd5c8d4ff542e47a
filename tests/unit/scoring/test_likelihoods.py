"""Choices and perplexities from log-likelihoods: by hand, and as the harness has them."""

import math

import pytest

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from tests.support.scoring import asked, harness_samples, harness_values, options, scores

ALL = ["sum", "character", "byte", "token"]
RUNS = ["base", "adapter"]


def choice(sums, texts, gold="a", tokens=None, by=ALL):
    tokens = tokens or (1,) * len(sums)
    reply = Likelihoods(tuple(sums), tuple(tokens), (False,) * len(sums))
    return scores("likelihood", reply, options(texts, gold), by=by)


def chosen(*args, **keys):
    return {one.metric: one.choice for one in choice(*args, **keys)}


# ------------------------------------------------------------------------------------ options


def test_each_metric_divides_by_another_length():
    texts, tokens = ["aaaa", "éé", "cccccc"], (4, 1, 2)
    # By sum -4 wins; by characters -8/6 before -4/2 and -6/4 (b has two characters, four bytes).
    found = chosen([-6, -4, -8], texts, tokens=tokens)
    assert found == {"acc": "b", "acc_norm": "c", "acc_bytes": "b", "acc_tokens": "a"}


def test_the_blank_before_an_option_does_not_count_and_the_first_of_equals_wins():
    # -2/2 equals -1/1; with the blank counted -2/3 would win over -1/2.
    assert chosen([-1, -2], ["a", "bb"], by=["character"]) == {"acc_norm": "a"}
    assert chosen([-2, -1], ["bb", "a"], by=["character"]) == {"acc_norm": "a"}
    assert chosen([-3, -3, -3], ["x", "y", "z"], by=["sum"]) == {"acc": "a"}


def test_a_margin_is_what_the_right_option_is_ahead_of_the_best_other():
    total, norm = choice([-6, -4, -9], ["aaa", "bb", "c"], gold="b", by=["sum", "character"])
    assert (total.credit, total.margin) == (1, 2)
    assert (norm.credit, norm.margin) == (0, 0)  # -6/3 and -4/2: the first of equals
    (wrong,) = choice([-6, -4, -9], ["aaa", "bb", "c"], gold="c", by=["sum"])
    assert (wrong.credit, wrong.choice, wrong.margin, wrong.status) == (0, "b", -5, "single")
    assert wrong.reason == "log-likelihoods: a -6, b -4, c -9"
    assert norm.reason == "log-likelihoods per character: a -2, b -2, c -9"


def test_what_is_no_number_never_wins():
    for odd in (math.nan, -math.inf):
        assert chosen([odd, -2], ["a", "b"]) == dict.fromkeys(
            ["acc", "acc_norm", "acc_bytes", "acc_tokens"], "b"
        )


def test_the_letter_is_what_is_measured_where_it_is_what_follows():
    item = asked(
        "long option", options=(("a", "long option"), ("b", "x")), gold="a",
        continuations=(" A", " B"),
    )  # fmt: skip
    reply = Likelihoods((-1.0, -2.0), (1, 1), (True, False))
    _, norm = scores("likelihood", reply, item)
    assert "a -1, b -2" in norm.reason


def test_an_option_without_a_character_is_refused():
    with pytest.raises(UserError, match="an option has no character; correct the data set"):
        choice([-1, -2], ["a", ""])
    assert choice([-1, -2], ["a", ""], by=["sum"])[0].credit == 1


@pytest.mark.parametrize("run", RUNS)
def test_the_harness_chooses_alike(run):
    samples, values = harness_samples(run, "xquad_choice"), harness_values(run, "xquad_choice")
    found = {"acc": 0.0, "acc_norm": 0.0}
    for sample in samples:
        texts = [text.removeprefix(" ") for text in sample["continuations"]]
        gold = "abcdefgh"[int(sample["target"])]
        for one in choice(sample["loglikelihoods"], texts, gold, by=["sum", "character"]):
            assert one.credit == sample[one.metric]
            found[one.metric] += one.credit / len(samples)
    assert found == pytest.approx({name: values[f"{name},none"] for name in found})


def test_the_harness_s_own_code_chooses_alike_on_odd_options():
    task = pytest.importorskip("lm_eval.api.task", reason="lm-eval is not here")
    texts = [["é", "ee", " x"], ["a b c", "abc", "日本"], ["1", "22", "333"]]
    sums = [[-3.0, -3.0, -4.0], [-5.0, -3.0, -2.0], [-1.0, -2.0, -3.0]]
    for options_, values in zip(texts, sums, strict=True):
        asked_of = _harness_task(task, options_)
        expected = asked_of.process_results({}, [(value, False) for value in values])
        found = choice(values, options_, "a", by=["sum", "character", "byte"])
        assert {one.metric: one.credit for one in found} == expected


def _harness_task(task, texts):
    """Return a task of the harness with these options, whose first is right, made of nothing."""
    made = object.__new__(task.ConfigurableTask)
    made._config = type("Config", (), {"process_results": None})()
    made.OUTPUT_TYPE, made.multiple_input, made.multiple_target = "multiple_choice", 0, 0
    made._metric_fn_list = dict.fromkeys(["acc", "acc_norm", "acc_bytes"])
    made.doc_to_choice, made.doc_to_target = lambda doc: texts, lambda doc: 0
    return made


# -------------------------------------------------------------------------------------- texts


def perplexities(pairs, **keys):
    """Return the values of texts with their log-likelihoods, sums first."""
    sums: dict[str, list[float]] = {}
    for text, total in pairs:
        reply = Likelihoods((total,), (len(text) // 4 + 1,), (False,))
        for one in scores("perplexity", reply, asked(text, continuations=(text,)), **keys):
            credit, weight, _ = sums.get(one.metric, [0.0, 0.0, ""])
            sums[one.metric] = [credit + one.credit, weight + one.weight, one.measure.scale]
    return {
        name: math.exp(credit / weight) if scale == "exponential" else credit / weight
        for name, (credit, weight, scale) in sums.items()
    }


@pytest.mark.parametrize("run", RUNS)
def test_the_harness_s_perplexities_come_out(run):
    samples = harness_samples(run, "xquad_perplexity")
    values = harness_values(run, "xquad_perplexity")
    found = perplexities([(sample["text"], sample["loglikelihood"]) for sample in samples])
    assert found.pop("token_perplexity") > 1
    assert found == pytest.approx({name: values[f"{name},none"] for name in found}, rel=1e-7)
    assert len(found) == 3


def test_a_text_is_measured_by_tokens_words_and_bytes():
    reply = Likelihoods((-12.0,), (4,), (False,), 3)
    item = asked("déjà vu", continuations=(" déjà vu",))
    found = {one.metric: one for one in scores("perplexity", reply, item)}
    assert {name: (one.credit, one.weight) for name, one in found.items()} == {
        "token_perplexity": (12, 4),
        "word_perplexity": (12, 2),
        "byte_perplexity": (12, 9),
        "bits_per_byte": (12 / math.log(2), 9),
    }
    assert not any(one.measure.higher_is_better or one.measure.bounded for one in found.values())
    assert {one.measure.title for one in found.values()} == {
        "perplexity per token", "perplexity per word", "perplexity per byte", "bits per byte",
    }  # fmt: skip
    assert found["word_perplexity"].reason == "12 nats over 2 words"
    assert found["bits_per_byte"].reason == "12 nats over 9 bytes"


def test_a_text_without_a_gold_is_its_continuation():
    reply = Likelihoods((-6.0,), (2,), (False,))
    (found,) = scores("perplexity", reply, asked(continuations=("a b c",)), by=["word"])
    assert (found.credit, found.weight) == (6, 3)


def test_words_are_counted_as_the_harness_does():
    task = pytest.importorskip("lm_eval.api.task", reason="lm-eval is not here")
    for text in ("a b", " a b", "a b\n", "a  b\t\nc", "a\u00a0b", "one"):
        reply = Likelihoods((-1.0,), (1,), (False,))
        (found,) = scores("perplexity", reply, asked(text, continuations=(text,)), by=["word"])
        assert found.weight == task.ConfigurableTask.count_words(text)


@pytest.mark.parametrize(("text", "tokens"), [("", 1), (" \n", 1), ("", 0)])
def test_an_empty_text_is_refused(text, tokens):
    reply = Likelihoods((-1.0,), (tokens,), (False,))
    with pytest.raises(UserError, match="the text is empty; correct the data set, or leave out"):
        scores("perplexity", reply, asked(text, continuations=(text,)))


def test_tokens_that_nobody_counted_leave_out_what_divides_by_them_alone():
    reply = Likelihoods((-2.0,), (0,), (False,))
    item = asked("a b", continuations=("a b",))
    (found,) = scores("perplexity", reply, item, by=["word"])
    assert (found.credit, found.weight) == (2, 2)
    with pytest.raises(UserError, match="is not known, so there is no token_perplexity; name the"):
        scores("perplexity", reply, item, by=["token"])
    unknown = Likelihoods((-1.0, -2.0), (0, 0), (False, False))
    assert [s.choice for s in scores("likelihood", unknown, options(["x", "y"], "a"))] == ["a"] * 2
    with pytest.raises(UserError, match="is not known, so there is no acc_tokens; leave token out"):
        scores("likelihood", unknown, options(["x", "y"], "a"), by=["token"])
