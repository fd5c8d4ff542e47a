"""Aggregate the scores of a study into its table, its charts and its manifest."""

import argparse
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lorascope.identity.digests import canonical
from lorascope.planning import search
from lorascope.planning.audit import KIND, MODULES
from lorascope.planning.checks import check_code
from lorascope.planning.report import (
    AGREEMENT,
    AUDITS,
    CHOICES,
    CRATE,
    DRIFT,
    LIKELIHOODS,
    LOSS,
    MANIFEST,
    MIXES,
    NULLS,
    PARTIAL,
    PROFILES,
    RETENTION,
    SEARCH,
    TABLE,
    ReportAdapter,
    ReportAudit,
    ReportJob,
    ReportRow,
)
from lorascope.reporting import (
    adapter_sections,
    baselines,
    comparison,
    latex,
    outcomes,
    page,
    plots,
    surroundings,
    tables,
    verdicts,
)
from lorascope.reporting.adapter_sections import Place
from lorascope.reporting.agreement import agreement_section, agreement_table
from lorascope.reporting.amounts import AXES, amount_of
from lorascope.reporting.audits import Audited, audit_notes, audit_section, audits_table
from lorascope.reporting.columns import as_shown, with_settings
from lorascope.reporting.dates import dates_section
from lorascope.reporting.drift import beside_kl, without_drift
from lorascope.reporting.hearing import hearing_section
from lorascope.reporting.heat_map import heat_map
from lorascope.reporting.imported import Imported, imported_section
from lorascope.reporting.likelihoods import likelihood_section, likelihood_table
from lorascope.reporting.loss import loss_chart
from lorascope.reporting.means import accuracies_with_means, intervals_with_means
from lorascope.reporting.measures import measures_section
from lorascope.reporting.mixes import Summed
from lorascope.reporting.nulls import null_notes
from lorascope.reporting.order import ordered
from lorascope.reporting.pivot import Sources
from lorascope.reporting.profiles import profiled
from lorascope.reporting.scored import Scored, check_measures
from lorascope.reporting.shown import Drawn, shown
from lorascope.reporting.significance import marks_of
from lorascope.reporting.values import values
from lorascope.scoring.item_score import Measure
from lorascope.stages.command import leave, log, parser, run
from lorascope.storage.records import (
    file_sha256,
    read_document,
    read_table,
    table_note,
    write_document,
    write_text,
)
from lorascope.study.order import natural
from lorascope.study.scaling_words import in_words
from lorascope.study.weights import adapter_label


def work(job: ReportJob, arguments: argparse.Namespace) -> None:
    """Write the page, the tables, the charts and, last, the manifest."""
    check_code(job)
    planned, folder = job.fingerprint, arguments.out.parent
    for older in [*folder.glob("manifest-*.json"), folder / CRATE]:
        older.unlink(missing_ok=True)
    scored, generation = _read(job.rows, planned.get("profiles", {}))
    if job.missing:
        planned = _of_what_is_there(planned, scored)
    every = ordered(scored, planned["compared"])
    scored = _without_nulls(job, every)
    levels = baselines.levels_of(scored, planned["compared"])
    made = _tables(planned, scored, levels, folder, job)
    title, measures = page.full_title(planned, job.missing), _measures(scored)
    drawn = _drawn(job.rows, scored, levels)
    _draw_accuracy(drawn, scored, measures, title, folder)
    if job.adapters:
        _draw_loss(job.adapters, title, folder)
    audits = _audits(job.audits, title, folder)
    place = Place(title, folder, levels, measures)
    chosen = [
        adapter_sections.choices(place, CHOICES, scored, planned.get("choose", [])),
        adapter_sections.searches(place, SEARCH, _decided(planned.get("search", []))),
    ]
    newest = planned["report"]["newest_runs"]
    pivoted = Sources(scored, levels, marks_of(made["comparison.csv"]), drawn.lines, newest)
    write_text(folder / TABLE, latex.table(title, planned["study"], pivoted))
    rows = {row.id: row for row in job.rows}
    sidecars = [*_sidecars(rows[run.experiment] for run in every)]
    environments = surroundings.environments(frame["environment"] for _, _, frame in sidecars)
    commits = surroundings.commits(environments)
    differing = surroundings.notes(environments)
    for note in differing:
        log.warning("%s", note)
    notes = [
        *page.scope_notes(planned, job.missing),
        *differing,
        *page.sources_notes(commits),
        *outcomes.outcome_warnings(scored),
        *_notes_on_adapters(job, planned, audits),
    ]
    scorers = {row.id: _scorer(row.settings["scorer"]) for row in job.rows}
    beside = [*baselines.remarks(scored, levels, planned["compared"], scorers)]
    accuracy = made["accuracy.csv"]
    sections = [
        page.values_section(planned, accuracy, beside, values(accuracy, pivoted)),
        *_sections(made, scored, measures, sidecars, audits, chosen),
        *_adapter_sections(job, every, scored, drawn, place),
        page.loss_section(bool(job.adapters)),
        page.sources_section(commits),
        imported_section(_imported(job.rows, scored)),
        dates_section(sidecars),
        page.generation_section(generation, scored),
    ]
    write_text(folder / "accuracy.md", page.page(planned, title, notes, sections))
    manifest = {
        "fingerprint": planned,
        "rows": [vars(row) for row in job.rows],
        "ran": environments,
        "sources": commits,
        "shown": shown(every, drawn, measures, title, notes, beside, scorers),
        "files": {n: file_sha256(folder / n) for n in job.files if (folder / n).exists()},
    }
    write_document(arguments.out, MANIFEST, job.digest, manifest)
    if not job.missing:
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    log.info("%s", folder / "accuracy.md")


