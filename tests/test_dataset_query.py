"""Queries over many shards: filters, columns, order, and shards that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.dataset_support import PEERS, WHOLE, ask, put, vacua
from vulcan_cli.dataset.catalog import Catalog, Source
from vulcan_cli.dataset.filters import Filters, parse_integers
from vulcan_cli.dataset.memory import Memory
from vulcan_cli.dataset.query import query, query_sql
from vulcan_cli.dataset.sql import run_sql
from vulcan_cli.errors import ColumnClash, UsageError
from vulcan_cli.vacua.schema import DTYPES

KNOWN = ", ".join([*DTYPES, "my_note"])
"""The columns of the peer's shards, as an error lists them."""


@pytest.fixture
def mixed(tmp_path: Path) -> Catalog:
    """Four shards of other columns: `is_susy` is in three of them, `extra` in two."""
    return Catalog.read(
        [
            put(tmp_path, vacua(2, is_susy=[True, False], extra=1), "a", h11=3, h12=2),
            put(tmp_path, vacua(3, is_susy=[None, True, False]), "b", h11=3, h12=2, ks_id=0),
            put(tmp_path, vacua(1, extra=7, zeta="z"), "c", h11=4, h12=2, ks_id=5),
            put(tmp_path, vacua(1, is_susy=True, solver_name="n"), "d", h12=3, cicy_id=9),
        ]
    )


def runs(rows: pl.DataFrame) -> str:
    """One letter for each row."""
    return "".join(rows["run_id"])


def test_everything_comes_in_the_order_of_paths_and_rows() -> None:
    assert_frame_equal(ask(PEERS), WHOLE)


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({"h11": parse_integers(["100..132", "243"])}, "h11 BETWEEN 100 AND 132 OR h11 = 243"),
        (
            {"ks_id": parse_integers(["3,5"]), "h12": parse_integers(["3"])},
            "ks_id IN (3,5) AND h12 = 3",
        ),
        ({"ks_id": parse_integers(["-1"])}, "ks_id = -1"),
        ({"geometry_id": ("f7ab5efef3a47ce5",)}, "geometry_id = 'f7ab5efef3a47ce5'"),
        ({"solver_name": ("newton_SUSY_ISD+",)}, "solver_name = 'newton_SUSY_ISD+'"),
        ({"is_susy": True, "h12": parse_integers(["2"])}, "is_susy AND h12 = 2"),
        ({"where": "tau_im > 5 AND moduli_im[1] < 0.5"}, "tau_im > 5 AND moduli_im[1] < 0.5"),
    ],
)
def test_filters_find_what_a_plain_scan_finds(filters: dict[str, Any], condition: str) -> None:
    wanted = WHOLE.filter(pl.sql_expr(condition))

    found = ask(PEERS, **filters)

    assert found.height > 0
    assert_frame_equal(found, wanted.select(found.columns))


def test_elements_of_lists_count_from_one() -> None:
    first = WHOLE["flux"][0][0]

    found = ask(PEERS, where=f"flux[1] = {first}", columns=("flux",))

    assert found["flux"].list.first().unique().to_list() == [first]


def test_a_row_whose_shard_lacks_an_asked_column_does_not_match(mixed: Catalog) -> None:
    assert runs(ask(mixed)) == "aabbbcd"
    assert runs(ask(mixed, is_susy=True)) == "abd"
    assert runs(ask(mixed, is_susy=False)) == "ab"
    assert runs(ask(mixed, where="NOT is_susy")) == "ab"
    assert runs(ask(mixed, where="is_susy IS NULL")) == "b"
    assert runs(ask(mixed, where="is_susy OR extra = 7")) == "a"
    assert runs(ask(mixed, where="extra > 0")) == "aac"
    assert runs(ask(mixed, solver_name=("n", "m"))) == "d"
    assert runs(ask(mixed, where="mass2[1] > 0")) == ""


def test_columns_are_united_by_name(mixed: Catalog) -> None:
    rows = ask(mixed)

    known = [name for name in DTYPES if name in rows.columns]
    assert rows.columns == [*known, "extra", "zeta"]
    assert rows["extra"].to_list() == [1, 1, None, None, None, 7, None]
    assert rows["is_susy"].to_list() == [True, False, None, True, False, None, True]


def test_asked_columns_come_in_the_order_asked(mixed: Catalog) -> None:
    rows = ask(mixed, columns=("zeta", "tau_im", "mass2"), sort=("-tau_im", "run_id"), limit=3)

    assert rows.schema == {"zeta": pl.String, "tau_im": pl.Float64, "mass2": pl.List(pl.Float64)}
    assert rows.rows() == [(None, 3.0, None), (None, 2.0, None), (None, 2.0, None)]


def test_sorting_puts_nulls_last_and_keeps_the_order_of_equals(mixed: Catalog) -> None:
    assert runs(ask(mixed, sort=("extra",))) == "aacbbbd"
    assert runs(ask(mixed, sort=("-extra",))) == "caabbbd"


def test_a_list_may_be_written_out_in_a_condition() -> None:
    first = ask(PEERS)["flux"][0].to_list()

    found = ask(PEERS, where=f"flux = {first} AND tau_im > 0", columns=("flux",))

    assert found["flux"].to_list() == [
        flux for flux in ask(PEERS)["flux"].to_list() if flux == first
    ]


