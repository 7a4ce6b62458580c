"""A staging directory that the peer wrote is read, synced, queried and split with its results."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vulcan_cli import Vulcan, VulcanMLView, VulcanReader
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import query
from vulcan_cli.dataset.sources import locate
from vulcan_cli.hub.open import open_repo
from vulcan_cli.staging.area import STATES, StagingArea
from vulcan_cli.staging.budget import PEER_BUDGET, Budget
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.timing import Clock
from vulcan_cli.vacua.geometry import KEYS, path_of_file_name
from vulcan_cli.vacua.shard import sidecar_of

VECTORS = Path(__file__).parent / "data/interop"
ORIGINAL = VECTORS / "staging"
PEERS_STAMPS: list[float] = json.loads((ORIGINAL / PEER_BUDGET).read_text())["timestamps"]
SOON_AFTER = PEERS_STAMPS[-1] + 60.0
CATALOG = pl.read_csv(VECTORS / "catalog_synced.csv")
SPLITS = {
    vector["geometry_id"]: vector["split"]
    for vector in json.loads((VECTORS / "geometries.json").read_text())
}
SETTINGS: Mapping[str, dict[str, Any]] = {
    "default": {},
    "salt=fold-1": {"salt": "fold-1"},
    "fractions=0.5,0.25,0.25": {"fractions": (0.5, 0.25, 0.25)},
    "splits=train,test fractions=0.9,0.1": {"splits": ("train", "test"), "fractions": (0.9, 0.1)},
}

ASSIGNED = {"1abca1411e4a5c5f": "val", "53c720309c3cfd39": "val", "f7ab5efef3a47ce5": "train"}
"""What the peer's view says of its own `synced/`, with its defaults."""


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """The peer's staging directory, writable."""
    root = tmp_path / "staging"
    shutil.copytree(ORIGINAL, root, copy_function=shutil.copyfile)
    return root


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def digests(folder: Path) -> dict[str, str]:
    """Name below the folder to SHA-256, of all files that a reader sees."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).parts[0].startswith((".", "_"))
    }


def rows_of(paths: list[Path]) -> pl.DataFrame:
    """What the files hold, one after the other, read without anything of ours."""
    return pl.concat([pl.read_parquet(path) for path in paths], how="diagonal")


def by_key() -> list[tuple[str, int]]:
    return [(key, value) for key in KEYS for value in sorted({*CATALOG[key], 999_999})]


@pytest.mark.parametrize("state", STATES)
def test_every_footer_says_what_the_sidecar_says(state: str) -> None:
    found = {path.name: sidecar_of(path) for path in shards(ORIGINAL / state)}

    assert len(found) == {"pending": 11, "synced": 4, "failed": 2}[state]
    assert found == {
        name: json.loads((ORIGINAL / state / (name + SIDECAR_SUFFIX)).read_text()) for name in found
    }


def test_the_catalog_is_the_peers_catalog(staging: Path) -> None:
    assert VulcanReader.from_local(staging).catalog(strict=True).equals(CATALOG)


def test_pending_shards_are_listed_as_the_peer_lists_them(staging: Path) -> None:
    pending = Vulcan(repo="owner/name", staging_dir=staging).list_pending()

    assert [shard.parquet_path for shard in pending] == shards(staging / "pending")
    for shard in pending:
        sidecar = json.loads(shard.sidecar_path.read_text())
        assert (shard.run_id, shard.path_in_repo, shard.n_rows) == (
            sidecar["run_id"],
            sidecar["path_in_repo"],
            sidecar["n_rows"],
        )


def test_sync_commits_what_is_pending_byte_for_byte(staging: Path, tmp_path: Path) -> None:
    before = {state: digests(staging / state) for state in STATES}
    area, repo = StagingArea(staging), open_repo(str(tmp_path / "repo"))
    options = SyncOptions(max_batch=4, create_repo=True, card=False)

    report = sync(area, repo, options, clock=Clock(now=lambda: SOON_AFTER))

    assert (report.n_committed, report.n_commits, report.n_remaining) == (11, 3, 0)
    assert (report.n_failed, report.errors, report.stopped) == (0, [], None)
    assert digests(tmp_path / "repo") == {
        path: digest
        for name, digest in before["pending"].items()
        if (path := path_of_file_name(name)) is not None
    }
    assert {state: digests(staging / state) for state in STATES} == {
        "pending": {},
        "synced": {**before["synced"], **before["pending"]},
        "failed": before["failed"],
    }


def test_the_peers_commits_count_and_ours_are_told_to_it(staging: Path, tmp_path: Path) -> None:
    area, repo = StagingArea(staging), open_repo(str(tmp_path / "repo"))
    budget = Budget(area, repo.key, 5, 3600.0, lambda: SOON_AFTER, with_peer=True)
    assert budget.remaining() == 2
    options = SyncOptions(max_batch=3, budget=5, create_repo=True)

    report = sync(area, repo, options, clock=Clock(now=lambda: SOON_AFTER))

    assert (report.n_committed, report.n_commits, report.n_remaining) == (6, 2, 5)
    assert report.next_slot_at == PEERS_STAMPS[0] + 3600.0
    assert json.loads((staging / PEER_BUDGET).read_text()) == {
        "budget": 90,
        "window_s": 3600.0,
        "timestamps": [*PEERS_STAMPS, SOON_AFTER, SOON_AFTER],
    }
    assert budget.remaining() == 0


@pytest.mark.parametrize(("key", "value"), by_key())
def test_query_by_a_key_gives_the_rows_of_its_shards(key: str, value: Any, staging: Path) -> None:
    paths = CATALOG.filter(pl.col(key) == value)["path_in_repo"]
    reader = VulcanReader.from_local(staging)

    found = reader.query(**{key: value})

    if paths.is_empty():
        assert found.is_empty()
    else:
        files = [ORIGINAL / "synced" / path.replace("/", "__") for path in paths]
        assert found.equals(rows_of(files))


@pytest.mark.parametrize("name", ["run_id", "geometry_id"])
def test_query_by_an_id_gives_the_rows_of_its_shards(name: str, staging: Path) -> None:
    reader = VulcanReader.from_local(staging)
    everything = rows_of(shards(ORIGINAL / "synced"))

    assert reader.query().equals(everything)
    for value in CATALOG[name].unique():
        assert reader.query(**{name: value}).equals(everything.filter(pl.col(name) == value))
        if name == "run_id":
            assert reader.fetch_run(value).equals(reader.query(run_id=value))


def test_query_finds_susy_vacua_and_solvers_in_all_of_the_staging_directory(staging: Path) -> None:
    area = StagingArea(staging)
    catalog = locate(area, (), "staged").catalog
    files = [*shards(ORIGINAL / "pending"), *shards(ORIGINAL / "synced")]
    files.sort(key=lambda path: path.name.replace("__", "/"))
    everything = rows_of(files)
    solver = everything["solver_name"].drop_nulls()[0]

    found = query(catalog, Filters(is_susy=True, solver_name=(solver,))).rows.collect()

    expected = everything.filter(pl.col("is_susy"), pl.col("solver_name") == solver)
    assert found.select(sorted(found.columns)).equals(expected.select(sorted(found.columns)))
    assert found.height > 0


@pytest.mark.parametrize("setting", SETTINGS)
def test_splits_are_those_of_the_vectors(setting: str, staging: Path) -> None:
    view = VulcanMLView(VulcanReader.from_local(staging), **SETTINGS[setting])
    known = {name: splits[setting] for name, splits in SPLITS.items()}

    assert {name: view.split_of(name) for name in known} == known


def test_each_row_stands_in_the_split_where_the_peer_puts_it(staging: Path) -> None:
    view = VulcanMLView(VulcanReader.from_local(staging))
    everything = rows_of(shards(ORIGINAL / "synced"))

    assert dict(view.split_assignments().iter_rows()) == ASSIGNED
    for split in ("train", "val", "test"):
        mine = everything.filter(pl.col("geometry_id").replace_strict(ASSIGNED) == split)
        found = view.as_dataframe(split)
        assert found.equals(mine.select(found.columns))
