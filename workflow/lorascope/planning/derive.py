"""Planning of derived adapters: nulls of an adapter, and sums of several, without training."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError
from lorascope.identity.digests import canonical, digest
from lorascope.planning.context import PlanContext, once
from lorascope.planning.download import as_told, local, markers
from lorascope.planning.finetune import plan_training
from lorascope.planning.made import PlannedAdapter, home_of
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import Job

if TYPE_CHECKING:
    from lorascope.study.adapters import Derivation
    from lorascope.study.declarations import OwnLora
    from lorascope.study.settings import HubSource

HARMLESS = "plans files, by the fingerprints of what decides them"

FOLDER = f"{RESULTS}/derived/{{adapter}}/{{digest}}"
"""Not that of trainings: no two rules make files of one name."""
OUTPUTS = {
    "weights": f"{FOLDER}/adapter_model.safetensors",
    "config": f"{FOLDER}/adapter_config.json",
    "account": f"{FOLDER}/derivation.json",
    "files": f"{FOLDER}/files.json",
}
KIND = "derivation"
"""The kind of the document that says what an adapter was made of."""
MAKERS = {
    "random": "lorascope.models.deriving.nulls:random_null",
    "shuffled": "lorascope.models.deriving.shuffling:shuffled_null",
    "sign": "lorascope.models.deriving.nulls:negated",
    "sum": "lorascope.models.deriving.mixing:summed",
}
"""Kind of derivation -> (parts, seed, draw) -> the adapter, see `lorascope.models.deriving`."""
READ_TORCH = "lorascope.models.weights:read_torch"
"""What reads the files of tensors that are no safetensors."""


@dataclass(frozen=True)
class DeriveJob(Job):
    """``make`` is of `MAKERS`; ``sources`` are those of ``parts``, by their positions.

    Each part has a ``name``, its ``weight`` and, made by the study, a ``folder`` with the digest
    ``made`` and its own ``fingerprint``; ``own`` reads the LoRA that a model brings along, which
    was trained with ``alpha``. ``base`` is the language model's source, ``draw`` counts the nulls
    that differ in their seed.
    """

    adapter: str
    make: str
    parts: list[dict[str, Any]]
    sources: dict[str, Any]
    base: Any
    draw: int


@dataclass(frozen=True, eq=False)
class Part:
    """What an adapter is made of: one that the study makes, or a source.

    ``own`` says how to read the source of one that the model brings along.
    """

    name: str
    weight: float
    made: PlannedAdapter | None
    source: "str | HubSource | None"
    own: "OwnLora | None"
    alpha: float | None


@dataclass(frozen=True, eq=False)
class DerivedAdapter(PlannedAdapter):
    """A LoRA adapter that is made of others."""

    derivation: "Derivation"
    parts: tuple[Part, ...]
    outputs = OUTPUTS

    @property
    def sources(self) -> "dict[str, str | HubSource]":
        """Position of a part -> its source, of those that are not made here."""
        return {str(i): one.source for i, one in enumerate(self.parts) if one.source is not None}


@once
def plan_adapter(context: PlanContext, name: str) -> PlannedAdapter | None:
    """Return an adapter that the study makes; None for one that is ready-made."""
    if context.study.adapters[name].derived:
        return plan_derived(context, name)
    return plan_training(context, name)


@once
def plan_derived(context: PlanContext, name: str) -> DerivedAdapter:
    """Return an adapter that is made of others, and all that decides it.

    UserError for parts that are more than a LoRA.
    """
    adapter = context.study.adapters[name]
    derivation, family = adapter.derived, context.family(adapter.model)
    assert derivation is not None
    if not derivation.terms:
        raise UserError(
            f"{context.study.file}: adapters.{name}.sum_of: all weights are 0, which is the base "
            "model; leave the adapter out"
        )
    found = (_part(context, name, *one) for one in derivation.terms.items())
    # Neither their names nor their order in the study decide the sum.
    parts = tuple(sorted(found, key=lambda one: canonical(_identity(context, one))))
    make = MAKERS[derivation.kind]
    reads = [READ_TORCH, *(one.own.read for one in parts if one.own)]
    base = getattr(context.study.models[adapter.model], family.language_model)
    fingerprint = {
        "stage": STAGE.name,
        "kind": derivation.kind,
        **({} if derivation.seed is None else {"seed": derivation.seed}),
        "parts": [
            {
                "weight": one.weight,
                "made": one.made.fingerprint if one.made else None,
                "alpha": one.alpha,
            }
            for one in parts
        ],
        "sources": {
            str(i): context.source(one.source)
            for i, one in enumerate(parts)
            if one.source is not None
        },
        "model": base if isinstance(base, str) else {"hub": base.hub},
        "code": context.code("lorascope.stages.derive", make, *dict.fromkeys(reads)),
    }
    own = digest(fingerprint)
    home = home_of(context, derivation.of or name, own, OUTPUTS)
    return DerivedAdapter(name, home, adapter.model, fingerprint, own, derivation, parts)


def _identity(context: PlanContext, part: Part) -> list[Any]:
    made = part.made.fingerprint if part.made else None
    return [made, part.source and context.source(part.source), part.alpha, part.weight]


def _part(context: PlanContext, name: str, of: str, weight: float) -> Part:
    """Return a part, by its name in the study; UserError for one that is more than a LoRA."""
    study = context.study
    if of not in study.adapters:
        own, settings = context.family(of).own_lora, study.models[of]
        assert own is not None
        source, alpha = getattr(settings, own.source), getattr(settings, own.alpha)
        return Part(of, weight, None, source, own, alpha)
    made, source = plan_adapter(context, of), study.adapters[of].source
    encoding = context.family(study.adapters[of].model).encoding
    beside = encoding and encoding.adapter_file
    if beside and _has(context, made, source, beside):
        raise UserError(
            f"{study.file}: adapters.{name}: {of} brings {beside} along, of which there is neither "
            "a null nor a sum; use an adapter without it"
        )
    return Part(of, weight, made, source, None, None)


def _has(
    context: PlanContext,
    made: PlannedAdapter | None,
    source: "str | HubSource | None",
    file: str,
) -> bool:
    """Return whether an adapter has a file beside peft's."""
    if made:
        return made.changes_encoding
    return isinstance(source, str) and file in context.source(source)


