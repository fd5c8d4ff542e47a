"""Groups of rows that begin alike: what is shared is equal, and no other cut saves more."""

import random
from itertools import product

import pytest

from lorascope.models.prefixes import Group, shared


def saved(groups: list[Group], least: int) -> int:
    """The positions that groups save, less what each of them costs."""
    return sum((len(g.rows) - 1) * g.length - least for g in groups if g.length)


def most(keys: list[tuple[int, ...]], least: int) -> int:
    """The most that can be saved, of all ways to cut each row."""
    best = 0
    for cuts in product(*(range(max(len(row), 1)) for row in keys)):
        prefixes = [row[:cut] for row, cut in zip(keys, cuts, strict=True) if cut]
        once = {*prefixes}
        best = max(best, sum(map(len, prefixes)) - sum(map(len, once)) - least * len(once))
    return best


def tree_of_rows(seed: int, rows: int, depth: int, keys: int = 2) -> list[tuple[int, ...]]:
    """Rows that part at random places: each begins as one before it does."""
    chance = random.Random(seed)
    found: list[tuple[int, ...]] = []
    for _ in range(rows):
        start = chance.choice(found) if found else ()
        start = start[: chance.randint(0, len(start))]
        length = max(chance.randint(1, depth), len(start))
        rest = [chance.randrange(keys) for _ in range(length - len(start))]
        found.append((*start, *rest))
    return found


def assert_sound(keys, groups: list[Group], least: int) -> None:
    assert sorted(row for group in groups for row in group.rows) == [*range(len(keys))]
    assert [g.rows[0] for g in groups] == sorted(g.rows[0] for g in groups)
    for group in groups:
        assert [*group.rows] == sorted(group.rows)
        if group.length:
            prefixes = {tuple(keys[row][: group.length]) for row in group.rows}
            assert len(prefixes) == 1
            assert all(len(keys[row]) > group.length for row in group.rows)
            assert (len(group.rows) - 1) * group.length >= max(least, 1)
    prefixes = [tuple(keys[g.rows[0]][: g.length]) for g in groups]
    assert len({*prefixes}) == len(prefixes)


@pytest.mark.parametrize("least", [0, 1, 3, 6])
@pytest.mark.parametrize("seed", range(40))
def test_no_cut_saves_more(seed, least):
    keys = tree_of_rows(seed, rows=1 + seed % 6, depth=5)
    groups = shared(keys, least)
    assert_sound(keys, groups, least)
    assert saved(groups, least) == most(keys, least)


@pytest.mark.parametrize("seed", range(20))
def test_rows_in_another_order_are_grouped_alike(seed):
    keys = tree_of_rows(seed, rows=200, depth=40, keys=3)
    groups = shared(keys, 8)
    assert_sound(keys, groups, 8)
    order = [*range(len(keys))]
    random.Random(seed).shuffle(order)
    again = shared([keys[i] for i in order], 8)

    def by_keys(found, rows):
        return {(g.length, tuple(sorted(rows[i] for i in g.rows))) for g in found}

    assert by_keys(again, [keys[i] for i in order]) == by_keys(groups, keys)
    assert saved(again, 8) == saved(groups, 8)
    assert shared(keys, 8) == groups


def test_few_shots_are_shared_by_all():
    shots = [*range(50)]
    keys = [[*shots, 100 + i, 200 + i] for i in range(5)]
    assert shared(keys, 1) == [Group(50, (0, 1, 2, 3, 4))]
    assert shared(keys, 4 * 50 - 1) == [Group(50, (0, 1, 2, 3, 4))]
    assert shared(keys, 4 * 50 + 1) == [Group(0, (0, 1, 2, 3, 4))]


def test_a_passage_that_some_share_more_of_and_the_system_turn_of_the_rest():
    system, one, other = [1] * 30, [2] * 300, [3] * 300
    rows = [[*system, *passage, 10 + i] for i, passage in enumerate([one, other, one, other])]
    assert shared(rows, 1) == [Group(330, (0, 2)), Group(330, (1, 3))]
    rest = [[*system, 20 + i, 0] for i in range(3)]
    assert shared([*rest, *rows], 1) == [
        Group(30, (0, 1, 2)),
        Group(330, (3, 5)),
        Group(330, (4, 6)),
    ]


def test_a_short_passage_is_read_with_each_of_its_questions_where_that_saves_more():
    shots = [1] * 800
    rows = [[*shots, *[2 + i // 2] * 50, 100 + i] for i in range(8)]
    assert shared(rows, 1) == [Group(800, tuple(range(8)))]


def test_clips_and_tokens_are_keys_alike():
    def row(clip: str, question: int):
        return [1, 2, *((clip, i) for i in range(88)), 3, question, 0]

    keys = [row("a", 7), row("b", 7), row("a", 8), row("b", 9), row("c", 7)]
    assert shared(keys, 8) == [Group(91, (0, 2)), Group(91, (1, 3)), Group(0, (4,))]


def test_the_last_position_is_left_to_read():
    assert shared([[5, 6, 7]] * 3, 1) == [Group(2, (0, 1, 2))]
    assert shared([[5], [5], [5, 6]], 0) == [Group(0, (0, 1, 2))]
    assert shared([[5, 6], [5, 6, 7]], 0) == [Group(1, (0, 1))]


@pytest.mark.parametrize("keys", [[], [[1, 2, 3]], [[], [1]]], ids=["none", "one", "empty"])
def test_what_shares_nothing_is_one_group(keys):
    expected = [Group(0, tuple(range(len(keys))))] if keys else []
    assert shared(keys, 0) == expected


def test_a_chain_of_thousands_is_no_deep_recursion():
    keys = [[*range(i + 2)] for i in range(2000)]
    groups = shared(keys, 16)
    assert_sound(keys, groups, 16)
    assert saved(groups, 16) > 0.9 * sum(map(len, keys))
