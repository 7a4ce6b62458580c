"""What the schemas in a parquet footer hold, looked at before Polars follows them.

Polars goes down into both schemas, parquet's and Arrow's, without asking how far: some kilobytes of
groups in groups end the whole process, and an Arrow schema whose fields share their children keeps
it busy for good. Over a time zone that it does not know, over views of lists, and over categories
that are told wrongly it panics.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.categories import check_categories
from vulcan_cli.vacua.flatbuffer import Table, tables_at
from vulcan_cli.vacua.thrift import (
    I32,
    I64,
    LIST,
    STRUCT,
    fields,
    length_of_list,
    number,
    skip,
    varint,
)

MOST = 100
"""Levels of groups; lists in lists in lists take six."""

_CHILDREN = 5
_NAME_OF_FIELD, _DICTIONARY_OF_FIELD, _INDEX_OF_DICTIONARY = 0, 4, 1
_SLOTS_OF_TYPE = 3
_KIND_OF_FIELD, _TYPE_OF_FIELD, _CHILDREN_OF_FIELD, _NOTES_OF_FIELD = 2, 3, 5, 6
_TIMESTAMP = 10
_VIEWS_OF_LISTS = {25, 26}
_ZONE_OF_TIMESTAMP = 1
_ARROW_SCHEMA = arrow_ipc.KEY.encode()
# A key stands behind its length, which text of JSON never has before it.
_LENGTHS = {0x0C, 0x00}
_BEFORE, _BEHIND = b"\x18\x0c", b"\x18"


def tell_all(fields: bytes, tail: bytes) -> bool:
    """Whether Arrow fields that are told alike are the same: none refers to what stands elsewhere.

    Args:
        fields: What `arrow_ipc.schema_fields` found.
        tail: The footer that they were found in, one that `check_nesting` takes.
    """
    try:
        _check_fields(tables_at(fields, 0), _parquet_elements(tail), len(fields))
    except (ValueError, struct.error):
        return False
    return True


def check_nesting(tail: bytes) -> None:
    """Make sure that the schemas in a footer can be followed.

    Args:
        tail: The footer, from its first byte.

    Raises:
        UnknownZone: Times are of a zone that Polars does not know.
        ValueError: They cannot, or this is no footer.
    """
    with _followed():
        _check_arrow_schema(tail, _parquet_elements(tail))


def unknown_zones(tail: bytes) -> dict[str, arrow_ipc.UnknownZone]:
    """What is wrong with the zones of times, by column.

    Args:
        tail: A footer in which `check_nesting` found such a zone.

    Raises:
        ValueError: Something else is wrong with its schema too.
    """
    message = arrow_schema_of(tail) or b""
    most_fields = _parquet_elements(tail)
    schema = arrow_ipc.schema_table(message.decode("latin-1"))
    found = {}
    with _followed():
        for column in schema.tables(arrow_ipc.FIELDS_OF_SCHEMA):
            try:
                _check_fields(iter([column]), most_fields, len(message))
            except arrow_ipc.UnknownZone as error:
                found[column.string(_NAME_OF_FIELD)] = error
    return found


@contextmanager
def _followed() -> Iterator[None]:
    """Raise ValueError for a schema that ends before what it refers to."""
    try:
        yield
    except (IndexError, RecursionError, struct.error) as error:
        raise ValueError("its schema ends early") from error


def arrow_schema_of(tail: bytes) -> bytes | None:
    """The `ARROW:schema` value in a footer; None where it has none.

    Raises:
        ValueError, IndexError: It has two, spells it as no writer does, or ends within it.
    """
    found = [*_keys_of_arrow_schemas(tail)]
    if not found:
        return None
    if len(found) > 1:
        raise ValueError("it has two Arrow schemas")
    begin = found[0]
    end = begin + len(_ARROW_SCHEMA)
    if not (tail.endswith(_BEFORE, 0, begin) and tail.startswith(_BEHIND, end)):
        raise ValueError("its Arrow schema is spelled as no writer does")
    length, start = varint(tail, end + len(_BEHIND))
    return tail[start : start + length]


def _keys_of_arrow_schemas(tail: bytes) -> Iterator[int]:
    """Where in a footer a key `ARROW:schema` begins."""
    # A regular expression takes twice as long, for each of 100,000 footers.
    place = tail.find(_ARROW_SCHEMA)
    while place >= 0:
        if place and tail[place - 1] in _LENGTHS:
            yield place
        place = tail.find(_ARROW_SCHEMA, place + 1)


def end_of_schema(metadata: bytes) -> int:
    """Where the varint of `num_rows` begins: fields 1 (version) and 2 (schema) are skipped.

    Raises:
        ValueError, IndexError, RecursionError: This is no footer.
    """
    place = skip(metadata, _begin_of_schema(metadata), LIST)
    if metadata[place] != 1 << 4 | I64:
        raise ValueError("the number of rows comes third")
    return place + 1


def _begin_of_schema(metadata: bytes) -> int:
    if metadata[0] != 1 << 4 | I32:
        raise ValueError("a footer begins with its version")
    _, place = varint(metadata, 1)
    if metadata[place] != 1 << 4 | LIST:
        raise ValueError("the schema comes second")
    return place + 1


def _parquet_elements(tail: bytes) -> int:
    """How many elements the parquet schema has; each comes before its children."""
    place = _begin_of_schema(tail)
    if tail[place] & 15 != STRUCT:
        raise ValueError("a schema is a list of structs")
    count, place = length_of_list(tail, place)
    missing: list[int] = []
    for _ in range(count):
        n_children, place = _element(tail, place)
        while missing and missing[-1] == 0:
            missing.pop()
        if missing:
            missing[-1] -= 1
        if n_children > 0:
            missing.append(n_children)
        if len(missing) > MOST:
            raise ValueError(f"its schema is more than {MOST} levels deep")
    return count


def _element(tail: bytes, place: int) -> tuple[int, int]:
    """How many children a schema element has, and where it ends."""
    n_children = 0
    for field, kind, value in fields(tail, place):
        place = value
        if field == _CHILDREN and kind == I32:
            n_children = number(tail, value)[0]
    return n_children, place


def _check_arrow_schema(tail: bytes, most_fields: int) -> None:
    """Each Arrow field is at least one element of the parquet schema."""
    message = arrow_schema_of(tail)
    if message is None:
        return
    schema = arrow_ipc.schema_table(message.decode("latin-1"))
    _check_fields(schema.tables(arrow_ipc.FIELDS_OF_SCHEMA), most_fields, len(message))


def _check_fields(fields: Iterator[Table], most_fields: int, most_notes: int) -> None:
    level = [*islice(fields, most_fields + 1)]
    for _ in range(MOST):
        most_fields -= len(level)
        if most_fields < 0:
            raise ValueError("its Arrow schema has more fields than itself")
        if not level:
            return
        for field in level:
            _check_type(field)
            _check_within(field)
            most_notes -= _check_notes(field, most_notes)
        below = (child for field in level for child in field.tables(_CHILDREN_OF_FIELD))
        level = [*islice(below, most_fields + 1)]
    raise ValueError(f"its Arrow schema is more than {MOST} levels deep")


def _check_type(field: Table) -> None:
    number = field.number(_KIND_OF_FIELD, "B")
    if number in _VIEWS_OF_LISTS:
        raise ValueError("a view of lists, which Polars cannot read")
    kind = field.table(_TYPE_OF_FIELD)
    if kind is not None and number == _TIMESTAMP:
        arrow_ipc.check_zone(kind.string(_ZONE_OF_TIMESTAMP))


def _check_within(field: Table) -> None:
    """Make sure that nothing a field refers to stands outside, beside its children and notes."""
    field.string(_NAME_OF_FIELD)
    dictionary = field.table(_DICTIONARY_OF_FIELD)
    index = None if dictionary is None else dictionary.table(_INDEX_OF_DICTIONARY)
    for table in filter(None, (field.table(_TYPE_OF_FIELD), dictionary, index)):
        for slot in range(_SLOTS_OF_TYPE):
            table.number(slot, "B")


def _check_notes(field: Table, most: int) -> int:
    """Look at what is noted beside a field; returns its bytes, as notes can share theirs."""
    size = 0
    for key, value in arrow_ipc.pairs(field, _NOTES_OF_FIELD, most):
        check_categories(key, value)
        size += len(key) + len(value) + arrow_ipc.LEAST_PAIR
    return size
