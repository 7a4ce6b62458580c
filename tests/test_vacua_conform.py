"""Validation: every fault with its column, row, value and words, and all faults at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from tests.vacua_support import GEOMETRY, NOW, Found, prepared, problems, rows
from vulcan_cli.vacua.geometry import Geometry
from vulcan_cli.vacua.schema import DTYPES

NAN, INF = float("nan"), float("inf")
INT32 = "must be an integer from -2147483648 to 2147483647"
INT64 = "must be an integer from -9223372036854775808 to 9223372036854775807"
FLOAT = "must be a number within the range of a 64-bit float"
FLUX = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
TOKEN = "hf_" + "x" * 20
LIKE_MOST = "must have {} entries, as the others of geometry " + str(GEOMETRY)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        # Missing columns
        ({"flux": None}, [("flux", None, None, "required column is missing")]),
        ({"moduli_im": None}, [("moduli_im", None, None, "required column is missing")]),
        ({"tau_re": None}, [("tau_re", None, None, "required column is missing")]),
        (
            {"tau_re": None, "Tau re": [1.0, 2.0]},
            [("tau_re", None, None, "required column is missing; there is 'Tau re'")],
        ),
        (
            {"tau_re": None, "tau_im": None, "tau": ["(1+2j)", "(1+3j)"]},
            [
                ("tau_re", None, None, "required column is missing; it is the real part of 'tau'"),
                (
                    "tau_im",
                    None,
                    None,
                    "required column is missing; it is the imaginary part of 'tau'",
                ),
            ],
        ),
        (
            {"tadpole_charge": None},
            [
                (
                    "tadpole_charge",
                    None,
                    None,
                    "required column is missing, and no value is given for all",
                )
            ],
        ),
        # Nulls
        ({"flux": [FLUX, None]}, [("flux", 2, "nothing", "must not be null")]),
        ({"moduli_re": [None, [1.0, 2.0]]}, [("moduli_re", 1, "nothing", "must not be null")]),
        ({"tau_re": [None, 1.0]}, [("tau_re", 1, "nothing", "must not be null")]),
        ({"tadpole_charge": [1, None]}, [("tadpole_charge", 2, "nothing", "must not be null")]),
        ({"created_at": [NOW, None]}, [("created_at", 2, "nothing", "must not be null")]),
        ({"flux": [FLUX, [*FLUX[:11], None]]}, [("flux", 2, "nothing", "must not hold null")]),
        (
            {"flux": [None, None]},
            [("flux", row, "nothing", "must not be null") for row in (1, 2)],
        ),
        # NaN and infinities
        ({"tau_re": [NAN, 1.0]}, [("tau_re", 1, "nan", "must be finite")]),
        ({"tau_im": [1.0, NAN]}, [("tau_im", 2, "nan", "must be finite")]),
        ({"tau_im": [1.0, -INF]}, [("tau_im", 2, "-inf", "must be finite")]),
        ({"moduli_im": [[1.0, INF], [1.0, 2.0]]}, [("moduli_im", 1, "inf", "must be finite")]),
        ({"tau_re": ["1", "nan"]}, [("tau_re", 2, "nan", "must be finite")]),
        # tau_im
        (
            {"tau_im": [0.0, -1.5]},
            [("tau_im", 1, "0.0", "must be positive"), ("tau_im", 2, "-1.5", "must be positive")],
        ),
        ({"tau_im": ["1", "-0.0"]}, [("tau_im", 2, "-0.0", "must be positive")]),
        # Flux that is no integer, or too large
        ({"flux": [[1.5, *FLUX[1:]], [2.0] * 12]}, [("flux", 1, "1.5", INT32)]),
        ({"flux": [FLUX, [2**31, *FLUX[1:]]]}, [("flux", 2, "2147483648", INT32)]),
        ({"flux": [FLUX, [-(2**31) - 1, *FLUX[1:]]]}, [("flux", 2, "-2147483649", INT32)]),
        ({"flux": [[NAN] + [1.0] * 11, [1.0] * 12]}, [("flux", 1, "nan", INT32)]),
        ({"flux": [str(FLUX), "[1.5" + ", 2" * 11 + "]"]}, [("flux", 2, "1.5", INT32)]),
        ({"flux": ["[1" + ", 2" * 11, str(FLUX)]}, [("flux", 1, "[1", INT32)]),
        # Lists that are empty or ragged
        (
            {"flux": [FLUX, []]},
            [
                ("flux", 2, "[]", "must not be empty"),
                ("flux", 2, "[]", LIKE_MOST.format(12)),
            ],
        ),
        ({"flux": [FLUX, FLUX[:8]]}, [("flux", 2, str(FLUX[:8]), LIKE_MOST.format(12))]),
        (
            {"moduli_re": [[0.5, 0.5], [0.5]], "moduli_im": [[1.0, 1.0], [1.0]]},
            [("moduli_re", 2, "[0.5]", LIKE_MOST.format(2))],
        ),
        (
            {"moduli_im": [[1.0, 1.0], [1.0]]},
            [("moduli_im", 2, "[1.0]", "must have as many entries as moduli_re")],
        ),
        # Types that cannot be cast without loss
        ({"tau_re": ["0.5", "half"]}, [("tau_re", 2, "half", FLOAT)]),
        ({"tau_re": ["", "0.5"]}, [("tau_re", 1, "nothing", FLOAT)]),
        ({"tau_re": [True, False]}, [("tau_re", None, None, f"{FLOAT}, not Boolean")]),
        ({"tau_re": [2**53 + 1, 5]}, [
            ("tau_re", 1, "9007199254740993", "must be exact as a 64-bit float")
        ]),
        ({"flux": [1, 2]}, [("flux", None, None, "must be numbers in a list, not Int64")]),
        ({"flux": [[True], [False]]}, [
            ("flux", None, None, f"{INT32} in a list, not List(Boolean)")
        ]),
        ({"tadpole_charge": [1.5, 2.0]}, [("tadpole_charge", 1, "1.5", INT32)]),
        ({"tadpole_charge": ["7", "2147483648"]}, [("tadpole_charge", 2, "2147483648", INT32)]),
        ({"n_iterations": [2**40, 1]}, [("n_iterations", 1, "1099511627776", INT32)]),
        ({"seed": ["9223372036854775808", "1"]}, [("seed", 1, "9223372036854775808", INT64)]),
        ({"seed": pl.Series([2**63, 1], dtype=pl.UInt64)}, [("seed", 1, str(2**63), INT64)]),
        ({"is_susy": ["yes", "true"]}, [("is_susy", 1, "yes", "must be true or false")]),
        ({"is_susy": [2, 1]}, [("is_susy", 1, "2", "must be true or false")]),
        ({"solver_name": [1.5, 2.5]}, [("solver_name", None, None, "must be text, not Float64")]),
        ({"wall_clock_s": [1e39, 1.0]}, [
            ("wall_clock_s", 1, "1e+39", "must be a number within the range of a 32-bit float")
        ]),
        ({"mass2": [["x"], ["1.5"]]}, [("mass2", 1, "x", FLOAT)]),
        ({"created_at": ["2026-06-01T12:34:56Z", "now"]}, [
            ("created_at", 2, "now", "must be a time such as 2026-06-01T12:34:56Z")
        ]),
        ({"created_at": pl.Series([1, 2000]).cast(pl.Datetime("ns"))}, [
            ("created_at", 1, "1970-01-01 00:00:00.000000",
             "must be a whole number of microseconds, in the years 1 to 9999")
        ]),
        ({"created_at": pl.Series([2**60, 0]).cast(pl.Datetime("us", "UTC"))}, [
            ("created_at", 1, "+38504-08-17 21:30:06.846976+00:00",
             "must be a whole number of microseconds, in the years 1 to 9999")
        ]),
        ({"cert_status": ["certified", "sure"]}, [
            ("cert_status", 2, "sure", "must be one of certified, provisional, invalidated")
        ]),
        # Columns that no shard can hold
        ({"big": pl.Series([1, 2], dtype=pl.Int128)}, [
            ("big", None, None, "Int128 has no place in a shard")
        ]),
        ({"bigs": pl.Series([[1], [2]], dtype=pl.List(pl.Int128))}, [
            ("bigs", None, None, "Int128 has no place in a shard")
        ]),
        ({"things": pl.Series([object(), object()], dtype=pl.Object)}, [
            ("things", None, None, "Object has no place in a shard")
        ]),
        ({"nothing": pl.Series([{}, {}], dtype=pl.Struct([]))}, [
            ("nothing", None, None, "Struct({}) has no place in a shard")
        ]),
        ({"": [1, 2]}, [(None, None, None, "column 7 has no name; an index is best left out")]),
        ({" \t": [1, 2]}, [(None, None, None, "column 7 has no name; an index is best left out")]),
        ({"*": [1, 2]}, [
            ("*", None, None, "'*' is a pattern for names, no name of a column or field")
        ]),
        ({"^flux$": [1, 2]}, [
            ("^flux$", None, None, "'^flux$' is a pattern for names, no name of a column or field")
        ]),
        ({"pairs": [[{"^.*$": 1}], None]}, [
            ("pairs", None, None, "'^.*$' is a pattern for names, no name of a column or field")
        ]),
        # Tokens
        ({"tags": ["a", f"see {TOKEN}"]}, [("tags", None, None, "holds what looks like a token")]),
        ({"words": [[["a"]], [["b", TOKEN]]]}, [
            ("words", None, None, "holds what looks like a token")
        ]),
        ({"pair": [{"a": {"b": TOKEN}}, None]}, [
            ("pair", None, None, "holds what looks like a token")
        ]),
        ({"pair": [{"a": {TOKEN: 1}}, None]}, [
            ("pair", None, None, "holds what looks like a token")
        ]),
        ({"bytes": [TOKEN.encode() + b"\xff", None]}, [
            ("bytes", None, None, "holds what looks like a token")
        ]),
        ({"kinds": pl.Series([TOKEN, "a"], dtype=pl.Categorical)}, [
            ("kinds", None, None, "holds what looks like a token")
        ]),
        ({"url": ["https://me:pass@host/x", "b"]}, [
            ("url", None, None, "holds what looks like a token")
        ]),
        ({TOKEN: [1, 2]}, [(None, None, None, "a column's name looks like a token")]),
        ({"tau_re": [TOKEN, "1"]}, [("tau_re", 1, "[hidden]", FLOAT)]),
    ],
)  # fmt: skip
def test_each_fault_is_named(columns: dict[str, Any], found: list[Found]) -> None:
    assert problems(rows(**columns)) == found


@pytest.mark.parametrize("n_rows", [0, 1])
def test_an_empty_input(n_rows: int) -> None:
    empty = rows().head(n_rows).clear()
    assert problems(empty) == [(None, None, None, "the input has no rows")]
    assert problems(empty, geometry=None)[0] == (None, None, None, "the input has no rows")
    missing = [(name, None, None, "required column is missing") for name in list(DTYPES)[:5]]
    assert problems(pl.DataFrame(), tadpole_charge=3) == [
        (None, None, None, "the input has no rows"),
        *missing,
    ]


def test_all_faults_at_once_in_the_order_of_the_columns() -> None:
    frame = rows(
        3,
        flux=[[1.0, 2.5], None, [3.0, 4.0]],
        moduli_re=[[1.0], [NAN], []],
        moduli_im=None,
        tau_im=["1", "x", "-2"],
        tadpole_charge=None,
        h12=[2, 2, -5],
        tags=["", TOKEN, ""],
    )
    found = problems(
        frame,
        geometry=None,
        solver={"name": {1, 2}},
        provenance={"seed": "4.5", "wall_clock_s": "fast", "note": TOKEN},
        project=TOKEN,
    )
    assert found == [
        (
            None,
            None,
            None,
            "provenance seed must be an integer from -9223372036854775808 to "
            "9223372036854775807, not '4.5'",
        ),
        (None, None, None, "provenance wall_clock_s must be a finite number, not 'fast'"),
        (
            None,
            None,
            None,
            "solver cannot be written as JSON: Object of type set is not JSON serializable",
        ),
        (None, None, None, "provenance holds what looks like a token"),
        (None, None, None, "the run id, its template or a value for it looks like a token"),
        ("moduli_im", None, None, "required column is missing"),
        (
            "tadpole_charge",
            None,
            None,
            "required column is missing, and no value is given for all",
        ),
        ("flux", 2, "nothing", "must not be null"),
        ("flux", 1, "2.5", INT32),
        ("moduli_re", 3, "[]", "must not be empty"),
        ("moduli_re", 2, "nan", "must be finite"),
        ("tau_im", 2, "x", FLOAT),
        ("tau_im", 3, "-2", "must be positive"),
        ("tags", None, None, "holds what looks like a token"),
        ("h12", 3, "-5", "must be from -1 to 2147483647"),
    ]


def test_many_rows_with_one_fault_are_counted() -> None:
    found = problems(rows(50, tau_im=[-1.0] * 50))
    named = [("tau_im", row, "-1.0", "must be positive") for row in range(1, 21)]
    more: Found = ("tau_im", None, None, "must be positive: 30 more rows like these")
    assert found == [*named, more]


def test_a_long_value_is_cut_and_a_token_in_it_hidden_first() -> None:
    assert problems(rows(tau_re=["x" * 61, "y" * 60])) == [
        ("tau_re", 1, "x" * 59 + "…", FLOAT),
        ("tau_re", 2, "y" * 60, FLOAT),
    ]
    assert problems(rows(tau_re=["1", "y" * 50 + TOKEN])) == [
        ("tau_re", 2, "y" * 50 + "[hidden]", FLOAT)
    ]


# Geometry columns


def test_h21_without_h12_would_be_another_geometry() -> None:
    cytools = rows(h11=[3, 3], h21=[2, 2])
    message = "is h12 here, in the mirror convention; rename it, or give the geometry"
    assert problems(cytools, geometry=None) == [("h21", None, None, message)]
    (given,) = prepared(cytools).shards
    (both,) = prepared(rows(h11=[3, 3], h21=[2, 2], h12=[2, 2]), geometry=None).shards
    assert given.frame["h21"].to_list() == both.frame["h21"].to_list() == [2, 2]
    assert both.geometry == Geometry(h11=3, h12=2)


def test_neither_geometry_nor_columns() -> None:
    message = "there is no geometry: give one, or columns out of "
    message += "h11, h12, ks_id, triang_id, conifold_id, cicy_id"
    assert problems(rows(), geometry=None) == [(None, None, None, message)]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"h11": [-1, None]}, [
            ("h11", 1, "-1", "must be present, or another key of the geometry"),
            ("h11", 2, "nothing", "must be present, or another key of the geometry"),
        ]),
        ({"h11": [3, -2]}, [("h11", 2, "-2", "must be from -1 to 2147483647")]),
        ({"h11": [3, 2**31]}, [("h11", 2, "2147483648", INT32)]),
        ({"h11": [3.0, 2.5]}, [("h11", 2, "2.5", INT32)]),
        ({"h11": ["3", "three"]}, [("h11", 2, "three", INT32)]),
        ({"h11": [True, False]}, [("h11", None, None, f"{INT32}, not Boolean")]),
        ({"h11": [-1, 3], "tau_im": [0.0, 1.0]}, [
            ("tau_im", 1, "0.0", "must be positive"),
            ("h11", 1, "-1", "must be present, or another key of the geometry"),
        ]),
    ],
)  # fmt: skip
def test_bad_geometry_columns(columns: dict[str, Any], found: list[Found]) -> None:
    assert problems(rows(**columns), geometry=None) == found


def test_geometry_columns_as_text_and_null_for_absent() -> None:
    frame = rows(h11=["272", " 272 "], h12=[2.0, 2.0], ks_id=[None, None], cicy_id=[-1, None])
    (shard,) = prepared(frame, geometry=None).shards
    assert shard.geometry == Geometry(h11=272, h12=2)
    assert shard.frame["ks_id"].to_list() == [-1, -1]


def test_the_geometry_given_replaces_all_six_columns() -> None:
    frame = rows(h11=["bad", None], h12=[5, 6], conifold_id=[7, 7], cicy_id=[-9, 2**40])
    (shard,) = prepared(frame, geometry=Geometry(h11=272, h12=2)).shards
    keys = shard.frame.select("h11", "h12", "ks_id", "triang_id", "conifold_id", "cicy_id")
    assert keys.rows() == [(272, 2, -1, -1, -1, -1)] * 2


# Lengths that are odd


def test_lengths_that_h12_does_not_call_for_are_doubted_or_refused() -> None:
    frame = rows(flux=[[1, 2], [3, 4]], moduli_re=[[1.0]] * 2, moduli_im=[[1.0]] * 2)
    doubts = [
        ("flux", None, None, "has 2 entries where h12=2 calls for 12"),
        ("moduli_re", None, None, "has 1 entries where h12=2 calls for 2"),
        ("moduli_im", None, None, "has 1 entries where h12=2 calls for 2"),
    ]
    found = prepared(frame).doubts
    assert [(doubt.column, doubt.row, doubt.value, doubt.message) for doubt in found] == doubts
    assert problems(frame, strict=True) == doubts
    assert prepared(frame, geometry=Geometry(h11=5), strict=True).doubts == ()
    assert prepared(rows(), strict=True).doubts == ()


# Geometries that are not those of the columns


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"h12": [3, 3]}, [("h12", "says 3 where the geometry given says 2")]),
        ({"h12": [2, 3]}, [("h12", "says 3 where the geometry given says 2")]),
        ({"h12": [3, None]}, [("h12", "says 3 where the geometry given says 2")]),
        ({"h12": ["3", "2"]}, [("h12", "says 3 where the geometry given says 2")]),
        ({"h12": [3.0, 2.0]}, [("h12", "says 3 where the geometry given says 2")]),
        ({"h12": [2.0, 1.5]}, [("h12", "says 1.5 where the geometry given says 2")]),
        ({"h12": ["2", "two"]}, [("h12", "says two where the geometry given says 2")]),
        ({"h12": [2, 2**40]}, [("h12", "says 1099511627776 where the geometry given says 2")]),
        ({"h12": [None, True]}, [("h12", "says True where the geometry given says 2")]),
        ({"h12": [" ", "2"]}, []),
        ({"cicy_id": [0, 0]}, [("cicy_id", "says 0 where the geometry given has none")]),
        (
            {"triang_id": [-1, 7], "h11": [272, 273]},
            [
                ("h11", "says 273 where the geometry given says 272"),
                ("triang_id", "says 7 where the geometry given says 0"),
            ],
        ),
        ({"h11": [272, 272], "h12": ["2", "2"], "ks_id": [1.0, None], "cicy_id": [-1, -1]}, []),
        ({"ks_id": [None, None], "triang_id": ["", "-1"], "h12": [2, -1]}, []),
        ({"h12": [[3], [3]]}, [("h12", "says [3] where the geometry given says 2")]),
    ],
)
def test_columns_that_say_another_geometry_are_doubted_or_refused(
    columns: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    doubts = prepared(rows(**columns)).doubts
    assert [(doubt.column, doubt.message) for doubt in doubts] == found
    assert {(doubt.row, doubt.value) for doubt in doubts} <= {(None, None)}
    if found:
        refused = [(name, None, None, message) for name, message in found]
        assert problems(rows(**columns), strict=True) == refused
    else:
        assert prepared(rows(**columns), strict=True).doubts == ()


# Lengths of several geometries


def test_lengths_are_compared_within_a_geometry() -> None:
    frame = rows(
        4,
        flux=[[1] * 12, [1] * 8, [1] * 12, [1] * 7],
        moduli_re=[[1.0] * 2, [1.0], [1.0] * 2, [1.0]],
        moduli_im=[[1.0] * 2, [1.0], [1.0] * 2, [1.0]],
        h12=[2, 1, 2, 1],
    )
    message = "must have 8 entries, as the others of geometry h12=1"
    assert problems(frame, geometry=None) == [("flux", 4, "[1, 1, 1, 1, 1, 1, 1]", message)]


def test_the_length_of_most_rows_counts_and_not_that_of_the_first() -> None:
    frame = rows(3, flux=[[*FLUX, 13], FLUX, FLUX])
    refused = ("flux", 1, str([*FLUX, 13]), LIKE_MOST.format(12))
    assert problems(frame) == [refused]
    assert problems(frame, strict=True) == [refused]


@pytest.mark.parametrize("n", [1, 2])
def test_of_lengths_as_many_rows_have_the_one_that_h12_calls_for_counts(n: int) -> None:
    frame = rows(2 * n, flux=[FLUX[:8]] * n + [FLUX] * n)
    unlike = LIKE_MOST.format(12)
    refused = [("flux", at, str(FLUX[:8]), unlike) for at in range(1, n + 1)]
    assert problems(frame) == refused
    assert problems(frame, strict=True) == refused
    neither = rows(2, flux=[FLUX[:4], FLUX[:8]])
    assert problems(neither) == [("flux", 2, str(FLUX[:8]), LIKE_MOST.format(4))]


# What comes out


def test_columns_come_in_their_order_with_their_types() -> None:
    frame = rows(
        note=["b", "a"],
        seed=["5", None],
        wall_clock_s=[0.1, None],
        created_at=["2026-06-01T12:34:56Z", "2026-06-01 12:34:56"],
        mass2=["[]", None],
        kind=pl.Series(["x", None], dtype=pl.Categorical),
        kinds=pl.Series([["x"], None], dtype=pl.List(pl.Categorical)),
        is_susy=[1, None],
    )
    (shard,) = prepared(frame.select(sorted(frame.columns))).shards
    known = [*list(DTYPES)[:15], "mass2", "is_susy", "seed", "wall_clock_s"]
    foreign = {"kind": pl.String(), "kinds": pl.List(pl.String), "note": pl.String()}
    assert dict(shard.frame.schema) == {name: DTYPES[name] for name in known} | foreign
    time = datetime(2026, 6, 1, 12, 34, 56, tzinfo=UTC)
    assert shard.frame["created_at"].to_list() == [time, time]
    assert shard.frame["wall_clock_s"].to_list() == [0.10000000149011612, None]
    assert shard.frame["mass2"].to_list() == [[], None]
    assert shard.frame["is_susy"].to_list() == [True, None]


def test_optional_columns_may_be_all_null_and_hold_what_is_not_finite() -> None:
    frame = rows(g_s=[NAN, INF], mass2=[[NAN, None], []], git_sha=[None, None])
    (shard,) = prepared(frame).shards
    assert str(shard.frame["g_s"].to_list()) == "[nan, inf]"
    assert str(shard.frame["mass2"].to_list()) == "[[nan, None], []]"
    assert (shard.frame.schema["git_sha"], shard.frame["git_sha"].null_count()) == (pl.String(), 2)


def test_thousands_of_columns() -> None:
    frame = rows().with_columns(pl.lit(n).alias(f"c{n}") for n in range(3_000))
    assert prepared(frame).shards[0].frame.width == 15 + 3_000


# Numbers of other languages


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda number: f"{number:.3E}".replace("E", "D"), id="fortran"),
        pytest.param(lambda number: f"{number:.3e}".replace("e", "*^"), id="mathematica"),
        pytest.param(lambda number: f"np.float64({number})", id="numpy"),
    ],
)
def test_numbers_as_other_languages_write_them(spell: Callable[[float], str]) -> None:
    numbers = [-0.0125, 1250.0]
    told = [spell(number) for number in numbers]
    (shard,) = prepared(
        rows(
            flux=["[" + ", ".join(map(spell, range(12))) + "]"] * 2,
            moduli_re=["{" + ", ".join(told) + "}"] * 2,
            moduli_im=[told] * 2,
            tau_re=told,
        )
    ).shards
    assert shard.frame["flux"].to_list() == [list(range(12))] * 2
    assert shard.frame["moduli_re"].to_list() == [numbers] * 2
    assert shard.frame["moduli_im"].to_list() == [numbers] * 2
    assert shard.frame["tau_re"].to_list() == numbers


def test_a_d_without_a_point_is_no_exponent() -> None:
    assert problems(rows(tau_re=["1d5", "2"], seed=["12d3", "7"])) == [
        ("tau_re", 1, "1d5", FLOAT),
        ("seed", 1, "12d3", INT64),
    ]
