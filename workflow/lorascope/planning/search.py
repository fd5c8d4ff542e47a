"""Planning of searches: which candidates go on to more of the items, decided rung by rung.

A part of the items is a shard of every candidate, so that what is answered for a rung is kept: the
last ones are asked the shards that are left, merged and scored as any experiment. What a rung
decides is not known before it is made; until then it stands among what the report needs.
"""

# A job that is told what to do has no use for the declarations of a study.
# ruff: noqa: PLC0415

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext, once
from lorascope.planning.infer import PlannedExperiment, plan_experiment
from lorascope.planning.results import RESULTS
from lorascope.planning.score import plan_scores
from lorascope.planning.stage import Late, PlannedJob, Stage
from lorascope.planning.told import Fingerprint, Job
from lorascope.storage.records import read_document

if TYPE_CHECKING:
    from lorascope.study.searches import Entrants

HARMLESS = "plans files, by the fingerprints of what decides them"

FOLDER = f"{RESULTS}/search/{{digest}}"
RUNG = f"{FOLDER}/rung-{{rung}}.json"
KIND = "search"


@dataclass(frozen=True)
class SearchJob(Job):
    """A decision: the best ``keep`` of the ``candidates`` go on, and those that ``always`` do.

    They are scored ``by`` a category or the mean of them on the first ``parts`` of ``of`` shards.
    A candidate is its name and its experiments, each as a mapping: ``shards`` are files with the
    ``digest``, or all answers are in ``predictions``; ``lanes`` say how shards are cut from
    ``items`` with the digest ``dataset``; ``score_item`` is its scorer's, with the keys ``own``.
    """

    rung: int
    parts: int
    of: int
    by: str
    keep: int
    always: list[str]
    candidates: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class PlannedSearch:
    """A search: its rungs in numbers of parts, and what is decided of them so far."""

    of: "Entrants"
    shards: int
    experiments: Mapping[str, list[PlannedExperiment]]
    fingerprint: Fingerprint
    digest: str
    _read: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def rungs(self) -> list[int]:
        """How many of the parts are asked before each decision."""
        return self.of.rungs(self.shards)

    def path(self, rung: int) -> Path:
        """The file of a decision."""
        return Path(RUNG.format(digest=self.digest, rung=rung))

    @property
    def decided(self) -> list[dict[str, Any]]:
        """The decisions that are made, in their order."""
        found = []
        for rung in range(len(self.rungs)):
            if rung not in self._read:
                path = self.path(rung)
                try:
                    self._read[rung] = read_document(path, KIND, self.digest)
                except UserError:  # it is not there, or was moved aside
                    break
            found.append(self._read[rung])
        return found

    @property
    def is_over(self) -> bool:
        """Whether it is known who is asked everything."""
        return len(self.decided) == len(self.rungs)

    def alive(self, rung: int | None = None) -> list[str]:
        """Return the names of candidates before a rung is decided (None: as far as is known)."""
        decided = self.decided[:rung]
        return decided[-1]["left"] if decided else [one.name for one in self.of.candidates]

    @property
    def dropped(self) -> dict[str, str]:
        """ID -> when and why an experiment was dropped."""
        return {
            planned.id: f"dropped by the search at {_shown(row['score'])}, on {row['items']} items "
            f"({document['parts']} of {document['of']} parts)"
            for document in self.decided
            for row in document["candidates"]
            if row["name"] not in document["left"]
            for planned in self.experiments[row["name"]]
        }


def _shown(score: float | None) -> str:
    return "no value" if score is None else f"{score:.4g}"


@once
def plan_searches(context: PlanContext) -> list[PlannedSearch]:
    """Return the searches of the study."""
    if not context.study.search:
        return []
    from lorascope.study.searches import entrants

    return [_planned(context, one) for one in entrants(context.study)]


