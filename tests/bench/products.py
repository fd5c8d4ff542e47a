"""Prefill and decode against the matrix products of the same shapes, at batch 1, 16 and 64."""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from tests.bench.comparing import Row, say
from tests.bench.opponents.matrix_products import Products
from tests.bench.settings import Scale
from tests.bench.spending import Spent
from tests.bench.text_files import write_llama
from tests.bench.wording import sentence
from tests.support.basics import GREEDY

BATCHES, PROMPT, STEPS = (1, 16, 64), 48, 32
LEAST = 0.3
"""CPU seconds that are measured at least: what takes less is done several times."""
Work = Callable[[], object]


def rows(scale: Scale) -> list[Row]:
    """Measure both phases at each batch, in this process, on one thread."""
    torch.set_num_threads(1)
    with TemporaryDirectory(prefix="lorascope-bench-") as folder:
        answerer = load_answerer(write_llama(Path(folder) / "llama"))
    products = Products(answerer.llm)
    return [row for batch in BATCHES for row in phases(answerer, products, batch, scale.runs)]


def load_answerer(folder: Path) -> Any:
    """Load a model of text as the infer stage does."""
    from lorascope.models.hf_text import FAMILY
    from lorascope.models.hf_text.answerer import load

    given = {"family": "hf_text", "model": str(folder), "dtype": "float32"}
    return load(FAMILY.settings(**given).model_dump(), "cpu", "float32", None, None)


def phases(
    answerer: Any, products: Products, batch: int, runs: int, prompt: int = PROMPT
) -> list[Row]:
    """Return the rows of prefill and decode at one batch."""
    dice = random.Random(0)
    questions = [sentence(dice, prompt) for _ in range(batch)]
    length = prompt + 1  # the beginning of a text
    ours = [lambda n=n: generate(answerer, questions, n) for n in (1, 1 + STEPS)]
    bare = [lambda n=n: products.generate(batch, length, n) for n in (1, 1 + STEPS)]
    found: list[tuple[list[Spent], list[Spent]]] = []
    for number in range(-1, runs):
        one = measured(ours[0]), measured(ours[1])
        other = measured(bare[0]), measured(bare[1])
        if number >= 0:
            found.append(([one[0], less(one[1], one[0])], [other[0], less(other[1], other[0])]))
            say(f"c: batch {batch}, run {number + 1} of {runs}")
    return [
        Row(
            f"c: {phase} at batch {batch}",
            [ours[place] for ours, _ in found],
            "its matrix products",
            [theirs[place] for _, theirs in found],
        )
        for place, phase in enumerate((f"prefill of {length} tokens", f"{STEPS} decoder steps"))
    ]


def generate(answerer: Any, questions: list[str], new_tokens: int) -> Any:
    """Answer one batch, so many tokens each."""
    count = len(questions)
    generation = GREEDY | {"max_new_tokens": new_tokens, "min_length": 0}
    return answerer.answer(questions, [None] * count, generation, [0] * count)


def measured(work: Work) -> Spent:
    """Return what a piece of work of this process costs, done often enough to tell."""
    costs: list[tuple[float, float]] = []
    while sum(cpu for cpu, _ in costs) < LEAST:
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        costs.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpus, walls = zip(*costs, strict=True)
    return Spent(statistics.median(cpus), statistics.median(walls), 0)


def less(one: Spent, other: Spent) -> Spent:
    """Return what a piece of work costs beyond another."""
    return Spent(one.cpu - other.cpu, one.wall - other.wall, 0)
