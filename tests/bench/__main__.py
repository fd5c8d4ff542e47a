"""Measure lorascope beside what a user would pick instead, as ratios: `make bench`.

Tables go to standard output, in markdown; how far things are, to standard error. Each figure is a
median of runs in which the two sides take turns. The exit code is 1 where an answer is wrong, and
otherwise 2 where something cannot be measured.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.comparing import Row, say, table
from tests.bench.settings import Scale
from tests.bench.spending import BenchError

BENCHES = {
    "a": "default_study",
    "b": "harness",
    "c": "products",
    "d": "ragged",
    "e": "sweep",
    "f": "planning",
    "g": "loading",
    "h": "reporting",
}
"""Letter -> module, whose first line says what it measures and whose ``rows`` measures it."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the benches that are asked for and print their tables."""
    asked = _parser().parse_args(words)
    scale, found, failed = Scale(asked.runs, asked.base), [], False
    for letter in asked.only or BENCHES:
        begin = time.perf_counter()
        try:
            rows = importlib.import_module(f"tests.bench.{BENCHES[letter]}").rows(scale)
        except BenchError as error:
            say(f"{letter}: {error}")
            failed = True
            continue
        found += rows
        took = time.perf_counter() - begin
        print(f"\n{table(rows)}\n\n{letter} took {took:.0f} s.", flush=True)
    if len(found) > 1:
        print(f"\nAll:\n\n{table(found)}")
    return verdict(found) or 2 * failed


def verdict(rows: Sequence[Row]) -> int:
    """Return 1 if an answer is wrong, and say where."""
    wrong = [row.what for row in rows if row.wrong]
    for what in wrong:
        say(f"answers differ: {what}")
    return bool(wrong)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        epilog="\n".join(f"  {letter}  {_purpose(name)}" for letter, name in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=_letters, metavar="LETTERS", help="such as b, or acd")
    parser.add_argument("--runs", type=_positive, default=3, help="of each side; 3 if not given")
    parser.add_argument("--base", help="an older revision, for whole studies (bench a)")
    return parser


def _letters(text: str) -> list[str]:
    letters = [letter for letter in text if letter not in ", "]
    if not letters or set(letters) - BENCHES.keys():
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(BENCHES)}")
    return letters


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return number


def _purpose(name: str) -> str:
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return text.partition("\n")[0].strip('"')


if __name__ == "__main__":
    sys.exit(main())
