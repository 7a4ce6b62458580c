"""Columns as CSV and JSON can hold them: what is of no such type has its nearest form there.

A shard may have any column beside the known ones, and one that nobody could write as text would
end the text of all others.
"""

from __future__ import annotations

import polars as pl

from vulcan_cli.vacua.arrow_ipc import inner, instance

_TEXTS = (pl.String, pl.Categorical, pl.Enum)


def in_text(rows: pl.LazyFrame, schema: pl.Schema) -> tuple[pl.LazyFrame, pl.Schema]:
    """Rows that text formats can hold, and their schema; what they hold as it is stays.

    Bytes become base64, a type of somebody's own the type that it is stored as, a map whose keys
    are no text a list of structs of `key` and `value`; all of them also inside other types.
    """
    told = {name: _told(pl.col(name), dtype) for name, dtype in schema.items()}
    changed = [
        values.alias(name) for name, (values, dtype) in told.items() if dtype != schema[name]
    ]
    plain = pl.Schema({name: dtype for name, (_, dtype) in told.items()})
    return rows.with_columns(changed), plain


def in_cells(schema: pl.Schema) -> list[pl.Expr]:
    """The columns as cells of CSV: nested ones as JSON, durations as JSON has them."""
    return [_cell(name, dtype) for name, dtype in schema.items()]


def _cell(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_nested():
        return _as_json(name)
    if isinstance(dtype, pl.Duration):
        return _as_json(name).str.strip_chars('"')
    return pl.col(name)


def _as_json(name: str) -> pl.Expr:
    """A column as JSON text, null where it is null."""
    # Only structs are encoded: {"l":[1,2]} without its first five characters and its last.
    encoded = pl.struct(pl.col(name).alias("l")).struct.json_encode()
    text = encoded.str.slice(5).str.strip_suffix("}")
    return pl.when(pl.col(name).is_not_null()).then(text).alias(name)


def _told(  # noqa: PLR0911  (a case a type)
    values: pl.Expr, dtype: pl.DataType
) -> tuple[pl.Expr, pl.DataType]:
    """Values in their form and its type, which is their own where they stay as they are."""
    match dtype:
        case pl.BaseExtension():
            return _told(values.ext.storage(), instance(dtype.ext_storage()))
        case pl.Binary():
            return values.bin.encode("base64"), pl.String()
        case pl.List():
            told, kind = _told(pl.element(), inner(dtype))
            return values.list.eval(told), pl.List(kind)
        case pl.Array():
            told, kind = _told(pl.element(), inner(dtype))
            return values.arr.eval(told), pl.Array(kind, dtype.size)
        case pl.Struct():
            return _told_fields(values, dtype)
        case pl.Map():
            return _told_map(values, instance(dtype.key), instance(dtype.value))
        case _:
            return values, dtype


def _told_fields(values: pl.Expr, dtype: pl.Struct) -> tuple[pl.Expr, pl.DataType]:
    own = {field.name: instance(field.dtype) for field in dtype.fields}
    told = {name: _told(values.struct.field(name), kind) for name, kind in own.items()}
    changed = [part.alias(name) for name, (part, kind) in told.items() if kind != own[name]]
    return values.struct.with_fields(changed), pl.Struct({name: told[name][1] for name in own})


def _told_map(values: pl.Expr, key: pl.DataType, value: pl.DataType) -> tuple[pl.Expr, pl.DataType]:
    kind = pl.List(pl.Struct({"key": key, "value": value}))
    entries, told = _told(values.map.entries(), kind)
    if not isinstance(key, _TEXTS):
        return entries, told
    _, of_value = _told(pl.element(), value)
    mapped = pl.Map(key, of_value)
    return entries.cast(mapped), mapped