def test_no_match_is_an_empty_result_of_the_right_types(mixed: Catalog) -> None:
    assert_frame_equal(ask(mixed, h11=parse_integers(["99"])), ask(mixed).clear())
    assert ask(mixed, where="tau_im < 0", columns=("extra",)).schema == {"extra": pl.Int32}
    assert ask(Catalog.read([])).schema == DTYPES
    assert ask(Catalog.read([]), is_susy=True, columns=("flux",)).schema == {
        "flux": pl.List(pl.Int32)
    }


def test_counting_needs_no_column(mixed: Catalog) -> None:
    assert query(mixed, Filters()).rows.select(pl.len()).collect().item() == 7
    assert query(mixed, Filters(is_susy=True)).rows.select(pl.len()).collect().item() == 3


def test_a_result_can_be_read_twice(mixed: Catalog) -> None:
    rows = query(mixed, Filters(is_susy=True)).rows

    assert_frame_equal(rows.collect(), rows.collect(engine="streaming"))


@given(
    st.lists(st.sampled_from(["run_id", "tau_im", "ks_id", "flux"]), unique=True, min_size=1),
    st.lists(st.sampled_from(["tau_im", "-tau_im", "-ks_id", "run_id"]), max_size=2),
    st.none() | st.integers(0, 30),
    st.none() | st.floats(2, 7),
)
def test_any_mix_is_what_polars_makes_of_all_rows(
    columns: list[str], sort: list[str], limit: int | None, low: float | None
) -> None:
    by = list(dict.fromkeys(name.removeprefix("-") for name in sort))
    descending = [any(f"-{name}" == each for each in sort[::-1]) for name in by]
    wanted = WHOLE if low is None else WHOLE.filter(pl.col("tau_im") > low)
    if by and len(by) == len(sort):
        wanted = wanted.sort(by, descending=descending, nulls_last=True, maintain_order=True)
    else:
        sort = []
    wanted = wanted.select(columns)

    found = ask(
        PEERS,
        columns=tuple(columns),
        sort=tuple(sort),
        limit=limit,
        where=None if low is None else f"tau_im > {low!r}",
    )

    assert_frame_equal(found, wanted if limit is None else wanted.head(limit))


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("tau_im >", "where 'tau_im >': expected: an expression, found its end"),
        ("a = = 2", "where 'a = = 2': expected: an expression, found: =, at character 5"),
        (
            "a > 1\nAND = 2",
            "where 'a > 1\\nAND = 2': expected: an expression, found: =, at line 2, character 5",
        ),
        ("foo(tau_im) > 1", "where 'foo(tau_im) > 1': unsupported function 'foo', at character 1"),
        (
            "tau_im",
            "where 'tau_im': filter predicate must be of type `Boolean`, got `Float64`",
        ),
        (
            "geometry_id > 3",
            "where 'geometry_id > 3': cannot compare string with numeric type (i32)",
        ),
        (
            "created_at > '2026-01-31'",
            "where \"created_at > '2026-01-31'\": a time is compared with text; "
            "for a day write DATE '2026-01-31', for a moment "
            "CAST(created_at AS TIMESTAMP) > TIMESTAMP '2026-01-31 12:00:00'",
        ),
        (
            "TIMESTAMP '2026-01-31 12:00:00' < created_at",
            "where \"TIMESTAMP '2026-01-31 12:00:00' < created_at\": a time with a zone is "
            "compared with one without; for a day write DATE '2026-01-31', for a moment "
            "CAST(created_at AS TIMESTAMP) > TIMESTAMP '2026-01-31 12:00:00'",
        ),
        (
            "created_at > TIMESTAMP '2026-01-31 12:00:00'",
            "where \"created_at > TIMESTAMP '2026-01-31 12:00:00'\": a time with a zone is "
            "compared with one without; for a day write DATE '2026-01-31', for a moment "
            "CAST(created_at AS TIMESTAMP) > TIMESTAMP '2026-01-31 12:00:00'",
        ),
        (
            "is_susy && is_isd",
            "where 'is_susy && is_isd': operator PGOverlap is not currently supported; "
            "for && write AND",
        ),
        (
            "is_susy || is_isd",
            "where 'is_susy || is_isd': filter predicate must be of type `Boolean`, got `String`; "
            "for || write OR",
        ),
        (
            "W_re^2 < 1",
            "where 'W_re^2 < 1': operator BitwiseXor is not currently supported; "
            "for ^ write pow(x, 2)",
        ),
        (
            'solver_name = "newton"',
            "there is no column 'newton', at character 15: text stands in single quotes, 'newton'; "
            f"columns are {KNOWN}",
        ),
        (
            "solver_name == newton",
            "there is no column 'newton', at character 16: text stands in single quotes, 'newton'; "
            f"columns are {KNOWN}",
        ),
        (
            "tau_im > 2 is_susy",
            "where 'tau_im > 2 is_susy': expected: end of statement, found: is_susy, "
            "at character 12",
        ),
        (
            "tau_im > 2 AS is_susy",
            "where 'tau_im > 2 AS is_susy': expected: end of statement, found: AS, at character 12",
        ),
        (
            "tau > 2",
            "there is no column 'tau', at character 1: did you mean tau_re or tau_im? "
            f"columns are {KNOWN}",
        ),
        (
            "run_id = 'tau_imm' -- tau_imm\n AND /* tau_imm */ \"tau_imm\" > 2",
            "there is no column 'tau_imm', at line 2, character 20: did you mean tau_im? "
            f"columns are {KNOWN}",
        ),
        (
            "tau_im > 1; DROP TABLE x",
            "where 'tau_im > 1; DROP TABLE x': invalid expression (found unexpected token ';'), "
            "at character 11",
        ),
        (
            "tau_im > 1 AND NoFunc(x) > 1",
            "where 'tau_im > 1 AND NoFunc(x) > 1': unsupported function 'nofunc', at character 16",
        ),
        (
            "CAST(tau_im AS foo) > 1",
            "where 'CAST(tau_im AS foo) > 1': datatype \"foo\" is not currently supported, "
            "at character 16",
        ),
        (
            "tau_im = CAST('x' AS INT)",
            "where \"tau_im = CAST('x' AS INT)\": conversion from `str` to `i32` failed "
            'for 1 out of 1 values: ["x"]',
        ),
        (
            "CAST(flux AS INT[]) = 1",
            "where 'CAST(flux AS INT[]) = 1': could not evaluate comparison between series 'flux' "
            "of dtype: List(Int32) and a value of dtype: Int32, at character 6",
        ),
        *(
            (
                f"CAST(tau_im AS {kind}) = 1",
                f"where 'CAST(tau_im AS {kind}) = 1': {kind} is no type: a decimal has 1 to 38 "
                "digits, and no more than these behind its point, at character 16",
            )
            for kind in (
                "DECIMAL(39, 2)",
                "numeric(0)",
                "DEC(3,5)",
                "BIGDECIMAL(3,-1)",
                # Python reads no number of so many digits.
                f"DECIMAL({'9' * 4301})",
                f"DECIMAL(38,{'9' * 4301})",
            )
        ),
        (
            "pow(tau_im) > 1",
            "where 'pow(tau_im) > 1': no function matches the given name and arguments: "
            "`pow(tau_im)`, at character 1",
        ),
        (
            "solver_name = 'a[0]' OR tau_im > 2 AND flux [ 0 ] = 5",
            "elements of lists count from 1: for flux [ 0 ] write flux[1]",
        ),
        ('"flux"[00] = 5', 'elements of lists count from 1: for "flux"[00] write "flux"[1]'),
        *(
            (
                f"tau_im > 2 AND {element} = 5",
                "elements count from 1, and from -1 at the end: there is none at "
                "-9223372036854775808",
            )
            for element in (
                "flux[ -9223372036854775808 ]",
                "array_get(flux, -9223372036854775808)",
                "ARRAY_GET (coalesce(flux, flux), -9223372036854775808 )",
                "split_part(solver_name, 'a', -9223372036854775808)",
            )
        ),
        (
            "tau_im > 2 OR UNNEST(flux) = 1",
            "where 'tau_im > 2 OR UNNEST(flux) = 1': unnest makes several rows of one, "
            "at character 15; for any element write array_contains(flux, x)",
        ),
        *(
            (
                f"tau_im > 1 AND {name} ( ) = 1",
                f"where '{f'tau_im > 1 AND {name} ( ) = 1'}': {name} takes at least one argument, "
                "at character 16",
            )
            for name in ("coalesce", "GREATEST", "least")
        ),
        (
            "run_id SIMILAR TO 'a%'",
            "where \"run_id SIMILAR TO 'a%'\": SIMILAR TO is not supported, at character 8",
        ),
        (
            "run_id SIMILAR TO 'Mr. X'",
            "where \"run_id SIMILAR TO 'Mr. X'\": SIMILAR TO is not supported, at character 8",
        ),
        (
            "TRIM(run_id FROM git_sha) = 'a'",
            "where \"TRIM(run_id FROM git_sha) = 'a'\": "
            'expression col("git_sha") is not currently supported, at character 18',
        ),
        *(
            (
                f"extra_data {sign} 'x' = 'Mr. X'",
                f"where \"extra_data {sign} 'x' = 'Mr. X'\": -> and ->> take a text or a number; "
                "to compare what they find write (a ->> 'x') = 1",
            )
            for sign in ("->", "->>")
        ),
        ("run_id ~ '['", "where \"run_id ~ '['\": no regular expression: unclosed character class"),
        ("is_susy.b > 1", "where 'is_susy.b > 1': there is no field 'b', at character 9"),
    ],
)
def test_a_condition_that_is_none_is_refused_with_its_place(where: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        query(PEERS, Filters(where=where))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("created_at >= DATE '2026-01-31'", "bc"),
        ("CAST(created_at AS TIMESTAMP) > TIMESTAMP '2026-01-31 12:00:00'", "c"),
    ],
)
def test_times_are_asked_for_as_the_refusals_say(tmp_path: Path, where: str, found: str) -> None:
    times = [datetime(2026, 1, 31, tzinfo=UTC) + timedelta(hours=hours) for hours in (-1, 12, 13)]
    shards = [
        put(tmp_path, vacua(1, created_at=at), run, h11=3, h12=2)
        for run, at in zip("abc", times, strict=True)
    ]

    assert runs(ask(Catalog.read(shards), where=where)) == found


