"""Which examples make a batch, in which order, and how they are padded."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from torch.utils.data import Dataset, DistributedSampler
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerBase

from lorascope.finetuning.encoding import IGNORED, Row


class Rows(Dataset):
    """Encoded examples and, one past the last, a row of which nothing is learnt."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows
        self.blank = {**rows[0], "labels": [IGNORED] * len(rows[0]["labels"])}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self.blank if index == len(self.rows) else self.rows[index]


class Order(DistributedSampler):
    """A permutation of the examples for each epoch, the same for any number of processes.

    Where an epoch's last batch has fewer examples than there are places, blank rows fill it up:
    accelerate would repeat examples there, and each process must have as many batches.
    """

    def __init__(self, rows: Rows, seed: int, multiple: int) -> None:
        # accelerate deals the batches out to the processes, so here there is one.
        super().__init__(rows, num_replicas=1, rank=0, shuffle=True, seed=seed)
        self.blanks = -len(rows) % multiple

    def __iter__(self) -> Iterator[int]:
        return chain(super().__iter__(), repeat(len(self.dataset), self.blanks))

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
