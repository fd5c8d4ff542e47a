import json
import time
from collections import Counter
from itertools import pairwise
from pkgutil import resolve_name

import pytest

from lorascope.benchmarks.items import from_table, to_table
from lorascope.benchmarks.squad import items as squad
from lorascope.errors import UserError
from lorascope.study.registry import BENCHMARKS
from tests.support.basics import printed, shared_path

ANSWERS = [{"text": "rain", "answer_start": 3}, {"text": "the rain", "answer_start": 0}]


def dataset(**settings):
    settings = {
        "split": "dev",
        "category": "squad",
        "one_per_paragraph": False,
        "items": None,
        "prompt": squad.PROMPT,
    } | settings
    return settings


def entry(identifier, **changes):
    return {"id": identifier, "question": f"What is {identifier}?", "answers": ANSWERS} | changes


def content():
    """Two articles of two paragraphs of three questions."""
    return {
        "version": "1.1",
        "data": [
            {
                "title": title,
                "paragraphs": [
                    {
                        "context": f" {title} {{question}} {number}.",
                        "qas": [entry(f"{title}{number}{letter}") for letter in "abc"],
                    }
                    for number in (1, 2)
                ],
            }
            for title in ("Rain", "Sun")
        ],
    }


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "dev-v1.1.json", content())
    return tmp_path


def build(root, limit=None, **settings):
    return squad.build_items(root, dataset(**settings), limit)[0]


# -------------------------------------------------------------------------------- items


def test_an_item(root):
    items, notes = squad.build_items(root, dataset(category="reading"), None)
    assert notes == ["dev-v1.1.json: 12 of 12 questions selected"]
    item = items[10]
    assert (item.item_id, item.category) == ("reading/Sun2b", "reading")
    assert (item.passage, item.label) == ("Sun/2", "Sun")
    assert (item.answer, item.answers) == ("rain", ("rain", "the rain"))
    assert item.continuations == ("rain",)
    assert (item.clip, item.clip_sha256, item.options, item.gold) == ("", "", (), "")
    assert item.question == (
        "Read the passage and answer the question below.\n\n### Instruction:\n"
        " Sun {question} 2.\n\n### Input:\nWhat is Sun2b?\n\n### Response:"
    )


def test_items_keep_the_order_of_the_file_and_survive_a_table(root):
    items = build(root)
    names = [f"squad/{t}{n}{letter}" for t in ("Rain", "Sun") for n in (1, 2) for letter in "abc"]
    assert [item.item_id for item in items] == names
    assert from_table(to_table(items)) == items


def test_the_first_question_of_every_paragraph(root):
    items = build(root, one_per_paragraph=True)
    assert [item.item_id for item in items] == [
        "squad/Rain1a", "squad/Rain2a", "squad/Sun1a", "squad/Sun2a",
    ]  # fmt: skip


def test_articles_of_one_title_stay_apart(root):
    twins = content()["data"][:1] * 2
    twins = json.loads(json.dumps(twins))
    for number, article in enumerate(twins):
        del article["paragraphs"][1:]
        article["paragraphs"][0]["context"] = f"Passage {number}."
        article["paragraphs"][0]["qas"] = [entry(f"q{number}")]
    write(root / "dev-v1.1.json", {"data": twins})
    assert len(build(root, one_per_paragraph=True)) == 2


def test_a_prompt_is_filled_in_once_and_its_other_braces_are_text():
    prompt = "{context}|{question}|{other}|{}|{context}"
    assert squad.render(prompt, "{question}", "{context}") == (
        "{question}|{context}|{other}|{}|{question}"
    )


@pytest.mark.parametrize(
    ("limit", "asked", "made"), [(2, 5, 2), (5, 2, 2), (3, None, 3), (None, 4, 4), (99, 50, 12)]
)
def test_the_smaller_of_limit_and_items_counts(root, limit, asked, made):
    assert len(build(root, limit, items=asked)) == made
    assert squad.count_items(root, dataset(items=asked), limit) == {"squad": made}


def test_a_smaller_selection_is_part_of_a_larger_one_in_the_order_of_the_file(root):
    everything = [item.item_id for item in build(root)]
    selections = [[item.item_id for item in build(root, count)] for count in range(1, 13)]
    for few, more in pairwise(selections):
        assert set(few) < set(more)
        assert more == sorted(more, key=everything.index)
    assert selections[5] != everything[:6]


# ----------------------------------------------------------------------------- planning


def test_every_benchmark_has_one_interface():
    for name in BENCHMARKS:
        found = BENCHMARKS[name]
        assert set(found.item_settings) <= found.settings.model_fields.keys()
        for function in (found.categories, found.count_items):
            assert callable(function)
        training = found.training
        of_training = [training.read, training.source_files, training.download] if training else []
        functions = [found.build_items, found.source_files, found.download, *of_training]
        for function in filter(None, functions):
            assert callable(resolve_name(function))
    assert resolve_name(BENCHMARKS["squad"].build_items) is squad.build_items


def test_source_files(root):
    file = root / "dev-v1.1.json"
    assert squad.source_files(root, dataset(), None) == [file]
    assert squad.source_files(file, dataset(), 3) == [file]
    assert squad.source_files(root, dataset(split="train"), None) == [root / "train-v1.1.json"]
    assert squad.source_files(root / "nowhere", dataset(), None) == []


def test_a_file_of_any_name_is_read_as_it_is(root):
    file = write(root / "mine.json", content())
    assert build(file) == build(root) == build(file, split="train")


