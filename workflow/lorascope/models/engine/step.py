"""The step of rows in buffers of fixed shapes: run kernel by kernel, or recorded and replayed."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin, DynamicCache

from lorascope.models.engine.forward import Forward
from lorascope.models.row_scalings import HeldScalings


class Layer(CacheLayerMixin):
    """Keys and values of one layer [rows, heads, columns, width]: a step writes a column a row."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys, self.values = keys, values
        self.columns: Tensor
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: it has its buffers from the start."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one position of each row; return all."""
        assert self.keys is not None
        assert self.values is not None
        for held, new in ((self.keys, key_states), (self.values, value_states)):
            held.scatter_(2, self.columns.expand(-1, new.shape[1], 1, new.shape[3]), new)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the columns, and at which they begin."""
        return self.get_max_length(), 0

    def get_seq_length(self) -> int:
        """Return the columns that may be before the one that is read."""
        return self.get_max_length() - 1

    def get_max_length(self) -> int:
        """Return the columns."""
        assert self.keys is not None
        return int(self.keys.shape[2])


class Step:
    """The step of one number of rows and columns, which is read from tensors that stay."""

    def __init__(
        self,
        forward: Forward,
        views: Sequence[tuple[Tensor, Tensor]],
        scalings: HeldScalings,
        scaled: bool,
    ) -> None:
        self.forward, self.scalings, self.scaled = forward, scalings, scaled
        self.cache = DynamicCache()
        layers: list[Any] = [Layer(*view) for view in views]
        self.cache.layers = layers
        self.rows, _, self.width, _ = views[0][0].shape
        device = views[0][0].device
        self.tokens = torch.zeros(self.rows, 1, dtype=torch.long, device=device)
        self.lengths = torch.zeros_like(self.tokens)
        self.graph: Any = None
        self.logits: Tensor

    def run(self) -> None:
        """Read a token of each row at its place, kernel by kernel; may be done again."""
        columns = torch.arange(self.width, device=self.tokens.device)
        layers: list[Any] = self.cache.layers
        for layer in layers:
            layer.columns = self.lengths[:, :, None, None]
        mask = torch.zeros(self.rows, self.width, dtype=self.forward.model.dtype,
                           device=self.tokens.device)  # fmt: skip
        mask.masked_fill_(columns > self.lengths, -torch.inf)
        with self.scalings.in_force(self.rows if self.scaled else None):
            output = self.forward(self.tokens, mask[:, None, None], self.lengths, self.cache)
        self.logits = output.logits[:, -1]

    def record(self, pool: Any, stream: Any) -> None:
        """Record the step, after it has run once beside: then everything that it loads is loaded.

        An error where the host waits for the device in its midst, and for a recording that does not
        give the same scores.
        """
        cuda: Any = torch.cuda
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream):
            with no_waiting():
                self.run()
            expected = self.logits
            stream.synchronize()
            graph = cuda.CUDAGraph()
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                self.run()
            finally:
                graph.capture_end()
        cuda.current_stream().wait_stream(stream)
        graph.replay()
        if not torch.allclose(self.logits, expected, rtol=0, atol=0, equal_nan=True):
            raise RuntimeError("the recorded step gives other scores")
        self.graph = graph


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise a RuntimeError where the host waits for the device."""
    cuda: Any = torch.cuda
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is a prototype, which may overlook some
        before = cuda.get_sync_debug_mode()
        cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            cuda.set_sync_debug_mode(before)
