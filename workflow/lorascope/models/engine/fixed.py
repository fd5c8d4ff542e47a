"""Rows in buffers of fixed shapes, whose steps are launched as one (CUDA graphs).

A step of a large model is a thousand kernels and more, which the host starts slower than a GPU
works on them. Where no shape changes from step to step, they are recorded once and started
together. So rows have slots in buffers [rows, heads, columns, width]: each starts at the first
column, whatever its length; one that leaves frees its slot, and one that joins is copied into it.
Rows and columns are rounded up, so that few shapes occur.

Which shapes these are follows from the lane alone. Recording changes nothing but speed: the same
kernels run one by one where too few steps are left for a recording to pay, or where the model
waits for the device in its midst.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from lorascope.models.engine import rows_cache
from lorascope.models.engine.choosing import State, keep_rows
from lorascope.models.engine.forward import Forward, last
from lorascope.models.engine.lanes import Running
from lorascope.models.engine.step import Step
from lorascope.models.pretrained import embedding_weight
from lorascope.models.profiles import Scaling
from lorascope.models.row_scalings import HeldScalings

log = logging.getLogger("lorascope")

LEAST_STEPS = 8
"""Steps that must be to come: recording takes as long as about three that are not recorded."""
UNIT = 32
"""Columns in which attention is aligned, and few enough that short rows waste little."""
LIKENESS = 0.1
"""How far scores may be apart in the mean, in their standard deviations: much more than rounding,
much less than of a model that heeds no mask or positions."""
# What a model raises that cannot be called so.
UNFIT = (RuntimeError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError)


def pays(device: torch.device) -> bool:
    """Return whether steps of fixed shapes are worth it: where they can be recorded."""
    return device.type == "cuda"


def rounded(number: int) -> int:
    """Return the next of 1 to 8, 10, 12, 14, 16, 20, 24, ...: at most a quarter more."""
    step = max((1 << number.bit_length()) // 8, 1)
    return -(-number // step) * step


def size_of(rows: int, columns: int) -> tuple[int, int]:
    """Return the rows and columns of buffers that hold so many: columns by the ``UNIT``."""
    return rounded(rows), UNIT * rounded(-(-columns // UNIT))


class Buffers:
    """What the rows of one lane after the other are kept in, and the steps that were recorded."""

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.owner: Fixed | None = None
        self.records = forward.model.device.type == "cuda"
        self._flat: list[list[Tensor]] = []
        self._steps: dict[tuple[int, int, bool], Step] = {}
        self._scalings: HeldScalings | None = None
        self._stamp: list[Any] = []
        self._fits: bool | None = None
        self._pool: Any = None
        self._stream: Any = None

    @property
    def bytes(self) -> int:
        """What the buffers take."""
        return sum(flat.nbytes for both in self._flat for flat in both)

    def clear(self) -> None:
        """Let go of everything."""
        self.owner, self._flat = None, []
        self._forget()

    def _forget(self) -> None:
        """Let go of what was recorded, and of the scalings that it read."""
        self._forget_steps()
        self._scalings = None

    def _forget_steps(self) -> None:
        if any(step.graph for step in self._steps.values()):
            torch.cuda.synchronize()  # they may be at work
        self._steps, self._pool = {}, None

    def fit(self) -> bool:
        """Return whether the model can be read so: tried once, beside a step as usual."""
        if self._fits is None:
            self._fits = self.forward.reads_masks and self._tried()
        return self._fits

    def _tried(self) -> bool:
        table = embedding_weight(self.forward.model)
        ids = torch.arange(1, 9, device=table.device)[None] % len(table)
        width = ids.shape[1]
        _, cache = self.forward.scores(ids, torch.ones_like(ids), last(1), [None])
        if not (rows_cache.joinable(cache) and rows_cache.is_full(cache)):
            return False
        state = {"last": ids[:, 0], "length": torch.tensor([width], device=ids.device)}
        running = Running([0], [width], [1], width, cache, state)
        try:
            fixed = Fixed(self, 1, False)
            fixed.join(running, release=False)
            fixed.settle([None], 0)
            found = fixed.read(self.forward).float()
        except torch.OutOfMemoryError:
            raise
        except UNFIT as error:
            log.debug("steps have no fixed shapes: %s", error)
            return False
        finally:
            self.clear()
        return _alike(found, running.read(self.forward).float())

    def scalings(self) -> HeldScalings:
        """Return what scales the model's layers, and forget what was recorded of other tensors.

        Those count as others that lie elsewhere.
        """
        stamp: list[Any] = [
            (name, tensor.data_ptr(), tensor.shape)
            for tensors in (self.forward.model.named_parameters, self.forward.model.named_buffers)
            for name, tensor in tensors()
        ]
        held = self._scalings
        if held is None or stamp != self._stamp or not held.holds():
            self._forget()
            held = HeldScalings(self.forward.model)
            self._scalings, self._stamp = held, stamp
        return held

    def hold(self, layer: int, side: int, like: Tensor, size: int) -> Tensor:
        """Return the buffer of a layer's keys or values, of ``size`` numbers at least."""
        while len(self._flat) <= layer:
            self._flat.append([like.new_zeros(0), like.new_zeros(0)])
        flat = self._flat[layer][side]
        if flat.numel() < size or flat.dtype != like.dtype:
            self._forget_steps()
            flat = self._flat[layer][side] = like.new_zeros(size)
        return flat

    def step(
        self,
        key: tuple[int, int, bool],
        views: Sequence[tuple[Tensor, Tensor]],
        scalings: HeldScalings,
    ) -> Step:
        """Return the step of (rows, columns, whether rows are scaled)."""
        if key not in self._steps:
            self._steps[key] = Step(self.forward, views, scalings, key[2])
        return self._steps[key]

    def record(self, step: Step) -> None:
        """Record a step where the device can, which reads what it is given, more than once."""
        if not self.records or step.graph is not None:
            return
        cuda: Any = torch.cuda
        self._pool = self._pool or cuda.graph_pool_handle()
        self._stream = self._stream or cuda.Stream()
        try:
            step.record(self._pool, self._stream)
        except torch.OutOfMemoryError:
            raise
        except UNFIT as error:
            self.records = False
            log.info("steps are not recorded as a CUDA graph: %s", error)


