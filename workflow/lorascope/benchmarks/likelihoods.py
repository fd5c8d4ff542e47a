"""What a model says of texts that it is given, instead of a text of its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

HARMLESS = "types"


@dataclass(frozen=True)
class Drift:
    """How far an adapter moves a model, at each token that is looked at.

    ids, words: the token, as a number and as a text.
    base, adapted: its log-likelihood (natural) without the adapter and with it.
    kl, reverse_kl: KL(base || adapted) and KL(adapted || base) of the distributions that it was
    one of, in nats.
    changed: whether their likeliest tokens differ.
    greedy: whether it is the likeliest one with the adapter.
    """

    ids: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    base: tuple[float, ...] = ()
    adapted: tuple[float, ...] = ()
    kl: tuple[float, ...] = ()
    reverse_kl: tuple[float, ...] = ()
    changed: tuple[bool, ...] = ()
    greedy: tuple[bool, ...] = ()

    def said(self, words: Sequence[str]) -> "Drift":
        """Return it with the tokens in words."""
        return replace(self, words=tuple(words))

    @property
    def is_finite(self) -> bool:
        """Whether all numbers are."""
        numbers = (*self.base, *self.adapted, *self.kl, *self.reverse_kl)
        return all(map(math.isfinite, numbers))

    @staticmethod
    def of(columns: Mapping[str, Sequence[Any]] | None) -> "Drift | None":
        """Return a drift of its columns, as a table holds them."""
        return columns and Drift(**{name: tuple(columns[name]) for name in COLUMNS})  # type: ignore[return-value]


COLUMNS = tuple(field.name for field in fields(Drift))


@dataclass(frozen=True)
class Likelihoods:
    """Log-likelihoods (natural) of an item's continuations, each after its question.

    sums: of each continuation, over its tokens. Not finite where the model's numbers are not.
    tokens: the number of its tokens.
    greedy: whether each of its tokens is the likeliest one after those before it.
    prompt_tokens: positions of the question, audio included; 0 where there is none.
    drift: in the mode drift, what is beside them of each token.
    """

    sums: tuple[float, ...]
    tokens: tuple[int, ...]
    greedy: tuple[bool, ...]
    prompt_tokens: int = 0
    drift: Drift | None = None

    @property
    def is_finite(self) -> bool:
        """Whether all numbers are."""
        return all(map(math.isfinite, self.sums)) and (self.drift is None or self.drift.is_finite)
