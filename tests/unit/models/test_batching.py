"""Batches and lanes."""

from itertools import chain

import pytest

from lorascope.benchmarks.items import Item
from lorascope.models.batching import Batching, make_batches, make_lanes, part, rows_at_once
from tests.support.basics import printed


def test_batches_hold_every_index_once_the_longest_first_and_ties_in_order():
    assert make_batches([3, 9, 3, 7, 9], 2) == [[1, 4], [3, 0], [2]]
    assert make_batches([], 2) == []


def test_batching_imports_no_torch():
    code = "import sys, lorascope.models.batching; print('torch' in sys.modules)"
    assert printed(code) == "False\n"


def lanes(count, rows, shared=None):
    """Return the lanes of items as long as 1, 2, 3, ..., which share nothing by default."""
    return make_lanes(range(1, count + 1), shared or [""] * count, rows, count)


@pytest.mark.parametrize("count", [0, 1, 31, 500, 5000])
@pytest.mark.parametrize("rows", [None, 1, 5, 64])
@pytest.mark.parametrize("sharing", [1, 3, 10_000])
def test_lanes_hold_every_index_once_and_the_longest_first(count, rows, sharing):
    found = lanes(count, rows, [f"clip {i // sharing}" for i in range(count)])
    assert sorted(chain(*found)) == [*range(count)]
    assert not found or found[0][0] == count - 1


@pytest.mark.parametrize(
    ("count", "rows", "size"),
    [
        (4000, 5, 40),  # eight rooms, and no more
        (100_000, 5, 40),
        (500, 5, 15),  # 32 lanes and more
        (4000, 64, 64),  # never less than is answered at once
        (500, 64, 64),
        (3, 64, 3),
    ],
)
def test_lanes_of_half_precision_fill_what_is_decoded_at_once(count, rows, size):
    assert {len(lane) for lane in lanes(count, rows)[:-1]} | {len(lanes(count, rows)[0])} == {size}


def test_lanes_without_anything_shared_are_in_the_order_of_batches():
    lengths = [3, 9, 3, 7, 9, 1]
    assert make_lanes(lengths, [""] * 6, 2, 6) == make_batches(lengths, 2)


def test_what_shares_a_clip_follows_one_another():
    shared = ["dog", "cat", "dog", "", "cat", ""]
    assert make_lanes([1, 2, 9, 4, 3, 5], shared, 4, 6) == [[2, 0, 5, 3], [4, 1]]


def test_in_float32_a_lane_is_what_shares_something_however_many_are_answered_at_once():
    shared = ["dog", "cat", "dog", "", "cat", ""]
    assert make_lanes([1, 2, 9, 4, 3, 5], shared, None, 64) == [[2, 0], [5], [3], [4, 1]]


def test_what_all_items_share_is_cut_so_that_shards_are_alike():
    assert {*map(len, lanes(3200, None, ["one clip"] * 3200))} == {100}


@pytest.mark.parametrize("shards", [2, 3, 7, 8])
@pytest.mark.parametrize("sharing", [1, 2, 5])
@pytest.mark.parametrize(("count", "rows"), [(500, None), (500, 5), (500, 1), (2067, 32)])
def test_no_shard_is_empty_or_far_from_the_mean(count, rows, sharing, shards):
    found = lanes(count, rows, [f"passage {i // sharing}" for i in range(count)])
    sizes = [sum(map(len, part(found, shard, shards))) for shard in range(shards)]
    assert max(sizes) <= 1.25 * count / shards
    assert min(sizes) >= 0.75 * count / shards
    if rows is None:
        assert max(sizes) - min(sizes) <= sharing


def test_as_many_rows_are_answered_at_once_as_there_is_room_for_the_mean():
    assert rows_at_once([100, 300], None, 1000) == 5
    assert rows_at_once([100, 300], 3, 1000) == 3
    assert rows_at_once([5000], None, 1000) == rows_at_once([5000], None, 1) == 1
    assert rows_at_once([], None, 1000) == 1000


GENERATION = {"max_new_tokens": 90, "num_beams": 1}


def item(number, question="?" * 20, **own):
    name = f"q/{number}"
    return Item(item_id=name, category="q", question=question, answer="", answers=(), **own)


def batching(dtype="bfloat16", batch_size=None, mode="generate", **own):
    return Batching(dtype, batch_size, 1000, mode, GENERATION | own)


def test_room_counts_what_may_be_generated_and_each_beam():
    assert batching().rows([item(0)]) == 10
    assert batching(num_beams=2).rows([item(0)]) == 5
    assert batching().rows([item(0, generation='{"max_new_tokens": 190}')]) == 5
    assert batching(batch_size=3).rows([item(0)]) == 3


def test_room_counts_each_continuation_and_nothing_that_is_generated():
    options = {"continuations": ("a" * 20,) * 5}
    assert batching(mode="choose").rows([item(0, **options)]) == 10
    assert batching(mode=None).rows([item(0, mode="choose", **options)]) == 10
    assert batching(mode="loss").rows([item(0, "", continuations=("a" * 20,))]) == 100


def test_lanes_hold_what_is_answered_in_one_way_and_follow_from_settings_alone():
    items = [item(i, mode="generate" if i % 3 else "choose") for i in range(100)]
    found = batching(mode=None).lanes(items)
    assert {frozenset(one.mode for one in lane) for lane in found} == {
        frozenset({"generate"}),
        frozenset({"choose"}),
    }
    assert sorted(one.item_id for lane in found for one in lane) == sorted(
        one.item_id for one in items
    )
    for dtype, moves in {"float32": False, "float16": True}.items():
        ten, three = (batching(dtype, size).lanes(items) for size in (10, 3))
        assert (ten != three) == moves


def test_items_about_one_clip_or_passage_are_kept_together():
    heard = [item(i, "?" * (i + 1), clip=f"{i % 2}.wav") for i in range(4)]
    assert [[one.item_id for one in lane] for lane in batching("float32").lanes(heard)] == [
        ["q/3"], ["q/1"], ["q/2"], ["q/0"]
    ]  # fmt: skip
    read = [item(i, "?" * (i + 1), passage=f"{i % 2}") for i in range(4)]
    (lane,) = batching("float16", 4).lanes(read)
    assert [one.item_id for one in lane] == ["q/3", "q/1", "q/2", "q/0"]


def test_shards_are_samples_of_lanes_whatever_their_order():
    lanes = list(range(1000))
    shards = [part(lanes, shard, 8) for shard in range(8)]
    assert sorted(lane for shard in shards for lane in shard) == lanes
    assert [len(shard) for shard in shards] == [125] * 8
    for shard in shards:
        assert shard == sorted(shard)
        assert all(lane // 8 == block for block, lane in enumerate(shard))
        odd = sum(lane % 2 for lane in shard)
        assert 40 < odd < 85, "every second one of the source is no shard of its own"
    assert part(lanes, 0, 1) == lanes
    assert [part(lanes[:3], shard, 8) for shard in range(8)].count([]) == 5
