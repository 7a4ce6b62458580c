"""From any frame to the columns of a shard: all that is wrong is found at once, nothing is bent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import polars as pl

from vulcan_cli.vacua import casts, numerals, secrets
from vulcan_cli.vacua.arrow_ipc import inner, schema_message
from vulcan_cli.vacua.findings import Findings, shown_at
from vulcan_cli.vacua.geometry import ABSENT, KEYS, LARGEST_KEY, Geometry
from vulcan_cli.vacua.held import check_held, check_name
from vulcan_cli.vacua.schema import (
    CERT_STATUSES,
    DTYPES,
    IDENTITY,
    REQUIRED,
    SOLUTION,
    SOLUTION_LISTS,
    in_order,
)
from vulcan_cli.vacua.text_columns import holds_secret
from vulcan_cli.vacua.usual import usual_column

_PARTS = {"_re": "real", "_im": "imaginary"}


def conform(
    frame: pl.DataFrame,
    *,
    keys: Mapping[str, int] | None,
    fill: Mapping[str, object],
    findings: Findings,
) -> pl.DataFrame:
    """Give every known column its type, add what is missing, keep foreign columns behind them.

    Args:
        frame: The rows as a solver wrote them.
        keys: The keys of every row's geometry; None where the input's own columns tell.
        fill: Values for columns that the input lacks; what the input has always stays.
        findings: Takes what is wrong; then the frame is good for further checks only.

    Returns:
        All rows in their order, with their keys but without `run_id` and `geometry_id`.
    """
    written_by_us = IDENTITY if keys is not None else ("run_id", "geometry_id")
    rows = frame[[name for name in frame.columns if name not in written_by_us]]
    _check_shape(rows, fill, findings)
    columns = {series.name: _column(series, findings) for series in rows if series.name not in KEYS}
    if keys is None:
        columns |= _keys_of_rows(rows, findings)
    given = {**fill, **(keys or {})}
    lacking = {
        name: value for name, value in given.items() if name not in columns and value is not None
    }
    return with_constants(pl.DataFrame(columns), lacking)


def with_constants(frame: pl.DataFrame, values: Mapping[str, object]) -> pl.DataFrame:
    """A frame and more known columns, each with one value in every row; all in their order."""
    columns = {series.name: series for series in frame}
    for name, value in values.items():
        cell = pl.Series(name, [value], DTYPES[name])
        columns[name] = cell.new_from_index(0, frame.height)
    return pl.DataFrame([columns[name] for name in in_order(columns)])


def list_lengths(shard: pl.DataFrame) -> pl.DataFrame:
    """How long the lists are that every vacuum has; null where a column was refused."""
    lists = [name for name in SOLUTION_LISTS if name in shard.columns]
    return shard.select_seq(pl.col(lists).list.len())


def check_lengths(
    shard: pl.DataFrame,
    lengths: pl.DataFrame,
    geometry: Geometry | None,
    rows: Callable[[], pl.Series],
    findings: Findings,
) -> None:
    """Lists of one shard have one length each, and the moduli's two parts the same.

    Args:
        shard: Rows of one geometry, at least one; columns that were refused hold nulls.
        lengths: Their `list_lengths`.
        geometry: That geometry; None where the one that was given is wrong.
        rows: Gives the rows' numbers in the input, counted from 1.
        findings: Takes what is wrong.
    """
    others = "the others" if geometry is None else f"the others of geometry {geometry}"
    for name in ("flux", "moduli_re"):
        if name in lengths.columns and lengths[name].min() != lengths[name].max():
            usual = _usual(lengths[name], _called_for(geometry).get(name))
            unlike = lengths[name] != usual
            message = f"must have {usual} entries, as {others}"
            findings.at(name, unlike, message, cells=shard[name], rows=rows)
    if "moduli_im" in lengths.columns and "moduli_re" in lengths.columns:
        unlike = lengths["moduli_im"] != lengths["moduli_re"]
        message = "must have as many entries as moduli_re"
        findings.at("moduli_im", unlike, message, cells=shard["moduli_im"], rows=rows)


def doubt_lengths(lengths: pl.DataFrame, geometry: Geometry | None, doubts: Findings) -> None:
    """Note lists that are not as long as the geometry's `h12` calls for: odd, but allowed."""
    for name, wanted in _called_for(geometry).items():
        found = _usual(lengths[name], wanted) if name in lengths.columns else None
        if geometry is not None and found not in (wanted, None):
            doubts.add(f"has {found} entries where h12={geometry.h12} calls for {wanted}", name)