@pytest.mark.parametrize(
    ("filters", "place"),
    [
        ({"where": "tau_imm > 3"}, ", at character 1"),
        ({"columns": ("tau_imm",)}, ""),
        ({"sort": ("-tau_imm",)}, ""),
    ],
)
def test_an_unknown_column_is_refused_with_the_nearest(filters: dict[str, Any], place: str) -> None:
    with pytest.raises(UsageError) as refused:
        query(PEERS, Filters(**filters))
    assert str(refused.value) == (
        f"there is no column 'tau_imm'{place}: did you mean tau_im? columns are {KNOWN}"
    )


def test_a_column_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UsageError) as refused:
        query(PEERS, Filters(columns=("xyzzy",)))
    assert str(refused.value) == f"there is no column 'xyzzy': columns are {KNOWN}"


def test_of_very_many_columns_fifty_are_listed(tmp_path: Path) -> None:
    many = {f"mine_{number:03}": 1 for number in range(100)}
    catalog = Catalog.read([put(tmp_path, vacua(1, **many), "a", h11=3, h12=2)])
    with pytest.raises(UsageError) as refused:
        query(catalog, Filters(where="mine_007x > 1"))
    first = ", ".join([*DTYPES, *list(many)[:10]])
    assert str(refused.value) == (
        "there is no column 'mine_007x', at character 1: did you mean mine_007? "
        f"columns are {first} and 90 more"
    )


