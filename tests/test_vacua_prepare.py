"""From an input to shards: split by geometry, named by content, described as people said."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import vacua
from tests.vacua_support import GEOMETRY, NOW, REAL, Found, prepared, problems, rows
from vulcan_cli.errors import MissingTemplateValue, TemplateError, UsageError
from vulcan_cli.vacua.geometry import KEYS, Geometry
from vulcan_cli.vacua.prepare import Run, prepare
from vulcan_cli.vacua.schema import IDENTITY

TOKEN = "hf_" + "x" * 20


def run_id(frame: pl.DataFrame | None = None, **run: Any) -> str:
    (shard,) = prepared(rows() if frame is None else frame, **run).shards
    return shard.run_id


# One shard for each geometry


def several() -> pl.DataFrame:
    return rows(6, h12=[2, 3, 2, 3, 2, 5], h11=[1, 1, 1, 1, 7, 1], note=list("abcdef"))


def test_one_shard_for_each_geometry_in_order_of_appearance() -> None:
    shards = prepared(several(), geometry=None).shards
    assert [(shard.geometry, "".join(shard.frame["note"])) for shard in shards] == [
        (Geometry(h11=1, h12=2), "ac"),
        (Geometry(h11=1, h12=3), "bd"),
        (Geometry(h11=7, h12=2), "e"),
        (Geometry(h11=1, h12=5), "f"),
    ]
    for shard in shards:
        identity = shard.frame.select(IDENTITY).unique().rows()
        geometry = shard.geometry
        assert identity == [(shard.run_id, geometry.geometry_id, *geometry.as_dict().values())]
        assert shard.provenance == {
            "schema_version": 1,
            "run_id": shard.run_id,
            "geometry": geometry.as_dict(),
            "solver": {},
            "provenance": {},
            "n_rows": shard.n_rows,
        }


@given(vacua(max_rows=8), st.data())
def test_no_row_is_lost_or_moved(frame: pl.DataFrame, data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.integers(0, 2), min_size=frame.height, max_size=frame.height))
    most = data.draw(st.none() | st.integers(1, 3))
    numbered = frame.with_columns(h11=pl.Series(keys), number=pl.int_range(pl.len()))
    shards = prepared(numbered, geometry=None, max_rows=most).shards
    found = [(shard.geometry.h11, *shard.frame["number"]) for shard in shards]
    wanted = []
    for key in dict.fromkeys(keys):
        of_key = [number for number, other in enumerate(keys) if other == key]
        step = most or len(of_key)
        wanted += [(key, *of_key[at : at + step]) for at in range(0, len(of_key), step)]
    assert found == wanted


def test_a_shard_of_one_geometry_is_that_of_its_rows_alone() -> None:
    together = prepared(several(), geometry=None).shards
    alone = [
        prepare(several()[places], Run(geometry=shard.geometry), now=NOW).shards[0]
        for shard, places in zip(together, ([0, 2], [1, 3], [4], [5]), strict=True)
    ]
    assert [shard.digest for shard in together] == [shard.digest for shard in alone]


def test_row_numbers_in_problems_are_those_of_the_input() -> None:
    frame = several().with_columns(tau_im=pl.Series([1.0, 1.0, -1.0, 1.0, 1.0, 0.0]))
    ragged = pl.Series([[1] * 12, [1] * 16, [1] * 12, [1] * 15, [1] * 12, [1] * 24])
    assert problems(frame.with_columns(flux=ragged), geometry=None) == [
        ("tau_im", 3, "-1.0", "must be positive"),
        ("tau_im", 6, "0.0", "must be positive"),
        ("flux", 4, str([1] * 15), "must have 16 entries, as the others of geometry h11=1,h12=3"),
    ]


def test_strictness_is_told_for_each_geometry() -> None:
    frame = rows(2, h12=[1, 3])
    found: list[Found] = [
        ("flux", None, None, "has 12 entries where h12=1 calls for 8"),
        ("moduli_re", None, None, "has 2 entries where h12=1 calls for 1"),
        ("moduli_im", None, None, "has 2 entries where h12=1 calls for 1"),
        ("flux", None, None, "has 12 entries where h12=3 calls for 16"),
        ("moduli_re", None, None, "has 2 entries where h12=3 calls for 3"),
        ("moduli_im", None, None, "has 2 entries where h12=3 calls for 3"),
    ]
    assert problems(frame, geometry=None, strict=True) == found
    doubts = prepared(frame, geometry=None).doubts
    assert [(doubt.column, doubt.row, doubt.value, doubt.message) for doubt in doubts] == found


# Cut by rows


def test_max_rows_cuts_and_each_piece_has_its_own_name() -> None:
    shards = prepared(rows(5), max_rows=2).shards
    assert [shard.frame["flux"].list.first().to_list() for shard in shards] == [[0, 1], [2, 3], [4]]
    assert len({shard.path_in_repo for shard in shards}) == 3
    assert [shard.n_rows for shard in prepared(rows(5), max_rows=5).shards] == [5]


@pytest.mark.parametrize("most", [0, -1])
def test_a_shard_has_at_least_one_row(most: int) -> None:
    with pytest.raises(UsageError) as error:
        prepared(rows(), max_rows=most)
    assert str(error.value) == f"a shard has at least one row, not {most}"


# Run ids


def test_the_default_run_id_ends_in_the_content() -> None:
    shard = prepared(rows(), provenance={"seed": 5}).shards[0]
    start = "2026-11-24-010203_na_h11-272_h12-2_ks-1_triang-0_seed-5_"
    assert shard.run_id == start + shard.digest[:16]


def test_the_date_is_that_of_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-8)))
    here, there = (prepare(rows(), Run(geometry=GEOMETRY), now=now) for now in (NOW, elsewhere))
    assert here.shards[0].run_id == there.shards[0].run_id
    assert there.shards[0].frame["created_at"].to_list() == [NOW, NOW]


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("fixed", "fixed_{d}"),
        ("{digest}", "{d}"),
        ("a-{digest}-b", "a-{d}-b"),
        ("{digest:.4}", "{d:.4}_{d}"),
        ("{digest!r:.5}x", None),
        ("{solver}-{seed}-{project}", "newton-7-forge_{d}"),
        ("{solver?}-{cicy_id}-{conifold_id?}-{h12}", "newton-na-na-2_{d}"),
        ("{extra}", "more_{d}"),
        ("{seed:>4}", None),
        ("{nobody?}", "na_{d}"),
    ],
)
def test_templates_of_text(template: str, wanted: str | None) -> None:
    run: dict[str, Any] = {
        "template": template,
        "solver": {"name": "newton"},
        "provenance": {"seed": 7},
        "project": "forge",
        "template_values": {"extra": "more"},
    }
    if wanted is None:
        with pytest.raises(TemplateError):
            prepared(rows(), **run)
        return
    shard = prepared(rows(), **run).shards[0]
    assert shard.run_id == wanted.format(d=shard.digest[:16])


def test_values_that_are_set_win_and_cannot_fake_the_digest() -> None:
    values = {"seed": "mine", "digest": "0" * 16, "date": "today", "project": "p", "h12": 9}
    template = "{seed}-{digest}-{date}-{project}-{h12}"
    shard = prepared(rows(), template=template, template_values=values).shards[0]
    assert shard.run_id == f"mine-{'0' * 16}-today-p-9_{shard.digest[:16]}"


@pytest.mark.parametrize("name", ["nobody", "seed", "solver"])
def test_a_missing_value_is_named(name: str) -> None:
    with pytest.raises(MissingTemplateValue) as error:
        prepared(rows(), template=f"{{{name}}}", provenance={"git_sha": "a"})
    assert str(error.value) == f"run-id template needs a value for {{{name}}}"


def test_only_keys_may_be_absent_where_they_are_required() -> None:
    template = "{h12}-{ks_id}-{triang_id}-{cicy_id}-{project}-{seed?}-{solver?}"
    shard = prepared(rows(), geometry=Geometry(h12=2, ks_id=0), template=template).shards[0]
    assert shard.run_id == f"2-0-na-na-na-na-na_{shard.digest[:16]}"


def test_a_function_gets_the_names_it_takes() -> None:
    def named(project: str, date: str, h12: int, seed: object, digest: str) -> str:
        return f"{project}-{date}-{h12}-{seed}-{digest}"

    shard = prepared(rows(), template=named, project="p").shards[0]
    assert shard.run_id == f"p-2026-11-24-010203-2-None-{shard.digest[:16]}"
    seen: dict[str, object] = {}

    def keeping(**names: object) -> str:
        seen.update(names)
        return "x"

    shard = prepared(rows(), template=keeping, template_values={"more": 1}).shards[0]
    assert shard.run_id == f"x_{shard.digest[:16]}"
    assert seen == {
        "project": "",
        "date": "2026-11-24-010203",
        "h11": 272,
        "h12": 2,
        "ks_id": 1,
        "triang_id": 0,
        "conifold_id": None,
        "cicy_id": None,
        "solver": None,
        "seed": None,
        "digest": shard.digest[:16],
        "more": 1,
    }


@pytest.mark.parametrize("made", [5, None, "", "a b", "a__b", "-a", TOKEN, "x\n"])
def test_what_a_function_makes_is_checked(made: Any) -> None:
    with pytest.raises(TemplateError) as error:
        prepared(rows(), template=lambda: made)
    assert TOKEN not in str(error.value)


def test_no_template_is_a_run_id_of_chance() -> None:
    one, other = (prepared(rows(), template=None).shards[0] for _ in range(2))
    assert one.run_id != other.run_id
    assert re.fullmatch(f"[0-9a-f]{{32}}_{one.digest[:16]}", one.run_id)


def test_a_given_run_id_stands_alone_and_names_one_shard() -> None:
    assert run_id(run_id="mine", template="{nobody}") == "mine"
    for several_shards in ({"max_rows": 1}, {"geometry": None}):
        with pytest.raises(UsageError) as error:
            prepared(rows(2, h11=[1, 2]), run_id="mine", **several_shards)
        assert str(error.value) == "one run id cannot name 2 shards"
    with pytest.raises(TemplateError):
        prepared(rows(), run_id="not allowed")


@given(vacua(max_rows=3), vacua(max_rows=3))
def test_different_rows_never_share_a_run_id(one: pl.DataFrame, other: pl.DataFrame) -> None:
    first, second = (prepared(frame, template="same").shards[0] for frame in (one, other))
    assert (first.run_id == second.run_id) == (first.digest == second.digest)


def test_real_batches_of_one_geometry_do_not_collide() -> None:
    frame = pl.read_parquet(REAL / "model_h12-2_1_batch0.parquet")
    halves = [prepared(frame[at::2], template="t").shards[0].run_id for at in (0, 1)]
    assert len({*halves, run_id(frame, template="t")}) == 3


# What people say of a run


def test_solver_and_provenance_become_columns_where_they_lack() -> None:
    run: dict[str, Any] = {
        "solver": {"name": "newton", "config_hash": 123, "tolerance": 1e-9},
        "provenance": {"git_sha": "d34d", "seed": " 42 ", "wall_clock_s": "3.1", "host": "n1"},
        "tadpole_charge": "9",
    }
    (shard,) = prepared(rows(tadpole_charge=None), **run).shards
    told = ["solver_name", "solver_config_hash", "git_sha", "seed", "wall_clock_s"]
    found = shard.frame.select(*told, "tadpole_charge", "created_at").unique().rows()
    assert found == [("newton", "123", "d34d", 42, 3.0999999046325684, 9, NOW)]
    assert shard.provenance["solver"] == run["solver"]
    assert shard.provenance["provenance"] == run["provenance"] | {"seed": 42, "wall_clock_s": 3.1}
    assert shard.circumstances == ("created_at", "wall_clock_s")


def test_what_the_input_has_stays() -> None:
    then = datetime(2020, 1, 1, tzinfo=UTC)
    frame = rows(seed=[1, None], created_at=[then, then], solver_name=["a", None])
    run: dict[str, Any] = {
        "provenance": {"seed": 42},
        "solver": {"name": "b"},
        "tadpole_charge": 99,
    }
    (shard,) = prepared(frame, **run).shards
    columns = ["seed", "created_at", "solver_name", "tadpole_charge"]
    assert shard.frame.select(columns).rows() == [(1, then, "a", 7), (None, then, None, 7)]
    assert shard.circumstances == ("wall_clock_s",)


def test_identity_in_the_input_is_written_anew() -> None:
    frame = rows(run_id=["x", "y"], geometry_id=[5, None]).with_columns(
        pl.lit(8).alias(key) for key in KEYS
    )
    (shard,) = prepared(frame, run_id="r").shards
    wanted = ("r", GEOMETRY.geometry_id, 272, 2, 1, 0, -1, -1)
    assert shard.frame.select(IDENTITY).rows() == [wanted] * 2


@pytest.mark.parametrize(
    ("value", "seed"),
    [("42", 42), (42, 42), (42.0, 42), (-(2**63), -(2**63)), (str(2**63 - 1), 2**63 - 1),
     ("+7", 7), (None, None)],
)  # fmt: skip
def test_seeds(value: object, seed: int | None) -> None:
    (shard,) = prepared(rows(), provenance={"seed": value}).shards
    assert shard.provenance["provenance"] == {"seed": seed}
    column = [] if seed is None else [seed, seed]
    assert shard.frame.select("^seed$").rows() == [(cell,) for cell in column]


@pytest.mark.parametrize("value", ["4.5", 4.5, "1_000", "٣", True, 2**63, "x", [], "", "0x10"])
def test_seeds_that_are_none(value: object) -> None:
    message = "provenance seed must be an integer from -9223372036854775808 to "
    message += f"9223372036854775807, not {value!r}"
    assert problems(rows(), provenance={"seed": value}) == [(None, None, None, message)]


@pytest.mark.parametrize("value", ["nan", "inf", float("nan"), "1e39", "1_0", True, "", "x", []])
def test_times_that_are_none(value: object) -> None:
    message = f"provenance wall_clock_s must be a finite number, not {value!r}"
    assert problems(rows(), provenance={"wall_clock_s": value}) == [(None, None, None, message)]


@pytest.mark.parametrize("value", [2**31, 1.5, True, "x"])
def test_tadpole_charges_that_are_none(value: object) -> None:
    message = "tadpole_charge must be an integer from -2147483648 to 2147483647, "
    message += f"not {value!r}"
    missing = "required column is missing, and no value is given for all"
    assert problems(rows(tadpole_charge=None), tadpole_charge=value) == [
        (None, None, None, message),
        ("tadpole_charge", None, None, missing),
    ]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"solver": {"name": TOKEN}}, "solver holds what looks like a token"),
        ({"solver": {TOKEN: 1}}, "solver holds what looks like a token"),
        ({"provenance": {"a": {"b": [f"x {TOKEN}"]}}}, "provenance holds what looks like a token"),
        ({"provenance": {"url": "https://me@host/x"}}, "provenance holds what looks like a token"),
        ({"provenance": {"h": "Bearer abcdefgh12"}}, "provenance holds what looks like a token"),
        *[
            (run, "the run id, its template or a value for it looks like a token")
            for run in (
                {"project": TOKEN},
                {"template": f"{TOKEN}-{{date}}"},
                {"run_id": TOKEN},
                {"template_values": {"x": TOKEN}},
            )
        ],
        (
            {"provenance": {"seed": TOKEN}},
            "provenance seed must be an integer from -9223372036854775808 to "
            "9223372036854775807, not '[hidden]'",
        ),
        ({"provenance": {"x": float("nan")}}, "provenance cannot be written as JSON: "),
        ({"solver": {"x": b"bytes"}}, "solver cannot be written as JSON: "),
    ],
)
def test_tokens_and_what_is_no_json_are_refused(run: dict[str, Any], message: str) -> None:
    ((column, row, value, found),) = problems(rows(), **run)
    assert (column, row, value) == (None, None, None)
    assert found[: len(message)] == message
    assert message.endswith(": ") or found == message


def test_what_programs_hold_in_place_of_numbers_and_texts_is_told() -> None:
    np = pytest.importorskip("numpy")
    run: dict[str, Any] = {
        "solver": {"name": "n", "steps": np.int64(3), "tol": [np.float32(0.5)], "x": (1, 2)},
        "provenance": {
            "config": Path("/runs/a.yaml"),
            "day": date(2020, 1, 2),
            "began": datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
            "start": np.array([[1.5, 2.0]]),
            "gpu": np.bool_(True),
        },
    }

    (shard,) = prepared(rows(), **run).shards

    assert shard.provenance["solver"] == {"name": "n", "steps": 3, "tol": [0.5], "x": [1, 2]}
    assert shard.provenance["provenance"] == {
        "config": "/runs/a.yaml",
        "day": "2020-01-02",
        "began": "2020-01-02 03:04:05+00:00",
        "start": [[1.5, 2.0]],
        "gpu": True,
    }
    message = "provenance holds what looks like a token"
    assert problems(rows(), provenance={"p": Path(f"/{TOKEN}/x")}) == [(None, None, None, message)]


def test_a_token_split_over_two_values_is_none() -> None:
    assert run_id(project="bearer", run_id="abcdefgh12") == "abcdefgh12"


def test_an_object_within_itself_is_no_json() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    message = "solver cannot be written as JSON: Circular reference detected"
    assert problems(rows(), solver=loop) == [(None, None, None, message)]
