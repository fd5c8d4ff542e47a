"""An item on a terminal: question, options with the gold marked, responses and verdicts."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorascope.benchmarks.items import Item
from lorascope.exchange.answers import Answer, Score
from lorascope.inspecting.items.changes import GAINED, LOST
from lorascope.inspecting.items.terminal import (
    NARROWEST,
    Paint,
    changed,
    printable,
    wrapped,
)
from lorascope.scoring.item_score import Measure

HARMLESS = "looks, and decides nothing"

LABEL = 12
"""Columns of the words at the left."""
TEXT_GIVEN = "text"


@dataclass(frozen=True)
class Shown:
    """An item, what experiments answered to it (the one asked for last), and how it changed.

    ``clip`` is where its clip lies.
    """

    item: Item
    answers: Mapping[str, Answer]
    measures: Mapping[str, Callable[[str], Measure]]
    change: str = ""
    clip: Path | None = None


class Showing:
    """Turns items into lines as wide as the terminal."""

    def __init__(self, paint: Paint | None = None, width: int | None = None) -> None:
        self.paint = paint or Paint()
        self.width = max(width or shutil.get_terminal_size().columns, NARROWEST)

    def lines(self, shown: Shown) -> Iterator[str]:
        """Yield the lines of an item, an empty one last."""
        item, paint = shown.item, self.paint
        colour = {GAINED: "green", LOST: "red"}.get(shown.change, "bold")
        head = [paint(printable(item.item_id), "bold"), printable(item.category)]
        yield "  ".join([*head, *([paint(shown.change, colour)] if shown.change else [])])
        if shown.clip:
            heard = f"{shown.clip} ({item.clip_seconds:.1f} s)"
            yield from self._field("clip", printable(heard))
        yield from self._asked(item)
        yield from self._options(item, shown.answers)
        yield from self._responses(shown)
        yield ""

    def _field(self, label: str, text: str, colour: str = "") -> Iterator[str]:
        """Yield lines with a label before the first."""
        room = self.width - LABEL - 2
        for number, line in enumerate(wrapped(text, room)):
            left = f"  {self.paint(f'{label:{LABEL}}', 'dim')}" if not number else " " * (LABEL + 2)
            yield f"{left}{self.paint(line, colour) if colour else line}".rstrip()

    def _asked(self, item: Item) -> Iterator[str]:
        if item.system:
            yield from self._field("system", printable(item.system))
        for question, answer in item.turns:
            yield from self._field("example", printable(question))
            yield from self._field("  answer", printable(answer))
        if item.contexts:
            for context in item.contexts:
                yield from self._field("context", printable(context))
        elif item.question:
            yield from self._field("question", printable(item.question))

    def _options(self, item: Item, answers: Mapping[str, Answer]) -> Iterator[str]:
        """Yield the options, the gold marked by a star, or the gold answers where there are none.

        Where options were chosen by their likelihoods, these stand behind, by experiment.
        """
        for place, (letter, text) in enumerate(item.options):
            is_gold = letter == item.gold
            line = f"{'*' if is_gold else ' '} ({letter}) {printable(text)}{_sums(answers, place)}"
            label = "" if place else "options"
            yield from self._field(label, line, "green" if is_gold else "")
        if not item.options and any(answer.is_text for answer in answers.values()):
            gold = [text.strip() for text in item.answers if text.strip()]
            yield from self._field("gold", printable(" | ".join(gold)), "green")
        elif not item.options and item.continuations:
            yield from self._field(TEXT_GIVEN, printable(item.continuations[0]))

    def _responses(self, shown: Shown) -> Iterator[str]:
        texts = self._compared([printable(_text(answer)) for answer in shown.answers.values()])
        for (name, answer), text in zip(shown.answers.items(), texts, strict=True):
            told = [
                self._verdict(metric, score, shown.measures[name](score.category))
                for metric, score in answer.scores.items()
            ]
            yield from (f"  {line}" for line in wrapped(f"{name}  {'; '.join(told)}", self.width))
            if answer.is_text:
                yield from self._field("", text or self.paint("(nothing)", "dim"))
            else:
                yield from self._field("", _likelihood(answer))

    def _compared(self, texts: Sequence[str]) -> list[str]:
        """Return responses, of two with what changed marked."""
        if len(texts) == 2:
            return list(changed(texts[0].strip(), texts[1].strip(), self.paint))
        return [text.strip() for text in texts]

    def _verdict(self, metric: str, score: Score, measure: Measure) -> str:
        words, colour = _verdict(score, measure)
        why = [f"choice {score.choice}" if score.choice else "", score.reason]
        if score.margin is not None:
            why.append(f"margin {score.margin:.3g}")
        if score.judge:
            why.append(f"by {score.judge}")
        told = printable(", ".join(filter(None, why)))
        name = f"{metric} " if metric else ""
        return f"{name}{self.paint(words, colour)}{f' ({told})' if told else ''}"


def _verdict(score: Score, measure: Measure) -> tuple[str, str]:
    """Return the verdict in words, and its colour."""
    if score.is_unjudged or score.credit is None:
        return "unjudged" if score.is_unjudged else "no value", "yellow"
    if not measure.has_best:
        return f"{measure.title}: {_of(score)}", "bold"
    if measure.is_full(score.credit, score.weight):
        return "right", "green"
    if measure.bounded and measure.higher_is_better and score.credit:
        return f"partly right, {_of(score)}", "yellow"
    return "wrong" if measure.higher_is_better else f"wrong, {_of(score)}", "red"


def _of(score: Score) -> str:
    """Return a credit, and what it is of where that is not 1."""
    return f"{score.credit:.4g}" + (f" of {score.weight:.4g}" if score.weight != 1 else "")


def _text(answer: Answer) -> str:
    return answer.response if answer.is_text else ""


def _sums(answers: Mapping[str, Answer], place: int) -> str:
    """Return the log-likelihoods of an option, one for each experiment that chose by them."""
    sums = [
        f"{answer.loglikelihoods[place]:.3f}"
        for answer in answers.values()
        # A sweep's drift is of one of the options alone.
        if answer.loglikelihoods and place < len(answer.loglikelihoods) and answer.drift is None
    ]
    return f"  [{', '.join(sums)}]" if sums else ""


def _likelihood(answer: Answer) -> str:
    """Return what a model chose by likelihood, or how likely it found a text."""
    if answer.response:
        return f"likeliest: {printable(answer.response)}"
    sums, tokens = answer.loglikelihoods or (), answer.continuation_tokens or ()
    parts = zip(sums, tokens, strict=False)
    return "; ".join(f"log-likelihood {total:.3f} of {count} tokens" for total, count in parts)
