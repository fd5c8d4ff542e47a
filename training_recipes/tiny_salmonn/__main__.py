"""Command line: python -m training_recipes.tiny_salmonn --seed 0 --out build/tiny-salmonn."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from lorascope.storage.records import write_text
from training_recipes.tiny_salmonn.stages import STAGES, Recipe

MINI_SAKURA = Path(__file__).parents[2] / "resources" / "mini-sakura"


def main() -> None:
    """Train tiny-salmonn from nothing, or go on where a stopped run left off."""
    stages = "; ".join(f"{stage.__name__} -> {output}" for output, stage in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="python -m training_recipes.tiny_salmonn",
        description="Train tiny-salmonn from nothing on synthetic clips and measure it.",
        epilog=f"A stage whose file exists in the output folder is skipped: {stages}.",
    )
    parser.add_argument("--seed", type=int, default=0, help="of clips, weights and batches")
    parser.add_argument("--out", type=Path, default=Path("build/tiny-salmonn"), help="all files")
    parser.add_argument(
        "--benchmark", type=Path, default=MINI_SAKURA, help="test split to measure on"
    )
    arguments = parser.parse_args()
    _claim(arguments.out, arguments.seed)
    torch.set_num_threads(1)  # sums in another order would be another model
    Recipe(arguments.out, arguments.seed, arguments.benchmark).run()
    print((arguments.out / "evaluation.md").read_text(encoding="utf-8"))


def _claim(out: Path, seed: int) -> None:
    """Refuse a folder that holds another seed's run."""
    path = out / "seed"
    if path.exists() and path.read_text().strip() != str(seed):
        raise SystemExit(f"{out} holds a run of seed {path.read_text().strip()}: choose another")
    write_text(path, f"{seed}\n")


if __name__ == "__main__":
    main()
