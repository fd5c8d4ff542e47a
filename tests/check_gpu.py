"""What the stages do on a GPU: speed against what the card allows, and whether answers stay.

Run it with ``make check-gpu``: on one GPU of 80 GB at most 8 minutes, without a network. It makes
random models of the shapes of Llama-3-8B and SALMONN-7B, runs studies of them stage by stage, and
prints what came out, each job as it ends. As in a real run the infer jobs of a study know of each
other, so that one loads its model and answers for all; in one run in float32 each works alone.
Without a GPU it does the same with small shapes, which says that it works and nothing about speed.
Ends with 1 where answers in float32 differ.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import soundfile
import torch
import yaml

from lorascope.planning.asked import Run
from lorascope.planning.plan import load_plan
from lorascope.planning.stage import PlannedJob, job_file
from lorascope.storage.records import write_text
from tests.support.jobs import arguments
from tests.support.random_models import SHAPES, write_salmonn, write_text_model
from tests.support.small_study import run_stage, server

BATCHES, SCALINGS, MAIN = (1, 5, 16, 64), (0, 1, 2, 3, 4), 16
HALF = ("bfloat16", "float16")
ANSWERS = ("tokens", "response", "finish_reason")
CHOICE = ("cat", "dog", "horse", "cow")


@dataclass(frozen=True)
class Card:
    """The device, and what it does at most: measured by a copy and by a product of matrices."""

    device: str
    name: str
    bytes_per_second: float
    operations_per_second: float


@dataclass
class Check:
    """A folder to work in, the card, and what was found wrong."""

    folder: Path
    card: Card
    items: int
    new_tokens: int
    models: Path | None = None
    """Where models of another run lie, and are left for the next."""
    watch: "Watch | None" = None
    broken: list[str] = field(default_factory=list)


def measure_card() -> Card:
    """Measure the GPU, or the CPU where there is none."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype, size = (torch.bfloat16, 8192) if device == "cuda" else (torch.float32, 768)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    source = torch.ones(2**28 if device == "cuda" else 2**24, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / fastest(lambda: target.copy_(source))
    multiplied = 2 * size**3 / fastest(lambda: a @ b)
    return Card(device, name, copied, multiplied)


