"""The innermost arrays of a column of Arrow: where its text stands, or its dates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import pyarrow as pa

Wanted: TypeAlias = Callable[[pa.DataType], bool]
"""Whether values of a type are looked for."""


class Span(NamedTuple):
    """How many values of a leaf a null stands for: those of an array of a fixed size are all made.

    Attributes:
        of_row: In a null row, by the arrays above the uppermost list.
        of_entry: In a null entry of a list, by the arrays below that; 0 where no list is.
    """

    of_row: int
    of_entry: int


def holds(kind: pa.DataType, wanted: Wanted) -> bool:
    """Whether a type has a wanted one anywhere in it."""
    if isinstance(kind, pa.BaseExtensionType):
        return holds(kind.storage_type, wanted)
    if pa.types.is_dictionary(kind):
        return holds(kind.value_type, wanted)
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    return wanted(kind) or any(holds(each, wanted) for each in inner)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is text, or bytes, which may be text too."""
    # NumPy's fixed-size text comes as bytes.
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def texts(cells: pa.Array) -> Iterator[pa.Array]:
    """All text in a column, at whatever depth; of what stands in a dictionary, each text once."""
    for leaf in leaves(cells, is_text):
        yield leaf.dictionary if pa.types.is_dictionary(leaf.type) else leaf


def leaves(cells: pa.Array, wanted: Wanted) -> Iterator[pa.Array]:
    """The arrays of wanted types in a column, plain or by dictionary, without types around them."""
    kind = cells.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from leaves(cells.storage, wanted)
    elif pa.types.is_struct(kind):
        for part in cells.flatten():
            yield from leaves(part, wanted)
    elif pa.types.is_run_end_encoded(kind):
        yield from leaves(cells.values, wanted)
    elif pa.types.is_map(kind):
        yield from leaves(cells.keys, wanted)
        yield from leaves(cells.items, wanted)
    elif pa.types.is_dictionary(kind):
        if wanted(kind.value_type):
            yield cells
        else:
            yield from leaves(cells.dictionary, wanted)
    elif pa.types.is_nested(kind):
        yield from leaves(cells.flatten(), wanted)
    elif wanted(kind):
        yield cells


@lru_cache(maxsize=64)
def spans(serialized: bytes) -> tuple[Span, ...]:
    """The spans of all leaves of a schema, as Arrow serializes it, in their order."""
    schema = pa.ipc.read_schema(pa.BufferReader(serialized))
    return tuple(span for field in schema for span in _spans(field.type, Span(1, 0)))


def _spans(kind: pa.DataType, above: Span) -> Iterator[Span]:
    if isinstance(kind, pa.BaseExtensionType):
        yield from _spans(kind.storage_type, above)
        return
    if pa.types.is_fixed_size_list(kind):
        of_row = above.of_row if above.of_entry else above.of_row * kind.list_size
        above = Span(of_row, above.of_entry * kind.list_size)
    elif pa.types.is_nested(kind) and not pa.types.is_struct(kind):
        above = above._replace(of_entry=max(1, above.of_entry))
    if not kind.num_fields:
        yield above
    for number in range(kind.num_fields):
        yield from _spans(kind.field(number).type, above)
