"""Tasks of lm-evaluation-harness over tiny data of this machine, and a model that is none.

The tasks include the harness's own files and replace their data alone.
"""

import json
import os
import zlib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.benchmarks.lm_eval.declaration import LmEvalDataset
from lorascope.benchmarks.lm_eval.looking import look
from lorascope.errors import UserError

spec = find_spec("lm_eval")
if spec is None or spec.origin is None:
    pytest.skip("lm-evaluation-harness is not installed", allow_module_level=True)
HARNESS = Path(spec.origin).parent / "tasks"

SENTENCE = "the cat sat on a red mat while old dogs ran over green hills and sang"
WORDS = SENTENCE.split()


def text(seed: int, count: int) -> str:
    return " ".join(WORDS[(seed * 7 + i * (seed % 3 + 2)) % len(WORDS)] for i in range(count))


def arc(i):
    choices = {"text": [text(i + k, 1 + k) for k in range(4)], "label": list("ABCD")}
    return {
        "id": f"q{i}",
        "question": text(i, 6) + "?",
        "choices": choices,
        "answerKey": "ABCD"[i % 4],
    }


def hellaswag(i):
    return {
        "activity_label": text(i, 2),
        "ctx_a": text(i + 1, 5) + ".",
        "ctx_b": text(i + 2, 2),
        "endings": [f"{text(i + k, 3)} [title] {text(k, 2)}" for k in range(4)],
        "label": str(i % 4),
    }


def winogrande(i):
    sentence = f"{text(i, 4)} because _ {text(i + 5, 3)}."
    return {
        "sentence": sentence,
        "option1": text(i, 1),
        "option2": text(i + 1, 1),
        "answer": str(i % 2 + 1),
    }


def gsm8k(i):
    return {
        "question": f"How much is {i} and {i + 1}?",
        "answer": f"It is {2 * i + 1}.\n#### {2 * i + 1}",
    }


def lambada(i):
    return {"text": text(i, 9)}


def wikitext(i):
    return {"page": f" = {text(i, 2)} = \n {text(i, 12)} @-@ {text(i + 1, 5)} . \n"}


def truthful(i):
    def targets(right):
        return {
            "choices": [text(i + k, 2 + k) for k in range(3 + i % 2)],
            "labels": right[: 3 + i % 2],
        }

    return {
        "question": text(i, 5) + "?",
        "mc1_targets": targets([1, 0, 0, 0]),
        "mc2_targets": targets([1, 1, 0, 0]),
    }


def mmlu(i):
    return {
        "question": text(i, 7) + " ",
        "subject": "x",
        "choices": [text(k + i, 2) for k in range(4)],
        "answer": i % 4,
    }


ROWS = {
    "arc_easy": ("arc/arc_easy.yaml", arc, {"train": 6, "validation": 4, "test": 9}),
    "hellaswag": ("hellaswag/hellaswag.yaml", hellaswag, {"train": 4, "validation": 8}),
    "winogrande": ("winogrande/default.yaml", winogrande, {"train": 4, "validation": 8}),
    "gsm8k": ("gsm8k/gsm8k.yaml", gsm8k, {"train": 8, "test": 6}),
    "lambada_openai": ("lambada/lambada_openai.yaml", lambada, {"test": 7}),
    "wikitext": ("wikitext/wikitext.yaml", wikitext, {"train": 1, "validation": 1, "test": 5}),
    "truthfulqa_mc1": ("truthfulqa/truthfulqa_mc1.yaml", truthful, {"validation": 6}),
    "truthfulqa_mc2": ("truthfulqa/truthfulqa_mc2.yaml", truthful, {"validation": 6}),
    "mmlu_anatomy": ("mmlu/default/mmlu_anatomy.yaml", mmlu, {"dev": 5, "test": 6}),
    "mmlu_virology": ("mmlu/default/mmlu_virology.yaml", mmlu, {"dev": 5, "test": 4}),
}
"""A task -> the harness's file, what makes a row of its data, and the rows of its splits."""


def write_task(folder: Path, name: str, **changes) -> dict[str, object]:
    """Write a task of the harness with data of its own; return what its file says."""
    file, row, splits = ROWS[changes.pop("of", name)]
    files = {}
    for split, count in splits.items():
        files[split] = f"data/{name}-{split}.jsonl"
        path = folder / files[split]
        path.parent.mkdir(parents=True, exist_ok=True)
        start = sum(map(ord, split)) % 10
        path.write_text("".join(json.dumps(row(start + i)) + "\n" for i in range(count)))
    own = {
        "include": str(HARNESS / file),
        "task": f"tiny_{name}",
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
        **changes,
    }
    return write_yaml(folder, f"tiny_{name}", own)


def write_yaml(folder: Path, name: str, own: dict[str, object]) -> dict[str, object]:
    path = folder / "tasks" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(own))
    return own


def settings(**keys) -> dict[str, object]:
    return LmEvalDataset(benchmark="lm_eval", **keys).model_dump()


def looked(given: dict[str, object], folders: tuple[str, ...] = ()) -> dict[str, object]:
    """Return what `build_items` is given for a dataset, after a look at it."""
    found = look(given)
    return {**given, **found.decides, **found.told, "folders": [*folders]}


def in_this_process(asked: dict[str, object]) -> dict[str, object]:
    """Return what `looking` gets from a process of its own."""
    from lorascope.benchmarks.lm_eval.describe import describe

    try:
        return describe(asked)
    except UserError as error:
        return {"refused": str(error)}


# ------------------------------------------------------------------ a model that is no model


def likelihood(context: str, continuation: str) -> tuple[float, bool]:
    """Return a number that stands for a log-likelihood, however the text is cut in two."""
    number = zlib.crc32(f"{context}{continuation}".encode())
    return -(number % 10_000) / 100 - 0.01, number % 3 == 0


def response(prompt: str) -> str:
    number = zlib.crc32(prompt.encode()) % 20
    return f" It is {number}.\n#### {number}" if number % 4 else " I do not know"


def reply(item: Item) -> str | Likelihoods:
    """Return what the model that is none answers to an item."""
    if item.mode == "generate":
        return response(item.question)
    contexts = item.contexts or (item.question,) * len(item.continuations)
    pairs = [likelihood(*pair) for pair in zip(contexts, item.continuations, strict=True)]
    sums, greedy = zip(*pairs, strict=True)
    return Likelihoods(sums, (1,) * len(sums), greedy)


@pytest.fixture(scope="module", autouse=True)
def environment():
    """Leave the environment as it was: what runs the harness takes it off the network."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
