"""A repository of a task's data from the hub, as it is."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.benchmarks.lm_eval.tasks import FILES
from lorascope.errors import UserError
from lorascope.storage import hub

CARD = "README.md"
"""Says which files make which configuration of a data set."""


def fetch(source: Mapping[str, Any], root: Path) -> str:
    """Fetch what ``source`` (hub, revision, files) names into ``root``; return its commit.

    The files lie below the folder `FILES` of ``root`` as in the repository. UserError as
    `hub.fetch_data_set` raises it, and where no file matches.
    """

    def unpack(snapshot: Path, folder: Path) -> None:
        found = hub.matching(snapshot, [*source["files"], CARD])
        if not [path for path in found if path.name not in (CARD, ".gitattributes")]:
            raise UserError(
                f"{source['hub']} at revision {source['revision']}: no file matches "
                f"{', '.join(source['files'])}; check the task's data and its revision"
            )
        for path in found:
            copy = folder / FILES / path.relative_to(snapshot)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)

    patterns = [*source["files"], CARD]
    return hub.fetch_data_set(source["hub"], source["revision"], patterns, root, unpack)