def _alike(one: Tensor, other: Tensor) -> bool:
    finite = torch.isfinite(other)
    if not torch.equal(torch.isfinite(one), finite):
        return False
    apart = (one - other)[finite].abs()
    return bool((apart <= 0).all() or apart.mean() < LIKENESS * other[finite].std())


class Fixed(Running):
    """Rows in the buffers: ``slots`` are where each lies. ``most`` is what an answer may take."""

    def __init__(self, buffers: Buffers, most: int, scaled: bool) -> None:
        super().__init__([], [], [], 0, DynamicCache(), {})
        self.buffers, self.most, self.scaled = buffers, most, scaled
        self.slots: list[int] = []
        self.record = False
        self._size = (0, 0)
        self._views: list[tuple[Tensor, Tensor]] = []
        buffers.owner, self._scalings = self, buffers.scalings()

    def told(self, name: str) -> list[Any]:
        """Return what the state says of each row."""
        said = self.state[name].tolist()
        return [said[slot] for slot in self.slots]

    def keep(self, kept: Sequence[int]) -> None:
        """Keep these rows, by place; the others' slots are free."""
        self.rows, self.lengths, self.made, self.slots = (
            [several[i] for i in kept]
            for several in (self.rows, self.lengths, self.made, self.slots)
        )
        self._live()

    def join(self, other: Running, release: bool = True) -> None:
        """Let other rows go on beside these; their cache is let go of, or stays as it is."""
        many = len(self.rows) + len(other.rows)
        columns = max(self._needed(), _needed(other, self.most))
        if many > self._size[0] or columns > self._size[1]:
            self._move(size_of(many, columns), other, release)
        else:
            self._add(other, release)
        self.rows += other.rows
        self.lengths += other.lengths
        self.made += other.made
        self._live()

    def settle(self, scalings: Sequence[Scaling | None], ahead: int) -> None:
        """Prepare steps at these scalings, of which there may be so many: free what is empty."""
        rows, columns = self._size
        if 2 * len(self.rows) <= rows or 2 * self._needed() <= columns:
            self._move(size_of(len(self.rows), self._needed()))
            self._live()
        self.record = ahead >= LEAST_STEPS
        of = dict(zip(self.slots, scalings, strict=True))
        self._scalings.fill([of.get(i) for i in range(self._size[0])] if self.scaled else None)

    def read(self, forward: Forward) -> Tensor:
        """Return the scores [slots, vocabulary] after the last token of each row, which is read."""
        if self.buffers.owner is not self:
            raise RuntimeError("the buffers hold the rows of another lane by now")
        key = (*self._size, self.scaled)
        step = self.buffers.step(key, self._views, self._scalings)
        step.tokens.copy_(self.state["last"][:, None])
        step.lengths.copy_(self.state["length"][:, None])
        # Only now: to be recorded a step is run, which writes where the lengths say.
        if self.record:
            self.buffers.record(step)
        if step.graph is None:
            step.run()
        else:
            step.graph.replay()
        return step.logits

    def count(self) -> None:
        """Count what was read and chosen; of a slot that is free nothing."""
        super().count()
        for name in ("length", "made"):
            self.state[name] *= self._alive

    def _needed(self) -> int:
        return _needed(self, self.most)

    def _live(self) -> None:
        """Note which slots are free: they are read as empty."""
        alive = [0] * self._size[0]
        for slot in self.slots:
            alive[slot] = 1
        self._alive = torch.tensor(alive, device=self.state["last"].device)
        for name in ("length", "made"):
            if name in self.state:
                self.state[name] *= self._alive

    def _add(self, other: Running, release: bool) -> None:
        """Copy rows into slots that are free."""
        free = [slot for slot in range(self._size[0]) if slot not in {*self.slots}]
        slots = free[: len(other.rows)]
        places = torch.tensor(slots, device=other.state["last"].device)
        for views, blocks in zip(self._views, _blocks(other, release), strict=True):
            for view, block in zip(views, blocks, strict=True):
                view.index_fill_(0, places, 0)  # what is not finite there would be heard
                view[:, :, : block.shape[2]].index_copy_(0, places, block)
        for name, tensor in self.state.items():
            tensor.index_copy_(0, places, other.state[name])
        self.slots += slots

    def _move(
        self, size: tuple[int, int], other: Running | None = None, release: bool = True
    ) -> None:
        """Lay out the buffers for another size, the rows and those that join in the first slots."""
        parts = [] if other is None else [other.state]
        sources = [] if other is None else [_blocks(other, release)]
        if self.slots:
            places = torch.tensor(self.slots, device=self.state["last"].device)
            parts.insert(0, keep_rows(self.state, places))
            sources.insert(0, _own(self._views, places, max(self.lengths)))
        views = []
        for layer, blocks in enumerate(zip(*sources, strict=True)):
            both = [self._laid(layer, side, [b[side] for b in blocks], size) for side in (0, 1)]
            views.append((both[0], both[1]))
        self._views, self._size = views, size
        many = sum(len(part["last"]) for part in parts)
        self.slots, self.state = [*range(many)], _padded(parts, size[0])

    def _laid(
        self, layer: int, side: int, blocks: Sequence[Tensor], size: tuple[int, int]
    ) -> Tensor:
        """Return a view of a buffer that holds the rows of ``blocks``, and zeros."""
        rows, columns = size
        _, heads, _, width = blocks[0].shape
        flat = self.buffers.hold(layer, side, blocks[0], rows * heads * columns * width)
        view = flat[: rows * heads * columns * width].view(rows, heads, columns, width)
        view.zero_()
        start = 0
        for block in blocks:
            view[start : start + len(block), :, : block.shape[2]] = block
            start += len(block)
        return view


