"""Batches that do not fit into memory are halved."""

# Only an error that may be torch's needs torch.
# ruff: noqa: PLC0415

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from lorascope.errors import UserError

HARMLESS = "makes batches smaller where memory lacks, which is recorded"

log = logging.getLogger("lorascope")

Row = TypeVar("Row")
Result = TypeVar("Result")

# What torch, CUDA and cuBLAS say in a RuntimeError that is no torch.OutOfMemoryError.
SIGNS = ("out of memory", "can't allocate memory", "cublas_status_alloc_failed")


class Halving(Generic[Row, Result]):
    """Computes batches; one that does not fit into memory is done in halves.

    What did not fit once is not tried again: later batches keep to the smaller size.
    """

    def __init__(self, compute: Callable[[Sequence[Row]], Result], what: str) -> None:
        self.compute, self.what = compute, what
        self.halvings = 0
        self._most: int | None = None

    def __call__(self, batch: Sequence[Row]) -> Iterator[tuple[Sequence[Row], Result]]:
        """Yield the parts of ``batch`` in order, each with its result.

        UserError if a single row does not fit.
        """
        waiting = list(batch)
        while waiting:
            part = waiting[: self._most or len(waiting)]
            problem, results = None, []
            try:
                results.append(self.compute(part))
            except (RuntimeError, MemoryError) as error:
                if not is_lack_of_memory(error):
                    raise
                problem = memory_problem(error)
            # The exception is gone by now, and with it the tensors its traceback held on to.
            if problem is None:
                yield part, results.pop()
                waiting = waiting[len(part) :]
            else:
                self._most = self.halve(len(part), problem)

    def halve(self, rows: int, problem: str) -> int:
        """Return half of ``rows``, which do not fit, for a ``problem``; count that, and say so.

        UserError if that is a single one.
        """
        if rows == 1:
            raise UserError(
                f"{self.what}: not even a single one fits into memory ({problem}); give the job "
                "more memory or a larger GPU, set gpus_per_job: 2 or dtype: float16 of the model, "
                "or lower max_new_tokens"
            )
        self.halvings += 1
        log.warning("%s: %d do not fit into memory, going on with %d", self.what, rows, rows // 2)
        log.info("%s", problem)
        _release()
        return rows // 2


def memory_problem(error: Exception) -> str:
    """Return in words what an error says of the lack of memory."""
    return str(error).partition("\n")[0] or "out of memory"


def is_lack_of_memory(error: Exception) -> bool:
    """Return whether an error of torch, CUDA or Python says that memory is lacking."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error).lower() for sign in SIGNS)


def _release() -> None:
    """Give cached memory back; what fragments is free again for smaller batches."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
