"""Few-shot examples: the same ones for every question, never a question itself."""

import pytest

from lorascope.benchmarks.table.items import build_items
from lorascope.benchmarks.table.sources import count_items, source_files
from lorascope.errors import UserError
from tests.support.tables import built, dataset, refused, write_rows

ASKED = {"question": "Q: {q}\nA:", "answer": "a"}
ROWS = [{"q": f"question {n}?", "a": f"answer {n}", "o": ["x", f"answer {n}"]} for n in range(12)]
DEV = [{"q": f"example {n}?", "a": f"reply {n}", "o": ["x", f"reply {n}"]} for n in range(6)]


@pytest.fixture
def files(tmp_path):
    return write_rows(tmp_path / "rows.jsonl", ROWS), write_rows(tmp_path / "dev.csv", DEV)


def shots(item, separator="\n\n") -> list[str]:
    """Return the examples in front of an item's question."""
    return item.question.split(separator)[:-1]


def test_examples_of_another_file_are_the_same_for_every_question(files):
    rows, dev = files
    keys = ASKED | {"few_shot": {"source": str(dev), "count": 2}}
    items = built(rows, **keys)
    assert len(items) == len(ROWS)
    assert len({tuple(shots(item)) for item in items}) == 1
    known = {f"Q: {row['q']}\nA: {row['a']}" for row in DEV}
    assert len({*shots(items[0])} & known) == 2
    assert items[3].question.endswith("\n\nQ: question 3?\nA:")
    # The sample that is asked, and a limit, leave them as they are; another seed does not.
    assert shots(built(rows, **keys, items=3)[0]) == shots(built(rows, limit=1, **keys)[0])
    assert shots(built(rows, **keys, items=3)[0]) == shots(items[0])
    drawn = {tuple(shots(built(rows, **ASKED, few_shot=keys["few_shot"] | {"seed": s})[0]))
             for s in range(9)}  # fmt: skip
    assert len(drawn) > 3


def test_fewer_examples_are_the_first_of_more(files):
    rows, dev = files
    found = [
        shots(built(rows, **ASKED, few_shot={"source": str(dev), "count": count})[0])
        for count in (1, 3, 6)
    ]
    assert found[0] == found[1][:1]
    assert found[1] == found[2][:3]
    assert len({*found[2]}) == 6


def test_examples_of_the_same_rows_are_not_asked(files):
    rows, _ = files
    keys = dataset(rows, **ASKED, few_shot={"count": 4})
    items, notes = build_items(rows, keys, None)
    asked = {item.question.split("Q: ")[-1].split("?")[0] for item in items}
    shown = {text.split("Q: ")[1].split("?")[0] for text in shots(items[0])}
    assert (len(asked), len(shown), asked & shown) == (8, 4, set())
    assert len({tuple(shots(item)) for item in items}) == 1
    assert count_items(rows, keys, None) == {"table": 8}
    assert notes[0] == f"{rows}: 8 of 12 rows selected"
    assert notes[1].startswith(f"examples, which are not asked: {rows}: line ")
    # Neither a sample nor its size changes which ones are drawn.
    assert shots(built(rows, **ASKED, few_shot={"count": 4}, items=2)[0]) == shots(items[0])


def test_examples_are_turns_or_text_with_separators(files):
    rows, dev = files
    few_shot = {"source": str(dev), "count": 2}
    text = built(rows, **ASKED, few_shot=few_shot | {"separator": "\n###\n"}, delimiter="\n")[0]
    turns = built(rows, **ASKED, few_shot=few_shot | {"as": "turns"}, system="Brief.")[0]
    assert (turns.question, turns.system) == ("Q: question 0?\nA:", "Brief.")
    assert [f"{asked}\n{said}" for asked, said in turns.turns] == shots(text, "\n###\n")
    assert (text.turns, text.continuations) == ((), ("\nanswer 0",))


