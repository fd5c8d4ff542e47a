"""Which examples are learnt, which make a batch, in which order, and how they are padded."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, TypeVar

from torch.utils.data import Dataset, DistributedSampler
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerBase

from lorascope.errors import UserError

log = logging.getLogger("lorascope")

IGNORED = -100
"""The label of a token that is not to be learnt, as torch's cross-entropy has it."""

Row = dict[str, list[int]]
R = TypeVar("R", bound=Mapping[str, Any])


def fitting(rows: Sequence[R], sequence_length: int) -> list[R]:
    """Return the rows of at most ``sequence_length`` tokens; UserError if there is none.

    Cutting an example would teach a response to a prompt that is not there, or an answer without
    an end, so one that is too long is left out.
    """
    kept = [row for row in rows if len(row["input_ids"]) <= sequence_length]
    if skipped := len(rows) - len(kept):
        longest = max(len(row["input_ids"]) for row in rows)
        if not kept:
            raise UserError(
                f"train.sequence_length: {sequence_length} is too short for every example; the "
                f"longest has {longest} tokens"
            )
        log.warning(
            "%d of %d examples have more than %d tokens and are left out; the longest has %d "
            "(train.sequence_length)",
            skipped,
            len(rows),
            sequence_length,
            longest,
        )
    return kept


class Rows(Dataset[Mapping[str, Any]]):
    """Encoded examples and, one past the last, a row of which nothing is learnt."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows
        self.blank = {**rows[0], "labels": [IGNORED] * len(rows[0]["labels"])}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self.blank if index == len(self.rows) else self.rows[index]


class Order(DistributedSampler[int]):
    """A permutation of the examples for each epoch, the same for any number of processes.

    Where an epoch's last batch has fewer examples than there are places, blank rows fill it up:
    accelerate would repeat examples there, and each process must have as many batches.
    """

    def __init__(self, rows: Rows, seed: int, multiple: int) -> None:
        # accelerate deals the batches out to the processes, so here there is one.
        super().__init__(rows, num_replicas=1, rank=0, shuffle=True, seed=seed)
        self.blank, self.blanks = len(rows), -len(rows) % multiple

    def __iter__(self) -> Iterator[int]:
        return chain(super().__iter__(), repeat(self.blank, self.blanks))

    def __len__(self) -> int:
        return super().__len__() + self.blanks


def collator(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[Row]], dict[str, Any]]:
    """Return what makes a batch of rows: padded on the right to the longest, and masked."""
    padding = copy.deepcopy(tokenizer)
    padding.padding_side = "right"
    if padding.pad_token is None:
        padding.pad_token = padding.eos_token  # masked, and without a label
    collate = DataCollatorForSeq2Seq(padding, label_pad_token_id=IGNORED)
    # A function, not the collator: Trainer writes the tokenizer of one into each checkpoint.
    return lambda rows: dict(collate(rows))
