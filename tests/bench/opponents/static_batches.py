"""transformers' generate in batches of neighbours in length, each as long as its longest answer."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from tests.bench.places import read_lines, write_answers

disable_progress_bar()


@torch.inference_mode()
def answer(folder: Path, questions: Sequence[str], batch_size: int, new_tokens: int) -> list[str]:
    """Return the answers to questions."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    order = sorted(range(len(questions)), key=lambda i: -len(questions[i]))
    answers = [""] * len(questions)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        asked = tokenizer([questions[i] for i in batch], padding=True, return_tensors="pt")
        said = model.generate(
            input_ids=asked.input_ids,
            attention_mask=asked.attention_mask,
            max_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
        )
        new = said[:, asked.input_ids.shape[1] :]
        for place, text in zip(batch, tokenizer.batch_decode(new, True), strict=True):
            answers[place] = text
    return answers


def main() -> int:
    """Answer the questions of a JSONL file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--new-tokens", type=int, required=True)
    given = parser.parse_args()
    rows = read_lines(given.data)
    questions = [row["question"] for row in rows]
    texts = answer(given.model, questions, given.batch_size, given.new_tokens)
    named = {f"ragged own/{row['id']}": text for row, text in zip(rows, texts, strict=True)}
    write_answers(Path("answers.json"), named)
    return 0


if __name__ == "__main__":
    sys.exit(main())
