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


class ArrayProblem(NamedTuple):
    """Why a column is no array.

    Attributes:
        text: Why, in words.
        is_of_length: Whether one length for all lists mends it; else it is to be left out.
    """

    text: str
    is_of_length: bool = False


def array_problem(column: pl.Series) -> ArrayProblem | None:
    """Why a column, as `even` left it, is no array of numbers or texts, or None."""
    name, values = column.name, column
    is_of_length = not _is_deep(column.dtype)
    while isinstance(values.dtype, pl.List | pl.Array):
        if values.null_count():
            return ArrayProblem(f"{name} has nulls in place of lists", is_of_length)
        shortest, longest = _lengths(values)
        if shortest != longest:
            told = f"the lists of {name} have {shortest} to {longest} elements"
            return ArrayProblem(told, is_of_length)
        values = values.explode(empty_as_null=False)
        is_of_length = False
    if values.dtype.is_nested():
        return ArrayProblem(f"{name} holds {values.dtype}")
    if (values.dtype.is_integer() or values.dtype == pl.Boolean) and values.null_count():
        return ArrayProblem(f"{name} has nulls, which {values.dtype} has not in NumPy")
    return None


def refusal(
    start: str,
    problems: Mapping[str, ArrayProblem],
    frame: pl.DataFrame,
    *,
    file_format: str | None = None,
    cure: str = "",
) -> UsageError:
    """The error that says that columns are no arrays.

    Args:
        start: How it begins.
        problems: Why, by column.
        frame: The columns, as `even` left them.
        file_format: The format that holds arrays, if one is written.
        cure: What to say where one length for all lists mends it.
    """
    told = (f"{p.text}{cure if p.is_of_length else ': leave it out'}" for p in problems.values())
    message = f"{start}: {'; '.join(told)}"
    if not any(problem.is_of_length for problem in problems.values()):
        return UsageError(message)
    uncured = {name for name, problem in problems.items() if not problem.is_of_length}
    left_out = [c.name for c in frame if c.name in uncured or _is_deep(c.dtype)]
    kept = frame.drop(left_out)
    lists = (column for column in kept if isinstance(column.dtype, pl.List | pl.Array))
    return UnevenLists(
        message,
        kept.columns,
        longest=max(_lengths(column)[1] for column in lists),
        file_format=file_format,
        left_out=left_out,
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
    problems = {c.name: found for c in frame if (found := _problem(c, file_format))}
    if problems:
        raise refusal(f"{file_format} holds arrays", problems, frame, file_format=file_format)
    if file_format == "npz":
        _write_npz(frame, stream, complex_columns)
    else:
        _write_safetensors(frame, stream, complex_columns)


def _problem(column: pl.Series, file_format: str) -> ArrayProblem | None:
    name, dtype, inner = column.name, column.dtype, _innermost(column.dtype)
    if (wrong := _name_problem(name, file_format)) is not None:
        return ArrayProblem(wrong)
    if dtype.is_nested() and not is_number(dtype):
        return ArrayProblem(f"{name} holds {inner}")
    if (problem := array_problem(column)) is not None:
        return problem
    if dtype == pl.String and column.null_count():
        return ArrayProblem(f"{name} has nulls, which text has not")
    is_held = inner.base_type() in _NPY or dtype == pl.String
    if is_held or (dtype == pl.Datetime and file_format == "npz"):
        return None
    return ArrayProblem(f"{name} holds {inner}")


def _name_problem(name: str, file_format: str) -> str | None:
    """Any worker names columns: one must not become a path out of the folder of who unpacks."""
    if file_format == "npz" and re.search(r"[/\\\0]", name):
        return f"{name!r} names no array of npz, which are files"
    if file_format == "safetensors" and name == _METADATA:
        return f"{name} is no array in safetensors"
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


def _is_deep(dtype: pl.DataType) -> bool:
    """Whether a column's lists hold lists: what fills up to a length has none alike."""
    kinds = (pl.List, pl.Array)
    return isinstance(dtype, kinds) and isinstance(arrow_ipc.inner(dtype), kinds)


def _whole(number: object) -> int:
    """A smallest or largest length; 0 where there is none."""
    return number if isinstance(number, int) else 0


def _innermost(dtype: pl.DataType) -> pl.DataType:
    while isinstance(dtype, pl.List | pl.Array):
        dtype = arrow_ipc.inner(dtype)
    return dtype
