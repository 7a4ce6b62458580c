"""What a person asks for: values and ranges of the keys, conditions on rows, columns, order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import polars as pl

from vulcan_cli.dataset.columns import unknown_column
from vulcan_cli.dataset.places import at, at_line, plain_texts
from vulcan_cli.errors import UnknownColumn, UsageError
from vulcan_cli.vacua.geometry import KEYS

_RANGE = re.compile(r"(-?\d{1,18})(?:\.\.(-?\d{1,18}))?", re.ASCII)

_MISSING = re.compile(
    r"""unable to find column "(?P<name>(?:[^"\\]|\\.)*)"(?:; valid columns: \[(?P<valid>.*)\])?"""
    r"""|no column named '(?P<named>.*?)' found in table"""
)
_VALID = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|(.))")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
# What Polars' words are about.
_ABOUT = re.compile(r"""['"`]([^'"`(]+)""")
_SECOND_STATEMENT = "one (and only one) statement"

_NO_TABLE = re.compile(r"relation '.*' was not found|no table or struct column named")
_WHOLE = (
    "LIMIT takes a whole number of at most 4294967295, OFFSET one of at most 9223372036854775807"
)
_PLAIN = (
    ("LIMIT/FETCH conversion error", ("LIMIT", "FETCH"), _WHOLE),
    ("OFFSET conversion error", ("OFFSET",), _WHOLE),
    ("arguments for LIMIT/OFFSET/FETCH", ("LIMIT", "OFFSET", "FETCH"), _WHOLE),
    ("unsupported SQL join constraint", ("JOIN",), "JOIN needs ON or USING"),
)
"""Words of Polars that tell a person little, what they are about, and what they mean."""

_MEANT = {"&&": "AND", "||": "OR", "**": "pow(x, 2)", "^": "pow(x, 2)"}

# What Polars says of comparisons of times, and what that means.
_TIMES = {
    re.compile("cannot compare 'date/datetime/time' to a string"): "a time is compared with text",
    re.compile(
        r"comparison between .*Datetime\((?:'..', .*Datetime\('..'\)|'..'\).*Datetime\('..', )"
    ): "a time with a zone is compared with one without",
}
_TIME_MEANT = (
    "for a day write DATE '2026-01-31', for a moment "
    "CAST(created_at AS TIMESTAMP) > TIMESTAMP '2026-01-31 12:00:00'"
)

_TEXT_IN_SQL = re.compile(r"'(?:[^']|'')*'")
_ELEMENT_ZERO = re.compile(r"""((?:\w|"[^"]*")+)\s*\[\s*0+\s*\]""")

_TEXT_IN_PLAN = re.compile(r'"(?:[^"\\]|\\.)*"')
_UNNEST_IN_PLAN = re.compile(r"^ *(?:FILTER|SORT BY) .*\.explode\(", re.MULTILINE)

# Polars counts the rows of a result in 32 bits.
_MOST_ROWS = 2**32 - 1

# What Polars calls aggregates and windows; a count of rows is a word alone.
_OF_ALL_ROWS = {"Agg", "Over", "Quantile", "Correlation", "Len"}
# What makes several rows of one; Polars gives a condition that does so to other rows.
_OF_SEVERAL_ROWS = {"Explode"}
# Beside these stand a person's own words, which may be any.
_OWN_WORDS = {"Column", "FieldByName", "Literal"}

