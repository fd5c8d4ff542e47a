"""The page of a report, accuracy.md: section by section, the table of accuracies last."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import markdown

_MEASURES = ("f1", "em")


def page(
    recipe: Mapping[str, Any],
    title: str,
    notes: Iterable[str],
    sections: Iterable[str],
    table: pd.DataFrame,
) -> str:
    """Return the page: title, description, chart, notes, the other sections, the table."""
    parts = [
        f"# {title}",
        recipe["description"],
        "![accuracy against LoRA scaling, by category](accuracy.svg)",
        *(f"**Warning.** {note}" for note in notes),
        *sections,
        "## Accuracy",
        f"Accuracy in percent of all items; accuracy_delta in percentage points against "
        f"{_against(recipe['baseline'])}. Intervals and paired tests are in comparison.csv.",
        markdown(table),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def retention_section(table: pd.DataFrame) -> str:
    """Return the retention table with what its verdicts mean; nothing without a row."""
    if table.empty:
        return ""
    asked = table[["of", "metric", "at_least", "confidence"]].drop_duplicates()
    rules = [
        f"Of {row.of}'s {row.metric}, {100 * row.at_least:g} % are to be kept: *pass* if the "
        f"one-sided {100 * row.confidence:g} % lower bound of the retention on the same items is "
        f"at least {row.at_least:g}, *fail* if the upper bound is below, otherwise *undecided*. "
        f"The point estimate alone would let {_passing(table, row)} pass."
        for row in asked.itertuples(index=False)
    ]
    shown = table.drop(columns=["confidence"])
    return "\n\n".join(["## Retention", *rules, *_nothing_to_keep(table), markdown(shown)])


def generation_section(generation: Mapping[str, str], scored: Sequence[Scored]) -> str:
    """Return the effective generation settings, each distinct set with its experiments.

    generation: experiment -> JSON of its settings. ``max_length`` follows from each prompt: sets
    that differ in nothing else are one, and the last item's is shown. Sets of experiments with
    F1 and EM stand open, above those figures; others are folded.
    """
    figures = {run.experiment: f1_em_lines(run) for run in scored}
    groups: dict[str, tuple[str, list[str]]] = {}
    for experiment, text in generation.items():
        settings = json.loads(text)
        key = json.dumps({k: v for k, v in settings.items() if k != "max_length"}, sort_keys=True)
        _, experiments = groups.setdefault(key, (_config(settings), []))
        experiments.append(experiment)
    parts = ["## Generation settings"]
    for config, experiments in groups.values():
        block = f"```\n{config}\n```"
        lines = [f"- {name}: {line}" for name in experiments for line in figures[name]]
        every = len(groups) == 1 and len(experiments) > 1
        names = "all experiments" if every else ", ".join(experiments)
        if lines:
            parts += [names, block, "\n".join(lines)]
        else:
            parts += [f"<details><summary>{names}</summary>", block, "</details>"]
    return "\n\n".join(parts)


def f1_em_lines(run: Scored) -> list[str]:
    """Return one line per pair of categories ``<name>-f1`` and ``<name>-em`` of a run."""
    lines = []
    for category in run.measured:
        name, _, measure = category.rpartition("-")
        pair = [run.measured.get(f"{name}-{of}") for of in _MEASURES]
        if measure == _MEASURES[0] and all(pair):
            f1, em = (float(found.accuracy) for found in pair)
            total = run.measured[category].total
            lines.append(f"F1 score: {f1}, Em score: {em}, total_count: {total}")
    return lines


def loss_section(adapters: Sequence[str]) -> str:
    """Return the link to the chart of the training loss; nothing without an adapter."""
    return "## Training loss\n\n![training loss by step](loss.svg)" if adapters else ""


def _against(baseline: str | Sequence[str] | Mapping[str, Any]) -> str:
    if isinstance(baseline, Mapping):
        return "the published table"
    return baseline if isinstance(baseline, str) else ", ".join(baseline)


def _passing(table: pd.DataFrame, asked: Any) -> str:
    """Return how many of the experiments of one rule the point estimate would pass."""
    of_rule = table
    for key in ("of", "metric", "at_least", "confidence"):
        of_rule = of_rule[of_rule[key] == getattr(asked, key)]
    return f"{(of_rule['point_verdict'] == 'pass').sum()} of {len(of_rule)}"


def _nothing_to_keep(table: pd.DataFrame) -> list[str]:
    """Explain undecided verdicts that no number of items would decide."""
    empty = table[table["retention"].isna()].drop_duplicates(["of", "metric"])
    return [
        f"{row.of} scores 0 in {row.metric}: there is nothing to keep."
        for row in empty.itertuples()
    ]


def _config(settings: Mapping[str, Any]) -> str:
    lines = ",\n".join(f"  {key!r}: {value!r}" for key, value in settings.items())
    return f"Generation Config is: {{\n{lines}\n}}"