def test_a_file_of_the_other_split_is_refused(root):
    for function in (squad.source_files, squad.count_items, squad.build_items):
        with pytest.raises(UserError, match=r"dev-v1\.1\.json: holds the split dev.*`split`"):
            function(root / "dev-v1.1.json", dataset(split="train"), None)


def test_published_counts_stand_for_a_file_that_is_absent(tmp_path):
    def count(limit=None, **settings):
        return squad.count_items(tmp_path / "nowhere", dataset(**settings), limit)

    assert count() == {"squad": 10_570}
    assert count(one_per_paragraph=True) == {"squad": 2_067}
    assert count(split="train", category="t") == {"t": 87_599}
    assert count(split="train", one_per_paragraph=True) == {"squad": 18_896}
    assert count(limit=7, items=9) == {"squad": 7}


def test_planning_imports_nothing_heavy(root):
    code = (
        "import sys; from pathlib import Path; from lorascope.study.registry import BENCHMARKS;"
        f"counts = BENCHMARKS['squad'].count_items(Path({str(root)!r}), {dataset()!r}, None);"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'torch', 'jieba'} & set(sys.modules);"
        "print(counts, sorted(heavy))"
    )
    assert printed(code) == "{'squad': 12} []\n"


# ---------------------------------------------------------------------------- bad input


def refuses(root, *words):
    for function in (squad.build_items, squad.count_items):
        with pytest.raises(UserError) as caught:
            function(root, dataset(), None)
        for word in words:
            assert word in str(caught.value)
        assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"dev-v1\.1\.json: not found; `source` must be"):
        build(tmp_path)


@pytest.mark.parametrize("data", [b"{", b"", b'{"data": "\xff"}'])
def test_a_file_that_is_not_json(root, data):
    (root / "dev-v1.1.json").write_bytes(data)
    refuses(root, "dev-v1.1.json: not JSON", "restore")


def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / "dev-v1.1.json").mkdir()
    refuses(tmp_path, "dev-v1.1.json: cannot be read: Is a directory")


def change(value, path, replacement):
    """Replace what lies at `path` of a nested value; None removes it."""
    for key in path[:-1]:
        value = value[key]
    if replacement is None:
        del value[path[-1]]
    else:
        value[path[-1]] = replacement


PARAGRAPH = ("data", 1, "paragraphs", 0)
QUESTION = (*PARAGRAPH, "qas", 2)


@pytest.mark.parametrize(
    ("path", "replacement", "words"),
    [
        (("data",), None, ["no `data`"]),
        (("data",), {"Rain": []}, ["no `data`"]),
        (("data",), [], ["no `data`"]),
        (("data", 0), "Rain", ["article 1", "no `title`"]),
        (("data", 1, "title"), 3, ["article 2", "no `title`"]),
        (("data", 1, "paragraphs"), None, ["article 2 (Sun)", "no `paragraphs`"]),
        ((*PARAGRAPH, "context"), "", ["article 2 (Sun), paragraph 1", "no `context`"]),
        ((*PARAGRAPH, "qas"), None, ["paragraph 1", "no `qas`"]),
        ((*QUESTION, "id"), 7, ["paragraph 1, question 3", "no `id`"]),
        ((*QUESTION, "question"), None, ["question 3 (Sun1c)", "no `question`"]),
        ((*QUESTION, "answers"), [], ["question 3 (Sun1c)", "no `answers`", "has an answer"]),
        ((*QUESTION, "answers"), ["rain"], ["question 3 (Sun1c), answers", "no `text`"]),
        ((*QUESTION, "id"), "Rain1a", ["paragraph 1, question 3", "Rain1a", "twice"]),
    ],
)  # fmt: skip
def test_another_layout(root, path, replacement, words):
    value = content()
    change(value, path, replacement)
    write(root / "dev-v1.1.json", value)
    refuses(root, "dev-v1.1.json: ", *words)


# ------------------------------------------------------------------------- the real thing


def test_the_real_dev_file():
    root = shared_path("data/squad_v1.1")
    start = time.process_time()
    assert squad.count_items(root, dataset(), None) == {"squad": 10_570}
    assert time.process_time() - start < 2  # a tenth of this where nothing else runs
    items = build(root, one_per_paragraph=True)
    assert len(items) == len({item.passage for item in items}) == 2_067
    assert len({item.label for item in items}) == 48
    assert items[0].answers == ("Denver Broncos",) * 3
    assert build(root, items=100, one_per_paragraph=True)[0] in items
    sample = Counter(item.label for item in build(root, limit=100))
    assert len(sample) > 30
    every = build(root)
    assert min(len(item.answers) for item in every) == 1
    assert max(len(item.answers) for item in every) > 3
    assert len({item.item_id for item in every}) == 10_570


def test_squad_gives_the_benchmarks_prompts_and_first_answers() -> None:
    source = shared_path("data/squad_v1.1")
    data = {
        "format": "squad",
        "split": "dev",
        "one_per_paragraph": True,
        "prompt": "{context}\n{question}\n",
        "limit": None,
    }
    examples = squad.read_examples(data, source)
    assert len(examples) == 2067
    assert examples[0].prompt.startswith("Super Bowl 50 was an American football game")
    assert examples[0].prompt.endswith("represented the AFC at Super Bowl 50?\n")
    assert examples[0].response == "Denver Broncos"
    assert len(squad.read_examples(data | {"limit": 7}, source)) == 7