def _called_for(geometry: Geometry | None) -> dict[str, int]:
    """How long the lists of a geometry are; none where `h12` is not known.

    For h12 complex-structure moduli there are 2 (h12 + 1) periods, and as many quanta in each of
    f and h.
    """
    if geometry is None or geometry.h12 == ABSENT:
        return {}
    return {
        "flux": 4 * (geometry.h12 + 1),
        **dict.fromkeys(("moduli_re", "moduli_im"), geometry.h12),
    }


def _usual(lengths: pl.Series, wanted: int | None) -> int | None:
    """The length that most lists have; None where there is no list.

    Of several it is the wanted one, or else the first.
    """
    if lengths.min() == lengths.max():
        return cast("int | None", lengths.min())
    most = lengths.drop_nulls().mode(maintain_order=True).to_list()
    return wanted if wanted in most else most[0]


def doubt_geometry(frame: pl.DataFrame, geometry: Geometry, doubts: Findings) -> None:
    """Note columns of the input that say another geometry than the one given for all rows.

    It replaces them: odd, but allowed. A cell that is null or `ABSENT` says nothing.
    """
    for key, given in geometry.as_dict().items():
        other = _other_value(frame[key], given) if key in frame.columns else None
        if other is not None:
            says = "has none" if given == ABSENT else f"says {given}"
            doubts.add(f"says {other} where the geometry given {says}", key)


def _other_value(keys: pl.Series, given: int) -> str | None:
    """The first value of a key that is present and not the one given, be it a key or not."""
    # First, because a shard that is staged anew has all six.
    if keys.dtype.is_integer() and keys.min() == keys.max() and keys.max() in (given, ABSENT):
        return None
    values = _scalars(keys, DTYPES[keys.name], Findings())
    empty = keys.str.strip_chars() == "" if keys.dtype == pl.String else keys.is_null()
    others = ((values != given) & (values != ABSENT)).fill_null(value=True)
    for place in (others & ~empty.fill_null(value=True)).arg_true().head(1):
        return shown_at(keys if values[place] is None else values, place)
    return None


def _check_shape(rows: pl.DataFrame, fill: Mapping[str, object], findings: Findings) -> None:
    if rows.height == 0:
        findings.add("the input has no rows")
    for name in SOLUTION:
        if name not in rows.columns:
            findings.add(f"required column is missing{_alike(name, rows)}", name)
    if "tadpole_charge" not in rows.columns and fill.get("tadpole_charge") is None:
        alike = _alike("tadpole_charge", rows)
        message = f"required column is missing, and no value is given for all{alike}"
        findings.add(message, "tadpole_charge")
    for number, name in enumerate(rows.columns, start=1):
        if not name.strip():
            findings.add(f"column {number} has no name; an index is best left out")
        if secrets.looks_secret(name):
            findings.add("a column's name looks like a token")


def _alike(name: str, rows: pl.DataFrame) -> str:
    """The end of a message: the column that may have been meant."""
    others = [other for other in rows.columns if other.lower().replace(" ", "_") == name]
    if others:
        return f"; there is {others[0]!r}"
    both, part = name[:-3], _PARTS.get(name[-3:])
    return f"; it is the {part} part of {both!r}" if part and both in rows.columns else ""


def _keys_of_rows(rows: pl.DataFrame, findings: Findings) -> dict[str, pl.Series]:
    """The six keys as the input's columns tell them; null counts as absent."""
    present = [key for key in KEYS if key in rows.columns]
    if "h21" in rows.columns and "h12" not in present:
        # Without its h12 this would be another geometry, and nobody would notice.
        message = "is h12 here, in the mirror convention; rename it, or give the geometry"
        findings.add(message, "h21")
    elif not present:
        findings.add(f"there is no geometry: give one, or columns out of {', '.join(KEYS)}")
    found = len(findings.problems)
    absent = pl.repeat(ABSENT, rows.height, dtype=pl.Int32, eager=True)
    keys = dict.fromkeys(KEYS, absent)
    for key in present:
        keys[key] = _scalars(rows[key], DTYPES[key], findings).fill_null(ABSENT)
        message = f"must be from {ABSENT} to {LARGEST_KEY}"
        findings.at(key, keys[key] < ABSENT, message, cells=rows[key])
    if present and found == len(findings.problems):
        nothing = pl.DataFrame(keys).select(pl.all_horizontal(pl.all() == ABSENT)).to_series()
        message = "must be present, or another key of the geometry"
        findings.at(present[0], nothing, message, cells=rows[present[0]])
    return keys


