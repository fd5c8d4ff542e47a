"""What is trained of a text model, and on what."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.finetuning.adapted import Trainee, adapt
from lorascope.finetuning.batches import Rows, collator
from lorascope.finetuning.data import Conversation, read_examples
from lorascope.finetuning.encoding import encode
from lorascope.models import family

log = logging.getLogger("lorascope")


def prepare(
    name: str,
    settings: Mapping[str, Any],
    train: Mapping[str, Any],
    data: Mapping[str, Any],
    source: Path,
    device: str,
) -> Trainee:
    """Load the model of family ``name`` as it is evaluated, with fresh LoRA and its examples.

    UserError as from the family's loader, and for data that does not fit.
    """
    examples = read_examples(data, source)
    answerer = family(name).load_answerer(settings, device, train["precision"], None, None)
    if (
        any(isinstance(e, Conversation) for e in examples)
        and not answerer.settings["chat_template"]
    ):
        log.warning(
            "%s: conversations are learnt in the chat template, and the model is asked without it; "
            "set chat_template: true of the model",
            source,
        )
    rows = encode(answerer, examples, train["sequence_length"])
    return Trainee(
        model=adapt(answerer.llm, train),
        rows=Rows(rows),
        collate=collator(answerer.tokenizer),
        skipped=len(examples) - len(rows),
    )
