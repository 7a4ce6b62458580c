"""From shards' rows to training data: which columns, and lists of one length.

Everything here is a Polars expression: it runs inside the scan, in parallel, and streams.
"""

from __future__ import annotations

from collections.abc import Container, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from vulcan_cli.arguments import integer, texts, truth
from vulcan_cli.dataset.columns import check_columns
from vulcan_cli.errors import UnevenLists, UsageError
from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.geometry import KEYS

# Before the name of a column that says whether a list is cut short; no column of a shard has it.
_CUT = "\0cut "

# What says where a row comes from rather than what it is: no features unless asked for.
_NOT_FEATURES = frozenset({"run_id", "geometry_id", "created_at", *KEYS})


class ListsCutShort(UserWarning):
    """Lists are longer than the length that was asked for: their ends are left out."""


class _Parts(NamedTuple):
    """The two columns of a complex feature."""

    re: str
    im: str


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Which columns make the features, and how lists are cut to one length.

    Attributes:
        features: Columns, in this order; None: all but run id, time and geometry. `moduli` and
            `tau`, as every name that is no column while `<name>_re` and `<name>_im` are two, is
            complex: an array of `[re, im]`, or of as many of them as `list_max_len` says.
        list_max_len: The length of every list: longer ones are cut, shorter ones filled, a null
            list is all fill. None leaves lists as they are.
        list_fill: What fills them. 0 stands for the zero of each type (0, 0.0, False, empty text,
            empty list).
        keep_geometry_id: Keep `geometry_id`, last where `features` do not name it.

    Raises:
        UsageError: The length is no positive integer, a feature is no text or named twice, or
            `keep_geometry_id` is neither True nor False.
    """

    features: Sequence[str] | None = None
    list_max_len: int | None = None
    list_fill: float | str = 0
    keep_geometry_id: bool = True

    def __post_init__(self) -> None:
        truth("keep_geometry_id", self.keep_geometry_id)
        if self.list_max_len is not None and integer("list_max_len", self.list_max_len) < 1:
            raise UsageError(f"lists need a length of at least 1, not {self.list_max_len}")
        if self.features is None:
            return
        names = texts("features", self.features)
        object.__setattr__(self, "features", names)
        for place, name in enumerate(names):
            if name in names[:place]:
                raise UsageError(f"the feature {name} is named twice")

    def columns(self, available: Sequence[str]) -> list[str]:
        """The columns to read, in the order of the result.

        Raises:
            UsageError: A feature is not among `available`.
        """
        if self.features is None:
            chosen = [name for name in available if name not in _NOT_FEATURES]
        else:
            chosen = list(self.features)
        if self.keep_geometry_id and "geometry_id" not in chosen:
            chosen.append("geometry_id")
        check_columns([name for name in chosen if not _parts(name, available)], available)
        return chosen

    def sources(self, available: Sequence[str]) -> list[str]:
        """The columns of a shard that the features are made of, each once.

        Raises:
            UsageError: As `columns`.
        """
        made_of = [_parts(name, available) or (name,) for name in self.columns(available)]
        return [*dict.fromkeys(name for names in made_of for name in names)]

    def complex_features(self, available: Set[str]) -> frozenset[str]:
        """The features that stand for two columns each."""
        return frozenset(name for name in self.features or () if _parts(name, available))

    def select(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The features of `rows`; where `list_max_len` is given, lists become arrays of it.

        Raises:
            UnevenLists: A complex feature is of lists, and they have no length.
            UsageError: A feature is not there, `list_fill` is no value of a list's type, or only
                one part of a complex one is lists.
        """
        return rows.select(self._features(rows.collect_schema()))

    def truncated(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """One row that counts, for each list column among the features, the lists cut short."""
        cuts = self._cut(rows.collect_schema())
        return rows.select(cut.sum().alias(name) for name, cut in cuts.items())

    def collect(self, rows: pl.LazyFrame) -> tuple[pl.DataFrame, dict[str, int]]:
        """The features, and how many lists were cut short in each column where any were.

        Raises:
            UsageError: As `select`.
        """
        features, flags = self.with_flags(rows)
        frame = features.collect(engine="streaming")
        counts = take_flags(frame, flags)
        return frame, {name: count for name, count in counts.items() if count}

    def with_flags(self, rows: pl.LazyFrame) -> tuple[pl.LazyFrame, list[str]]:
        """The features, and behind them columns for `take_flags`: rows are read once for both.

        Raises:
            UsageError: As `select`.
        """
        schema = rows.collect_schema()
        flags = {_CUT + name: cut for name, cut in self._cut(schema).items()}
        return rows.select(*self._features(schema), **flags), list(flags)

    def _features(self, schema: pl.Schema) -> list[pl.Expr]:
        return [self._feature(name, schema) for name in self.columns(list(schema))]

    def _feature(self, name: str, schema: pl.Schema) -> pl.Expr:
        parts = _parts(name, schema)
        if parts is not None:
            return self._complex(name, parts, schema)
        dtype = schema[name]
        if self.list_max_len is None or not isinstance(dtype, (pl.List, pl.Array)):
            return pl.col(name)
        return _padded(name, dtype, self.list_max_len, self.list_fill)

    def _complex(self, name: str, parts: _Parts, schema: pl.Schema) -> pl.Expr:
        """`[re, im]`, or an array of them; what fills a list is real."""
        lists = [dtype for part in parts if isinstance(dtype := schema[part], (pl.List, pl.Array))]
        if not lists:
            return pl.concat_arr(pl.col(part).cast(pl.Float64) for part in parts).alias(name)
        if len(lists) == 1:
            raise UsageError(f"of the complex feature {name} only one part is lists")
        width = self.list_max_len
        if width is None:
            raise UnevenLists(
                f"the complex feature {name} needs lists of one length: give list_max_len",
                self.features or (),
            )
        elements = [
            _elements(part, dtype, width, fill)
            for part, dtype, fill in zip(parts, lists, (self.list_fill, 0), strict=True)
        ]
        flat = pl.concat_arr(
            part.cast(pl.Float64) for pair in zip(*elements, strict=True) for part in pair
        )
        paired = pl.Array(pl.Array(pl.Float64, 2), width)
        return flat.map_batches(
            lambda numbers: (
                numbers.explode(empty_as_null=False).reshape((-1, width, 2))
                if numbers.len()
                else pl.Series(numbers.name, [], dtype=paired)
            ),
            return_dtype=paired,
            is_elementwise=True,
        ).alias(name)

    def _cut(self, schema: pl.Schema) -> dict[str, pl.Expr]:
        """For each list column among the features whether its lists are cut short."""
        width = self.list_max_len
        measured = {name: _measured(name, schema) for name in self.columns(list(schema))}
        return {
            name: _lengths(column, dtype) > width
            for name, column in measured.items()
            if width is not None and isinstance(dtype := schema[column], (pl.List, pl.Array))
        }


def take_flags(frame: pl.DataFrame, flags: Sequence[str]) -> dict[str, int]:
    """Take the flags of `FeatureSpec.with_flags` out of a frame: lists cut short, by feature."""
    # In place: `drop` would make a second copy of everything on its way.
    return {name.removeprefix(_CUT): int(frame.drop_in_place(name).sum()) for name in flags}


def _parts(name: str, available: Container[str]) -> _Parts | None:
    """The columns that make a complex feature; None where it is a column itself, or nothing."""
    parts = _Parts(f"{name}_re", f"{name}_im")
    return parts if name not in available and all(part in available for part in parts) else None


def _measured(name: str, schema: pl.Schema) -> str:
    """The column whose lists are as long as those of a feature."""
    parts = _parts(name, schema)
    return name if parts is None else parts.re


def _padded(name: str, dtype: pl.List | pl.Array, width: int, fill: float | str) -> pl.Expr:
    inner = arrow_ipc.inner(dtype)
    if not isinstance(inner, pl.Array):
        return pl.concat_arr(_elements(name, dtype, width, fill)).alias(name)
    # Side by side, arrays would become one longer array.
    filler = pl.lit([_fill_value(name, inner, fill)] * width, dtype=pl.List(inner))
    lists = _as_lists(name, dtype).fill_null(pl.lit([], dtype=pl.List(inner)))
    return pl.concat_list(lists, filler).list.head(width).list.to_array(width).alias(name)


def _as_lists(name: str, dtype: pl.List | pl.Array) -> pl.Expr:
    return pl.col(name).arr.to_list() if isinstance(dtype, pl.Array) else pl.col(name)


def _elements(name: str, dtype: pl.List | pl.Array, width: int, fill: float | str) -> list[pl.Expr]:
    """A list column as `width` columns, which side by side are the lists in one length."""
    lists = _as_lists(name, dtype)
    inner = arrow_ipc.inner(dtype)
    filler = pl.lit(_fill_value(name, inner, fill), dtype=inner)
    lengths = lists.list.len()
    # Element by element into columns, then side by side: 20 to 30 times faster than row by row,
    # and a null inside a list stays null.
    return [
        pl.when(lengths > place).then(lists.list.get(place, null_on_oob=True)).otherwise(filler)
        for place in range(width)
    ]


def _lengths(name: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Array):
        return pl.when(pl.col(name).is_not_null()).then(pl.lit(dtype.size, dtype=pl.UInt32))
    return pl.col(name).list.len()


def _fill_value(name: str, inner: pl.DataType, fill: float | str) -> object:
    """`fill` as a value of `inner`, everywhere in an array; never rounded, never wrapped."""
    if isinstance(inner, pl.Array):
        return [_fill_value(name, arrow_ipc.inner(inner), fill)] * inner.shape[0]
    if fill == 0:
        return _zero(inner)
    if isinstance(fill, float) and fill.is_integer() and inner.is_integer():
        fill = int(fill)
    try:
        return pl.Series([fill], dtype=inner, strict=True)[0]
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        message = f"{fill!r} cannot fill the lists of column {name}, which hold {inner}"
        raise UsageError(message) from None


def _zero(inner: pl.DataType) -> object:
    if inner.is_numeric():
        return 0
    return {pl.Boolean: False, pl.String: "", pl.List: []}.get(inner.base_type())
