"""Texts at which a response ends, wherever the borders of its tokens are."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import torch
from transformers.generation.stopping_criteria import StoppingCriteria
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

_SPARE = 8
"""Tokens that may lie within a stop string without a byte of it."""


class StopStrings:
    """Stop strings, looked for in a response's decoded text, its special tokens written out.

    So "</s>" stops at the token, too, and what follows from a row's tokens follows from them
    alone. (transformers' own StopStringCriteria looks at the prompt's tokens as well, and takes the
    vocabulary apart for every new list.)
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, strings: Sequence[str]) -> None:
        self.tokenizer, self.strings = tokenizer, list(strings)
        # A token that is no spare one has at least a byte of the text.
        self.reach = max(len(string.encode()) for string in self.strings) + _SPARE

    def stops(self, tokens: Sequence[int]) -> bool:
        """Return whether a response of these tokens has come to a stop string."""
        text = self._written(tokens)
        return any(string in text for string in self.strings)

    def stopped(self, tokens: Sequence[int], fresh: int = 1) -> bool:
        """Return whether one of a response's last ``fresh`` tokens completes a stop string.

        Looks at the last few tokens, and at all of them only where those hold a stop string: tokens
        may be written otherwise where they stand first.
        """
        last = max(0, len(tokens) - self.reach - fresh + 1)
        return self.stops(tokens[last:]) and (last == 0 or self.stops(tokens))

    def count(self, tokens: Sequence[int]) -> int | None:
        """Return how many tokens the first stop string is complete with; None where none is."""
        if not self.stops(tokens):
            return None
        return bisect_left(range(len(tokens)), True, key=lambda n: self.stops(tokens[:n]))

    def visible(self, tokens: Sequence[int]) -> str:
        """Return the text before the first stop string, without special tokens."""
        written, text = self._written(tokens), self._text(tokens)
        places = [written.find(string) for string in self.strings if string in written]
        if not places:
            return text
        end = min(places)
        if written == text:
            return text[:end]
        kept, after = "", 0
        for number, token in enumerate(tokens):
            if not self._text([token]) and (special := self._written([token])):
                start = len(self._written(tokens[: number + 1])) - len(special)
                kept += written[after : min(start, end)]
                after = start + len(special)
        return kept + written[after:end]

    def _written(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=False))

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))


class Stopping(StoppingCriteria):
    """Ends the rows of a batch, or its beams, each at its own first stop string.

    ``start`` is the position of a row's first generated token.
    """

    def __init__(self, strings: StopStrings, start: int) -> None:
        self.strings, self.start = strings, start

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Return which rows of ids [rows, positions] are done, as bool [rows]."""
        done = [self.strings.stopped(row) for row in input_ids[:, self.start :].tolist()]
        return torch.tensor(done, device=input_ids.device)