def fastest(work: Callable[[], object], runs: int = 5) -> float:
    """Return the seconds that the fastest of some runs takes."""
    return min(timed(work) for _ in range(runs + 1))


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes on the device."""
    synchronise()
    start = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - start


def synchronise() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Watch:
    """The most memory of the GPU in use while something runs, and how busy it was; 0 without one.

    nvidia-smi says in which share of the last moments a kernel was at work.
    """

    def __init__(self) -> None:
        self.most, self.busy = 0, list[tuple[float, float]]()
        self._done = threading.Event()

    def __enter__(self) -> "Watch":
        self._threads = [threading.Thread(target=one) for one in (self._memory, self._business)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def share(self, start: float, end: float) -> float | None:
        """Return the mean of what was seen between two times of the clock."""
        seen = [share for when, share in self.busy if start <= when <= end]
        return float(np.mean(seen)) if seen else None

    def _memory(self) -> None:
        while not self._done.wait(0.25):
            if torch.cuda.is_available():
                free, whole = torch.cuda.mem_get_info()
                self.most = max(self.most, whole - free)

    def _business(self) -> None:
        asked = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._done.wait(0.5) and torch.cuda.is_available():
            try:
                said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=9)
                self.busy.append((time.time(), float(said.stdout.split()[0]) / 100))
            except (OSError, subprocess.SubprocessError, ValueError, IndexError):
                return


# ------------------------------------------------------------------------------- studies


def write_data(folder: Path, count: int, chunk: int) -> None:
    """Write questions of several lengths, options, and clips of several lengths."""
    noise = np.random.default_rng(0)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        words = " ".join(CHOICE[(i + j) % 4] for j in range(1 + 7 * i % 23))
        rows.append({"question": f"{i}: {words}?", "options": [*CHOICE], "right": CHOICE[i % 4]})
        rows[-1]["clip"] = f"{i}.wav"
        samples = int(16000 * chunk * (0.1 + 0.8 * (i * 7 % 11) / 11))
        wave = 0.1 * noise.standard_normal(samples).astype(np.float32)
        soundfile.write(folder / "clips" / f"{i}.wav", wave, 16000)
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def study(name: str, check: Check, **parts: Any) -> dict[str, Any]:
    """Return a study of the questions, which is about the models and experiments in ``parts``."""
    asked = {"benchmark": "table", "source": "rows.jsonl", "question": "{question}"}
    asked |= {"options": "options", "answer": "right", "answer_by": "text"}
    heard = asked | {"clip": "{clip}", "clips": "clips", "category": "heard"}
    used = {e["dataset"] for e in parts["experiments"]}
    datasets = {name: d for name, d in (("asked", asked), ("heard", heard)) if name in used}
    generation = {"max_new_tokens": check.new_tokens, "min_length": check.new_tokens}
    for one in parts["experiments"]:
        if one.get("mode") != "choose":
            one.setdefault("generation", generation)
    gpus = {"gpus_per_job": int(check.card.device == "cuda")}
    models = {name: model | gpus for name, model in parts.pop("models").items()}
    first = {(e["dataset"], e.get("mode")): e["id"] for e in reversed(parts["experiments"])}
    baseline = {"baseline": [*first.values()]}
    return {"study": name, "models": models, "datasets": datasets, **parts, **baseline}


def text(folder: str, dtype: str) -> dict[str, Any]:
    """Return a text model of a study."""
    return {"family": "hf_text", "model": f"{folder}/model", "dtype": dtype}


def salmonn(folder: str, dtype: str) -> dict[str, Any]:
    """Return a SALMONN of a study."""
    names = {"llm": "llm", "whisper": "whisper", "beats": "beats.pt", "checkpoint": "salmonn.pth"}
    files = {key: f"{folder}/{name}" for key, name in names.items()}
    return {"family": "salmonn", "dtype": dtype, **files}


def asked(model: str, dataset: str, prefix: str, **keys: Any) -> list[dict[str, Any]]:
    """Return experiments at every batch size, and at every scaling."""
    one = {"model": model, "dataset": dataset, **keys}
    batches = [{**one, "id": f"{prefix}-B{b}", "batch_size": b, "lora_scaling": 2} for b in BATCHES]
    scaled = [
        {**one, "id": f"{prefix}-S{s}", "batch_size": MAIN, "lora_scaling": s}
        for s in SCALINGS
        if s != 2
    ]
    return batches + scaled


def run(folder: Path, made: dict[str, Any], alone: bool = False) -> None:
    """Run the stages of a study up to its predictions, and print what each job took.

    alone: whether no infer job knows of the others.
    """
    with contextlib.chdir(folder):
        Path("study.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
        for stage in ("dataset", "finetune", "encode", "infer", "merge"):
            plan = load_plan(deepcopy(made), "study.yaml")
            jobs = [job for job in plan.left() if job.stage.name == stage]
            with contextlib.nullcontext() if alone else announced(jobs):
                for job in jobs:
                    start = time.perf_counter()
                    _run_job(job)
                    took = time.perf_counter() - start
                    if stage not in ("dataset", "merge"):
                        said(f"    {_name(job)}: {took:.1f} s from start to end")


@contextlib.contextmanager
def announced(jobs: Sequence[PlannedJob]) -> Iterator[None]:
    """Let infer jobs know of each other, as Snakemake's are told."""
    if problem := Run.announce(jobs, lambda job: 1):
        said(f"    {problem}")
    try:
        yield
    finally:
        Run.end()


def _name(job: PlannedJob) -> str:
    wildcards = {name: str(value) for name, value in job.wildcards.items()}
    place = wildcards.get("shard", wildcards.get("chunk", ""))
    named = wildcards.get("id") or job.out.parts[2]
    return f"{job.stage.name} {named}{f' {place}' if place else ''}"


def said(line: str) -> None:
    """Print a line that shows at once."""
    print(line, flush=True)


def _run_job(job: PlannedJob) -> None:
    told = job.told().json
    write_text(job_file(told), told)
    options = arguments(job, job_file(told), job.log, job.gpus)
    process = server().Process(target=run_stage, args=(job.stage.name, options, Path("stderr")))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(
            f"{Path('stderr').read_text()[-4000:]}\ncheck-gpu: {job.stage.name} of {job.out} failed"
        )


@dataclass(frozen=True)
class Result:
    """An experiment's answers by item, and how many seconds and tokens they took."""

    answers: dict[str, tuple[str, ...]]
    likelihoods: dict[str, list[float]]
    seconds: float
    read: int
    made: int
    end: float = 0.0


def results(folder: Path) -> dict[str, Result]:
    """Return ID -> what the predictions of a study say."""
    with contextlib.chdir(folder):
        plan = load_plan(yaml.safe_load(Path("study.yaml").read_text()), "study.yaml")
        return {name: _result(one) for name, one in plan.experiments.items()}


