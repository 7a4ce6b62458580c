"""Several repos behind one staging directory, and a sync that stays."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.staging_tools import start
from vulcan_cli.dataset.sources import locate
from vulcan_cli.errors import LeaseLost, RepoMissing, SyncAtWork, UsageError
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.intake import stage
from vulcan_cli.staging.lease import break_lease, read_owner
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.report import SyncReport
from vulcan_cli.sync.rounds import for_at_most, rounds
from vulcan_cli.sync.share import shares
from vulcan_cli.sync.spread import rehearse_all, sync_all
from vulcan_cli.sync.timing import Clock
from vulcan_cli.vacua.geometry import Geometry
from vulcan_cli.vacua.prepare import Run

NOW = datetime(2026, 6, 1, tzinfo=UTC)
# Homes follow from the folders of a run: so many that none of three repos stays without a shard.
GEOMETRIES = 40


def put(area: StagingArea, *, first: int = 0, charge: int = 5) -> None:
    rows = pl.DataFrame(
        {
            "flux": [[1, 0, 0, 2, -1, 0, 0, 3]],
            "moduli_re": [[0.1]],
            "moduli_im": [[1.2]],
            "tau_re": [0.0],
            "tau_im": [2.5],
        }
    )
    for number in range(first, first + GEOMETRIES):
        run = Run(geometry=Geometry(h12=1, ks_id=number), tadpole_charge=charge)
        stage(area, [("rows", lambda: rows)], run, now=NOW)


def held(repo: DirectoryRepo) -> set[str]:
    """The shards of a repo."""
    return {file.path for file in repo.files(repo.head()) if file.path.endswith(".parquet")}


def options(budget: int = 90) -> SyncOptions:
    return SyncOptions(budget=budget, create_repo=True)


@pytest.fixture
def area(tmp_path: Path) -> StagingArea:
    made = StagingArea(tmp_path / "staging")
    put(made)
    return made


def repos_in(folder: Path, names: str) -> list[DirectoryRepo]:
    return [DirectoryRepo(folder / name) for name in names]


def test_every_shard_is_in_one_repo_and_all_are_one_dataset(
    area: StagingArea, tmp_path: Path
) -> None:
    repos = repos_in(tmp_path, "ab")
    report = sync_all(area, repos, options())
    first, second = (held(repo) for repo in repos)
    assert (report.n_committed, report.n_remaining, report.n_commits) == (GEOMETRIES, 0, 2)
    assert (first & second, len(first | second)) == (set(), GEOMETRIES)
    assert min(len(first), len(second)) > 0
    found = locate(None, repos, "repo").catalog
    assert set(found.rows["path_in_repo"]) == first | second


def test_a_published_geometry_stays_when_a_repo_is_added(area: StagingArea, tmp_path: Path) -> None:
    repos = repos_in(tmp_path, "abc")
    sync_all(area, repos[:1], options())
    put(area, charge=6)
    put(area, first=GEOMETRIES)
    sync_all(area, repos, options())
    old = {Geometry(h12=1, ks_id=number).geometry_id for number in range(GEOMETRIES)}
    rows = locate(None, repos[1:], "repo").catalog.rows
    assert set(rows["geometry_id"]) & old == set()
    assert rows.height > 0


def test_a_trimmed_shard_is_read_from_its_own_repo(area: StagingArea, tmp_path: Path) -> None:
    repos = repos_in(tmp_path, "ab")
    sync_all(area, repos, options())
    for file in area.synced.iterdir():
        file.unlink()
    found = locate(area, repos, "auto").catalog
    assert found.rows.height == GEOMETRIES


def test_each_repo_has_its_own_budget_and_a_rehearsal_counts_alike(
    area: StagingArea, tmp_path: Path
) -> None:
    repos = repos_in(tmp_path, "ab")
    keys = [repo.key for repo in repos]
    rehearsed = rehearse_all(area, keys, options(budget=1), reserve=False)
    report = sync_all(area, repos, options(budget=1))
    assert (rehearsed.n_committed, rehearsed.n_commits) == (GEOMETRIES, 2)
    assert (report.n_committed, report.n_commits, report.stopped) == (GEOMETRIES, 2, None)


def test_the_next_slot_is_of_the_repos_for_which_shards_wait(
    area: StagingArea, tmp_path: Path
) -> None:
    repos = repos_in(tmp_path, "ab")
    sync_all(area, repos[:1], options(budget=1))
    # They go home to the first repo, whose slot is spent; the second has one, and no use for it.
    put(area, charge=6)
    alone = sync_all(area, repos[:1], options(budget=1))
    report = sync_all(area, repos, options(budget=1))
    assert report.n_remaining == alone.n_remaining == GEOMETRIES
    assert alone.next_slot_at is not None
    assert report.next_slot_at == alone.next_slot_at


def test_a_repo_that_fails_does_not_stop_the_other(area: StagingArea, tmp_path: Path) -> None:
    repos = repos_in(tmp_path, "ab")
    repos[1].preflight(create=True)
    report = sync_all(area, repos, SyncOptions())
    assert isinstance(report.stopped, RepoMissing)
    assert (report.exit_code, report.n_committed) == (4, len(held(repos[1])))
    assert report.n_remaining == GEOMETRIES - report.n_committed > 0


def test_what_was_done_is_told_where_another_sync_comes_between(
    area: StagingArea, tmp_path: Path
) -> None:
    repos = repos_in(tmp_path, "ab")
    others: list[subprocess.Popen[str]] = []

    def come_between(report: SyncReport, _left: int) -> None:
        if report.n_commits and not others:
            break_lease(area)
            others.append(start("hold", area.root, 30, 300))
            assert others[0].stdout is not None
            assert others[0].stdout.readline() == "held\n"

    one_by_one = SyncOptions(create_repo=True, max_batch=1)
    report = sync_all(area, repos, one_by_one, progress=come_between)
    (other,) = others
    owner = read_owner(area)
    assert other.communicate()[0] == "released\n"
    assert isinstance(report.stopped, LeaseLost)
    assert (report.n_committed, len(report.commit_oids), report.exit_code) == (1, 1, 7)
    assert report.n_remaining == GEOMETRIES - 1
    assert report.errors == [str(LeaseLost(str(owner))), str(SyncAtWork(str(owner)))]
    assert [len(held(repo)) for repo in repos[:1]] == [1]


def test_what_was_done_is_told_where_pending_is_lost_between(
    area: StagingArea, tmp_path: Path
) -> None:
    repos = repos_in(tmp_path, "ab")
    pending = area.root / "pending"
    reports: list[SyncReport] = []

    def lose(report: SyncReport, _left: int) -> None:
        if all(report is not each for each in reports):
            reports.append(report)
        if len(reports) > 1 and pending.exists():
            pending.rename(tmp_path / "lost")

    report = sync_all(area, repos, SyncOptions(create_repo=True), progress=lose)
    assert report.n_committed == len(held(repos[0])) > 0
    assert (report.n_remaining, report.exit_code) == (0, 4)
    assert report.errors == [f"there is no folder {pending}"]


def held_by_geometry(repo: DirectoryRepo) -> set[str]:
    return set(locate(None, [repo], "repo").catalog.rows["geometry_id"])


def test_a_geometry_goes_home_also_where_its_shard_is_staged_later(
    area: StagingArea, tmp_path: Path
) -> None:
    repos = repos_in(tmp_path, "ab")
    sync_all(area, repos, options())
    homes = [held_by_geometry(repo) for repo in repos]
    first, second = shares(area, [repo.key for repo in repos])
    put(area, charge=6)
    entries = area.scan("pending").entries
    taken = [[share.takes(entry) for entry in entries] for share in (first, second)]
    assert list(map(sum, taken)) == [len(held) for held in homes]
    assert [not one for one in taken[0]] == taken[1]


def test_a_shard_that_could_not_be_read_when_it_was_listed_goes_home(
    area: StagingArea, tmp_path: Path
) -> None:
    repos = repos_in(tmp_path, "ab")
    sync_all(area, repos, options())
    homes = [held_by_geometry(repo) for repo in repos]
    put(area, charge=6)
    whole = {path: path.read_bytes() for path in area.pending.glob("*.parquet")}
    for path in whole:
        path.chmod(0o640)
        path.write_bytes(b"half")

    def arrive(_report: SyncReport, _left: int) -> None:
        for path, data in whole.items():
            if path.exists():
                path.write_bytes(data)

    report = sync_all(area, repos, options(), progress=arrive)
    assert (report.n_committed, report.n_remaining, report.errors) == (GEOMETRIES, 0, [])
    assert [held_by_geometry(repo) for repo in repos] == homes


def test_the_first_home_of_a_geometry_in_two_repos_counts(
    area: StagingArea, tmp_path: Path
) -> None:
    repos = repos_in(tmp_path, "ab")
    keys = [repo.key for repo in repos]
    sync_all(area, repos, options())
    geometry_id = min(held_by_geometry(repos[0]))
    stray = next(e for e in Ledger(area).entries() if e.geometry_id == geometry_id)
    Ledger(area).append([stray._replace(repo=keys[1])])
    assert [share.is_home_of(geometry_id) for share in shares(area, keys)] == [True, False]


def test_a_repo_named_twice_is_refused(area: StagingArea, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        sync_all(area, repos_in(tmp_path, "aa"), options())


class Ticking:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.set_by = 0.0
        self.clock = Clock(
            now=lambda: self.time + self.set_by, sleep=self.sleep, monotonic=lambda: self.time
        )

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def test_rounds_begin_every_so_often_until_the_deadline() -> None:
    ticking = Ticking()
    began: list[float] = []

    def run() -> SyncReport:
        began.append(ticking.time)
        ticking.time += 100
        return SyncReport()

    stopping = for_at_most(2000, ticking.clock, lambda: False)
    list(rounds(run, every_s=900, clock=ticking.clock, stopping=stopping))
    assert began == [1000, 1900, 2800]


def test_a_round_takes_what_came_since_the_one_before(area: StagingArea, tmp_path: Path) -> None:
    ticking = Ticking()
    repos = repos_in(tmp_path, "a")

    def run() -> SyncReport:
        report = sync_all(area, repos, options())
        if ticking.time == 1000.0:
            put(area, first=GEOMETRIES)
        return report

    stopping = for_at_most(90, ticking.clock, lambda: False)
    reports = list(rounds(run, every_s=60, clock=ticking.clock, stopping=stopping))
    assert [(each.n_committed, each.n_remaining) for each in reports] == [
        (GEOMETRIES, 0),
        (GEOMETRIES, 0),
    ]
    assert len(held(repos[0])) == 2 * GEOMETRIES


@pytest.mark.parametrize("set_by", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_moves_no_end(set_by: float) -> None:
    ticking = Ticking()
    stopping = for_at_most(90, ticking.clock, lambda: False)
    ticking.set_by = set_by
    ticking.sleep(89)
    assert not stopping()
    ticking.sleep(1)
    assert stopping()


def test_one_round_without_every() -> None:
    assert len(list(rounds(SyncReport, every_s=None, clock=Clock(), stopping=lambda: False))) == 1


def test_another_sync_costs_a_round_and_ends_only_who_begins() -> None:
    ticking = Ticking()
    began: list[float] = []
    passed: list[str] = []

    def run() -> SyncReport:
        began.append(ticking.time)
        if ticking.time in busy:
            raise SyncAtWork("process 7")
        return SyncReport()

    stopping = for_at_most(2000, ticking.clock, lambda: False)
    busy = {1900.0}
    reports = rounds(
        run,
        every_s=900,
        clock=ticking.clock,
        stopping=stopping,
        passed=lambda why: passed.append(str(why)),
    )
    assert len(list(reports)) == 2
    assert (began, passed) == ([1000, 1900, 2800], ["another sync is at work: process 7"])
    ticking.time = 1900.0
    with pytest.raises(SyncAtWork):
        next(rounds(run, every_s=900, clock=ticking.clock, stopping=stopping))
