"""Rows of a catalog as bytes for a repo, and back: gzip, a line of JSON for the whole, one a shard.

Text, because whoever may write to the repo may write these bytes: JSON is read without harm, and
everything in it is checked. What follows from other columns is left out and worked out anew.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import polars as pl

from vulcan_cli.dataset import dtypes
from vulcan_cli.dataset.catalog import COLUMNS, SCHEMA, Catalog
from vulcan_cli.dataset.footers import MEASURED
from vulcan_cli.files.json_text import parse_json
from vulcan_cli.other_errors import first_line
from vulcan_cli.vacua.geometry import ABSENT, KEYS, LARGEST_KEY, SHARD_PATH, geometry_id_of
from vulcan_cli.vacua.held import check_name

VERSION = 1
"""Of this format; another one is not read."""

LARGEST = 1 << 30
"""Bytes that a file may unpack to."""

_BOUNDS = tuple(f"{end}_{name}" for name in MEASURED for end in ("min", "max"))
_OWN_KEYS = KEYS[2:]
_STORED: dict[str, pl.DataType] = {
    "path_in_repo": pl.String(),
    **dict.fromkeys(_OWN_KEYS, pl.Int64()),
    "n_rows": pl.Int64(),
    "schema_version": pl.Int64(),
    "digest": pl.String(),
    "bytes": pl.Int64(),
    "sha256": pl.String(),
    "time": pl.Int64(),
    **dict.fromkeys(_BOUNDS, pl.Float64()),
    SCHEMA: pl.UInt32(),
}
_DIGITS = 6


def encode(catalog: Catalog, header: Mapping[str, Any]) -> bytes:
    """Write rows; the same rows give the same bytes.

    Args:
        catalog: The rows; `n_rows` is null for a shard of which only path, bytes and SHA-256 are
            known.
        header: What else to tell; JSON.
    """
    numbers, spelled = _schema_numbers(catalog)
    first = {"vulcan_catalog": VERSION, **header, "schemas": spelled}
    rows = catalog.rows.with_columns(
        pl.col("time").dt.epoch("s"),
        numbers.gather(catalog.rows[SCHEMA]).alias(SCHEMA),
        *map(_coarse, _BOUNDS),
    )
    # A shard whose schema cannot be told is one whose footer must be read.
    rows = rows.with_columns(n_rows=pl.when(pl.col(SCHEMA).is_not_null()).then("n_rows"))
    body = BytesIO()
    rows.select(list(_STORED)).write_ndjson(body)
    line = json.dumps(first, ensure_ascii=False, separators=(",", ":")).encode()
    return gzip.compress(line + b"\n" + body.getvalue(), compresslevel=5, mtime=0)


def decode(data: bytes) -> tuple[dict[str, Any], Catalog]:
    """Read what `encode` wrote: the header, and the rows, with neither state nor file.

    Raises:
        ValueError: It is not that, in whatever way.
    """
    try:
        line, _, body = _unpack(data).partition(b"\n")
        header = parse_json(line)
        if not isinstance(header, dict) or header.get("vulcan_catalog") != VERSION:
            raise ValueError("it is of another version, or none")
        schemas = tuple(map(_schema, header.pop("schemas")))
        return header, Catalog(_frame(body, len(schemas)), schemas)
    except pl.exceptions.PanicException as error:
        raise ValueError("its rows cannot be read") from error
    except (pl.exceptions.PolarsError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"its rows: {first_line(error)[:200]}") from error


def _unpack(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError("it is not packed by gzip") from error
    if not unpacker.eof:
        raise ValueError("it is cut off, or unpacks to too much")
    return text


def _frame(body: bytes, n_schemas: int) -> pl.DataFrame:
    stored = (
        pl.read_ndjson(BytesIO(body), schema=_STORED, ignore_errors=False)
        if body.strip()
        else pl.DataFrame(schema=_STORED)
    )
    _check(stored, n_schemas)
    found = pl.col("path_in_repo").str.extract_groups(SHARD_PATH.pattern.replace("(?!.*__)", ""))
    rows = stored.with_columns(
        *(found.struct.field(name).cast(pl.Int64) for name in KEYS[:2]),
        found.struct.field("run_id"),
        pl.from_epoch("time", time_unit="s").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
        state=pl.lit(None, pl.String),
        file=pl.lit(None, pl.String),
    )
    rows = rows.with_columns(geometry_id=_geometry_ids(rows))
    types: dict[str, pl.DataType] = {**COLUMNS, SCHEMA: pl.UInt32()}
    return rows.select([pl.col(name).cast(dtype) for name, dtype in types.items()])


def _geometry_ids(rows: pl.DataFrame) -> pl.Series:
    """The id of each geometry, null for a shard of which only the path is known."""
    ids = [None if None in keys else geometry_id_of(keys) for keys in rows.select(KEYS).iter_rows()]
    return pl.Series(ids, dtype=pl.String)


def _check(rows: pl.DataFrame, n_schemas: int) -> None:
    """Raise ValueError where a row says what no shard can be."""
    path = pl.col("path_in_repo")
    # Rust's expressions cannot look ahead.
    is_shard = path.str.contains(f"^(?:{SHARD_PATH.pattern.replace('(?!.*__)', '')})$")
    known = pl.col("n_rows").is_not_null()
    keys = [pl.col(key).is_between(ABSENT, LARGEST_KEY) for key in _OWN_KEYS]
    told = [pl.col(name).is_not_null() for name in ("schema_version", SCHEMA)]
    good = {
        "a path": is_shard & ~path.str.contains("__", literal=True) & ~path.str.contains("\n"),
        # An empty file is listed among the shards, too, until somebody looks at it.
        "bytes": pl.col("bytes") >= 0,
        "a SHA-256": pl.col("sha256").is_null() | pl.col("sha256").str.contains("^[0-9a-f]{64}$"),
        "a digest": pl.col("digest").is_null() | pl.col("digest").str.contains("^[0-9a-f]{32}$"),
        "rows": ~known | pl.all_horizontal(pl.col("n_rows") >= 0, *keys, *told),
        "a schema": pl.col(SCHEMA).is_null() | (pl.col(SCHEMA) < n_schemas),
        "a time": pl.col("time").is_null() | pl.col("time").is_between(0, 1 << 40),
    }
    verdict = rows.select(expr.fill_null(value=False).all().alias(n) for n, expr in good.items())
    for name, column in verdict.to_dict(as_series=False).items():
        if not column[0]:
            raise ValueError(f"{name} in it cannot be")
    if rows["path_in_repo"].is_duplicated().any():
        raise ValueError("a shard is in it twice")


def _coarse(name: str) -> pl.Expr:
    """A bound with few digits, which take a third of the room, rounded so that it still bounds."""
    away = -1.0 if name.startswith("min_") else 1.0
    exact = pl.when(pl.col(name).is_finite()).then(name)
    near = exact.round_sig_figs(_DIGITS)
    # Beyond the nearest number by twice the largest error of rounding.
    far = (exact + exact.abs() * (away * 10.0 ** (1 - _DIGITS))).round_sig_figs(_DIGITS)
    outward = [pl.when((each - exact) * away >= 0).then(each) for each in (near, far)]
    return pl.coalesce(*outward, exact).alias(name)


def _schema_numbers(catalog: Catalog) -> tuple[pl.Series, list[Any]]:
    """The schemas that the rows have, spelled, and for each number of the catalog their new one."""
    used = set(catalog.rows[SCHEMA].drop_nulls())
    numbers: list[int | None] = []
    spelled: list[Any] = []
    for number, schema in enumerate(catalog.schemas):
        words = [[name, dtypes.spell(dtype)] for name, dtype in schema.items()]
        tellable = number in used and all(word is not None for _, word in words)
        numbers.append(len(spelled) if tellable else None)
        if tellable:
            spelled.append(words)
    return pl.Series(numbers, dtype=pl.UInt32), spelled


def _schema(words: Sequence[Any]) -> pl.Schema:
    pairs = [(name, dtypes.read(word)) for name, word in words]
    if any(not isinstance(name, str) for name, _ in pairs) or len(dict(pairs)) < len(pairs):
        raise ValueError("a schema in it cannot be")
    for name, _ in pairs:
        check_name(name)
    return pl.Schema(pairs)
