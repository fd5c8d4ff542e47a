"""Begin a study: look into a model, an adapter and a table, and write a study that plans."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import yaml

from lorascope.benchmarks.table.files import SUFFIXES, known_columns, read_rows
from lorascope.benchmarks.table.options import WAYS
from lorascope.errors import UserError
from lorascope.inspecting.new.columns import columns_of
from lorascope.inspecting.new.guess import Guesser, Named
from lorascope.inspecting.new.model import find_adapter, find_model
from lorascope.inspecting.new.writing import Draft, short
from lorascope.planning.plan import load_plan
from lorascope.storage.records import write_text
from lorascope.study.registry import FAMILIES

HARMLESS = "writes a study that a user reads before it runs"

NAMES = {
    "question": "column of the questions, or a template over columns ({column})",
    "options": "column of a question's options, or the columns of one each, with commas between",
    "answer": "column of the answers, or of the right option",
    "answer-by": "how it says the right option; a number counts from 0",
    "text": "column, or template, of a text whose likelihood is asked",
    "clip": "column of the paths of clips",
    "clips": "folder that these paths start from; the table's, or one beside it, if not given",
    "id": "column of the rows' IDs",
    "category": "column of what the table of results counts apart",
}


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument(
        "--model", required=True, help="the model's folder, or its repository on the hub"
    )
    command.add_argument(
        "--adapter", help="the LoRA's folder (peft's), or its repository on the hub"
    )
    command.add_argument("--data", required=True, type=Path, help=f"a table: {', '.join(SUFFIXES)}")
    command.add_argument("--study", metavar="NAME", help="name of the study")
    command.add_argument("--out", type=Path, help="the study file; studies/NAME.yaml if not given")
    own = (name for name in FAMILIES.own if FAMILIES[name].recognises)
    families = ", ".join(own)
    command.add_argument("--family", help=f"what runs the model, instead of a guess: {families}")
    columns = command.add_argument_group("what is what in the table, instead of a guess")
    for name, words in NAMES.items():
        ways = WAYS if name == "answer-by" else None
        columns.add_argument(f"--{name}", help=words, choices=ways)


def new_lines(asked: argparse.Namespace) -> Iterator[str]:
    """Write a study that plans; yield what was found and guessed.

    UserError, before anything is written, where something cannot be told or would not plan, and for
    a file that is there already.
    """
    draft = _draft(asked)
    if draft.file.exists():
        raise UserError(f"{draft.file}: is there already; name another file by --out")
    plan = load_plan(yaml.safe_load(draft.text), str(draft.file))
    write_text(draft.file, draft.text)
    yield f"{draft.file}: {draft.rows} rows, experiments {', '.join(plan.experiments)}"
    yield from (f"  {line}" for line in draft.found)
    yield f"next: python -m lorascope plan --configfile {draft.file}"


def _draft(asked: argparse.Namespace) -> Draft:
    if not asked.data.is_file():
        what = "is no file" if asked.data.exists() else "not found"
        raise UserError(
            f"--data {asked.data}: {what}; name one file of rows (docs/your-own-task.md shows how "
            "a study names a folder, or a data set of the hub)"
        )
    model = find_model(asked.model, asked.family)
    adapter = find_adapter(asked.adapter, model) if asked.adapter else None
    rows, names = read_rows([asked.data]), known_columns([asked.data])
    keys = [name.replace("-", "_") for name in NAMES]
    family = FAMILIES[model.family]
    guess = Guesser(asked.data, columns_of(rows, names), rows).run(
        Named(**{key: getattr(asked, key) for key in keys}),
        hears=family.takes == "audio",
        chat=bool(model.keys.get("chat_template")),
        told="Write down what is said." if family.takes_questions else "",
    )
    name = asked.study or f"{(adapter.place if adapter else model.place).short}-{asked.data.stem}"
    name = name if asked.study else short(name)
    return Draft(
        name,
        asked.out or Path(f"studies/{name}.yaml"),
        asked.data,
        model,
        adapter,
        guess,
        len(rows),
    )
