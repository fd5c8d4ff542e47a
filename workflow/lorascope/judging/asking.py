"""Asking a judge until a verdict can be read: about a response, or which of two is better."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lorascope.benchmarks.items import Item
from lorascope.judging.calls import Backend, Call
from lorascope.judging.prompts import disarmed, prompt
from lorascope.judging.reading import FIRST, SECOND, TIE, read
from lorascope.study.declarations import Asks

BETTER, WORSE = "better", "worse"
ORDER = "the verdict changes with the order"
SAME, NEITHER, ONLY = "the same response", "neither has a word", "only one has a word"


@dataclass(frozen=True)
class Asking:
    """How a judge is asked: what, in which words, how often and with which settings.

    ``judge`` is its identity, see ``lorascope.judging.calls.Call``.
    """

    kind: Asks
    protocol: str
    judge: str
    attempts: int
    max_tokens: int
    temperature: float | None
    seed: int | None

    def call(self, item: Item, responses: Sequence[str], attempt: int) -> Call:
        """Return the call that asks about responses to an item for the n-th time, from 0."""
        text = prompt(self.protocol, self.kind, item, responses, attempt)
        seed = None if self.seed is None else self.seed + attempt
        return Call(
            messages=(("user", text),),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            seed=seed,
            judge=self.judge,
            attempt=attempt,
        )


@dataclass(frozen=True)
class Outcome:
    """The verdict (None: unjudged), why, the judge's last words, and how many calls it took.

    ``text`` is None where the judge gave no reply at all.
    """

    verdict: str | None
    reason: str
    text: str | None = None
    calls: int = 0


@dataclass(frozen=True)
class Question:
    """An item and the responses to it that are judged, in the order in which they are shown."""

    item: Item
    responses: tuple[str, ...]


def ask(
    questions: Sequence[Question],
    how: Asking,
    backend: Backend,
    tell: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Return the outcome of each question; ``tell`` is told of so many that have one.

    A reply in which no verdict can be read is asked for again, ``how.attempts`` times in all. A
    judge that gave no reply, after all that its backend tried, is not.
    """
    outcomes = [Outcome(None, "not asked") for _ in questions]
    waiting: Sequence[int] = range(len(questions))
    for attempt in range(how.attempts):
        again: list[int] = []
        for place, found, final in _round(questions, waiting, how, attempt, backend):
            outcomes[place] = replace(found, calls=attempt + 1)
            if final or attempt + 1 == how.attempts:
                tell(1)
            else:
                again.append(place)
        waiting = sorted(again)
    return outcomes


def _round(
    questions: Sequence[Question],
    places: Sequence[int],
    how: Asking,
    attempt: int,
    backend: Backend,
) -> Iterator[tuple[int, Outcome, bool]]:
    """Yield place, outcome and whether it is the last word, for each place; equal calls are one."""
    of_call: dict[str, list[int]] = {}

    def calls() -> Iterator[Call]:
        for place in places:
            question = questions[place]
            call = how.call(question.item, question.responses, attempt)
            is_new = call.key not in of_call
            of_call.setdefault(call.key, []).append(place)
            if is_new:
                yield call

    replies: dict[str, tuple[str | None, str]] = {}
    for call, reply in backend.ask(calls()):
        replies[call.key] = (reply.text, reply.problem)
        for place in of_call[call.key]:
            yield _outcome(place, questions[place], how.kind, *replies[call.key])
        of_call[call.key] = []
    for key, late in of_call.items():  # equal calls that came after the reply
        for place in late:
            yield _outcome(place, questions[place], how.kind, *replies[key])


def _outcome(
    place: int, question: Question, kind: Asks, text: str | None, problem: str
) -> tuple[int, Outcome, bool]:
    if text is None:
        return place, Outcome(None, problem), True
    found = read(text, kind, tuple(map(disarmed, question.responses)))
    reason = f"judged {found.verdict}" if found.verdict else found.problem
    return place, Outcome(found.verdict, reason, text), found.verdict is not None


def without_asking(own: str, other: str) -> Outcome | None:
    """Return which of two responses is better where no judge is needed; None where one is."""
    words = bool(own.strip()), bool(other.strip())
    if not any(words):
        return Outcome(TIE, NEITHER)
    if not all(words):
        return Outcome(BETTER if words[0] else WORSE, ONLY)
    return Outcome(TIE, SAME) if own.strip() == other.strip() else None


_OWN: Mapping[str, str] = {FIRST: BETTER, SECOND: WORSE, TIE: TIE}
_SWAPPED: Mapping[str, str] = {FIRST: WORSE, SECOND: BETTER, TIE: TIE}


def preferred(own_first: Outcome, own_second: Outcome) -> Outcome:
    """Return which response is better, of the verdicts on both orders.

    A verdict that changes with the order is a tie; where one order is unjudged, so is the item.
    """
    texts = [one.text for one in (own_first, own_second) if one.text is not None]
    text = "\n\n[the other order]\n".join(texts) if texts else None
    calls = own_first.calls + own_second.calls
    if own_first.verdict is None or own_second.verdict is None:
        unjudged = own_second if own_first.verdict else own_first
        return Outcome(None, unjudged.reason, text, calls)
    verdicts = _OWN[own_first.verdict], _SWAPPED[own_second.verdict]
    if verdicts[0] != verdicts[1]:
        return Outcome(TIE, ORDER, text, calls)
    return Outcome(verdicts[0], f"judged {verdicts[0]} in both orders", text, calls)
