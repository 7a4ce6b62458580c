"""The catalog in a repo: brought up to date by each commit, believed by nobody who can look."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from huggingface_hub import constants, snapshot_download

from tests.dataset_support import STAGING
from tests.hostile_parquet import rewritten, with_column
from tests.hubserver import WRITE, Fault, LocalHub, Refusal
from tests.sync_support import (
    NAME,
    Place,
    by_name,
    name_of,
    path_of,
    put_bytes,
    put_many,
    rows,
    shard_bytes,
    shards_in,
)
from vulcan_cli.dataset import repo_catalog
from vulcan_cli.dataset.catalog import Catalog, Source
from vulcan_cli.dataset.catalog_text import decode, encode
from vulcan_cli.dataset.filters import Filters
from vulcan_cli.dataset.query import Query, query
from vulcan_cli.dataset.repo_head import BASE_PATH, HEAD_PATH, read_head
from vulcan_cli.dataset.sources import locate
from vulcan_cli.errors import RateLimited, TryLater
from vulcan_cli.hub.repo import MAIN, Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync import announce
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.vacua.geometry import path_of_file_name
from vulcan_cli.vacua.tail import footer_length

PEERS = {
    path_of_file_name(file.name) or "": file.read_bytes()
    for state in ("pending", "synced")
    for file in sorted((STAGING / state).glob("*.parquet"))
}
"""Shards that the peer wrote, by path in the repo."""


def run(area: StagingArea, repo: Repo, **options: Any) -> SyncReport:
    return sync(area, repo, SyncOptions(**options))


def push(place: Place, files: dict[str, bytes]) -> None:
    """Somebody else's commit; into a folder, files that nobody committed."""
    if place.hub is not None:
        place.hub.push(NAME, files)
        return
    for path, data in files.items():
        file = place.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def read(repo: Repo, revision: str = MAIN) -> Catalog:
    return locate(None, [repo], "repo", revision=revision).catalog


def ask(repo: Repo, revision: str = MAIN, **filters: Any) -> Query:
    return query(read(repo, revision), Filters(**filters))


def collected(asked: Query) -> pl.DataFrame:
    return asked.rows.collect(engine="streaming")


def from_files(folder: Path, files: dict[str, bytes], **filters: Any) -> pl.DataFrame:
    """The same question to plain files."""
    folder.mkdir(exist_ok=True)
    sources = []
    for number, (path, data) in enumerate(files.items()):
        file = folder / str(number)
        file.write_bytes(data)
        sources.append(Source(path, file, "repo"))
    return collected(query(Catalog.read(sources), Filters(**filters)))


class Requests:
    """What a Hub was asked since this was made."""

    def __init__(self, hub: LocalHub) -> None:
        self._hub = hub
        self._before = len(hub.requests())

    @property
    def told(self) -> list[tuple[str, str, int | None]]:
        """Method, what of the repo, and status."""
        found = []
        for request in self._hub.requests()[self._before :]:
            what = "shard" if ".parquet" in request.path else request.path.rpartition("/")[2]
            what = "list" if "/tree/" in request.path else what
            found.append((request.method, what, request.status))
        return found


OURS_ALONE = [("GET", "main", 200), ("GET", "head", 200)]
"""The newest two commits, and the head file."""


