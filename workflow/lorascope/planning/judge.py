"""Planning of judging: the verdicts of judges on responses, where a scorer asks for them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError
from lorascope.identity.digests import canonical, digest
from lorascope.judging.prompts import read_protocol
from lorascope.planning.context import PlanContext, once
from lorascope.planning.derive import plan_adapter
from lorascope.planning.download import as_told, local, markers
from lorascope.planning.infer import PlannedExperiment, plan_experiment
from lorascope.planning.made import PlannedAdapter
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import FOLDER, Fingerprint, Job
from lorascope.study.judge_checks import PREFERENCE, judges_of, rival
from lorascope.study.registry import SCORERS

if TYPE_CHECKING:
    from lorascope.study.declarations import Scorer
    from lorascope.study.judges import JudgeSettings
    from lorascope.study.settings import HubSource

HARMLESS = "plans files, by the fingerprints of what decides them"

VERDICTS = f"{FOLDER}/verdicts-{{verdict_digest}}.parquet"
CACHE = f"{RESULTS}/judged/{{judge}}"
"""Folder of all that a judge ever said, to any study; nothing prunes it."""
CORRECTNESS = "correctness"
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class JudgeJob(Job):
    """``judge`` is its name, ``identity`` what tells its replies from another's.

    ``cache`` is the folder of its replies. It is a ``server``, by its settings; or else a model of
    the study, which ``load`` loads: ``sources`` are its, and its ready-made adapter's; ``adapter``
    is the folder of one that the study made, with the digest ``trained``. ``protocol`` is a
    name, or the path of a file.

    What is judged are the ``predictions`` with the digest ``predicted`` of ``items`` with the
    digest ``dataset``; ``rivals`` are those that they are compared with. ``rules`` is the function
    of the scorer that is asked first.
    """

    id: str
    judge: str
    identity: str
    cache: str
    server: dict[str, Any] | None
    load: str | None
    sources: dict[str, Any]
    adapter: str | None
    trained: str | None
    batch_size: int | None
    tokens_at_once: int
    protocol: str
    dataset: str
    items: str
    predictions: str
    predicted: str
    rivals: str | None
    rivalled: str | None
    rules: str | None


@dataclass(frozen=True, eq=False)
class PlannedJudge:
    """A judge of the study: ``identity`` is all that decides its replies beside the calls."""

    name: str
    settings: "JudgeSettings"
    identity: Fingerprint
    adapter: PlannedAdapter | None

    @property
    def cache(self) -> Path:
        """Folder of its replies."""
        server = self.settings.server
        name = server.model if server else str(self.settings.model)
        slug = _NO_NAME.sub("-", name).strip("-.")[:60] or "judge"
        return Path(CACHE.format(judge=f"{slug}-{digest(self.identity)}"))

    @property
    def told(self) -> str:
        """The identity as its calls have it."""
        return canonical(self.identity) if self.settings.server else digest(self.identity)

    @property
    def words(self) -> str:
        """Who it is, in words."""
        server = self.settings.server
        if server:
            return f"{self.name} ({server.model} at {server.base_url})"
        scaling, adapter = self.settings.lora_scaling, self.settings.adapter
        with_adapter = f" with {adapter}" if adapter else ""
        at = f" at lora_scaling {scaling:g}" if scaling is not None else ""
        return f"{self.name} (model {self.settings.model}{with_adapter}{at})"


@dataclass(frozen=True, eq=False)
class PlannedVerdicts:
    """The verdicts of a judge on an experiment's responses, or on which of two is better."""

    experiment: PlannedExperiment
    judge: PlannedJudge
    rival: PlannedExperiment | None
    fingerprint: Fingerprint
    digest: str
    reads: list[str]

    @property
    def path(self) -> Path:
        """Path of the verdicts, a row for each item that the scorer needs one of."""
        return Path(VERDICTS.format(**_wildcards(self)))


