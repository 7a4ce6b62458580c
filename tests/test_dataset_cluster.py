"""Queries on a Dask cluster of this machine: the same rows, also when a worker dies midway."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.cli_in_process import run
from tests.cli_support import vulcan
from tests.dataset_support import put, vacua
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.cluster import query_on_cluster
from vulcan_cli.dataset.features import FeatureSpec
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query
from vulcan_cli.dataset.split_cluster import split_on_cluster
from vulcan_cli.dataset.split_files import write_splits
from vulcan_cli.dataset.split_view import SplitView
from vulcan_cli.dataset.splits import Splits
from vulcan_cli.errors import UsageError

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers, each a process, watched by a nanny that starts another where one dies."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        yield made


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Shards of several sizes and schemas."""
    folder = tmp_path / "synced"
    folder.mkdir()
    sources = [
        put(
            folder,
            vacua(number % 7 + 1, **({"note": number} if number % 3 else {})),
            f"r{number}",
            h11=3,
            h12=2,
            ks_id=number % 5,
        )
        for number in range(40)
    ]
    return Catalog.read(sources)


def parts(folder: Path) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(file) for file in sorted(folder.iterdir()))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"where": "tau_im > 3", "columns": ("tau_im", "note", "flux")},
        {"ks_id": (range(2, 4),)},
        {"ks_id": (range(99, 100),)},
    ],
)
def test_the_rows_are_those_of_one_machine(
    cluster: Any, catalog: Catalog, tmp_path: Path, asked: dict[str, Any]
) -> None:
    folder = tmp_path / "out"
    told: list[tuple[int, int]] = []

    spread = query_on_cluster(
        cluster.scheduler_address,
        catalog,
        Filters(**asked),
        folder,
        progress=lambda done, total: told.append((done, total)),
    )

    wanted = query(catalog, Filters(**asked)).rows.collect()
    assert_frame_equal(parts(folder), wanted)
    assert spread.n_rows == wanted.height
    assert sorted(file.name for file in folder.iterdir()) == list(spread.files)
    assert told == [(n, len(spread.files)) for n in range(1, len(spread.files) + 1)]
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_worker_killed_midway_changes_nothing(
    cluster: Any, catalog: Catalog, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    with distributed.Client(cluster, set_as_default=False) as client:
        victim = next(iter(client.run(os.getpid).values()))
    killed = threading.Event()

    def kill(done: int, _: int) -> None:
        if done == 2:
            os.kill(victim, signal.SIGKILL)
            killed.set()

    spread = query_on_cluster(cluster.scheduler_address, catalog, Filters(), folder, progress=kill)

    assert killed.is_set()
    assert_frame_equal(parts(folder), query(catalog, Filters()).rows.collect())
    assert sorted(file.name for file in folder.iterdir()) == list(spread.files)


def test_bad_shards_are_told_and_left_out(cluster: Any, catalog: Catalog, tmp_path: Path) -> None:
    gone = Path(catalog.rows["file"][5])
    gone.unlink()

    spread = query_on_cluster(cluster.scheduler_address, catalog, Filters(), tmp_path / "out")

    assert [(bad.path, bad.reason) for bad in spread.bad] == [
        (gone, "it is gone since it was listed")
    ]
    assert_frame_equal(parts(tmp_path / "out"), query(catalog, Filters()).rows.collect())


def test_what_needs_one_machine_is_refused(cluster: Any, catalog: Catalog, tmp_path: Path) -> None:
    address = cluster.scheduler_address
    for filters in (Filters(sort=("tau_im",)), Filters(limit=3)):
        with pytest.raises(UsageError, match=r"^sorting and limiting need one machine; leave"):
            query_on_cluster(address, catalog, filters, tmp_path / "out")
    with pytest.raises(UsageError, match=r"^a condition on all rows, such as max, needs one mach"):
        query_on_cluster(address, catalog, Filters(where="h11 = max(h11)"), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UsageError, match=r"is there and not empty; part files go to a new or "):
        query_on_cluster(address, catalog, Filters(), tmp_path / "full")
    with pytest.raises(UsageError, match=r"^there is no column 'tauim', at character 1: did you "):
        query_on_cluster(address, catalog, Filters(where="tauim > 1"), tmp_path / "out")


def test_nothing_appears_where_a_part_fails(cluster: Any, catalog: Catalog, tmp_path: Path) -> None:
    filters = Filters(where="CAST(run_id AS INT) > 1")
    with pytest.raises(UsageError, match=r"^the condition fails: conversion from `str` to `i32`"):
        query_on_cluster(cluster.scheduler_address, catalog, filters, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["synced"]


def test_a_scheduler_that_is_none(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^'gopher://x' is no address of a scheduler: "):
        query_on_cluster("gopher://x", catalog, Filters(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_through_the_command(cluster: Any, catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "pending").mkdir()
    (tmp_path / "failed").mkdir()
    where = ("--staging-dir", tmp_path, "--source", "synced")
    to = ("--scheduler", cluster.scheduler_address, "-o", tmp_path / "out")

    done = vulcan("query", *where, "--ks-id", "2", *to, home=tmp_path)

    wanted = query(catalog, Filters(ks_id=(range(2, 3),))).rows.collect()
    assert_frame_equal(parts(tmp_path / "out"), wanted)
    assert (done.code, done.out) == (0, "")
    n_files = len([*(tmp_path / "out").iterdir()])
    assert done.err.splitlines() == [
        f"read synced of {tmp_path}",
        f"{wanted.height} rows in {n_files} files to {tmp_path / 'out'}",
    ]
    for words in (["--count"], ["--files"], ["--sql", "SELECT 1"]):
        refused = vulcan("query", *where, *words, *to, home=tmp_path)
        assert (refused.code, refused.out) == (2, "")
    assert vulcan("query", *where, *to[:2], home=tmp_path).code == 2
    assert vulcan("query", *where, *to, "--format", "table", home=tmp_path).code == 2


def split_view(catalog: Catalog, **filters: Any) -> SplitView:
    spec = FeatureSpec(["flux", "tau_im", "note"], list_max_len=3)
    splits = Splits(("train", "test"), (0.5, 0.5))
    return SplitView(catalog=catalog, filters=Filters(**filters), splits=splits, spec=spec)


@pytest.mark.parametrize("filters", [{}, {"where": "tau_im > 3"}, {"h11": (range(9, 10),)}])
def test_splits_are_those_of_one_machine(
    cluster: Any, catalog: Catalog, tmp_path: Path, filters: dict[str, Any]
) -> None:
    view = split_view(catalog, **filters)
    one = write_splits(tmp_path / "one", split_view(catalog, **filters)).description

    found, bad = split_on_cluster(cluster.scheduler_address, view, tmp_path / "many")

    assert bad == ()
    for name in view.splits.names:
        here, there = (
            pl.concat(pl.read_parquet(file) for file in sorted(folder.glob(f"{name}-*.parquet")))
            for folder in (tmp_path / "one", tmp_path / "many")
        )
        assert_frame_equal(there, here)
    told = json.loads((tmp_path / "many" / "split.json").read_text())
    assert told == found.description
    assert {**told, "files": None} == {**one, "files": None}
    files = [file for each in told["files"].values() for file in each]
    assert {path.name for path in (tmp_path / "many").iterdir()} == {
        "split.json",
        *(file["name"] for file in files),
    }
    for file in files:
        data = (tmp_path / "many" / file["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])


def test_split_through_the_command(cluster: Any, catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "pending").mkdir()
    (tmp_path / "failed").mkdir()
    words = [
        *("split", "--staging-dir", tmp_path, "--source", "synced", "--splits", "a,b"),
        *("--fractions", "0.5,0.5", "--scheduler", cluster.scheduler_address),
    ]
    gone = Path(catalog.rows["file"][5])
    gone.chmod(0o644)
    gone.write_bytes(b"")

    done = vulcan(*words, "--out-dir", tmp_path / "out", "-q", home=tmp_path)

    rows = json.loads((tmp_path / "out" / "split.json").read_text())["rows"]
    assert sum(rows.values()) == catalog.rows["n_rows"].sum() - catalog.rows["n_rows"][5]
    assert (done.code, done.out) == (3, f"a\t{rows['a']}\nb\t{rows['b']}\n")
    assert done.err == (
        f"vulcan: skipped: {gone.name} is not a shard: "
        "unreadable as parquet: no footer at its end\n"
    )
    assert vulcan(*words, home=tmp_path).code == 2
    assert vulcan(*words, "--out-dir", tmp_path / "x", "--seed", "1", home=tmp_path).code == 2


def test_without_dask_the_next_command_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pending", "synced", "failed"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    put(tmp_path / "spool/synced", vacua(2), "a", h11=3, h12=2)
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    words = "query --staging-dir spool --scheduler tcp://127.0.0.1:1 -o parts"
    ran = run(*words.split(), cwd=tmp_path)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines() == [
        "read synced of spool",
        "vulcan: distributed is not installed: pip install 'vulcan-cli[dask]'",
        "  safe: nothing was changed",
        "  next: pip install 'vulcan-cli[dask]'",
        f"  next: vulcan {words}",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]
