"""Shards in a folder for the tests of the dataset room."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from vulcan_cli.dataset.catalog import Catalog, Source
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query
from vulcan_cli.vacua.geometry import Geometry, file_name, path_of_file_name
from vulcan_cli.vacua.prepare import Run, prepare

STAGING = Path(__file__).parent / "data/interop/staging"
NOW = datetime(2026, 11, 23, 19, 50, 30, tzinfo=UTC)


def vacua(n_rows: int, **columns: object) -> pl.DataFrame:
    """Some rows that are all different; a column is a list of values, a series, or one value."""
    rows = pl.DataFrame(
        {
            "flux": [[row, 1, -2, 3] for row in range(n_rows)],
            "moduli_re": [[0.1 * row, 0.5] for row in range(n_rows)],
            "moduli_im": [[1.0 + row, 2.0] for row in range(n_rows)],
            "tau_re": [0.25] * n_rows,
            "tau_im": [1.0 + row for row in range(n_rows)],
        },
        schema_overrides={"flux": pl.List(pl.Int32)},
    )
    return rows.with_columns(
        (value if isinstance(value, pl.Series) else pl.Series(value)).alias(name)
        if isinstance(value, (list, pl.Series))
        else pl.lit(value).alias(name)
        for name, value in columns.items()
    )


def put(folder: Path, rows: pl.DataFrame, run_id: str, **keys: int) -> Source:
    """Write one shard of these rows, as `stage` would, and say where it is."""
    run = Run(geometry=Geometry(**keys), tadpole_charge=3, run_id=run_id)
    (shard,) = prepare(rows, run, now=NOW).shards
    file = folder / file_name(shard.path_in_repo)
    with file.open("wb") as stream:
        shard.write(stream)
    return Source(shard.path_in_repo, file, "synced")


def listed(folder: Path, state: str = "synced") -> Iterator[Source]:
    """What a folder of shards holds, in no order."""
    for file in folder.glob("*.parquet"):
        path = path_of_file_name(file.name)
        assert path is not None
        yield Source(path, file, state)


def footer_of(data: bytes) -> bytes:
    """The footer of a parquet file, with its length and magic number."""
    return data[-int.from_bytes(data[-8:-4], "little") - 8 :]


PEERS = Catalog.read(
    source for state in ("pending", "synced") for source in listed(STAGING / state)
)
"""Shards that the peer wrote."""

WHOLE = pl.concat((pl.read_parquet(file) for file in PEERS.rows["file"]), how="diagonal")
"""All their rows, in the order of their paths."""


def ask(catalog: Catalog, **filters: Any) -> pl.DataFrame:
    return query(catalog, Filters(**filters)).rows.collect(engine="streaming")
