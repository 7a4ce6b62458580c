"""Any valid frame staged, synced and queried comes back equal to its conformed self."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import geometries, slugs, vacua
from vulcan_cli import Vulcan, VulcanReader
from vulcan_cli.errors import Conflict
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.intake import stage, validate
from vulcan_cli.vacua.geometry import Geometry
from vulcan_cli.vacua.inputs import from_frame
from vulcan_cli.vacua.prepare import Run, prepare
from vulcan_cli.vacua.schema import in_order
from vulcan_cli.vacua.shard import read_footer

NOW = datetime(2026, 11, 23, 19, 50, 30, 123456, tzinfo=UTC)

# An example is a staging directory, a repo and a commit: some 60 ms, most of them fsync.
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def of_part(part: tuple[pl.DataFrame, Geometry]) -> Geometry:
    return part[1]


@st.composite
def provenances(draw: st.DrawFn) -> dict[str, Any]:
    known: Mapping[str, st.SearchStrategy[Any]] = {
        "seed": st.integers(-(2**63), 2**63 - 1),
        "wall_clock_s": st.floats(0, 1e6),
        "git_sha": slugs(),
        "node": slugs(),
    }
    return draw(st.fixed_dictionaries({}, optional=dict(known)))


def bits(value: object) -> object:
    """A value in which floats are their bytes, so that -0.0, 0.0 and every NaN differ."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, list):
        return [bits(each) for each in value]
    if isinstance(value, dict):
        return {key: bits(each) for key, each in value.items()}
    return value


def cells(frame: pl.DataFrame) -> dict[str, object]:
    return {name: bits(frame[name].to_list()) for name in frame.columns}


def assert_same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Equal columns of equal types, row for row, bit for bit; foreign columns by name."""
    expected = expected.select(in_order(sorted(expected.columns)))
    assert found.schema == expected.schema
    assert cells(found) == cells(expected)


@FEW
@given(vacua(), geometries(), provenances())
def test_what_is_staged_and_synced_is_what_is_queried(
    rows: pl.DataFrame, geometry: Geometry, provenance: dict[str, Any]
) -> None:
    run = Run(geometry=geometry, provenance=provenance, solver={"name": "newton"})
    (expected,) = prepare(rows, run, now=NOW).shards
    with tempfile.TemporaryDirectory() as folder:
        vulcan = Vulcan(repo=f"{folder}/repo", staging_dir=f"{folder}/staging")
        (staged,) = stage(
            StagingArea(vulcan.staging_dir), [("rows", lambda: rows)], run, now=NOW
        ).shards
        assert vulcan.sync(create_repo=True).n_committed == 1

        assert_same(vulcan.fetch_run(staged.run_id), expected.frame)
        present = {key: value for key, value in geometry.as_dict().items() if value >= 0}
        assert_same(vulcan.query(**present), expected.frame)
        assert_same(VulcanReader.from_hf(vulcan.repo).query(), expected.frame)
        published = Path(folder, "repo", staged.path_in_repo)
        assert read_footer(published).provenance == expected.provenance
        assert read_footer(published).digest == expected.digest


@FEW
@given(
    st.lists(st.tuples(vacua(max_rows=3), geometries()), min_size=2, max_size=3, unique_by=of_part)
)
def test_rows_of_several_geometries_come_back_each_to_its_own(
    parts: list[tuple[pl.DataFrame, Geometry]],
) -> None:
    # One input for all of them: only columns that all of them have, and one type for flux.
    shared = set.intersection(*(set(rows.columns) for rows, _ in parts))
    together = pl.concat(
        rows.select(sorted(shared)).with_columns(
            pl.col("flux").cast(pl.List(pl.Int64)),
            *(pl.lit(value, dtype=pl.Int64).alias(key) for key, value in of.as_dict().items()),
        )
        for rows, of in parts
    )
    shards = prepare(together, Run(), now=NOW).shards
    assert [(shard.geometry, shard.n_rows) for shard in shards] == [
        (geometry, rows.height) for rows, geometry in parts
    ]
    with tempfile.TemporaryDirectory() as folder:
        vulcan = Vulcan(repo=f"{folder}/repo", staging_dir=f"{folder}/staging")
        stage(StagingArea(vulcan.staging_dir), [("rows", lambda: together)], Run(), now=NOW)
        assert vulcan.sync(create_repo=True).n_committed == len(parts)

        reader = vulcan.reader()
        for shard in shards:
            assert_same(reader.query(geometry_id=shard.geometry.geometry_id), shard.frame)


@FEW
@given(vacua(), geometries())
def test_an_arrow_table_is_the_frame_it_came_from(rows: pl.DataFrame, geometry: Geometry) -> None:
    run = Run(geometry=geometry)
    (direct,) = prepare(rows, run, now=NOW).shards
    (through_arrow,) = prepare(from_frame(rows.to_arrow()), run, now=NOW).shards

    assert through_arrow.frame.schema == direct.frame.schema
    assert cells(through_arrow.frame) == cells(direct.frame)
    assert through_arrow.run_id == direct.run_id


@FEW
@given(vacua(), geometries())
def test_the_same_rows_staged_again_are_one_shard(rows: pl.DataFrame, geometry: Geometry) -> None:
    inputs = [("rows", lambda: rows)]
    with tempfile.TemporaryDirectory() as folder:
        area = StagingArea(Path(folder))
        run = Run(geometry=geometry, template="fixed")
        (rehearsed,) = validate(area, inputs, run, now=NOW).shards
        (first,) = stage(area, inputs, run, now=NOW).shards
        later = datetime(2026, 11, 24, tzinfo=UTC)
        (second,) = stage(area, inputs, run, now=later).shards

        assert (rehearsed.run_id, first.run_id) == (second.run_id,) * 2
        assert (first.status, second.status) == ("staged", "already-staged")
        assert area.counts("pending").shards == 1

        other = rows.with_columns(pl.col("tau_re") + 1.0)
        if not other.equals(rows):
            given = Run(geometry=geometry, run_id=first.run_id)
            with pytest.raises(Conflict):
                stage(area, [("rows", lambda: other)], given, now=NOW)
