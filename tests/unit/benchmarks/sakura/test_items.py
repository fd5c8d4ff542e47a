import csv
import hashlib
import json
from collections import Counter
from itertools import pairwise
from pkgutil import resolve_name

import pytest

from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.sakura import download
from lorascope.benchmarks.sakura import items as sakura
from lorascope.study.registry import BENCHMARKS
from tests.support import sakura_cases
from tests.support.basics import printed, shared_path
from tests.support.sakura_cases import (
    AUDIO,
    PADDED,
    build,
    dataset,
    refuses,
    row,
    rows_of,
    write_clip,
    write_csv,
)

root = sakura_cases.root

# -------------------------------------------------------------------------------- items


def test_an_item(root):
    items = {item.item_id: item for item in build(root)}
    assert len(items) == 20
    item = items["animal-multi/cow1"]
    path = root / "data/Animal/audio/cow1.wav"
    assert (item.category, item.track, item.hop) == ("animal-multi", "animal", "multi")
    assert item.clip == "data/Animal/audio/cow1.wav"
    assert item.clip_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert item.clip_seconds == 0.05
    assert item.question == "What does it say? (a) meow (b) moo (c) woof"
    assert item.options == (("a", "meow"), ("b", "moo"), ("c", "woof"))
    assert (item.gold, item.answer, item.label) == ("b", "(b) moo", "cow")


def test_items_are_sorted_whatever_the_order_of_rows_tracks_and_hops(root):
    items = build(root)
    assert items == sorted(items, key=lambda item: (item.category, item.clip))
    write_csv(root, rows_of(root)[::-1])
    assert build(root, hops=["multi", "single"]) == items


def test_hops_and_tracks_are_selectable(root):
    write_csv(root, [row("a", "cat")], track="Gender")
    write_clip(root, "a.wav", track="Gender")
    items = build(root, tracks=["gender", "animal"], hops=["multi"])
    assert Counter(item.category for item in items) == {"animal-multi": 10, "gender-multi": 1}


def test_the_json_is_read_where_there_is_no_csv(root):
    items = build(root)
    records = {
        f"data/Animal/audio/{entry.pop('file')}": entry | {"gender": "female"}
        for entry in rows_of(root)
    }
    (root / "data/Animal/metadata.csv").unlink()
    path = root / "data/Animal/metadata.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    assert build(root) == items
    path.write_text(json.dumps(records), encoding="utf-8-sig")
    assert build(root) == items


def test_oddities_of_the_published_files(tmp_path):
    question = "言語は? Is it\u2028(a) 中文  简体 (b) it (c) “de”"
    odd = row("a", "cat", single_instruction=question, single_answer=" (b) it", gender="x")
    odd |= {"multi_instruction": "Say\n(a) one,  two (b) three", "multi_answer": "(a) one,  two"}
    write_csv(tmp_path, [odd], encoding="utf-8-sig")
    write_clip(tmp_path, "a.wav")
    multi, single = build(tmp_path)
    assert (single.question, single.answer, single.gold) == (question, " (b) it", "b")
    assert single.options == (("a", "中文  简体"), ("b", "it"), ("c", "“de”"))
    assert (multi.question, multi.gold) == (odd["multi_instruction"], "a")


def test_clips_of_any_format_and_rate(tmp_path):
    write_csv(tmp_path, [row("a", "cat", file="a.ogg"), row("b", "dog", file="b.flac")])
    write_clip(tmp_path, "a.ogg", seconds=0.5, rate=24000)
    write_clip(tmp_path, "b.flac", seconds=0.25, rate=44100)
    items = build(tmp_path, hops=["single"])
    assert [item.clip_seconds for item in items] == [0.5, 0.25]
    assert [item.item_id for item in items] == ["animal-single/a", "animal-single/b"]


# ---------------------------------------------------------------------------- selection


def test_a_selection_is_balanced_nested_and_the_same_for_both_hops(root):
    chosen = []
    for count in range(1, 11):
        items = build(root, items_per_category=count)
        stems = {
            hop: {i.item_id.split("/")[1] for i in items if i.hop == hop}
            for hop in ("single", "multi")
        }
        assert stems["single"] == stems["multi"]
        assert len(stems["single"]) == count
        labels = Counter(i.label for i in items if i.hop == "single")
        if count <= 6:
            assert max(labels.values()) - min(labels.values(), default=0) <= 1
        chosen.append(stems["single"])
    for smaller, larger in pairwise(chosen):
        assert smaller < larger
    assert labels == {"cat": 4, "dog": 4, "cow": 2}


