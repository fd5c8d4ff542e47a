"""The check on a GPU, with the smallest shapes and on the CPU."""

import pytest

from tests.check_gpu import __main__ as check_gpu
from tests.check_gpu.card import Card
from tests.check_gpu.equality import compare, equality
from tests.check_gpu.running import Result
from tests.check_gpu.speed import report, salmonn_study, text_study
from tests.check_gpu.studies import Check, study

CARD = Card("cpu", "CPU", bytes_per_second=1e12, operations_per_second=1e15)


@pytest.fixture
def check(tmp_path) -> Check:
    return Check(tmp_path, CARD, items=5, new_tokens=3)


def test_answers_are_compared_through_the_stages(check, monkeypatch, capsys):
    monkeypatch.setattr("tests.check_gpu.equality.BATCHES", (2,))
    monkeypatch.setattr("tests.check_gpu.equality.rates", lambda *what: None)
    equality(check, "smallest")
    lines = capsys.readouterr().out.splitlines()
    compared = [line for line in lines if line.endswith("answers differ")]
    assert [line.split(":")[0].split()[0] for line in compared] == [
        f"{kind}-float32-2" for kind in "TCA"
    ]
    assert all(line.endswith("0 of 5 answers differ") for line in compared)
    assert sum(line.startswith("    infer ") for line in lines) == 3
    assert check.broken == []
    assert not any(check.folder.iterdir())  # weights take disks


def result(answer: str = "a", likelihood: float = -1.0, seconds: float = 2.0) -> Result:
    return Result({"x": ("[1]", answer), "y": ("[2]", "b")}, {"x": [likelihood], "y": []},
                  seconds, read=100, made=32)  # fmt: skip


@pytest.mark.parametrize(
    ("other", "exactly", "roughly"),
    [(result(), 0, 0), (result("c"), 1, 1), (result(likelihood=-1.1), 1, 0),
     (result(likelihood=-1.0001), 0, 0)],
)  # fmt: skip
def test_what_differs_is_counted_and_noted_where_nothing_may(
    check, capsys, other, exactly, roughly
):
    compare(check, "half", other, result(), must=False)
    assert check.broken == []
    compare(check, "single", other, result(), must=True)
    half, single = capsys.readouterr().out.splitlines()
    assert half == f"  half: {roughly} of 2 answers differ"
    assert single == f"  single: {exactly} of 2 answers differ"
    assert check.broken == ["single: 1 answers differ"] * exactly


def test_speeds_are_set_against_what_the_card_allows(check, capsys):
    # Two items of 16 tokens one by one: 34 steps, each of which reads 2 bytes a parameter.
    report(check, "T-B1", result(), 10_000_000_000)
    assert capsys.readouterr().out == (
        "  T-B1: 1 items/s, 16 tokens/s, 58.8 ms a step with what is read before, "
        "34.0% of the time for reading the weights, "
        "0.1% for computing with them at the card's full speed\n"
    )


def test_it_ends_with_1_where_float32_differs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_gpu, "measure_card", lambda: CARD)
    monkeypatch.setattr(check_gpu, "speed", lambda check, kind, shape: print(kind, shape))
    monkeypatch.setattr(check_gpu, "equality", lambda check, shape: print(shape))
    options = ["--folder", str(tmp_path)]
    assert check_gpu.main(options) == 0
    said = capsys.readouterr().out
    assert said.startswith("no GPU: small shapes on the CPU, whose speeds say nothing")
    assert "text small" in said and "salmonn small" in said
    monkeypatch.setattr(check_gpu, "equality", lambda check, shape: check.broken.append("T"))
    assert check_gpu.main(options) == 1
    assert capsys.readouterr().out.endswith("WRONG: T\n")


def test_studies_of_both_models_are_studies(check, monkeypatch, tmp_path):
    from lorascope.study.parsing import parse_study

    for made in (text_study(check), salmonn_study(check)):
        found = parse_study(made, "study.yaml")
        names = {*found.experiments}
        prefix = "T" if made["study"] == "text" else "S"
        assert {f"{prefix}-B{b}" for b in (1, 5, 16, 64)} <= names
        assert {f"{prefix}-S{s}" for s in (0, 1, 3, 4)} <= names
    gpu = Check(tmp_path, Card("cuda", "H", 1, 1), 5, 3)
    one = {"id": "x", "model": "m", "dataset": "asked"}
    made = study("s", gpu, models={"m": {"family": "hf_text"}}, experiments=[one])
    assert made["models"]["m"]["gpus_per_job"] == 1
