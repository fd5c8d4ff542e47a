"""Clips of a table: where they lie, under an audio condition, and the ones that are no clips."""

import hashlib
import os

import pytest

from lorascope.benchmarks.table.items import build_items
from lorascope.benchmarks.table.sources import count_clips, source_files
from lorascope.errors import UserError
from lorascope.study.registry import BENCHMARKS
from tests.support.lab import write_clip
from tests.support.tables import built, dataset, refused, write_rows

HEARD = {"clip": "path", "answer": "text"}
ROWS = [
    {"path": f"./audio/c{n}.wav", "text": f"words {n}", "emotion": "sad", "A": "sad", "B": "glad"}
    for n in range(4)
]


@pytest.fixture
def path(tmp_path):
    for number in range(4):
        write_clip(tmp_path / f"data/audio/c{number}.wav", 0.2 + 0.1 * number)
    return write_rows(tmp_path / "data/rows.csv", ROWS)


def test_a_transcription_has_a_clip_and_no_question(path):
    items = built(path, **HEARD)
    content = (path.parent / "audio/c1.wav").read_bytes()
    item = items[1]
    assert (item.question, item.answers, item.continuations) == ("", ("words 1",), (" words 1",))
    assert (item.clip, item.passage) == ("audio/c1.wav", "")
    assert item.clip_sha256 == hashlib.sha256(content).hexdigest()
    assert item.clip_seconds == pytest.approx(0.3)
    keys = dataset(path, **HEARD)
    assert count_clips(path, keys, None) == 4
    assert count_clips(path, keys, 2) == 2
    assert BENCHMARKS["table"].clips_of(path, keys) == path.parent


def test_clips_lie_where_the_study_says(path, tmp_path):
    start, folder = path.parent / "audio", path.parent
    rows = [row | {"path": row["path"].removeprefix("./audio/")} for row in ROWS]
    other = write_rows(tmp_path / "else/rows.jsonl", rows)
    items = built(other, **HEARD, clips=str(start))
    assert [item.clip for item in items] == [f"c{n}.wav" for n in range(4)]
    table = BENCHMARKS["table"]
    assert table.clips_of(other, dataset(other, **HEARD, clips=str(start))) == start
    # Of a folder, the folder; a template names what the column leaves out; a path may be whole.
    stems = [row | {"path": row["path"][8:10]} for row in ROWS]
    write_rows(folder / "rows.csv", stems)
    items = built(folder, clip="audio/{path}.wav", answer="text", files="rows.csv")
    assert [item.clip for item in items] == [f"audio/c{n}.wav" for n in range(4)]
    assert table.clips_of(folder, dataset(folder, **HEARD)) == folder
    whole = [row | {"path": str(start / f"c{n}.wav")} for n, row in enumerate(ROWS)]
    assert built(write_rows(tmp_path / "whole.csv", whole), **HEARD)[0].clip == whole[0]["path"]


def test_a_question_about_clips_may_be_the_same_for_all(path):
    keys = {"clip": "path", "answer": "emotion", "options": ["A", "B"]}
    [item, *_] = built(path, **keys, question="How does it sound?")
    assert item.question == "How does it sound?"
    [item, *_] = built(path, **keys, question="How does it sound? {options}")
    assert (item.question, item.gold) == ("How does it sound? (a) sad (b) glad", "a")
    assert "no column 'sound', which question names" in refused(path, **keys, question="sound")
    rows = [row | {"the question": "Why?"} for row in ROWS]
    write_rows(path, rows)
    assert built(path, **keys, question="the question")[0].question == "Why?"
    message = refused(path, **keys, question="the questoin")
    assert "no column 'the questoin', which question names; did you mean 'the question'?" in message


def test_rows_may_share_a_clip(path):
    rows = [*ROWS, ROWS[0] | {"text": "more"}]
    write_rows(path, rows)
    keys = dataset(path, **HEARD)
    items, _ = build_items(path, keys, None)
    assert items[0].clip_sha256 == items[4].clip_sha256
    assert count_clips(path, keys, None) == 4


@pytest.mark.parametrize(("too_long", "left"), [("truncate", 4), ("skip", 2)])
def test_an_audio_condition_is_that_of_every_benchmark_of_clips(path, too_long, left):
    padded = {"type": "zero-padded", "position": "late", "target_len": 0.4, "too_long": too_long}
    items, notes = build_items(path, dataset(path, **HEARD, audio=padded), None)
    assert len(items) == left
    done = {"truncate": "truncated", "skip": "skipped"}[too_long]
    assert f"clips: 2 clips of 0.4 s or more {done} (audio.too_long: {too_long})" in notes
    padded = padded | {"too_long": "error"}
    message = refused(path, **HEARD, audio=padded)
    assert "audio/c2.wav: 0.400 s long, which leaves no room for padding to 0.4 s" in message
    skipped = padded | {"too_long": "skip", "target_len": 0.1}
    assert "no items are left" in refused(path, **HEARD, audio=skipped)


def test_only_the_clips_that_are_asked_about_decide(path):
    keys = dataset(path, **HEARD, items=2)
    files = source_files(path, keys, None)
    items, _ = build_items(path, keys, None)
    assert files == [path, *(path.parent / item.clip for item in items)]


def test_a_clip_that_is_not_there_is_named_by_row_and_column(path):
    (path.parent / "audio/c2.wav").unlink()
    (path.parent / "audio/c3.wav").unlink()
    with pytest.raises(UserError) as planned:
        source_files(path, dataset(path, **HEARD), None)
    clip = path.parent / "audio/c2.wav"
    assert str(planned.value) == (
        f"{path}: line 4: column path: the clip {clip} is not there (and 1 more clips); put it "
        "there, or correct clip or clips"
    )
    message = refused(path, **HEARD)
    assert message.startswith(f"{path}: line 4: column path: {clip}: the audio file is missing; ")
    assert message.endswith("(and 1 more problems of this data set)")


def test_a_clip_that_no_file_can_be_is_named_while_planning(path):
    for odd in ("x" * 300, "a\0.wav"):
        write_rows(path, [*ROWS, ROWS[0] | {"path": odd}])
        with pytest.raises(UserError, match=r"line 6: column path: the clip .* is not there"):
            source_files(path, dataset(path, **HEARD), None)


def test_clips_none_of_which_is_there_are_not_here_yet(path):
    for clip in (path.parent / "audio").iterdir():
        clip.unlink()
    listed = source_files(path, dataset(path, **HEARD), None)
    assert listed == [path, *(path.parent / f"audio/c{n}.wav" for n in range(4))]


def test_what_is_no_clip_is_named_by_row_and_column(path):
    (path.parent / "audio/c1.wav").write_text("no audio")
    message = refused(path, **HEARD)
    clip = path.parent / "audio/c1.wav"
    assert message.startswith(f"{path}: line 3: column path: {clip}: not a readable audio file")
    clip.unlink()
    os.mkfifo(clip)
    assert "is a pipe, where a file is expected" in refused(path, **HEARD)
    clip.unlink()
    write_clip(clip)
    for odd, words in (
        ("", "line 6: column path: is empty; fill it in"),
        ("a\0.wav", "line 6: column path: "),
        ("audio", "line 6: column path: "),
        ("x" * 300, "line 6: column path: "),
    ):
        assert words in refused(write_rows(path, [*ROWS, ROWS[0] | {"path": odd}]), **HEARD)
    inline = write_rows(path.parent / "a.parquet", [{"path": {"bytes": b"RIFF"}, "text": "x"}])
    message = refused(inline, **HEARD)
    assert message.startswith(f"{inline}: row 1: column path: holds a clip itself")
