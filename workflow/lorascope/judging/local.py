"""A model of the study as a judge: asked in batches, each reply kept as it comes."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from lorascope.errors import UserError, shown
from lorascope.judging.calls import Call, CallCache, Reply
from lorascope.models.batching import CHARACTERS, make_batches, rows_at_once
from lorascope.models.protocol import Answer, Answerer, Dialogue, Question
from lorascope.running.memory import Halving

_GENERATION: dict[str, Any] = {
    "stop": [],
    "min_length": 1,
    "num_beams": 1,
    "top_p": 1.0,
    "top_k": 0,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
}
_SORTED = 512  # calls, or a batch, that are sorted by length together
_TRIES = 8
"""How often control tokens are looked for in a text, after others were broken up."""
_LOOK = re.compile(r"\A[<\[].*[>\]]\Z")
NONFINITE = "the judge's numbers ceased to be finite"


class LocalBackend:
    """A loaded model that answers calls; `lorascope.judging.calls.Backend`.

    ``what`` names the job in messages about memory.
    """

    def __init__(
        self,
        model: Answerer,
        cache: CallCache,
        batch_size: int | None,
        tokens_at_once: int,
        what: str,
    ) -> None:
        self.model, self.cache = model, cache
        self.batch_size, self.tokens_at_once = batch_size, tokens_at_once
        self.halving: Halving[Call, list[Reply]] = Halving(
            self._replies, f"{what}: questions asked at once"
        )

    def ask(self, calls: Iterable[Call]) -> Iterator[tuple[Call, Reply]]:
        """Yield each call with its reply; a text is in the cache once it is yielded."""
        waiting = iter(calls)
        while some := list(islice(waiting, max(_SORTED, self.batch_size or 0))):
            for batch in self._batches(some):
                for part, replies in self.halving(batch):
                    for call, reply in zip(part, replies, strict=True):
                        if reply.text is not None:
                            self.cache.put(call, reply.text)
                        yield call, reply

    def _batches(self, calls: Sequence[Call]) -> Iterator[list[Call]]:
        """Yield what is asked together: calls with the same settings, of about one length."""
        ways: dict[tuple[int, float | None], list[Call]] = {}
        for call in calls:
            ways.setdefault((call.max_tokens, call.temperature), []).append(call)
        for (new, _), alike in ways.items():
            lengths = [sum(len(text) for _, text in call.messages) for call in alike]
            positions = [length / CHARACTERS + new for length in lengths]
            rows = rows_at_once(positions, self.batch_size, self.tokens_at_once)
            for batch in make_batches(lengths, rows):
                yield [alike[i] for i in batch]

    def _replies(self, batch: Sequence[Call]) -> list[Reply]:
        """Return the replies to a batch; one by one where a question of it cannot be asked."""
        try:
            answers = self._answers(batch)
        except UserError as error:
            if len(batch) == 1:
                return [Reply(None, f"the judge cannot be asked: {error}")]
            return [reply for call in batch for reply in self._replies([call])]
        return [
            Reply(None, NONFINITE) if answer.finish_reason == "nonfinite" else Reply(answer.text)
            for answer in answers
        ]

    def _answers(self, batch: Sequence[Call]) -> list[Answer]:
        call = batch[0]
        sampled = bool(call.temperature)
        generation = {
            **_GENERATION,
            "max_new_tokens": call.max_tokens,
            "do_sample": sampled,
            "temperature": call.temperature if sampled else 1.0,
        }
        return self.model.answer(
            [self._question(call) for call in batch],
            [None] * len(batch),
            generation,
            [call.seed or 0 for call in batch],
        )

    def _question(self, call: Call) -> Question:
        """Return what the model is asked: the last message, after a system's if there is one."""
        texts = [(role, self._without_control(text)) for role, text in call.messages]
        *before, (_, question) = texts
        system = "\n\n".join(text for _, text in before)
        return Dialogue(question, system) if system else question

    def _without_control(self, text: str) -> str:
        """Return a text in which the model's tokenizer finds no control token.

        A blank breaks up each one that it finds, of whatever look.
        """
        tokenizer: Any = getattr(self.model, "tokenizer", None)
        if tokenizer is None:
            return text
        return broken_up(text, tokenizer)


def broken_up(text: str, tokenizer: Any) -> str:
    """Return a text with a blank in each control token that a tokenizer of transformers finds.

    UserError where that does not help.
    """
    controls = _controls(tokenizer)
    found = _found(text, tokenizer, controls)
    for _ in range(_TRIES):
        if not found:
            return text
        for start, end in reversed(found):
            middle = (start + end) // 2  # of a single character nothing is left
            rest = middle if middle > start else end
            text = f"{text[:middle]} {text[rest:]}"
        found = _found(text, tokenizer, controls)
    raise UserError(f"what is judged holds {shown(text[slice(*found[0])])}, a command to its model")


def _controls(tokenizer: Any) -> dict[int, str]:
    """Return id -> text of the tokens that command: special ones, and others that look so."""
    added: Mapping[int, Any] = tokenizer.added_tokens_decoder
    return {
        number: str(token).strip()
        for number, token in added.items()
        if str(token).strip() and (getattr(token, "special", True) or _LOOK.search(str(token)))
    }


def _found(text: str, tokenizer: Any, controls: Mapping[int, str]) -> list[tuple[int, int]]:
    """Return where in a text its tokenizer finds control tokens, in order.

    A token for what is unknown commands only where it is written out.
    """
    if not getattr(tokenizer, "is_fast", False):
        every = "|".join(re.escape(token) for token in sorted(controls.values(), key=len)[::-1])
        return [found.span() for found in re.finditer(every, text)] if every else []
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    spans = []
    for number, (start, end) in zip(encoded.input_ids, encoded.offset_mapping, strict=True):
        if number in controls and end > start:
            at = text.find(controls[number], start, end)
            if at >= 0:
                spans.append((at, at + len(controls[number])))
            elif number != tokenizer.unk_token_id:
                spans.append((start, end))
    return spans