def test_the_selection_does_not_depend_on_the_order_of_rows_or_the_audio(root):
    items = build(root, items_per_category=3)
    write_csv(root, sorted(rows_of(root), key=lambda entry: entry["file"], reverse=True))
    assert build(root, items_per_category=3) == items
    assert build(root, items_per_category=3, audio=PADDED | {"seed": 9}) == items


@pytest.mark.parametrize(
    ("limit", "asked", "made"), [(2, 5, 2), (5, 2, 2), (3, None, 3), (99, 50, 10)]
)
def test_the_smaller_of_limit_and_items_per_category_counts(root, limit, asked, made):
    settings = dataset(items_per_category=asked)
    items, notes = sakura.build_items(root, settings, limit)
    assert Counter(item.category for item in items) == {"animal-single": made, "animal-multi": made}
    assert notes == [f"animal: {made} of 10 clips selected"]
    counts = {"animal-single": made, "animal-multi": made}
    assert sakura.count_items(root, settings, limit) == counts


def test_each_option_may_follow_the_question(root):
    for item in build(root):
        inline = (f" ({letter}) {text}" for letter, text in item.options)
        assert item.continuations == tuple(inline)


def test_clips_that_are_not_selected_need_not_be_there(root):
    kept = {item.clip for item in build(root, limit=2)}
    for path in (root / "data/Animal/audio").iterdir():
        if str(path.relative_to(root)) not in kept:
            path.unlink()
    assert {item.clip for item in build(root, limit=2)} == kept


# ----------------------------------------------------------------------------- controls


def test_shuffled_items_hear_another_clip_of_their_track(root):
    plain = {item.item_id: item for item in build(root)}
    shuffled = {item.item_id: item for item in build(root, control="shuffled")}
    assert list(plain) == list(shuffled)
    facts = {(item.clip, item.clip_sha256, item.clip_seconds) for item in plain.values()}
    for name, item in shuffled.items():
        assert (item.question, item.answer, item.label) == (
            plain[name].question,
            plain[name].answer,
            plain[name].label,
        )
        assert (item.clip, item.clip_sha256, item.clip_seconds) in facts
        assert item.clip == shuffled[name.replace("single", "multi")].clip
    assert sorted(i.clip for i in shuffled.values()) == sorted(i.clip for i in plain.values())
    assert sum(plain[name].clip != shuffled[name].clip for name in plain) > 10
    assert build(root, control="shuffled") == list(shuffled.values())
    other = build(root, control="shuffled", audio=AUDIO | {"seed": 1})
    assert [item.clip for item in other] != [item.clip for item in shuffled.values()]


def test_a_shuffle_meets_the_own_label_as_often_as_chance():
    clips = [f"{'female' if n % 2 else 'male'}{n}" for n in range(1000)]
    heard = sakura.shuffle(clips, "0/gender")
    assert sorted(heard) == sorted(heard.values()) == sorted(clips)
    same = sum(
        own.rstrip("0123456789") == other.rstrip("0123456789") for own, other in heard.items()
    )
    assert 430 < same < 570


def test_silence_is_the_business_of_the_audio_condition(root):
    settings = dataset(control="silent")
    assert sakura.build_items(root, settings, None)[0] == build(root)
    assert Condition.of_dataset(settings).silent


# ------------------------------------------------------------------------ clips too long


def test_a_clip_as_long_as_the_target_is_an_error_before_anything_runs(root):
    write_clip(root, "cat1.wav", seconds=1.0)
    assert len(build(root)) == 20
    refuses(root, "cat1.wav", "1.000 s", "audio.too_long", audio=PADDED)
    write_clip(root, "dog1.wav", seconds=2.0)
    refuses(root, "and 1 more", audio=PADDED)


@pytest.mark.parametrize("control", ["none", "shuffled"])
def test_skipped_clips_are_counted_and_never_heard(root, control):
    write_clip(root, "cat1.wav", seconds=1.0)
    settings = dataset(audio=PADDED | {"too_long": "skip"}, control=control)
    items, notes = sakura.build_items(root, settings, None)
    assert len(items) == 18
    assert all("cat1" not in item.item_id and "cat1" not in item.clip for item in items)
    assert notes[1] == "animal: 1 clips of 1 s or more skipped (audio.too_long: skip)"


