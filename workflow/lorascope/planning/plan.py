"""The plan of a study: its stages joined, and what is left of their jobs."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from lorascope.errors import UserError, unreadable
from lorascope.planning import (
    audit,
    dataset,
    derive,
    download,
    encode,
    finetune,
    gate,
    importing,
    infer,
    judge,
    merge,
    page,
    report,
    score,
    search,
    track,
)
from lorascope.planning.adapters import check_adapters
from lorascope.planning.context import PlanContext
from lorascope.planning.dataset import PlannedDataset, plan_dataset
from lorascope.planning.encode import PlannedFeatures, all_features
from lorascope.planning.finetune import TrainedAdapter, trained
from lorascope.planning.importing import why_imported
from lorascope.planning.infer import PlannedExperiment, plan_experiments
from lorascope.planning.models import check_models
from lorascope.planning.page import PlannedPage, plan_page
from lorascope.planning.profiles import check_profiles
from lorascope.planning.reasons import why_inferred
from lorascope.planning.report import PlannedReport, plan_report
from lorascope.planning.score import PlannedScores, plan_scores
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.track import check_trackers
from lorascope.study.parsing import parse_study
from lorascope.study.searches import entrants
from lorascope.study.study import Study

HARMLESS = "plans files, by the fingerprints of what decides them"

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        download.STAGE,
        dataset.STAGE,
        finetune.STAGE,
        derive.STAGE,
        audit.STAGE,
        encode.STAGE,
        infer.STAGE,
        merge.STAGE,
        importing.STAGE,
        judge.STAGE,
        score.STAGE,
        search.STAGE,
        report.STAGE,
        page.STAGE,
        gate.STAGE,
        track.STAGE,
    )
}
"""The stages by name, in the order of the data's way."""

MOST_JOBS = 100_000
"""Of infer and encode, those of features counted for every experiment that they are for."""


