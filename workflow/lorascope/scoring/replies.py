"""What a scorer says of a reply as it was given, be it a text, likelihoods, or none at all."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Drift, Likelihoods
from lorascope.errors import UserError
from lorascope.scoring.item_score import ACCURACY, ItemScore

log = logging.getLogger("lorascope")

REPLY = [
    *("item_id", "response", "finish_reason", "prompt_tokens"),
    *("loglikelihoods", "continuation_tokens", "greedy", "drift"),
]
"""The columns of predictions that a reply is."""


def reply_scores(
    item: Item,
    reply: Mapping[str, Any],
    score: Callable[..., list[ItemScore]],
    own: Mapping[str, Any],
) -> Iterator[ItemScore]:
    """Yield the score of one reply by each metric.

    A response without a word chose nothing, whatever the scorer. One whose computation ended in
    numbers that are none is no reply at all: it has the worst credit that there is. UserError for
    an error in the scorer.
    """
    finish, read = reply["finish_reason"], reply["loglikelihoods"]
    given: str | Likelihoods = reply["response"]
    if read is not None:
        tokens, greedy = reply["continuation_tokens"], reply["greedy"]
        columns = tuple(read), tuple(tokens), tuple(greedy)
        given = Likelihoods(*columns, reply["prompt_tokens"], Drift.of(reply["drift"]))
    try:
        scores = score(given, item, **own)
    except UserError:
        raise
    except Exception as error:
        log.debug("the scorer failed", exc_info=True)
        raise UserError(f"the scorer failed: {type(error).__name__}: {error}") from error
    for found in scores:
        if finish == "nonfinite":
            credit = found.measure.of_no_reply(found.weight)
            lost = replace(found, credit=credit, choice=None, margin=None)
            yield replace(lost, status=finish, reason="non-finite logits")
        elif isinstance(given, str) and not given.strip():
            yield replace(found, status="none", choice=None)
        else:
            yield found


def has_words(reply: Mapping[str, Any]) -> bool:
    """Return whether there is anything to judge in a reply: a word, of finite numbers."""
    return reply["finish_reason"] != "nonfinite" and bool(reply["response"].strip())


def is_decided(scores: Sequence[ItemScore], undecided: Sequence[str]) -> bool:
    """Return whether rules decided that a reply is right or wrong.

    undecided: the statuses in which a score without full credit decides nothing. UserError for
    scores that are not one of right or wrong.
    """
    if len(scores) != 1 or scores[0].measure != ACCURACY or scores[0].credit not in (0, 1):
        raise UserError(
            "the scorer that is asked before the judge has to give one score, 0 or 1; use another "
            "one as rules, or the scorer judge"
        )
    return scores[0].credit == 1 or scores[0].status not in undecided
