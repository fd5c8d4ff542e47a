"""What a report is made of: the scores of its experiments and what lies beside them, as read."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from lorascope.planning import search
from lorascope.planning.audit import KIND, MODULES
from lorascope.planning.report import ReportJob, ReportRow
from lorascope.reporting import baselines, page, surroundings
from lorascope.reporting.audits import Audited
from lorascope.reporting.imported import Imported
from lorascope.reporting.order import ordered
from lorascope.reporting.scored import Scored, check_measures
from lorascope.scoring.item_score import Measure
from lorascope.storage.records import read_document, read_table, table_note
from lorascope.study.order import natural
from lorascope.study.scaling_words import in_words
from lorascope.study.weights import adapter_label

Sidecar: TypeAlias = tuple[str, str, pd.DataFrame]
"""Model, dataset and runtime of an experiment that was answered here."""


@dataclass(frozen=True)
class Gathered:
    """What the files hold that a job names.

    ``planned`` is what decides the report, without comparisons with experiments that are missing.
    ``every`` are the scored runs in order, ``scored`` those that tables and charts are about.
    ``generation`` is experiment -> JSON of how it was answered; ``searched`` what each search goes
    by, and what it has decided so far.
    """

    job: ReportJob
    planned: Mapping[str, Any]
    every: Sequence[Scored]
    scored: Sequence[Scored]
    generation: Mapping[str, str]
    sidecars: Sequence[Sidecar]
    audits: Sequence[Audited]
    imported: Sequence[Imported]
    trainings: Mapping[str, pd.DataFrame]
    searched: Sequence[tuple[str, list[Any]]]

    @cached_property
    def title(self) -> str:
        """The report's title, and that it is a smoke run's or a partial one where it is."""
        return page.full_title(self.planned, self.job.missing)

    @property
    def newest_runs(self) -> int:
        """How many of an experiment's newest runs are tested."""
        return int(self.planned["report"]["newest_runs"])

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Experiment -> its settings."""
        return {row.id: row.settings for row in self.job.rows}

    @cached_property
    def levels(self) -> baselines.Levels:
        """Experiment -> what it is compared with."""
        return baselines.levels_of(self.scored, self.planned["compared"])

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """What each category measures, in order of category."""
        found = {category: run.measure(category) for run in self.scored for category in run.rows}
        return {category: found[category] for category in sorted(found, key=natural)}

    @cached_property
    def scorers(self) -> dict[str, str]:
        """Experiment -> its scorer in words."""
        return {name: _scorer(settings["scorer"]) for name, settings in self.settings.items()}

    @cached_property
    def remarks(self) -> list[str]:
        """What has to be known of the deltas."""
        compared = self.planned["compared"]
        return baselines.remarks(self.scored, self.levels, compared, self.scorers)

    @cached_property
    def environments(self) -> list[dict[str, Any]]:
        """Each distinct surroundings that answers came from."""
        return surroundings.environments(frame["environment"] for _, _, frame in self.sidecars)

    @cached_property
    def commits(self) -> dict[str, list[str]]:
        """Source of the hub -> the commits that answers were made of."""
        return surroundings.commits(self.environments)


def gather(job: ReportJob) -> Gathered:
    """Return what the files of a job hold; UserError for one that is missing or damaged."""
    planned = job.fingerprint
    scored, generation = _scored(job.rows, planned.get("profiles", {}))
    if job.missing:
        planned = _of_what_is_there(planned, scored)
    every = ordered(scored, planned["compared"])
    tabled = _without_nulls(job, every)
    rows = {row.id: row for row in job.rows}
    return Gathered(
        job=job,
        planned=planned,
        every=every,
        scored=tabled,
        generation=generation,
        sidecars=[*_sidecars(rows[run.experiment] for run in every)],
        audits=_audits(job),
        imported=[*_imported(rows, tabled)],
        trainings=_trainings(job),
        searched=[*_searched(planned.get("search", []))],
    )


def _scored(
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


def _without_nulls(job: ReportJob, scored: Sequence[Scored]) -> list[Scored]:
    """Return the runs but those with null adapters that are in no table: they have a section.

    So no null is a comparison that others' p-values are adjusted for, or has to keep a score.
    """
    planned = job.fingerprint
    needed = {name for group in planned["compared"] for name in group["experiments"]}
    needed |= {gate["of"] for gate in planned["retain"]}
    nulls = {*job.nulls.get("experiments", [])} - needed
    return [run for run in scored if run.in_table or run.experiment not in nulls]


def _sidecars(rows: Iterable[ReportRow]) -> Iterator[Sidecar]:
    for row in rows:
        if row.runtime is None:
            continue
        runtime = read_table(row.runtime, "runtime", row.predictions)
        yield str(row.settings["model"]), row.dataset, runtime.to_pandas()


def _imported(rows: Mapping[str, ReportRow], scored: Sequence[Scored]) -> Iterator[Imported]:
    """Yield the experiments that were made elsewhere, with their predictions."""
    columns = ["item_id", "category", "finish_reason", "published"]
    for one in scored:
        row = rows[one.experiment]
        if row.imported:
            table = read_table(row.imported, "predictions", row.predictions, columns)
            yield Imported(one, row.settings["predictions"], table.to_pandas())


def _audits(job: ReportJob) -> list[Audited]:
    return [
        Audited(
            one.name,
            read_document(one.audit, KIND, one.digest),
            read_table(one.modules, MODULES, one.digest).to_pandas(),
        )
        for one in job.audits
    ]


def _trainings(job: ReportJob) -> dict[str, pd.DataFrame]:
    """Return adapter -> its training loss by step, of those that the study trains."""
    columns = ["step", "loss"]
    return {
        one.name: read_table(one.log, "training", one.digest, columns).to_pandas()
        for one in job.adapters
    }


def _searched(planned: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield what each search goes by, and what is decided so far."""
    for one in planned:
        paths = [
            Path(search.RUNG.format(digest=one["digest"], rung=r)) for r in range(len(one["rungs"]))
        ]
        there = [read_document(path, search.KIND, one["digest"]) for path in paths if path.exists()]
        yield one["by"], there


def _scorer(written: str | Mapping[str, Any]) -> str:
    """Return a scorer's name, with its own keys where it has some."""
    if isinstance(written, str):
        return written
    keys = ", ".join(f"{key}: {value}" for key, value in written.items() if key != "name")
    return f"{written['name']} ({keys})"
