"""What Polars can hold of what a parquet file names: over the rest it fails at every use.

A name such as `*` or `^m.*$` is no name to it but a pattern, which stands for several columns, in
SQL too: beside a column of such a name nobody could ask for all columns.
"""

from __future__ import annotations

from io import BytesIO

import polars as pl

from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.nesting import check_nesting

# A panic of Rust's is no Exception.
_POLARS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


def held_schema(tail: bytes) -> pl.Schema:
    """The columns that a footer names, as Polars reads them.

    Args:
        tail: The footer with its length and magic number.

    Raises:
        ValueError: Polars cannot read them, or not hold them.
    """
    check_nesting(tail)
    try:
        schema = pl.Schema(pl.read_parquet_schema(BytesIO(tail)))
    except _POLARS as error:
        raise ValueError("Polars cannot read its schema") from error
    for name, dtype in schema.items():
        check_name(name)
        check_held(dtype)
    return schema


def check_name(name: str) -> None:
    """Make sure that a column or field has a name, not a pattern.

    Raises:
        ValueError: It is a pattern.
    """
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        raise ValueError(f"{name!r:.60} is a pattern for names, no name of a column or field")


def check_held(dtype: pl.DataType) -> None:
    """Make sure that Polars can hold a type that it names: over others it fails at every use.

    Raises:
        ValueError: It cannot.
    """
    match dtype:
        case pl.Decimal():
            precision, scale = dtype.precision, dtype.scale
            if not precision or not 0 <= scale <= precision <= arrow_ipc.MOST_DIGITS:
                raise ValueError(f"a decimal number of {precision} digits")
        case pl.Array(size=0):
            raise ValueError("arrays of no entries")
        case pl.List() | pl.Array():
            check_held(arrow_ipc.inner(dtype))
        case pl.Map():
            check_held(arrow_ipc.instance(dtype.key))
            check_held(arrow_ipc.instance(dtype.value))
        case pl.BaseExtension():
            check_held(arrow_ipc.instance(dtype.ext_storage()))
        case pl.Struct():
            if len({field.name for field in dtype.fields}) < len(dtype.fields):
                raise ValueError("a struct names two of its fields alike")
            for field in dtype.fields:
                check_name(field.name)
                check_held(arrow_ipc.instance(field.dtype))
