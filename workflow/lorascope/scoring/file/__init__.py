"""The user's own scorer: a Python file with a function ``score_item(response, item)``."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from lorascope.scoring.file.reading import declared_metrics, local_modules
from lorascope.study.declarations import Scorer
from lorascope.study.settings import FilePath, ScorerSettings

HARMLESS = "declares; what decides a result lies in the functions that are named"


class FileSettings(ScorerSettings):
    """What a function of yours says: score_item(response, item), in a Python file.

    It returns True or False, a number from 0 to 1, a mapping of metrics to numbers, or a list of
    `lorascope.scoring.item_score.ItemScore`. The item has question, options, gold (the right
    letter), answers, and row (the row of the source it was made of, a mapping). In the modes choose
    and loss the response is a `lorascope.benchmarks.likelihoods.Likelihoods`.
    """

    file: FilePath = Field(
        description="The file, relative to the folder in which snakemake runs. It may import "
        "modules beside it; they count as its code, other files that it reads do not. METRICS = "
        '("length", "style") names its metrics where it returns a mapping; TITLE = "..." says what '
        "is measured, HIGHER_IS_BETTER = False that less is better, BOUNDED = False that the "
        "numbers are not parts of 1. `scorer: {file: mine.py}` needs no name."
    )


def _metrics(own: Mapping[str, Any]) -> tuple[str, ...] | None:
    return declared_metrics(Path(own["file"])) if "file" in own else None


def _modules(file: Path) -> Iterable[Path]:
    return local_modules(file).values()


SCORER = Scorer(
    judges=("options", "texts", "nothing", "task"),
    modes=("generate", "choose", "loss"),
    metrics=_metrics,
    score_item="lorascope.scoring.file.scorer:score_item",
    settings=FileSettings,
    shares=False,
    files=("file",),
    modules=_modules,
    undecided=("none", "multiple", "undecided"),
)