def test_filters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^the column flux is named twice$"):
        Filters(columns=("flux", "tau_im", "flux"))
    for twice in (("tau_im", "flux", "-tau_im"), ("-tau_im", "tau_im"), ("tau_im", "tau_im")):
        with pytest.raises(UsageError, match=r"^the order names the column tau_im twice$"):
            Filters(sort=twice)
    with pytest.raises(UsageError, match=r"^a limit counts rows, it cannot be -1$"):
        Filters(limit=-1)


@pytest.mark.parametrize("limit", [2**32 - 1, 2**32, 10**20])
def test_a_limit_may_be_more_than_any_result_has(mixed: Catalog, limit: int) -> None:
    assert_frame_equal(ask(mixed, limit=limit), ask(mixed))
    assert query(mixed, Filters(limit=limit)).n_rows == query(mixed, Filters()).n_rows
    statement = query_sql(mixed, Filters(limit=limit), "SELECT run_id FROM vacua")
    assert statement.rows.collect().height == ask(mixed).height


def test_no_columns_are_all_columns(mixed: Catalog) -> None:
    assert_frame_equal(ask(mixed, columns=()), ask(mixed))


def test_a_condition_that_fails_on_a_value_is_the_conditions_fault(mixed: Catalog) -> None:
    asked = query(mixed, Filters(where="CAST(run_id AS INT) > 1"))

    with pytest.raises(UsageError, match=r"^the condition fails: conversion from `str` to `i32`"):
        asked.rows.collect()
    assert asked.bad == ()


@pytest.mark.parametrize(
    ("condition", "fails"),
    [
        (
            "CAST(run_id AS INT) > 1",
            "conversion from `str` to `i32` failed in column 'run_id' for 1 out of 1 values: "
            '["a"]',
        ),
        (
            "CAST(CASE WHEN tau_im > 0 THEN 'a' ELSE 'b' END AS INT) = 1",
            'conversion from `str` to `i32` failed for 1 out of 1 values: ["a"]',
        ),
    ],
)
def test_no_column_that_only_polars_has_is_named(
    tmp_path: Path, condition: str, fails: str
) -> None:
    source = put(tmp_path, vacua(1), "a", h11=3, h12=2)
    asked = query(Catalog.read([source]), Filters(where=condition))

    with pytest.raises(UsageError) as refused:
        asked.rows.collect()
    assert str(refused.value) == f"the condition fails: {fails}"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3", {3}),
        ("3,5", {3, 5}),
        ("3..7", {3, 4, 5, 6, 7}),
        ("-1", {-1}),
        ("-1..1, 9", {-1, 0, 1, 9}),
    ],
)
def test_integers_are_single_listed_or_ranges(text: str, values: set[int]) -> None:
    assert {value for each in parse_integers([text]) for value in each} == values


@pytest.mark.parametrize("text", ["", "x", "3..", "3.5", "3,,5", "1e3", "\uff13", "9" * 40])
def test_other_integers_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is neither an integer nor a range such as 3\.\.7$"):
        parse_integers([text])


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^the range 7\.\.3 is empty: the lower end comes first$"):
        parse_integers(["7..3"])


def test_bad_shards_of_the_catalog_are_told_too(tmp_path: Path) -> None:
    good = put(tmp_path, vacua(1), "a", h11=3, h12=2)
    bad = Source("h12_2/h11_3/bucket_3/run_b.parquet", tmp_path / "b", "synced")

    asked = query(Catalog.read([good, bad]), Filters())

    assert asked.rows.collect().height == 1
    assert [each.path for each in asked.bad] == [bad.file]


def test_folders_named_like_columns_and_patterns_in_names_mean_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "h11=99" / "[a]*"
    folder.mkdir(parents=True)

    rows = ask(Catalog.read([put(folder, vacua(2), "a", h11=3, h12=2)]))

    assert rows["h11"].to_list() == [3, 3]


def test_times_of_several_zones_are_those_of_utc(tmp_path: Path) -> None:
    """They are the same in parquet, and only the Arrow schema tells the zones apart."""
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    zones = ("Europe/Berlin", "UTC", "Asia/Tokyo")
    times = [pl.Series([noon], dtype=pl.Datetime("us", zone)) for zone in zones]
    shards = [
        put(tmp_path, vacua(1, at=at), f"a{place}", h11=3, h12=2) for place, at in enumerate(times)
    ]

    rows = query(Catalog.read(shards), Filters(columns=("run_id", "at"))).rows.collect()

    assert rows.schema["at"] == pl.Datetime("us", "UTC")
    assert rows.rows() == [(f"a{place}", noon) for place in range(3)]


def refusal_of(shards: list[Source]) -> str:
    """What is said of shards of which some column has no one type."""
    with pytest.raises(ColumnClash) as refused:
        query(Catalog.read(shards), Filters())
    return str(refused.value)


