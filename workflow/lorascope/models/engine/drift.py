"""How far an adapter moves a model's next-token distributions, at each token of a text.

With p that of the model without its adapter and q that of the model with it, KL(p || q) is the sum
over the vocabulary of p (ln p - ln q), in nats, and KL(q || p) the other way round. Both are taken
in float64 of the scores as the model gives them.

A row is read once without the adapter and once with it, and of each pass what the output layer is
given is kept, [positions, width]: scores [positions, vocabulary] are made of a few positions of
both at a time. A model that does more to its scores than its output layer is read once for each of
these parts instead.
"""

# A model without an adapter needs no peft, which takes seconds to import.
# ruff: noqa: PLC0415

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.benchmarks.likelihoods import COLUMNS, Drift, Likelihoods
from lorascope.models.batching import cut, make_batches
from lorascope.models.engine.forward import Forward, real
from lorascope.models.lora import lora_layers
from lorascope.models.pretrained import embedding_weight
from lorascope.models.profiles import Scaling
from lorascope.models.row_scalings import row_scalings
from lorascope.running.counters import count

MOST_SCORES = 2**24
"""Scores (positions x vocabulary) that are compared at once: 128 MB in float64, a few times."""


@dataclass(frozen=True)
class Reading:
    """A row: a prompt, and the ``tokens`` after it.

    ``read`` gives the prompt as ids [positions] or embeddings [positions, width]; it is called in
    each pass, as what is embedded may be adapted, too. ``ids`` has one of each of the prompt's
    positions, None where none stands there, as in a clip. From the row's position ``start`` on, its
    tokens are looked at, each as it follows from those before it. Rows of one ``key`` are alike.
    """

    read: Callable[[], Tensor]
    ids: Sequence[int | None]
    tokens: Sequence[int]
    start: int
    key: Hashable

    @property
    def length(self) -> int:
        """Number of positions that are read: the last token is predicted, and not read."""
        return len(self.ids) + len(self.tokens) - 1

    @property
    def places(self) -> list[tuple[int, int]]:
        """(position, token) of all that is looked at."""
        row = [*self.ids, *self.tokens]
        return [(i, row[i]) for i in range(max(self.start, 1), len(row)) if row[i] is not None]  # type: ignore[misc]


Way: TypeAlias = Callable[[], AbstractContextManager[None]]
"""What a model is in while it reads: without its adapter, or as it is."""


class Pass(Protocol):
    """A batch that was read in one way."""

    def scores(self, row: int, positions: Tensor) -> Tensor:
        """Return the scores [positions, vocabulary] after some positions of a row."""


