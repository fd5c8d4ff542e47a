"""Aggregate the scores of a study into its table, its charts and its manifest."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lorascope.identity.digests import canonical
from lorascope.planning.report import (
    LIKELIHOODS,
    LOSS,
    MANIFEST,
    PARTIAL,
    RETENTION,
    ReportAdapter,
    ReportJob,
    ReportRow,
)
from lorascope.reporting import (
    baselines,
    comparison,
    outcomes,
    page,
    plots,
    surroundings,
    tables,
    verdicts,
)
from lorascope.reporting.dates import dates_section
from lorascope.reporting.hearing import hearing_section
from lorascope.reporting.likelihoods import likelihood_section, likelihood_table
from lorascope.reporting.loss import loss_chart
from lorascope.reporting.measures import measures_section
from lorascope.reporting.scored import Scored, check_measures
from lorascope.scoring.item_score import Measure
from lorascope.stages.command import check_code, log, parser, run
from lorascope.storage.records import (
    file_sha256,
    read_table,
    table_note,
    write_document,
    write_text,
)
from lorascope.study.order import natural


def work(job: ReportJob, arguments: argparse.Namespace) -> None:
    """Write the page, the tables, the charts and, last, the manifest."""
    check_code(job)
    planned, folder = job.fingerprint, arguments.out.parent
    for older in folder.glob("manifest-*.json"):
        older.unlink()
    scored, generation = _read(job.rows)
    if job.missing:
        planned = _of_what_is_there(planned, scored)
    levels = baselines.levels_of(scored, planned["compared"])
    accuracy, retention = _tables(planned, scored, levels, folder, job)
    title = page.full_title(planned, job.missing)
    _draw_accuracy(job.rows, scored, levels, title, folder)
    ended = outcomes.outcome_table(scored)
    tables.write_csv(ended, folder / "outcomes.csv")
    likelihoods = likelihood_table(scored)
    if LIKELIHOODS in job.files:
        tables.write_csv(likelihoods, folder / LIKELIHOODS)
    if job.adapters:
        _draw_loss(job.adapters, title, folder)
    sidecars = [*_sidecars(job.rows)]
    environments = surroundings.environments(frame["environment"] for _, _, frame in sidecars)
    commits = surroundings.commits(environments)
    differing = surroundings.notes(environments)
    for note in differing:
        log.warning("%s", note)
    notes = [
        *page.scope_notes(planned, job.missing),
        *differing,
        *outcomes.outcome_warnings(scored),
    ]
    sections = [
        measures_section(_measures(scored).items()),
        page.sources_section(commits),
        page.retention_section(retention),
        hearing_section(sidecars),
        dates_section(sidecars),
        page.generation_section(generation, scored),
        page.loss_section(bool(job.adapters)),
        outcomes.outcome_section(ended),
        likelihood_section(likelihoods),
    ]
    scorers = {row.id: _scorer(row.settings["scorer"]) for row in job.rows}
    beside = baselines.remarks(scored, levels, planned["compared"], scorers)
    text = page.page(planned, title, notes, sections, accuracy, beside)
    write_text(folder / "accuracy.md", text)
    manifest = {
        "fingerprint": planned,
        "rows": [vars(row) for row in job.rows],
        "ran": environments,
        "sources": commits,
        "files": {n: file_sha256(folder / n) for n in job.files if (folder / n).exists()},
    }
    write_document(arguments.out, MANIFEST, job.digest, manifest)
    if not job.missing:
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    log.info("%s", folder / "accuracy.md")


def _scorer(written: str | Mapping[str, Any]) -> str:
    """Return a scorer's name, with its own keys where it has some."""
    if isinstance(written, str):
        return written
    keys = ", ".join(f"{key}: {value}" for key, value in written.items() if key != "name")
    return f"{written['name']} ({keys})"


def _read(rows: Sequence[ReportRow]) -> tuple[list[Scored], dict[str, str]]:
    """Return the scored runs, and experiment -> JSON of its effective generation settings."""
    scored, generation = [], {}
    for row in rows:
        table = read_table(row.scores, "scores", row.digest)
        note = table_note(table)
        generation[row.id] = _way(row, note["generation"])
        scored.append(
            Scored(
                experiment=row.id,
                base=row.base,
                run_num=row.run,
                lora_scaling=note["lora_scaling"],
                in_table=row.table,
                dataset=row.dataset,
                scores=table.to_pandas(),
                model=row.settings["model"],
                measures={c: Measure(**found) for c, found in note.get("measures", {}).items()},
            )
        )
    check_measures(scored)
    return scored, generation


def _way(row: ReportRow, generation: str) -> str:
    """Return JSON of how a run was answered: of its generation, or of a mode without one."""
    mode = row.settings.get("mode", "generate")
    if generation == "{}":
        loss = row.settings["loss"] if mode == "loss" else {}
        return json.dumps({page.MODE: mode or "task", **loss})
    return generation


