import json

import pytest

from lorascope.benchmarks.examples import Conversation, Pair
from lorascope.benchmarks.jsonl import read
from lorascope.errors import UserError

JSONL = {"format": "jsonl", "limit": None}
TALK = (
    {"role": "user", "content": "Cat?"},
    {"role": "assistant", "content": "Meow."},
    {"role": "user", "content": "Dog?"},
    {"role": "assistant", "content": "Woof."},
)


def test_jsonl_has_pairs_and_conversations(tmp_path) -> None:
    rows = [{"prompt": "a", "response": "b\u2028c", "id": 3}, {"messages": list(TALK)}]
    path = tmp_path / "x.jsonl"
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    pair, talk = read(JSONL, path)
    assert pair == Pair("a", "b\u2028c", f"{path}:1")
    assert talk == Conversation(TALK, f"{path}:3")
    assert read(JSONL | {"limit": 1}, path) == [pair]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "3",
        '{"prompt": "a"}',
        '{"prompt": "a", "response": 3}',
        '{"prompt": "a", "response": null}',
        '{"messages": []}',
        '{"messages": "hello"}',
        '{"messages": [{"role": "user"}]}',
        '{"messages": [{"role": "robot", "content": "x"}]}',
        '{"messages": [{"role": "user", "content": "x"}]}',
        '{"messages": [{"role": "assistant", "content": ["x"]}]}',
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"prompt": "a", "response": "b"}) + "\n" + line + "\n")
    with pytest.raises(UserError) as error:
        read(JSONL, path)
    assert str(error.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"])
def test_a_file_without_examples_is_an_error(tmp_path, content: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.jsonl.*train\.data"):
        read(JSONL, path)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match=r"x\.jsonl"):
        read(JSONL, tmp_path / "x.jsonl")
