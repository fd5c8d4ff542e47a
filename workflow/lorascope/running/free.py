"""How much memory a device has left."""

# Only a GPU needs torch.
# ruff: noqa: PLC0415

import os
from collections.abc import Iterator
from pathlib import Path

HARMLESS = "says how much is computed at once where that changes no answer"

CGROUPS, MEMINFO, OWN = Path("/sys/fs/cgroup"), Path("/proc/meminfo"), Path("/proc/self")


def free_bytes(device: str) -> int:
    """Return the bytes that this process may still take on a device ("cpu", "cuda", "auto").

    On the CPU that is what the machine, the control groups of the process and its SLURM job leave;
    over several GPUs, what the fullest leaves times their number. What torch holds without using it
    counts as free.
    """
    if device == "cpu":
        return max(0, min(_left_on_the_cpu()))
    import torch

    found = [_left_on_gpu(torch, i) for i in range(torch.cuda.device_count())]
    return min(found) * len(found) if device == "auto" else found[0]


def _left_on_gpu(torch: object, index: int) -> int:
    cuda = torch.cuda  # type: ignore[attr-defined]
    unused = cuda.memory_reserved(index) - cuda.memory_allocated(index)
    return int(cuda.mem_get_info(index)[0] + unused)


def _left_on_the_cpu() -> Iterator[int]:
    # Outside Linux nobody says what is left of the machine's memory.
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield 1024 * _number(MEMINFO, "MemAvailable:") or whole
    yield from _left_in_groups()
    # Megabytes; 0 is all of the node's.
    if given := int(os.environ.get("SLURM_MEM_PER_NODE") or 0):
        yield given * 2**20 - 1024 * _number(OWN / "status", "RssAnon:")


def _left_in_groups() -> Iterator[int]:
    """Yield what each control group around this process leaves; pages of files can be dropped."""
    for line in _text(OWN / "cgroup").splitlines():
        _, kinds, path = line.split(":", 2)
        second = not kinds
        if not second and "memory" not in kinds.split(","):
            continue
        root = CGROUPS if second else CGROUPS / "memory"
        limit, used, files = (
            ("memory.max", "memory.current", "inactive_file")
            if second
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        group = root / path.lstrip("/")
        # In a container, the group's folder is the root itself.
        for folder in {root, *(g for g in (group, *group.parents) if root in g.parents)}:
            text = _text(folder / limit)
            if text.isdigit():
                taken = int(_text(folder / used) or 0)
                yield int(text) - taken + _number(folder / "memory.stat", files)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path, key: str) -> int:
    """Return the number after a key that begins a line of a file; 0 where there is none."""
    lines = (line.split() for line in _text(path).splitlines())
    return next((int(parts[1]) for parts in lines if parts and parts[0] == key), 0)