def _result(planned: Any) -> Result:
    rows = pq.read_table(planned.predictions).to_pylist()
    times = pq.read_table(planned.runtime)
    return Result(
        answers={row["item_id"]: tuple(json.dumps(row[key]) for key in ANSWERS) for row in rows},
        likelihoods={row["item_id"]: row.get("loglikelihoods") or [] for row in rows},
        seconds=sum(times["seconds"].to_pylist()),
        read=sum(row["prompt_tokens"] for row in rows),
        made=sum(row["response_tokens"] for row in rows),
        end=max(times["finished"].to_pylist()),
    )


# -------------------------------------------------------------------------------- checks


def equality(check: Check, shape: str) -> None:
    """Compare answers over batch sizes and shards: exactly in float32, by their rate in half."""
    data = check.folder / "equality"
    write_data(data, min(check.items, 32), SHAPES[shape].chunk)
    for kind in ("text", "salmonn"):
        written(check, kind, shape, data / kind)
    exact(check, data)
    rates(check, data)
    shutil.rmtree(data)


def written(check: Check, kind: str, shape: str, folder: Path) -> int:
    """Write a random model, or link to one that another run left; return its parameters."""
    write = {"text": write_text_model, "salmonn": write_salmonn}[kind]
    kept = check.models / f"{kind}-{shape}" if check.models else folder
    done = kept / "parameters"
    if not done.exists():
        kept.mkdir(parents=True)
        done.write_text(str(write(kept, SHAPES[shape], check.card.device)))
        if check.card.device == "cuda":
            torch.cuda.empty_cache()
    if kept != folder:
        folder.symlink_to(kept.resolve())
    return int(done.read_text())


def exact(check: Check, data: Path) -> None:
    """Note what differs in float32 between batch sizes and numbers of shards."""
    first = None
    # Experiments that differ in batch_size alone share their answers there: a run for each.
    for batch, shards in zip(BATCHES, cycle((1, 2, 3, 1)), strict=False):
        said(f"  float32, batch {batch}, shards {shards}:")
        found = _answered(check, data, ("float32",), (batch,), shards)
        first = first or found
        for name, other in zip(found, first.values(), strict=True):
            compare(check, f"{name} in shards of {shards}", found[name], other, must=True)


def rates(check: Check, data: Path) -> None:
    """Print how many answers differ between batch sizes in half precision."""
    said("  half precision:")
    found = _answered(check, data, HALF, BATCHES, 1)
    for name, result in found.items():
        kind, dtype, batch = name.split("-")
        if batch != "1":
            compare(check, name, result, found[f"{kind}-{dtype}-1"], must=False)


def _answered(
    check: Check, data: Path, dtypes: Sequence[str], batches: Sequence[int], shards: int
) -> dict[str, Result]:
    """Return the answers (T: to texts, A: about clips) and choices (C) of a run of its own."""
    experiments = []
    for dtype, batch in product(dtypes, batches):
        one = {"batch_size": batch, "lora_scaling": 2}
        on_text = one | {"model": f"text-{dtype}", "adapter": f"lora-{dtype}", "dataset": "asked"}
        on_clips = one | {"model": f"salmonn-{dtype}", "dataset": "heard"}
        for kind, keys in (("T", on_text), ("C", on_text | {"mode": "choose"}), ("A", on_clips)):
            experiments.append({"id": f"{kind}-{dtype}-{batch}", **keys})
    models = {f"text-{dtype}": text("text", dtype) for dtype in dtypes}
    models |= {f"salmonn-{dtype}": salmonn("salmonn", dtype) for dtype in dtypes}
    adapters = {
        f"lora-{dtype}": {"model": f"text-{dtype}", "source": "text/adapter"} for dtype in dtypes
    }
    made = study("equality", check, models=models, adapters=adapters, experiments=experiments,
                 shards=shards)  # fmt: skip
    made["datasets"]["heard"]["encode_jobs"] = shards
    shutil.rmtree(data / "results", ignore_errors=True)
    run(data, made, alone=shards == 2)
    return results(data)


def compare(check: Check, what: str, one: Result, other: Result, must: bool) -> None:
    """Print how many answers differ; note it where none may, nor likelihoods beyond rounding."""
    differ = sum(
        one.answers[item] != answer
        or (must and not np.allclose(one.likelihoods[item], other.likelihoods[item], atol=1e-3))
        for item, answer in other.answers.items()
    )
    said(f"  {what}: {differ} of {len(other.answers)} answers differ")
    if differ and must:
        check.broken.append(f"{what}: {differ} answers differ")