def _of_what_is_there(planned: Mapping[str, Any], scored: Sequence[Scored]) -> dict[str, Any]:
    """Return what is planned without the comparisons with experiments that are missing."""
    there = {run.base for run in scored if run.run_num == 0}
    compared = [
        {**group, "experiments": [name for name in group["experiments"] if name in there]}
        for group in planned["compared"]
    ]
    retain = [entry for entry in planned["retain"] if entry["of"] in there]
    return {**planned, "compared": compared, "retain": retain}


def _tables(
    planned: Mapping[str, Any],
    scored: Sequence[Scored],
    levels: baselines.Levels,
    folder: Path,
    job: ReportJob,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the tables; return the accuracy and the retention table."""
    newest, compared = planned["report"]["newest_runs"], planned["compared"]
    partial = bool(job.missing)
    experiments = {name: group["experiments"] for group in compared for name in group["of"]}
    accuracy = tables.accuracy_table(scored, baselines.values_of(levels), newest, partial)
    counts = baselines.published_counts(compared)
    comparisons = comparison.comparison_table(scored, experiments, newest, counts, partial)
    named = any(group["model"] for group in compared)
    accuracy, comparisons = (
        baselines.with_baselines(table, scored, levels, named) for table in (accuracy, comparisons)
    )
    retention = verdicts.retention_table(scored, planned["retain"])
    tables.write_csv(accuracy, folder / "accuracy.csv")
    tables.write_csv(comparisons, folder / "comparison.csv")
    if RETENTION in job.files:
        tables.write_csv(retention, folder / RETENTION)
    return accuracy, retention


def _measures(scored: Iterable[Scored]) -> dict[str, Measure]:
    """Return what each category measures, in order of category."""
    found = {category: run.measure(category) for run in scored for category in run.rows}
    return {category: found[category] for category in sorted(found, key=natural)}


def _draw_accuracy(
    rows: Sequence[ReportRow],
    scored: Sequence[Scored],
    levels: baselines.Levels,
    title: str,
    folder: Path,
) -> None:
    """Draw accuracy against scaling where one is swept, by experiment otherwise."""
    series = _series(rows, scored)
    scalings = {(series[one.experiment], one.lora_scaling) for one in scored}
    swept = len(scalings) > len({name for name, _ in scalings})
    points = tables.chart_points(scored, series, swept)
    draw = plots.accuracy_chart if swept else plots.accuracy_bars
    draw(
        points,
        baselines.drawn_levels(scored, levels),
        _chance(scored),
        title,
        folder / "accuracy.svg",
        folder / "accuracy.png",
        mean=all(one.counts_items_once for one in scored),
        measures=_measures(scored),
    )


def _draw_loss(adapters: Sequence[ReportAdapter], title: str, folder: Path) -> None:
    """Draw the training loss of the adapters that the study trains."""
    trainings = {
        adapter.name: read_table(
            adapter.log, "training", adapter.digest, ["step", "loss"]
        ).to_pandas()
        for adapter in adapters
    }
    svg, png = (folder / name for name in LOSS)
    loss_chart(trainings, f"{title}: training", svg, png)


def _series(rows: Sequence[ReportRow], scored: Sequence[Scored]) -> dict[str, str]:
    """Return ID -> the line the experiment belongs to, named by the settings that differ.

    Only what differs between experiments with a category in common tells lines of a panel apart:
    two benchmarks, and how each is answered, do not.
    """
    keys = dict.fromkeys(key for row in rows for key in row.series)
    labels = {row.id: [_label(row, key) for key in keys] for row in rows}
    panels: dict[str, list[list[str]]] = {}
    for one in scored:
        for category in one.rows:
            panels.setdefault(category, []).append(labels[one.experiment])
    differing = {
        i
        for lines in panels.values()
        for i, distinct in enumerate(zip(*lines, strict=True))
        # A key that other families do not have tells them not apart: they differ in the model.
        if len(set(distinct) - {""}) > 1
    }
    return {
        identifier: ", ".join(label[i] for i in sorted(differing) if label[i])
        for identifier, label in labels.items()
    }


def _label(row: ReportRow, key: str) -> str:
    """Return a setting in words; "" for a key that the experiment's family does not have."""
    if key not in row.series:
        return ""
    value = row.series[key]
    return f"no {key}" if value is None else f"{key} {canonical(value).strip(chr(34))}"


def _chance(scored: Sequence[Scored]) -> dict[str, float]:
    """Return the accuracy in percent of guessing among the options, by category."""
    options = pd.concat([run.scores for run in scored]).groupby("category")["options"]
    levels = {
        str(category): verdicts.chance_level(counts.to_numpy())
        for category, counts in options
        if all(str(category) not in run.measures for run in scored)
    }
    return {category: 100 * level for category, level in levels.items() if level is not None}


def _sidecars(rows: Sequence[ReportRow]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield model, dataset and sidecar of each experiment."""
    for row in rows:
        runtime = read_table(row.runtime, "runtime", row.predictions)
        yield str(row.settings["model"]), row.dataset, runtime.to_pandas()


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.report", __doc__), ReportJob, work)


if __name__ == "__main__":
    sys.exit(main())