def test_one_shard_of_ours_takes_three_requests_and_no_other_is_touched(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    put_many(area, 40)
    assert run(area, hub_place.open(), max_batch=15).exit_code == 0
    requests = Requests(hub)
    found = ask(hub_place.open(), run_id=("run017",))
    assert requests.told == OURS_ALONE
    assert collected(found)["run_id"].to_list() == ["run017"] * 3
    assert requests.told == [*OURS_ALONE, ("GET", "shard", 200)]
    again = Requests(hub)
    assert collected(ask(hub_place.open(), run_id=("run017",))).height == 3
    assert again.told == OURS_ALONE[:1]


ODD = {
    "exact": pl.Series(["1.50"] * 3).cast(pl.Decimal(20, 2)),
    "pair": pl.Series([[1.0, 2.0]] * 3, dtype=pl.Array(pl.Float64, 2)),
    "solver": pl.Series([{"name": "n", "steps": [1, 2]}] * 3),
}
"""Columns of types that have types inside, of three rows."""


def test_columns_of_any_type_cost_no_further_request(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    for number in range(3):
        name = f"run{number:03d}"
        put_bytes(area, name_of(name), shard_bytes(name, number, **ODD))
    assert run(area, hub_place.open()).errors == []
    requests = Requests(hub)
    found = ask(hub_place.open(), run_id=("run001",))
    assert requests.told == OURS_ALONE
    assert collected(found).select(list(ODD)).equals(pl.DataFrame(ODD))
    assert requests.told == [*OURS_ALONE, ("GET", "shard", 200)]


def test_with_many_shards_a_base_is_kept_beside_the_head(
    area: StagingArea, hub_place: Place, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "MOST_RECENT", 4)
    staged = put_many(area, 30)
    report = run(area, hub_place.open(), max_batch=3)
    assert (report.exit_code, report.errors) == (0, [])
    files = hub.tree(NAME)
    assert [path for path in files if path.startswith("_vulcan")] == [BASE_PATH, HEAD_PATH]
    changed = [sorted(p for p in c.files if p.startswith("_")) for c in hub.commits(NAME)[1:]]
    # A new base with every second commit, as 6 rows are more than 4; the last 6 are a quarter.
    assert [len(each) for each in changed] == [1, 2, 1, 2, 1, 2, 1, 2, 1, 1]
    requests = Requests(hub)
    found = ask(hub_place.open(), run_id=("run029",))
    assert set(found.shards.rows["path_in_repo"]) == {path_of("run029")}
    assert collected(found).height == 3
    assert requests.told == [*OURS_ALONE, ("GET", "base", 200), ("GET", "shard", 200)]
    assert read(hub_place.open()).rows["path_in_repo"].to_list() == sorted(staged)


def test_the_catalog_tells_what_the_footers_tell(area: StagingArea, place: Place) -> None:
    put_many(area, 5)
    run(area, place.open(), max_batch=2)
    told = read(place.open())
    files = [
        Source(path, area.synced / path.replace("/", "__"), "repo")
        for path in told.rows["path_in_repo"]
    ]
    footers = Catalog.read(files)
    same = [
        name
        for name in footers.rows.columns
        if name not in {"file", "time", "sha256", "schema"} and name[:4] not in {"min_", "max_"}
    ]
    assert told.rows.select(same).equals(footers.rows.select(same))
    assert told.schemas == footers.schemas
    assert by_name(dict(told.rows.select("path_in_repo", "sha256").iter_rows())) == shards_in(
        area.synced
    )
    for name in (name for name in footers.rows.columns if name[:4] in {"min_", "max_"}):
        sign = -1 if name.startswith("min_") else 1
        exact, coarse = footers.rows[name], told.rows[name]
        assert exact.is_null().equals(coarse.is_null())
        assert (((coarse - exact) * sign).drop_nulls() >= 0).all()


@pytest.mark.parametrize("filters", [{}, {"h12": (range(2, 3),)}, {"where": "tau_im > 4"}], ids=str)
def test_a_repo_half_of_the_peer_reads_like_its_files(
    area: StagingArea, place: Place, tmp_path: Path, filters: dict[str, Any]
) -> None:
    push(place, dict(list(PEERS.items())[:6]))
    put_many(area, 4)
    run(area, place.open())
    push(place, dict(list(PEERS.items())[6:]))
    ours = {
        path_of(f"run{n:03d}"): (area.synced / path_of(f"run{n:03d}").replace("/", "__"))
        for n in range(4)
    }
    every = {**PEERS, **{path: file.read_bytes() for path, file in ours.items()}}
    wanted = from_files(tmp_path / "files", every, **filters)
    found = ask(place.open(), **filters)
    assert collected(found).equals(wanted)
    assert (found.bad, read(place.open()).rows.height) == ((), len(every))


def test_shards_of_others_are_read_by_their_footers_once(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    put_many(area, 2)
    run(area, hub_place.open())
    push(hub_place, PEERS)
    requests = Requests(hub)
    steps: list[tuple[int, int]] = []
    repo_catalog.read_repo(hub_place.open(), progress=lambda *step: steps.append(step))
    footers = [("GET", "shard", 206)] * len(PEERS)
    assert requests.told == [*OURS_ALONE, ("GET", "list", 200), *footers]
    assert steps == [(n + 1, len(PEERS)) for n in range(len(PEERS))]
    again = Requests(hub)
    read(hub_place.open())
    assert again.told == OURS_ALONE[:1]
    put_many(area, 1, prefix="next")
    taken = Requests(hub)
    run(area, hub_place.open())
    assert [each for each in taken.told if each[2] == 206] == footers
    last = Requests(hub)
    assert read(hub_place.open()).rows.height == len(PEERS) + 3
    assert last.told == OURS_ALONE


def test_a_footer_somewhat_longer_than_those_before_it_takes_one_request_too(
    hub_place: Place, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repo_catalog, "AT_ONCE", 1)
    shortest = min(PEERS, key=lambda path: footer_length(PEERS[path], len(PEERS[path]) - 4))
    files = {path: data for path, data in PEERS.items() if path >= shortest}
    push(hub_place, files)
    requests = Requests(hub)
    assert read(hub_place.open()).rows.height == len(files)
    footers = [each for each in requests.told if each[2] == 206]
    assert footers == [("GET", "shard", 206)] * len(files)


def test_shards_that_a_commit_of_ours_only_names_are_read_by_their_footers_once(
    area: StagingArea, hub_place: Place, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "MOST_FOOTERS", 2)
    bad = path_of("bad")
    push(hub_place, {**PEERS, bad: b"PAR1 nothing PAR1"})
    staged = put_many(area, 2)
    run(area, hub_place.open())
    requests = Requests(hub)
    found = read(hub_place.open())
    every = sorted([*PEERS, *staged])
    assert found.rows["path_in_repo"].to_list() == every
    assert [str(shard.path) for shard in found.bad] == [bad]
    assert requests.told == [*OURS_ALONE, *[("GET", "shard", 206)] * (len(PEERS) - 1)]
    again = Requests(hub)
    second = read(hub_place.open())
    kept = ("path_in_repo", "n_rows", "sha256")
    assert second.rows.select(kept).equals(found.rows.select(kept))
    assert [str(shard.path) for shard in second.bad] == [bad]
    assert again.told == OURS_ALONE[:1]
    constants.HF_HUB_OFFLINE = True
    try:
        assert read(hub_place.open()).rows["path_in_repo"].to_list() == every
    finally:
        constants.HF_HUB_OFFLINE = False


def test_a_shard_of_types_that_the_catalog_does_not_spell_is_read_every_time(
    hub_place: Place, tmp_path: Path
) -> None:
    cells = pa.array([{"x": 1}, None, {"x": 2}])
    odd = {path_of("odd"): rewritten(shard_bytes("odd"), with_column("extra", cells))}
    push(hub_place, {**PEERS, **odd})
    wanted = from_files(tmp_path / "files", {**PEERS, **odd})
    for _ in range(3):
        found = ask(hub_place.open())
        assert collected(found).equals(wanted)
        assert found.bad == ()


def test_what_others_deleted_or_replaced_is_seen(
    area: StagingArea, hub_place: Place, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "MOST_RECENT", 2)
    staged = put_many(area, 6)
    run(area, hub_place.open(), max_batch=3)
    gone, other = sorted(staged)[:2]
    hub.push(NAME, {other: shard_bytes("run001", 99, extra=1)}, deletes=[gone])
    there = staged.keys() - {gone}
    for turn in range(2):
        found = read(hub_place.open())
        assert found.rows["path_in_repo"].to_list() == sorted(there)
        flux = collected(query(found, Filters(run_id=("run001",))))["flux"]
        assert flux.to_list() == rows(99)["flux"].to_list()
        there |= put_many(area, 1, prefix=f"next{turn}").keys()
        assert run(area, hub_place.open()).errors == []
    requests = Requests(hub)
    assert read(hub_place.open()).rows["path_in_repo"].to_list() == sorted(there)
    # The base came with an earlier commit.
    assert requests.told == OURS_ALONE


GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "no gzip": b"PAR1",
    "cut off": gzip.compress(b'{"vulcan_catalog": 1}')[:-9],
    "no JSON": gzip.compress(b"\xff\xfe"),
    "a list": gzip.compress(b"[1]\n"),
    "later version": gzip.compress(b'{"vulcan_catalog": 2, "schemas": []}\n'),
    "no parent": gzip.compress(b'{"vulcan_catalog": 1, "schemas": []}\n'),
    "schemas": gzip.compress(b'{"vulcan_catalog": 1, "parent": "x", "schemas": [[["a", 7]]]}\n'),
    "patterns": gzip.compress(
        b'{"vulcan_catalog": 1, "parent": "x", "schemas": [[["*", "Int8"]]]}\n'
    ),
    "deep": gzip.compress(b'{"vulcan_catalog": 1, "schemas": ' + b"[" * 99_999),
    "rows": gzip.compress(b'{"vulcan_catalog": 1, "parent": "x", "schemas": []}\n{"bytes": "a"}\n'),
    "bad rows": gzip.compress(b'{"vulcan_catalog": 1, "parent": "x", "schemas": []}\n]]]]\n'),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_catalog_that_is_none_is_passed_over_and_made_good(
    area: StagingArea, place: Place, garbage: str
) -> None:
    staged = put_many(area, 2)
    run(area, place.open())
    push(place, {HEAD_PATH: GARBAGE[garbage]})
    assert read(place.open()).rows["path_in_repo"].to_list() == sorted(staged)
    staged |= put_many(area, 1, prefix="next")
    report = run(area, place.open())
    assert (report.n_committed, report.errors) == (1, [])
    head = read_head(place.open(), place.open().head())
    assert head is not None
    assert head.recent.rows["path_in_repo"].to_list() == sorted(staged)


def lying(hub: LocalHub, repo: Repo, **lies: object) -> None:
    """A head file that says what is not so, as if by a commit of ours."""
    snapshot = repo.snapshot()
    head = read_head(repo, snapshot.head)
    assert head is not None
    told = Catalog(
        head.recent.rows.with_columns(
            **{
                name: pl.lit(value).cast(head.recent.rows[name].dtype)
                for name, value in lies.items()
            }
        ),
        head.recent.schemas,
    )
    hub.push(NAME, {HEAD_PATH: encode(told, {"parent": snapshot.head, "base": None})})


@pytest.mark.parametrize(
    ("lies", "why"),
    [
        ({"n_rows": 4}, "the catalog of its repo says something else of it"),
        ({"ks_id": 8}, "the catalog of its repo says something else of it"),
        ({"sha256": "0" * 64}, "it came with another SHA-256 than it should have"),
    ],
)
def test_a_shard_is_held_to_its_row(
    area: StagingArea, hub_place: Place, hub: LocalHub, lies: dict[str, object], why: str
) -> None:
    put_many(area, 1)
    run(area, hub_place.open())
    lying(hub, hub_place.open(), **lies)
    found = ask(hub_place.open())
    assert collected(found).height == 0
    assert [(str(shard.path), shard.reason) for shard in found.bad] == [(path_of("run000"), why)]


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/passwd", "README.md", "h12_2/h11_3/bucket_5/run_a__b.parquet"],
)
def test_a_row_of_what_no_shard_is_spoils_the_catalog(
    area: StagingArea, hub_place: Place, hub: LocalHub, path: str
) -> None:
    staged = put_many(area, 1)
    run(area, hub_place.open())
    lying(hub, hub_place.open(), path_in_repo=path)
    assert read(hub_place.open()).rows["path_in_repo"].to_list() == sorted(staged)


def test_what_is_no_shard_is_told_and_not_read_again(hub_place: Place, hub: LocalHub) -> None:
    bad = path_of("bad")
    push(hub_place, {**PEERS, bad: b"PAR1 nothing PAR1", path_of("tiny"): b"x"})
    for _ in range(2):
        found = read(hub_place.open())
        assert sorted(str(shard.path) for shard in found.bad) == [bad, path_of("tiny")]
        assert found.rows["path_in_repo"].to_list() == sorted(PEERS)
    requests = Requests(hub)
    read(hub_place.open())
    assert requests.told == OURS_ALONE[:1]


def test_p14_a_question_about_few_shards_is_told_of_no_others(hub_place: Place) -> None:
    bad, (path, *_) = path_of("bad"), sorted(PEERS)
    push(hub_place, {**PEERS, bad: b"PAR1 nothing PAR1"})
    # By footers, by what was learned, and by what was learned when all were asked for.
    for asked in ({path}, {path}, None, {path}):
        found = repo_catalog.read_repo(hub_place.open(), only=asked)
        assert found.rows["path_in_repo"].to_list() == (sorted(PEERS) if asked is None else [path])
        assert [str(shard.path) for shard in found.bad] == ([bad] if asked is None else [])


def test_a_footer_that_was_not_there_for_once_is_read_the_next_time(
    hub_place: Place, hub: LocalHub
) -> None:
    late, bad = path_of("late"), path_of("bad")
    push(hub_place, {**PEERS, late: shard_bytes("late"), bad: b"PAR1 nothing PAR1"})
    hub.add_faults(Fault("status", "/resolve/.*run_late", "GET", status=404))
    found = read(hub_place.open())
    assert [(str(shard.path), shard.reason) for shard in found.bad] == [
        (bad, "unreadable as parquet: no footer at its end"),
        (late, "it is gone since it was listed"),
    ]
    assert found.rows["path_in_repo"].to_list() == sorted(PEERS)
    requests = Requests(hub)
    again = read(hub_place.open())
    assert [str(shard.path) for shard in again.bad] == [bad]
    assert again.rows["path_in_repo"].to_list() == sorted([*PEERS, late])
    assert requests.told == [OURS_ALONE[0], ("GET", "shard", 206)]


def test_footers_that_were_read_before_the_hub_took_no_more_are_not_read_again(
    hub_place: Place, hub: LocalHub
) -> None:
    shards = {path_of(f"s{number:02d}"): shard_bytes(f"s{number:02d}") for number in range(40)}
    bad = path_of("bad")
    push(hub_place, {**shards, bad: b"PAR1 nothing PAR1"})
    # As a Hub does that allows so many requests in five minutes.
    for _ in range(3):
        hub.add_faults(Fault("status", r"/resolve/.*\.parquet", skip=12, times=None, status=429))
        with pytest.raises(RateLimited, match=r"^alice/vacua takes no more for now: "):
            read(hub_place.open())
        hub.clear_faults()
    requests = Requests(hub)
    found = read(hub_place.open())
    assert found.rows["path_in_repo"].to_list() == sorted(shards)
    assert [(str(shard.path), shard.reason) for shard in found.bad] == [
        (bad, "unreadable as parquet: no footer at its end")
    ]
    assert requests.told == [OURS_ALONE[0], *[("GET", "shard", 206)] * (40 + 1 - 3 * 12)]
    once_more = Requests(hub)
    again = read(hub_place.open())
    assert (again.rows.to_dicts(), [*map(str, again.bad)]) == (
        found.rows.to_dicts(),
        [*map(str, found.bad)],
    )
    assert once_more.told == OURS_ALONE[:1]


def test_p14_an_empty_file_in_the_place_of_a_shard_stands_in_no_readers_way(
    area: StagingArea, place: Place
) -> None:
    empty = path_of("empty")
    staged = {*put_many(area, 2)}
    assert run(area, place.open()).errors == []
    push(place, {empty: b""})
    for turn in range(2):
        found = read(place.open())
        assert found.rows["path_in_repo"].to_list() == sorted(staged)
        assert [(str(shard.path), shard.reason) for shard in found.bad] == [
            (empty, "unreadable as parquet: no footer at its end")
        ]
        staged |= put_many(area, 1, prefix=f"next{turn}").keys()
        assert run(area, place.open()).errors == []
    head = read_head(place.open(), place.open().head())
    assert head is not None
    assert set(head.recent.rows["path_in_repo"]) == staged | {empty}


@pytest.mark.parametrize("names", [True, False])
def test_a_repo_that_refuses_the_catalog_still_gets_all_shards(
    area: StagingArea, hub_place: Place, hub: LocalHub, *, names: bool
) -> None:
    staged = put_many(area, 9)
    hub.refuse_paths(Refusal("^_vulcan", message="No such files here.", names_path=names))
    report = run(area, hub_place.open(), max_batch=4)
    assert (report.n_committed, report.n_failed, report.exit_code) == (9, 0, 0)
    assert len(report.errors) == 1
    assert report.errors[0].startswith(f"the catalog in {NAME} is not brought up to date: ")
    assert (hub_place.tree().keys(), len(hub.tree(NAME))) == (staged.keys(), 10)
    hub.refuse_paths()
    put_many(area, 1, prefix="next")
    assert run(area, hub_place.open()).errors == []
    requests = Requests(hub)
    assert read(hub_place.open()).rows.height == 10
    assert requests.told == OURS_ALONE


def test_one_shard_alone_is_not_blamed_for_the_catalog(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    put_many(area, 1)
    hub.refuse_paths(Refusal("^_vulcan", names_path=False))
    report = run(area, hub_place.open())
    assert (report.n_committed, report.n_failed, len(hub.attempts(NAME))) == (1, 0, 2)


def test_two_syncs_in_turn_keep_one_catalog(
    hub_place: Place, hub: LocalHub, tmp_path: Path
) -> None:
    areas = [StagingArea(tmp_path / name) for name in "ab"]
    staged: dict[str, str] = {}
    for turn in range(3):
        for number, area in enumerate(areas):
            area.create()
            staged |= put_many(area, 2, prefix=f"t{turn}n{number}r")
            assert run(area, hub_place.open()).exit_code == 0
    requests = Requests(hub)
    assert read(hub_place.open()).rows["path_in_repo"].to_list() == sorted(staged)
    assert requests.told == OURS_ALONE


def test_an_older_commit_is_read_as_it_was(area: StagingArea, place: Place) -> None:
    first = put_many(area, 2)
    run(area, place.open())
    commit = place.open().head()
    put_many(area, 2, prefix="next")
    run(area, place.open())
    assert read(place.open(), commit).rows["path_in_repo"].to_list() == sorted(first)
    assert collected(ask(place.open(), commit)).height == 6
    assert collected(ask(place.open())).height == 12


def test_offline_what_was_read_is_read_again_and_the_rest_is_for_later(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    put_many(area, 3)
    run(area, hub_place.open())
    before = collected(ask(hub_place.open(), run_id=("run001",)))
    requests = Requests(hub)
    constants.HF_HUB_OFFLINE = True
    try:
        found = locate(None, [hub_place.open()], "repo")
        head = hub.refs(NAME)["refs/heads/main"][:12]
        assert found.description == f"{NAME} at {head}, as last seen from this machine"
        assert collected(query(found.catalog, Filters(run_id=("run001",)))).equals(before)
        with pytest.raises(TryLater) as error:
            collected(query(found.catalog, Filters(run_id=("run002",))))
        assert str(error.value) == f"{path_of('run002')} of {NAME} is not on this machine"
    finally:
        constants.HF_HUB_OFFLINE = False
    assert requests.told == []


def test_offline_a_catalog_that_does_not_tell_all_is_not_taken_for_all(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    """Others committed since, and what was learned of that is of another commit by now."""
    staged = put_many(area, 2)
    run(area, hub_place.open())
    ours = hub.refs(NAME)["refs/heads/main"]
    push(hub_place, PEERS)
    theirs = hub.refs(NAME)["refs/heads/main"]
    push(hub_place, {path_of("theirs"): shard_bytes("theirs")})
    every = sorted([*staged, *PEERS, path_of("theirs")])
    for revision in (ours, theirs, MAIN):
        read(hub_place.open(), revision)
    constants.HF_HUB_OFFLINE = True
    try:
        assert read(hub_place.open(), ours).rows["path_in_repo"].to_list() == sorted(staged)
        assert read(hub_place.open()).rows["path_in_repo"].to_list() == every
        with pytest.raises(TryLater) as error:
            read(hub_place.open(), theirs)
        assert str(error.value) == f"offline, and the list of shards of {NAME} is not here"
    finally:
        constants.HF_HUB_OFFLINE = False


def test_offline_what_the_hubs_own_client_brought_is_read(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    staged = put_many(area, 2)
    run(area, hub_place.open())
    cache = hub.root.parent / "cache"
    snapshot_download(NAME, repo_type="dataset", endpoint=hub.url, token=WRITE, cache_dir=cache)
    constants.HF_HUB_OFFLINE = True
    try:
        found = read(hub_place.open())
        assert found.rows["path_in_repo"].to_list() == sorted(staged)
        assert [path for path in found.files() if not isinstance(path, Path)] == []
    finally:
        constants.HF_HUB_OFFLINE = False


def test_offline_a_question_about_few_shards_is_not_taken_for_all(
    area: StagingArea, hub_place: Place
) -> None:
    (path, _) = sorted(put_many(area, 2))
    run(area, hub_place.open())
    push(hub_place, PEERS)
    repo_catalog.read_repo(hub_place.open(), only={path})
    constants.HF_HUB_OFFLINE = True
    try:
        with pytest.raises(TryLater) as error:
            read(hub_place.open())
        assert str(error.value) == f"offline, and the list of shards of {NAME} is not here"
    finally:
        constants.HF_HUB_OFFLINE = False


def test_a_repo_that_cannot_be_listed_gets_its_shards_without_a_catalog(
    area: StagingArea, hub_place: Place, hub: LocalHub
) -> None:
    staged = put_many(area, 2)
    hub.add_faults(Fault("status", "/tree/", "GET", status=403, times=None))
    report = run(area, hub_place.open())
    assert (report.n_committed, report.exit_code) == (2, 0)
    assert [error.partition(": ")[0] for error in report.errors] == [
        f"the catalog in {NAME} is not brought up to date"
    ]
    assert hub.tree(NAME).keys() == {".gitattributes", *staged}


def test_rows_come_back_as_they_were_written(place: Place, area: StagingArea) -> None:
    put_many(area, 3)
    run(area, place.open())
    head = read_head(place.open(), place.open().head())
    assert head is not None
    header, again = decode(encode(head.recent, {"a": 1}))
    assert header == {"vulcan_catalog": 1, "a": 1}
    assert again.rows.equals(head.recent.rows)
    assert encode(again, {"a": 1}) == encode(head.recent, {"a": 1})


def test_a_damaged_catalog_gives_one_error_or_rows(area: StagingArea, place: Place) -> None:
    """Bytes of the text inside are altered, so that the damage passes the checks of gzip."""
    put_many(area, 2)
    run(area, place.open())
    packed = place.open().fetch(HEAD_PATH).read_bytes()
    text = gzip.decompress(packed)
    outcomes = set()
    for place_of in range(0, len(text), 3):
        damaged = bytearray(text)
        damaged[place_of] ^= 1 << place_of % 8
        try:
            outcomes.add(decode(gzip.compress(bytes(damaged), 1))[1].rows.height)
        except ValueError:
            outcomes.add(-1)
    assert outcomes == {-1, 2}
    assert decode(packed)[1].rows.height == 2


def test_the_command_takes_three_requests_and_names_a_file_that_is_there(
    area: StagingArea, hub_place: Place, hub: LocalHub, tmp_path: Path
) -> None:
    put_many(area, 3)
    run(area, hub_place.open())

    def vulcan(*words: str, **more: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "vulcan_cli", "query", "--source", "repo", *words],
            env={**hub.client_env(), "VULCAN_REPO": NAME, **more},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    requests = Requests(hub)
    assert vulcan("--run-id", "run001", "--count") == ["3"]
    assert requests.told == OURS_ALONE
    (file,) = vulcan("--run-id", "run001", "--files")
    assert requests.told == [*OURS_ALONE, OURS_ALONE[0], ("GET", "shard", 200)]
    assert Path(file).read_bytes() == (area.synced / name_of("run001")).read_bytes()
    assert vulcan("--run-id", "run001", "--files", HF_HUB_OFFLINE="1") == [file]
    assert len(requests.told) == 4
