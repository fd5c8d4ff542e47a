"""An adapter that a study makes, by training or of others, in peft's own files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lorascope.planning.context import PlanContext, once
from lorascope.planning.told import Fingerprint

HARMLESS = "plans files, by the fingerprints of what decides them"


@dataclass(frozen=True, eq=False)
class PlannedAdapter:
    """A LoRA adapter for ``model`` that the study makes.

    ``home`` is the name it was first made under, ``name`` the one that the study gives it.
    """

    name: str
    home: str
    model: str
    fingerprint: Fingerprint
    digest: str
    outputs: ClassVar[Mapping[str, str]]
    """Patterns of its files: weights, config and files (the list of them), and what is beside."""

    @property
    def folder(self) -> Path:
        """Folder of the adapter's files, and of the checkpoints of an unfinished training."""
        return self.files["weights"].parent

    @property
    def files(self) -> dict[str, Path]:
        """What its job makes, by the names of the stage's outputs."""
        return {
            name: Path(path.format(adapter=self.home, digest=self.digest))
            for name, path in self.outputs.items()
        }

    @property
    def changes_encoding(self) -> bool:
        """Whether clips are heard otherwise with this adapter."""
        return False


def home_of(context: PlanContext, name: str, digest: str, outputs: Mapping[str, str]) -> str:
    """Return the name that an adapter lies under: it stays where it was made.

    So a renamed one is not new, and two names of one share a folder.
    """
    return _homes(context).setdefault(digest, _made_under(digest, outputs) or name)


@once
def _homes(context: PlanContext) -> dict[str, str]:
    """Return digest -> the name that an adapter lies under; grows as adapters are planned."""
    return {}


def _made_under(digest: str, outputs: Mapping[str, str]) -> str | None:
    """Return the name under which an adapter lies here complete."""
    pattern = outputs["weights"].format(adapter="*", digest=digest)
    for weights in sorted(Path().glob(pattern)):
        if all((weights.parent / Path(path).name).exists() for path in outputs.values()):
            return weights.parents[1].name
    return None
