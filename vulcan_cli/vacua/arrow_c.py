"""Where a column's values stand in memory, by Arrow's C interface: read in place, not copied.

The structures are those of the Arrow C data and C stream interfaces, which are fixed for good.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import CFUNCTYPE, POINTER, c_char, c_char_p, c_int, c_int64, c_void_p, py_object
from typing import ClassVar

import polars as pl

_VALUES = 1
"""Of the buffers of a plain column, the one behind the validity."""

_NAME = b"arrow_array_stream"

_BY_WIDTH: dict[int, tuple[type[pl.DataType], ...]] = {
    1: (pl.Int8, pl.UInt8),
    2: (pl.Int16, pl.UInt16),
    4: (pl.Int32, pl.UInt32, pl.Float32, pl.Date),
    8: (pl.Int64, pl.UInt64, pl.Float64, pl.Datetime, pl.Duration, pl.Time),
}
_WIDTHS = {dtype: width for width, dtypes in _BY_WIDTH.items() for dtype in dtypes}
"""Bytes of a value."""


class _Array(ctypes.Structure):
    """ArrowArray."""

    _fields_: ClassVar = [
        ("length", c_int64),
        ("null_count", c_int64),
        ("offset", c_int64),
        ("n_buffers", c_int64),
        ("n_children", c_int64),
        ("buffers", POINTER(c_void_p)),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", CFUNCTYPE(None, c_void_p)),
        ("private_data", c_void_p),
    ]

    def __del__(self) -> None:
        if self.release:
            self.release(ctypes.byref(self))


class _Stream(ctypes.Structure):
    """ArrowArrayStream."""

    _fields_: ClassVar = [
        ("get_schema", c_void_p),
        ("get_next", CFUNCTYPE(c_int, c_void_p, c_void_p)),
        ("get_last_error", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    ]

    def next(self) -> _Array:
        """The next chunk; one without a `release` at the end."""
        array = _Array()
        if self.get_next(ctypes.byref(self), ctypes.byref(array)):
            raise MemoryError("Arrow stream ended early")
        return array


_pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_in.restype = c_void_p
_pointer_in.argtypes = [py_object, c_char_p]


def value_buffers(series: pl.Series) -> Iterator[memoryview]:
    """The values of a column of fixed width, raw, chunk after chunk; those at nulls are anything.

    Each view keeps what it shows alive.
    """
    width = _WIDTHS[series.dtype.base_type()]
    # The capsule releases the stream when it goes.
    capsule = series.__arrow_c_stream__()
    stream = _Stream.from_address(_pointer_in(capsule, _NAME))
    while (array := stream.next()).release:
        if array.length:
            start = array.buffers[_VALUES] + array.offset * width
            buffer = (c_char * (array.length * width)).from_address(start)
            buffer.owner = array
            yield memoryview(buffer).cast("B")
