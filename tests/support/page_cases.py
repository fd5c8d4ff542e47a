"""Item pages of made-up studies: data files as the stage writes them, and the app beside them."""

import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.basics import ROOT
from tests.support.page_studies import ACCURACY, ATTACK, CHUNK, LETTERS, Made

APP = ROOT / "workflow" / "lorascope" / "reporting" / "page_app"


def write_page(folder: Path, made: Made) -> Path:
    """Write the page of a made-up study into a folder; return its index.html."""
    page = folder / "page"
    shutil.copytree(APP, page / "app", ignore=shutil.ignore_patterns("index.html"))
    html = (APP / "index.html").read_text(encoding="utf-8")
    (page / "index.html").write_text(html, encoding="utf-8")
    based = html.replace("<head>", '<head>\n<base href="page/">', 1)
    (folder / "index.html").write_text(based, encoding="utf-8")
    (page / "data").mkdir()
    for name, value in files_of(made).items():
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        quoted = json.dumps(text, ensure_ascii=False).replace("</", "<\\/")
        script = f"lorascope.load({json.dumps(name)}, JSON.parse({quoted}));\n"
        (page / "data" / f"{name}.js").write_text(script, encoding="utf-8")
    if made.clips:
        _write_clip(page / "clips" / "beep.flac")
    (folder / "accuracy.csv").write_text("experiment\n", encoding="utf-8")
    return folder / "index.html"


def _write_clip(path: Path) -> None:
    import soundfile

    path.parent.mkdir()
    soundfile.write(path, 0.2 * np.sin(np.arange(8000) * 0.2), 16000, subtype="PCM_16")


def files_of(made: Made) -> dict[str, Any]:
    """Return the value of each data file by its name."""
    return dict(_files(made))


