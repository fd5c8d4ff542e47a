"""Aggregate the scores of a study into its table, its charts and its manifest."""

import argparse
import shutil
from functools import partial
from pathlib import Path

import pandas as pd

from lorascope.planning.checks import check_code
from lorascope.planning.report import (
    AGREEMENT,
    AUDITS,
    CRATE,
    LIKELIHOODS,
    LOSS,
    MANIFEST,
    PARTIAL,
    RETENTION,
    TABLE,
    ReportJob,
)
from lorascope.reporting import (
    baselines,
    comparison,
    latex,
    outcomes,
    page,
    plots,
    sections,
    surroundings,
    tables,
    verdicts,
)
from lorascope.reporting.agreement import agreement_table
from lorascope.reporting.audits import audits_table
from lorascope.reporting.columns import with_settings
from lorascope.reporting.drawn import Drawn, drawn
from lorascope.reporting.gathered import Gathered, gather
from lorascope.reporting.heat_map import heat_map
from lorascope.reporting.likelihoods import likelihood_table
from lorascope.reporting.loss import loss_chart
from lorascope.reporting.means import accuracies_with_means, intervals_with_means
from lorascope.reporting.pivot import Sources
from lorascope.reporting.shown import shown
from lorascope.reporting.significance import marks_of
from lorascope.stages.command import leave, log, parser, run
from lorascope.storage.records import file_sha256, write_document, write_text


def work(job: ReportJob, arguments: argparse.Namespace) -> None:
    """Write the tables, the charts, the page and, last, the manifest."""
    check_code(job)
    folder = arguments.out.parent
    for older in [*folder.glob("manifest-*.json"), folder / CRATE]:
        older.unlink(missing_ok=True)
    found = gather(job)
    for note in surroundings.notes(found.environments):
        log.warning("%s", note)
    made = _tables(found, folder)
    charts = drawn(job.rows, found.scored, found.levels)
    _draw(found, charts, folder)
    marks = marks_of(made["comparison.csv"])
    pivoted = Sources(found.scored, found.levels, marks, charts.lines, found.newest_runs)
    write_text(folder / TABLE, latex.table(found.title, found.planned["study"], pivoted))
    notes = [*sections.notes(found)]
    parts = sections.sections(found, made, pivoted, folder)
    write_text(folder / "accuracy.md", page.page(found.planned, found.title, notes, parts))
    manifest = {
        "fingerprint": found.planned,
        "rows": [vars(row) for row in job.rows],
        "ran": found.environments,
        "sources": found.commits,
        "shown": shown(found, charts, notes),
        "files": {n: file_sha256(folder / n) for n in job.files if (folder / n).exists()},
    }
    write_document(arguments.out, MANIFEST, job.digest, manifest)
    if not job.missing:
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    log.info("%s", folder / "accuracy.md")


def _tables(found: Gathered, folder: Path) -> dict[str, pd.DataFrame]:
    """Write the tables; return them by the names of their files, those of other studies too."""
    scored, newest, compared = found.scored, found.newest_runs, found.planned["compared"]
    partly, of_levels = bool(found.job.missing), baselines.values_of(found.levels)
    experiments = {name: group["experiments"] for group in compared for name in group["of"]}
    accuracy = tables.accuracy_table(scored, of_levels, newest, partly)
    counts = baselines.published_counts(compared)
    comparisons = comparison.comparison_table(scored, experiments, newest, counts, partly)
    named = any(group["model"] for group in compared)
    accuracy, comparisons = (
        with_settings(baselines.with_baselines(table, scored, found.levels, named), scored)
        for table in (accuracy, comparisons)
    )
    retained = verdicts.retention_table(scored, found.planned["retain"])
    made = {
        "accuracy.csv": accuracies_with_means(accuracy, scored, of_levels),
        "comparison.csv": intervals_with_means(comparisons, scored),
        "outcomes.csv": with_settings(outcomes.outcome_table(scored), scored),
        RETENTION: with_settings(retained, scored, category="metric"),
        LIKELIHOODS: with_settings(likelihood_table(scored), scored),
        AGREEMENT: with_settings(agreement_table(scored), scored),
    }
    for name in made:
        if name in found.job.files:
            tables.write_csv(made[name], folder / name)
    return made


def _draw(found: Gathered, charts: Drawn, folder: Path) -> None:
    """Draw what was measured, how trainings went, and what adapters change, in their table too."""
    over = partial(plots.accuracy_chart, axis=charts.axis)
    draw = over if charts.swept else plots.accuracy_bars
    draw(
        charts.points,
        charts.levels,
        charts.chance,
        found.title,
        folder / "accuracy.svg",
        folder / "accuracy.png",
        mean=all(one.counts_items_once for one in found.scored),
        measures=found.measures,
    )
    if found.trainings:
        svg, png = (folder / name for name in LOSS)
        loss_chart(found.trainings, f"{found.title}: training", svg, png)
    if found.audits:
        table, svg, png = (folder / name for name in AUDITS)
        tables.write_csv(audits_table(found.audits), table)
        heat_map(found.audits, f"{found.title}: what the adapters change", svg, png)


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.report", __doc__), ReportJob, work)


if __name__ == "__main__":
    leave(main())
