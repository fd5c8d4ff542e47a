"""The items behind a number: print those of an experiment, alone or against another one."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.errors import UserError
from lorascope.exchange.answers import Answer, Answered, answer_values, item_values
from lorascope.exchange.jsonl import line
from lorascope.inspecting.answered import check_done, clip_file, read_answered
from lorascope.inspecting.items.changes import GAINED, LOST, Changes, changes
from lorascope.inspecting.items.choosing import Wanted
from lorascope.inspecting.items.showing import Showing, Shown
from lorascope.inspecting.overview import chosen
from lorascope.planning.plan import Plan
from lorascope.storage.records import write_text

HARMLESS = "looks, and decides nothing"

STDOUT = Path("-")


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument("id", help="the experiment's ID")
    command.add_argument(
        "--against",
        metavar="ID",
        help="experiment to compare with; with --flipped, the baseline if none is given",
    )
    command.add_argument(
        "--flipped",
        action="store_true",
        help="items alone that got better or worse, as comparison.csv counts gained and lost",
    )
    command.add_argument("--category", metavar="NAME", help="items of this category alone")
    command.add_argument(
        "--metric", metavar="NAME", help="look at this one where the scorer has several"
    )
    verdicts = command.add_mutually_exclusive_group()
    for word, meaning in (
        ("right", "items alone that are fully right"),
        ("wrong", "items alone that are not fully right"),
        ("unjudged", "items alone that have no verdict"),
    ):
        verdicts.add_argument(
            f"--{word}", dest="verdict", action="store_const", const=word, help=meaning
        )
    command.add_argument("--limit", type=_count, metavar="N", help="the first N of them")
    command.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write them as JSONL, too, one object an item; - writes that to standard output alone",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of items; give 1 or more")
    return int(text)


def items_lines(plan: Plan, asked: argparse.Namespace) -> Iterator[str]:
    """Yield the items asked for, after a line that counts them; write them where told.

    UserError, before anything is printed or written, for what is unknown or not done.
    """
    looked = _Looked.at(plan, asked)
    kept = looked.items()
    shown = kept[: asked.limit]
    if asked.out == STDOUT:
        yield from (line(looked.values(answer)) for answer in shown)
        return
    if asked.out:
        _write(asked.out, [line(looked.values(answer)) for answer in shown])
    yield looked.summary(kept)
    yield from looked.not_compared()
    yield ""
    showing = Showing()
    for answer in shown:
        yield from showing.lines(looked.shown(answer))
    if len(shown) < len(kept):
        yield f"{len(kept) - len(shown)} more"
    if asked.out:
        yield f"{asked.out}: {len(shown)} items"


def _write(out: Path, lines: Sequence[str]) -> None:
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file")
    write_text(out, "".join(f"{one}\n" for one in lines))


class _Looked:
    """An experiment, those that it is looked at against, and what is wanted of them."""

    def __init__(
        self, plan: Plan, answered: Answered, others: Sequence[Answered], asked: argparse.Namespace
    ) -> None:
        self.plan, self.answered, self.others = plan, answered, others
        self.flipped = asked.flipped
        wanted = Wanted(asked.category, asked.metric, asked.verdict)
        self.wanted = wanted.checked(answered, needs_metric=asked.flipped)
        self.changes = self._compared() if others else Changes()
        self.theirs = {
            answer.item.item_id: (other, answer) for other in others for answer in other.answers
        }

    @classmethod
    def at(cls, plan: Plan, asked: argparse.Namespace) -> "_Looked":
        """Read what the options name."""
        chosen(plan, [asked.id, *([asked.against] if asked.against else [])])
        against = [asked.against] if asked.against else []
        if asked.flipped and not against:
            against = _baseline(plan, asked.id)
        if asked.id in against:
            raise UserError(f"{asked.id} is compared with itself; name another one by AGAINST=<ID>")
        check_done(plan, [asked.id, *against])
        answered = read_answered(plan, asked.id)
        return cls(plan, answered, [read_answered(plan, name) for name in against], asked)

    def _compared(self) -> Changes:
        """Return what changed against each of the others in the categories that both have."""
        categories = self.wanted.categories(self.answered)
        whole = Changes()
        for other in self.others:
            if len(self.others) == 1 or {*other.categories()} & {*categories}:
                found = changes(self.answered, other, categories)
                whole.found |= found.found
                whole.not_compared |= found.not_compared
        return whole

    def change(self, answer: Answer) -> str:
        """Return how an item changed; "" where several metrics may say different things."""
        if self.wanted.metric is None:
            return ""
        return self.changes.of(answer.item.item_id, self.wanted.scores(answer))

    def items(self) -> list[Answer]:
        """Return the answers to the items that are wanted."""
        return [
            answer
            for answer in self.answered.answers
            if self.wanted.has(answer) and (not self.flipped or self.change(answer))
        ]

    def summary(self, kept: Sequence[Answer]) -> str:
        """Return how many items there are, and of them how many changed in which direction."""
        against = " and ".join(other.id for other in self.others)
        what = self.wanted.verdict or ("flipped" if self.flipped else "")
        counts = f"{len(kept)} of {len(self.answered.answers)} items{f' {what}' if what else ''}"
        if against and self.wanted.metric is not None:
            found = [self.change(answer) for answer in kept]
            counts += f" ({found.count(GAINED)} gained, {found.count(LOST)} lost)"
        return f"{self.answered.id}{f' against {against}' if against else ''}: {counts}"

    def not_compared(self) -> list[str]:
        """Say of which categories nothing can be told to be better or worse."""
        return [f"{c}: not compared: {why}" for c, why in self.changes.not_compared.items()]

    def shown(self, answer: Answer) -> Shown:
        """Return an item as it is shown."""
        found = {**self._others(answer), self.answered.id: (self.answered, answer)}
        planned = self.plan.experiments[self.answered.id]
        return Shown(
            answer.item,
            {name: one for name, (_, one) in found.items()},
            {name: experiment.measure for name, (experiment, _) in found.items()},
            self.change(answer),
            clip_file(self.plan, planned, answer.item),
        )

    def _others(self, answer: Answer) -> Mapping[str, tuple[Answered, Answer]]:
        pair = self.theirs.get(answer.item.item_id)
        return {pair[0].id: pair} if pair else {}

    def values(self, answer: Answer) -> dict[str, Any]:
        """Return an item as an object of JSON: itself, how it changed, and what was answered."""
        found = {**self._others(answer), self.answered.id: (self.answered, answer)}
        return {
            "item_id": answer.item.item_id,
            "category": answer.item.category,
            "change": self.change(answer) or None,
            "item": item_values(answer.item),
            "answers": {name: answer_values(one) for name, (_, one) in found.items()},
        }


def _baseline(plan: Plan, identifier: str) -> list[str]:
    """Return the experiments that one is compared with in the report; UserError for none.

    Of several, that on the same dataset has all of its categories.
    """
    found = [one for one in plan.study.references if identifier in one.of]
    named = [name for one in found for name in one.experiments]
    if named and identifier not in named:
        dataset = plan.study.experiments[identifier].dataset
        alike = [name for name in named if plan.study.experiments[name].dataset == dataset]
        return alike[:1] or named
    why = "it is the baseline itself" if named else "its baseline is a published table"
    raise UserError(
        f"{identifier}: {why if found else 'it has no baseline'}, so there are no items to compare "
        "with; name an experiment by AGAINST=<ID> (--against <ID>)"
    )