@once
def made(context: PlanContext) -> list[PlannedAdapter]:
    """Return the adapters that experiments use, or are made of, and the study makes."""
    planned = (plan_adapter(context, name) for name in context.adapters)
    return [adapter for adapter in planned if adapter]


def made_of(planned: PlannedAdapter | None) -> Iterator[PlannedAdapter]:
    """Yield an adapter after all that it is made of and the study makes, too."""
    if planned is None:
        return
    for part in planned.parts if isinstance(planned, DerivedAdapter) else ():
        if part.made:
            yield from made_of(part.made)
    yield planned


def _told(context: PlanContext, planned: DerivedAdapter) -> DeriveJob:
    family = context.family(planned.model)
    base = getattr(context.study.models[planned.model], family.language_model)
    return DeriveJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        adapter=planned.name,
        make=MAKERS[planned.derivation.kind],
        parts=[
            {
                "name": one.name,
                "weight": one.weight,
                "folder": str(one.made.folder) if one.made else None,
                "made": one.made.digest if one.made else None,
                "own": one.own.read if one.own else None,
                "alpha": one.alpha,
            }
            for one in planned.parts
        ],
        sources=as_told(planned.sources),
        base=as_told({"": base})[""],
        draw=planned.derivation.draw,
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each adapter that is made of others."""
    # Two names of one adapter have one job, under the first.
    first: dict[str, DerivedAdapter] = {}
    for planned in made(context):
        if isinstance(planned, DerivedAdapter):
            first.setdefault(planned.digest, planned)
    for planned in first.values():
        parts = [one.made for one in planned.parts if one.made]
        base = getattr(
            context.study.models[planned.model], context.family(planned.model).language_model
        )
        yield STAGE.job(
            {"adapter": planned.home, "digest": planned.digest},
            inputs=[
                *(path for part in parts for path in part.files.values()),
                *markers([*planned.sources.values(), base]),
            ],
            reads=local(planned.sources.values()),
            told=partial(_told, context, planned),
            message=partial(message, planned),
        )


def message(planned: DerivedAdapter) -> str:
    """Say in words what an adapter is made of."""
    derivation = planned.derivation
    if not derivation.is_null:
        terms = " + ".join(f"{weight:g} {part}" for part, weight in derivation.terms.items())
        return f"derive {planned.name}: {terms}"
    seed = "" if derivation.seed is None else f" (seed {derivation.seed})"
    return f"derive {planned.name}: {derivation.kind} null of {planned.parts[0].name}{seed}"


STAGE = Stage(
    name="derive",
    outputs=OUTPUTS,
    log=f"{RESULTS}/logs/derive/{{adapter}}/{{digest}}.log",
    kept=FOLDER,
    jobs=jobs,
)
