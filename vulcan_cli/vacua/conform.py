"""From any frame to the columns of a shard: all that is wrong is found at once, nothing is bent."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from vulcan_cli.vacua import casts, secrets
from vulcan_cli.vacua.arrow_ipc import inner
from vulcan_cli.vacua.findings import Findings
from vulcan_cli.vacua.geometry import ABSENT, KEYS, LARGEST_KEY, Geometry
from vulcan_cli.vacua.schema import (
    CERT_STATUSES,
    DTYPES,
    IDENTITY,
    REQUIRED,
    SOLUTION,
    in_order,
)
from vulcan_cli.vacua.text_columns import columns_with_secrets

_SOLUTION_LISTS = ("flux", "moduli_re", "moduli_im")
_HOMELESS = (pl.Object, pl.Unknown, pl.Int128, pl.UInt128)


def conform(
    frame: pl.DataFrame,
    *,
    geometry: Geometry | None,
    fill: Mapping[str, object],
    findings: Findings,
) -> pl.DataFrame:
    """Give every known column its type, add what is missing, keep foreign columns behind them.

    Args:
        frame: The rows as a solver wrote them.
        geometry: The geometry of every row; None where the input's own columns tell.
        fill: Values for columns that the input lacks; what the input has always stays.
        findings: Takes what is wrong; then the frame is good for further checks only.

    Returns:
        All rows in their order, with the six keys but without `run_id` and `geometry_id`.
    """
    written_by_us = IDENTITY if geometry is not None else ("run_id", "geometry_id")
    rows = frame.drop(written_by_us, strict=False)
    _check_shape(rows, fill, findings)
    columns = {series.name: _column(series, findings) for series in rows if series.name not in KEYS}
    if geometry is None:
        columns |= _keys_of_rows(rows, findings)
    given = {**fill, **(geometry.as_dict() if geometry is not None else {})}
    for name, value in given.items():
        if name not in columns and value is not None:
            columns[name] = pl.repeat(value, rows.height, dtype=DTYPES[name], eager=True)
    return pl.DataFrame({name: columns[name] for name in in_order(list(columns))})


def check_lengths(
    shard: pl.DataFrame, geometry: Geometry, rows: pl.Series, findings: Findings
) -> None:
    """Lists of one shard have one length each, and the moduli's two parts the same.

    Args:
        shard: Rows of one geometry, at least one; columns that were refused hold nulls.
        geometry: That geometry.
        rows: The rows' numbers in the input, counted from 1.
        findings: Takes what is wrong.
    """
    lengths = {name: shard[name].list.len() for name in _SOLUTION_LISTS if name in shard.columns}
    for name in ("flux", "moduli_re"):
        if name in lengths and lengths[name].drop_nulls().len():
            first = lengths[name].drop_nulls()[0]
            unlike = lengths[name] != first
            message = f"must have {first} entries, as the others of geometry {geometry}"
            findings.at(name, unlike, message, cells=shard[name], rows=rows)
    if "moduli_im" in lengths and "moduli_re" in lengths:
        unlike = lengths["moduli_im"] != lengths["moduli_re"]
        message = "must have as many entries as moduli_re"
        findings.at("moduli_im", unlike, message, cells=shard["moduli_im"], rows=rows)


def doubt_lengths(shard: pl.DataFrame, geometry: Geometry, doubts: Findings) -> None:
    """Note lists that are not as long as the geometry's `h12` calls for: odd, but allowed.

    For h12 complex-structure moduli there are 2 (h12 + 1) periods, and as many quanta in each of
    f and h.
    """
    if geometry.h12 == ABSENT:
        return
    for name, wanted in (("flux", 4 * (geometry.h12 + 1)), ("moduli_re", geometry.h12)):
        found = shard[name].list.len()[0] if name in shard.columns else None
        if found not in (wanted, None):
            doubts.add(f"has {found} entries where h12={geometry.h12} calls for {wanted}", name)


def _check_shape(rows: pl.DataFrame, fill: Mapping[str, object], findings: Findings) -> None:
    if rows.height == 0:
        findings.add("the input has no rows")
    for name in SOLUTION:
        if name not in rows.columns:
            findings.add("required column is missing", name)
    if "tadpole_charge" not in rows.columns and fill.get("tadpole_charge") is None:
        findings.add("required column is missing, and no value is given for all", "tadpole_charge")
    for name in rows.columns:
        if not name.strip():
            findings.add("a column has no name")
        if secrets.looks_secret(name):
            findings.add("a column's name looks like a token")


def _keys_of_rows(rows: pl.DataFrame, findings: Findings) -> dict[str, pl.Series]:
    """The six keys as the input's columns tell them; null counts as absent."""
    present = [key for key in KEYS if key in rows.columns]
    if not present:
        findings.add(f"there is no geometry: give one, or columns out of {', '.join(KEYS)}")
    absent = pl.repeat(ABSENT, rows.height, dtype=pl.Int32, eager=True)
    keys = dict.fromkeys(KEYS, absent)
    for key in present:
        keys[key] = _scalars(rows[key], DTYPES[key], findings).fill_null(ABSENT)
        outside = ~keys[key].is_between(ABSENT, LARGEST_KEY)
        message = f"must be from {ABSENT} to {LARGEST_KEY}"
        findings.at(key, outside, message, cells=rows[key], rows=_numbers(rows.height))
    if present and not findings.problems:
        nothing = pl.DataFrame(keys).select(pl.all_horizontal(pl.all() == ABSENT)).to_series()
        message = "must be present, or another key of the geometry"
        findings.at(
            present[0], nothing, message, cells=rows[present[0]], rows=_numbers(rows.height)
        )
    return keys


