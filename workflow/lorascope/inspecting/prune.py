"""What lies under results that no study plans."""

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from lorascope.inspecting.overview import size_text
from lorascope.planning.plan import STAGES, Plan
from lorascope.study.order import natural

HARMLESS = "looks, and removes only what nothing plans"


def unplanned(plans: Iterable[Plan]) -> list[Path]:
    """Return the folders and files under results that none of the studies plans."""
    planned: set[Path] = set()
    for plan in plans:
        for path in plan.jobs:
            planned |= {path, *path.parents}
    found: list[Path] = []
    for stage in STAGES.values():
        kept = Path().glob(_any(stage.kept)) if stage.kept else ()
        for path in sorted(kept, key=lambda path: natural(str(path))):
            if path not in planned and not any(parent in found for parent in path.parents):
                found.append(path)
    return found


def prune_lines(plans: Sequence[Plan], remove: bool) -> Iterable[str]:
    """Yield what no study plans, with sizes; remove it only if ``remove``."""
    total = 0
    for path in unplanned(plans):
        size = _bytes(path)
        total += size
        yield f"{size_text(size):>8}  {path}"
        if remove:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if remove:
        yield f"{size_text(total)} removed"
    else:
        yield f"{size_text(total)} in all; nothing was removed (make prune REMOVE=yes removes it)"


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _any(pattern: str) -> str:
    """Return a glob for a pattern of paths with wildcards in braces."""
    return re.sub(r"\{\w+\}", "*", pattern)
