"""What the scorer says of texts that were read with and without an adapter."""

import math

import pytest

from lorascope.benchmarks.likelihoods import Drift, Likelihoods
from lorascope.errors import UserError
from lorascope.scoring.replies import REPLY, reply_scores
from lorascope.study.registry import SCORERS, default_scorer
from tests.support.scoring import asked, scores

DRIFT = Drift(
    ids=(5, 6, 7),
    words=("The", " cat", " sat"),
    base=(-1.0, -2.0, -3.0),
    adapted=(-1.5, -2.5, -0.5),
    kl=(0.1, 0.4, 0.0),
    reverse_kl=(0.2, 0.3, 0.0),
    changed=(False, True, True),
    greedy=(True, False, False),
)
ALL = ["kl", "reverse_kl", "loss", "base_loss", "changed"]


def reply(drift: Drift | None = DRIFT) -> Likelihoods:
    return Likelihoods((-4.5,), (3,), (False,), 0, drift)


def test_sums_over_tokens_weigh_as_many():
    found = {one.metric: one for one in scores("divergence", reply(), asked("", "a text"), by=ALL)}
    sums = {name: one.credit for name, one in found.items()}
    assert sums == pytest.approx(
        {"kl": 0.5, "reverse_kl": 0.5, "loss": 4.5, "base_loss": 6, "changed": 2}
    )
    assert {one.weight for one in found.values()} == {3}
    assert not any(one.measure.higher_is_better for one in found.values())
    assert found["kl"].reason == "0.5 nats over 3 tokens, at most 0.4 at ' cat'"
    assert found["changed"].reason == "2 likeliest tokens changed over 3 tokens"


def test_an_item_without_tokens_does_not_count():
    for one in scores("divergence", reply(Drift()), asked("", "a text"), by=ALL):
        assert (one.credit, one.weight) == (0, 0)


def test_likelihoods_of_another_mode_are_refused():
    with pytest.raises(UserError, match="set mode: drift"):
        scores("divergence", reply(None), asked("", "a text"), by=ALL)


def test_a_reply_is_read_from_the_columns_of_predictions():
    row = dict.fromkeys(REPLY) | {"finish_reason": "likelihood", "prompt_tokens": 0}
    row |= {"loglikelihoods": [-4.5], "continuation_tokens": [3], "greedy": [False]}
    row["drift"] = {name: [*value] for name, value in vars(DRIFT).items()}
    seen = []

    def look(given, item):
        seen.append(given)
        return scores("divergence", given, item, by=["kl", "changed"])

    found = list(reply_scores(asked("", "a text"), row, look, {}))
    assert seen == [reply()]
    assert [one.status for one in found] == ["scored", "scored"]
    lost = list(reply_scores(asked("", "a text"), row | {"finish_reason": "nonfinite"}, look, {}))
    assert math.isnan(lost[0].credit)
    assert lost[1].credit == lost[1].weight == 3
    assert {one.status for one in lost} == {"nonfinite"}


def test_the_mode_has_this_scorer_alone():
    for answers in ("options", "texts", "nothing"):
        assert default_scorer(answers, "drift") == "divergence"
        assert [n for n in SCORERS.own if SCORERS[n].fits(answers, "drift")] == ["divergence"]