def _planned(context: PlanContext, one: "Entrants") -> PlannedSearch:
    every = context.study.experiments.values()
    experiments = {
        candidate.name: [plan_experiment(context, e.id) for e in every if e.base in own]
        for candidate in one.candidates
        for own in ({*candidate.experiments},)
    }
    shards = next(iter(experiments.values()))[0].shards
    fingerprint = {
        "stage": STAGE.name,
        "by": one.search.by,
        "rungs": one.rungs(shards),
        "parts": shards,
        "reduce": one.search.reduce,
        "always": sorted(one.always),
        "candidates": [
            [name, [plan_scores(context, planned.id).digest for planned in own]]
            for name, own in experiments.items()
        ],
        "code": context.code("lorascope.stages.search"),
    }
    return PlannedSearch(one, shards, experiments, fingerprint, digest(fingerprint))


def hidden(context: PlanContext) -> set[str]:
    """Return IDs of candidates that are dropped, or may be: no report is of them."""
    return {
        planned.id
        for search in plan_searches(context)
        for name, own in search.experiments.items()
        if not search.is_over or name not in search.alive()
        for planned in own
    }


def dropped(context: PlanContext) -> dict[str, str]:
    """Return ID -> when and why it was dropped by a search."""
    return {name: why for one in plan_searches(context) for name, why in one.dropped.items()}


def undecided(context: PlanContext) -> list[Path]:
    """Return the decisions of searches that are not made yet."""
    return [
        one.path(rung)
        for one in plan_searches(context)
        for rung in range(len(one.decided), len(one.rungs))
    ]


def _inputs(search: PlannedSearch, rung: int) -> list[Path]:
    """Return what a rung is decided by; the one before it, where that is not decided yet."""
    if len(search.decided) < rung:
        return [search.path(rung - 1)]
    files = [search.path(rung - 1)] if rung else []
    for name in search.alive(rung):
        for planned in search.experiments[name]:
            files.append(planned.dataset.items)
            done = planned.is_answered
            shards = planned.shard_files()[: search.rungs[rung]]
            files += [planned.predictions] if done else shards
    return [*dict.fromkeys(files)]


def _told(context: PlanContext, search: PlannedSearch, rung: int) -> SearchJob:
    names = search.alive(rung)
    return SearchJob(
        fingerprint=search.fingerprint,
        digest=search.digest,
        rung=rung,
        parts=search.rungs[rung],
        of=search.shards,
        by=search.of.search.by,
        keep=-(-len(names) // search.of.search.reduce),
        always=sorted(search.of.always & {*names}),
        candidates=[
            {"name": n, "experiments": [_experiment(context, e) for e in search.experiments[n]]}
            for n in names
        ],
    )


def _experiment(context: PlanContext, planned: PlannedExperiment) -> dict[str, Any]:
    scores, asked = plan_scores(context, planned.id), planned.experiment.asked
    return {
        "id": planned.id,
        "digest": planned.digest,
        "shards": [str(path) for path in planned.shard_files()],
        "predictions": str(planned.predictions),
        "items": str(planned.dataset.items),
        "dataset": planned.dataset.digest,
        "score_item": scores.score_item,
        "own": scores.fingerprint["settings"],
        "lanes": {
            "dtype": planned.fingerprint["dtype"],
            "batch_size": asked.batch_size,
            "tokens_at_once": asked.tokens_at_once,
            "mode": asked.mode,
            "generation": planned.fingerprint.get("generation", {}),
        },
    }


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each rung of each search."""
    for search in plan_searches(context):
        for rung in range(len(search.rungs)):
            yield STAGE.job(
                {"digest": search.digest, "rung": rung},
                inputs=Late(partial(_inputs, search, rung)),
                told=partial(_told, context, search, rung),
                message=partial(_message, search, rung),
            )


def _message(search: PlannedSearch, rung: int) -> str:
    reduce, count = search.of.search.reduce, len(search.alive(rung))
    for _ in range(len(search.decided), rung):
        count = -(-count // reduce)
    known = "" if len(search.decided) >= rung else "about "
    return (
        f"search by {search.of.search.by}: {known}{count} candidates by {search.rungs[rung]} of "
        f"{search.shards} parts of the items, one of {reduce} goes on"
    )


STAGE = Stage(
    name="search",
    outputs={"rung": RUNG},
    log=f"{RESULTS}/logs/search/{{digest}}-{{rung}}.log",
    jobs=jobs,
    kept=FOLDER,
)
