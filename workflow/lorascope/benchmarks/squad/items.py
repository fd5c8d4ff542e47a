"""SQuAD v1.1: questions about a passage of Wikipedia, each answered by a span of the passage.

Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016. Read in
its published layout, dev-v1.1.json and train-v1.1.json: articles of paragraphs of questions.

Planning imports this module to list sources and count items, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from lorascope.benchmarks.examples import Example, not_empty, pairs
from lorascope.benchmarks.items import Item, smaller, spread
from lorascope.errors import UserError
from lorascope.storage.files import parse_json, read_bytes

Dataset: TypeAlias = Mapping[str, Any]

FILES = {"dev": "dev-v1.1.json", "train": "train-v1.1.json"}
PUBLISHED_QUESTIONS = {"dev": 10_570, "train": 87_599}
PUBLISHED_PARAGRAPHS = {"dev": 2_067, "train": 18_896}

PROMPT = (
    "Read the passage and answer the question below.\n\n"
    "### Instruction:\n{context}\n\n### Input:\n{question}\n\n### Response:"
)
"""The prompt of MindFormers, whose answer follows the colon at once."""

Kind = TypeVar("Kind")

_PLACES = re.compile(r"\{(context|question)\}")


@dataclass(frozen=True)
class Question:
    """A question of the file: its passage, and the answers of all annotators in order.

    paragraph is the number of the passage in its article, from 1.
    """

    id: str
    title: str
    paragraph: int
    context: str
    question: str
    answers: tuple[str, ...]


# ------------------------------------------------------------------------------ planning


def source_files(root: Path, dataset: Dataset, limit: int | None) -> list[Path]:
    """Return the file that determines the items, in a list; [] without `root`."""
    return [source_file(root, dataset["split"])] if root.exists() else []


def source_file(root: Path, split: str) -> Path:
    """Return the file of a split: `root` itself, or the published file in the folder `root`.

    Raises UserError if `root` is the published file of the other split.
    """
    if not root.is_file():
        return root / FILES[split]
    for other, name in FILES.items():
        if root.name == name and other != split:
            raise UserError(f"{root}: holds the split {other}, not {split}; correct `split`")
    return root


def categories(dataset: Dataset) -> list[str]:
    """Return the one category of a dataset."""
    return [dataset["category"]]


def count_items(root: Path, dataset: Dataset, limit: int | None) -> dict[str, int]:
    """Return category -> number of items that `build_items` will make.

    Where the file is absent, the published number counts.
    """
    split, path = dataset["split"], source_file(root, dataset["split"])
    if path.exists():
        count = len(_eligible(read_questions(path), dataset["one_per_paragraph"]))
    else:
        published = PUBLISHED_PARAGRAPHS if dataset["one_per_paragraph"] else PUBLISHED_QUESTIONS
        count = published[split]
    return {dataset["category"]: min(count, smaller(dataset["items"], limit) or count)}


# --------------------------------------------------------------------------------- items


def build_items(root: Path, dataset: Dataset, limit: int | None) -> tuple[list[Item], list[str]]:
    """Return the items of a dataset of the study, in the order of the file, and log notes.

    root: the JSON file, or the folder that holds it. dataset: its entry in the study, defaults
    filled in; with `one_per_paragraph` only the first question of every paragraph. The smaller of
    `items` and `limit` (None: no limit) is how many are kept, see `select`.

    Raises UserError as `read_questions` does.
    """
    path = source_file(root, dataset["split"])
    questions = read_questions(path)
    chosen = select(
        _eligible(questions, dataset["one_per_paragraph"]), smaller(dataset["items"], limit)
    )
    items = [
        Item(
            item_id=f"{dataset['category']}/{question.id}",
            category=dataset["category"],
            question=render(dataset["prompt"], question.context, question.question),
            answer=question.answers[0],
            answers=question.answers,
            continuations=question.answers[:1],
            passage=f"{question.title}/{question.paragraph}",
            label=question.title,
        )
        for question in chosen
    ]
    return items, [f"{path.name}: {len(items)} of {len(questions)} questions selected"]


def render(prompt: str, context: str, question: str) -> str:
    """Return `prompt` with `{context}` and `{question}` filled in; other braces are text."""
    values = {"context": context, "question": question}
    return _PLACES.sub(lambda place: values[place[1]], prompt)


def select(questions: Sequence[Question], count: int | None) -> list[Question]:
    """Return `count` of the questions (None: all) in the order given.

    They are spread over the articles, see ``items.spread``.
    """
    return spread(questions, count, lambda question: question.id)


def _eligible(questions: Sequence[Question], one_per_paragraph: bool) -> list[Question]:
    if not one_per_paragraph:
        return list(questions)
    paragraphs = groupby(questions, key=lambda q: (q.title, q.paragraph, q.context))
    return [next(group) for _, group in paragraphs]


# ------------------------------------------------------------------------- training data


def read_examples(data: Mapping[str, Any], source: Path) -> list[Example]:
    """Return questions and first answers as examples; UserError as `read_questions`, or for none.

    data: `train.data` of an adapter; its `limit` keeps a sample as `select` does.
    """
    items, _ = build_items(source, _as_dataset(data), data["limit"])
    return not_empty(pairs(items, source), source)


def training_files(source: Path, data: Mapping[str, Any]) -> list[Path]:
    """Return the file that decides the examples, as `source_files` does."""
    return source_files(source, _as_dataset(data), data["limit"])


def _as_dataset(data: Mapping[str, Any]) -> Dataset:
    """Return training data as a dataset would say it."""
    return {**data, "category": data["format"], "items": None}


# ---------------------------------------------------------------------------------- file


def read_questions(path: Path) -> list[Question]:
    """Return the questions of a file of SQuAD v1.1 in its order, texts verbatim.

    Raises UserError, naming article, paragraph and question, when the file is missing or not JSON,
    a field is missing or of another kind, a question has no answer, or an ID comes twice.
    """
    questions: dict[str, Question] = {}
    for number, article in enumerate(_entries(_read_json(path), "data", f"{path}"), 1):
        title = _text(article, "title", f"{path}: article {number}")
        where = f"{path}: article {number} ({title})"
        for paragraph, entry in enumerate(_entries(article, "paragraphs", where), 1):
            place = f"{where}, paragraph {paragraph}"
            context = _text(entry, "context", place)
            for position, fields in enumerate(_entries(entry, "qas", place), 1):
                at = f"{place}, question {position}"
                question = _question(fields, title, paragraph, context, at)
                if question.id in questions:
                    raise UserError(f"{at}: the ID {question.id} comes twice; remove one of them")
                questions[question.id] = question
    return list(questions.values())


def _read_json(path: Path) -> Any:
    try:
        return parse_json(read_bytes(path))
    except FileNotFoundError:
        raise UserError(
            f"{path}: not found; `source` must be a file of SQuAD v1.1 or the folder that holds it"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or not JSON
        raise UserError(f"{path}: not JSON ({error}); restore the published file") from None


def _question(fields: Any, title: str, paragraph: int, context: str, where: str) -> Question:
    identifier = _text(fields, "id", where)
    where = f"{where} ({identifier})"
    answers = _entries(fields, "answers", where)
    return Question(
        id=identifier,
        title=title,
        paragraph=paragraph,
        context=context,
        question=_text(fields, "question", where),
        answers=tuple(_text(answer, "text", f"{where}, answers") for answer in answers),
    )


def _text(record: Any, key: str, where: str) -> str:
    return _field(record, key, str, where)


def _entries(record: Any, key: str, where: str) -> list[Any]:
    return _field(record, key, list, where)


def _field(record: Any, key: str, kind: type[Kind], where: str) -> Kind:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind) or not value:
        raise UserError(
            f"{where}: no `{key}`, or an empty one; give a file in the layout of SQuAD v1.1, "
            "where every question has an answer"
        )
    return value


def to_layout(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of a published file, from the rows of the hub's table in their order.

    A row has `id`, `title`, `context`, `question` and `answers`, a mapping of the lists `text` and
    `answer_start`. Neighbours of one title are an article, and of one context a paragraph.
    """
    return {
        "version": "1.1",
        "data": [
            {
                "title": title,
                "paragraphs": [
                    {"context": context, "qas": [_entry(row) for row in group]}
                    for context, group in groupby(article, key=lambda row: row["context"])
                ],
            }
            for title, article in groupby(rows, key=lambda row: row["title"])
        ],
    }


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    answers = row["answers"]
    try:
        pairs = list(zip(answers["text"], answers["answer_start"], strict=True))
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"question {row['id']}: its answers are not two lists, `text` and `answer_start`, of "
            "one length; check that `hub` and `revision` name a data set like rajpurkar/squad"
        ) from None
    return {
        "id": row["id"],
        "question": row["question"],
        "answers": [{"text": text, "answer_start": start} for text, start in pairs],
    }
