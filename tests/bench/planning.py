"""Plan, dry-run and a run with nothing to do, of 10 to 5,000 experiments, against bare rules."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.bench.comparing import Row, say
from tests.bench.places import ENVIRONMENT, copy, lorascope, own, snakemake
from tests.bench.settings import Scale
from tests.bench.spending import Spent, spend
from tests.support.basics import ROOT
from tests.support.lab import BIN

SIZES = (10, 100, 1000, 5000)
BARE = """
IDS = glob_wildcards("asked/{id}.json").id

rule all:
    input: "results/report.md"

rule dataset:
    output: "results/items.parquet"
    shell: "touch {output}"

rule encode:
    input: "results/items.parquet"
    output: "results/features.safetensors"
    shell: "touch {output}"

rule infer:
    input: "asked/{id}.json", "results/items.parquet", "results/features.safetensors"
    output: "results/{id}/shard.parquet"
    shell: "touch {output}"

rule merge:
    input: "results/{id}/shard.parquet"
    output: "results/{id}/predictions.parquet"
    shell: "touch {output}"

rule score:
    input: "results/{id}/predictions.parquet", "results/items.parquet"
    output: "results/{id}/scores.parquet"
    shell: "touch {output}"

rule report:
    input: expand("results/{id}/scores.parquet", id=IDS)
    output: "results/report.md"
    shell: "touch {output}"
"""
Costs = dict[tuple[str, int], tuple[Spent, Spent]]
"""(Command, experiments) -> what it costs in lorascope, and in bare rules for the same jobs."""


def rows(scale: Scale) -> list[Row]:
    """Measure each command at each size, once, and how it grows from the last size but one."""
    costs: Costs = {}
    for size in SIZES:
        with TemporaryDirectory(prefix="lorascope-bench-") as folder:
            measure(Path(folder).resolve(), size, costs)
    return [*size_rows(costs), *growth_rows(costs, SIZES[-2:])]


def size_rows(costs: Costs) -> list[Row]:
    """Return a row for each command and size."""
    other = {"plan": "bare rules, snakemake -n"}
    return [
        Row(f"f: {command}, {size:,} experiments", [ours], other.get(command, "bare rules"), [bare])
        for (command, size), (ours, bare) in costs.items()
    ]


def growth_rows(costs: Costs, sizes: Sequence[int]) -> list[Row]:
    """Return a row for each command: how it grows between two sizes, 1 where linearly."""
    small, large = sizes
    return [
        Row(
            f"f: {command}, {large:,} experiments",
            [costs[command, large][0]],
            f"{large // small} times its cost of {small:,}",
            [costs[command, small][0]],
            bar=1.0,
            scale=large / small,
        )
        for command in dict.fromkeys(command for command, _ in costs)
    ]


def measure(folder: Path, size: int, costs: Costs) -> None:
    """Measure the commands for a study of so many experiments."""
    ours, bare = folder / "ours", folder / "bare"
    ours.mkdir()
    study = write_sweep(copy(ours), size)
    write_bare(bare, size)
    lorascope(ours, "plan", *study)  # which also finds the digests of sources and code
    dry = bare_snakemake(bare, "-n")
    _note(costs, ("plan", size), lorascope(ours, "plan", *study), dry)
    _note(costs, ("dry-run", size), snakemake(ours, "-n", *study), bare_snakemake(bare, "-n"))
    finish(ours)
    finish_bare(bare)
    _note(costs, ("nothing to do", size), snakemake(ours, *study), bare_snakemake(bare))


def _note(costs: Costs, key: tuple[str, int], ours: Spent, bare: Spent) -> None:
    costs[key] = ours, bare
    say(f"f: {key[0]} of {key[1]:,}: lorascope {ours.cpu:.2f} CPU-s, bare rules {bare.cpu:.2f}")


# ---------------------------------------------------------------------------------- lorascope


def write_sweep(folder: Path, size: int) -> tuple[str, str]:
    """Write the default study with so many scalings; return the option that names it."""
    study: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    experiment = study["experiments"][0]
    experiment |= {"id": "S-{lora_scaling}", "grid": {"lora_scaling": list(range(size))}}
    study |= {"experiments": [experiment], "baseline": "S-0"}
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return "--configfile", "study.yaml"


def finish(folder: Path) -> None:
    """Create, empty, what a run would leave."""
    command = [sys.executable, ROOT / "tests/support/left.py", "touch", "study.yaml"]
    spend(command, folder, own(folder))


# --------------------------------------------------------------------------------- bare rules


def write_bare(folder: Path, size: int) -> None:
    """Write rules without a package, and a file for each experiment that they are asked for."""
    (folder / "asked").mkdir(parents=True)
    (folder / "Snakefile").write_text(BARE, encoding="utf-8")
    for place in range(size):
        text = json.dumps({"lora_scaling": place})
        (folder / "asked" / f"S-{place}.json").write_text(text, encoding="utf-8")


def finish_bare(folder: Path) -> None:
    """Create, empty, what a run would leave, each file later than what it is made from."""
    results = folder / "results"
    names = [path.stem for path in (folder / "asked").iterdir()]
    begin = max(path.stat().st_mtime for path in (folder / "asked").iterdir())
    steps = [
        ["items.parquet"],
        ["features.safetensors"],
        *([f"{name}/{kind}.parquet" for name in names] for kind in ("shard", "predictions")),
        [f"{name}/scores.parquet" for name in names],
        ["report.md"],
    ]
    for step, files in enumerate(steps, 1):
        for file in files:
            path = results / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (begin + step, begin + step))


def bare_snakemake(folder: Path, *arguments: str) -> Spent:
    """Run Snakemake on the bare rules."""
    command = [BIN / "snakemake", "--cores", "1", "--nocolor", *arguments]
    return spend(command, folder, ENVIRONMENT)