@once
def plan_judge(context: PlanContext, name: str) -> PlannedJudge:
    """Return a judge of the study, and what decides its replies."""
    settings = context.study.judges[name]
    if settings.server:
        return PlannedJudge(name, settings, settings.server.identity, None)
    model = context.study.models[str(settings.model)]
    family = context.family(str(settings.model))
    # A judge has no experiment: what only those set has its default.
    own = family.experiment.model_fields if family.experiment else {}
    known = {key: field.default for key, field in own.items()} | dict(model)
    adapter = plan_adapter(context, settings.adapter) if settings.adapter else None
    identity = {
        "family": model.family,
        "settings": {key: known[key] for key in family.answer_settings},
        "sources": {k: context.source(s) for k, s in _sources(context, settings).items()},
        "dtype": model.dtype,
        "adapter": adapter.fingerprint if adapter else None,
        "lora_scaling": settings.lora_scaling,
        "code": context.code("lorascope.judging.local", family.answerer),
    }
    return PlannedJudge(name, settings, identity, adapter)


def _sources(context: PlanContext, judge: "JudgeSettings") -> "dict[str, str | HubSource]":
    """Return key -> source of a model of the study that judges, and of its ready-made adapter."""
    if judge.model is None:
        return {}
    found = context.sources(judge.model, context.family(judge.model).sources)
    if judge.adapter and (source := context.study.adapters[judge.adapter].source):
        found["adapter"] = source
    return found


def plan_verdicts(context: PlanContext, identifier: str) -> PlannedVerdicts | None:
    """Return the verdicts that an experiment's scores are made of; None where no judge is asked."""
    return next(iter(all_verdicts(context, identifier)), None)


@once
def all_verdicts(context: PlanContext, identifier: str) -> list[PlannedVerdicts]:
    """Return the verdicts of each judge of an experiment, first those that count."""
    experiment = context.study.experiments[identifier]
    return [_plan_verdicts(context, identifier, name) for name in judges_of(experiment)]


def _plan_verdicts(context: PlanContext, identifier: str, name: str) -> PlannedVerdicts:
    planned, judge = plan_experiment(context, identifier), plan_judge(context, name)
    experiment, settings = planned.experiment, judge.settings
    scorer, other = SCORERS[experiment.scorer], None
    if scorer.asks == PREFERENCE:
        other = plan_experiment(context, rival(context.study, experiment))
    rules = experiment.rules
    asked_first = SCORERS[rules.name] if rules else None
    functions = [asked_first.score_item] if asked_first else []
    files = scorer_files(context, asked_first, rules.own if rules else {})
    protocol = _protocol(context, judge, str(scorer.asks))
    fingerprint: Fingerprint = {
        "stage": STAGE.name,
        "asks": scorer.asks,
        "judge": judge.identity,
        "protocol": protocol,
        "settings": settings.model_dump(
            include={"attempts", "max_tokens", "temperature", "seed"},
        ),
        "rules": {
            "scorer": rules.name,
            "settings": rules.own,
            "undecided": list(asked_first.undecided or ()),
            "agreement": experiment.scoring["agreement"],
        }
        if rules and asked_first
        else None,
        "files": {**files, **(protocol if isinstance(protocol, dict) else {})},
        "sources": judge.identity.get("sources", {}),
        "predictions": planned.digest,
        "against": other.digest if other else None,
        "code": context.code("lorascope.stages.judge", *functions),
    }
    reads = [*fingerprint["files"], *local(_sources(context, settings).values())]
    return PlannedVerdicts(planned, judge, other, fingerprint, digest(fingerprint), reads)


def scorer_files(
    context: PlanContext, scorer: "Scorer | None", own: dict[str, Any]
) -> dict[str, Any]:
    """Return the user's files that a scorer's verdicts depend on -> their hashes."""
    if scorer is None:
        return {}
    return {own[key]: context.modules(own[key], scorer.modules) for key in scorer.files}


