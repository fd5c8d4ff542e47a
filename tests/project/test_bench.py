"""The benches compare what is the same work, and say so where answers differ."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from lorascope.benchmarks.table.items import build_items
from lorascope.study.parsing import parse_study
from tests.bench import __main__ as command
from tests.bench import default_study, harness, planning, products, ragged, reporting, sweep
from tests.bench.comparing import Row, Side, compare, count_equal, same, table
from tests.bench.opponents import by_pandas, load_and_answer, one_loop, static_batches
from tests.bench.opponents.bare_salmonn import BareSalmonn, questions
from tests.bench.opponents.matrix_products import Products
from tests.bench.places import answers_of, read_lines
from tests.bench.settings import Scale
from tests.bench.spending import BenchError, Spent, spend
from tests.bench.text_files import rescaled, write_llama, write_lora
from tests.support.basics import GREEDY, ROOT

SMALL = {"width": 64, "layers": 1, "vocabulary": 512}
RUNS = 3


def cost(cpu: float) -> Spent:
    return Spent(cpu, 2 * cpu, 100)


def sides(ours: dict, theirs: dict) -> tuple[list[str], Row]:
    """Compare two sides that answer so; return the order in which they worked."""
    done: list[str] = []

    def side(name: str, cpu: float, answers: dict) -> Side:
        def work(folder: Path) -> Spent:
            assert not [*folder.iterdir()]
            (folder / "used").touch()
            done.append(name)
            return cost(cpu * len(done))

        return Side(name, work, lambda folder: answers, lambda folder: done.append(f"warm {name}"))

    return done, compare("x", side("a", 1, ours), side("b", 2, theirs), RUNS, bar=0.5)


# -------------------------------------------------------------------------------- comparing


def test_two_sides_take_turns_in_new_folders_after_a_warm_up_of_both():
    done, row = sides({"q": "yes"}, {"q": "yes"})
    assert done == ["warm a", "warm b", *["a", "b"] * RUNS]
    assert (row.equal, row.compared, row.wrong) == (RUNS, RUNS, False)
    # Runs 3 4, 5 6, 7 8 of which b's count twice.
    assert row.ratios("cpu") == pytest.approx([3 / 8, 5 / 12, 7 / 16])
    assert row.ratio("cpu") == pytest.approx(5 / 12)


def test_a_wrong_answer_is_counted_shown_and_ends_with_1(capsys):
    _, row = sides({"q": "yes", "r": "no"}, {"q": "yes", "r": "yes", "s": "yes"})
    assert (row.equal, row.compared) == (RUNS, 3 * RUNS)
    said = capsys.readouterr().err
    assert "x: NOT EQUAL r: 'no' | 'yes'" in said
    assert "x: NOT EQUAL s: None | 'yes'" in said
    assert "3 of 9 WRONG" in table([row])
    assert command.verdict([row]) == 1
    assert "answers differ: x" in capsys.readouterr().err


@pytest.mark.parametrize(("theirs", "code"), [("yes", 0), ("no", 1)])
def test_the_command_prints_tables_and_ends_by_the_answers(monkeypatch, capsys, theirs, code):
    equal, compared = count_equal({"q": "yes"}, {"q": theirs})
    row = Row("x: it", [cost(1)], "the other", [cost(4)], equal, compared, bar=0.5)
    asked: list[Scale] = []
    monkeypatch.setitem(
        sys.modules,
        "tests.bench.default_study",
        SimpleNamespace(rows=lambda scale: asked.append(scale) or [row]),
    )
    assert command.main(["--only", "a", "--runs", "2", "--base", "main"]) == code
    assert asked == [Scale(2, "main")]
    line = "| x: it | 1.00 CPU-s | the other | 4.00 CPU-s | **0.25** | 1 run | 0.25 | <= 0.5 |"
    assert line in capsys.readouterr().out


def test_what_cannot_be_measured_ends_with_one_message(monkeypatch, capsys):
    def fail(scale: Scale) -> list[Row]:
        raise BenchError("no revision x")

    module = SimpleNamespace(rows=fail)
    monkeypatch.setitem(sys.modules, "tests.bench.default_study", module)
    assert command.main(["--only", "a"]) == 2
    assert capsys.readouterr().err == "a: no revision x\n"
    with pytest.raises(SystemExit):
        command.main(["--only", "z"])


def test_texts_are_equal_exactly_and_numbers_up_to_rounding():
    assert same("a", "a") and not same("a", "a ") and not same(None, None)
    assert same([-1.0, -2.0], [-1.0, -2.0001]) and not same([-1.0], [-1.1])
    assert not same([-1.0], [-1.0, -2.0]) and not same(1, "1")


def test_each_bench_has_a_module_that_says_what_it_measures(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    said = capsys.readouterr().out
    for letter, name in command.BENCHES.items():
        text = (ROOT / "tests/bench" / f"{name}.py").read_text(encoding="utf-8")
        assert f"  {letter}  {text.splitlines()[0].strip(chr(34))}" in said


# --------------------------------------------------------------------------------- spending

BUSY = "import time; e = time.process_time() + {}\nwhile time.process_time() < e: pass"


def test_the_time_of_every_process_counts_also_of_those_that_are_left(tmp_path):
    code = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {BUSY.format(0.3)!r}])\n"
        f"subprocess.Popen([sys.executable, '-c', {BUSY.format(0.6)!r}])\n"
    )
    # In a process of its own: this one may have children that stay.
    measuring = (
        "import os, sys\nfrom pathlib import Path\nfrom tests.bench.spending import spend\n"
        f"spent = spend([sys.executable, '-c', {code!r}], Path({str(tmp_path)!r}), os.environ)\n"
        "print(spent.cpu, spent.peak)"
    )
    said = subprocess.run(
        [sys.executable, "-c", measuring], cwd=ROOT, check=True, capture_output=True, text=True
    )
    cpu, peak = map(float, said.stdout.split())
    assert cpu >= 0.9
    assert peak > 1


def test_a_command_that_fails_says_what_it_printed(tmp_path):
    with pytest.raises(BenchError, match="its last words"):
        spend([sys.executable, "-c", "raise SystemExit('its last words')"], tmp_path, os.environ)


# -------------------------------------------------------------- the same work on both sides


def ours(answerer, asked, features, new_tokens: int) -> list[str]:
    generation = GREEDY | {"max_new_tokens": new_tokens}
    answers = answerer.answer(asked, features, generation, [0] * len(asked))
    return [answer.text for answer in answers]


def test_the_bare_loop_answers_as_the_family_does():
    from lorascope.models.salmonn.answerer import load

    sources = one_loop.sources(ROOT / "resources/tiny-salmonn")
    data, first = ROOT / "resources/mini-sakura", 6
    model = BareSalmonn(sources)
    answers = one_loop.sweep(model, data, [0, 4], 4, 12, first)
    asked = questions(data)[:first]
    features = [model.encode(one.clip) for one in asked]
    for scaling in (0, 4):
        settings = {**sources, "lora_alpha": 32, "prompt_template": "USER: {}\nASSISTANT:"}
        answerer = load(settings, "cpu", "float32", scaling)
        texts = ours(answerer, [one.question for one in asked], features, 12)
        assert [answers[f"{scaling} {one.item}"] for one in asked] == texts
    assert len(answers) == 2 * first and len(set(answers.values())) > 3
    assert f"SKR-LoRA-SF-4-B64 {asked[0].item}" in default_study.by_experiment(answers)


def test_static_batches_answer_as_the_family_does_and_are_ragged(tmp_path):
    ragged.make(tmp_path, items=24, **SMALL)
    asked = [row["question"] for row in read_lines(tmp_path / "data.jsonl")]
    texts = static_batches.answer(tmp_path / "llama", asked, 8, 32)
    answerer = products.load_answerer(tmp_path / "llama")
    assert ours(answerer, asked, [None] * len(asked), 32) == texts
    data = parse_study(ragged.content(tmp_path), "bench").datasets["own"].model_dump()
    items, _ = build_items(tmp_path / "data.jsonl", data, None)
    assert {(item.item_id, item.question) for item in items} == {
        (f"own/q{place}", one) for place, one in enumerate(asked)
    }
    lengths = [len(text.split()) for text in texts]
    assert sorted(lengths)[len(lengths) // 2] <= 8 and max(lengths) >= 24


def test_the_products_are_those_of_the_model(tmp_path):
    answerer = products.load_answerer(write_llama(tmp_path / "llama", **SMALL))
    products.generate(answerer, ["ba de", "fi go"], 1)  # whose first pass imports and compiles
    with FlopCounterMode(display=False) as model:
        products.generate(answerer, ["ba de", "fi go"], 5)
    with FlopCounterMode(display=False) as bare:
        Products(answerer.llm).generate(2, 3, 5)
    counted = [counter.get_flop_counts()["Global"] for counter in (model, bare)]
    mm = [sum(n for op, n in c.items() if "attention" not in str(op)) for c in counted]
    # Positions are turned by a small product; all else is the same.
    assert mm[1] == pytest.approx(mm[0], rel=0.02)


def test_both_ways_to_load_answer_alike(tmp_path):
    write_llama(tmp_path / "llama", dtype="bfloat16", **SMALL)
    answers = {way(tmp_path / "llama")() for way in load_and_answer.WAYS.values()}
    assert len(answers) == 1 and "" not in answers


def test_an_adapter_of_another_alpha_has_that_scaling(tmp_path):
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    base = write_llama(tmp_path / "llama", **SMALL)
    adapter = rescaled(write_lora(tmp_path / "lora", base), tmp_path / "half", 0.5)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    found = {m.scaling["default"] for m in model.modules() if isinstance(m, LoraLayer)}
    assert found == {0.5}


def test_samples_and_exports_are_read_under_one_name(tmp_path):
    folder = tmp_path / "S-1" / "llama"
    folder.mkdir(parents=True)
    samples = [
        {"doc_id": 0, "resps": [["fi go"]]},
        {"doc_id": 1, "resps": [[["-1.5", "False"]], [["-2.0", "True"]]]},
    ]
    lines = "".join(json.dumps(one) + "\n" for one in samples)
    (folder / "samples_bench_x_2026.jsonl").write_text(lines)
    read = harness.read_samples(tmp_path, "x")
    exported = [
        {"item_id": "bench_x/0", "response": "fi go", "answer": {"loglikelihoods": None}},
        {"item_id": "bench_x/1", "response": "", "answer": {"loglikelihoods": [-1.5, -2.0]}},
    ]
    answers = answers_of([[one | {"settings": {"experiment": "S-1"}} for one in exported]])
    assert count_equal(answers, read) == (2, 2)


# ------------------------------------------------------------------------ studies and tables


def test_the_studies_of_the_benches_are_valid(tmp_path):
    sources = dict.fromkeys(("llm", "whisper", "beats", "checkpoint"), "absent")
    for content, experiments in (
        (harness.content(tmp_path, "choice"), 5),
        (ragged.content(tmp_path), 1),
        (sweep.content(tmp_path, sources, 4), 5),
        (reporting.content(3), 3),
    ):
        assert len(parse_study(content, "bench").experiments) == experiments


def test_growth_is_1_where_cost_is_in_proportion(tmp_path):
    costs = {("plan", size): (cost(size / 100), cost(1)) for size in (1000, 5000)}
    costs |= {("dry-run", size): (cost(size**2), cost(1)) for size in (1000, 5000)}
    plan, dry = planning.growth_rows(costs, (1000, 5000))
    assert (plan.ratio("cpu"), dry.ratio("cpu")) == (1, 5)
    planning.write_sweep(tmp_path, 10)
    study = yaml.safe_load((tmp_path / "study.yaml").read_text())
    assert len(parse_study(study, "study.yaml").experiments) == 10


def test_bare_rules_have_nothing_to_do_when_finished(tmp_path):
    planning.write_bare(tmp_path, 3)
    planning.finish_bare(tmp_path)
    done = subprocess.run(
        [planning.BIN / "snakemake", "-n"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Nothing to be done" in done.stdout + done.stderr


def test_pandas_counts_what_is_right(tmp_path):
    import pandas as pd

    for name, right in (("SF-0", 1), ("SF-1", 3)):
        folder = tmp_path / "experiments" / name / "digest"
        folder.mkdir(parents=True)
        flags = {"correct": [place < right for place in range(4)], "category": "c"}
        scores = pd.DataFrame({"item_id": [*"abcd"], **flags})
        scores.to_parquet(folder / "scores-digest.parquet")
    found = by_pandas.table(tmp_path)
    assert [*found["accuracy"]] == [25, 75]
    assert found["p_value"][1] == 0.5  # two items gained, none lost


def test_a_piece_of_work_costs_its_median():
    spent = products.measured(lambda: torch.ones(400, 400) @ torch.ones(400, 400))
    assert 0 < spent.cpu < products.LEAST
    assert products.less(cost(3), cost(1)) == Spent(2, 4, 0)