def _needed(running: Running, most: int) -> int:
    """Return the columns that rows take when their answers are as long as may be.

    The last token of an answer is not read.
    """
    pairs = zip(running.lengths, running.made, strict=True)
    return max((length - made + most for length, made in pairs), default=0)


def _own(
    views: list[tuple[Tensor, Tensor]], slots: Tensor, columns: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield copies of each layer's keys and values of rows in slots."""
    while views:  # what was laid out elsewhere is let go of
        keys, values = views.pop(0)
        yield (
            keys[:, :, :columns].index_select(0, slots),
            values[:, :, :columns].index_select(0, slots),
        )


def _blocks(running: Running, release: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each layer's keys and values of rows that end at the last column, from the first on."""
    most = max(running.lengths)
    device = running.state["last"].device
    lengths = torch.tensor(running.lengths, device=device)[:, None]
    index = torch.arange(most, device=device) + (running.width - lengths)
    index = index.clamp_(max=running.width - 1)[:, None, :, None]
    layers: Any = running.cache.layers
    for layer in layers:
        pair = []
        for kept in (layer.keys, layer.values):
            pair.append(kept.gather(2, index.expand(-1, kept.shape[1], -1, kept.shape[3])))
        if release:
            layer.keys = layer.values = None
        yield pair[0], pair[1]


def _padded(parts: Sequence[State], rows: int) -> State:
    """Return the state of all the parts' rows, and of empty ones up to so many."""
    state = {}
    for name in parts[0]:
        whole = torch.cat([part[name] for part in parts])
        empty = whole.new_zeros(rows - len(whole), *whole.shape[1:])
        state[name] = torch.cat([whole, empty])
    return state
