"""How likely a decoder finds transcripts of clips."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutput

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.models.batching import make_batches
from lorascope.models.hf_speech.recogniser import chosen
from lorascope.models.likelihood import Row, likelihoods
from lorascope.models.profiles import Scaling
from lorascope.models.prompts import scored
from lorascope.models.row_scalings import row_scalings


@torch.inference_mode()
def transcripts(
    model: Any,
    clips: BaseModelOutput,
    starts: Sequence[Tensor],
    continuations: Sequence[Sequence[Sequence[int]]],
    scalings: Sequence[Scaling | None] | None = None,
) -> list[Likelihoods]:
    """Return the likelihoods of each clip's transcripts, given as token ids, none of them empty.

    ``starts`` are the ids with which the decoder starts, of one length, ``scalings`` the clips' own
    (None: that in force). As many transcripts are read at once as there are clips. What the model
    may not say counts as any other token.
    """
    rows = [Row(i, ids) for i, several in enumerate(continuations) for ids in several]
    own_scalings = scalings or [None] * len(starts)
    found: list[tuple[float, bool]] = [(0.0, False)] * len(rows)
    for batch in make_batches([len(row.tokens) for row in rows], len(starts)):
        own = [rows[i] for i in batch]
        inputs = [
            torch.cat([starts[r.prompt], starts[r.prompt].new_tensor(r.tokens[:-1])]) for r in own
        ]
        with row_scalings(model, [own_scalings[row.prompt] for row in own]):
            scores = model(
                encoder_outputs=chosen(clips, [row.prompt for row in own]),
                # Padding comes last, where nothing looks at it.
                decoder_input_ids=pad_sequence(inputs, batch_first=True),
                use_cache=False,
            ).logits[:, len(starts[0]) - 1 :]
        for i, row, of_row in zip(batch, own, scores, strict=True):
            logs, likeliest = scored(of_row[: len(row.tokens)], torch.tensor(row.tokens))
            found[i] = float(logs.sum()), bool(likeliest.all() & logs.isfinite().all())
    told = iter(found)
    return [
        likelihoods([next(told) for _ in several], several, len(start))
        for start, several in zip(starts, continuations, strict=True)
    ]
