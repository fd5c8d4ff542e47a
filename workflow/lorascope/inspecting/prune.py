"""What lies under results that no study plans."""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lorascope.errors import UserError
from lorascope.inspecting.overview import size_text
from lorascope.planning.absent import REMEDY, absent_sources
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
    """Yield what no study plans, with sizes; remove it only if ``remove``.

    UserError, before anything is removed, where results of a listed study may look unplanned since
    a source of it is absent.
    """
    found, total = unplanned(plans), 0
    endangered = [line for plan in plans for line in _endangered(plan, found)]
    if remove and endangered:
        raise UserError(
            f"{'; '.join(endangered)}. {REMEDY[0].upper()}{REMEDY[1:]}; or leave a study out whose "
            "results may go. Nothing was removed."
        )
    yield from (f"{line}: nothing can be removed until it is there" for line in endangered)
    for path in found:
        size = _bytes(path)
        total += size
        yield f"{size_text(size):>8}  {path}"
        if remove:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if remove:
        yield f"{size_text(total)} removed"
    else:
        yield f"{size_text(total)} in all; nothing was removed (make prune REMOVE=yes removes it)"


def _endangered(plan: Plan, found: Iterable[Path]) -> Iterator[str]:
    """Yield the absent sources of a study that has, or may have, left results made with them.

    So has one whose sources were seen here before. Where that is not known any more, what bears a
    name of the study may be its own: without the source nobody knows the digest.
    """
    absent = absent_sources(plan.context)
    bears_a_name = {path.parent for path in found} & _own_folders(plan)
    yield from dict.fromkeys(
        f"{plan.study.file}: not here: {words}"
        for name, words in absent.items()
        if bears_a_name or plan.context.absent[name].last
    )


def _own_folders(plan: Plan) -> set[Path]:
    """Return the folders that a study's digests lie in."""
    found = set()
    for job in plan.jobs.values():
        kept = job.stage.kept
        if kept and kept not in job.stage.outputs.values():
            found.add(Path(*job.out.parts[: len(Path(kept).parts) - 1]))
    return found


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _any(pattern: str) -> str:
    """Return a glob for a pattern of paths with wildcards in braces."""
    return re.sub(r"\{\w+\}", "*", pattern)
