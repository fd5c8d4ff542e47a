"""Command line: python -m training_recipes.tiny_llama --seed 0 --out build/tiny-llama."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training_recipes.tiny_llama.splits import write_splits
from training_recipes.tiny_llama.tokenizer import build_tokenizer
from training_recipes.tiny_llama.training import export, train_base


def main() -> None:
    """Write the splits of both tasks, and train tiny-llama on the original one."""
    parser = argparse.ArgumentParser(
        prog="python -m training_recipes.tiny_llama",
        description="Make the data of two tasks, and train tiny-llama from nothing on one.",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and training passages")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/tiny-llama"),
        help="of mini-squad/ and model/",
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # sums in another order would be another model
    write_splits(arguments.out / "mini-squad")
    tokenizer = build_tokenizer()
    export(train_base(tokenizer, arguments.seed), tokenizer, arguments.out / "model")


if __name__ == "__main__":
    main()