def test_an_example_shows_the_option_as_it_is_to_be_chosen(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", ROWS)
    dev = write_rows(tmp_path / "dev.jsonl", DEV[:1])
    keys = {"question": "{q} {options} Answer:", "options": "o", "answer": "a"}
    keys["few_shot"] = {"source": str(dev), "count": 1}
    [example] = shots(built(rows, **keys)[0])
    assert example == "example 0? (a) x (b) reply 0 Answer: reply 0"
    [example] = shots(built(rows, **keys, continuation="letter")[0])
    assert example == "example 0? (a) x (b) reply 0 Answer: b"


def test_answers_of_examples_are_read_as_those_of_the_questions(tmp_path):
    """One row of examples would fit two ways; the rows that are asked tell which is meant."""
    rows = [{"q": "?", "o": ["0", "2", "1"], "a": n} for n in ("0", "1", "2")]
    rows.append({"q": "?", "o": ["x", "y", "z"], "a": "1"})
    path = write_rows(tmp_path / "rows.jsonl", rows)
    dev = write_rows(tmp_path / "dev.jsonl", [{"q": "e", "o": ["0", "2", "1"], "a": "1"}])
    keys = {"question": "q", "options": "o", "answer": "a", "continuation": "letter"}
    [example] = shots(built(path, **keys, few_shot={"source": str(dev), "count": 1})[0])
    assert example == "e b"


def test_examples_come_from_other_files_of_a_folder(tmp_path):
    write_rows(tmp_path / "data/test-0.parquet", ROWS)
    write_rows(tmp_path / "data/dev-0.parquet", DEV)
    root = tmp_path / "data"
    keys = ASKED | {"files": "test-*", "few_shot": {"files": "dev-*", "count": 6}}
    assert {*shots(built(root, **keys)[0])} == {f"Q: {r['q']}\nA: {r['a']}" for r in DEV}
    found = source_files(root, dataset(root, **keys), None)
    assert [path.name for path in found] == ["test-0.parquet", "dev-0.parquet"]
    few_shot = {"files": "*.parquet"}
    message = refused(root, **ASKED, files="test-*", few_shot=few_shot)
    assert "test-0.parquet: its rows are asked, and would be examples of themselves" in message
    message = refused(root, **ASKED, files="test-*", few_shot={"files": "train-*"})
    assert "few_shot.files: no file matches 'train-*'" in message


def test_what_cannot_be_an_example_is_refused(files, tmp_path):
    rows, dev = files

    def told(**few_shot):
        return refused(rows, **ASKED, few_shot=few_shot)

    assert "few_shot.count: 7 examples are asked for, and there are 6 rows; lower it" in told(
        source=str(dev), count=7
    )
    assert "12 examples are asked for, and there are 12 rows, of which one has to be" in told(
        count=12
    )
    assert "its rows are asked, and would be examples of themselves" in told(source=str(rows))
    other = write_rows(tmp_path / "other.csv", [{"q": "?", "b": "x"}])
    assert told(source=str(other), count=1) == (
        f"{other}: no column 'a', which answer names; it has: q, b"
    )
    other = write_rows(tmp_path / "odd.jsonl", [*DEV, {"q": "?", "a": ""}])
    assert "odd.jsonl: line 7: column a: no answer" in told(source=str(other), count=1)
    absent = tmp_path / "absent.csv"
    keys = dataset(rows, **ASKED, few_shot={"source": str(absent), "count": 1})
    assert source_files(rows, keys, None) == [rows, absent]
    with pytest.raises(UserError, match=r"absent\.csv: cannot be read: No such file"):
        build_items(rows, keys, None)


def test_examples_need_neither_ids_nor_categories(tmp_path):
    rows = write_rows(tmp_path / "a.jsonl", [r | {"id": r["q"], "kind": "x"} for r in ROWS])
    dev = write_rows(tmp_path / "dev.jsonl", DEV)
    keys = {"id": "id", "category": {"column": "kind"}}
    few_shot = {"source": str(dev), "count": 1}
    assert len(built(rows, **ASKED, **keys, few_shot=few_shot)) == len(ROWS)
