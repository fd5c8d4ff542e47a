"""The default study, from nothing to its report, against one loop that gives the same answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.comparing import Row, Side, compare
from tests.bench.places import copy, exported, opponent, read_answers, snakemake
from tests.bench.settings import Scale
from tests.support.basics import ROOT

TEXT_STUDY = "studies/tiny-llama-forgetting.yaml"
LOOP = {
    "models": ROOT / "resources/tiny-salmonn",
    "data": ROOT / "resources/mini-sakura",
    "scalings": "0,1,2,3,4,8",
    "batch_size": 64,
    "new_tokens": 20,
}


def rows(scale: Scale) -> list[Row]:
    """Measure the default study, and with a BASE both studies against that revision."""
    loop = Side(
        "one bare loop, no report",
        lambda folder: opponent("one_loop", folder, **LOOP),
        lambda folder: by_experiment(read_answers(folder / "answers.json")),
        lambda folder: opponent("one_loop", folder, **LOOP, limit=2),
    )
    what = "a: default study, 3,120 answers and report"
    found = [compare(what, study("config.yaml"), loop, scale.runs, bar=2.5)]
    if scale.base:
        for name in ("config.yaml", TEXT_STUDY):
            older = study(name, scale.base)
            bar = 0.4 if name == TEXT_STUDY else None
            found.append(compare(f"a: {Path(name).stem}", study(name), older, scale.runs, bar))
    return found


def study(name: str, revision: str | None = None) -> Side:
    """Return the side that runs a study of the repository from nothing to its report."""

    def work(folder: Path) -> Any:
        return snakemake(copy(folder, revision), "--configfile", name)

    def warm(folder: Path) -> None:
        snakemake(copy(folder, revision), "-n", "--configfile", name)

    label = "lorascope" if revision is None else f"revision {revision}"
    return Side(label, work, lambda folder: exported(folder, name), warm)


def by_experiment(answers: Mapping[str, str]) -> dict[str, str]:
    """Return answers by scaling under the experiments' IDs."""
    return {f"SKR-LoRA-SF-{key.replace(' ', '-B64 ', 1)}": text for key, text in answers.items()}
