"""Where text stands in Arrow arrays, at whatever depth."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def holds_text(kind: pa.DataType) -> bool:
    """Whether a type has text anywhere in it."""
    if isinstance(kind, pa.BaseExtensionType):
        return holds_text(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return holds_text(kind.value_type)
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    return _is_text(kind) or any(map(holds_text, inner))


def _is_text(kind: pa.DataType) -> bool:
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
    for leaf in leaves(cells):
        yield leaf.dictionary if pa.types.is_dictionary(leaf.type) else leaf


def leaves(cells: pa.Array) -> Iterator[pa.Array]:
    """The arrays of text in a column, plain or by dictionary, without types around them."""
    kind = cells.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from leaves(cells.storage)
    elif pa.types.is_struct(kind):
        for part in cells.flatten():
            yield from leaves(part)
    elif pa.types.is_run_end_encoded(kind):
        yield from leaves(cells.values)
    elif pa.types.is_map(kind):
        yield from leaves(cells.keys)
        yield from leaves(cells.items)
    elif pa.types.is_dictionary(kind):
        if _is_text(kind.value_type):
            yield cells
        else:
            yield from leaves(cells.dictionary)
    elif pa.types.is_nested(kind):
        yield from leaves(cells.flatten())
    elif _is_text(kind):
        yield cells