@pytest.mark.parametrize("units", [("ns", "us"), ("us", "ns")])
def test_durations_of_several_units_clash(tmp_path: Path, units: tuple[Any, Any]) -> None:
    """As the shorter unit they may not fit, and as the longer one they would lose digits."""
    shards = [
        put(tmp_path, vacua(1, d=pl.Series([1], dtype=pl.Duration(unit))), unit, h11=3, h12=2)
        for unit in units
    ]

    path = "h12_2/h11_3/bucket_3/run_{}.parquet"
    assert refusal_of(shards) == (
        "column d is Duration(time_unit='ns') in " + path.format("ns") + " and "
        "Duration(time_unit='us') in " + path.format("us")
    )


@pytest.mark.parametrize(
    ("types", "cells", "together", "values"),
    [
        (
            [
                pl.Struct({"chi": pl.Int64, "why": pl.Null}),
                pl.Struct({"chi": pl.Int64, "why": pl.String}),
            ],
            [{"chi": 1, "why": None}, {"chi": 2, "why": "slow"}],
            pl.Struct({"chi": pl.Int64, "why": pl.String}),
            [{"chi": 1, "why": None}, {"chi": 2, "why": "slow"}],
        ),
        (
            [pl.Struct({"b": pl.Int8, "a": pl.String}), pl.Struct({"a": pl.String, "b": pl.Int16})],
            [{"b": 1, "a": "x"}, {"a": "y", "b": 300}],
            pl.Struct({"b": pl.Int16, "a": pl.String}),
            [{"b": 1, "a": "x"}, {"b": 300, "a": "y"}],
        ),
        (
            [
                pl.Struct({"a": pl.Int64, "at": pl.Array(pl.Int8, 2)}),
                pl.Struct({"why": pl.String, "a": pl.Int64}),
            ],
            [{"a": 1, "at": [3, 4]}, {"why": "slow", "a": 2}],
            pl.Struct({"a": pl.Int64, "at": pl.List(pl.Int8), "why": pl.String}),
            [{"a": 1, "at": [3, 4], "why": None}, {"a": 2, "at": None, "why": "slow"}],
        ),
        (
            [pl.List(pl.Struct({"a": pl.Int64})), pl.List(pl.Struct({"b": pl.Boolean}))],
            [[{"a": 1}, None], [{"b": True}]],
            pl.List(pl.Struct({"a": pl.Int64, "b": pl.Boolean})),
            [[{"a": 1, "b": None}, None], [{"a": None, "b": True}]],
        ),
    ],
    ids=["a field of nulls", "another order", "fields that some lack", "in lists"],
)
def test_structs_of_several_shards_have_the_fields_of_all(
    tmp_path: Path, types: list[Any], cells: list[Any], together: Any, values: list[Any]
) -> None:
    """What an object of NDJSON holds differs from shard to shard of one solver."""
    shards = [
        put(tmp_path, vacua(1, fit=pl.Series([cell], dtype=dtype)), f"a{place}", h11=3, h12=2)
        for place, (dtype, cell) in enumerate(zip(types, cells, strict=True))
    ]

    asked = Filters(columns=("run_id", "fit"))
    for memory in (None, Memory(2)):
        rows = query(Catalog.read(shards), asked, memory=memory).rows.collect()

        assert rows.schema["fit"] == together
        assert rows.rows() == [("a0", values[0]), ("a1", values[1])]


def test_structs_clash_where_a_field_does(tmp_path: Path) -> None:
    shards = [
        put(tmp_path, vacua(1, fit=[{"a": value}]), run, h11=3, h12=2)
        for run, value in (("a", 1), ("b", "x"))
    ]

    path = "h12_2/h11_3/bucket_3/run_{}.parquet"
    assert refusal_of(shards) == (
        "column fit is Struct({'a': Int64}) in " + path.format("a") + " and "
        "Struct({'a': String}) in " + path.format("b")
    )


@pytest.mark.parametrize(
    ("types", "together"),
    [
        ([(3, 3), (18, 3)], pl.Decimal(18, 3)),
        ([(5, 2), (4, 3)], pl.Decimal(6, 3)),
        ([(38, 2), (2, 1)], pl.Decimal(38, 2)),
    ],
)
def test_decimals_of_several_lengths_are_those_that_hold_all_digits(
    tmp_path: Path, types: list[tuple[int, int]], together: pl.DataType
) -> None:
    """pandas gives each frame the fewest digits that its own values need."""
    shards = [
        put(
            tmp_path,
            vacua(1, charge=pl.Series([Decimal("-0.5")], dtype=pl.Decimal(*digits))),
            f"a{place}",
            h11=3,
            h12=2,
        )
        for place, digits in enumerate(types)
    ]

    rows = query(Catalog.read(shards), Filters(columns=("charge",))).rows.collect()

    assert rows.schema == {"charge": together}
    assert rows["charge"].to_list() == [Decimal("-0.5"), Decimal("-0.5")]


def test_decimals_that_no_38_digits_hold_clash(tmp_path: Path) -> None:
    shards = [
        put(
            tmp_path,
            vacua(1, charge=pl.Series([Decimal(0)], dtype=pl.Decimal(*digits))),
            run,
            h11=3,
            h12=2,
        )
        for run, digits in (("a", (38, 2)), ("b", (4, 3)))
    ]

    path = "h12_2/h11_3/bucket_3/run_{}.parquet"
    assert refusal_of(shards) == (
        "column charge is Decimal(precision=38, scale=2) in " + path.format("a") + " and "
        "Decimal(precision=4, scale=3) in " + path.format("b")
    )


