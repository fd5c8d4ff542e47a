"""A sweep with a process a scaling that encodes each clip for each hop, against one study.

Answers are those of beam searches, as in the published evaluation of SALMONN, and greedy ones.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.comparing import Row, Side, compare
from tests.bench.places import copy, exported, opponent, read_answers, snakemake, write_study
from tests.bench.salmonn_files import write_clips, write_files
from tests.bench.settings import Scale
from tests.bench.spending import Spent

CLIPS, BATCH, NEW_TOKENS, SCALINGS = 10, 5, 20, (0, 1, 2, 3, 4)
BARS = {4: 0.25, 1: None}
"""Beams -> bar."""


def rows(scale: Scale) -> list[Row]:
    """Measure a sweep over five scalings."""
    with TemporaryDirectory(prefix="lorascope-bench-") as folder:
        made = Path(folder).resolve()
        sources = write_files(made / "models")
        write_clips(made / "data", CLIPS)
        return [
            compare(
                f"e: SALMONN of 100M, {2 * CLIPS} questions at {len(SCALINGS)} scalings, "
                + (f"{beams} beams" if beams > 1 else "greedy"),
                study(made, sources, beams),
                processes(made, beams),
                scale.runs,
                bar,
            )
            for beams, bar in BARS.items()
        ]


def processes(made: Path, beams: int) -> Side:
    """Return the side of a process for each scaling."""

    def work(
        folder: Path, scalings: tuple[float, ...] = SCALINGS, new_tokens: int = NEW_TOKENS
    ) -> Spent:
        costs = [one_scaling(made, folder, scaling, beams, new_tokens) for scaling in scalings]
        return sum(costs[1:], costs[0])

    def answers(folder: Path) -> dict[str, str]:
        paths = folder.glob("*/answers.json")
        return {key: text for path in paths for key, text in read_answers(path).items()}

    name = "a process a scaling, clips encoded for each hop"
    return Side(name, work, answers, partial(work, scalings=(1,), new_tokens=1))


def one_scaling(made: Path, folder: Path, scaling: float, beams: int, new_tokens: int) -> Spent:
    """Run a process for a scaling."""
    there = folder / f"S-{scaling:g}"
    there.mkdir()
    return opponent(
        "one_scaling",
        there,
        models=made / "models",
        data=made / "data",
        scaling=scaling,
        batch_size=BATCH,
        new_tokens=new_tokens,
        beams=beams,
    )


def study(made: Path, sources: dict[str, str], beams: int) -> Side:
    """Return the side of lorascope."""

    def run(folder: Path, dry: bool = False) -> Spent:
        path = write_study(copy(folder), content(made, sources, beams))
        return snakemake(folder, "--configfile", path, *["-n"] * dry)

    return Side("lorascope", run, exported, partial(run, dry=True))


def content(made: Path, sources: dict[str, str], beams: int) -> dict[str, Any]:
    """Return the study."""
    clips = {"benchmark": "sakura", "source": str(made / "data"), "tracks": ["animal"]}
    return {
        "study": "bench-sweep",
        "models": {"salmonn": {"family": "salmonn", "dtype": "float32", **sources}},
        "datasets": {"clips": clips},
        "experiments": [
            {
                "id": "S-{lora_scaling}",
                "model": "salmonn",
                "dataset": "clips",
                "batch_size": BATCH,
                "generation": {"max_new_tokens": NEW_TOKENS, "num_beams": beams},
                "grid": {"lora_scaling": list(SCALINGS)},
            }
        ],
        "baseline": f"S-{SCALINGS[-1]}",
    }
