"""The page of a report, accuracy.md: what to be warned of, the values, then all else."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, get_args

import pandas as pd

from lorascope.reporting.baselines import BASELINE
from lorascope.reporting.retention import Verdict
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import MEASURE_COLUMNS, markdown
from lorascope.scoring.item_score import UNJUDGED

_F1_EM = ("f1", "em")
MODE = "mode"
_MODES = {
    "choose": "Mode choose: nothing is generated, the option of the highest likelihood is chosen.",
    "loss": "Mode loss: nothing is generated, the likelihood of each text is read.",
    "drift": "Mode drift: nothing is generated, texts are read with and without the adapter.",
    "imported": "The predictions were made elsewhere and imported; how is not known here.",
    "task": "The mode is each item's, as its task says; the last one's reply is read from "
    "likelihoods.",
}
_RETENTION = (
    "Retention is the score divided by the base's on the same items, with one-sided bounds. "
    "verdict_alone is *pass* if the lower bound is at least what is asked for, *fail* if the upper "
    "bound is below it, otherwise *undecided*: each row is wrong as rarely as the confidence says. "
    "verdict is the one that counts: adjusted for all rows together (Holm), so that the study as "
    "a whole has a false pass, or a false fail, as rarely as that. chance_corrected is the part "
    "retained of what exceeds chance."
)
_LOWER = (
    " Of a metric where lower is better, it is the other way round: the base's value divided by "
    "the run's."
)
_ACCURACIES = (
    "Accuracy in percent of {of}; accuracy_delta in percentage points against {against}. "
    "Intervals of 95 % and tests, by themselves and adjusted for all comparisons of the study, are "
    "in comparison.csv."
)
_JUDGED = "judged items (correct and incorrect; the others are unjudged)"
_VALUES = (
    "The column accuracy has each category's value, in the unit of its measure (see Measures), and "
    "accuracy_delta that value less that of {against}: where lower is better, a delta below 0 is a "
    "gain. "
    "Intervals of 95 % and tests, by themselves and adjusted for all comparisons of the study, are "
    "in comparison.csv."
)
_MEANS = (
    "The charts' *macro average* is the mean over categories, each counted once; the *micro "
    "average* in comparison.csv is the mean over all items, each counted once."
)
_MEANS_OF_SHARES = (
    "The charts' *macro average* is the mean over the categories that are shares of full credit "
    "(accuracy, F1), each counted once; the *micro average* in comparison.csv, of a run whose "
    "categories all have one such measure, is the mean over all items."
)


def page(
    planned: Mapping[str, Any], title: str, notes: Iterable[str], sections: Iterable[str]
) -> str:
    """Return the page: title, description, warnings, sections; below the second one, the chart.

    The first one has the values, the second says what the replies were.
    """
    values, outcomes, *others = sections
    parts = [
        f"# {' '.join(title.split())}",
        planned["description"],
        *(f"**Warning.** {note}" for note in notes),
        values,
        outcomes,
        "![values against LoRA scaling, by category](accuracy.svg)",
        *others,
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def values_section(
    planned: Mapping[str, Any],
    table: pd.DataFrame,
    beside: Iterable[str],
    values: Iterable[str],
) -> str:
    """Return the section of the values.

    table: the values as their CSV has them; ``values`` is how the page shows them. beside: what has
    to be known of the table's deltas.
    """
    measured = MEASURE_COLUMNS[0] in table
    against = _against(planned["baseline"], table)
    of = _JUDGED if UNJUDGED in table else "all items"
    return "\n\n".join(
        part
        for part in (
            "## Values" if measured else "## Accuracy",
            (_VALUES if measured else _ACCURACIES).format(against=against, of=of),
            *beside,
            *values,
            _MEANS_OF_SHARES if measured else _MEANS,
        )
        if part
    )


def full_title(planned: Mapping[str, Any], missing: Mapping[str, str]) -> str:
    """Return the title, and that it is a smoke run's or a partial report's where it is one."""
    title = planned["report"]["title"] or planned["study"]
    limit = planned["limit"]
    smoke = [f"smoke run on {limit} items of each category"] if limit is not None else []
    partial = [f"partial report, {len(missing)} experiments missing"] if missing else []
    return ": ".join([str(title), ", ".join([*smoke, *partial])]) if smoke or partial else title


def scope_notes(planned: Mapping[str, Any], missing: Mapping[str, str]) -> Iterator[str]:
    """Yield what the report leaves out: items of a smoke run, experiments without scores."""
    if planned["limit"] is not None:
        yield (
            f"A smoke run: at most {planned['limit']} items of each category (study key 'limit'). "
            "Its accuracies say that the study runs, and little else."
        )
    for experiment, why in missing.items():
        yield f"{experiment} is missing: {why}"


def unaudited_notes(planned: Iterable[str], audited: Iterable[str]) -> Iterator[str]:
    """Yield the adapters without an audit, in a report of a study that is not done."""
    yield from (
        f"The audit of adapter {name} is missing." for name in sorted({*planned} - {*audited})
    )


def retention_section(table: pd.DataFrame) -> str:
    """Return the retention table with what its verdicts mean; nothing without a row."""
    if table.empty:
        return ""
    rules = table.groupby(["of", "metric", "at_least", "confidence"], sort=False)
    lines = [_rule(*cast(tuple[Any, Any, Any, Any], rule), group) for rule, group in rules]
    falls = "better" in table and (table["better"] == "lower").any()
    parts = ["## Retention", _RETENTION + (_LOWER if falls else ""), "\n".join(lines)]
    # Columns about chance are empty for a task without a chance level.
    return "\n\n".join([*parts, markdown(table.dropna(axis="columns", how="all"))])


def generation_section(generation: Mapping[str, str], scored: Sequence[Scored]) -> str:
    """Return the effective generation settings, each distinct set with its experiments.

    generation: experiment -> JSON of its settings, or of a mode that generates nothing and its
    settings. ``max_length`` follows from each prompt: sets that differ in nothing else are one, and
    the last item's is shown. Sets of experiments with
    F1 and EM stand open, above those figures; others are folded.
    """
    figures = {run.experiment: f1_em_lines(run) for run in scored}
    groups: dict[str, tuple[str, list[str]]] = {}
    for experiment in figures:
        settings = json.loads(generation[experiment])
        key = json.dumps({k: v for k, v in settings.items() if k != "max_length"}, sort_keys=True)
        _, experiments = groups.setdefault(key, (_config(settings), []))
        experiments.append(experiment)
    parts = ["## Generation settings", "max_length is that of the last prompt."]
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
        pair = [run.measured[key] for of in _F1_EM if (key := f"{name}-{of}") in run.measured]
        if measure == _F1_EM[0] and len(pair) == len(_F1_EM):
            f1, em = (float(found.value) for found in pair)
            total = run.measured[category].total
            lines.append(f"F1 score: {f1}, Em score: {em}, total_count: {total}")
    return lines


def sources_notes(commits: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield a warning where rows differ in the commit of a source.

    commits: repository and revision as in the study -> the commits that the rows were made of.
    """
    if differing := [source for source, found in commits.items() if len(found) > 1]:
        yield f"Rows were made of different commits of {', '.join(differing)}."


