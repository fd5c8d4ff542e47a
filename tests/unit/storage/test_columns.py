"""Tables of Python's values are pyarrow's own, made without pandas."""

import math
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lorascope.storage.columns import column, integers, table_of
from tests.support.basics import printed

TURN = pa.struct([pa.field("question", pa.string(), False), pa.field("answer", pa.string(), False)])
NUMBERS: dict[pa.DataType, Callable[[random.Random], Any]] = {
    pa.int32(): lambda dice: dice.randrange(-(2**31), 2**31),
    pa.int64(): lambda dice: dice.randrange(-(2**63), 2**63),
    pa.bool_(): lambda dice: dice.random() < 0.5,
    pa.float64(): lambda dice: dice.choice([dice.gauss(), 3, -0.0, 1e-310, math.inf, math.nan]),
    pa.string(): lambda dice: "".join(dice.choices("aß𝄞\n\0 ", k=dice.choice([0, 1, 5]))),
}
NESTED = [
    TURN,
    pa.list_(pa.int32()),
    pa.list_(pa.bool_()),
    pa.list_(pa.field("element", TURN, nullable=False)),
    pa.list_(pa.list_(pa.string())),
]


def drawn(dice: random.Random, kind: pa.DataType, nulls: float) -> Any:
    if dice.random() < nulls:
        return None
    if pa.types.is_struct(kind):
        return {field.name: drawn(dice, field.type, 0) for field in kind}
    if pa.types.is_list(kind):
        return [drawn(dice, kind.value_type, nulls) for _ in range(dice.choice([0, 1, 9]))]
    return NUMBERS[kind](dice)


@pytest.mark.parametrize("nulls", [0, 0.3, 1])
@pytest.mark.parametrize("kind", [*NUMBERS, *NESTED], ids=str)
def test_a_column_is_the_one_that_pyarrow_makes(kind, nulls):
    dice = random.Random(7)
    for length in (0, 1, 7, 8, 9, 65):
        values = [drawn(dice, kind, nulls) for _ in range(length)]
        ours, theirs = column(values, kind), pa.array(values, kind)
        ours.validate(full=True)
        assert (ours.type, ours.null_count) == (theirs.type, theirs.null_count)
        assert repr(ours.to_pylist()) == repr(theirs.to_pylist())


def test_a_table_has_the_columns_of_its_schema_and_null_for_what_a_row_lacks():
    schema = pa.schema([("b", pa.string()), ("a", pa.int32())])
    rows = [{"a": 1, "b": "x", "c": 2}, {"b": None}]
    assert table_of(rows, schema).equals(pa.Table.from_pylist(rows, schema=schema))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int32(), 2**31),
        (pa.int32(), 1.5),
        (pa.float64(), "1"),
        (pa.bool_(), "no"),
        (pa.string(), 7),
        (pa.string(), "\ud800"),
        (pa.date32(), 7),
    ],
)
def test_a_value_of_another_type_is_refused_by_the_name_of_its_column(kind, value):
    with pytest.raises((TypeError, ValueError, OverflowError)) as refused:
        table_of([{"x": value}], pa.schema([("x", kind)]))
    assert refused.value.__notes__ == [f"in the column x of {kind}"]


def test_neither_a_table_nor_an_index_brings_pandas():
    code = """
import sys
import pyarrow as pa
from lorascope.storage.columns import integers, table_of
schema = pa.schema([("a", pa.string()), ("b", pa.list_(pa.int32()))])
table = table_of([{"a": "x", "b": [1]}], schema)
table.take(integers([0, 0]))
print("pandas" in sys.modules)
"""
    assert printed(code).split() == ["False"]


def test_an_index_holds_its_numbers():
    assert integers(range(3)).equals(pa.array([0, 1, 2]))
