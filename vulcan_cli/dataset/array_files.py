"""Frames as files of arrays: `npz` for NumPy and `safetensors`, without either installed.

Layouts follow the NPY format (version 1.0, numpy.lib.format) and the safetensors format: a length,
a JSON header, raw little-endian values. A complex feature is complex128 in npz and `[re, im]` in
safetensors, which has no such type. Text is of one length in npz; safetensors has its UTF-8 bytes,
zeros after the shorter ones.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping, Set
from typing import IO, NamedTuple

import polars as pl

from vulcan_cli.errors import UnevenLists, UsageError
from vulcan_cli.vacua import arrow_c, arrow_ipc

FORMATS = ("npz", "safetensors")

_METADATA = "__metadata__"

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time in a zip: the same rows give the same bytes."""

_NPY = {
    pl.Boolean: "|b1",
    pl.Int8: "|i1",
    pl.UInt8: "|u1",
    **{
        getattr(pl, f"{sign}Int{bits}"): f"<{letter}{bits // 8}"
        for sign, letter in (("", "i"), ("U", "u"))
        for bits in (16, 32, 64)
    },
    pl.Float32: "<f4",
    pl.Float64: "<f8",
}
_SAFE = {
    pl.Boolean: "BOOL",
    **{getattr(pl, f"Int{bits}"): f"I{bits}" for bits in (8, 16, 32, 64)},
    **{getattr(pl, f"UInt{bits}"): f"U{bits}" for bits in (8, 16, 32, 64)},
    pl.Float32: "F32",
    pl.Float64: "F64",
}
_SIZES = {dtype: int(name[-1]) for dtype, name in _NPY.items()}

_LEAVE_OUT = ": leave it out"
"""How a problem ends that no length mends."""

# Rows of text that are encoded at a time.
_PIECE = 2**16


def even(column: pl.Series) -> pl.Series:
    """A column whose lists are all of one length as one of arrays; any other as it is."""
    sizes: list[int] = []
    values = column
    while isinstance(values.dtype, pl.List | pl.Array):
        shortest, longest = _lengths(values)
        if values.null_count() or shortest != longest:
            return column
        sizes.append(longest)
        values = values.explode(empty_as_null=False)
    dtype = values.dtype
    for size in reversed(sizes):
        dtype = pl.Array(dtype, size)
    return column if dtype == column.dtype else column.cast(dtype)


def array_problem(column: pl.Series, cure: str = "") -> str | None:
    """Why a column is no array of numbers or texts, or None.

    Args:
        column: The column, as `even` left it.
        cure: What to say where lists have several lengths; those inside lists none can mend.
    """
    name, values = column.name, column
    if _has_lists_inside(column.dtype):
        cure = _LEAVE_OUT
    while isinstance(values.dtype, pl.List | pl.Array):
        if values.null_count():
            return f"{name} has nulls in place of lists{cure}"
        shortest, longest = _lengths(values)
        if shortest != longest:
            return f"the lists of {name} have {shortest} to {longest} elements{cure}"
        values = values.explode(empty_as_null=False)
        cure = _LEAVE_OUT
    if values.dtype.is_nested():
        return f"{name} holds {values.dtype}{_LEAVE_OUT}"
    if (values.dtype.is_integer() or values.dtype == pl.Boolean) and values.null_count():
        return f"{name} has nulls, which {values.dtype} has not in NumPy{_LEAVE_OUT}"
    return None


def refusal(
    start: str, problems: Mapping[str, str], frame: pl.DataFrame, file_format: str | None = None
) -> UsageError:
    """The error that says that columns are no arrays.

    Args:
        start: How it begins.
        problems: Why, by column.
        frame: The columns, as `even` left them.
        file_format: The format that holds arrays, if one is written.
    """
    message = f"{start}: {'; '.join(problems.values())}"
    longest = {
        name: _lengths(frame[name])[1]
        for name, problem in problems.items()
        if holds_lists(frame[name].dtype) and not problem.endswith(_LEAVE_OUT)
    }
    if not longest:
        return UsageError(message)
    return UnevenLists(
        message,
        tuple(longest),
        longest=max(longest.values()),
        file_format=file_format,
        left_out=[name for name in problems if name not in longest],
    )


def is_number(dtype: pl.DataType) -> bool:
    """Whether a column holds numbers or truths as NumPy has them, or lists of these."""
    return _innermost(dtype).base_type() in _NPY


def holds_lists(dtype: pl.DataType) -> bool:
    """Whether a column holds lists of numbers, of any lengths."""
    return isinstance(dtype, pl.List) and is_number(dtype)


def write_arrays(
    frame: pl.DataFrame,
    stream: IO[bytes],
    file_format: str,
    complex_columns: Set[str] = frozenset(),
) -> None:
    """Write each column as an array; lists of one length are arrays too.

    Args:
        frame: The columns. Floats have NaN for null.
        stream: Where to; it need not seek.
        file_format: One of `FORMATS`.
        complex_columns: Those that hold `[re, im]`.

    Raises:
        UnevenLists: Lists of a column have several lengths, or null stands in place of one.
        UsageError: A column is no array; says of all of them why.
        OSError: The stream refused.
    """
    frame = pl.DataFrame([even(column) for column in frame])
    problems = {c.name: text for c in frame if (text := _problem(c, file_format))}
    if problems:
        raise refusal(f"{file_format} holds arrays", problems, frame, file_format)
    if file_format == "npz":
        _write_npz(frame, stream, complex_columns)
    else:
        _write_safetensors(frame, stream, complex_columns)