def _column(series: pl.Series, findings: Findings) -> pl.Series:
    """One column in its type; a foreign one as it came, but for categories, which become text."""
    name, rows = series.name, _numbers(len(series))
    dtype = DTYPES.get(name)
    if dtype is None:
        return _foreign(series, findings)
    if isinstance(dtype, pl.List):
        return _lists(series, dtype, findings)
    values = _scalars(series, dtype, findings)
    if name in REQUIRED:
        findings.at(name, series.is_null(), "must not be null", cells=series, rows=rows)
        if dtype.is_float():
            findings.at(name, ~values.is_finite(), "must be finite", cells=series, rows=rows)
    if name == "tau_im":
        findings.at(name, values <= 0, "must be positive", cells=series, rows=rows)
    if name == "cert_status":
        message = f"must be one of {', '.join(CERT_STATUSES)}"
        findings.at(name, ~values.is_in(CERT_STATUSES), message, cells=series, rows=rows)
    _refuse_secrets(values, findings)
    return values


def _scalars(series: pl.Series, dtype: pl.DataType, findings: Findings) -> pl.Series:
    try:
        cast = casts.cast(series, dtype)
    except casts.UncastableError as error:
        findings.add(f"{error}, not {series.dtype}", series.name)
        return _nothing(series, dtype)
    rows = _numbers(len(series))
    findings.at(series.name, cast.inexact, cast.wanted, cells=series, rows=rows)
    return cast.values.alias(series.name)


def _lists(series: pl.Series, dtype: pl.List, findings: Findings) -> pl.Series:
    name, required = series.name, series.name in REQUIRED
    if required:
        message = "must not be null"
        rows = _numbers(len(series))
        findings.at(name, series.is_null(), message, cells=series, rows=rows)
    try:
        flat = casts.flatten(series)
        cast = casts.cast(flat.cells, inner(dtype))
    except casts.UncastableError as error:
        findings.add(f"{error} in a list, not {series.dtype}", name)
        return _nothing(series, dtype)
    findings.at(name, cast.inexact, cast.wanted, cells=flat.cells, rows=flat.rows)
    if required:
        empty = flat.lists.list.len() == 0
        rows = _numbers(len(series))
        findings.at(name, empty, "must not be empty", cells=series, rows=rows)
        null = flat.cells.is_null()
        findings.at(name, null, "must not hold null", cells=flat.cells, rows=flat.rows)
        if cast.values.dtype.is_float():
            infinite = ~cast.values.is_finite()
            findings.at(name, infinite, "must be finite", cells=flat.cells, rows=flat.rows)
    return flat.lists.cast(dtype, strict=False).alias(name)


def _foreign(series: pl.Series, findings: Findings) -> pl.Series:
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype in _HOMELESS:
        findings.add(f"{series.dtype} has no place in a shard", series.name)
    _refuse_secrets(series, findings)
    return series


def _refuse_secrets(series: pl.Series, findings: Findings) -> None:
    if columns_with_secrets(series.to_frame()):
        findings.add("holds what looks like a token", series.name)


def _nothing(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Stands in for a column that is refused, so that the other checks can go on."""
    return pl.repeat(None, len(series), dtype=dtype, eager=True).alias(series.name)


def _numbers(height: int) -> pl.Series:
    return pl.int_range(1, height + 1, eager=True)
