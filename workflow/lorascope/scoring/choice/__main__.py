"""Check the option scorer against a file of cases: ``python -m lorascope.scoring.choice``."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lorascope.benchmarks.options import parse_gold
from lorascope.errors import UserError
from lorascope.scoring.choice.scorer import score


def read_cases(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the cases of a JSONL file; UserError names file and line of a bad one."""
    keys = ("id", "instruction", "options", "gold", "response", "expected_choice",
            "expected_status", "expected_correct")  # fmt: skip
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            case = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: not valid JSON ({error})") from error
        if not isinstance(case, dict):
            raise UserError(f"{path}:{number}: each line must be a JSON object")
        if missing := [key for key in keys if key not in case]:
            raise UserError(f"{path}:{number}: missing key {', '.join(missing)}")
        texts = [case["instruction"], case["gold"], case["response"]]
        if isinstance(case["options"], dict):
            texts += case["options"].values()
        if not isinstance(case["options"], dict) or not all(isinstance(t, str) for t in texts):
            raise UserError(
                f"{path}:{number}: options must map letters to texts; instruction, gold and "
                "response must be texts"
            )
        yield case | {"where": f"{path}:{number}"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the cases of a file against what they expect; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lorascope.scoring.choice",
        description="Score the cases of CASES.jsonl and print each that differs from what it "
        "expects. Exits 1 if any differs, 2 if the file cannot be used.",
    )
    parser.add_argument("cases", metavar="CASES.jsonl", type=Path)
    path = parser.parse_args(arguments).cases
    total = differing = 0
    try:
        for case in read_cases(path):
            options = tuple(case["options"].items())
            gold = parse_gold(case["gold"], options, case["where"])
            got = score(case["response"], case["instruction"], options, gold)
            expected = tuple(case[f"expected_{key}"] for key in ("status", "choice", "correct"))
            total += 1
            if expected != (got.status, got.choice, got.correct):
                differing += 1
                print(f"{case['id']}: {case['response']!r}")
                print(f"  expected {_outcome(*expected)}")
                print(f"  got      {_outcome(got.status, got.choice, got.correct)}: {got.reason}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{total} cases, {differing} differ")
    return 1 if differing else 0


def _outcome(status: str, choice: str | None, correct: bool) -> str:
    return f"{status} {choice or '-'} {'correct' if correct else 'incorrect'}"


if __name__ == "__main__":
    raise SystemExit(main())
