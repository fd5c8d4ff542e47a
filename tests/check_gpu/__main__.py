"""What the stages do on a GPU: speed against what the card allows, and whether answers stay.

Run it with ``make check-gpu``: on one GPU of 80 GB at most 8 minutes, without a network. It makes
random models of the shapes of Llama-3-8B and SALMONN-7B, runs studies of them stage by stage, and
prints what came out, each job as it ends. As in a real run the infer jobs of a study know of each
other, so that one loads its model and answers for all; in one run in float32 each works alone.
Without a GPU it does the same with small shapes, which says that it works and nothing about speed.
Ends with 1 where answers in float32 differ.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

from tests.check_gpu.card import measure_card
from tests.check_gpu.equality import equality
from tests.check_gpu.running import said
from tests.check_gpu.speed import speed
from tests.check_gpu.studies import Check
from tests.support.random_models import SHAPES


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; return 1 where answers that may not differ do."""
    here = torch.cuda.is_available()
    options = argparse.ArgumentParser(prog="make check-gpu", description=__doc__)
    options.add_argument("--shapes", choices=[*SHAPES], default="large" if here else "small")
    options.add_argument("--folder", type=Path, help="where to work (default: below $TMPDIR)")
    options.add_argument("--models", type=Path, help="where models are taken from and left")
    options.add_argument("--items", type=int, default=64)
    options.add_argument("--new-tokens", type=int, default=16)
    given = options.parse_args(arguments)
    start = time.perf_counter()
    if not here:
        print(f"no GPU: {given.shapes} shapes on the CPU, whose speeds say nothing about a GPU's")
    card = measure_card()
    print(
        f"{card.name}: {card.bytes_per_second / 1e9:.4g} GB/s, "
        f"{card.operations_per_second / 1e12:.3g} TFLOP/s"
    )
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="check-gpu-") as folder:
        check = Check(Path(folder), card, given.items, given.new_tokens, given.models)
        for kind in ("text", "salmonn"):
            said(f"{kind}, {given.shapes}, bfloat16:")
            speed(check, kind, given.shapes)
        shape = "smallest" if given.shapes == "smallest" else "small"
        said(f"equality, {shape}, {time.perf_counter() - start:.0f} s so far:")
        equality(check, shape)
    print(f"{time.perf_counter() - start:.0f} s in all")
    for problem in check.broken:
        print(f"WRONG: {problem}")
    return int(bool(check.broken))


if __name__ == "__main__":
    sys.exit(main())
