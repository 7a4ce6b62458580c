"""What Polars says of a text of SQL that it refuses, in words for who wrote the text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import polars as pl

from vulcan_cli.dataset.columns import unknown_column
from vulcan_cli.dataset.places import at, at_line
from vulcan_cli.errors import UnknownColumn, UsageError
from vulcan_cli.other_errors import first_line

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
    ("statement type is not supported", (), "shards are only read, as by SELECT"),
    (
        "invalid json/struct path-extract definition",
        (),
        "-> and ->> take a text or a number; to compare what they find write (a ->> 'x') = 1",
    ),
)
"""Words of Polars that tell a person little, what they are about, and what they mean."""

# Where Polars shows what it made of the text instead of the text; of a column it says `col`.
_UNSUPPORTED = re.compile(r"expression ([A-Z]\w*).* is not currently supported")
_WORD = re.compile(r'token Word\(Word \{ value: "(\w+)".*? \}\)')

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

# Polars' own names for what has none, and for the bounds of a column, among which it looks first.
_OWN_COLUMN = re.compile(r" in column '([^']*)'(?= for \d)")
_NAMELESS = frozenset(("scalar", "literal"))
_NAMELESS_SERIES = re.compile(r"series '(?:scalar|literal)' of dtype: ")
_BOUND = re.compile("_(?:min|max)$")

# A WHERE on the first line, so that lines and columns in Polars' words are those of the condition.
_SELECT = "SELECT * FROM vacua WHERE\n"
_PLACE = re.compile(r"^sql parser error: (.*?)(?: at Line: (\d+), Column: (\d+))?$", re.MULTILINE)


def refused_where(text: str, error: Exception) -> UsageError:
    """What to raise for a condition: what is wrong with it, and where, in one sentence."""
    what = wrong_syntax(text) or _with_place(text, error, begins=1)
    return UsageError(f"where {text!r}: {what}{_meant(text)}")


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
    table = "; the table is vacua" if _NO_TABLE.search(str(error)) else ""
    what = _with_place(statement, error, begins=1)
    return UsageError(f"sql: {what}{table or _meant(statement)}")


def words_of(error: Exception, columns: Collection[str] = ()) -> str:
    """The first line of what Polars says, without names that only Polars knows.

    Args:
        error: What it raised.
        columns: The columns that it read.
    """

    def of_ours(found: re.Match[str]) -> str:
        name = found[1]
        if name in _NAMELESS and name not in columns:
            return ""
        bounded = _BOUND.sub("", name)
        is_bound = name not in columns and bounded in columns
        return f" in column '{bounded if is_bound else name}'"

    said = _OWN_COLUMN.sub(of_ours, first_line(error))
    return _NAMELESS_SERIES.sub("a value of dtype: ", said)


def wrong_syntax(text: str) -> str | None:
    """What is wrong with a condition, and where: only for a whole statement the place is told."""
    try:
        pl.SQLContext(register_globals=False).execute(_SELECT + text)
    except pl.exceptions.PolarsError as whole:
        if _PLACE.search(str(whole)):
            return _with_place(text, whole, begins=2)
    return None


def _unescaped(name: str) -> str:
    """A name as it is, from how Polars spells it between quotes."""
    return _ESCAPE.sub(lambda found: _letter(found[1], found[2]), name)


def _letter(code: str | None, letter: str) -> str:
    return _ESCAPED.get(letter, letter) if code is None else chr(int(code, 16))


def _meant(text: str) -> str:
    """The end of a message: what SQL has for operators of other languages that are in a text."""
    return "".join(f"; for {sign} write {word}" for sign, word in _MEANT.items() if sign in text)


def _with_place(text: str, error: Exception, *, begins: int) -> str:
    """Polars' words with the place in the text, which for them `begins` in that line."""
    found = _PLACE.search(str(error))
    if found is None:
        return _of_parsed(text, error)
    what = f"{found[1][0].lower()}{found[1][1:]}".replace("found: EOF", "found its end")
    what = _WORD.sub(r"\1", what)
    if found[2] is None:
        return what
    return what + at_line(text, int(found[2]) - begins + 1, int(found[3]))


def _of_parsed(text: str, error: Exception) -> str:
    """Polars' words of what it could parse, with the place of what they are about."""
    said = words_of(error)
    for known, words, meaning in _PLAIN:
        if known in said:
            return meaning + _first_place(text, words)
    if unsupported := _UNSUPPORTED.match(said):
        # Polars calls SIMILAR TO `SimilarTo`.
        name = re.sub(r"\B([A-Z])", r" \1", unsupported[1]).upper()
        return f"{name} is not supported{_first_place(text, name.split())}"
    # The place belongs to its first sentence; others give advice for Python.
    what = re.split(r"\. (?=[A-Z])", said)[0]
    for compared, meaning in _TIMES.items():
        if compared.search(what):
            return f"{meaning}; {_TIME_MEANT}"
    if isinstance(error, pl.exceptions.StructFieldNotFoundError):
        what = f"there is no field '{what}'"
    about = [";"] if what.startswith(_SECOND_STATEMENT) else _ABOUT.findall(what)
    return what + _first_place(text, about)


def _first_place(text: str, words: Iterable[str]) -> str:
    """Where the first of these words stands that does."""
    return next(filter(None, (at(text, word) for word in words)), "")
