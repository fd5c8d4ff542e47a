"""Whether answers stay the same, whatever the batch size and the number of shards."""

import shutil
from collections.abc import Sequence
from itertools import cycle, product
from pathlib import Path

import numpy as np

from tests.check_gpu.running import Result, results, run, said, written
from tests.check_gpu.studies import BATCHES, Check, salmonn, study, text, write_data
from tests.support.random_models import SHAPES

HALF = ("bfloat16", "float16")


def equality(check: Check, shape: str) -> None:
    """Compare answers over batch sizes and shards: exactly in float32, by their rate in half."""
    data = check.folder / "equality"
    write_data(data, min(check.items, 32), SHAPES[shape].chunk)
    for kind in ("text", "salmonn"):
        written(check, kind, shape, data / kind)
    exact(check, data)
    rates(check, data)
    shutil.rmtree(data)


def exact(check: Check, data: Path) -> None:
    """Note what differs in float32 between batch sizes and numbers of shards."""
    first = None
    # Experiments that differ in batch_size alone share their answers there: a run for each.
    for batch, shards in zip(BATCHES, cycle((1, 2, 3, 1)), strict=False):
        said(f"  float32, batch {batch}, shards {shards}:")
        found = _answered(check, data, ("float32",), (batch,), shards)
        first = first or found
        for name, other in zip(found, first.values(), strict=True):
            compare(check, f"{name} in shards of {shards}", found[name], other, must=True)


def rates(check: Check, data: Path) -> None:
    """Print how many answers differ between batch sizes in half precision."""
    said("  half precision:")
    found = _answered(check, data, HALF, BATCHES, 1)
    for name, result in found.items():
        kind, dtype, batch = name.split("-")
        if batch != "1":
            compare(check, name, result, found[f"{kind}-{dtype}-1"], must=False)


def _answered(
    check: Check, data: Path, dtypes: Sequence[str], batches: Sequence[int], shards: int
) -> dict[str, Result]:
    """Return the answers (T: to texts, A: about clips) and choices (C) of a run of its own."""
    experiments = []
    for dtype, batch in product(dtypes, batches):
        one = {"batch_size": batch, "lora_scaling": 2}
        on_text = one | {"model": f"text-{dtype}", "adapter": f"lora-{dtype}", "dataset": "asked"}
        on_clips = one | {"model": f"salmonn-{dtype}", "dataset": "heard"}
        for kind, keys in (("T", on_text), ("C", on_text | {"mode": "choose"}), ("A", on_clips)):
            experiments.append({"id": f"{kind}-{dtype}-{batch}", **keys})
    models = {f"text-{dtype}": text("text", dtype) for dtype in dtypes}
    models |= {f"salmonn-{dtype}": salmonn("salmonn", dtype) for dtype in dtypes}
    adapters = {
        f"lora-{dtype}": {"model": f"text-{dtype}", "source": "text/adapter"} for dtype in dtypes
    }
    made = study("equality", check, models=models, adapters=adapters, experiments=experiments,
                 shards=shards)  # fmt: skip
    made["datasets"]["heard"]["encode_jobs"] = shards
    shutil.rmtree(data / "results", ignore_errors=True)
    run(data, made, alone=shards == 2)
    return results(data)


def compare(check: Check, what: str, one: Result, other: Result, must: bool) -> None:
    """Print how many answers differ; note it where none may, nor likelihoods beyond rounding."""
    differ = sum(
        one.answers[item] != answer
        or (must and not np.allclose(one.likelihoods[item], other.likelihoods[item], atol=1e-3))
        for item, answer in other.answers.items()
    )
    said(f"  {what}: {differ} of {len(other.answers)} answers differ")
    if differ and must:
        check.broken.append(f"{what}: {differ} answers differ")