class DriftReader:
    """Reads rows with and without the adapter of a causal language model."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.forward = model, Forward(model)
        self._is_head: bool | None = None
        """Whether scores are what the output layer gives: known once the model has read some."""

    @torch.inference_mode()
    def read(
        self,
        readings: Sequence[Reading],
        rows: int,
        scalings: Sequence[Scaling | None] | None = None,
    ) -> list[Drift]:
        """Return the drift at the tokens of each row; ``rows`` are read at once at most.

        ``scalings`` are the rows' own, for a model of which ``scales_rows`` is true: what is
        alike but for them is read without the adapter once. In half precision nothing is left out,
        so that both passes are rounded alike.
        """
        found = [Drift() for _ in readings]
        there = [i for i, reading in enumerate(readings) if reading.places]
        own = scalings or [None] * len(readings)
        for batch in make_batches([readings[i].length for i in there], rows):
            chosen = [there[i] for i in batch]
            part = [readings[i] for i in chosen]
            drifts = self._batch(part, [own[i] for i in chosen], bool(scalings))
            for i, drift in zip(chosen, drifts, strict=True):
                found[i] = drift
        count("drift tokens", sum(len(drift.ids) for drift in found))
        return found

    def replies(
        self,
        items: Sequence[Sequence[Reading]],
        prompts: Sequence[int],
        tokenizer: PreTrainedTokenizerBase,
        scalings: Sequence[Scaling | None] | None = None,
    ) -> list[Likelihoods]:
        """Return the drift of each item, whose rows stand one after the other, as a reply.

        ``prompts`` are the positions of the items' prompts, ``scalings`` the items' own. As many
        rows are read at once as there are items.
        """
        readings = [reading for rows in items for reading in rows]
        own = scalings and [s for s, rows in zip(scalings, items, strict=True) for _ in rows]
        found = iter(self.read(readings, len(items), own))
        return [
            as_reply(joined([next(found) for _ in rows]), tokenizer, prompt)
            for rows, prompt in zip(items, prompts, strict=True)
        ]

    def _batch(
        self, readings: Sequence[Reading], scalings: Sequence[Scaling | None], once: bool
    ) -> Iterator[Drift]:
        """Yield the drift of each row of a batch."""
        names = [reading.key if once else i for i, reading in enumerate(readings)]
        distinct = dict(zip(names, readings, strict=True))
        place = {name: i for i, name in enumerate(distinct)}
        base = self._pass([*distinct.values()], None)
        same = changes_nothing(self.model)
        moved = [i for i, s in enumerate(scalings) if (not same if s is None else s != 0)]
        own = [scalings[i] for i in moved]
        adapted = self._pass([readings[i] for i in moved], own) if moved else base
        for i, reading in enumerate(readings):
            of_base = partial(base.scores, place[names[i]])
            of_row = partial(adapted.scores, moved.index(i)) if i in moved else None
            yield self._compared(reading, of_base, of_row)

    def _compared(
        self,
        reading: Reading,
        base: Callable[[Tensor], Tensor],
        adapted: Callable[[Tensor], Tensor] | None,
    ) -> Drift:
        """Return the drift of a row, a few positions at a time; None is a row that is the base."""
        parts = []
        vocabulary = len(embedding_weight(self.model))
        for few in cut(reading.places, max(1, MOST_SCORES // vocabulary)):
            positions = torch.tensor([i - 1 for i, _ in few])
            before = base(positions)
            after = before if adapted is None else adapted(positions)
            parts.append(compared(before, after, [token for _, token in few]))
        return joined(parts)

    # ------------------------------------------------------------------------------- passes

    def _pass(self, readings: Sequence[Reading], scalings: Sequence[Scaling | None] | None) -> Pass:
        """Read rows at scalings, or (None) without the adapter."""
        way: Way = partial(without_adapter, self.model) if scalings is None else nullcontext
        own = scalings or [None] * len(readings)
        with way():
            rows = [self.forward.joined(one.read(), [*one.tokens, 0]) for one in readings]
            # A row whose prompt alone is looked at ends in a token that need not be read.
            rows = [row[: one.length] for row, one in zip(rows, readings, strict=True)]
            inputs = pad_sequence(rows, batch_first=True)
            lengths = [len(row) for row in rows]
            count("prefill positions", sum(lengths))
            mask = real(lengths, inputs.shape[1], inputs.device, before=False)
            whole = _Whole(self.forward, inputs, mask, own, way)
            if self._is_head is False:
                return whole
            given, scores = _given(self.forward, inputs, mask, own)
            if given is None or scores is None:
                self._is_head = False
                return whole
            heads = _Heads(self.model, given, own, way)
            if self._is_head is None:
                self._is_head = heads.give(scores)
        return heads if self._is_head else whole


def _given(
    forward: Forward, inputs: Tensor, mask: Tensor, scalings: Sequence[Scaling | None]
) -> tuple[Tensor | None, Tensor | None]:
    """Return what the output layer is given, [rows, positions, width], and scores after the first.

    None and None where there is no such layer, or it is called in another way.
    """
    head: Any = forward.model.get_output_embeddings()
    if head is None:
        return None, None
    given: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        given.extend(arguments[:1])
        return arguments and (arguments[0][:, :1], *arguments[1:])

    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with head.register_forward_pre_hook(keep), row_scalings(forward.model, scalings):
        output = forward(inputs, mask, positions, None, use_cache=False)
    if len(given) != 1 or given[0].shape[:2] != inputs.shape[:2]:
        return None, None
    return given[0], output.logits[:, :1]


@dataclass(frozen=True)
class _Heads:
    """A batch of which is kept what the output layer was given."""

    model: PreTrainedModel
    given: Tensor
    scalings: Sequence[Scaling | None]
    way: Way

    def scores(self, row: int, positions: Tensor) -> Tensor:
        with self.way(), row_scalings(self.model, [self.scalings[row]]):
            found: Tensor = self._head()(self.given[row : row + 1, positions])[0]
        return found

    def give(self, scores: Tensor) -> bool:
        """Tell whether the output layer gives these scores [rows, 1, vocabulary] after the first
        position: some models bound or scale what it gives.
        """
        with row_scalings(self.model, self.scalings):
            found = self._head()(self.given[:, :1])
        return torch.allclose(found.float(), scores.float(), equal_nan=True)

    def _head(self) -> Any:
        return self.model.get_output_embeddings()


@dataclass(frozen=True)
class _Whole:
    """A batch of which each row is read anew for each part of its scores."""

    forward: Forward
    inputs: Tensor
    mask: Tensor
    scalings: Sequence[Scaling | None]
    way: Way

    def scores(self, row: int, positions: Tensor) -> Tensor:
        own = slice(row, row + 1)
        with self.way():
            found, _ = self.forward.scores(
                self.inputs[own],
                self.mask[own],
                (slice(None), positions),
                [self.scalings[row]],
                use_cache=False,
            )
        return found[0]


# --------------------------------------------------------------------------------- numbers


def compared(base: Tensor, adapted: Tensor, tokens: Sequence[int]) -> Drift:
    """Return what two scores [positions, vocabulary] say of the token that came at each.

    The first are those without the adapter. Where scores are not finite, neither are the numbers.
    """
    targets = torch.tensor(tokens, device=base.device)[:, None]
    before = base.double().log_softmax(-1)
    after = before if adapted is base else adapted.double().log_softmax(-1)
    leading = after.argmax(-1)
    return Drift(
        ids=tuple(tokens),
        base=tuple(before.gather(-1, targets)[:, 0].tolist()),
        adapted=tuple(after.gather(-1, targets)[:, 0].tolist()),
        kl=tuple(_divergence(before, after).tolist()),
        reverse_kl=tuple(_divergence(after, before).tolist()),
        changed=tuple((leading != before.argmax(-1)).tolist()),
        greedy=tuple((leading == targets[:, 0]).tolist()),
    )


def _divergence(logs: Tensor, others: Tensor) -> Tensor:
    """Return KL(p || q) [positions] of log-probabilities [positions, vocabulary].

    What has no probability adds nothing; rounding makes no divergence negative.
    """
    p = logs.exp()
    terms = (logs - others).mul_(p).masked_fill_(p == 0, 0)
    return terms.sum(-1).clamp_(min=0)


def joined(parts: Sequence[Drift]) -> Drift:
    """Return the drift at the tokens of all parts, one after the other."""
    return Drift(**{name: sum((getattr(p, name) for p in parts), ()) for name in COLUMNS})


def as_reply(drift: Drift, tokenizer: PreTrainedTokenizerBase, prompt_tokens: int) -> Likelihoods:
    """Return the drift as a reply: the likelihood of the tokens with the adapter, and beside it
    what they are in words, and how far each is off.
    """
    words = {i: str(tokenizer.decode([i])) for i in {*drift.ids}}
    return Likelihoods(
        sums=(sum(drift.adapted),),
        tokens=(len(drift.ids),),
        greedy=(all(drift.greedy),),
        prompt_tokens=prompt_tokens,
        drift=drift.said([words[i] for i in drift.ids]),
    )


# --------------------------------------------------------------------------------- the base


@contextmanager
def without_adapter(model: nn.Module) -> Iterator[None]:
    """Let a model compute W x in the block, and nothing of its adapter."""
    layers = _adapted(model)
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
            layer.requires_grad_(False)  # which peft sets on what it enables


def changes_nothing(model: nn.Module) -> bool:
    """Return whether a model computes what it does without an adapter: none, or all scaled by 0."""
    if "peft" not in sys.modules:
        return True
    layers = [*lora_layers(model).values()]
    scalings = [layer.scaling[name] for layer in layers for name in layer.active_adapters]
    return len(layers) == len(_adapted(model)) and not any(scalings)


def _adapted(model: nn.Module) -> list[Any]:
    """Return the modules of a model that peft put in the place of others."""
    if "peft" not in sys.modules:
        return []
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    return [module for module in model.modules() if isinstance(module, kinds)]
