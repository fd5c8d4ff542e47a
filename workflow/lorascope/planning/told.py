"""What a job is told; here for the stages of which a study has a job for each experiment.

These jobs start without what plans them: many find that another one has done their work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeAlias

from lorascope.errors import UserError
from lorascope.identity.digests import canonical, text_digest
from lorascope.planning.results import RESULTS

HARMLESS = "holds what was planned, by the fingerprints of what decides it"

FOLDER = f"{RESULTS}/experiments/{{id}}/{{digest}}"
PREDICTIONS = f"{FOLDER}/predictions.parquet"
IMPORTED = f"{FOLDER}/imported.parquet"
"""Of predictions that were made elsewhere: no two rules make a file of one name."""
RUNTIME = f"{FOLDER}/runtime.parquet"
MERGED = {"predictions": PREDICTIONS, "runtime": RUNTIME}
"""What a merge makes, by the names of its outputs."""

Fingerprint: TypeAlias = dict[str, Any]
"""What determines a file: settings, sources, code and, nested, the fingerprints upstream."""


@dataclass(frozen=True)
class Job:
    """What a job is told, in a file that planning writes and the stage reads back.

    Each stage has a subclass with what it needs besides. Values are JSON's.
    """

    fingerprint: Fingerprint
    digest: str

    @cached_property
    def json(self) -> str:
        """The content of the job's file."""
        return canonical({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the job with these values; UserError unless they are those of such a job."""
        expected = {field.name for field in fields(cls)}
        if values.keys() != expected:
            raise UserError(f"holds no {cls.__name__}; stages are called by snakemake")
        return cls(**values)


def job_file(text: str) -> Path:
    """Return where what a job is told lies: a file named after its content."""
    return Path(RESULTS, "jobs", f"{text_digest(text)}.json")


@dataclass(frozen=True)
class InferJob(Job):
    """``load`` is the family's; ``sources`` are the model's and a ready-made adapter's.

    ``folder`` is that of everything inferred under these settings.
    ``items`` lie in a file with the digest ``dataset``, the features of their clips in ``chunks``
    with the digest ``features``. ``adapter`` is the folder of one that the study made, with the
    digest ``trained``. ``takes_questions`` is as its family declares it.
    """

    id: str
    folder: str
    load: str
    sources: dict[str, Any]
    dataset: str
    items: str
    features: str | None
    chunks: list[str]
    adapter: str | None
    trained: str | None
    batch_size: int | None
    tokens_at_once: int
    takes_questions: bool


def answers(folder: Path) -> Path:
    """Return the folder of answers that are kept as they come, in an experiment's folder."""
    return folder / "answers"


@dataclass(frozen=True)
class MergeJob(Job):
    """``shards`` are merged in the order of ``items``, which lie in a file with digest ``dataset``.

    ``twin`` is the folder of another ID with the very same predictions, to be copied instead.
    """

    id: str
    dataset: str
    items: str
    shards: list[str]
    twin: str | None


def copied(folder: Path) -> dict[str, Path]:
    """Return the files of a twin's folder that a merge copies, by the names of its outputs."""
    return {name: folder / Path(path).name for name, path in MERGED.items()}


@dataclass(frozen=True)
class ScoreJob(Job):
    """``score_item`` is the scorer's.

    ``predictions`` have the digest ``predicted``, the items they answer the digest ``dataset``.
    ``rules`` is the function of the scorer that is asked before a judge. ``verdicts`` are (judge,
    file, digest) of the judges that are asked, first the one that counts.
    """

    id: str
    score_item: str
    dataset: str
    items: str
    predictions: str
    predicted: str
    rules: str | None = None
    verdicts: list[list[str]] = field(default_factory=list)