def _sections(
    made: Mapping[str, pd.DataFrame],
    scored: Sequence[Scored],
    measures: Mapping[str, Measure],
    sidecars: Sequence[tuple[str, str, pd.DataFrame]],
    audits: Sequence[Audited],
    chosen: Sequence[str],
) -> Iterator[str]:
    """Yield the sections of tables below the values, what the replies were first."""
    yield outcomes.outcome_section(as_shown(without_drift(made["outcomes.csv"], scored)))
    yield from chosen
    yield page.retention_section(as_shown(made[RETENTION]))
    yield likelihood_section(as_shown(made[LIKELIHOODS]))
    yield agreement_section(as_shown(made[AGREEMENT]))
    yield audit_section(audits)
    yield measures_section(measures.items())
    yield hearing_section(sidecars)


def _adapter_sections(
    job: ReportJob,
    every: Sequence[Scored],
    scored: Sequence[Scored],
    drawn: Drawn,
    place: Place,
) -> Iterator[str]:
    """Yield the sections on what adapters cost, are held against, are made of, and do by parts."""
    planned, settings = job.fingerprint, {row.id: row.settings for row in job.rows}
    if DRIFT[0] in job.files:
        yield adapter_sections.drift(place, DRIFT, scored, settings, planned["retain"])
    if NULLS[0] in job.files:
        yield adapter_sections.nulls(place, NULLS, every, job.nulls.get("compared", []))
    if MIXES[0] in job.files:
        sums = {row.base: _summed(row) for row in job.rows if row.settings.get("weights")}
        yield adapter_sections.mixes(place, MIXES, scored, sums)
    if PROFILES[0] in job.files:
        named, newest = planned.get("profiles", {}), planned["report"]["newest_runs"]
        found = profiled(scored, settings, named, drawn.lines)
        yield adapter_sections.profiles(place, PROFILES, scored, found, newest)


def _summed(row: ReportRow) -> Summed:
    beside = {key: value for key, value in row.series.items() if key != "adapter"}
    beside["lora_scaling"] = row.settings.get("lora_scaling")
    return Summed(str(row.settings["adapter"]), row.settings["weights"], beside)


def _decided(planned: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield what each search goes by, and what is decided so far."""
    for one in planned:
        paths = [
            Path(search.RUNG.format(digest=one["digest"], rung=r)) for r in range(len(one["rungs"]))
        ]
        there = [read_document(path, search.KIND, one["digest"]) for path in paths if path.exists()]
        yield one["by"], there


def _notes_on_adapters(
    job: ReportJob, planned: Mapping[str, Any], audits: Sequence[Audited]
) -> Iterator[str]:
    """Yield what is odd about adapters, and what is not known of them."""
    yield from audit_notes(audits)
    yield from null_notes(job.nulls.get("unmatched", []))
    yield from page.unaudited_notes(planned.get("audits", {}), [one.name for one in audits])


def _scorer(written: str | Mapping[str, Any]) -> str:
    """Return a scorer's name, with its own keys where it has some."""
    if isinstance(written, str):
        return written
    keys = ", ".join(f"{key}: {value}" for key, value in written.items() if key != "name")
    return f"{written['name']} ({keys})"


def _read(
    rows: Sequence[ReportRow], profiles: Mapping[str, Any]
) -> tuple[list[Scored], dict[str, str]]:
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
                lora_scaling=math.nan if note["lora_scaling"] is None else note["lora_scaling"],
                in_table=row.table,
                dataset=row.dataset,
                scores=table.to_pandas(),
                model=row.settings["model"],
                adapter=adapter_label(row.settings),
                measures={c: Measure(**found) for c, found in note.get("measures", {}).items()},
                judges=tuple(note.get("judges", ())),
                profile=_profile(row, profiles),
                strength=math.nan if note.get("strength") is None else note["strength"],
            )
        )
    check_measures(scored)
    return scored, generation


def _profile(row: ReportRow, profiles: Mapping[str, Any]) -> str:
    """Return the label of the profile that a run was answered under, "" for none."""
    scaling = row.settings.get("lora_scaling")
    named = isinstance(scaling, str) and isinstance(profiles.get(scaling), Mapping)
    return in_words(scaling) if named or isinstance(scaling, Mapping) else ""


