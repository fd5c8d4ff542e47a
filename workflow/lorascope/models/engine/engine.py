"""One decoding engine for every model that goes on from a cache of keys and values.

A lane's rows, the longest prompts first, are taken in as long as there is room. A row that ends
leaves at once, and waiting ones take its place: they are read beside, and their cache is joined to
the running one. What rows have in common at their beginning is read once. Which rows are decoded
together follows from the lane's rows, their order and the room, never from time, and from memory
in float32 alone, where it changes no answer; on a
device that the host does not wait for, ends are looked at every few steps.

Of transformers this uses the models, their caches of keys and values with their layers, and the
processors of logits. Its continuous batching (``generation/continuous_batching``) is not used: it
takes requests as token ids alone, where audio comes as embeddings; it packs the tokens of all rows
into one, so that a LoRA's scaling cannot be a row's own; it drops processors of logits that it
does not know (of repetition, of a least length); and it schedules by the blocks that are free in a
cache as large as the memory it finds, so that in half precision answers would depend on the day.

Beam searches are those of transformers' generate, row by row: a prompt is read once for all beams
of it. What has no rows that could leave or join (a recurrent state, a cache of the model's own) is
answered batch by batch by generate itself, within the same room.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import ref

import torch
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.models.decoding import Completion, answer, generate, stop_strings
from lorascope.models.engine import rows_cache
from lorascope.models.engine.beams import BeamSearch
from lorascope.models.engine.choosing import Choice, Chooser
from lorascope.models.engine.fixed import LEAST_STEPS, Buffers, Fixed, pays
from lorascope.models.engine.forward import Forward
from lorascope.models.engine.lanes import Prompt, Running, admitted
from lorascope.models.engine.prefill import Prefill
from lorascope.models.footprint import fitted, footprint
from lorascope.models.lora import lora_layers
from lorascope.models.pretrained import embedding_weight
from lorascope.models.protocol import Answer, Room
from lorascope.models.row_scalings import row_scalings, scales_rows
from lorascope.models.stop_strings import StopStrings
from lorascope.running.counters import count

Ended = list[tuple[int, Completion]]


def looks_every(device: torch.device) -> int:
    """Return after how many steps it is looked at which rows are over.

    More than one on a device that runs ahead of the host, which would have to wait for it.
    """
    return 1 if device.type == "cpu" else 8


class Engine:
    """Completes lanes of prompts with a causal language model."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.forward = model, Forward(model)
        self.refills = "past_key_values" in self.forward.takes
        """Whether rows can leave and enter: known once the model has read something."""
        self.buffers = Buffers(self.forward)
        self._taken = footprint(model.config)
        self._scales: tuple[list[Any], bool] = ([], False)

    @property
    def scales_rows(self) -> bool:
        """Whether rows may have scalings of their own now, see ``row_scalings.scales_rows``."""
        layers = [*lora_layers(self.model).values()]
        if [known() for known in self._scales[0]] != layers:
            ids = torch.zeros(2, 3, dtype=torch.long, device=embedding_weight(self.model).device)
            with torch.inference_mode():
                found = scales_rows(self.model, lambda: self.model(input_ids=ids))
            self._scales = [ref(layer) for layer in layers], found
        return self._scales[1]

    def fixes(self) -> bool:
        """Return whether rows are kept in buffers of fixed shapes, by device and kind of model."""
        whole = len(self._places()) <= 1 and getattr(self.model, "_can_compile_fullgraph", False)
        return whole and pays(self.model.device) and self.buffers.fit()

    def _places(self) -> set[Any]:
        """Return the devices that parts of the model were put on, if it is in parts."""
        places: dict[str, Any] = getattr(self.model, "hf_device_map", None) or {}
        return {*places.values()}

    def decode(
        self,
        prompts: Sequence[Prompt],
        settings: Mapping[str, Any],
        eos_token_ids: Sequence[int],
        room: Room,
        stops: StopStrings | None = None,
    ) -> Iterator[Ended]:
        """Yield (number of the prompt, its completion) as rows end; see ``decoding.generate``."""
        if any(prompt.scaling is not None for prompt in prompts) and not self.scales_rows:
            raise ValueError("scalings of rows, for a model that has one for all of them")
        room = self._fitting(room, settings["num_beams"])
        lane = _Lane(self, prompts, settings, eos_token_ids, room, stops)
        count("prompts read", len(prompts))
        try:
            if self.refills and prompts:
                yield from lane.refilled()
            if lane.waiting:  # all of them: the cache has no rows that could leave
                yield from lane.batches()
        except torch.OutOfMemoryError:
            self.buffers.clear()  # for the next try
            raise

    def _fitting(self, room: Room, beams: int) -> Room:
        """Return what fits of a room for rows with so many beams each.

        In float32 the device's memory may make it smaller.
        """
        if beams > 1 and room.tokens is not None:
            room = replace(room, tokens=max(room.tokens // beams, 1))
        device = "auto" if len(self._places()) > 1 else self.model.device.type
        dtype = str(self.model.dtype).removeprefix("torch.")
        taken = self._taken and self._taken.times(beams)
        return fitted(room, taken, device, dtype, self.buffers.bytes)

    def answer(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Sequence[Prompt],
        settings: Mapping[str, Any],
        eos_token_ids: Sequence[int],
        room: Room,
    ) -> Iterator[list[tuple[int, Answer]]]:
        """Yield (number of the prompt, its answer): it ends at the settings' stop strings, too."""
        stops = stop_strings(tokenizer, settings)
        for ended in self.decode(prompts, settings, eos_token_ids, room, stops):
            yield [
                (i, answer(tokenizer, prompts[i].length, completion, stops))
                for i, completion in ended
            ]


class _Lane:
    """The decoding of one lane."""

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[Prompt],
        settings: Mapping[str, Any],
        eos_token_ids: Sequence[int],
        room: Room,
        stops: StopStrings | None,
    ) -> None:
        self.engine, self.model, self.prompts = engine, engine.model, prompts
        self.settings, self.room, self.stops = settings, room, stops
        search = BeamSearch if settings["num_beams"] > 1 else Chooser
        self.chooser: Choice = search(settings, eos_token_ids, stops)
        self.running: Running | None = None
        self.fixed: Fixed | None = None
        self.prefill = Prefill(engine.forward, prompts)
        self.waiting = deque(self.prefill.order())

    # ------------------------------------------------------------------ with rows that leave

    @torch.inference_mode()
    def refilled(self) -> Iterator[Ended]:
        """Yield completions as rows end; none where the model's cache does not let rows leave."""
        while self.waiting or self.running:
            entering = self._entering()
            if entering and not self._enter(entering):
                return
            yield self._until_some_end()

    def _entering(self) -> list[int]:
        rows = self.running.rows if self.running else []
        lengths = [self.prompts[i].length for i in rows]
        following = (self.prompts[i].length for i in self.waiting)
        most = self.chooser.most
        number = admitted(lengths, following, self.room, most, len(self.waiting))
        return [self.waiting[i] for i in range(number)]

    def _enter(self, entering: Sequence[int]) -> bool:
        """Read rows and let them choose their first token; False where rows could not leave."""
        for rows in self.prefill.parts(entering):
            prompts = [self.prompts[i] for i in rows]
            inputs = [prompt.read() for prompt in prompts]
            logits, cache, width = self.prefill.read(rows, inputs)
            if not rows_cache.joinable(cache):
                self.engine.refills = False
                return False
            state = self.chooser.begin(inputs, [p.seed for p in prompts], logits.shape[1])
            beams, lengths = self.chooser.beams, [len(row) for row in inputs]
            self.chooser.choose(logits[:, None].expand(-1, beams, -1).flatten(0, 1), state)
            new = Running(list(rows), lengths, [1] * len(rows), width, cache, state, beams)
            self._let_in(new)
        for _ in entering:
            self.waiting.popleft()
        self.prefill.entered(entering)
        return True

    def _let_in(self, new: Running) -> None:
        """Let rows go on: by themselves, beside others, or in the buffers that these are in."""
        if self.running is None and self.fixed is None and self._fixes(new):
            scaled = any(prompt.scaling is not None for prompt in self.prompts)
            self.fixed = Fixed(self.engine.buffers, self.chooser.most, scaled)
        if self.fixed is None:
            rows_cache.make_room(new.cache, new.beams)
        if self.running is None:
            self.running = self.fixed or new
        if self.running is not new:
            self.running.join(new)

    def _fixes(self, new: Running) -> bool:
        """Return whether the first rows of a lane, and those to come, are kept in fixed buffers."""
        enough = new.beams == 1 and self._ahead(len(new.rows)) >= LEAST_STEPS
        return enough and rows_cache.is_full(new.cache) and self.engine.fixes()

    def _ahead(self, rows: int) -> int:
        """Return about how many steps the waiting rows take at most, so many at once."""
        return len(self.waiting) * self.chooser.most // max(rows, 1)

    def _until_some_end(self) -> Ended:
        """Decode until rows end; return them."""
        running = self.running
        assert running is not None
        scalings = [self.prompts[i].scaling for i in running.rows]
        if isinstance(running, Fixed):
            left = self.chooser.most - min(running.made)
            running.settle(scalings, left + self._ahead(len(running.rows)))
            return self._decode(running)
        with row_scalings(self.model, [one for one in scalings for _ in range(running.beams)]):
            return self._decode(running)

    def _decode(self, running: Running) -> Ended:
        steps = 0
        while True:
            over = self._over(running, steps)
            if over:
                return self._leave(running, over)
            self.chooser.choose(running.read(self.engine.forward), running.state)
            running.count()
            count("decoder steps")
            steps += 1

    def _over(self, running: Running, steps: int) -> list[int]:
        """Return the places of the rows that are over, on a device only now and then."""
        full = [i for i, made in enumerate(running.made) if made >= self.chooser.most]
        every = looks_every(running.state["ended"].device)
        if steps % every and not full:
            return []
        over = {*full, *(i for i, done in enumerate(running.told("ended")) if done)}
        return sorted(over | self.chooser.stopped(running, every))

    def _leave(self, running: Running, over: Sequence[int]) -> Ended:
        """Let rows leave; return what they said."""
        rows = [running.rows[i] for i in over]
        ended = [*zip(rows, self.chooser.completions(running, over), strict=True)]
        count("tokens decoded", sum(len(completion.tokens) for _, completion in ended))
        kept = [i for i in range(len(running.rows)) if i not in {*over}]
        if kept or running is self.fixed:
            running.keep(kept)
        if not kept:
            self.running = None
        return ended

    # ------------------------------------------------------------------ batch by batch

    def batches(self) -> Iterator[Ended]:
        """Yield the completions of one batch after the other, each of one scaling."""
        scalings = Counter(self.prompts[i].scaling for i in self.waiting)
        for scaling in scalings:
            alike = deque(i for i in self.waiting if self.prompts[i].scaling == scaling)
            while alike:
                lengths = (self.prompts[i].length for i in alike)
                number = admitted((), lengths, self.room, self.chooser.most, len(alike))
                rows = [alike.popleft() for _ in range(number)]
                with row_scalings(self.model, [scaling]):
                    yield self._batch(rows)

    def _batch(self, rows: Sequence[int]) -> Ended:
        found = generate(
            self.model,
            [self.prompts[i].read() for i in rows],
            self.settings,
            self.chooser.eos_token_ids,
            [self.prompts[i].seed for i in rows],
            self.stops,
        )
        count("tokens decoded", sum(len(completion.tokens) for completion in found))
        return list(zip(rows, found, strict=True))
