"""What the pages of a parquet file unpack to, by their own headers: a footer may lie about it.

A reader makes room for what a page's header claims before it has seen the page, and some readers
end the whole process where that cannot be had. So every header is looked at before anything is
decoded. Numbers of fields, types and encodings follow the Parquet format (`parquet.thrift`); a
header is matched as its writers write it, by fields in their order, and anything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from vulcan_cli.vacua.arrow_leaves import spans
from vulcan_cli.vacua.chunks import Chunk, chunks_in
from vulcan_cli.vacua.thrift import STRUCT, skip, varint

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_V = rb"([\x80-\xff]{0,4}[\x00-\x7f])"
_HEADER = re.compile(
    # Kind of page, bytes unpacked, bytes packed, and maybe a CRC; then what the kind has.
    rb"\x15([\x00\x04\x06])\x15" + _V + rb"\x15" + _V + rb"(?:\x15[\x80-\xff]{0,4}[\x00-\x7f])?"
    # A page of data: values, encoding, the encodings of levels, and maybe statistics.
    rb"(?:[\x1c\x2c]\x15" + _V + rb"\x15" + _V + rb"\x15[\x06\x08]\x15[\x06\x08](\x1c)?"
    # A dictionary: values, encoding, and whether it is sorted.
    rb"|[\x3c\x4c]\x15" + _V + rb"\x15[\x00\x04][\x11\x12]?"
    # A page of data, version 2: values, nulls, rows, encoding, two lengths of levels, and maybe
    # whether it is compressed, and statistics.
    rb"|[\x4c\x5c]\x15" + _V + rb"\x15" + _V + rb"\x15" + _V + rb"\x15" + _V
    + rb"\x15" + _V + rb"\x15" + _V + rb"(?:[\x11\x12](\x1c)?|(\x2c))?)",
    re.DOTALL,
)  # fmt: skip
_DICTIONARY_PAGE = b"\x04"
_DICTIONARY = {2, 8}
_DELTA_BYTE_ARRAY = 7

# Bytes of a value by the number of its type, but for text.
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}
_FIXED = 7

# Behind each text stand at least its length and, in a dictionary, its number.
_TEXT = 4

# Enough for a header; statistics may make it longer.
_USUAL_HEADER = 4096
# Bytes that are read at once: a small shard is read whole.
_WINDOW = 1 << 16
_LARGEST_HEADER = 1 << 20

MOST_PAGES = 1_000_000
_MOST_LONG_HEADERS = 10_000


class Unpacked(NamedTuple):
    """What a file unpacks to.

    Attributes:
        size: Bytes of all values, without text that stands in dictionaries; or, where that is more,
            of all that nulls in arrays of a fixed size can stand for.
        repeated: Path of a column to the most that its text out of dictionaries can come to: if
            every row held the longest.
    """

    size: int
    repeated: Mapping[str, int]

    @property
    def most(self) -> int:
        """Bytes that it comes to at most."""
        return self.size + sum(self.repeated.values())


def unpacked(
    metadata: pq.FileMetaData,
    footer: bytes,
    source: pa.NativeFile,
    size: int,
    columns: Collection[str] | None = None,
) -> Unpacked:
    """Look at every page's header.

    Args:
        metadata: The file's footer, parsed; asked for nothing but rows and schema, because what
            pyarrow thinks of a column chunk that contradicts the schema ends the process.
        footer: Its bytes.
        source: The bytes of the file.
        size: Their number.
        columns: Columns to look at; None for all.

    Raises:
        ValueError: The headers are none, or do not agree with the footer.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - what gave the footer has loaded it

    walk = _Walk(source, size)
    chunks = chunks_in(footer)
    # `metadata.schema` and the footer would keep each other, and some 40 kB, in memory.
    schema = pq.ParquetSchema(metadata)
    above = spans(schema.to_arrow_schema().remove_metadata().serialize().to_pybytes())
    if len(above) != metadata.num_columns:
        raise ValueError("unreadable as parquet: other columns in its two schemas")
    if chunks and not above:
        raise ValueError("unreadable as parquet: more columns than its schema has")
    in_arrays = 0
    for place, chunk in enumerate(chunks):
        # By its place: so readers find it, whatever it calls itself.
        group, number = divmod(place, metadata.num_columns)
        if columns is not None and not _is_of(schema.column(number).path, columns):
            continue
        width = _WIDTHS.get(chunk.kind)
        if chunk.kind == _FIXED:
            width = schema.column(number).length
        walk.chunk(chunk, width)
        of_row, of_entry = above[number]
        most = chunk.values * of_entry or metadata.row_group(group).num_rows * of_row
        in_arrays += most * (width or _TEXT)
    return Unpacked(max(walk.unpacked, in_arrays), walk.repeated)