def _way(row: ReportRow, generation: str) -> str:
    """Return JSON of how a run was answered: of its generation, or of a way without one."""
    if row.imported:
        return json.dumps({page.MODE: "imported"})
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
) -> dict[str, pd.DataFrame]:
    """Write the tables; return them by the names of their files, those of other studies too."""
    newest, compared = planned["report"]["newest_runs"], planned["compared"]
    partial, of_levels = bool(job.missing), baselines.values_of(levels)
    experiments = {name: group["experiments"] for group in compared for name in group["of"]}
    accuracy = tables.accuracy_table(scored, of_levels, newest, partial)
    counts = baselines.published_counts(compared)
    comparisons = comparison.comparison_table(scored, experiments, newest, counts, partial)
    named = any(group["model"] for group in compared)
    accuracy, comparisons = (
        with_settings(baselines.with_baselines(table, scored, levels, named), scored)
        for table in (accuracy, comparisons)
    )
    retained = verdicts.retention_table(scored, planned["retain"])
    made = {
        "accuracy.csv": accuracies_with_means(accuracy, scored, of_levels),
        "comparison.csv": intervals_with_means(comparisons, scored),
        "outcomes.csv": with_settings(outcomes.outcome_table(scored), scored),
        RETENTION: with_settings(retained, scored, category="metric"),
        LIKELIHOODS: with_settings(likelihood_table(scored), scored),
        AGREEMENT: with_settings(agreement_table(scored), scored),
    }
    for name in made:
        if name in job.files:
            tables.write_csv(made[name], folder / name)
    return made


def _measures(scored: Iterable[Scored]) -> dict[str, Measure]:
    """Return what each category measures, in order of category."""
    found = {category: run.measure(category) for run in scored for category in run.rows}
    return {category: found[category] for category in sorted(found, key=natural)}


def _drawn(rows: Sequence[ReportRow], scored: Sequence[Scored], levels: baselines.Levels) -> Drawn:
    """Return what the charts show: values by scaling where one is swept, else by experiment."""
    series = _series(rows, scored)
    placed = [one for one in scored if one.has_scaling]
    scalings = {(series[one.experiment], one.amount) for one in placed}
    many = Counter(name for name, _ in scalings)
    swept = len(scalings) > len(many)
    # Sums at one scaling alone are points over their weights, not lines over scalings.
    sums = {row.id for row in rows if row.settings.get("weights")}
    placed = [o for o in placed if o.experiment not in sums or many[series[o.experiment]] > 1]
    points = tables.chart_points(placed if swept else scored, series, swept)
    return Drawn(
        lines=series,
        swept=swept,
        points=points[~points["category"].isin(beside_kl(scored))],
        levels=baselines.drawn_levels(scored, levels),
        chance=_chance(scored),
        axis=AXES[amount_of(scored)],
    )


def _draw_accuracy(
    drawn: Drawn,
    scored: Sequence[Scored],
    measures: Mapping[str, Measure],
    title: str,
    folder: Path,
) -> None:
    """Draw the chart of what was measured."""
    over = partial(plots.accuracy_chart, axis=drawn.axis)
    draw = over if drawn.swept else plots.accuracy_bars
    draw(
        drawn.points,
        drawn.levels,
        drawn.chance,
        title,
        folder / "accuracy.svg",
        folder / "accuracy.png",
        mean=all(one.counts_items_once for one in scored),
        measures=measures,
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


def _audits(audits: Sequence[ReportAudit], title: str, folder: Path) -> list[Audited]:
    """Return the audits of adapters, once their table and their heat map are written."""
    read = [
        Audited(
            one.name,
            read_document(one.audit, KIND, one.digest),
            read_table(one.modules, MODULES, one.digest).to_pandas(),
        )
        for one in audits
    ]
    if read:
        table, svg, png = (folder / name for name in AUDITS)
        tables.write_csv(audits_table(read), table)
        heat_map(read, f"{title}: what the adapters change", svg, png)
    return read


def _without_nulls(job: ReportJob, scored: Sequence[Scored]) -> list[Scored]:
    """Return the runs but those with null adapters that are in no table: they have a section.

    So no null is a comparison that others' p-values are adjusted for, or has to keep a score.
    """
    planned = job.fingerprint
    needed = {name for group in planned["compared"] for name in group["experiments"]}
    needed |= {gate["of"] for gate in planned["retain"]}
    nulls = {*job.nulls.get("experiments", [])} - needed
    return [run for run in scored if run.in_table or run.experiment not in nulls]


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


def _sidecars(rows: Iterable[ReportRow]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield model, dataset and sidecar of each experiment that was answered here."""
    for row in rows:
        if row.runtime is None:
            continue
        runtime = read_table(row.runtime, "runtime", row.predictions)
        yield str(row.settings["model"]), row.dataset, runtime.to_pandas()


def _imported(rows: Sequence[ReportRow], scored: Sequence[Scored]) -> Iterator[Imported]:
    """Yield the experiments that were made elsewhere, with their predictions."""
    columns = ["item_id", "category", "finish_reason", "published"]
    by_id = {row.id: row for row in rows}
    for one in scored:
        row = by_id[one.experiment]
        if row.imported:
            table = read_table(row.imported, "predictions", row.predictions, columns)
            yield Imported(one, row.settings["predictions"], table.to_pandas())


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.report", __doc__), ReportJob, work)


if __name__ == "__main__":
    leave(main())
