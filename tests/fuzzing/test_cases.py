"""Two thousand cases of bad input, and that a defect among them would be seen."""

import os
import time
from pathlib import Path

import pytest

from lorascope.errors import UserError
from tests.fuzzing import runner
from tests.fuzzing.kinds import KINDS, SHARES
from tests.fuzzing.runner import Kind, run_cases

CASES = int(os.environ.get("LORASCOPE_FUZZ_CASES", "2000"))
SEED = int(os.environ.get("LORASCOPE_FUZZ_SEED", "0"))


def test_every_kind_has_its_share() -> None:
    assert SHARES.keys() == KINDS.keys()
    assert sum(round(2000 * share) for share in SHARES.values()) >= 2000


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_bad_input_ends_in_success_or_one_message(name: str, tmp_path: Path) -> None:
    numbers = range(round(CASES * SHARES[name]))
    failures = [str(failure) for failure in run_cases(KINDS[name], SEED, numbers, tmp_path)]
    assert not failures, "\n\n".join([*failures[:5], f"{len(failures)} failures"])


# ------------------------------------------------------------------------- the runner itself


def outcome(attempt, tmp_path: Path) -> list[str]:
    kind = Kind("planted", lambda folder: None, lambda random, given: attempt())
    return [failure.text for failure in run_cases(kind, 0, range(1), tmp_path)]


def test_a_traceback_is_a_failure_that_says_how_to_repeat_it(tmp_path: Path) -> None:
    kind = Kind("study", lambda folder: None, lambda random, given: {}["absent"])
    (failure,) = run_cases(kind, 3, range(7, 8), tmp_path)
    assert "KeyError: 'absent'" in str(failure)
    assert str(failure).endswith("again: python -m tests.fuzzing --kind study --case 3:7")


def test_a_hang_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SECONDS", 0.05)
    (text,) = outcome(lambda: time.sleep(30), tmp_path)
    assert "HangError" in text


def test_memory_without_bound_is_a_failure(tmp_path: Path) -> None:
    (text,) = outcome(lambda: bytearray(2**40), tmp_path)
    assert "MemoryError" in text


def refuse(message: str) -> None:
    raise UserError(message)


def test_a_message_has_words(tmp_path: Path) -> None:
    assert outcome(lambda: refuse("x.yaml: shards: correct it"), tmp_path) == []
    (text,) = outcome(lambda: refuse(" \n"), tmp_path)
    assert "no readable line" in text


@pytest.mark.parametrize(
    "message", ["a\nb", "a\x00b\x1b[31m", "x" * 10_000, "a \ud800", "\u2028\u202e"]
)
def test_whatever_a_message_repeats_it_is_one_readable_line(message: str, tmp_path: Path) -> None:
    assert outcome(lambda: refuse(f"file: {message}"), tmp_path) == []
    assert str(UserError("file: a\n  b\n")) == "file: a b"
    assert str(UserError(f"begin{'x' * 9000}end")).startswith("begin")
    assert str(UserError(f"begin{'x' * 9000}end")).endswith("end")