def _files(made: Made) -> Iterator[tuple[str, Any]]:
    yield "study", _study(made)
    for number, dataset in enumerate(made.datasets):
        yield f"index-{number}", _index(made, dataset)
        for chunk in range(-(-made.items // CHUNK)):
            yield f"items-{number}-{chunk}", _items(made, dataset, chunk)


def _study(made: Made) -> dict[str, Any]:
    chance = 25.0 if made.measure is ACCURACY else None
    measures = [
        {
            "name": name,
            "datasets": [*made.datasets],
            **{"bounded": False},
            **made.measure,
            "chance": chance,
        }
        for name in made.tabled
    ]
    rows = [row for one in made.experiments for row in _rows(made, one)]
    base = {row["category"]: row["accuracy"] for row in rows if row["experiment"] == made.baseline}
    for row in rows:
        row["accuracy_delta"] = row["accuracy"] - base[row["category"]]
    return {
        **{"version": 1, "study": "made-up", "title": "A made-up study", "swept": made.swept},
        **{"description": "What a page shows of a study, without a study.", "remarks": []},
        "notes": [f"A note with markup: {ATTACK}"],
        "experiments": made.experiments,
        "categories": measures,
        "tables": {
            "accuracy": _table(rows, _ACCURACY),
            "comparison": _table([*_compared(made, rows)], _COMPARISON),
            **_outcomes(made, rows),
        },
        "points": _points(made, rows),
        "levels": {"": base},
        "datasets": [
            {
                "name": name,
                "index": f"index-{number}",
                "chunk": CHUNK,
                "chunks": -(-made.items // CHUNK),
                "items": made.items,
            }
            | {"condition": "noise at 5 dB" if number else None, "clips_note": ""}
            for number, name in enumerate(made.datasets)
        ],
        "files": ["accuracy.csv"],
    }


_ACCURACY = (
    "experiment",
    "base",
    "run_num",
    "category",
    "correct",
    "incorrect",
    "total",
    "accuracy",
    "accuracy_delta",
)
_COMPARISON = (
    "experiment",
    "category",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "delta",
    "delta_low",
    "delta_high",
    "gained",
    "lost",
    "p_value",
    "holm_p",
)
_OUTCOMES = (
    "experiment",
    "base",
    "run_num",
    "category",
    "total",
    "correct",
    "partial",
    "wrong",
    "none",
    "several",
    "nonfinite",
    "unjudged",
    "cut",
)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    return {"columns": [*columns], "rows": [[row.get(name) for name in columns] for row in rows]}


def _rows(made: Made, one: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for metric in made.metrics:
        credits = made.credits[(one["id"], metric)]
        for name in made.categories:
            places = [i for i in range(made.items) if made.category(i) == name]
            own = [credits[i] or 0.0 for i in places]
            value = 100 * sum(own) / len(own)
            spread = 196 * (max(value, 1) * max(100 - value, 1) / 1e4 / len(own)) ** 0.5
            yield {
                **{"experiment": one["id"], "base": one["base"], "run_num": 0, "metric": metric},
                **{
                    "category": made.scored(places[0], metric),
                    "correct": sum(own),
                    "total": len(own),
                },
                **{"incorrect": len(own) - sum(own), "accuracy": value, "places": places},
                **{
                    "accuracy_low": max(0.0, value - spread),
                    "accuracy_high": _most(made, value + spread),
                },
            }


def _most(made: Made, value: float) -> float:
    return min(100.0, value) if made.measure.get("bounded") else value


def _compared(made: Made, rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        if row["experiment"] == made.baseline:
            yield row
            continue
        changes = [made.change(row["experiment"], row["metric"], i) for i in row["places"]]
        gained, lost = changes.count(1), changes.count(-1)
        p_value = 0.001 if abs(gained - lost) > 0.2 * len(changes) else 0.4
        delta = row["accuracy_delta"]
        yield {
            **row,
            "delta": delta,
            "delta_low": delta - 9,
            "delta_high": delta + 9,
            "gained": gained,
            "lost": lost,
            "p_value": p_value,
            "holm_p": p_value,
        }


def _outcomes(made: Made, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if made.measure is not ACCURACY:
        return {}
    parts = []
    for row in rows:
        own = [made.credits[(row["experiment"], row["metric"])][i] for i in row["places"]]
        statuses = [
            _status(made, row["experiment"], i, credit)
            for i, credit in zip(row["places"], own, strict=True)
        ]
        nothing = [status for status, credit in zip(statuses, own, strict=True) if not credit]
        counts = {"correct": own.count(1.0), "partial": sum(0 < (value or 0) < 1 for value in own)}
        counts |= {
            "none": nothing.count("none"),
            "several": nothing.count("multiple"),
            "unjudged": own.count(None),
        }
        wrong = row["total"] - sum(counts.values())
        parts.append({**row, **counts, "wrong": wrong, "nonfinite": 0, "cut": row["total"] // 9})
    return {"outcomes": _table(parts, _OUTCOMES)}


def _points(made: Made, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_id = {one["id"]: one for one in made.experiments}
    columns = (
        "experiment",
        "series",
        "lora_scaling",
        "runs",
        "category",
        "accuracy",
        "low",
        "high",
    )
    points = [
        {
            **row,
            "series": by_id[row["experiment"]]["line"],
            "lora_scaling": by_id[row["experiment"]]["lora_scaling"],
            "runs": 1,
            "low": row["accuracy_low"],
            "high": row["accuracy_high"],
        }
        for row in rows
    ]
    return _table(points, columns)


def _column(values: Sequence[str | None]) -> dict[str, Any]:
    names = sorted({value for value in values if value is not None})
    return {
        "names": names,
        "codes": [-1 if value is None else names.index(value) for value in values],
    }


def _status(made: Made, experiment: str, item: int, credit: float | None) -> str:
    if credit is None:
        return "unjudged"
    if credit or not made.measure["higher_is_better"]:
        return "single"
    return ("single", "single", "none", "multiple")[(item + len(experiment)) % 4]


def _index(made: Made, dataset: str) -> dict[str, Any]:
    ids = made.ids
    return {
        "dataset": dataset,
        "items": {
            "id": ids,
            "category": _column([made.category(i) for i in range(made.items)]),
            "clip": _column(["beep.flac"] * made.items) if made.clips else None,
            "label": [_question(i)[:80] for i in range(made.items)],
        },
        "experiments": {
            one["id"]: {metric: _side(made, one["id"], metric) for metric in made.metrics}
            for one in made.experiments
            if one["dataset"] == dataset
        },
    }


def _side(made: Made, experiment: str, metric: str) -> dict[str, Any]:
    credits = made.credits[(experiment, metric)]
    best = 1.0 if made.measure["higher_is_better"] else 0.0
    statuses = [_status(made, experiment, i, credit) for i, credit in enumerate(credits)]
    names = _column([made.category(i) for i in range(made.items)])["names"]
    dice = random.Random(f"{experiment} {metric}")
    return {
        "categories": [f"{name}-{metric}" if metric else name for name in names],
        "credit": credits,
        "weight": None,
        "correct": "".join(
            "-" if value is None else "1" if value == best else "0" for value in credits
        ),
        "status": _column(statuses),
        "reason": _column(
            [
                {
                    "single": "option text",
                    "none": "no option named",
                    "multiple": "two options named",
                    "unjudged": "the judge gave no verdict",
                }[status]
                for status in statuses
            ]
        ),
        "choice": _column(
            [
                _choice(i, credit) if status == "single" else None
                for i, (credit, status) in enumerate(zip(credits, statuses, strict=True))
            ]
        )
        if best
        else None,
        "margin": [round(dice.gauss(0.4 if value else -0.4, 0.6), 4) for value in credits]
        if made.likelihoods
        else None,
        "judge": _column(
            [
                ("correct" if value else "incorrect") if made.judge and i % 2 else None
                for i, value in enumerate(credits)
            ]
        )
        if made.judge
        else None,
    }


def _gold(item: int) -> str:
    return LETTERS[item % 4]


def _choice(item: int, credit: float | None) -> str:
    return _gold(item) if credit else LETTERS[(item + 1) % 4]


def _question(item: int) -> str:
    return ATTACK if item == 0 else f"Question {item}: which of these is heard in the clip?"


_WORDS = ("a cat that purrs", "a dog that barks", "a cow in a field", "a rooster at dawn")


def _items(made: Made, dataset: str, chunk: int) -> dict[str, Any]:
    places = range(chunk * CHUNK, min((chunk + 1) * CHUNK, made.items))
    own = [one["id"] for one in made.experiments if one["dataset"] == dataset]
    return {
        "dataset": dataset,
        "chunk": chunk,
        "items": [_item(made, i) for i in places],
        "responses": {name: [_response(made, name, i) for i in places] for name in own},
    }


def _item(made: Made, i: int) -> dict[str, Any]:
    clip = {"file": "beep.flac", "seconds": 0.5, "lost": 0.0, "heard": 0.5} if made.clips else None
    return {
        **{"id": made.ids[i], "category": made.category(i), "question": _question(i)},
        **{"system": "Answer with an option." if i % 3 == 0 else None, "turns": None},
        "options": [[letter, word] for letter, word in zip(LETTERS, _WORDS, strict=True)],
        "gold": {"letter": _gold(i), "texts": [_WORDS[i % 4]]},
        **{"continuations": None, "contexts": None, "passage": None, "record": None, "clip": clip},
    }


def _response(made: Made, experiment: str, i: int) -> dict[str, Any]:
    credit = made.credits[(experiment, made.metrics[0])][i]
    letter = _choice(i, credit)
    text = ATTACK if i == 0 else f"I hear {_WORDS[LETTERS.index(letter)]}, so it is ({letter})."
    judge = {
        "verdict": "correct" if credit else "incorrect",
        "reason": "",
        "text": "It names the sound.",
        "calls": 1,
    }
    return {
        **{"text": text, "finish_reason": "eos", "prompt_tokens": 53, "tokens": 9},
        "loglikelihoods": [-1.0 - 0.5 * ((i + k) % 4) for k in range(4)]
        if made.likelihoods
        else None,
        **{"continuation_tokens": None, "judge": judge if made.judge and i % 2 else None},
    }