def _column(series: pl.Series, findings: Findings) -> pl.Series:
    """One column in its type; a foreign one as it came, but for categories, which become text."""
    name = series.name
    dtype = DTYPES.get(name)
    if dtype is None:
        return _foreign(series, findings)
    usual = usual_column(series)
    if usual is not None:
        return usual
    if name in REQUIRED:
        findings.at(name, series.is_null(), "must not be null", cells=series)
    if isinstance(dtype, pl.List):
        return _lists(series, dtype, findings)
    values = _scalars(series, dtype, findings)
    if name in REQUIRED and dtype.is_float():
        findings.at(name, ~values.is_finite(), "must be finite", cells=series)
    if name == "tau_im":
        negative = (values <= 0) & values.is_finite()
        findings.at(name, negative, "must be positive", cells=series)
    if name == "cert_status":
        message = f"must be one of {', '.join(CERT_STATUSES)}"
        findings.at(name, ~values.is_in(CERT_STATUSES), message, cells=series)
    _refuse_secrets(values, findings)
    return values


def _scalars(series: pl.Series, dtype: pl.DataType, findings: Findings) -> pl.Series:
    try:
        cast = casts.cast(series, dtype)
        if cast.inexact.any() and series.dtype == pl.String and dtype.is_numeric():
            plain = series.to_frame().select(numerals.plain(pl.first())).to_series()
            cast = casts.cast(plain, dtype)
    except casts.UncastableError as error:
        findings.add(f"{error}, not {series.dtype}", series.name)
        return _nothing(series, dtype)
    findings.at(series.name, cast.inexact, cast.wanted, cells=series)
    return cast.values.alias(series.name)


def _lists(series: pl.Series, dtype: pl.List, findings: Findings) -> pl.Series:
    name = series.name
    try:
        flat = casts.flatten(series)
        cast = casts.cast(flat.cells, inner(dtype))
        if cast.inexact.any() and flat.cells.dtype == pl.String:
            flat = casts.flatten(_plain_lists(series))
            cast = casts.cast(flat.cells, inner(dtype))
    except casts.UncastableError as error:
        findings.add(f"{error} in a list, not {series.dtype}", name)
        return _nothing(series, dtype)
    cells, rows = flat.cells, flat.rows
    findings.at(name, cast.inexact, cast.wanted, cells=cells, rows=rows)
    if name in REQUIRED:
        findings.at(name, flat.lists.list.len() == 0, "must not be empty", cells=series)
        findings.at(name, cells.is_null(), "must not hold null", cells=cells, rows=rows)
        if cast.values.dtype.is_float():
            infinite = ~cast.values.is_finite()
            findings.at(name, infinite, "must be finite", cells=cells, rows=rows)
    return flat.lists.cast(dtype, strict=False).alias(name)


def _plain_lists(series: pl.Series) -> pl.Series:
    """Lists that are text, or hold text, with their numbers as every language reads them."""
    if series.dtype == pl.String:
        return series.to_frame().select(numerals.plain(pl.first())).to_series()
    return series.list.eval(numerals.plain(pl.element()))


def _foreign(series: pl.Series, findings: Findings) -> pl.Series:
    series = casts.spelt_out(series)
    try:
        check_name(series.name)
        check_held(series.dtype)
        schema_message({series.name: series.dtype}, {})
    except (TypeError, ValueError) as error:
        findings.add(str(error), series.name)
    _refuse_secrets(series, findings)
    return series


def _refuse_secrets(series: pl.Series, findings: Findings) -> None:
    if holds_secret(series):
        findings.add("holds what looks like a token", series.name)


def _nothing(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Stands in for a column that is refused, so that the other checks can go on."""
    return pl.repeat(None, len(series), dtype=dtype, eager=True).alias(series.name)
