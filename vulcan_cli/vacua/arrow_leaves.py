"""The innermost arrays of a column of Arrow: where its text stands, or its dates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pyarrow as pa

Wanted: TypeAlias = Callable[[pa.DataType], bool]
"""Whether values of a type are looked for."""


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
