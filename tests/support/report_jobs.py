"""Jobs of the report stage whose scores are written by hand."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lorascope.planning.report import ReportJob, ReportRow
from lorascope.scoring.item_score import Measure
from lorascope.stages import report
from lorascope.storage.records import write_table

BASE = [
    "accuracy.md",
    "accuracy.csv",
    "table.tex",
    "accuracy.svg",
    "accuracy.png",
    "comparison.csv",
    "outcomes.csv",
]
SETTINGS = {
    "model": "llama",
    "adapter": None,
    "dataset": "squad",
    "scorer": "official",
    "generation": {"max_new_tokens": 20},
}
GENERATION = json.dumps({"max_length": 227, "max_new_tokens": 20})


def scored(name: str, credits: dict[str, list[float]], scaling: float, **own) -> ReportRow:
    """Write the scores of an experiment and return its row of a report's job."""
    rows = [
        {"item_id": f"q{i}", "category": category, "clip": f"p{i}", "options": 0, "credit": credit}
        | {"status": "scored", "finish_reason": "eos"}
        for category, values in credits.items()
        for i, credit in enumerate(values)
    ]
    return _written(name, rows, {"lora_scaling": scaling, "generation": GENERATION}, own)


def scored_by(
    name: str,
    measures: Mapping[str, Measure],
    items: Mapping[str, Sequence[tuple[float, float]]],
    scaling: float,
    columns: Mapping[str, Sequence[float]] | None = None,
    generation: str = GENERATION,
    **own,
) -> ReportRow:
    """Write (credit, weight) of items by category, and what the categories measure."""
    rows: list[dict[str, Any]] = [
        {"item_id": f"{category}/{i}", "category": category, "clip": "", "status": "scored"}
        | {"options": 0 if category in measures else 4, "finish_reason": "eos"}
        | {"credit": float(credit), "weight": float(weight), "margin": None, "probability": None}
        for category, found in items.items()
        for i, (credit, weight) in enumerate(found)
    ]
    for column, values in (columns or {}).items():
        for row, value in zip(rows, values, strict=True):
            row[column] = value
    note = {"lora_scaling": scaling, "generation": generation}
    note["measures"] = {category: asdict(measure) for category, measure in measures.items()}
    return _written(name, rows, note, own)


def _written(name: str, rows: list[dict], note: dict, own: dict) -> ReportRow:
    write_table(f"{name}.scores", pa.Table.from_pylist(rows), "scores", name, note)
    environment = {"device": "cpu", "dtype": "float32", "python": "3", "versions": {}}
    answers = pa.table({"environment": [json.dumps(environment)]})
    write_table(f"{name}.runtime", answers, "runtime", name)
    settings = {**SETTINGS, **own}
    return ReportRow(
        id=name,
        base=name,
        run=0,
        table=True,
        dataset=settings["dataset"],
        settings=settings,
        series=settings,
        scores=f"{name}.scores",
        digest=name,
        predictions=name,
        runtime=f"{name}.runtime",
    )


def report_maker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., dict[str, bytes]]:
    """Return a function that makes a report of rows in a new folder, and returns its files."""
    monkeypatch.chdir(tmp_path)

    def start(
        rows,
        baseline="BASE",
        retain=(),
        adapters=(),
        files=(),
        limit=None,
        missing=None,
        audits=(),
        planned_audits=(),
        nulls=None,
        profiles=None,
    ) -> dict[str, bytes]:
        named = [baseline] if isinstance(baseline, str) else baseline
        compared = {"experiments": named, "published": None}
        if isinstance(baseline, dict):
            table = {"accuracies": baseline, "scorer": None, "reproduction": None}
            compared = {"experiments": [], "published": table}
        fingerprint = {
            "study": "text",
            "description": "",
            "baseline": baseline,
            "compared": [{"of": [row.id for row in rows], "model": None, **compared}],
            "retain": list(retain),
            "report": {"title": None, "newest_runs": 3},
            "limit": limit,
            "audits": dict.fromkeys(planned_audits, "a"),
            **({"profiles": profiles} if profiles else {}),
        }
        written = [*BASE, *files]
        told = (fingerprint, "d", rows, list(adapters), written, missing or {}, list(audits))
        job = ReportJob(*told, nulls=nulls or {})
        Path("job.json").write_text(job.json)
        arguments = ["--job", "job.json", "--out", "made/manifest-d.json", "--log", "log"]
        monkeypatch.setattr(sys, "argv", ["report", *arguments])
        code, said = report.main(), capsys.readouterr().err
        assert code == 0, said
        return {path.name: path.read_bytes() for path in Path("made").iterdir()}

    return start
