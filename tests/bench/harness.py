"""lm-evaluation-harness, a process a scaling, against one study of the same task."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.bench.comparing import Row, Side, compare
from tests.bench.places import ENVIRONMENT, copy, exported, read_lines, snakemake, write_study
from tests.bench.settings import Scale
from tests.bench.spending import Spent, spend
from tests.bench.text_files import rescaled, write_llama, write_lora
from tests.bench.wording import sentence, write_lines
from tests.support.lab import BIN

ITEMS, BATCH, SCALINGS = 200, 16, (0.5, 1, 2, 4)
BASE = "base"
GENERATION = {"until": ["\n"], "do_sample": False, "max_gen_toks": 24}
TASKS: dict[str, dict[str, Any]] = {
    "generation": {
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": GENERATION,
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    },
    "choice": {
        "output_type": "multiple_choice",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{gold}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    },
}
BARS = {"generation": 0.5, "choice": 0.4}


def rows(scale: Scale) -> list[Row]:
    """Measure generation and multiple choice, each at the base and four scalings."""
    with TemporaryDirectory(prefix="lorascope-bench-") as folder:
        made = Path(folder).resolve()
        make(made)
        return [
            compare(
                f"b: {task}, {ITEMS} items at base and {len(SCALINGS)} scalings",
                study(made, task),
                five_processes(made, task),
                scale.runs,
                BARS[task],
            )
            for task in TASKS
        ]


def make(folder: Path, items: int = ITEMS, **sizes: int) -> None:
    """Write the model, its adapter at each scaling, and the tasks with their data."""
    base = write_llama(folder / "llama", steady=0.5, **sizes)
    adapter = write_lora(folder / "adapter", base)
    for scaling in SCALINGS:
        rescaled(adapter, folder / f"adapter-{scaling:g}", scaling)
    dice = random.Random(0)
    data = write_lines(folder / "data.jsonl", [row(dice) for _ in range(items)])
    for name, task in TASKS.items():
        own = {
            "task": f"bench_{name}",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "doc_to_text": "{{question}}",
            "target_delimiter": " ",
            "num_fewshot": 0,
            **task,
        }
        path = folder / "tasks" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(own), encoding="utf-8")


def row(dice: random.Random) -> dict[str, object]:
    """Return a question of 20 to 80 words with four options of one to three."""
    options = [sentence(dice, dice.randint(1, 3)) for _ in range(4)]
    gold = dice.randrange(4)
    question = sentence(dice, dice.randint(20, 80))
    return {"question": question, "options": options, "gold": gold, "answer": options[gold]}


# ------------------------------------------------------------------------------------ lm-eval


def five_processes(made: Path, task: str) -> Side:
    """Return the side of lm-eval: a process for the base and for each scaling."""
    answers: Callable[[Path], Mapping[str, Any]] = partial(read_samples, task=task)
    adapters = {BASE: None} | {f"S-{s:g}": made / f"adapter-{s:g}" for s in SCALINGS}

    def work(folder: Path) -> Spent:
        costs = [lm_eval(made, task, folder / name, adapter) for name, adapter in adapters.items()]
        return sum(costs[1:], costs[0])

    def warm(folder: Path) -> None:
        lm_eval(made, task, folder, adapters["S-1"], limit=2)

    return Side("lm-eval, 5 processes", work, answers, warm)


def lm_eval(
    made: Path, task: str, out: Path, adapter: Path | None, limit: int | None = None
) -> Spent:
    """Run lm-eval once."""
    out.mkdir(exist_ok=True)
    named = f"pretrained={made / 'llama'},dtype=float32"
    command = [
        *(BIN / "lm_eval", "--model", "hf", "--device", "cpu", "--batch_size", BATCH),
        *("--model_args", named if adapter is None else f"{named},peft={adapter}"),
        *("--tasks", f"bench_{task}", "--include_path", made / "tasks"),
        *("--log_samples", "--output_path", out),
        *(() if limit is None else ("--limit", limit)),
    ]
    # Its copies of the data, as from the first run on.
    caches = {"HF_HOME": str(made / "cache"), "HF_DATASETS_OFFLINE": "1"}
    return spend(command, out, ENVIRONMENT | caches)


def read_samples(folder: Path, task: str) -> dict[str, Any]:
    """Return "<experiment> <item>" -> response, or log-likelihoods, of lm-eval's samples."""
    return {
        f"{experiment} bench_{task}/{one['doc_id']}": answer_of(one)
        for path in folder.rglob("samples_*.jsonl")
        for experiment in [path.relative_to(folder).parts[0]]
        for one in read_lines(path)
    }


def answer_of(sample: Mapping[str, Any]) -> Any:
    """Return what lm-eval's model said, or the log-likelihood of each option."""
    if len(sample["resps"]) == 1:
        return sample["resps"][0][0]
    return [float(one[0][0]) for one in sample["resps"]]


# ---------------------------------------------------------------------------------- lorascope


def study(made: Path, task: str) -> Side:
    """Return the side of lorascope: one study of base and scalings."""

    def run(folder: Path, dry: bool = False) -> Spent:
        path = write_study(copy(folder), content(made, task))
        return snakemake(folder, "--configfile", path, *["-n"] * dry)

    return Side("lorascope", run, exported, partial(run, dry=True))


def content(made: Path, task: str) -> dict[str, Any]:
    """Return the study."""
    plain = {"model": "llama", "dataset": "own", "batch_size": BATCH}
    return {
        "study": f"bench-{task}",
        "models": {
            "llama": {"family": "hf_text", "model": str(made / "llama"), "dtype": "float32"}
        },
        "adapters": {"lora": {"model": "llama", "source": str(made / "adapter")}},
        "datasets": {
            "own": {
                "benchmark": "lm_eval",
                "task": f"bench_{task}",
                "include_path": str(made / "tasks"),
            }
        },
        "experiments": [
            {"id": BASE, **plain},
            {"id": "S-{lora_scaling}", "adapter": "lora", **plain}
            | {"grid": {"lora_scaling": list(SCALINGS)}},
        ],
        "baseline": BASE,
    }
