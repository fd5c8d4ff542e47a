"""What a plain forward of one row makes of a continuation, and of a response with stop strings."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from lorascope.benchmarks.likelihoods import Likelihoods
from tests.support.tiny_text_files import BOS, EOS, EOT

CLOSE = 1e-4
"""How far sums may be apart in float32."""


@torch.inference_mode()
def plainly(model: Any, prompt: Tensor, continuation: Sequence[int]) -> tuple[float, int, bool]:
    """Return sum, tokens and greediness by one forward of embeddings or ids, unpadded."""
    ids = torch.tensor(continuation)
    if prompt.is_floating_point():
        whole = torch.cat([prompt, model.get_input_embeddings()(ids[:-1])])
        logits = model(inputs_embeds=whole[None]).logits[0]
    else:
        logits = model(torch.cat([prompt, ids[:-1]])[None]).logits[0]
    scores = logits[len(prompt) - 1 :].float().log_softmax(-1)
    total = scores.gather(1, ids[:, None]).double().sum().item()
    return total, len(ids), bool((scores.argmax(-1) == ids).all())


def assert_close(found: Likelihoods, expected: Sequence[tuple[float, int, bool]]) -> None:
    """Compare numbers with those of ``plainly``."""
    sums, tokens, greedy = zip(*expected, strict=True)
    assert (found.tokens, found.greedy) == (tokens, greedy)
    assert list(found.sums) == pytest.approx(list(sums), rel=0, abs=CLOSE, nan_ok=True)


def as_expected(found: Likelihoods) -> list[tuple[float, int, bool]]:
    """Return numbers as ``plainly`` has them."""
    return list(zip(found.sums, found.tokens, found.greedy, strict=True))


def stopped(
    tokenizer: Any, tokens: Sequence[int], eos: Sequence[int], stops: Sequence[str]
) -> tuple[list[int], str, str]:
    """Return tokens, text and finish reason of a free response, decoded anew after every token."""
    for number, token in enumerate(tokens, 1):
        text = tokenizer.decode(tokens[:number])
        places = [text.index(stop) for stop in stops if stop in text]
        reason = "eos" if token in eos else "stop"
        if places:
            return list(tokens[:number]), _visible(text, min(places)), reason
        if token in eos:
            break
    reason = "eos" if tokens[-1] in eos else "length"
    return list(tokens), tokenizer.decode(tokens, skip_special_tokens=True), reason


def _visible(text: str, end: int) -> str:
    """Return a text up to ``end`` without special tokens, one in which it ends among them."""
    specials = "|".join(map(re.escape, (BOS, EOS, EOT)))
    for found in re.finditer(specials, text):
        if found.start() < end < found.end():
            end = found.start()
    return re.sub(specials, "", text[:end])