@pytest.fixture
def clashing(tmp_path: Path) -> Catalog:
    """Two shards whose column `odd` no one type holds."""
    return Catalog.read(
        [
            put(tmp_path, vacua(1, odd="x"), "a", h11=3, h12=2),
            put(tmp_path, vacua(1, odd=[[1.0]]), "b", h11=3, h12=2),
        ]
    )


def clash_of(catalog: Catalog) -> str:
    one, other = catalog.rows["path_in_repo"]
    return f"column odd is String in {one} and List(Float64) in {other}"


@pytest.mark.parametrize(
    "asked",
    [{}, {"columns": ("odd",)}, {"columns": ("run_id",), "where": "odd = 'x'"}],
    ids=["all columns", "the column", "a condition on it"],
)
def test_types_that_clash_are_told_with_both_shards(
    clashing: Catalog, asked: dict[str, Any]
) -> None:
    with pytest.raises(ColumnClash) as refused:
        query(clashing, Filters(**asked))

    assert str(refused.value) == clash_of(clashing)
    assert refused.value.shards == tuple(clashing.rows["path_in_repo"])
    assert refused.value.types == (pl.String(), pl.List(pl.Float64()))


def test_a_clash_concerns_only_who_asks_for_that_column(clashing: Catalog) -> None:
    assert runs(ask(clashing, columns=("run_id",))) == "ab"
    assert runs(ask(clashing, columns=("run_id",), where="tau_im > 0", sort=("-run_id",))) == "ba"
    assert ask(clashing, run_id=("b",))["odd"].to_list() == [[1.0]]
    answer = query(clashing, Filters(), leave_out_clashes=True)
    assert list(answer.clashes) == ["odd"]
    assert answer.rows.select(pl.len()).collect().item() == 2


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SELECT run_id FROM vacua ORDER BY run_id DESC", [("b",), ("a",)]),
        ("SELECT COUNT(*) FROM vacua", [(2,)]),
        ("SELECT run_id, h11 FROM (SELECT * EXCLUDE (odd) FROM vacua)", [("a", 3), ("b", 3)]),
    ],
)
def test_sql_reads_around_a_clash(
    clashing: Catalog, statement: str, found: list[tuple[object, ...]]
) -> None:
    assert query_sql(clashing, Filters(), statement).rows.collect().rows() == found


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM vacua",
        "SELECT odd AS even FROM vacua",
        "SELECT run_id FROM vacua WHERE odd IS NOT NULL",
        "SELECT upper(odd) FROM vacua",
        "SELECT run_id FROM vacua WHERE odd[1] > 0",
    ],
)
def test_sql_that_asks_for_a_clash_is_told(clashing: Catalog, statement: str) -> None:
    with pytest.raises(ColumnClash) as refused:
        query_sql(clashing, Filters(), statement)

    assert str(refused.value) == clash_of(clashing)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "SELECT EXTRACT(year FROM run_id) FROM vacua",
            "sql: `year` operation not supported for dtype `str`, at character 16",
        ),
        (
            "SELECT STRPTIME('x', '%Y') AS t FROM vacua",
            'sql: conversion from `str` to `datetime[μs]` failed for 1 out of 1 values: ["x"]',
        ),
    ],
)
def test_sql_that_fails_without_rows_is_refused_beside_a_clash(
    clashing: Catalog, statement: str, sentence: str
) -> None:
    with pytest.raises(UsageError) as refused:
        query_sql(clashing, Filters(), statement)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("values", "joined"),
    [
        (([1], [0.5]), None),
        ((pl.Series([2**31 - 1], dtype=pl.Int32), [0.5]), pl.Float64()),
        ((pl.Series([255], dtype=pl.UInt8), pl.Series([-1], dtype=pl.Int8)), pl.Int16()),
        ((pl.Series([2**32 - 1], dtype=pl.UInt32), [-(2**63)]), pl.Int64()),
        ((pl.Series([2**64 - 1], dtype=pl.UInt64), [1]), None),
        (([True], [1]), None),
        (([[1.5]], pl.Series([[1, 2]], dtype=pl.Array(pl.Int16, 2))), pl.List(pl.Float64())),
    ],
)
def test_numbers_are_joined_where_none_is_changed(
    tmp_path: Path, values: tuple[Any, Any], joined: pl.DataType | None
) -> None:
    catalog = Catalog.read(
        put(tmp_path, vacua(1, odd=pl.Series(value)), run, h11=3, h12=2)
        for run, value in zip("ab", values, strict=True)
    )

    if joined is None:
        with pytest.raises(ColumnClash, match="column odd is"):
            ask(catalog)
    else:
        rows = ask(catalog)
        assert rows.schema["odd"] == joined
        assert rows["odd"].to_list() == [pl.Series(value).to_list()[0] for value in values]


def test_widths_and_nulls_of_an_extension_column_are_joined(tmp_path: Path) -> None:
    odd = [pl.Series([1], dtype=pl.Int8), pl.Series([2**40]), pl.Series([None], dtype=pl.Null)]
    lists = [[[1.5]], pl.Series([[2.5]], dtype=pl.List(pl.Float32)), [None]]
    catalog = Catalog.read(
        put(tmp_path, vacua(1, odd=narrow, lists=many), f"r{n}", h11=3, h12=2)
        for n, (narrow, many) in enumerate(zip(odd, lists, strict=True))
    )

    rows = ask(catalog)

    assert rows.select("odd", "lists").rows() == [(1, [1.5]), (2**40, [2.5]), (None, None)]
    assert rows.schema["odd"] == pl.Int64
    assert rows.schema["lists"] == pl.List(pl.Float64)
    assert runs(ask(catalog, where="odd > 1")) == "r1"


