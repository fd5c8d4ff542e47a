"""The file of a shard that another job of the run has answered: its own job takes it as it is.

So that it needs neither tables nor arrays, the import of which is most of what it would cost. The
file lies beside the journal that holds the same answers, and what vouches for it is written last:
where either is missing or damaged, the job reads the journal as if there were no such file.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lorascope.errors import UserError
from lorascope.planning.infer import InferJob, answers
from lorascope.storage.downloads import Commit, other_commit
from lorascope.storage.records import checked_document, file_sha256, write_document, writing

HARMLESS = "moves a file that another job has written whole"

log = logging.getLogger("lorascope")

KIND = "handed shard"


@dataclass(frozen=True)
class Told:
    """What a job says of its shard: how many items, and a warning if there is one.

    ``sources`` are the downloads that the answers were made of.
    """

    items: int
    warning: str | None
    sources: dict[str, Commit]


class Handing:
    """Where the file of a shard is handed over, by whoever answered it to its own job."""

    def __init__(self, job: InferJob, shard: int, shards: int) -> None:
        self.digest = job.digest
        self.file = answers(Path(job.folder)) / f"{shard}-of-{shards}.parquet"
        self.label = self.file.with_suffix(".json")

    def give(self, told: Told, write: Callable[[Path], None]) -> None:
        """Let ``write`` write the file, and vouch for it."""
        write(self.file)
        label = {"told": asdict(told), "file": file_sha256(self.file)}
        write_document(self.label, KIND, self.digest, label)

    def take(self, out: Path) -> bool:
        """Move the file to ``out`` and say how the shard went; False where there is none of use."""
        if not self.label.exists():
            return False
        try:
            label = checked_document(self.label, KIND, self.digest)
            told = Told(**label["told"])
            if other_commit(told.sources) or file_sha256(self.file) != label["file"]:
                return False
        except (UserError, OSError, ValueError, KeyError, TypeError):
            return False
        with writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            self.file.replace(out)
        if told.warning:
            log.warning("%s", told.warning)
        log.info("%d items, 0 of them answered now", told.items)
        return True
