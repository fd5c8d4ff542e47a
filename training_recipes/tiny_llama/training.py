"""The base model: a Llama learns the original task from passages that are made as it goes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from training_recipes.tiny_llama.architecture import LLAMA, PROMPT
from training_recipes.tiny_llama.passages import Question
from training_recipes.tiny_llama.splits import passages, split_passages
from training_recipes.tiny_salmonn.optimisation import Schedule, minimise

BATCH = 32
SCHEDULE = Schedule(steps=1200, learning_rate=2e-3, warmup=100)


def train_base(tokenizer: PreTrainedTokenizerBase, seed: int) -> LlamaForCausalLM:
    """Train a Llama from nothing on the original task, on no passage of any split."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **LLAMA))
    taken = {passage for split in split_passages().values() for passage in split}
    source = passages(rng, taken)

    def loss() -> Tensor:
        texts = []
        for _ in range(BATCH):
            passage = next(source)
            questions = passage.now()
            texts.append((passage.text, rng.sample(questions, len(questions))))
        return dialogue_loss(model, tokenizer, texts)

    model.train()
    minimise("original task", loss, model.parameters(), SCHEDULE)
    return model.eval()


def dialogue_loss(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    dialogues: Sequence[tuple[str, Sequence[Question]]],
) -> Tensor:
    """Mean cross entropy of the answers' tokens, each with its EOS.

    dialogues: passages with the questions on them, which the model is asked one after the other.
    """
    rows, masks = [], []
    for context, questions in dialogues:
        ids: list[int] = []
        mask: list[bool] = []
        for number, question in enumerate(questions):
            # The later prompts are the first one's from the question on.
            prompt = PROMPT.format(context="" if number else context, question=question.text)
            start = tokenizer(prompt, add_special_tokens=not number)["input_ids"]
            end = tokenizer(question.answer, add_special_tokens=False)["input_ids"]
            ids += [*start, *end, tokenizer.eos_token_id]
            mask += [False] * len(start) + [True] * (len(end) + 1)
        rows.append(torch.tensor(ids))
        masks.append(torch.tensor(mask))
    # Padding is at the end, where a causal model's other tokens do not see it.
    ids = pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
    in_answer = pad_sequence(masks, batch_first=True)[:, 1:]
    logits = model(input_ids=ids).logits[:, :-1]
    return cross_entropy(logits[in_answer], ids[:, 1:][in_answer])


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the files of a transformers model, in float16; `model` is left in float16."""
    model.generation_config = GenerationConfig(
        do_sample=False,
        **{name: LLAMA[name] for name in ("pad_token_id", "bos_token_id", "eos_token_id")},
    )
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