def test_truncated_clips_are_counted(root):
    write_clip(root, "cat1.wav", seconds=1.5)
    settings = dataset(audio=PADDED | {"too_long": "truncate"})
    items, notes = sakura.build_items(root, settings, None)
    assert len(items) == 20
    assert {item.clip_seconds for item in items if "cat1" in item.clip} == {1.5}
    assert notes[1] == "animal: 1 clips of 1 s or more truncated (audio.too_long: truncate)"


def test_skipping_everything_is_an_error(root):
    short = PADDED | {"target_len": 0.01, "too_long": "skip"}
    refuses(root, "no items are left", "animal", audio=short)


# ---------------------------------------------------------------------------- bad input


def test_unknown_track(root):
    refuses(root, "'colour'", "animal, emotion, gender, language", tracks=["colour"])


def test_the_benchmark_is_found_by_its_name():
    found = BENCHMARKS["sakura"]
    assert resolve_name(found.build_items) is sakura.build_items
    assert resolve_name(found.source_files) is sakura.source_files
    assert resolve_name(found.download) is download.fetch
    assert resolve_name(found.training.read) is sakura.read_examples
    assert resolve_name(found.training.source_files) is sakura.training_files


# ----------------------------------------------------------------------------- planning


def test_source_files(root):
    write_csv(root, [row("a", "cat")], track="Gender")
    files = sakura.source_files(root, dataset(tracks=["gender", "animal"]), None)
    assert files == sorted(files)
    assert len(files) == 13
    assert root / "data/Animal/metadata.csv" in files
    assert root / "data/Animal/audio/cow1.wav" in files
    assert root / "data/Gender/audio/a.wav" in files  # referred to, absent
    assert len(sakura.source_files(root, dataset(), 2)) == 3


def test_sources_that_are_not_there_yet(root):
    assert sakura.source_files(root / "nowhere", dataset(), None) == []
    files = sakura.source_files(root, dataset(tracks=["emotion"]), None)
    assert files == [root / "data/Emotion/metadata.csv"]
    published = {"animal-single": 500, "animal-multi": 500}
    assert sakura.count_items(root / "nowhere", dataset(), None) == published
    assert sakura.count_items(root / "nowhere", dataset(), 5)["animal-multi"] == 5


def test_planning_imports_nothing_heavy(root):
    code = (
        "import sys; from pathlib import Path; from pkgutil import resolve_name;"
        "from lorascope.study.registry import BENCHMARKS;"
        "source_files = resolve_name(BENCHMARKS['sakura'].source_files);"
        f"files = source_files(Path({str(root)!r}), {dataset()!r}, None);"
        "heavy = {'numpy', 'scipy', 'soundfile', 'pandas', 'pyarrow', 'torch'} & set(sys.modules);"
        "print(len(files), sorted(heavy))"
    )
    assert printed(code) == "11 []\n"


# ------------------------------------------------------------------------- the real thing


def test_the_real_subset():
    root = shared_path("data/sakura")
    settings = dataset(tracks=list(sakura.TRACKS))
    items, notes = sakura.build_items(root, settings, None)
    expected = Counter()
    for path in root.glob("data/*/metadata.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = len(list(csv.DictReader(file)))
        expected |= {f"{path.parent.name.lower()}-{hop}": rows for hop in sakura.HOPS}
    assert Counter(item.category for item in items) == expected
    assert sum(expected.values()) == len(items) == 334
    assert sakura.count_items(root, settings, None) == expected
    assert len(notes) == 4
    for item in items:
        assert len(item.options) == (2 if item.track == "gender" else 4)
        assert dict(item.options)[item.gold] in item.answer
        assert 0.2 < item.clip_seconds < 21
    assert any(item.answer.startswith(" ") for item in items)


def test_the_csv_and_the_json_of_the_real_subset_agree(tmp_path):
    root = shared_path("data/sakura")
    for track in sakura.TRACKS:
        name = track.capitalize()
        (tmp_path / "data" / name).mkdir(parents=True)
        text = (root / "data" / name / "metadata.json").read_text(encoding="utf-8")
        (tmp_path / "data" / name / "metadata.json").write_text(text, encoding="utf-8")
        plain = [
            (r.clip, r.label, r.questions, r.answers) for r in sakura.read_metadata(root, track)
        ]
        other = [
            (r.clip, r.label, r.questions, r.answers) for r in sakura.read_metadata(tmp_path, track)
        ]
        assert plain == other
