"""What a model keeps of the rows that it reads: rows leave, others join, columns go.

Every row ends at the last column: what pads it stands before it. transformers' own caches hold
the keys and values; only those of full attention and of sliding windows have rows and columns, a
recurrent state has not.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

SPARE = 32
"""Columns that a buffer has to spare: all that it holds is copied once in so many steps."""


class RoomyLayer(DynamicLayer):
    """Keys and values in buffers with columns to spare, into which a step writes its own.

    transformers' layer copies all that it holds at each token.
    """

    def __init__(self, layer: Any, times: int = 1) -> None:
        """Take over what a layer holds: each of its rows so many times, one after the other."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._buffers: dict[str, Tensor] = {}
        self.keys = self._held("keys", layer.keys, times)
        self.values = self._held("values", layer.values, times)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add columns [rows, heads, columns, width]; return all keys and values."""
        self.keys = self._with("keys", key_states)
        self.values = self._with("values", value_states)
        return self.keys, self.values

    def _held(self, name: str, held: Tensor, times: int = 1, more: int = 0) -> Tensor:
        """Return what is held as a part of a new buffer, in which there is room for more."""
        rows, heads, columns, width = held.shape
        buffer = held.new_empty(rows * times, heads, columns + more + SPARE, width)
        buffer.view(rows, times, heads, -1, width)[:, :, :, :columns] = held[:, None]
        self._buffers = {**self._buffers, name: buffer}
        return buffer[:, :, :columns]

    def _with(self, name: str, more: Tensor) -> Tensor:
        held: Tensor = getattr(self, name)
        wide = held.shape[2] + more.shape[2]
        buffer = self._buffers[name]
        # What rows_cache makes of a layer's tensors lies elsewhere.
        if buffer.data_ptr() != held.data_ptr() or buffer.shape[2] < wide:
            held = self._held(name, held, more=more.shape[2])
        buffer = self._buffers[name]
        buffer[:, :, held.shape[2] : wide] = more
        return buffer[:, :, :wide]


_FULL = (DynamicLayer, RoomyLayer)
_LAYERS = (*_FULL, DynamicSlidingWindowLayer)


def joinable(cache: Any) -> bool:
    """Return whether rows can leave a cache and join it, and several tokens go on from it."""
    return type(cache) is DynamicCache and all(type(layer) in _LAYERS for layer in cache.layers)


def is_full(cache: DynamicCache) -> bool:
    """Return whether every layer holds every column."""
    layers: Any = cache.layers
    return all(type(layer) in _FULL and layer.is_initialized for layer in layers)


def make_room(cache: DynamicCache, times: int = 1) -> None:
    """Hold each row so many times, and let steps write into buffers where a layer is full."""
    layers: Any = cache.layers
    for number, layer in enumerate(layers):  # what was held before is let go of, layer by layer
        if type(layer) is DynamicLayer and layer.is_initialized:
            layers[number] = RoomyLayer(layer, times)
        elif times > 1 and layer.is_initialized:
            layer.keys = layer.keys.repeat_interleave(times, 0)
            layer.values = layer.values.repeat_interleave(times, 0)


def keep(cache: DynamicCache, rows: Tensor | None, width: int) -> None:
    """Keep these rows (None: all), and their last ``width`` columns."""
    for layer in _filled(cache):
        held = min(width, layer.keys.shape[2])
        for name in ("keys", "values"):
            kept = getattr(layer, name)
            kept = kept[:, :, kept.shape[2] - held :]
            setattr(
                layer, name, kept if rows is None else kept.index_select(0, rows.to(kept.device))
            )
        _set_width(layer, width)


def copied(cache: DynamicCache, rows: Tensor, width: int) -> DynamicCache:
    """Return a cache of these rows of another one of ``width``, which stays as it is."""
    other = copy.copy(cache)
    other.layers = [copy.copy(layer) for layer in cache.layers]
    keep(other, rows, width)
    return other


def join(cache: DynamicCache, other: DynamicCache, width: int) -> None:
    """Add the rows of another cache; ``width`` is that of the wider one."""
    for layer, more in zip(_filled(cache), _filled(other), strict=True):
        held = max(layer.keys.shape[2], more.keys.shape[2])
        for name in ("keys", "values"):
            both = [getattr(one, name) for one in (layer, more)]
            wide = [pad(one, (0, 0, held - one.shape[2], 0)) for one in both]
            setattr(layer, name, torch.cat(wide))
        _set_width(layer, width)


def move(cache: DynamicCache, rows: Tensor, columns: int) -> None:
    """Let each row have the last so many columns of another, those of ``rows``."""
    for layer in _filled(cache):
        for kept in (layer.keys, layer.values):
            last = kept[:, :, -columns:]
            last.copy_(last.index_select(0, rows.to(kept.device)))


def keep_past(cache: DynamicCache, kept: bool) -> None:
    """Let sliding windows hold what the next pass pushes out of them, too; or no longer."""
    for layer in cache.layers:
        if isinstance(layer, DynamicSlidingWindowLayer):
            layer.record_past = kept


def shift(cache: DynamicCache, by: Tensor, width: int) -> None:
    """Move each row's columns to the right by its number of ``by`` [rows], what is there before.

    Afterwards sliding windows hold what they hold of ``width`` columns.
    """
    for layer in _filled(cache):
        held = layer.keys.shape[2]
        places = (torch.arange(held, device=by.device) - by[:, None]) % held
        window = getattr(layer, "sliding_window", None)
        start = 0 if window is None else max(0, held - window + 1)
        for name in ("keys", "values"):
            kept = getattr(layer, name)
            index = places[:, None, start:, None].to(kept.device)
            index = index.expand(-1, kept.shape[1], -1, kept.shape[3])
            setattr(layer, name, kept.gather(2, index))
        _set_width(layer, width)


def _filled(cache: DynamicCache) -> Iterator[Any]:
    layers: Any = cache.layers
    return (layer for layer in layers if layer.is_initialized)


def _set_width(layer: Any, width: int) -> None:
    if isinstance(layer, DynamicSlidingWindowLayer):
        layer.cumulative_length = width