def test_arrays_that_a_shard_lacks_are_lists_as_their_nulls_would_take_their_room(
    tmp_path: Path,
) -> None:
    pairs = pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2))
    inside = pl.Series([{"pair": [1, 2]}, None], dtype=pl.Struct({"pair": pl.Array(pl.Int8, 2)}))
    with_them = put(tmp_path, vacua(2, pairs=pairs, inside=inside), "a", h11=3, h12=2)
    without = put(tmp_path, vacua(1), "b", h11=3, h12=2)

    alone = ask(Catalog.read([with_them])).select("pairs", "inside")
    both = ask(Catalog.read([with_them, without])).select("pairs", "inside")

    lists = pl.Schema(
        {"pairs": pl.List(pl.Float64), "inside": pl.Struct({"pair": pl.List(pl.Int8)})}
    )
    assert_frame_equal(alone, pl.DataFrame([pairs.alias("pairs"), inside.alias("inside")]))
    nulls = pl.DataFrame({"pairs": [None], "inside": [None]}, schema=lists)
    assert_frame_equal(both, pl.concat([alone.cast(lists), nulls]))


def rewritten(source: Source, change: Callable[[pa.Table], pa.Table]) -> Source:
    """The shard as another writer would have left it, its metadata kept."""
    table = pq.read_table(source.file)
    changed = change(table).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, source.file)
    return source


def recast(column: str, dtype: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(column)
        return table.set_column(place, column, table[column].cast(dtype))

    return change


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ("flux", pa.large_list(pa.int32())),
        ("flux", pa.list_(pa.int64())),
        ("tau_re", pa.float32()),
        ("run_id", pa.large_string()),
        ("run_id", pa.dictionary(pa.int32(), pa.string())),
        ("created_at", pa.timestamp("ns", "UTC")),
        ("h11", pa.int64()),
    ],
)
def test_shards_of_other_writers_come_in_our_types(
    tmp_path: Path, column: str, dtype: pa.DataType
) -> None:
    sources = [put(tmp_path, vacua(3), run, h11=3, h12=2) for run in "abc"]
    wanted = ask(Catalog.read(sources))
    rewritten(sources[1], recast(column, dtype))

    asked = query(Catalog.read(sources), Filters())

    assert_frame_equal(asked.rows.collect(), wanted)
    assert asked.bad == ()


def test_a_value_that_does_not_fit_our_type_makes_its_shard_bad(tmp_path: Path) -> None:
    sources = [put(tmp_path, vacua(1), run, h11=3, h12=2) for run in "abc"]
    large = pl.Series([[2**40]]).to_arrow()

    def change(table: pa.Table) -> pa.Table:
        return table.set_column(0, "flux", large.cast(pa.list_(pa.int64())))

    rewritten(sources[1], change)
    asked = query(Catalog.read(sources), Filters())

    assert runs(asked.rows.collect()) == "ac"
    assert [bad.path for bad in asked.bad] == [sources[1].file]


def test_sql_reads_the_table_of_vacua() -> None:
    statement = "SELECT h12, COUNT(*) AS n FROM vacua WHERE flux[1] > 0 GROUP BY h12 ORDER BY h12"

    found = run_sql(query(PEERS, Filters()).rows, statement).collect()

    counted = WHOLE.filter(pl.col("flux").list.first() > 0)["h12"].value_counts().sort("h12")
    assert found.rows() == counted.rows()


