"""Conditions and statements in Polars SQL: how they are read, and which are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

import polars as pl
from polars.io.plugins import register_io_source

from vulcan_cli.dataset.columns import unknown_column
from vulcan_cli.dataset.places import at, plain_texts
from vulcan_cli.dataset.sql_errors import refused_sql, refused_where, wrong_syntax
from vulcan_cli.errors import UnknownColumn, UsageError

# Polars would obey, on a copy in memory, and say nothing.
_CHANGES = {"alter", "create", "delete", "drop", "insert", "truncate", "update"}
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(\w+)", re.DOTALL)

# What is read where rows are only counted: Polars takes the column that costs least.
_CHEAPEST = "\0"

_TEXT_IN_SQL = re.compile(r"'(?:[^']|'')*'")
# Of nothing, and of decimals of too many digits, Polars panics, and prints that itself.
_OF_NOTHING = re.compile(r"\b(coalesce|greatest|least)\s*\(\s*\)", re.IGNORECASE)
_DECIMAL = re.compile(
    r"\b((?:big)?decimal|dec|numeric)\s*\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\)", re.IGNORECASE
)
_MOST_DIGITS = 38
_ELEMENT_ZERO = re.compile(r"""((?:\w|"[^"]*")+)\s*\[\s*0+\s*\]""")
# Polars panics at this place in a list or a text, and prints that itself.
_FARTHEST = r"(-\s*0*9223372036854775808)\s*"
_FARTHEST_ELEMENT = re.compile(
    rf"\[\s*{_FARTHEST}\]|"
    rf"\b(?:array_get|split_part)\s*\((?:[^()]|\([^()]*\))*,\s*{_FARTHEST}\)",
    re.IGNORECASE,
)

_TEXT_IN_PLAN = re.compile(r'"(?:[^"\\]|\\.)*"')
_UNNEST_IN_PLAN = re.compile(r"^ *(?:FILTER|SORT BY) .*\.explode\(", re.MULTILINE)

# What Polars calls aggregates and windows; a count of rows is a word alone.
_OF_ALL_ROWS = {"Agg", "Over", "Quantile", "Correlation", "Len"}
# What makes several rows of one; Polars gives a condition that does so to other rows.
_OF_SEVERAL_ROWS = {"Explode"}
# Beside these stand a person's own words, which may be any.
_OWN_WORDS = {"Column", "FieldByName", "Literal"}


def parse_where(text: str, available: Sequence[str]) -> pl.Expr:
    """Read a condition in Polars SQL.

    Raises:
        UsageError: It cannot be parsed (says where), names no column (says the nearest), or is not
            on one row.
    """
    if wrong := _panicking(text):
        raise UsageError(f"where {text!r}: {wrong}")
    try:
        condition = pl.sql_expr(text)
        names = condition.meta.root_names()
    except pl.exceptions.PolarsError as error:
        raise refused_where(text, error) from error
    # To Polars, a word behind a condition is another name for it, and changes nothing. It names
    # lists that are written out itself.
    is_named = not condition.meta.eq(condition.meta.undo_aliases())
    if is_named and (wrong := wrong_syntax(text)):
        raise UsageError(f"where {text!r}: {wrong}")
    for name in names:
        if name not in available:
            compared = re.search(rf'=\s*"?{re.escape(name)}\b', text)
            hint = f"text stands in single quotes, {name!r}" if compared else ""
            raise UnknownColumn(unknown_column(name, available, place=at(text, name), hint=hint))
    if _has_part(condition, _OF_SEVERAL_ROWS):
        raise UsageError(f"where {text!r}: {_of_several_rows(text)}")
    _check_elements(text)
    return condition


def checked_where(text: str, schema: pl.Schema) -> pl.Expr:
    """Read a condition on columns of these types, and try it without rows.

    Raises:
        UsageError: As `parse_where`; or it compares what cannot be compared, or is no condition.
    """
    condition = parse_where(text, list(schema))
    try:
        pl.LazyFrame(schema=schema).filter(condition).collect()
    except pl.exceptions.PolarsError as error:
        raise refused_where(text, error) from error
    return condition


def looks_around(text: str) -> bool:
    """Whether a row meets a condition or not by what other rows hold."""
    return _has_part(pl.sql_expr(text), _OF_ALL_ROWS)


