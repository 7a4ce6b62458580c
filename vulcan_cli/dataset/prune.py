"""Which shards cannot hold a row that is asked for, by the smallest and largest values they hold.

Only what is sure counts: comparisons of a column with a number that are joined by AND. In Polars,
as in its SQL, NaN is greater than every number, and bounds do not tell of NaN; so `>` says nothing
of a column of floats.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from operator import and_

import polars as pl

from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.footers import MEASURED
from vulcan_cli.vacua.schema import DTYPES

# What could change the meaning of a comparison beside it.
_NOT_PLAIN = re.compile(
    r"""[^\w\s.<>=+-]|--|\b(?:or|not|between|case|is|in|like|div|mod)\b""", re.IGNORECASE
)
_AND = re.compile(r"\band\b", re.IGNORECASE)
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_COMPARED = re.compile(
    rf"\s*(?:(?P<name>[A-Za-z_]\w*)\s*(?P<op><=|>=|==|=|<|>)\s*(?P<number>{_NUMBER})"
    rf"|(?P<first>{_NUMBER})\s*(?P<turned><=|>=|==|=|<|>)\s*(?P<last>[A-Za-z_]\w*))\s*",
    re.IGNORECASE | re.ASCII,
)
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def may_match(filters: Filters) -> pl.Expr:
    """The condition on rows of the catalog that every shard with a matching row meets."""
    conditions = [pl.lit(value=True)]
    if filters.looks_around:
        return conditions[0]
    for name in ("is_susy", "is_isd"):
        value: bool | None = getattr(filters, name)
        if value is not None:
            conditions.append(_may(name, "=", float(value)))
    conditions += [_may(*each) for each in _comparisons(filters.conditions)]
    return reduce(and_, conditions)


def _comparisons(conditions: Sequence[str]) -> list[tuple[str, str, float]]:
    """Comparisons that must all hold: column, operator, number."""
    found = []
    plain = [text for text in conditions if not _NOT_PLAIN.search(text)]
    for part in (part for text in plain for part in _AND.split(text)):
        match = _COMPARED.fullmatch(part)
        if match is None:
            continue
        if match["name"] is not None:
            compared = (match["name"], match["op"], float(match["number"]))
        else:
            turned = _TURNED.get(match["turned"], match["turned"])
            compared = (match["last"], turned, float(match["first"]))
        if compared[0] in MEASURED and DTYPES[compared[0]] != pl.Boolean():
            found.append(compared)
    return found


def _may(name: str, operator: str, number: float) -> pl.Expr:
    """Whether a shard may hold a value that compares so; it may where nothing is known."""
    low, high = pl.col(f"min_{name}"), pl.col(f"max_{name}")
    has_nan = DTYPES[name].is_float()
    match operator:
        case "<":
            sure = low < number
        case "<=":
            sure = low <= number
        case ">" if not has_nan:
            sure = high > number
        case ">=" if not has_nan:
            sure = high >= number
        case "=" | "==":
            sure = (low <= number) & (high >= number)
        case _:
            return pl.lit(value=True)
    return low.is_null() | high.is_null() | sure
