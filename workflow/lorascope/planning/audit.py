"""Planning of audits: what each adapter of a study does to its model's weights, by the files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext, once
from lorascope.planning.derive import plan_adapter
from lorascope.planning.download import as_told, local, markers
from lorascope.planning.made import PlannedAdapter
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import Fingerprint, Job
from lorascope.study.judge_checks import used_judges

if TYPE_CHECKING:
    from lorascope.study.adapters import Derivation
    from lorascope.study.declarations import OwnLora
    from lorascope.study.settings import HubSource

HARMLESS = "plans files, by the fingerprints of what decides them"

FOLDER = f"{RESULTS}/audits/{{adapter}}/{{digest}}"
OUTPUTS = {"audit": f"{FOLDER}/audit.json", "modules": f"{FOLDER}/audit.parquet"}
KIND, MODULES = "audit", "modules of an audit"
READ_TORCH = "lorascope.models.weights:read_torch"
"""What reads the files of tensors that are no safetensors."""


@dataclass(frozen=True)
class AuditJob(Job):
    """``sources`` are the adapter's, unless it lies in ``folder``, and its base model's.

    The folder is of an adapter that the study made, with the digest ``trained``. ``own`` reads
    the LoRA that a model brings along, ``alpha`` is what it was trained with. ``accepted`` is the
    base model that the adapter may name, as the study has it.
    """

    adapter: str
    sources: dict[str, Any]
    folder: str | None
    trained: str | None
    own: str | None
    alpha: float | None
    accepted: str | None


@dataclass(frozen=True, eq=False)
class PlannedAudit:
    """The audit of an adapter of ``model``: of one of the study, or of the model's ``own``.

    ``home`` is the name that it was first made under, ``name`` the one that the study gives it.
    """

    name: str
    home: str
    model: str
    own: "OwnLora | None"
    adapter: PlannedAdapter | None
    sources: "dict[str, str | HubSource]"
    accepted: str | None
    fingerprint: Fingerprint
    digest: str

    @property
    def files(self) -> dict[str, Path]:
        """What the audit makes, by the names of the stage's outputs."""
        return {key: Path(path.format(**self.wildcards)) for key, path in OUTPUTS.items()}

    @property
    def wildcards(self) -> dict[str, str]:
        """What tells its paths from those of others."""
        return {"adapter": self.home, "digest": self.digest}

    @property
    def is_done(self) -> bool:
        """Whether its files are there."""
        return all(path.exists() for path in self.files.values())


@once
def plan_audits(context: PlanContext) -> list[PlannedAudit]:
    """Return the audits of a study's adapters, and of those that its models bring along.

    An adapter whose files are not here is left out, unless its audit is: finished answers are
    reported without the weights. So is a null, whose norms are those of the real one, and a sum
    under the weights of an experiment, whose parts are there.
    """
    adapters = [(name, context.study.adapters[name]) for name in context.adapters]
    passed = [name for name, one in adapters if one.derived and _is_passed(one.derived)]
    named = [(name, one.model, False) for name, one in adapters if name not in passed]
    own = [(name, name, True) for name in _models_alone(context)]
    found = [_plan(context, *one) for one in [*named, *own]]
    return [planned for planned in found if planned]


def _is_passed(derived: "Derivation") -> bool:
    return derived.is_null or bool(derived.of)


def _models_alone(context: PlanContext) -> list[str]:
    """Return the models that answer or judge with the LoRA that they bring along."""
    judges = [context.study.judges[name] for name in used_judges(context.study)]
    names = [e.model for e in context.asked if e.adapter is None]
    names += [judge.model for judge in judges if judge.model and judge.adapter is None]
    return [name for name in dict.fromkeys(names) if context.family(name).own_lora]


def _plan(context: PlanContext, name: str, model: str, is_own: bool) -> PlannedAudit | None:
    """Return an audit, without the model's weights where they are not here."""
    base = getattr(context.study.models[model], context.family(model).language_model)
    whole = _with(context, name, model, is_own, base)
    if whole.is_done or not _lacks(context, whole):
        return whole
    alone = _with(context, name, model, is_own, None)
    return alone if alone.is_done or not _lacks(context, alone) else None


def _lacks(context: PlanContext, planned: PlannedAudit) -> bool:
    return any(source in context.absent for source in local(planned.sources.values()))


def _with(
    context: PlanContext, name: str, model: str, is_own: bool, base: "str | HubSource | None"
) -> PlannedAudit:
    """Return an audit that reads the weights of ``base``, if it is given."""
    settings, family = context.study.models[model], context.family(model)
    own = family.own_lora if is_own else None
    adapter = None if own else plan_adapter(context, name)
    accepted = None if own else context.study.adapters[name].base_model
    source: str | HubSource | None
    source = getattr(settings, own.source) if own else context.study.adapters[name].source
    given = {key: one for key, one in (("adapter", source), ("base", base)) if one is not None}
    named = getattr(settings, family.language_model)
    audit = context.study.audit.model_dump()
    fingerprint = {
        "stage": STAGE.name,
        "settings": audit if audit["intruders"] else {"intruders": None},
        "sources": {key: context.source(one) for key, one in given.items()},
        "trained": adapter.fingerprint if adapter else None,
        "alpha": getattr(settings, own.alpha) if own else None,
        "model": named if isinstance(named, str) else {"hub": named.hub},
        "accepted": accepted,
        "code": context.code("lorascope.stages.audit", READ_TORCH, *([own.read] if own else [])),
    }
    found = digest(fingerprint)
    home = _homes(context).setdefault(found, _made_under(found) or name)
    return PlannedAudit(name, home, model, own, adapter, given, accepted, fingerprint, found)


@once
def _homes(context: PlanContext) -> dict[str, str]:
    """Return digest -> the name that an audit lies under; grows as audits are planned."""
    return {}


def _made_under(digest: str) -> str | None:
    """Return the name under which an audit lies here: one of a renamed adapter is not new."""
    pattern = OUTPUTS["audit"].format(adapter="*", digest=digest)
    return next((path.parents[1].name for path in sorted(Path().glob(pattern))), None)


def _told(planned: PlannedAudit) -> AuditJob:
    adapter = planned.adapter
    return AuditJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        adapter=planned.name,
        sources=as_told(planned.sources),
        folder=str(adapter.folder) if adapter else None,
        trained=adapter.digest if adapter else None,
        own=planned.own.read if planned.own else None,
        alpha=planned.fingerprint["alpha"],
        accepted=planned.accepted,
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each audit."""
    # Two names of one adapter have one audit.
    first: dict[str, PlannedAudit] = {}
    for planned in plan_audits(context):
        first.setdefault(planned.digest, planned)
    for planned in first.values():
        yield STAGE.job(
            planned.wildcards,
            inputs=[
                *(planned.adapter.files.values() if planned.adapter else ()),
                *markers(planned.sources.values()),
            ],
            reads=local(planned.sources.values()),
            told=partial(_told, planned),
            message=partial(_message, planned),
        )


def _message(planned: PlannedAudit) -> str:
    what = f"the LoRA that {planned.model} brings along" if planned.own else planned.name
    return f"audit {what}: what it does to the weights"


STAGE = Stage(
    name="audit",
    outputs=OUTPUTS,
    log=f"{RESULTS}/logs/audit/{{adapter}}/{{digest}}.log",
    kept=FOLDER,
    jobs=jobs,
)