def _problem(column: pl.Series, file_format: str) -> str | None:
    inner = _innermost(column.dtype)
    problem = _name_problem(column.name, file_format)
    if problem is None and column.dtype.is_nested() and not is_number(column.dtype):
        problem = f"{column.name} holds {inner}{_LEAVE_OUT}"
    problem = problem or array_problem(column)
    if problem is not None:
        return problem
    if inner == pl.String and column.dtype == pl.String and not column.null_count():
        return None
    if inner == pl.Datetime and file_format == "npz" and column.dtype == inner:
        return None
    if inner == pl.String and column.null_count():
        return f"{column.name} has nulls, which text has not{_LEAVE_OUT}"
    return None if inner.base_type() in _NPY else f"{column.name} holds {inner}{_LEAVE_OUT}"


def _name_problem(name: str, file_format: str) -> str | None:
    """Any worker names columns: one must not become a path out of the folder of who unpacks."""
    if file_format == "npz" and re.search(r"[/\\\0]", name):
        return f"{name!r} names no array of npz, which are files{_LEAVE_OUT}"
    if file_format == "safetensors" and name == _METADATA:
        return f"{name} is no array in safetensors{_LEAVE_OUT}"
    return None


class _Array(NamedTuple):
    """A column as an array: its shape, and its values one after the other."""

    shape: tuple[int, ...]
    values: pl.Series

    @classmethod
    def of(cls, column: pl.Series) -> _Array:
        shape: tuple[int, ...] = (len(column),)
        while isinstance(column.dtype, pl.Array):
            shape = (*shape, column.dtype.size)
            column = column.explode(empty_as_null=False)
        return cls(shape, column)

    def raw(self) -> Iterator[bytes | memoryview]:
        """The values as bytes, little-endian."""
        if not len(self.values):
            return
        values = self.values.to_physical()
        if values.dtype == pl.Boolean:
            values = values.cast(pl.UInt8)
        if values.dtype.is_float():
            values = values.fill_null(float("nan"))
        yield from arrow_c.value_buffers(values)


def _write_npz(frame: pl.DataFrame, stream: IO[bytes], complex_columns: Set[str]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for column in frame:
            info = zipfile.ZipInfo(f"{column.name}.npy", _EPOCH)
            with archive.open(info, "w", force_zip64=True) as member:
                for piece in _npy(column, is_complex=column.name in complex_columns):
                    member.write(piece)


def _npy(column: pl.Series, *, is_complex: bool) -> Iterator[bytes | memoryview]:
    if column.dtype == pl.String:
        width = max(1, _whole(column.str.len_chars().max()))
        yield _npy_header(f"<U{width}", (len(column),))
        yield from _texts(column, width, "utf-32-le")
        return
    array = _Array.of(column)
    if is_complex:
        yield _npy_header("<c16", array.shape[:-1])
    elif isinstance(column.dtype, pl.Datetime):
        yield _npy_header(f"<M8[{column.dtype.time_unit}]", array.shape)
    else:
        yield _npy_header(_NPY[array.values.dtype.base_type()], array.shape)
    yield from array.raw()


def _npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    # Magic, version, length, text, newline: together a multiple of 64.
    padded = text + " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode("latin-1")


def _write_safetensors(frame: pl.DataFrame, stream: IO[bytes], complex_columns: Set[str]) -> None:
    # Wider types first, so that all values are aligned.
    columns = sorted(frame, key=lambda column: -_size(column))
    kinds = {column.name: "complex" for column in columns if column.name in complex_columns}
    header: dict[str, object] = {_METADATA: kinds} if kinds else {}
    end = 0
    for column in columns:
        shape = _safe_shape(column)
        begin, end = end, end + math.prod(shape) * _size(column)
        header[column.name] = {
            "dtype": _SAFE.get(_innermost(column.dtype).base_type(), "U8"),
            "shape": list(shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)) + text)
    for column in columns:
        is_text = column.dtype == pl.String
        raw = _Array.of(column).raw()
        for piece in _texts(column, _safe_shape(column)[1], "utf-8") if is_text else raw:
            stream.write(piece)


def _size(column: pl.Series) -> int:
    """Bytes of one element of an array."""
    return _SIZES.get(_innermost(column.dtype).base_type(), 1)


def _safe_shape(column: pl.Series) -> tuple[int, ...]:
    if column.dtype == pl.String:
        return len(column), _whole(column.str.len_bytes().max())
    return _Array.of(column).shape


def _texts(column: pl.Series, width: int, encoding: str) -> Iterator[bytes]:
    """Texts of one length, zeros after the shorter ones."""
    for start in range(0, len(column), _PIECE):
        piece = column[start : start + _PIECE]
        if encoding == "utf-8":
            yield b"".join(text.encode().ljust(width, b"\0") for text in piece)
        else:
            yield "".join(piece.str.pad_end(width, "\0")).encode(encoding)


def _lengths(lists: pl.Series) -> tuple[int, int]:
    """How many elements the shortest and the longest of a column's lists have."""
    if isinstance(lists.dtype, pl.Array):
        return lists.dtype.size, lists.dtype.size
    lengths = lists.list.len()
    return _whole(lengths.min()), _whole(lengths.max())


def _has_lists_inside(dtype: pl.DataType) -> bool:
    """Whether a column's lists or arrays hold lists: what fills up to a length has none alike."""
    while isinstance(dtype, pl.List | pl.Array):
        dtype = arrow_ipc.inner(dtype)
        if isinstance(dtype, pl.List):
            return True
    return False


def _whole(number: object) -> int:
    """A smallest or largest length; 0 where there is none."""
    return number if isinstance(number, int) else 0


def _innermost(dtype: pl.DataType) -> pl.DataType:
    while isinstance(dtype, pl.List | pl.Array):
        dtype = arrow_ipc.inner(dtype)
    return dtype