# A WHERE on the first line, so that lines and columns in Polars' words are those of the condition.
_SELECT = "SELECT * FROM vacua WHERE\n"
_PLACE = re.compile(r"^sql parser error: (.*?)(?: at Line: (\d+), Column: (\d+))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows, which columns, in which order. Empty: everything.

    Attributes:
        run_id: Runs, any of them.
        geometry_id: Geometries, any of them.
        h11, h12, ks_id, triang_id, conifold_id, cicy_id: Values, any of them, as `range`s;
            -1 is an absent key.
        solver_name: Solvers, any of them.
        is_susy: Only rows with this value.
        is_isd: Only rows with this value.
        where: A condition in Polars SQL, or several that must all hold; elements of lists count
            from 1.
        columns: Columns of the result in their order; None or empty: all.
        sort: Columns to sort by, descending where `-` stands before the name; nulls last.
        limit: At most so many rows; more than any result can have are None.

    Raises:
        UsageError: A column is named twice, or the limit is negative.
    """

    run_id: tuple[str, ...] = ()
    geometry_id: tuple[str, ...] = ()
    h11: tuple[range, ...] = ()
    h12: tuple[range, ...] = ()
    ks_id: tuple[range, ...] = ()
    triang_id: tuple[range, ...] = ()
    conifold_id: tuple[range, ...] = ()
    cicy_id: tuple[range, ...] = ()
    solver_name: tuple[str, ...] = ()
    is_susy: bool | None = None
    is_isd: bool | None = None
    where: str | tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    sort: tuple[str, ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        names = tuple(self.columns or ())
        object.__setattr__(self, "columns", names or None)
        for place, name in enumerate(names):
            if name in names[:place]:
                raise UsageError(f"the column {name} is named twice")
        if self.limit is not None and self.limit < 0:
            raise UsageError(f"a limit counts rows, it cannot be {self.limit}")
        if self.limit is not None and self.limit > _MOST_ROWS:
            object.__setattr__(self, "limit", None)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions of `where`, each as it was written."""
        if self.where is None:
            return ()
        return (self.where,) if isinstance(self.where, str) else self.where

    @property
    def looks_around(self) -> bool:
        """Whether a row matches or not by what other rows hold, as with `tau_im = max(tau_im)`."""
        return any(_has_part(pl.sql_expr(text), _OF_ALL_ROWS) for text in self.conditions)

    def on_shards(self) -> pl.Expr:
        """The condition on rows of the catalog."""
        conditions = [pl.lit(value=True)]
        conditions += [
            pl.col(name).is_in(values)
            for name in ("run_id", "geometry_id")
            if (values := getattr(self, name))
        ]
        conditions += [
            reduce(or_, (pl.col(key).is_between(r.start, r.stop - 1) for r in ranges))
            for key in KEYS
            if (ranges := getattr(self, key))
        ]
        return reduce(and_, conditions)

    def on_rows(self, available: Sequence[str]) -> pl.Expr | None:
        """The condition on rows of shards, or None where every row counts.

        Raises:
            UsageError: A condition cannot be parsed, or names a column that is not available.
        """
        conditions = [
            pl.col(name) == value
            for name in ("is_susy", "is_isd")
            if (value := getattr(self, name)) is not None
        ]
        if self.solver_name:
            conditions.append(pl.col("solver_name").is_in(self.solver_name))
        conditions += [parse_where(text, available) for text in self.conditions]
        return reduce(and_, conditions) if conditions else None


def parse_integers(texts: Iterable[str]) -> tuple[range, ...]:
    """Read `3`, `3,5` and `3..7` (inclusive).

    Raises:
        UsageError: A part is neither, or its range is empty.
    """
    return tuple(_range(part.strip()) for text in texts for part in text.split(","))


def parse_where(text: str, available: Sequence[str]) -> pl.Expr:
    """Read a condition in Polars SQL.

    Raises:
        UsageError: It cannot be parsed (says where), names no column (says the nearest), or is not
            on one row.
    """
    try:
        condition = pl.sql_expr(text)
        names = condition.meta.root_names()
    except pl.exceptions.PolarsError as error:
        what = _syntax(text) or _with_place(text, str(error), first_line=1)
        raise UsageError(f"where {text!r}: {what}{_meant(text)}") from error
    # To Polars, a word behind a condition is another name for it, and changes nothing. It names
    # lists that are written out itself.
    is_named = not condition.meta.eq(condition.meta.undo_aliases())
    if is_named and (wrong := _syntax(text)):
        raise UsageError(f"where {text!r}: {wrong}")
    for name in names:
        if name not in available:
            compared = re.search(rf'=\s*"?{re.escape(name)}\b', text)
            hint = f"text stands in single quotes, {name!r}" if compared else ""
            raise UnknownColumn(unknown_column(name, available, place=at(text, name), hint=hint))
    if _has_part(condition, _OF_SEVERAL_ROWS):
        raise UsageError(f"where {text!r}: {_of_several_rows(text)}")
    check_elements(text)
    return condition


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


def check_elements(sql: str) -> None:
    """Make sure that no element 0 of a list is asked for: to Polars it is null, without a word.

    Raises:
        UsageError: One is.
    """
    found = _ELEMENT_ZERO.search(_TEXT_IN_SQL.sub("''", sql))
    if found is not None:
        raise UsageError(f"elements of lists count from 1: for {found[0]} write {found[1]}[1]")


def check_unnest(statement: str, run: Callable[[str], pl.LazyFrame]) -> None:
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


def checked_where(text: str, schema: pl.Schema) -> pl.Expr:
    """Read a condition on columns of these types, and try it without rows.

    Raises:
        UsageError: As `parse_where`; or it compares what cannot be compared, or is no condition.
    """
    condition = parse_where(text, list(schema))
    try:
        pl.LazyFrame(schema=schema).filter(condition).collect()
    except pl.exceptions.PolarsError as error:
        what = _with_place(text, str(error), first_line=1)
        raise UsageError(f"where {text!r}: {what}{_meant(text)}") from error
    return condition


def refused_sql(statement: str, error: Exception, available: Sequence[str]) -> UsageError:
    """What to raise for a statement: what is wrong with it, in one sentence."""
    missing = _MISSING.search(str(error))
    if missing:
        escaped = missing["name"]
        name = missing["named"] if escaped is None else _unescaped(escaped)
        # A statement inside another one has columns of its own.
        listed = missing["valid"]
        valid = available if listed is None else [*map(_unescaped, _VALID.findall(listed))]
        if name not in valid:
            return UnknownColumn(unknown_column(name, valid, place=at(statement, name)))
    for said, words, meaning in _PLAIN:
        if said in str(error):
            return UsageError(f"sql: {meaning}{_first_place(statement, words)}")
    table = "; the table is vacua" if _NO_TABLE.search(str(error)) else ""
    what = _with_place(statement, str(error), first_line=1)
    return UsageError(f"sql: {what}{table or _meant(statement)}")


def _unescaped(name: str) -> str:
    """A name as it is, from how Polars spells it between quotes."""
    return _ESCAPE.sub(lambda found: _letter(found[1], found[2]), name)


def _letter(code: str | None, letter: str) -> str:
    return _ESCAPED.get(letter, letter) if code is None else chr(int(code, 16))


def sort_columns(sort: Iterable[str]) -> dict[str, bool]:
    """Column to whether it descends, from names with or without `-` before them."""
    return {name.removeprefix("-"): name.startswith("-") for name in sort}


def first_line(error: BaseException) -> str:
    """The first line of what an error says; Polars adds the whole plan."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _range(text: str) -> range:
    found = _RANGE.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is neither an integer nor a range such as 3..7")
    low, high = int(found[1]), int(found[2] or found[1])
    if high < low:
        raise UsageError(f"the range {text} is empty: the lower end comes first")
    return range(low, high + 1)


def _of_several_rows(text: str) -> str:
    what = f"unnest makes several rows of one{at(text, 'unnest')}"
    return f"{what}; for any element write array_contains(flux, x)"


def _syntax(text: str) -> str | None:
    """What is wrong with a condition, and where: only for a whole statement the place is told."""
    try:
        pl.SQLContext(register_globals=False).execute(_SELECT + text)
    except pl.exceptions.PolarsError as whole:
        if _PLACE.search(str(whole)):
            return _with_place(text, str(whole), first_line=2)
    return None


def _meant(text: str) -> str:
    """The end of a message: what SQL has for operators of other languages that are in a text."""
    return "".join(f"; for {sign} write {word}" for sign, word in _MEANT.items() if sign in text)


def _with_place(text: str, said: str, *, first_line: int) -> str:
    """Polars' words with the place in the text, which begins in their `first_line`."""
    found = _PLACE.search(said)
    if found is None:
        # The place belongs to its first sentence; others give advice for Python.
        what = re.split(r"\. (?=[A-Z])", said.splitlines()[0])[0]
        for compared, meaning in _TIMES.items():
            if compared.search(what):
                return f"{meaning}; {_TIME_MEANT}"
        words = [";"] if what.startswith(_SECOND_STATEMENT) else _ABOUT.findall(what)
        return what + _first_place(text, words)
    what = f"{found[1][0].lower()}{found[1][1:]}".replace("found: EOF", "found its end")
    if found[2] is None:
        return what
    return what + at_line(text, int(found[2]) - first_line + 1, int(found[3]))


def _first_place(text: str, words: Iterable[str]) -> str:
    """Where the first of these words stands that does."""
    return next(filter(None, (at(text, word) for word in words)), "")
