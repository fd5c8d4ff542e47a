"""The texts of a dataset, in chunks of items: questions, and the responses of every experiment.

Experiments are read one after another, and each adds to all chunks: so many responses as one
experiment has are in memory, however many experiments there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.benchmarks.items import Item
from lorascope.reporting.browsing.index import number
from lorascope.reporting.browsing.scripts import Script

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ITEMS, MOST_REPLIES = 200, 2400
"""In a file: what is loaded when an item of it is opened, about a megabyte."""
REPLY = [
    *("item_id", "response", "finish_reason", "prompt_tokens", "response_tokens"),
    *("loglikelihoods", "continuation_tokens"),
]
_DECIMALS = 4  # of log-likelihoods, in nats


def chunk_of(experiments: int) -> int:
    """Return how many items have their texts in one file."""
    return max(1, min(MOST_ITEMS, MOST_REPLIES // max(1, experiments)))


class Texts:
    """The files of a dataset's texts, which grow by ``add`` and are there after ``close``."""

    def __init__(
        self,
        folder: Path,
        dataset: str,
        place: int,
        items: Sequence[Item],
        clips: Mapping[str, Mapping[str, Any]],
        chunk: int,
    ) -> None:
        """Begin with the items, so many in a file; ``clips`` is clip -> what is said of it."""
        self.items, self.chunk = items, chunk
        self.files: list[Script] = []
        for k, start in enumerate(range(0, len(items), chunk)):
            script = Script(folder, f"items-{place}-{k}")
            script.add("dataset", dataset)
            script.add("chunk", k)
            some = items[start : start + chunk]
            script.add("items", [_item(item, clips.get(item.clip)) for item in some])
            script.open("responses")
            self.files.append(script)

    def add(
        self,
        experiment: str,
        predictions: "pa.Table",
        verdicts: "pa.Table | None" = None,
    ) -> None:
        """Add what an experiment answered, and a judge said of it."""
        judged = {row["item_id"]: row for row in verdicts.to_pylist()} if verdicts else {}
        rows = {row["item_id"]: row for row in predictions.to_pylist()}
        replies = [
            _reply(rows[item.item_id], judged.get(item.item_id)) if item.item_id in rows else None
            for item in self.items
        ]
        for k, script in enumerate(self.files):
            script.add(experiment, replies[k * self.chunk : (k + 1) * self.chunk])

    def close(self) -> Iterator[Path]:
        """End the files and yield their paths."""
        for script in self.files:
            script.shut()
            yield script.close()


def _item(item: Item, clip: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "id": item.item_id,
        "category": item.category,
        "question": item.question or None,
        "system": item.system or None,
        "turns": [list(turn) for turn in item.turns] or None,
        "options": [list(option) for option in item.options],
        "gold": {"letter": item.gold or None, "texts": list(item.answers)},
        "continuations": list(item.continuations) or None,
        "contexts": list(item.contexts) or None,
        "passage": item.passage or None,
        "record": item.record or None,
        "clip": clip,
    }


def _reply(row: Mapping[str, Any], verdict: Mapping[str, Any] | None) -> dict[str, Any]:
    read = row.get("loglikelihoods")
    said = row.get("response")
    return {
        # What is read of a given text says nothing.
        "text": said or None if read is not None else said,
        "finish_reason": row.get("finish_reason"),
        "prompt_tokens": row.get("prompt_tokens"),
        "tokens": row.get("response_tokens") if read is None else None,
        "loglikelihoods": None if read is None else [number(one, _DECIMALS) for one in read],
        "continuation_tokens": row.get("continuation_tokens"),
        "judge": verdict and _judged(verdict),
    }


def _judged(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row.get(key) for key in ("verdict", "reason", "text", "calls")}
