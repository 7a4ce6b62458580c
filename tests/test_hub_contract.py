"""What every repo does, be it a folder or on the Hub: one suite for both."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub_support import SHARDS, addition, commit_of, contents, plain_lfs, sha256
from tests.hubserver import WRITE, HubThread
from vulcan_cli.errors import BadShard, RepoMissing
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.hub.huggingface import HubRepo
from vulcan_cli.hub.repo import (
    NO_COMMIT,
    Addition,
    Changed,
    CommitOutcome,
    Landed,
    Ready,
    Refused,
    RemoteFile,
    Repo,
    Snapshot,
    Stale,
)


@dataclass(frozen=True)
class Place:
    """Where repos of one kind are: `open` gives a new object for a repo each time."""

    kind: str
    root: Path
    url: str

    def open(self, name: str = "vacua") -> Repo:
        if self.kind == "directory":
            return DirectoryRepo(self.root / "repos" / name)
        return HubRepo(
            f"alice/{name}", token=WRITE, endpoint=self.url, cache_dir=self.root / "cache"
        )


@pytest.fixture(params=["directory", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "directory":
        (tmp_path / "repos/vacua").mkdir(parents=True)
        yield Place("directory", tmp_path, "")
        return
    with plain_lfs(), HubThread(tmp_path / "hub") as hub:
        hub.create_repo("alice/vacua")
        yield Place("hub", tmp_path, hub.url)


def shards(repo: Repo) -> dict[str, int]:
    """Path to size of every parquet file, as the listing tells."""
    return {file.path: file.size for file in repo.files() if file.path.endswith(".parquet")}


def landed(outcome: CommitOutcome) -> str:
    assert isinstance(outcome, Landed), outcome
    return outcome.commit_id


def test_a_commit_lands_whole_and_is_remembered(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    repo.preflight()
    before = len(repo.log(10))
    one, two = (addition(tmp_path / "in", f"run_{x}", x.encode() * 9) for x in ("one", "two"))
    commit = commit_of(repo, one, two, title="vulcan: 2 shards")
    commit_id = landed(repo.commit(commit))

    assert re.fullmatch("[0-9a-f]{40}", commit_id)
    again = place.open()
    assert again.head() == commit_id
    assert again.look_up([one.path_in_repo, "h12_1/absent.parquet", two.path_in_repo]) == {
        each.path_in_repo: RemoteFile(each.path_in_repo, each.size, each.sha256)
        for each in (one, two)
    }
    assert shards(again) == {one.path_in_repo: 27, two.path_in_repo: 27}
    assert again.fetch(two.path_in_repo).read_bytes() == b"two" * 9
    newest = again.log(10)[0]
    assert (newest.id, newest.message, newest.description) == (
        commit_id,
        "vulcan: 2 shards",
        "batch 0123",
    )
    assert len(again.log(10)) == before + 1
    assert again.log(1) == [newest]


def test_a_commit_on_an_old_head_is_stale_and_changes_nothing(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    old = repo.head()
    first = addition(tmp_path / "in", "run_first", b"1")
    head = landed(repo.commit(commit_of(repo, first)))
    second = addition(tmp_path / "in", "run_second", b"2")

    assert repo.commit(commit_of(repo, second, parent=old)) == Stale()
    assert (repo.head(), shards(repo)) == (head, {first.path_in_repo: 1})
    assert place.open().commit(commit_of(repo, second)) == Landed(repo.head())


def test_what_is_there_already_needs_no_commit(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    first = addition(tmp_path / "in", "run_first", b"1")
    head = landed(repo.commit(commit_of(repo, first)))
    length = len(repo.log(10))

    assert repo.commit(commit_of(repo, first)) == Landed(head)
    assert (repo.head(), len(repo.log(10))) == (head, length)


def test_a_batch_that_is_partly_there_adds_the_rest(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    first = addition(tmp_path / "in", "run_first", b"1")
    second = addition(tmp_path / "in", "run_second", b"2")
    repo.commit(commit_of(repo, first))

    landed(repo.commit(commit_of(repo, first, second)))
    assert shards(repo) == {first.path_in_repo: 1, second.path_in_repo: 1}


def test_an_upload_shows_nothing_until_its_commit(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    head = repo.head()
    new = addition(tmp_path / "in", "run_new", b"new")

    assert repo.upload([new]) == Ready()
    assert (place.open().head(), shards(place.open())) == (head, {})
    new.local.unlink()
    landed(repo.commit(commit_of(repo, new)))
    assert contents(repo, new.path_in_repo) == {new.path_in_repo: sha256(b"new")}


def test_a_part_of_an_upload_can_be_committed(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    some = [addition(tmp_path / "in", f"run_{n}", b"%d" % n) for n in range(4)]
    repo.upload(some)

    landed(repo.commit(commit_of(repo, *some[1:3])))
    assert shards(repo) == {each.path_in_repo: 1 for each in some[1:3]}
    landed(repo.commit(commit_of(repo, *some)))
    assert shards(repo) == {each.path_in_repo: 1 for each in some}


def test_bytes_that_changed_since_the_check_do_not_land(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    good = addition(tmp_path / "in", "run_good", b"good")
    longer = addition(tmp_path / "in", "run_longer", b"longer")
    other = addition(tmp_path / "in", "run_other", b"other")
    gone = addition(tmp_path / "in", "run_gone", b"gone")
    other.local.write_bytes(b"OTHER")
    head = repo.head()

    assert repo.commit(commit_of(repo, good, other)) == Changed((other.path_in_repo,))
    longer.local.write_bytes(b"longer than it was")
    assert repo.commit(commit_of(repo, good, longer)) == Changed((longer.path_in_repo,))
    gone.local.unlink()
    assert repo.upload([gone, good]) == Changed((gone.path_in_repo,))
    assert (repo.head(), shards(repo)) == (head, {})


def test_the_checked_descriptor_is_what_is_sent(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    checked = addition(tmp_path / "in", "run_a", b"checked")
    fd = os.open(checked.local, os.O_RDONLY)
    try:
        checked.local.unlink()
        checked.local.write_bytes(b"swapped")
        by_fd = Addition(checked.path_in_repo, Path(f"/proc/self/fd/{fd}"), checked.sha256, 7)
        landed(repo.commit(commit_of(repo, by_fd)))
    finally:
        os.close(fd)
    assert repo.fetch(checked.path_in_repo).read_bytes() == b"checked"


@pytest.mark.parametrize(
    "path",
    [
        "../out.parquet",
        "/abs.parquet",
        "h12_1/../../out.parquet",
        "a//b.parquet",
        ".vulcan/commits/00000001.json",
        "a/.git/config",
        "./a.parquet",
        "a/",
        "",
        "line\nbreak.parquet",
        "back\\slash.parquet",
        "n" * 256,
    ],
)
def test_paths_that_lead_elsewhere_are_refused_by_name(
    place: Place, tmp_path: Path, path: str
) -> None:
    repo = place.open()
    good = addition(tmp_path / "in", "run_good", b"good")
    bad = Addition(path, good.local, good.sha256, good.size)
    head = repo.head()

    outcome = repo.commit(commit_of(repo, good, bad))
    assert isinstance(outcome, Refused)
    assert outcome.culprits == (path,)
    assert repo.look_up([path]) == {}
    assert (repo.head(), shards(repo)) == (head, {})


def test_names_that_cannot_stand_together_are_refused(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    file = addition(tmp_path / "in", "a/b", b"file")
    below = addition(tmp_path / "in", "a/b/c.parquet", b"below")
    other = addition(tmp_path / "in", "a/d.parquet", b"other")

    together = repo.commit(commit_of(repo, other, file, below))
    assert isinstance(together, Refused)
    assert together.culprits == ("a/b",)
    twice = repo.commit(commit_of(repo, other, file, file))
    assert isinstance(twice, Refused)
    assert twice.culprits == ("a/b",)
    landed(repo.commit(commit_of(repo, file)))
    later = repo.commit(commit_of(repo, below))
    assert isinstance(later, Refused)
    assert shards(repo) == {}


def test_older_commits_can_be_read(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    start = repo.head()
    first = addition(tmp_path / "in", "run_first", b"1")
    second = addition(tmp_path / "in", "run_second", b"2")
    old = landed(repo.commit(commit_of(repo, first)))
    new = landed(repo.commit(commit_of(repo, second)))
    both = [first.path_in_repo, second.path_in_repo]

    assert [list(repo.look_up(both, revision)) for revision in (start, old, new)] == [
        [],
        both[:1],
        both,
    ]
    assert [file.path for file in repo.files(old) if file.path in both] == both[:1]
    assert next(each.id for each in repo.log(9, old)) == old
    assert (repo.head(old), repo.head(new)) == (old, new)
    assert repo.fetch(both[0], old).read_bytes() == b"1"
    with pytest.raises(FileNotFoundError):
        repo.fetch(both[1], old)


def test_a_commit_may_be_named_by_the_beginning_of_its_id(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    first = addition(tmp_path / "in", "run_first", b"1")
    second = addition(tmp_path / "in", "run_second", b"2")
    old = landed(repo.commit(commit_of(repo, first)))
    new = landed(repo.commit(commit_of(repo, second)))
    both = [first.path_in_repo, second.path_in_repo]
    for digits in (7, 12, 39):
        ids = (old[:digits], new[:digits])
        assert [repo.head(each) for each in ids] == [old, new]
        assert [repo.snapshot(each) for each in ids] == [repo.snapshot(old), Snapshot(new, old)]
        assert [list(repo.look_up(both, each)) for each in ids] == [both[:1], both]
        assert [[file.path for file in repo.files(each) if file.path in both] for each in ids] == [
            both[:1],
            both,
        ]
        assert [repo.log(1, each)[0].id for each in ids] == [old, new]
        assert repo.fetch(both[0], ids[0]).read_bytes() == b"1"
        with pytest.raises(FileNotFoundError):
            repo.fetch(both[1], ids[0])
    for less in (new[:6], new[:12].upper(), f"{new[:12]}x", f"{new}0"):
        with pytest.raises(RepoMissing) as error:
            repo.head(less)
        assert (error.value.repo, error.value.revision) == (repo.name, less)


def test_what_is_not_there_is_said(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    nowhere = addition(tmp_path / "in", "run_a", b"a")
    with pytest.raises(FileNotFoundError) as missing:
        repo.fetch("h12_1/nothing.parquet")
    assert missing.value.filename == "h12_1/nothing.parquet"
    with pytest.raises(FileNotFoundError):
        repo.pull_request(7)
    assert repo.pull_requests() == []
    for call in (
        lambda: repo.head("nobranch"),
        lambda: repo.look_up(["a"], "nobranch"),
        lambda: list(repo.files("nobranch")),
        lambda: repo.log(3, "nobranch"),
        lambda: repo.upload([nowhere], "nobranch"),
        lambda: repo.commit(commit_of(repo, nowhere), "nobranch"),
        lambda: repo.preflight(revision="nobranch"),
    ):
        with pytest.raises(RepoMissing) as error:
            call()
        assert (error.value.repo, error.value.revision) == (repo.name, "nobranch")


def test_a_repo_that_is_missing_is_made_only_when_asked(place: Place, tmp_path: Path) -> None:
    repo = place.open("later")
    new = addition(tmp_path / "in", "run_a", b"a")
    for call in (
        repo.preflight,
        repo.head,
        lambda: repo.look_up(["a"]),
        lambda: list(repo.files()),
        lambda: repo.log(3),
        lambda: repo.upload([new]),
        lambda: repo.commit(commit_of(repo, new, parent="0" * 40)),
    ):
        with pytest.raises(RepoMissing) as error:
            call()
        assert (error.value.repo, error.value.revision) == (repo.name, None)
    repo.preflight(create=True)
    repo.preflight(create=True)
    landed(repo.commit(commit_of(repo, new)))
    assert shards(place.open("later")) == {new.path_in_repo: 1}


def test_any_number_of_files(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    many = [addition(tmp_path / "in", f"run_{n:04}", b"%d" % n) for n in range(300)]
    landed(repo.commit(commit_of(repo, *many)))

    asked = [each.path_in_repo for each in many] + [f"{SHARDS}/run_x{n}" for n in range(1000)]
    assert contents(repo, *asked) == {each.path_in_repo: each.sha256 for each in many}
    assert len(shards(repo)) == 300


def test_small_text_files_have_a_digest_too(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    card = addition(tmp_path / "in", "README.md", b"---\nlicense: mit\n---\n# Vacua\n")
    landed(repo.commit(commit_of(repo, card)))
    assert contents(repo, "README.md") == {"README.md": card.sha256}


def test_an_empty_batch_is_the_head(place: Place) -> None:
    repo = place.open()
    assert repo.commit(commit_of(repo)) == Landed(repo.head())


def test_of_many_writers_on_one_head_one_wins(place: Place, tmp_path: Path) -> None:
    parent = place.open().head()
    barrier = threading.Barrier(6)
    outcomes: list[CommitOutcome] = []

    def write(number: int) -> None:
        repo = place.open()
        new = addition(tmp_path / f"in{number}", f"run_{number}", b"%d" % number)
        repo.upload([new])
        barrier.wait()
        outcomes.append(repo.commit(commit_of(repo, new, parent=parent)))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    repo = place.open()
    assert sorted(type(each).__name__ for each in outcomes) == ["Landed"] + ["Stale"] * 5
    assert Landed(repo.head()) in outcomes
    assert len(shards(repo)) == 1


def test_keys_are_file_names_that_tell_repos_apart(place: Place) -> None:
    names = ["vacua", "Vacua2", "a__b", "a-b", "a_b", "x" * 90]
    keys = [place.open(name).key for name in names]
    assert all(re.fullmatch("[a-z0-9-]{1,60}", key) for key in keys)
    assert len(set(keys)) == len(names)
    assert place.open().key == keys[0]
    assert place.open().is_remote is (place.kind == "hub")


def test_a_file_of_our_own_takes_the_place_of_its_predecessor(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    path = "_vulcan/catalog/head"
    old = addition(tmp_path / "in", path, b"old")
    shard = addition(tmp_path / "in", "run_a", b"a")
    landed(repo.commit(commit_of(repo, old)))
    new = addition(tmp_path / "in", path, b"new")._replace(replaces=old.sha256)
    stale = repo.head()

    landed(repo.commit(commit_of(repo, shard, new)))

    assert contents(place.open(), path, shard.path_in_repo) == {
        path: new.sha256,
        shard.path_in_repo: shard.sha256,
    }
    assert repo.fetch(path).read_bytes() == b"new"
    again = addition(tmp_path / "in", path, b"again")._replace(replaces=new.sha256)
    assert repo.commit(commit_of(repo, again, parent=stale)) == Stale()
    assert repo.fetch(path).read_bytes() == b"new"
    landed(repo.commit(commit_of(repo, again)))
    assert repo.fetch(path).read_bytes() == b"again"


def test_a_snapshot_names_its_commit_and_the_one_before(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    start = repo.head()
    first = landed(repo.commit(commit_of(repo, addition(tmp_path / "in", "run_a", b"a"))))
    second = landed(repo.commit(commit_of(repo, addition(tmp_path / "in", "run_b", b"b"))))

    assert repo.snapshot() == Snapshot(second, first)
    assert repo.snapshot(first) == Snapshot(first, start)
    assert repo.snapshot(start) == Snapshot(start, NO_COMMIT)
    with pytest.raises(RepoMissing):
        repo.snapshot("nobranch")
    with pytest.raises(RepoMissing):
        place.open("absent").snapshot()


def test_a_stretch_of_a_file(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    file = addition(tmp_path / "in", "run_a", b"0123456789")
    head = landed(repo.commit(commit_of(repo, file)))

    def read(start: int, length: int) -> bytes:
        part = repo.read(file.path_in_repo, head, start=start, length=length)
        assert part.size == 10
        return part.data

    assert [read(0, 3), read(8, 9), read(-4, 4), read(-4, 2), read(-99, 99)] == [
        b"012",
        b"89",
        b"6789",
        b"67",
        b"0123456789",
    ]
    with pytest.raises(FileNotFoundError):
        repo.read("h12_1/absent.parquet", head, start=0, length=1)


def test_content_that_is_known_is_held_to_it(place: Place, tmp_path: Path) -> None:
    repo = place.open()
    file = addition(tmp_path / "in", "run_a", b"a")
    head = landed(repo.commit(commit_of(repo, file)))
    with pytest.raises(BadShard):
        repo.fetch(file.path_in_repo, head, sha256=sha256(b"b"))
    fetched = repo.fetch(file.path_in_repo, head, sha256=file.sha256)
    assert fetched.read_bytes() == b"a"
    assert repo.find(file.path_in_repo, head) == fetched
    assert repo.find(file.path_in_repo, head, sha256=file.sha256) == fetched
    assert repo.find(file.path_in_repo, head, sha256=sha256(b"b")) is None
    assert repo.find("h12_1/absent.parquet", head) is None
