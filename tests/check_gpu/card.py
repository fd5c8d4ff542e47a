"""The device: what it does at most, and what is seen of it while something runs."""

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Card:
    """The device, and what it does at most: measured by a copy and by a product of matrices."""

    device: str
    name: str
    bytes_per_second: float
    operations_per_second: float


def measure_card() -> Card:
    """Measure the GPU, or the CPU where there is none."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype, size = (torch.bfloat16, 8192) if device == "cuda" else (torch.float32, 768)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    source = torch.ones(2**28 if device == "cuda" else 2**24, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / fastest(lambda: target.copy_(source))
    multiplied = 2 * size**3 / fastest(lambda: a @ b)
    return Card(device, name, copied, multiplied)


def fastest(work: Callable[[], object], runs: int = 5) -> float:
    """Return the seconds that the fastest of some runs takes."""
    return min(timed(work) for _ in range(runs + 1))


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes on the device."""
    synchronise()
    start = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - start


def synchronise() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Watch:
    """The most memory of the GPU in use while something runs, and how busy it was; 0 without one.

    nvidia-smi says in which share of the last moments a kernel was at work.
    """

    def __init__(self) -> None:
        self.most, self.busy = 0, list[tuple[float, float]]()
        self._done = threading.Event()

    def __enter__(self) -> "Watch":
        self._threads = [threading.Thread(target=one) for one in (self._memory, self._business)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def share(self, start: float, end: float) -> float | None:
        """Return the mean of what was seen between two times of the clock."""
        seen = [share for when, share in self.busy if start <= when <= end]
        return float(np.mean(seen)) if seen else None

    def _memory(self) -> None:
        while not self._done.wait(0.25):
            if torch.cuda.is_available():
                free, whole = torch.cuda.mem_get_info()
                self.most = max(self.most, whole - free)

    def _business(self) -> None:
        asked = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._done.wait(0.5) and torch.cuda.is_available():
            try:
                said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=9)
                self.busy.append((time.time(), float(said.stdout.split()[0]) / 100))
            except (OSError, subprocess.SubprocessError, ValueError, IndexError):
                return
