import pytest
import torch

from lorascope.errors import UserError
from lorascope.running.memory import Halving


def fits(most: int, error: Exception, calls: list[int]):
    def compute(batch):
        calls.append(len(batch))
        if len(batch) > most:
            raise error
        return [2 * row for row in batch]

    return compute


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate"
                     " memory: you tried to allocate 4096 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        MemoryError(),
    ],
    ids=["torch", "cpu", "cublas", "python"],
)  # fmt: skip
def test_what_does_not_fit_is_halved_and_the_smaller_size_kept(error):
    calls: list[int] = []
    halving = Halving(fits(3, error, calls), "rows")
    assert list(halving(range(8))) == [([0, 1], [0, 2]), ([2, 3], [4, 6]), ([4, 5], [8, 10]),
                                       ([6, 7], [12, 14])]  # fmt: skip
    assert list(halving(range(3))) == [([0, 1], [0, 2]), ([2], [4])]
    assert calls == [8, 4, 2, 2, 2, 2, 2, 1]
    assert halving.halvings == 2


def test_what_fits_stays_whole():
    halving = Halving(fits(8, MemoryError(), []), "rows")
    assert [part for part, _ in halving(range(8))] == [list(range(8))]
    assert halving.halvings == 0


def test_a_single_row_that_does_not_fit_is_an_error():
    halving = Halving(fits(0, MemoryError(), []), "SF-1: items answered at once")
    with pytest.raises(UserError, match=r"^SF-1: .* not even a single one fits"):
        list(halving(range(4)))


def test_another_error_is_not_taken_for_a_lack_of_memory():
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="shapes"):
        list(Halving(fits(0, error, []), "rows")(range(4)))
