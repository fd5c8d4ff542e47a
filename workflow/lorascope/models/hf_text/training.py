"""What is trained of a text model, and on what."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.benchmarks.examples import Conversation, Example
from lorascope.models.finetuning.batches import Rows, collator
from lorascope.models.finetuning.trainee import Scratch, Trainee, adapt
from lorascope.models.hf_text.answerer import load
from lorascope.models.hf_text.encoding import encode

log = logging.getLogger("lorascope")


def prepare(
    settings: Mapping[str, Any],
    train: Mapping[str, Any],
    examples: Sequence[Example],
    root: Path,
    device: str,
    scratch: Scratch,
) -> Trainee:
    """Load the model as it is evaluated, with fresh LoRA and its examples, read from ``root``.

    UserError as from the model's loader, and for examples that do not fit. ``scratch`` is not used.
    """
    answerer = load(settings, device, train["precision"], None, None)
    if (
        any(isinstance(e, Conversation) for e in examples)
        and not answerer.settings["chat_template"]
    ):
        log.warning(
            "%s: conversations are learnt in the chat template, and the model is asked without it; "
            "set chat_template: true of the model",
            root,
        )
    rows = encode(answerer, examples, train["sequence_length"])
    return Trainee(
        model=adapt(answerer.llm, train),
        rows=Rows(rows),
        collate=collator(answerer.tokenizer),
        skipped=len(examples) - len(rows),
    )
