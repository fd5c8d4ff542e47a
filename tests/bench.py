"""What the design saves: ratios against a named alternative on the same work in the same run.

Run it with ``make bench``. CPU seconds of this machine mean little; the ratios are the result.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "resources/tiny-salmonn"
GENERATION = {
    "max_new_tokens": 20, "num_beams": 1, "do_sample": False, "min_length": 1, "temperature": 1.0,
    "top_p": 1.0, "top_k": 50, "repetition_penalty": 1.0, "length_penalty": 1.0,
}  # fmt: skip
SCALINGS = (0, 1, 2, 3, 4)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds that ``work`` takes, child processes included."""
    before = _cpu()
    work()
    return _cpu() - before


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def compare(what: str, ours: str, work: Callable, other: str, alternative: Callable) -> None:
    """Print how many times less CPU time ``work`` takes than ``alternative``."""
    work()  # warm-up
    fast, slow = cpu_seconds(work), cpu_seconds(alternative)
    print(f"{what}: {ours} {fast:.2f} s, {other} {slow:.2f} s, ratio {slow / fast:.1f}")


def bench_answers() -> None:
    """Compare shared features with encoding anew, large batches with single questions."""
    from transformers.utils.logging import disable_progress_bar

    from lorascope.benchmarks.audio import read_clip
    from lorascope.benchmarks.sakura.items import build_items
    from lorascope.models.salmonn import answerer as answering
    from lorascope.models.salmonn import encoder as encoding
    from lorascope.study.parsing import parse_study

    disable_progress_bar()
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    study = parse_study(config, "config.yaml")
    (name, model), (dataset,) = *study.models.items(), study.datasets.values()
    keys = ("llm", "whisper", "beats", "checkpoint")
    sources = {key: str(ROOT / getattr(model, key)) for key in keys}
    experiment = next(e for e in study.experiments.values() if e.model == name)
    settings = {**model.model_dump(), **experiment.settings.model_dump(), **sources}
    root = ROOT / dataset.source
    items, _ = build_items(root, dataset.model_dump(), 8)
    encoder = encoding.load(settings, "cpu")
    answerer = answering.load(settings, "cpu", "float32", 4)

    def encode(batch: list) -> list:
        return encoder.encode([read_clip(root / item.clip) for item in batch])

    def sweep(once: bool) -> None:
        clips = {item.clip: item for item in items}
        shared = dict(zip(clips, encode(list(clips.values())), strict=True)) if once else {}
        for scaling in SCALINGS:
            answerer.set_scaling(scaling)
            features = [shared[i.clip] for i in items] if once else encode(items)
            answer(answerer, items, features, 32)

    compare(
        f"{len(items)} questions at {len(SCALINGS)} scalings",
        "each clip encoded once", lambda: sweep(True),
        "encoded for every question and scaling", lambda: sweep(False),
    )  # fmt: skip
    compare_batches("tiny-salmonn", answerer, items, encode(items))


def bench_text() -> None:
    """Compare large batches of a text model with single questions, and options read together."""
    from lorascope.benchmarks.squad.items import build_items
    from lorascope.models.hf_text.answerer import load
    from lorascope.study.parsing import parse_study

    path = ROOT / "studies/tiny-llama-forgetting.yaml"
    study = parse_study(yaml.safe_load(path.read_text()), path.name)
    dataset, (model,) = study.datasets["original"], study.models.values()
    settings = {**model.model_dump(), "model": str(ROOT / model.model)}
    items, _ = build_items(ROOT / dataset.source, dataset.model_dump(), 128)
    answerer = load(settings, "cpu", "float32", None, None)
    compare_batches("tiny-llama", answerer, items, [None] * len(items))
    answers = [f" {item.answer}" for item in items]
    options = [[answers[i - k] for k in range(4)] for i in range(len(items))]
    compare(
        f"likelihoods of {len(items)} questions' 4 options of tiny-llama",
        "each question read once", lambda: choose(answerer, items, options),
        "read with every option",
        lambda: [choose(answerer, items, [[o[k]] for o in options]) for k in range(4)],
    )  # fmt: skip


def choose(answerer: Any, items: list, options: list) -> None:
    """Read the options of the items in batches of 32."""
    for start in range(0, len(items), 32):
        questions = [item.question for item in items[start : start + 32]]
        answerer.choose(questions, [None] * len(questions), options[start : start + 32])


def compare_batches(name: str, answerer: Any, items: list, features: list) -> None:
    """Compare batches of 32 with single questions."""
    compare(
        f"{len(items)} answers of {name}",
        "batches of 32", lambda: answer(answerer, items, features, 32),
        "one by one", lambda: answer(answerer, items, features, 1),
    )  # fmt: skip


def answer(answerer: Any, items: list, features: list, size: int) -> list:
    """Answer the items in batches of ``size``."""
    from lorascope.models.batching import make_batches

    done = []
    for rows in make_batches([len(item.question) for item in items], size):
        done += answerer.answer(
            [items[i].question for i in rows], [features[i] for i in rows], GENERATION,
            [0] * len(rows),
        )  # fmt: skip
    return done


def bench_plan() -> None:
    """Compare the plan on one screen with Snakemake's dry-run of the same study."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    experiment = {**config["experiments"][0], "grid": {"lora_scaling": list(range(1000))}}
    config |= {"experiments": [experiment], "shards": 2}
    config["baseline"] = experiment["id"].format(lora_scaling=0, **experiment)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as study:
        yaml.safe_dump(config, study)
        study.flush()

        def run(*command: str) -> None:
            subprocess.run(
                [sys.executable, "-m", *command, "--configfile", study.name],
                cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

        compare(
            "plan of 1,000 experiments in 2 shards",
            "make plan", lambda: run("lorascope", "plan"),
            "snakemake -n", lambda: run("snakemake", "-n"),
        )  # fmt: skip


if __name__ == "__main__":
    bench_answers()
    bench_text()
    bench_plan()
