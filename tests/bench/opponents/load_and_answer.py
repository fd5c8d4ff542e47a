"""Load a model in one of two ways and answer one question: what the loading costs, and the peak."""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from lorascope.models.hf_text import FAMILY
from lorascope.models.hf_text.answerer import load
from tests.bench.places import write_answers
from tests.support.basics import GREEDY

disable_progress_bar()
QUESTION, NEW_TOKENS = "ba de fi go", 4
Answer = Callable[[], str]


def by_lorascope(folder: Path) -> Answer:
    """Load as the infer stage does."""
    given = {"family": "hf_text", "model": str(folder), "dtype": "bfloat16"}
    answerer = load(FAMILY.settings(**given).model_dump(), "cpu", "bfloat16", None, None)
    generation = GREEDY | {"max_new_tokens": NEW_TOKENS}
    return lambda: answerer.answer([QUESTION], [None], generation, [0])[0].text


def by_from_pretrained(folder: Path) -> Answer:
    """Load as transformers does."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    @torch.inference_mode()
    def answer() -> str:
        ids = tokenizer(QUESTION, return_tensors="pt").input_ids
        said = model.generate(input_ids=ids, max_new_tokens=NEW_TOKENS, do_sample=False)
        return str(tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True))

    return answer


WAYS = {"lorascope": by_lorascope, "from_pretrained": by_from_pretrained}


def main() -> int:
    """Write the answer, and what loading cost beyond the imports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--how", choices=WAYS, required=True)
    parser.add_argument("--until", choices=("load", "answer"), required=True)
    given = parser.parse_args()
    AutoTokenizer.from_pretrained(given.model)  # imports what is needed later
    before, cpu, wall = _peak(), time.process_time(), time.perf_counter()
    answer = WAYS[given.how](given.model)
    text = answer() if given.until == "answer" else None
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    write_answers(Path("answers.json"), {"answer": answer() if text is None else text})
    Path("cost.json").write_text(json.dumps(cost | {"peak": _peak() - before}), encoding="utf-8")
    return 0


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