def sources_section(commits: Mapping[str, Sequence[str]]) -> str:
    """Return a line on what came from the hub; nothing where nothing did."""
    lines = [f"{source} at commit {' and '.join(found)}" for source, found in commits.items()]
    return f"Sources: {'; '.join(lines)}." if lines else ""


def loss_section(trained: bool) -> str:
    """Return the link to the chart of the training loss; nothing where nothing is trained."""
    return "## Training loss\n\n![training loss by step](loss.svg)" if trained else ""


def _against(baseline: str | Sequence[str] | Mapping[str, Any], table: pd.DataFrame) -> str:
    if BASELINE in table:
        return f"what the column {BASELINE} names"
    if isinstance(baseline, Mapping):
        return "the published table"
    return baseline if isinstance(baseline, str) else ", ".join(baseline)


def _rule(of: Any, metric: Any, at_least: Any, confidence: Any, table: pd.DataFrame) -> str:
    """Return one entry of the study's key retain, and how its experiments fare."""
    if table["retention"].isna().all():
        if "better" in table:
            return (
                f"- {metric} of {of}: no share to state, because values are 0, below 0 or missing, "
                "or items weigh otherwise in the base."
            )
        return f"- {metric} of {of}: its score is 0, so there is nothing to retain."
    verdicts = ", ".join(f"{(table['verdict'] == v).sum()} {v}" for v in get_args(Verdict))
    alone, point = ((table[of] == "pass").sum() for of in ("verdict_alone", "point_verdict"))
    return (
        f"- {metric} of {of}, at least {at_least:g} at {100 * confidence:g} % confidence: "
        f"{verdicts}; of {len(table)}, {alone} would pass if each were the only one, "
        f"and {point} by the point estimate alone."
    )


def _config(settings: Mapping[str, Any]) -> str:
    if MODE in settings:
        keys = ", ".join(f"{key}: {value}" for key, value in settings.items() if key != MODE)
        return _MODES[settings[MODE]] + (f"\nWith {keys.replace('None', 'null')}." if keys else "")
    lines = ",\n".join(f"  {key!r}: {value!r}" for key, value in settings.items())
    return f"Generation Config is: {{\n{lines}\n}}"
