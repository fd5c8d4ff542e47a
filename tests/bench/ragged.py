"""Answers of unequal length, of which a few ramble, against static batches of the same size."""

import random
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.comparing import Row, Side, compare
from tests.bench.places import copy, exported, opponent, read_answers, snakemake, write_study
from tests.bench.settings import Scale
from tests.bench.spending import Spent
from tests.bench.text_files import write_llama
from tests.bench.wording import sentence, write_lines

ITEMS, BATCH, NEW_TOKENS = 256, 16, 128
ENDS, RAMBLES = 0.2, 0.015
"""Half of the answers then have at most 4 words, and one in twenty does not end."""
CATEGORY = "own"
LAST = "be"
"""A word that does not end a text: a prompt that ended with one would be refused."""


def rows(scale: Scale) -> list[Row]:
    """Measure a study of one experiment."""
    with TemporaryDirectory(prefix="lorascope-bench-") as folder:
        made = Path(folder).resolve()
        make(made)
        given = {"model": made / "llama", "data": made / "data.jsonl", "batch_size": BATCH}
        static = Side(
            "generate in static batches",
            lambda there: opponent("static_batches", there, **given, new_tokens=NEW_TOKENS),
            lambda there: read_answers(there / "answers.json"),
            lambda there: opponent("static_batches", there, **given, new_tokens=1),
        )
        what = f"d: ragged answers, {ITEMS} of at most {NEW_TOKENS} tokens, batch {BATCH}"
        return [compare(what, study(made), static, scale.runs, bar=0.5)]


def make(folder: Path, items: int = ITEMS, **sizes: int) -> None:
    """Write the model and the questions."""
    write_llama(folder / "llama", ends=ENDS, rambles=RAMBLES, **sizes)
    dice = random.Random(0)
    asked = [f"{sentence(dice, dice.randint(8, 24))} {LAST}" for _ in range(items)]
    write_lines(
        folder / "data.jsonl",
        [{"id": f"q{place}", "question": one, "gold": "-"} for place, one in enumerate(asked)],
    )


def study(made: Path) -> Side:
    """Return the side of lorascope."""

    def run(folder: Path, dry: bool = False) -> Spent:
        path = write_study(copy(folder), content(made))
        return snakemake(folder, "--configfile", path, *["-n"] * dry)

    return Side("lorascope", run, exported, partial(run, dry=True))


def content(made: Path) -> dict[str, Any]:
    """Return the study."""
    llama = {"family": "hf_text", "model": str(made / "llama"), "dtype": "float32"}
    data = {
        "benchmark": "table",
        "source": str(made / "data.jsonl"),
        "id": "id",
        "question": "question",
        "answer": "gold",
        "category": CATEGORY,
    }
    plain = {"model": "llama", "dataset": "own", "batch_size": BATCH}
    return {
        "study": "bench-ragged",
        "models": {"llama": llama},
        "datasets": {"own": data},
        "experiments": [{"id": "ragged", **plain, "generation": {"max_new_tokens": NEW_TOKENS}}],
        "baseline": "ragged",
    }
