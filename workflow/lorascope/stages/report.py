"""Aggregate the scores of a study into its table, its charts and its manifest."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.stages.command import Job, check_code, log, parser, run

if TYPE_CHECKING:
    import pandas as pd

    from lorascope.reporting.scored import Scored

# What makes two lines of one chart; seeds and batch sizes do not.
SERIES_KEYS = ("model", "adapter", "dataset", "second_per_window", "second_stride", "generation")


def work(job: Job, arguments: argparse.Namespace) -> None:
    """Write the page, the tables, the charts and, last, the manifest."""
    from lorascope.records import write_json, write_text
    from lorascope.reporting import page

    check_code(job)
    recipe, folder = job["recipe"], arguments.out.parent
    for older in folder.glob("manifest-*.json"):
        older.unlink()
    scored, generation = _read(job["rows"])
    baseline, accuracy, retention = _tables(recipe, scored, folder, job["files"])
    title = recipe["report"]["title"] or recipe["study"]
    _draw_accuracy(job["rows"], scored, baseline, title, folder)
    if "loss.svg" in job["files"]:
        _draw_loss(job["adapters"], title, folder)
    environments = _environments(job["rows"])
    sections = [
        page.retention_section(retention),
        page.generation_section(generation, scored),
        page.loss_section(bool(job["adapters"])),
    ]
    text = page.page(recipe, title, _notes(environments), sections, accuracy)
    write_text(folder / "accuracy.md", text)
    write_json(
        arguments.out,
        {"digest": job["digest"], "recipe": recipe, "rows": job["rows"], "ran": environments},
    )
    log.info("%s", folder / "accuracy.md")


def _read(rows: Sequence[Mapping[str, Any]]) -> "tuple[list[Scored], dict[str, str]]":
    """Return the scored runs, and experiment -> JSON of its effective generation settings."""
    from lorascope.records import read_table, table_note
    from lorascope.reporting.scored import Scored

    scored, generation = [], {}
    for row in rows:
        table = read_table(row["scores"], "scores", row["digest"])
        note = table_note(table)
        generation[row["id"]] = note["generation"]
        scored.append(
            Scored(
                experiment=row["id"],
                base=row["base"],
                run_num=row["run"],
                lora_scaling=note["lora_scaling"],
                in_table=row["table"],
                dataset=row["settings"]["dataset"],
                scores=table.to_pandas(),
            )
        )
    return scored, generation


def _tables(
    recipe: Mapping[str, Any], scored: "Sequence[Scored]", folder: Path, files: Sequence[str]
) -> "tuple[dict[str, float], pd.DataFrame, pd.DataFrame]":
    """Write the tables; return the baseline in percent, the accuracy and the retention table."""
    from lorascope.reporting import comparison, tables, verdicts

    named, newest = recipe["baseline"], recipe["report"]["newest_runs"]
    experiments = [] if isinstance(named, Mapping) else [named] if isinstance(named, str) else named
    baseline = tables.baseline_accuracies(scored, experiments) if experiments else named
    accuracy = tables.accuracy_table(scored, baseline, newest)
    retention = verdicts.retention_table(scored, recipe["retain"])
    tables.write_csv(accuracy, folder / "accuracy.csv")
    tables.write_csv(
        comparison.comparison_table(scored, experiments, newest), folder / "comparison.csv"
    )
    if "retention.csv" in files:
        tables.write_csv(retention, folder / "retention.csv")
    return {category: float(value) for category, value in baseline.items()}, accuracy, retention


def _draw_accuracy(
    rows: Sequence[Mapping[str, Any]],
    scored: "Sequence[Scored]",
    baseline: Mapping[str, float],
    title: str,
    folder: Path,
) -> None:
    """Draw accuracy against scaling where one is swept, by experiment otherwise."""
    from lorascope.reporting import plots, tables

    series = _series(rows, scored)
    points = tables.chart_points(scored).assign(series=lambda p: p["experiment"].map(series))
    swept = points.groupby("series")["lora_scaling"].nunique().max() > 1
    draw = plots.accuracy_chart if swept else plots.accuracy_bars
    draw(
        points,
        baseline,
        _chance(scored),
        title,
        folder / "accuracy.svg",
        folder / "accuracy.png",
        mean=all(one.counts_items_once for one in scored),
    )


def _draw_loss(adapters: Sequence[Mapping[str, Any]], title: str, folder: Path) -> None:
    """Draw the training loss of the adapters that the study trains."""
    from lorascope.records import read_table
    from lorascope.reporting.loss import loss_chart

    trainings = {
        adapter["name"]: read_table(
            adapter["training"], "training", adapter["digest"], ["step", "loss"]
        ).to_pandas()
        for adapter in adapters
    }
    loss_chart(trainings, f"{title}: training", folder / "loss.svg", folder / "loss.png")


def _series(rows: Sequence[Mapping[str, Any]], scored: "Sequence[Scored]") -> dict[str, str]:
    """Return ID -> the line the experiment belongs to, named by the settings that differ.

    Only what differs between experiments with a category in common tells lines of a panel apart:
    two benchmarks, and how each is answered, do not.
    """
    labels = {row["id"]: [_label(key, row["settings"][key]) for key in SERIES_KEYS] for row in rows}
    panels: dict[str, list[list[str]]] = {}
    for one in scored:
        for category in one.rows:
            panels.setdefault(category, []).append(labels[one.experiment])
    differing = {
        i
        for lines in panels.values()
        for i, distinct in enumerate(zip(*lines, strict=True))
        if len(set(distinct)) > 1
    }
    return {
        identifier: ", ".join(label[i] for i in sorted(differing))
        for identifier, label in labels.items()
    }


def _label(key: str, value: Any) -> str:
    from lorascope.identity import canonical

    return f"no {key}" if value is None else f"{key} {canonical(value).strip(chr(34))}"


def _chance(scored: "Sequence[Scored]") -> dict[str, float]:
    """Return the accuracy in percent of guessing among the options, by category."""
    import pandas as pd

    from lorascope.reporting.verdicts import chance_level

    options = pd.concat([run.scores for run in scored]).groupby("category")["options"]
    levels = {category: chance_level(counts.to_numpy()) for category, counts in options}
    return {category: 100 * level for category, level in levels.items() if level is not None}


def _environments(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each distinct device, precision and set of versions the answers came from."""
    from lorascope.records import read_table

    found = set()
    for row in rows:
        table = read_table(row["runtime"], "runtime", row["predictions"], ["environment"])
        found |= set(table["environment"].unique().to_pylist())
    environments = [json.loads(text) for text in sorted(found)]
    return list({_kind(environment): environment for environment in environments}.values())


def _kind(environment: Mapping[str, Any]) -> str:
    return json.dumps(
        {k: v for k, v in environment.items() if k not in ("host", "gpus")}, sort_keys=True
    )


def _notes(environments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Warn where the rows that the report compares did not come from the same surroundings."""
    notes = []
    for key in ("device", "dtype", "python", "versions"):
        values = sorted({json.dumps(environment[key]) for environment in environments})
        if len(values) > 1:
            notes.append(f"Rows differ in {key}: {', '.join(values)}.")
            log.warning("%s", notes[-1])
    return notes


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.report", __doc__), work)


if __name__ == "__main__":
    sys.exit(main())
