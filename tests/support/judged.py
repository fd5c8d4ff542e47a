"""Studies whose answers are written by hand and judged: by a scripted server, or by a model."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorascope.benchmarks.items import from_table
from lorascope.inferring.merging import SIDECAR
from lorascope.inferring.shard import shard_schema
from lorascope.storage.records import read_table, write_table
from tests.support.judge_server import MODEL
from tests.support.report_jobs import GENERATION
from tests.support.stagehand import Bench
from tests.support.tables import write_rows

ANSWER = "dog"
ENVIRONMENT = json.dumps({"device": "cpu", "dtype": "float32", "python": "3", "versions": {}})
STUDY: dict[str, Any] = {
    "study": "judged",
    "models": {"llama": {"family": "hf_text", "model": "nowhere"}},
    "judges": {"big": {"server": {"base_url": "http://127.0.0.1:1/v1", "model": MODEL}}},
    "datasets": {
        "zoo": {"benchmark": "table", "source": "zoo.jsonl"}
        | {"question": "question", "answer": "answer", "category": "zoo"},
    },
    "experiments": [
        {"id": "A", "model": "llama", "dataset": "zoo", "scorer": {"judge": "big"}},
        {"id": "B", "model": "llama", "dataset": "zoo", "scorer": {"judge": "big"}, "seed": 1},
    ],
    "baseline": "A",
}  # fmt: skip


def study(scorer: Any = None, judge: Mapping[str, Any] | None = None, **changes: Any) -> dict:
    """Return a copy of the study in which both experiments have a scorer, and ``big`` more keys."""
    made = deepcopy(STUDY) | changes
    made["judges"] = {name: dict(one) | (judge or {}) for name, one in made["judges"].items()}
    for experiment in made["experiments"]:
        experiment["scorer"] = scorer or experiment["scorer"]
    return made


class Judged:
    """A bench of a study whose questions and answers are given."""

    def __init__(self, made: dict[str, Any], capsys: pytest.CaptureFixture) -> None:
        self.bench = Bench(made, capsys)

    def answer(
        self, questions: Sequence[str], answer: str = ANSWER, **responses: Sequence[str]
    ) -> None:
        """Write the questions, and the responses of experiments, as a run would have made them."""
        rows = [{"question": question, "answer": answer} for question in questions]
        write_rows(Path("zoo.jsonl"), rows)
        self.bench.make("dataset")
        for name, texts in responses.items():
            self.respond(name, texts)

    def respond(self, name: str, texts: Sequence[str]) -> None:
        """Write the responses of one experiment."""
        planned = self.bench.plan.experiments[name]
        items = from_table(read_table(planned.dataset.items, "items"))
        rows = [
            {"item_id": item.item_id, "category": item.category, "prompt": item.question}
            | {"response": text, "tokens": [1], "prompt_tokens": 2, "response_tokens": 1}
            | {"finish_reason": "eos", "lora_scaling": 0.0, "generation": GENERATION}
            | {"environment": ENVIRONMENT, "seconds": 1.0, "finished": 1.0, "halvings": 0}
            | {"template_date": None, "clip": "", "clip_seconds": 0.0, "seconds_lost": 0.0}
            | {"clip_finite": True}
            for item, text in zip(items, texts, strict=True)
        ]
        whole = pa.Table.from_pylist(rows, schema=shard_schema())
        predictions = whole.drop_columns(SIDECAR)
        write_table(planned.predictions, predictions, "predictions", planned.digest)
        runtime = whole.select(["item_id", *SIDECAR])
        write_table(planned.runtime, runtime, "runtime", planned.digest)

    def judge(self, *stages: str) -> str:
        """Run the judges (or other stages) that can; return what they print."""
        said = ""
        for stage in stages or ("judge",):
            for job in self.bench.plan.left():
                if job.stage.name == stage and all(path.exists() for path in job.inputs):
                    code, text = self.bench.run(job)
                    assert code == 0, text
                    said += text
        return said

    def scores(self, name: str, *columns: str) -> list[Any]:
        """Judge and score what is left; return columns of the scores of an experiment."""
        self.judge("judge", "score")
        table = pq.read_table(self.bench.plan.scores[name].path)
        found = [table[column].to_pylist() for column in columns]
        return found[0] if len(found) == 1 else [*zip(*found, strict=True)]

    def verdicts(self, name: str, column: str = "verdict") -> list[Any]:
        """Return a column of what the first judge said of an experiment."""
        [first, *_] = self.bench.plan.scores[name].verdicts
        found: list[Any] = pq.read_table(first.path)[column].to_pylist()
        return found
