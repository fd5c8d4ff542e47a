"""Every Eval Ever, schemas 0.3.0: an aggregate JSON an experiment, and a JSONL of its answers.

https://github.com/evaleval/every_eval_ever. Paths are those of its datastore:
`data/<dataset>/<developer>/<model>/<UUID>.json` and, beside it, `<UUID>_samples.jsonl`. A category
of the table is an evaluation result; an answer has a line for each metric. Scores are parts of 1
where the table has percent, so that an answer's and its category's have one unit.
"""

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator

from lorascope.errors import UserError
from lorascope.exchange.answers import Answered
from lorascope.exchange.every_eval_ever.aggregate import aggregate
from lorascope.exchange.every_eval_ever.samples import samples
from lorascope.exchange.every_eval_ever.values import model_id, value_of
from lorascope.exchange.jsonl import line

HARMLESS = "writes what was decided elsewhere"

_UNSAFE = re.compile(r"(data|con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def files(answered: Answered) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield name and lines of the aggregate, and of the answers behind it.

    UserError where no answer has a score that is a number.
    """
    model, retrieved = model_id(answered), str(int(time.time()))
    identity = f"{answered.id}/{model}/{retrieved}"
    rows = [line(row) for row in samples(answered, model, identity)]
    if not rows:
        raise UserError(
            f"{answered.id}: no answer has a score that is a number, so Every Eval Ever can hold "
            "none; choose another format"
        )
    folder = "/".join(map(_component, [answered.settings["dataset"], *model.split("/", 1)]))
    path = f"data/{folder}/{_uuid(answered)}"
    text = "".join(f"{row}\n" for row in rows).encode()
    whole = aggregate(answered, model, identity, retrieved) | {
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"{path}_samples.jsonl",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(text).hexdigest(),
            "total_rows": len(rows),
        }
    }
    yield f"{path}_samples.jsonl", rows
    yield f"{path}.json", json.dumps(whole, indent=2, ensure_ascii=False).split("\n")


def notes(answered: Answered) -> list[str]:
    """Say what the format cannot hold, and what it asks for that nobody told."""
    found = [
        "who ran it is not known here: fill in source_organization_name and evaluator_relationship"
    ]
    for category, own in answered.categories().items():
        measure = answered.measure(category)
        lost = sum(value_of(measure, [score]) is None for score in own)
        if value_of(measure, own) is None:
            found.append(f"{category} has no value, and is left out")
        elif lost:
            found.append(f"{category}: {lost} of {len(own)} scores are no numbers: no lines")
    if any(answer.item.clip for answer in answered.answers):
        found.append("clips are named, with their hashes, and not copied")
    return found


def _component(name: str) -> str:
    """Return a name as a part of a path that any system can hold."""
    safe = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name)
    return f"{safe}_" if _UNSAFE.match(safe) or safe.endswith((".", " ")) else safe


def _uuid(answered: Answered) -> uuid.UUID:
    """Return a name for these scores: the same whenever they are exported."""
    text = json.dumps([answered.id, answered.digests], sort_keys=True)
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4)
