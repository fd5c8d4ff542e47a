"""What a job has made for another one of its run, whose own job takes it as it is.

So that job needs neither tables nor arrays, the import of which is most of what it would cost. The
files lie beside the journal that holds the same answers, and what vouches for them is written last:
where one is missing or damaged, the job does its work as if there were no such files.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lorascope.errors import UserError
from lorascope.planning.told import InferJob, answers, copied
from lorascope.storage.downloads import Commit, other_commit
from lorascope.storage.records import checked_document, file_sha256, write_document, writing

HARMLESS = "moves files that another job has written whole"

log = logging.getLogger("lorascope")


class _Label:
    """What vouches for files: their checksums, and what is told of them."""

    def __init__(self, path: Path, kind: str, digest: str) -> None:
        self.path, self.kind, self.digest = path, kind, digest

    def write(
        self, told: Mapping[str, Any], files: Sequence[Path], of: Sequence[Path] = ()
    ) -> None:
        """Vouch for files that were made of others."""
        label = {"told": dict(told), "files": _contents(files), "of": _contents(of)}
        write_document(self.path, self.kind, self.digest, label)

    def read(self, files: Sequence[Path], of: Sequence[Path] = ()) -> dict[str, Any] | None:
        """Return what is told of files that, as those they were made of, are as vouched for.

        None otherwise. ``sources`` among it are the downloads that they were made of.
        """
        if not self.path.exists():
            return None
        try:
            label = checked_document(self.path, self.kind, self.digest)
            told: dict[str, Any] = label["told"]
            if (label["files"], label["of"]) != (_contents(files), _contents(of)):
                return None
            return None if other_commit(told["sources"]) else told
        except (UserError, OSError, ValueError, KeyError, TypeError):
            return None


def _move(file: Path, out: Path) -> None:
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        file.replace(out)


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
        self.file = answers(Path(job.folder)) / f"{shard}-of-{shards}.parquet"
        self.label = _Label(self.file.with_suffix(".json"), "handed shard", job.digest)

    def give(self, told: Told, write: Callable[[Path], None]) -> None:
        """Let ``write`` write the file, and vouch for it."""
        write(self.file)
        self.label.write(asdict(told), [self.file])

    def take(self, out: Path) -> bool:
        """Move the file to ``out`` and say how the shard went; False where there is none of use."""
        told = self.label.read([self.file])
        if told is None:
            return False
        _move(self.file, out)
        if told["warning"]:
            log.warning("%s", told["warning"])
        log.info("%d items, 0 of them answered now", told["items"])
        return True


class Merged:
    """Where the merged files of an experiment are handed over, by whoever answered it whole.

    The label names the content of the shards: beside others it is of no use.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self.files = copied(answers(folder))
        self.label = _Label(answers(folder) / "merged.json", "merged shards", digest)

    def give(
        self, sources: Mapping[str, Commit], shards: Sequence[Path], write: Callable[..., None]
    ) -> None:
        """Let ``write`` write the files, by the names of a merge's outputs, and vouch for them."""
        write(**self.files)
        self.label.write({"sources": dict(sources)}, [*self.files.values()], shards)

    def take(self, shards: Sequence[Path], outs: Mapping[str, Path]) -> bool:
        """Move the files to ``outs``; False where there are none that were merged of ``shards``."""
        if self.label.read([*self.files.values()], shards) is None:
            return False
        for name, file in self.files.items():
            _move(file, outs[name])
        return True


def _contents(files: Sequence[Path]) -> list[str]:
    return [file_sha256(file) for file in files]