def _protocol(context: PlanContext, judge: PlannedJudge, asks: str) -> str | dict[str, Any]:
    """Return the name of a judge's protocol, or path -> hash of the user's own.

    UserError, naming it, for one of the user's that cannot be.
    """
    prompt = judge.settings.prompt
    if prompt is None or isinstance(prompt, str):
        return prompt or (PREFERENCE if asks == PREFERENCE else CORRECTNESS)
    file = Path(prompt.file)
    if file.exists():
        try:
            read_protocol(file, "preference" if asks == PREFERENCE else "verdict")
        except UserError as error:
            where = f"{context.study.file}: judges.{judge.name}.prompt.file"
            raise UserError(f"{where}: {error}") from error
    return {prompt.file: context.modules(prompt.file, None)}


def _wildcards(planned: PlannedVerdicts) -> dict[str, str]:
    experiment = planned.experiment
    return {"id": experiment.id, "digest": experiment.digest, "verdict_digest": planned.digest}


def _told(context: PlanContext, planned: PlannedVerdicts) -> JudgeJob:
    experiment, judge, other = planned.experiment, planned.judge, planned.rival
    settings, rules = judge.settings, experiment.experiment.rules
    protocol = planned.fingerprint["protocol"]
    return JudgeJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        id=experiment.id,
        judge=judge.name,
        identity=judge.told,
        cache=str(judge.cache),
        server=settings.server.model_dump() if settings.server else None,
        load=context.family(settings.model).answerer if settings.model else None,
        sources=as_told(_sources(context, settings)),
        adapter=str(judge.adapter.folder) if judge.adapter else None,
        trained=judge.adapter.digest if judge.adapter else None,
        batch_size=settings.batch_size,
        tokens_at_once=settings.tokens_at_once,
        protocol=protocol if isinstance(protocol, str) else next(iter(protocol)),
        dataset=experiment.dataset.digest,
        items=str(experiment.dataset.items),
        predictions=str(experiment.predictions),
        predicted=experiment.digest,
        rivals=str(other.predictions) if other else None,
        rivalled=other.digest if other else None,
        rules=SCORERS[rules.name].score_item if rules else None,
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each judge of each experiment."""
    for identifier in context.study.experiments:
        for planned in all_verdicts(context, identifier):
            model = planned.judge.settings.model
            yield STAGE.job(
                _wildcards(planned),
                inputs=_inputs(context, planned),
                told=partial(_told, context, planned),
                message=partial(_message, planned),
                reads=planned.reads,
                gpus=context.study.models[model].gpus_per_job if model else 0,
                lock=lock_of(planned.path),
                remote=model is None,
            )


def _inputs(context: PlanContext, planned: PlannedVerdicts) -> list[Path]:
    judge = planned.judge
    found: Iterable[Path] = [
        planned.experiment.dataset.items,
        planned.experiment.predictions,
        *([planned.rival.predictions] if planned.rival else []),
        *(judge.adapter.files.values() if judge.adapter else ()),
        *markers(_sources(context, judge.settings).values()),
    ]
    return list(dict.fromkeys(found))


def lock_of(path: Path | str) -> Path:
    """Return the lock that a job holds while it makes these verdicts."""
    return Path(path).with_suffix(".lock")


def _message(planned: PlannedVerdicts) -> str:
    rules = planned.experiment.experiment.rules
    what = "the responses"
    if planned.rival:
        what = f"the responses against those of {planned.rival.id}"
    elif rules:
        what = f"what {rules.name} cannot decide"
    return f"{planned.experiment.id}: {planned.judge.words} judges {what}"


STAGE = Stage(
    name="judge",
    outputs={"verdicts": VERDICTS},
    kept=VERDICTS,
    log=f"{RESULTS}/logs/judge/{{id}}/{{digest}}-{{verdict_digest}}.log",
    jobs=jobs,
    loads_model=True,
)
