"""A sweep with a process a scaling that encodes each clip for each hop, against one study."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.comparing import Row, Side, compare
from tests.bench.places import copy, exported, opponent, read_answers, snakemake, write_study
from tests.bench.salmonn_files import write_clips, write_files
from tests.bench.settings import Scale
from tests.bench.spending import Spent

CLIPS, BATCH, NEW_TOKENS, SCALINGS = 6, 5, 20, (0, 1, 2, 3, 4)


def rows(scale: Scale) -> list[Row]:
    """Measure a sweep over five scalings."""
    with TemporaryDirectory(prefix="lorascope-bench-") as folder:
        made = Path(folder).resolve()
        sources = write_files(made / "models")
        write_clips(made / "data", CLIPS)
        processes = Side(
            "a process a scaling, clips encoded for each hop",
            partial(by_process, made),
            lambda there: {
                key: text
                for path in there.glob("*/answers.json")
                for key, text in read_answers(path).items()
            },
            lambda there: by_process(made, there, scalings=(1,), new_tokens=1),
        )
        what = f"e: SALMONN of 100M, {2 * CLIPS} questions at {len(SCALINGS)} scalings"
        return [compare(what, study(made, sources), processes, scale.runs, bar=0.25)]


def by_process(
    made: Path,
    folder: Path,
    scalings: tuple[float, ...] = SCALINGS,
    new_tokens: int = NEW_TOKENS,
) -> Spent:
    """Run a process for each scaling."""
    costs = []
    for scaling in scalings:
        there = folder / f"S-{scaling:g}"
        there.mkdir()
        costs.append(
            opponent(
                "one_scaling",
                there,
                models=made / "models",
                data=made / "data",
                scaling=scaling,
                batch_size=BATCH,
                new_tokens=new_tokens,
            )
        )
    return sum(costs[1:], costs[0])


def study(made: Path, sources: dict[str, str]) -> Side:
    """Return the side of lorascope."""

    def run(folder: Path, dry: bool = False) -> Spent:
        path = write_study(copy(folder), content(made, sources))
        return snakemake(folder, "--configfile", path, *["-n"] * dry)

    return Side("lorascope", run, exported, partial(run, dry=True))


def content(made: Path, sources: dict[str, str]) -> dict[str, Any]:
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
                "generation": {"max_new_tokens": NEW_TOKENS},
                "grid": {"lora_scaling": list(SCALINGS)},
            }
        ],
        "baseline": f"S-{SCALINGS[-1]}",
    }