def speed(check: Check, kind: str, shape: str) -> None:
    """Run one of the large models and print how fast its stages are."""
    data = check.folder / kind
    write_data(data, check.items, SHAPES[shape].chunk)
    start = time.perf_counter()
    parameters = written(check, kind, shape, data / "model")
    said(f"  written in {time.perf_counter() - start:.0f} s: {parameters / 1e9:.3g}G parameters")
    made = _text_study(check) if kind == "text" else _salmonn_study(check)
    start = time.perf_counter()
    with Watch() as check.watch:
        run(data, made)
    most = f", at most {check.watch.most / 2**30:.1f} GiB of the GPU" if check.watch.most else ""
    said(f"  all jobs took {time.perf_counter() - start:.0f} s{most}")
    found = results(data)
    for name, result in found.items():
        report(check, name, result, parameters)
    prefix = kind[0].upper()
    for batch in BATCHES[1:]:
        compare(check, f"{prefix}-B{batch}", found[f"{prefix}-B{batch}"], found[f"{prefix}-B1"],
                must=False)  # fmt: skip
    shutil.rmtree(data)


def _text_study(check: Check) -> dict[str, Any]:
    steps = {"steps": 3, "batch_size": 4, "sequence_length": 128, "precision": "bfloat16"}
    data = {"format": "table", "source": "rows.jsonl", "question": "{question}", "answer": "right"}
    trained = {"data": data, "rank": 8, "alpha": 16, "target_modules": ["q_proj", "v_proj"]}
    experiments = asked("m", "asked", "T", adapter="given")
    one = {"model": "m", "dataset": "asked", "batch_size": MAIN}
    experiments.append({**one, "id": "T-choose", "mode": "choose", "adapter": "given"})
    experiments.append({**one, "id": "T-trained", "adapter": "trained"})
    adapters = {
        "given": {"model": "m", "source": "model/adapter"},
        "trained": {"model": "m", "train": trained | steps},
    }
    models = {"m": text("model", "bfloat16")}
    return study("text", check, models=models, adapters=adapters, experiments=experiments)


def _salmonn_study(check: Check) -> dict[str, Any]:
    models = {"m": salmonn("model", "bfloat16")}
    return study("salmonn", check, models=models, experiments=asked("m", "heard", "S"))


def report(check: Check, name: str, result: Result, parameters: int) -> None:
    """Print the speed of an experiment, and which share of what the card allows it is."""
    batch = int(name.rpartition("B")[2]) if "-B" in name else MAIN
    items, card = len(result.answers), check.card
    # The weights are read once a step for all rows, and multiplied with every position once.
    steps = -(-items // batch) * (result.made // items + 1 if result.made else 1)
    reading = 2 * parameters * steps / card.bytes_per_second
    computing = 2 * parameters * (result.read + result.made) / card.operations_per_second
    line = (
        f"  {name}: {items / result.seconds:.3g} items/s, {result.made / result.seconds:.4g} "
        f"tokens/s, {1000 * result.seconds / steps:.3g} ms a step with what is read before, "
        f"{reading / result.seconds:.1%} of the time for reading the weights, "
        f"{computing / result.seconds:.1%} for computing with them at the card's full speed"
    )
    busy = check.watch and check.watch.share(result.end - result.seconds, result.end)
    said(line if busy is None else f"{line}, the GPU busy for {busy:.0%}")


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; return 1 where answers that may not differ do."""
    here = torch.cuda.is_available()
    options = argparse.ArgumentParser(prog="make check-gpu", description=__doc__)
    options.add_argument("--shapes", choices=[*SHAPES], default="large" if here else "small")
    options.add_argument("--folder", type=Path, help="where to work (default: below $TMPDIR)")
    options.add_argument("--models", type=Path, help="where models are taken from and left")
    options.add_argument("--items", type=int, default=64)
    options.add_argument("--new-tokens", type=int, default=16)
    given = options.parse_args(arguments)
    start = time.perf_counter()
    if not here:
        print(f"no GPU: {given.shapes} shapes on the CPU, whose speeds say nothing about a GPU's")
    card = measure_card()
    print(
        f"{card.name}: {card.bytes_per_second / 1e9:.4g} GB/s, "
        f"{card.operations_per_second / 1e12:.3g} TFLOP/s"
    )
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="check-gpu-") as folder:
        check = Check(Path(folder), card, given.items, given.new_tokens, given.models)
        for kind in ("text", "salmonn"):
            said(f"{kind}, {given.shapes}, bfloat16:")
            speed(check, kind, given.shapes)
        shape = "smallest" if given.shapes == "smallest" else "small"
        said(f"equality, {shape}, {time.perf_counter() - start:.0f} s so far:")
        equality(check, shape)
    print(f"{time.perf_counter() - start:.0f} s in all")
    for problem in check.broken:
        print(f"WRONG: {problem}")
    return int(bool(check.broken))


if __name__ == "__main__":
    sys.exit(main())
