"""SALMONN's dialogue around a clip, as token ids and as a training batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training_recipes.tiny_salmonn.architecture import LLAMA, PROMPT_TEMPLATE

_PLACE = "<SpeechHere>"
_IGNORED = -100


class Dialogue:
    """Tokenises the two halves of the prompt around the clip, and the answer, each on its own."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._ids = lru_cache(maxsize=None)(
            lambda text: tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        )

    def prompt(self, question: str) -> tuple[list[int], list[int]]:
        """Ids before the clip, which start with BOS, and after it."""
        text = PROMPT_TEMPLATE.format(f"<Speech>{_PLACE}</Speech> {question.strip()}")
        before, after = text.split(_PLACE)
        return [LLAMA["bos_token_id"], *self._ids(before)], list(self._ids(after))

    def answer(self, text: str) -> list[int]:
        """Ids of the answer and EOS."""
        return [*self._ids(text), LLAMA["eos_token_id"]]

    def word(self, text: str) -> int:
        """The id of a text that is a single piece; ValueError when it is not."""
        ids = self._ids(text)
        if len(ids) != 1:
            raise ValueError(f"the tokenizer cuts {text!r} into {len(ids)} pieces")
        return ids[0]

    def loss(
        self, model: nn.Module, clips: Tensor, questions: Sequence[str], answers: Sequence[str]
    ) -> Tensor:
        """Mean cross entropy of the answers' tokens, after `clips` [batch, length, width]."""
        embed = model.get_input_embeddings()
        prompts = [self.prompt(question) for question in questions]
        replies = [self.answer(text) for text in answers]
        tails = [after + reply for (_, after), reply in zip(prompts, replies, strict=True)]
        longest = max(map(len, tails))
        ids = torch.zeros(len(tails), longest, dtype=torch.long)
        labels = torch.full_like(ids, _IGNORED)
        mask = torch.zeros_like(ids)
        for row, (tail, reply) in enumerate(zip(tails, replies, strict=True)):
            ids[row, : len(tail)] = torch.tensor(tail)
            labels[row, len(tail) - len(reply) : len(tail)] = torch.tensor(reply)
            mask[row, : len(tail)] = 1
        head = embed(torch.tensor([prompts[0][0]])).expand(len(tails), -1, -1)
        prefix = head.shape[1] + clips.shape[1]
        return model(
            inputs_embeds=torch.cat([head, clips, embed(ids)], dim=1),
            attention_mask=nn.functional.pad(mask, (prefix, 0), value=1),
            labels=nn.functional.pad(labels, (prefix, 0), value=_IGNORED),
        ).loss
