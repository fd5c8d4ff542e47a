"""Aggregate the scores of a study into its table, its charts and its manifest."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lorascope.stages.command import Job, check_code, log, parser, run

if TYPE_CHECKING:
    from lorascope.reporting.tables import Scored

# What makes two lines of one chart; seeds and batch sizes do not.
SERIES_KEYS = ("model", "dataset", "second_per_window", "second_stride", "generation")


def work(job: Job, arguments: argparse.Namespace) -> None:
    """Write accuracy.md, accuracy.csv, the charts, comparison.csv and, last, the manifest."""
    from lorascope.records import write_json, write_text
    from lorascope.reporting import plots, tables

    check_code(job)
    recipe, folder = job["recipe"], arguments.out.parent
    for older in folder.glob("manifest-*.json"):
        older.unlink()
    scored = [_scored(row) for row in job["rows"]]
    newest = recipe["report"]["newest_runs"]
    named = recipe["baseline"] if isinstance(recipe["baseline"], str) else None
    baseline = tables.baseline_accuracies(scored, named) if named else recipe["baseline"]
    accuracy = tables.accuracy_table(scored, baseline, newest)
    tables.write_csv(accuracy, folder / "accuracy.csv")
    tables.write_csv(tables.comparison_table(scored, named, newest), folder / "comparison.csv")
    levels = {category: float(value) for category, value in baseline.items()}
    series = _series(job["rows"])
    points = tables.chart_points(scored).assign(series=lambda p: p["experiment"].map(series))
    draw = plots.accuracy_chart if points["lora_scaling"].nunique() > 1 else plots.accuracy_bars
    title = recipe["report"]["title"] or recipe["study"]
    chance = _chance(scored)
    draw(points, levels, chance, title, folder / "accuracy.svg", folder / "accuracy.png")
    environments = _environments(job["rows"])
    text = _page(recipe, title, tables.markdown(accuracy), _notes(environments))
    write_text(folder / "accuracy.md", text)
    write_json(
        arguments.out,
        {"digest": job["digest"], "recipe": recipe, "rows": job["rows"], "ran": environments},
    )
    log.info("%s", folder / "accuracy.md")


def _scored(row: Mapping[str, Any]) -> "Scored":
    from lorascope.records import read_table, table_note
    from lorascope.reporting.tables import Scored

    table = read_table(row["scores"], "scores", row["digest"])
    return Scored(
        experiment=row["id"],
        base=row["base"],
        run_num=row["run"],
        lora_scaling=table_note(table)["lora_scaling"],
        in_table=row["table"],
        scores=table.to_pandas(),
    )


def _series(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return ID -> the line the experiment belongs to, named by the settings that differ."""
    from lorascope.identity import canonical

    values = {row["id"]: [canonical(row["settings"][key]) for key in SERIES_KEYS] for row in rows}
    differing = [
        i for i, distinct in enumerate(zip(*values.values(), strict=True)) if len(set(distinct)) > 1
    ]
    return {
        identifier: ", ".join(f"{SERIES_KEYS[i]} {value[i].strip(chr(34))}" for i in differing)
        for identifier, value in values.items()
    }


def _chance(scored: "Sequence[Scored]") -> dict[str, float]:
    """Return the accuracy in percent of guessing among the options, by category."""
    import pandas as pd

    options = pd.concat([run.scores for run in scored]).groupby("category")["options"]
    return options.agg(lambda counts: 100 * (1 / counts).mean()).to_dict()


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


def _page(recipe: Mapping[str, Any], title: str, table: str, notes: Sequence[str]) -> str:
    against = recipe["baseline"] if isinstance(recipe["baseline"], str) else "the published table"
    parts = [
        f"# {title}",
        recipe["description"],
        "![accuracy against LoRA scaling, by category](accuracy.svg)",
        f"Accuracy in percent of all items; accuracy_delta in percentage points against {against}. "
        "Intervals and paired tests are in comparison.csv.",
        *(f"**Warning.** {note}" for note in notes),
        table,
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.report", __doc__), work)


if __name__ == "__main__":
    sys.exit(main())