WHOLE_NUMBERS = (
    "LIMIT takes a whole number of at most 4294967295, OFFSET one of at most 9223372036854775807"
)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("SELEC 1", "sql: expected: an SQL statement, found: SELEC, at character 1"),
        (
            "SELECT 1 FROM vacuum",
            "sql: relation 'vacuum' was not found, at character 15; the table is vacua",
        ),
        (
            "SELECT flux[0] FROM vacua",
            "elements of lists count from 1: for flux[0] write flux[1]",
        ),
        (
            "SELECT 'DECIMAL(0)', tau_im::DECIMAL(50,2) FROM vacua",
            "sql: DECIMAL(50,2) is no type: a decimal has 1 to 38 digits, and no more than these "
            "behind its point, at character 30",
        ),
        (
            "SELECT array_get(flux, -9223372036854775808) FROM vacua",
            "elements count from 1, and from -1 at the end: there is none at -9223372036854775808",
        ),
        (
            "SELECT h11 AS x, h12 AS x FROM vacua",
            "sql: projections contained duplicate output name 'x', at character 15",
        ),
        *(
            (f"SELECT h11 FROM vacua {end}", f"sql: {WHOLE_NUMBERS}, at character 23")
            for end in (
                "LIMIT 99999999999999999999",
                "LIMIT 4294967296 OFFSET 0",
                "OFFSET 9223372036854775808",
                "limit -1",
                "LIMIT 1.5",
                "OFFSET tau_im",
            )
        ),
        (
            "SELECT v.h11 FROM vacua v JOIN vacua w",
            "sql: JOIN needs ON or USING, at character 27",
        ),
        *(
            (
                f"SELECT h11 FROM vacua {clause} UNNEST(flux) = 1",
                "sql: unnest makes several rows of one, at character "
                f"{24 + len(clause)}; for any element write array_contains(flux, x)",
            )
            for clause in ("WHERE tau_im > 2 OR", "ORDER BY")
        ),
        *(
            (
                f"SELECT '{name}(' AS x, {name}() AS y FROM vacua",
                f"sql: {name} takes at least one argument, at character {18 + len(name)}",
            )
            for name in ("coalesce", "GREATEST", "least")
        ),
        (
            "SELECT * FROM read_parquet('/nowhere/x.parquet')",
            "sql: No such file or directory (os error 2): /nowhere/x.parquet",
        ),
        ("DESCRIBE vacua", "sql: shards are only read, as by SELECT"),
        ("SET x = 1", "sql: shards are only read, as by SELECT"),
        (
            "SELECT run_id SIMILAR TO 'a%' FROM vacua",
            "sql: SIMILAR TO is not supported, at character 15",
        ),
        ("SELECT run_id COLLATE x FROM vacua", "sql: COLLATE is not supported, at character 15"),
        (
            "SELECT run_id FROM vacua WHERE extra_data ->> 'x' = 'y'",
            "sql: -> and ->> take a text or a number; "
            "to compare what they find write (a ->> 'x') = 1",
        ),
        ("SELECT 5 div 2 FROM vacua", "sql: no infix parser for div, at character 10"),
        ("SELECT is_susy.b FROM vacua", "sql: there is no field 'b', at character 16"),
    ],
)
def test_sql_that_is_none_is_refused(statement: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        run_sql(query(PEERS, Filters()).rows, statement)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        *(
            (condition, f"character {34 + len(condition)}")
            for condition in (
                "run_id <> 'a\"b'",
                "run_id NOT LIKE '%\"%'",
                "run_id <> 'a\\'",
                "/* it's */ run_id <> 'it''s \"'",
            )
        ),
        ("run_id <> 'a\nb'", "line 2, character 8"),
    ],
)
def test_no_text_hides_that_sql_chooses_by_unnest(condition: str, place: str) -> None:
    statement = f"SELECT h11 FROM vacua WHERE {condition} AND UNNEST(flux) = 1"
    with pytest.raises(UsageError) as refused:
        run_sql(query(PEERS, Filters()).rows, statement)
    assert str(refused.value) == (
        f"sql: unnest makes several rows of one, at {place}; "
        "for any element write array_contains(flux, x)"
    )


def test_sql_may_choose_among_the_rows_that_unnest_makes() -> None:
    unnested = "SELECT UNNEST(flux) AS n, '.explode(' AS t FROM vacua"
    statement = f"SELECT n FROM ({unnested}) WHERE n > 5 AND t = '.explode(' ORDER BY n"

    found = run_sql(query(PEERS, Filters()).rows, statement).collect()

    assert found["n"].to_list() == sorted(n for flux in WHOLE["flux"] for n in flux if n > 5)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT tauim FROM vacua", "'tauim', at character 8: did you mean tau_im? columns are {}"),
        (
            "SELECT v.tauim FROM vacua v",
            "'tauim', at character 10: did you mean tau_im? columns are {}",
        ),
        (
            "WITH t AS (SELECT tau_im AS h11 FROM vacua) SELECT h12 FROM t",
            "'h12', at character 52: did you mean h11? columns are h11",
        ),
        (
            'SELECT "say ""x\\y""" FROM vacua',
            "'say \"x\\\\y\"', at character 8: columns are {}",
        ),
        (
            'SELECT "e\u0301\n2" FROM (SELECT h11 AS "e\u0301\t""1" FROM vacua) t',
            "'e\u0301\\n2', at line 1, character 8: columns are e\u0301\t\"1",
        ),
        ('SELECT "" FROM vacua', "'', at character 8: columns are {}"),
    ],
)
def test_sql_that_names_no_column_is_told_the_nearest(statement: str, said: str) -> None:
    rows = query(PEERS, Filters()).rows
    with pytest.raises(UsageError) as refused:
        run_sql(rows, statement)
    columns = ", ".join(rows.collect_schema())
    assert str(refused.value) == f"there is no column {said.format(columns)}"


@pytest.mark.parametrize(
    ("where", "looks_around"),
    [
        *((f"tau_im > {name}(tau_im)", True) for name in ("max", "min", "avg", "sum", "median")),
        *((f"{name}(tau_im) > 0", True) for name in ("stddev", "variance", "first", "last")),
        *((f"tau_im > {name}(tau_im, 0.9)", True) for name in ("quantile_cont", "quantile_disc")),
        *((f"{name}(tau_re, tau_im) > 0", True) for name in ("corr", "covar_pop", "covar_samp")),
        ("count(*) > 3", True),
        ("count(DISTINCT h11) > 3", True),
        ("tau_im > avg(tau_im) OVER (PARTITION BY h12)", True),
        ("row_number() OVER (ORDER BY tau_im) < 5", True),
        ("flux[1] = 3 AND abs(tau_im) > 2 AND NOT (h12 IN (1, 2) OR run_id LIKE '%max(1)')", False),
        ('"Len" = 3 AND "Agg" > 1', False),
        ("solver_name = 'Len' AND extra.Len > 1", False),
        ("array_length(flux) = 12 AND CASE WHEN h12 > 1 THEN tau_im ELSE tau_re END > 1", False),
    ],
)
def test_conditions_on_all_rows_are_known(where: str, looks_around: bool) -> None:
    assert Filters(where=where).looks_around is looks_around
    assert Filters(where=("h12 = 2", where)).looks_around is looks_around
