"""Planning of scoring: an experiment's predictions become scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext, once
from lorascope.planning.infer import PlannedExperiment, plan_experiment
from lorascope.planning.judge import PlannedVerdicts, all_verdicts, scorer_files
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import FOLDER, Fingerprint, ScoreJob
from lorascope.study.registry import SCORERS

HARMLESS = "plans files, by the fingerprints of what decides them"

SCORES = f"{FOLDER}/scores-{{score_digest}}.parquet"


@dataclass(frozen=True, eq=False)
class PlannedScores:
    """The scores of an experiment's predictions; ``reads`` are files of the scorer's."""

    experiment: PlannedExperiment
    score_item: str
    rules: str | None
    verdicts: list[PlannedVerdicts]
    fingerprint: Fingerprint
    digest: str
    reads: list[str]

    @property
    def path(self) -> Path:
        """Path of the scores, a row for each item and metric."""
        return Path(SCORES.format(**_wildcards(self)))


@once
def plan_scores(context: PlanContext, identifier: str) -> PlannedScores:
    """Return the scores of an experiment, and what decides them beside its predictions."""
    planned = plan_experiment(context, identifier)
    name, own = planned.experiment.scorer, planned.experiment.scoring
    scorer, rules = SCORERS[name], planned.experiment.rules
    verdicts = all_verdicts(context, identifier)
    functions, files = [scorer.score_item], scorer_files(context, scorer, own)
    fingerprint: Fingerprint = {"stage": STAGE.name, "scorer": name, "settings": own}
    if rules:
        functions.append(SCORERS[rules.name].score_item)
        files |= scorer_files(context, SCORERS[rules.name], rules.own)
        fingerprint["undecided"] = list(SCORERS[rules.name].undecided or ())
    if verdicts:
        fingerprint["verdicts"] = {one.judge.name: one.digest for one in verdicts}
    fingerprint |= {
        "files": files,
        "predictions": planned.digest,
        "code": context.code("lorascope.stages.score", *functions),
    }
    return PlannedScores(
        planned,
        scorer.score_item,
        SCORERS[rules.name].score_item if rules else None,
        verdicts,
        fingerprint,
        digest(fingerprint),
        list(files),
    )


def _wildcards(planned: PlannedScores) -> dict[str, str]:
    experiment = planned.experiment
    return {"id": experiment.id, "digest": experiment.digest, "score_digest": planned.digest}


def _told(planned: PlannedScores) -> ScoreJob:
    experiment = planned.experiment
    return ScoreJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        id=experiment.id,
        score_item=planned.score_item,
        rules=planned.rules,
        verdicts=[[one.judge.name, str(one.path), one.digest] for one in planned.verdicts],
        dataset=experiment.dataset.digest,
        items=str(experiment.dataset.items),
        predictions=str(experiment.predictions),
        predicted=experiment.digest,
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each experiment."""
    for identifier in context.study.experiments:
        planned = plan_scores(context, identifier)
        yield STAGE.job(
            _wildcards(planned),
            inputs=[
                planned.experiment.dataset.items,
                planned.experiment.predictions,
                *(one.path for one in planned.verdicts),
            ],
            told=partial(_told, planned),
            message=partial(_message, planned),
            reads=planned.reads,
        )


def _message(planned: PlannedScores) -> str:
    return f"{planned.experiment.id}: score the responses"


STAGE = Stage(
    name="score",
    outputs={"scores": SCORES},
    kept=SCORES,
    log=f"{RESULTS}/logs/score/{{id}}/{{digest}}-{{score_digest}}.log",
    jobs=jobs,
    final=True,
)