def _is_of(path: str, columns: Collection[str]) -> bool:
    """Whether a path may be that of one of these columns, or of what is inside them."""
    return any(path == name or path.startswith(f"{name}.") for name in columns)


class _Walk:
    """Goes through the pages of one column chunk after another."""

    def __init__(self, source: pa.NativeFile, size: int) -> None:
        self._source = source
        self._size = size
        self._left = size
        self._window = b""
        self._window_at = 0
        self._pages = self._long_headers = 0
        self.unpacked = 0
        self.repeated: dict[str, int] = {}

    def chunk(self, column: Chunk, width: int | None) -> None:
        """Add the pages of a column chunk; `width` is that of a value, None for text."""
        place = column.data if column.dictionary is None else column.dictionary
        end = place + column.packed
        # No two chunks share their bytes, or a file would hold the same text a thousand times.
        self._left -= column.packed
        if not 0 < place <= column.data <= end <= self._size or self._left < 0:
            raise ValueError(f"column {column.path} is not within the file")
        values = dictionary = 0
        while place < end:
            page = self._page(place)
            place = page.end
            if page.is_dictionary:
                dictionary = page.unpacked
                self.unpacked += page.unpacked
                continue
            values += page.values
            self._add(column, page, width, dictionary)
        if place != end or values != column.values:
            raise ValueError(f"column {column.path} has other pages than its footer says")

    def _add(self, column: Chunk, page: _Page, width: int | None, dictionary: int) -> None:
        if width is not None:
            self.unpacked += max(page.unpacked, page.values * width)
        elif page.encoding in _DICTIONARY:
            path = column.path
            most = page.values * (dictionary + _TEXT)
            self.repeated[path] = self.repeated.get(path, 0) + max(page.unpacked, most)
        elif page.encoding == _DELTA_BYTE_ARRAY:
            # Each text may begin as the one before it.
            self.unpacked += max(1, page.values) * page.unpacked
        else:
            self.unpacked += page.unpacked + page.values * _TEXT

    def _page(self, place: int) -> _Page:
        self._pages += 1
        if self._pages > MOST_PAGES:
            raise ValueError(f"more than {MOST_PAGES} pages")
        try:
            return _page_at(self._near(place), place - self._window_at, place)
        except (IndexError, ValueError):
            # Long statistics, maybe.
            self._long_headers += 1
            if self._long_headers > _MOST_LONG_HEADERS:
                raise
            return _page_at(self._source.read_at(_LARGEST_HEADER, place), 0, place)

    def _near(self, place: int) -> bytes:
        """The window, moved where it does not hold a header that begins at this place."""
        end = self._window_at + len(self._window)
        if not self._window_at <= place <= end - min(_USUAL_HEADER, self._size - place):
            self._window = self._source.read_at(_WINDOW, place)
            self._window_at = place
        return self._window


class _Page(NamedTuple):
    is_dictionary: bool
    unpacked: int
    values: int
    encoding: int
    end: int


def _page_at(data: bytes, at: int, place: int) -> _Page:
    """The page whose header begins there in these bytes, and at `place` in the file."""
    found = _HEADER.match(data, at)
    if found is None:
        raise ValueError("unreadable as parquet: the header of a page")
    (kind, size, packed, plain, encoding, statistics, entries, *second) = found.groups()
    end = found.end()
    values = plain or entries or second[0]
    if second[0] is not None:
        encoding = second[3]
        statistics = second[6] or second[7]
    if statistics is not None:
        end = skip(data, end, STRUCT)
    ends = data[end : end + 2] == b"\0\0"
    is_dictionary = kind == _DICTIONARY_PAGE
    if not ends or is_dictionary != (entries is not None) or (kind == b"\6") != bool(second[0]):
        raise ValueError("unreadable as parquet: the header of a page")
    return _Page(
        is_dictionary=is_dictionary,
        unpacked=_whole(size),
        values=_whole(values),
        encoding=0 if encoding is None else _whole(encoding),
        end=place - at + end + 2 + _whole(packed),
    )


def _whole(data: bytes) -> int:
    number = data[0] if len(data) == 1 else varint(data, 0)[0]
    # Signed, and of 32 bits: an odd number is a negative one, which readers take for a vast one.
    if number & 1 or number >> 32:
        raise ValueError("unreadable as parquet: a negative number in the header of a page")
    return number >> 1