def run_sql(rows: pl.LazyFrame, statement: str) -> pl.LazyFrame:
    """Run a statement in Polars SQL over the table `vacua`; elements of lists count from 1.

    Raises:
        UsageError: It cannot be parsed, names no column or no file, would change something, or
            chooses rows by what makes several of one.
    """
    word = _FIRST_WORD.match(statement)
    if word is not None and word[1].lower() in _CHANGES:
        raise UsageError(f"sql: {word[1]} is refused: shards are only read, as by SELECT")
    if wrong := _panicking(statement):
        raise UsageError(f"sql: {wrong}")
    context = pl.SQLContext({"vacua": rows}, register_globals=False)
    try:
        result = context.execute(statement)
        result.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        available = [name for name in rows.collect_schema() if name != _CHEAPEST]
        raise refused_sql(statement, error, available) from error
    _check_elements(statement)
    _check_unnest(statement, context.execute)
    return result


def columns_read(statement: str, schema: Mapping[str, pl.DataType]) -> list[str]:
    """The columns that a statement reads of a table with this schema.

    Raises:
        UsageError: As `run_sql`; or it cannot be computed.
    """
    held = pl.Schema({**schema, _CHEAPEST: pl.Null()})
    read: list[str] = []

    def no_rows(names: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
        wanted = list(held) if names is None else names
        read.extend(wanted)
        yield pl.DataFrame(schema={name: held[name] for name in wanted})

    result = run_sql(register_io_source(no_rows, schema=held), statement)
    try:
        result.collect()
    except pl.exceptions.PolarsError as error:
        # What is made of no column is computed all the same, and some types are looked at late.
        raise refused_sql(statement, error, list(schema)) from error
    return read


def _has_part(condition: pl.Expr, kinds: Set[str]) -> bool:
    """Whether a part of a condition is of one of these kinds, as Polars calls them."""
    parts = [json.loads(condition.meta.serialize(format="json"))]
    for part in parts:
        if isinstance(part, dict):
            if part.keys() & kinds:
                return True
            parts += [inside for key, inside in part.items() if key not in _OWN_WORDS]
        elif isinstance(part, list):
            parts += part
        elif part in kinds:
            return True
    return False


def _panicking(sql: str) -> str | None:
    """What is wrong with a text at which Polars would panic; None where nothing is known."""
    plain = _TEXT_IN_SQL.sub("''", sql)
    if found := _OF_NOTHING.search(plain):
        return f"{found[1]} takes at least one argument{at(sql, found[1])}"
    for found in _DECIMAL.finditer(plain):
        # The first digits tell enough, and Python reads no number of thousands of them.
        digits, behind = (int((number or "0")[:_MOST_DIGITS]) for number in found.groups()[1:])
        if not (1 <= digits <= _MOST_DIGITS and 0 <= behind <= digits):
            kept = f"1 to {_MOST_DIGITS} digits, and no more than these behind its point"
            return f"{found[0]} is no type: a decimal has {kept}{at(sql, found[1])}"
    return None


def _check_elements(sql: str) -> None:
    """Make sure that no element is asked for that no list can have.

    To Polars element 0 is null, without a word; the farthest one from the end is a panic.

    Raises:
        UsageError: One is.
    """
    plain = _TEXT_IN_SQL.sub("''", sql)
    if zero := _ELEMENT_ZERO.search(plain):
        raise UsageError(f"elements of lists count from 1: for {zero[0]} write {zero[1]}[1]")
    if farthest := _FARTHEST_ELEMENT.search(plain):
        place = farthest[1] or farthest[2]
        raise UsageError(f"elements count from 1, and from -1 at the end: there is none at {place}")


def _check_unnest(statement: str, run: Callable[[str], pl.LazyFrame]) -> None:
    """Make sure that no rows are chosen or sorted by what makes several of one.

    Args:
        statement: A statement that can be run.
        run: Gives the result of such a statement.

    Raises:
        UsageError: They are: to Polars what comes of it belongs to other rows.
    """
    if "unnest" not in statement.lower():
        return
    plan = _TEXT_IN_PLAN.sub("", run(plain_texts(statement)).explain(optimized=False))
    if _UNNEST_IN_PLAN.search(plan):
        raise UsageError(f"sql: {_of_several_rows(statement)}")


def _of_several_rows(text: str) -> str:
    what = f"unnest makes several rows of one{at(text, 'unnest')}"
    return f"{what}; for any element write array_contains(flux, x)"
