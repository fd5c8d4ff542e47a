"""Arrow tables of Python's values.

``pyarrow.array``, and all that is made by it, imports pandas to ask whether a list is one of its
columns: half a second, in every job that writes a table. So columns are put together from their
buffers (https://arrow.apache.org/docs/format/Columnar.html); a test holds them to pyarrow's own.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence, Sized
from itertools import accumulate, chain
from typing import Any

import numpy as np
import pyarrow as pa

HARMLESS = "keeps values as they are given"

NUMBERS = {pa.int32(): "i", pa.int64(): "q", pa.float64(): "d"}
"""Type -> its code in Python's array, which takes no other kind of number and none out of range."""


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return the columns of ``schema`` of rows; null is None, and what a row lacks.

    TypeError, ValueError or OverflowError, which name the column, for a value of another type.
    """
    columns = [_named(field, [row.get(field.name) for row in rows]) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def integers(values: Iterable[int]) -> pa.Array:
    """Return a column of 64-bit integers, none of them null."""
    return column([*values], pa.int64())


def _named(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    try:
        return column(values, field.type)
    except (TypeError, ValueError, OverflowError) as error:
        error.add_note(f"in the column {field.name} of {field.type}")
        raise


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return a column of text, numbers, booleans, or lists and structures of these."""
    nulls = [value is None for value in values]
    valid = _bits([not null for null in nulls]) if any(nulls) else None
    if pa.types.is_struct(kind):
        fields = [
            column(
                [None if value is None else value.get(field.name) for value in values], field.type
            )
            for field in kind
        ]
        return pa.Array.from_buffers(kind, len(values), [valid], children=fields)
    if pa.types.is_list(kind):
        parts = [() if value is None else value for value in values]
        inner = [column([*chain.from_iterable(parts)], kind.value_type)]
        return pa.Array.from_buffers(kind, len(values), [valid, _ends(parts)], children=inner)
    return pa.Array.from_buffers(kind, len(values), [valid, *_flat(values, kind)])


def _flat(values: Sequence[Any], kind: pa.DataType) -> list[pa.Buffer]:
    """Return the buffers of values that hold no others, but not the one of what is null."""
    if pa.types.is_string(kind):
        texts = [b"" if value is None else str.encode(value) for value in values]
        return [_ends(texts), pa.py_buffer(b"".join(texts))]
    if pa.types.is_boolean(kind):
        for value in values:
            if not isinstance(value, bool | np.bool_ | None):
                raise TypeError(f"{value!r} is neither true nor false")
        return [_bits([bool(value) for value in values])]
    if kind not in NUMBERS:
        raise TypeError(f"no table of this package has values of type {kind}")
    return [pa.py_buffer(array(NUMBERS[kind], (0 if v is None else v for v in values)))]


def _ends(parts: Sequence[Sized]) -> pa.Buffer:
    """Return where the parts of a column end, and the first begins."""
    return pa.py_buffer(array("i", accumulate(map(len, parts), initial=0)))


def _bits(values: Sequence[bool]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.array(values, dtype=bool), bitorder="little"))