class Plan:
    """Every planned file of a study."""

    def __init__(self, context: PlanContext) -> None:
        self.context, self.study = context, context.study
        check_adapters(context)
        check_profiles(context)
        self.jobs: dict[Path, PlannedJob] = {}
        """Every planned file -> the job that makes it."""
        for stage in STAGES.values():
            for job in stage.jobs(context):
                self.jobs |= dict.fromkeys(job.outputs.values(), job)
        context.save()

    @cached_property
    def datasets(self) -> dict[str, PlannedDataset]:
        """The datasets that experiments use, by name."""
        names = self.context.datasets
        return {name: plan_dataset(self.context, name) for name in names}

    @cached_property
    def adapters(self) -> dict[str, TrainedAdapter]:
        """The adapters that experiments use, or are made of, and the study trains, by name."""
        return {adapter.name: adapter for adapter in trained(self.context)}

    @cached_property
    def features(self) -> list[PlannedFeatures]:
        """The features that experiments are asked about, each once."""
        return all_features(self.context)

    @cached_property
    def experiments(self) -> dict[str, PlannedExperiment]:
        """The experiments by ID."""
        return {planned.id: planned for planned in plan_experiments(self.context)}

    @cached_property
    def scores(self) -> dict[str, PlannedScores]:
        """The scores of each experiment, by ID."""
        return {name: plan_scores(self.context, name) for name in self.study.experiments}

    @cached_property
    def report(self) -> PlannedReport:
        """The report of the study."""
        return plan_report(self.context)

    @cached_property
    def page(self) -> PlannedPage:
        """The page of the report."""
        return plan_page(self.context)

    # ------------------------------------------------------------------------------ jobs

    def of_stage(self, stage: str) -> Iterator[PlannedJob]:
        """Yield the jobs of a stage, each once."""
        for path, job in self.jobs.items():
            if job.stage.name == stage and path == job.out:
                yield job

    def find(self, stage: str, wildcards: Mapping[str, object]) -> PlannedJob:
        """Return the job of a stage with these wildcards; UserError if this study plans none.

        Without wildcards it is the one job of a stage that a study has once.
        """
        if not wildcards:
            return next(self.of_stage(stage))
        pattern = next(iter(STAGES[stage].outputs.values()))
        path = Path(pattern.format(**wildcards))
        if path not in self.jobs:
            raise UserError(
                f"{self.study.file}: no {path} is planned; the study, its sources or the code "
                "changed since this job was planned"
            )
        return self.jobs[path]

    def results_of(self, identifier: str) -> list[Path]:
        """Return what a run of one experiment makes: predictions, their sidecar and scores."""
        return self._final[identifier]

    def targets(self) -> list[Path]:
        """Return what a run of the whole study makes: every experiment's results and the report."""
        unseen = search.hidden(self.context)
        return [path for name, paths in self._final.items() if name not in unseen for path in paths]

    @property
    def dropped(self) -> dict[str, str]:
        """ID -> when and why an experiment was dropped by a search."""
        return search.dropped(self.context)

    @cached_property
    def _final(self) -> dict[str, list[Path]]:
        """Experiment -> what a run of it makes; "" -> what a run of the study makes besides."""
        found: dict[str, list[Path]] = {identifier: [] for identifier in [*self.experiments, ""]}
        for path, job in self.jobs.items():
            if job.stage.final:
                found[str(job.wildcards.get("id", ""))].append(path)
        return found

    def left(self, targets: Iterable[Path] | None = None) -> list[PlannedJob]:
        """Return the jobs that make ``targets`` (None: all), the ones that Snakemake would run.

        A job is needed if a file it makes is missing; its inputs matter only then.
        """
        left: dict[Path, PlannedJob] = {}
        waiting = list(self.targets() if targets is None else targets)
        while waiting:
            job = self.jobs[waiting.pop()]
            if job.out in left or job.is_done:
                continue
            left[job.out] = job
            waiting += [path for path in job.inputs if path in self.jobs]
        return list(left.values())

    def shown_inputs(self, job: PlannedJob, left: Collection[Path]) -> list[Path]:
        """Return the inputs of a job that is not left, by which its way is shown.

        ``left`` names the jobs that are left, by their first file. A missing file that one of them
        makes is for others: with it this job would seem to be left as well.
        """
        return [path for path in job.inputs if not self._is_made(path, left)]

    def _is_made(self, path: Path, left: Collection[Path]) -> bool:
        maker = self.jobs.get(path)
        return maker is not None and maker.out in left and not path.exists()

    def why(self, identifier: str) -> str:
        """Say why an experiment is not done ("" if it is)."""
        planned = self.experiments[identifier]
        if not planned.is_answered:
            if words := self.dropped.get(identifier):
                return words
            if planned.is_imported:
                return why_imported(planned)
            twin = merge.twin(self.context, planned)
            if twin:
                return f"the same as {twin.parent.name}, copied from it"
            return why_inferred(planned.folder, planned.fingerprint)
        if self.scores[identifier].path.exists():
            return ""
        verdicts = judge.all_verdicts(self.context, identifier)
        lacking = [one.judge.name for one in verdicts if not one.path.exists()]
        return f"to be judged by {' and '.join(lacking)}" if lacking else "to be scored"


def load_plan(config: Mapping[str, Any], file: str) -> Plan:
    """Return the plan of the study in ``config``; UserError if it is not a valid study."""
    study = parse_study(config, file)
    _check_size(study)
    for identifier in study.experiments:
        if identifier in ("all", "default", *STAGES):
            raise UserError(
                f"{file}: experiments: the ID {identifier!r} is the name of a rule; choose another"
            )
    try:
        context = PlanContext(study)
        check_models(context)
        check_trackers(context)
        return Plan(context)
    except OSError as error:
        raise unreadable(error, file) from error


def _check_size(study: Study) -> None:
    """UserError for a study that would split its experiments into more jobs than can be planned."""
    of_features = {
        name: getattr(dataset, "encode_jobs", 0) for name, dataset in study.datasets.items()
    }
    asked = [e for e in study.experiments.values() if not e.is_imported]
    parts = {n: s.search.parts for s in entrants(study) for n in s.experiments if study.search}
    shards = [max(study.shards, parts.get(e.base, 1)) for e in asked]
    jobs = sum(shards) + sum(of_features[e.dataset] for e in asked)
    if jobs > MOST_JOBS:
        raise UserError(
            f"{study.file}: shards: {len(study.experiments):,} experiments of {study.shards:,} "
            f"shards, with the parts of their features, are {jobs:,} jobs to plan; at most "
            f"{MOST_JOBS:,} are allowed. Lower shards or encode_jobs."
        )
