"""Run cases from the command line: many of all kinds, or one again."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.fuzzing.kinds import KINDS, SHARES
from tests.fuzzing.runner import run_cases


def main() -> int:
    """Print every failure, and return whether there was one."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    options.add_argument("--cases", type=int, default=2000, help="how many, of all kinds together")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--kind", choices=KINDS, action="append")
    options.add_argument("--case", help="one of them, as <seed>:<number>")
    asked = options.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    failures = 0
    with tempfile.TemporaryDirectory(prefix="fuzzing-") as folder:
        for name in asked.kind or KINDS:
            share = 1 if asked.kind else SHARES[name]
            seed, numbers = asked.seed, range(round(asked.cases * share))
            if asked.case:
                seed, number = map(int, asked.case.split(":"))
                numbers = range(number, number + 1)
            for failure in run_cases(KINDS[name], seed, numbers, Path(folder)):
                failures += 1
                print(f"{failure}\n", flush=True)
    print(f"{failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
