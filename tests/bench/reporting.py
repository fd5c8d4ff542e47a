"""Report and page of 100 experiments with 4,000 items each, against pandas on the same scores."""

import csv
import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from tests.bench.comparing import Row, Side, compare, say
from tests.bench.places import copy, opponent, python, read_answers, snakemake, write_study
from tests.bench.settings import Scale
from tests.bench.spending import Spent
from tests.bench.wording import sentence, write_lines

EXPERIMENTS, ITEMS = 100, 4000
CATEGORIES = ("animal-single", "animal-multi", "emotion-single", "emotion-multi")
LETTERS = "abcd"
STUDY_NAME = "bench-report"


def rows(scale: Scale) -> list[Row]:
    """Measure report and page of made-up answers, which stages have scored."""
    with TemporaryDirectory(prefix="lorascope-bench-") as folder:
        made = Path(folder).resolve()
        study = make(made, EXPERIMENTS, ITEMS)
        return [compared(made, study, scale.runs, EXPERIMENTS, ITEMS)]


def compared(made: Path, study: Path, runs: int, experiments: int, items: int) -> Row:
    """Compare the accuracies of every experiment and category."""
    pandas = Side(
        "pandas: accuracies, intervals, McNemar, answers as JSON",
        lambda folder: opponent("by_pandas", folder, results=made / "results"),
        lambda folder: read_answers(folder / "answers.json"),
    )
    ours = Side(
        "lorascope",
        lambda folder: report(made, study),
        lambda folder: accuracies(made),
        lambda folder: snakemake(made, "-n", "--configfile", study),
    )
    return compare(f"h: report of {experiments} x {items:,}", ours, pandas, runs)


def report(made: Path, study: Path) -> Spent:
    """Make report and page anew from the scores that are there."""
    shutil.rmtree(made / "results/reports", ignore_errors=True)
    return snakemake(made, "--configfile", study)


def accuracies(made: Path) -> dict[str, float]:
    """Return "<experiment> <category>" -> percent right, of the report."""
    text = (made / "results/reports" / STUDY_NAME / "accuracy.csv").read_text(encoding="utf-8")
    return {
        f"{row['experiment']} {row['category']}": float(row["accuracy"])
        for row in csv.DictReader(text.splitlines())
        if row["category"] in CATEGORIES
    }


# ------------------------------------------------------------------------------------ made up


def make(made: Path, experiments: int, items: int) -> Path:
    """Write made-up answers, and let the stages of a copy take them over and score them."""
    path = write_study(copy(made), content(experiments))
    dice = random.Random(0)
    asked = [question(dice, place) for place in range(items)]
    write_lines(made / "items.jsonl", asked)
    for number in range(experiments):
        said = [answer(dice, one, number / experiments) for one in asked]
        write_lines(made / "said" / f"{number}.jsonl", said)
    say(f"h: {experiments} x {items:,} answers made up; scoring them")
    # In one process, which ends before anything is measured: one for each would take minutes.
    python(made, "-c", f"from tests.bench.reporting import finish; finish({experiments})")
    return path


def question(dice: random.Random, place: int) -> dict[str, Any]:
    """Return a question with four options."""
    return {
        "id": f"q{place}",
        "kind": CATEGORIES[place % len(CATEGORIES)],
        "question": sentence(dice, 20) + "?",
        "options": [sentence(dice, 2) for _ in LETTERS],
        "gold": dice.randrange(len(LETTERS)),
    }


def answer(dice: random.Random, asked: dict[str, Any], skill: float) -> dict[str, Any]:
    """Return an answer that is right the more often, the better who answers is."""
    place = asked["gold"] if dice.random() < skill else dice.randrange(len(LETTERS))
    text = f"({LETTERS[place]}) {asked['options'][place]}"
    return {"item_id": f"{asked['kind']}/{asked['id']}", "response": text}


def content(experiments: int) -> dict[str, Any]:
    """Return the study, of imported answers."""
    return {
        "study": STUDY_NAME,
        "datasets": {
            "made-up": {
                "benchmark": "table",
                "source": "items.jsonl",
                "id": "id",
                "question": "{question} {options}",
                "options": "options",
                "answer": "gold",
                "category": {"column": "kind"},
            }
        },
        "experiments": [
            {
                "id": "SF-{lora_scaling}",
                "model": "made-up",
                "adapter": "lora",
                "dataset": "made-up",
                "predictions": {"source": "said/{lora_scaling}.jsonl", "format": "jsonl"},
                "grid": {"lora_scaling": list(range(experiments))},
            }
        ],
        "baseline": "SF-0",
    }


def finish(experiments: int) -> None:
    """Run the stages up to the scores, in the current folder and in this process."""
    from tests.support.stagehand import Bench

    silent: Any = SimpleNamespace(readouterr=lambda: SimpleNamespace(err="its log says why"))
    Bench(content(experiments), silent).make("dataset", "importing", "score")
