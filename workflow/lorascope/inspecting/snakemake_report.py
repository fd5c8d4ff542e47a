"""What Snakemake's own report shows of a study (``snakemake --report``), and what it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.planning.plan import Plan
from lorascope.planning.report import MANIFEST

HARMLESS = "looks, and changes nothing"

TABLES, CHARTS, PROVENANCE = "Tables", "Charts", "Provenance"
OPTION, DEFAULT = "--report", "report.html"
"""Snakemake's option, and the file that it stands for without a value."""


@dataclass(frozen=True)
class Shown:
    """Where a file stands in Snakemake's report: its heading, and what it is in a few words."""

    name: str
    category: str
    what: str

    @property
    def caption(self) -> str:
        """The caption's file, seen from the folder of the rules."""
        return f"../report/{self.name.replace('.', '_')}.rst"

    def flags(self, study: str) -> dict[str, Any]:
        """Return what Snakemake's ``report()`` is told about the file."""
        return {
            "caption": self.caption,
            "category": self.category,
            "subcategory": study,
            "labels": {"file": self.name, "shows": self.what},
        }


PAGE = Shown("page", "Item page", "every item, to click through")
SHOWN = {
    shown.name: shown
    for shown in (
        Shown("accuracy.csv", TABLES, "score of every experiment, by category"),
        Shown("comparison.csv", TABLES, "differences from the baseline, with intervals and tests"),
        Shown("outcomes.csv", TABLES, "what the replies were"),
        Shown("retention.csv", TABLES, "what is kept of a score, and verdicts"),
        Shown("likelihoods.csv", TABLES, "margins and calibration of chosen options"),
        Shown("choices.csv", TABLES, "what is chosen, and its score on other items"),
        Shown("search.csv", TABLES, "whom searches dropped, and by what score"),
        Shown("audits.csv", TABLES, "what adapters do to each module's weights"),
        Shown("nulls.csv", TABLES, "effects of adapters among those of their nulls"),
        Shown("null_draws.csv", TABLES, "each null that an adapter is set against"),
        Shown("mixes.csv", TABLES, "scores of sums of adapters by their weights"),
        Shown("profiles.csv", TABLES, "what scaling parts of the model does"),
        Shown("table.tex", TABLES, "the table for LaTeX"),
        Shown("accuracy.md", TABLES, "the whole report as text"),
        Shown("accuracy.svg", CHARTS, "scores by category, with intervals"),
        Shown("loss.svg", CHARTS, "loss of the trainings"),
        Shown("choices.svg", CHARTS, "scores of candidates, and what is chosen"),
        Shown("audits.svg", CHARTS, "what adapters change, by layer and module"),
        Shown("nulls.svg", CHARTS, "effects of adapters among those of their nulls"),
        Shown("mixes.svg", CHARTS, "scores over the weights of sums of adapters"),
        Shown("profiles.svg", CHARTS, "change of each category by profile"),
        Shown(MANIFEST, PROVENANCE, "settings, code, commits and hashes behind the tables"),
    )
}
UNSHOWN = (
    "accuracy.png",
    "loss.png",
    "audits.png",
    "nulls.png",
    "mixes.png",
    "profiles.png",
    "choices.png",
)
"""Files of a report that are the same as another one."""


def shown_as(path: Path) -> Shown | None:
    """Return how Snakemake's report shows a file of a study's report; None where it does not."""
    manifest = path.name.startswith(f"{MANIFEST}-")
    return SHOWN.get(MANIFEST if manifest else path.name)


def asked_report(arguments: Sequence[str]) -> str | None:
    """Return the file that ``--report`` names on Snakemake's command line; None if it is not there.

    A profile, or a program that calls Snakemake, may ask for one without it.
    """
    for place, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option == OPTION:
            following = arguments[place + 1] if place + 1 < len(arguments) else ""
            return value or (following if following and following[0] != "-" else DEFAULT)
    return None


def refuse_unmade_report(arguments: Sequence[str], plan: Plan, stage: str) -> None:
    """SystemExit where Snakemake's report is asked for, and the study's, or its page, is not made.

    ``stage`` is the one whose inputs are looked for. Without this, Snakemake says that a file which
    is marked for its report does not exist.
    """
    if stage != "report" or asked_report(arguments) is None:
        return
    if all(job.is_done for shown in (stage, PAGE.name) for job in plan.of_stage(shown)):
        return
    left = len(plan.left())
    raise SystemExit(
        f"{plan.study.file}: {OPTION} shows the report of a finished study, and {left} "
        f"{'job is' if left == 1 else 'jobs are'} left of this one; run snakemake first "
        "(make report tells what is done so far)"
    )


def page_folder(plan: Plan) -> Path:
    """Return the folder of the item page."""
    return plan.report.folder / PAGE.name


def page_is_shown(arguments: Sequence[str], plan: Plan) -> bool:
    """Return whether there is an up-to-date item page, and a report that can hold a folder.

    Snakemake puts folders into an archive alone, not into a single HTML file.
    """
    report = asked_report(arguments)
    made = (page_folder(plan) / "index.html").exists() and all(
        job.is_done for job in plan.of_stage(PAGE.name)
    )
    return made and not (report or "").endswith(".html")
