import multiprocessing
import tracemalloc
from dataclasses import replace

import pytest

from lorascope.errors import UserError
from lorascope.judging import calls
from lorascope.judging.calls import CallCache
from tests.support.basics import flipped
from tests.support.judge_calls import call

CALLS = [call(f"question {number}") for number in range(3)]
TEXTS = ["correct", "Zwei\nZeilen 狗 \u2028 und mehr", ""]


def filled(folder):
    cache = CallCache(folder)
    for asked, text in zip(CALLS, TEXTS, strict=True):
        cache.put(asked, text)
    return cache


def texts(cache):
    return [cache.get(asked) for asked in CALLS]


def only_file(folder):
    [file] = folder.glob("*.jsonl")
    return file


def test_replies_come_back_in_this_process_and_in_the_next(tmp_path):
    assert texts(CallCache(tmp_path)) == [None] * 3
    assert texts(filled(tmp_path)) == TEXTS == texts(CallCache(tmp_path))


@pytest.mark.parametrize(
    "other",
    [
        {"messages": (("system", "question 0"),)},
        {"messages": (("user", "question 0"), ("user", ""))},
        {"max_tokens": 65},
        {"temperature": 0.5},
        {"temperature": None},
        {"seed": 0},
        {"judge": "another"},
        {"attempt": 1},
    ],
)
def test_whatever_can_change_a_reply_makes_another_call(tmp_path, other):
    assert filled(tmp_path).get(replace(CALLS[0], **other)) is None


def test_a_key_is_the_same_however_numbers_are_written():
    assert call("a").key == call("a", temperature=0).key and len(call("a").key) == 64


def test_a_torn_line_counts_as_not_asked_and_is_asked_again(tmp_path):
    filled(tmp_path)
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-5])
    cache = CallCache(tmp_path)
    assert texts(cache) == [*TEXTS[:2], None]
    cache.put(CALLS[2], "again")
    assert texts(cache) == [*TEXTS[:2], "again"] == texts(CallCache(tmp_path))


def test_no_flipped_bit_goes_unnoticed(tmp_path, caplog):
    filled(tmp_path)
    for place in flipped(only_file(tmp_path), step=3):
        found = texts(CallCache(tmp_path))
        wrong = [text for text, right in zip(found, TEXTS, strict=True) if text != right]
        assert wrong in ([None], [None, None]), place
    assert "damaged lines are ignored; these are asked again" in caplog.text


def test_damage_after_a_look_is_noticed_and_can_be_asked_again(tmp_path):
    cache = filled(tmp_path)
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"correct", b"corrupt"))
    assert cache.get(CALLS[0]) is None
    cache.put(CALLS[0], "again")
    assert cache.get(CALLS[0]) == "again"


def test_the_oldest_reply_holds_where_two_processes_made_a_call(tmp_path):
    first, second = CallCache(tmp_path), CallCache(tmp_path)
    first.put(CALLS[0], "first")
    second.put(CALLS[0], "second")
    assert CallCache(tmp_path).get(CALLS[0]) == "first"


def test_what_another_process_added_is_seen_after_a_refresh(tmp_path):
    mine, others = CallCache(tmp_path), CallCache(tmp_path)
    others.put(CALLS[0], "one")
    assert mine.get(CALLS[0]) is None
    mine.refresh()
    others.put(CALLS[1], "two")
    with mine.held("calls"):
        assert texts(mine) == ["one", "two", None]


def test_a_line_that_is_being_written_is_read_once_it_is_whole(tmp_path):
    filled(tmp_path)
    whole = only_file(tmp_path).read_bytes()
    only_file(tmp_path).write_bytes(whole[:-5])
    cache = CallCache(tmp_path)
    only_file(tmp_path).write_bytes(whole)
    cache.refresh()
    assert texts(cache) == TEXTS


def test_a_full_disk_is_said_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(calls.os, "write", lambda file, line: len(line) - 1)
    with pytest.raises(UserError, match="cannot be written: only a part"):
        CallCache(tmp_path).put(CALLS[0], "correct")


def test_the_texts_stay_on_disk(tmp_path):
    number = 500
    cache = CallCache(tmp_path)
    for n in range(number):
        cache.put(call(str(n)), "x" * 1000)
    tracemalloc.start()
    again = CallCache(tmp_path)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert again.get(call("7")) == "x" * 1000
    assert used < 300 * number


def _hold(folder, held, let_go):
    cache = CallCache(folder)
    with cache.held("calls"):
        held.set()
        let_go.wait(30)
        cache.put(CALLS[0], "by another")


def test_one_process_at_a_time_asks_and_the_next_one_knows_its_replies(tmp_path):
    context = multiprocessing.get_context("fork")
    held, let_go = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, held, let_go))
    other.start()
    assert held.wait(30)
    mine = CallCache(tmp_path)
    let_go.set()
    with mine.held("calls"):
        assert mine.get(CALLS[0]) == "by another"
    other.join()
