"""The repo that is a folder: killed anywhere, shared, full of links, read by who may not write."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_support import (
    SHARDS,
    addition,
    commit_of,
    contents,
    disk_of,
    read_only,
    sha256,
)
from vulcan_cli.errors import DiskTrouble, RepoMissing, UsageError
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.json_text import parse_json
from vulcan_cli.hub import commit_log
from vulcan_cli.hub.commit_log import Record, RecordedFile, parse_record
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.hub.incoming import tidy
from vulcan_cli.hub.repo import (
    NO_COMMIT,
    Commit,
    Landed,
    LoggedCommit,
    Ready,
    Refused,
    Removal,
    Stale,
)

PROJECT = Path(__file__).resolve().parents[1]

AS_NOBODY = """
import ctypes, os, sys  # all before the change: an ordinary user may not read this Python
from pathlib import Path
from vulcan_cli.errors import Denied
from vulcan_cli.hub.directory import DirectoryRepo
folder = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""
"""The start of a program that goes on as an ordinary user, who may write to nothing of ours."""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def writer(repo: Path, source: Path, *sets: str) -> list[str]:
    return [sys.executable, "-m", "tests.hub_writer", str(repo), str(source), *sets]


def killed_at(call: str, number: int, command: list[str]) -> bool:
    """Run a command and kill it as it enters its N-th such system call; whether it came so far."""
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"),
            *("-e", f"inject={call}:signal=KILL:when={number}", *command),
        ],
        cwd=PROJECT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode != 0


def as_nobody(folder: Path, program: str) -> str:
    """What a program prints that goes on from `AS_NOBODY`."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY + program, str(folder)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=PROJECT,
    )
    return done.stdout


def visible(folder: Path) -> dict[str, bytes]:
    """Every file that a reader of the plain folder finds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.parquet"))
    }


def hidden_names(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder / ".vulcan")) for path in (folder / ".vulcan").rglob("*")
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("run_a", "run_b", "run_c"):
        (folder / name).write_bytes(name.encode() * 5)
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> DirectoryRepo:
    (tmp_path / "repo").mkdir()
    return DirectoryRepo(tmp_path / "repo")


EXPECTED = {f"{SHARDS}/run_{x}.parquet": f"run_{x}".encode() * 5 for x in "abc"}
DIGESTS = {path: sha256(data) for path, data in EXPECTED.items()}


@needs_strace
@pytest.mark.parametrize("call", ["mkdirat", "write", "fsync", "renameat", "linkat", "unlinkat"])
def test_killed_at_any_call_a_commit_is_there_whole_or_not_at_all(
    tmp_path: Path, source: Path, call: str
) -> None:
    """After each death the next to open the repo finds all three files or none, and can go on."""
    points = 0
    for number in range(1, 40):
        folder = tmp_path / f"repo{number}"
        folder.mkdir()
        if not killed_at(call, number, writer(folder, source, "run_a,run_b,run_c")):
            break
        points += 1
        repo = DirectoryRepo(folder)
        found = contents(repo, *EXPECTED)
        assert found in ({}, DIGESTS)
        assert (repo.head() == NO_COMMIT) == (found == {})
        assert all(EXPECTED[path] == data for path, data in visible(folder).items())
        assert not [name for name in hidden_names(folder) if name.endswith(".parquet")]

        again = [addition(tmp_path / "again", f"run_{x}", f"run_{x}".encode() * 5) for x in "abc"]
        assert isinstance(repo.commit(commit_of(repo, *again)), Landed)
        assert visible(folder) == EXPECTED
        assert len(repo.log(9)) == 1
    assert points > 0


@needs_strace
def test_who_may_not_write_reads_a_commit_that_is_not_carried_out(source: Path) -> None:
    top = Path(tempfile.mkdtemp(prefix="vulcan-"))
    try:
        top.chmod(0o755)
        folder = top / "repo"
        folder.mkdir(mode=0o755)
        # The first link is the commit; at the second it dies.
        assert killed_at("linkat", 2, writer(folder, source, "run_a,run_b,run_c"))
        assert visible(folder) == {}
        kept = [folder, *(each for each in folder.rglob("*") if each.is_dir())]
        for each in kept:
            each.chmod(0o555)
        told = as_nobody(
            folder,
            "repo = DirectoryRepo(folder)\n"
            "print(sorted((f.path, f.size, repo.fetch(f.path).read_bytes(),\n"
            "              repo.look_up([f.path])[f.path]) for f in repo.files()))",
        )
        for each in kept:
            each.chmod(0o755)
        assert visible(folder) == {}
        owner = DirectoryRepo(folder)
        wanted = sorted(
            (path, len(data), data, owner.look_up([path])[path]) for path, data in EXPECTED.items()
        )
        assert told == f"{wanted}\n"
        assert visible(folder) == EXPECTED
        assert hidden_names(folder) == ["commits", "commits/00000001.json", "incoming"]
    finally:
        shutil.rmtree(top)


def test_many_processes_commit_each_shard_once(tmp_path: Path) -> None:
    folder, source = tmp_path / "repo", tmp_path / "in"
    folder.mkdir()
    source.mkdir()
    names = [f"run_{each}-{n}" for each in range(4) for n in range(6)]
    names.append("run_shared")
    for name in names:
        (source / name).write_bytes(name.encode())
    started = [
        subprocess.Popen(
            writer(folder, source, *(f"run_{each}-{n},run_shared" for n in range(6))),
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for each in range(4)
    ]
    assert [each.communicate()[0] for each in started] == ["Landed\n" * 6] * 4
    assert visible(folder) == {f"{SHARDS}/{name}.parquet": name.encode() for name in names}
    records = [json.loads(p.read_bytes()) for p in sorted((folder / ".vulcan/commits").iterdir())]
    assert [each["number"] for each in records] == list(range(1, len(records) + 1))
    assert [each["parent"] for each in records] == [NO_COMMIT, *(r["id"] for r in records[:-1])]
    committed = [file["path"] for each in records for file in each["files"]]
    assert sorted(committed) == sorted(f"{SHARDS}/{name}.parquet" for name in names)
    assert [p.name for p in (folder / ".vulcan/incoming").iterdir()] == []


def test_what_others_take_away_while_it_is_tidied_is_no_trouble(tmp_path: Path) -> None:
    class Busy(Folder):
        """A folder out of which another process takes something once it is listed."""

        def scan(self) -> Iterator[os.DirEntry[str]]:
            found = list(super().scan())
            (tmp_path / "theirs").rmdir()
            return iter(found)

    for name in ("ours", "theirs", "old"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "old", (1, 1))
    with Busy.open(tmp_path) as folder:
        tidy(folder, "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_a_record_says_all_and_nothing_else_is_kept(repo: DirectoryRepo, tmp_path: Path) -> None:
    new = addition(tmp_path / "in", "run_a", b"abc")
    dated = DirectoryRepo(repo.root, clock=lambda: 1_700_000_000.25, new_name=lambda: "cafe")
    outcome = dated.commit(Commit("vulcan: 1 shard", "batch 7", NO_COMMIT, (new,)))

    record = json.loads((repo.root / ".vulcan/commits/00000001.json").read_bytes())
    assert record == {
        "id": repo.head(),
        "number": 1,
        "parent": NO_COMMIT,
        "message": "vulcan: 1 shard",
        "description": "batch 7",
        "time": 1_700_000_000.25,
        "incoming": "cafe",
        "files": [{"path": new.path_in_repo, "sha256": new.sha256, "size": 3, "part": "000000"}],
    }
    assert outcome == Landed(record["id"])
    assert repo.log(5) == [
        LoggedCommit(record["id"], "vulcan: 1 shard", "batch 7", 1_700_000_000.25)
    ]
    assert hidden_names(repo.root) == ["commits", "commits/00000001.json", "incoming"]


def test_other_content_is_never_replaced(repo: DirectoryRepo, tmp_path: Path) -> None:
    first = addition(tmp_path / "in", "run_a", b"first")
    repo.commit(commit_of(repo, first))
    other = addition(tmp_path / "in", "run_a", b"other")
    good = addition(tmp_path / "in", "run_b", b"good")
    stranger = repo.root / SHARDS / "run_c.parquet"
    stranger.write_bytes(b"put here by hand")
    third = addition(tmp_path / "in", "run_c", b"third")

    outcome = repo.commit(commit_of(repo, other, good, third))
    assert outcome == Refused(
        "the path holds other content, which is never replaced",
        (first.path_in_repo, third.path_in_repo),
    )
    assert visible(repo.root) == {
        first.path_in_repo: b"first",
        third.path_in_repo: b"put here by hand",
    }


def test_what_stands_in_the_folder_is_what_is_said(repo: DirectoryRepo, tmp_path: Path) -> None:
    some = [addition(tmp_path / "in", f"run_{n}", b"%d" % n) for n in range(3)]
    repo.commit(commit_of(repo, *some))
    tree = repo.root / SHARDS
    (tree / "run_1.parquet").write_bytes(b"rotten")
    (tree / "run_2.parquet").unlink()
    (tree / ".hidden.parquet").write_bytes(b"not ours")

    assert contents(repo, *(each.path_in_repo for each in some)) == {
        some[0].path_in_repo: sha256(b"0"),
        some[1].path_in_repo: sha256(b"rotten"),
    }
    assert [(file.path, file.size, file.sha256) for file in repo.files()] == [
        (some[0].path_in_repo, 1, None),
        (some[1].path_in_repo, 6, None),
    ]
    assert isinstance(repo.commit(commit_of(repo, some[2])), Landed)
    assert contents(repo, some[2].path_in_repo) == {some[2].path_in_repo: sha256(b"2")}


@pytest.mark.parametrize("link", ["h12_2", "h12_2/h11_3", SHARDS])
def test_nothing_is_written_or_read_through_a_link(
    repo: DirectoryRepo, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "run_a.parquet").write_bytes(b"secret")
    (repo.root / link).parent.mkdir(parents=True, exist_ok=True)
    (repo.root / link).symlink_to(outside, target_is_directory=True)
    new = addition(tmp_path / "in", "run_b", b"b")
    free = addition(tmp_path / "in", "h12_9/free.parquet", b"free")

    outcome = repo.commit(commit_of(repo, new, free))
    assert isinstance(outcome, Refused)
    assert outcome.culprits == (new.path_in_repo,)
    assert contents(repo, f"{SHARDS}/run_a.parquet") == {}
    assert list(repo.files()) == []
    assert [path.name for path in outside.iterdir()] == ["run_a.parquet"]


def test_a_linked_file_is_no_file_of_the_repo(repo: DirectoryRepo, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (repo.root / SHARDS).mkdir(parents=True)
    path = f"{SHARDS}/run_a.parquet"
    (repo.root / path).symlink_to(secret)
    os.mkfifo(repo.root / SHARDS / "run_fifo.parquet")
    fifo = addition(tmp_path / "in", "run_fifo", b"x")
    same = addition(tmp_path / "in", "run_a", b"secret")

    assert contents(repo, path, fifo.path_in_repo) == {}
    with pytest.raises(FileNotFoundError):
        repo.fetch(path)
    outcome = repo.commit(commit_of(repo, same, fifo))
    assert isinstance(outcome, Refused)
    assert (repo.root / path).is_symlink()


def test_a_hidden_folder_that_is_a_link_is_not_used(repo: DirectoryRepo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo.root / ".vulcan").symlink_to(outside, target_is_directory=True)
    new = addition(tmp_path / "in", "run_a", b"a")
    with pytest.raises(DiskTrouble):
        repo.commit(commit_of(repo, new, parent=NO_COMMIT))
    assert list(outside.iterdir()) == []


def test_a_folder_taken_by_another_between_check_and_place(
    repo: DirectoryRepo, tmp_path: Path, source: Path
) -> None:
    """The commit has landed, its writer died, and somebody put a file in the way."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    assert killed_at("linkat", 2, writer(repo.root, source, "run_a,run_b,run_c"))
    in_the_way = repo.root / SHARDS / "run_b.parquet"
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_bytes(b"mine")
    paths = sorted(EXPECTED)

    assert contents(repo, *paths) == DIGESTS | {paths[1]: sha256(b"mine")}
    assert in_the_way.read_bytes() == b"mine"
    more = addition(tmp_path / "more", "run_d", b"d")
    assert isinstance(repo.commit(commit_of(repo, more)), Landed)
    assert in_the_way.read_bytes() == b"mine"


def test_debris_goes_after_a_day_and_not_before(repo: DirectoryRepo, tmp_path: Path) -> None:
    young, old = DirectoryRepo(repo.root), DirectoryRepo(repo.root)
    one, two, three = (addition(tmp_path / "in", f"run_{n}", b"%d" % n) for n in range(3))
    for each, new in ((young, one), (old, two)):
        assert each.upload([new]) == Ready()
    incoming = repo.root / ".vulcan/incoming"
    names = sorted(path.name for path in incoming.iterdir())
    (aged,) = (name for name in names if (incoming / name / "000000").read_bytes() == b"1")
    yesterday = time.time() - 86_500
    os.utime(incoming / aged, (yesterday, yesterday))

    head = repo.head()
    assert isinstance(repo.commit(commit_of(repo, three)), Landed)
    assert [path.name for path in incoming.iterdir()] == [name for name in names if name != aged]
    assert old.commit(commit_of(old, two, parent=head)) == Stale()
    # Content that was cleared away is brought again.
    assert isinstance(old.commit(commit_of(old, two)), Landed)
    assert old.commit(commit_of(old, two)) == Landed(repo.head())
    assert isinstance(young.commit(commit_of(young, one)), Landed)
    assert sorted(visible(repo.root).values()) == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("written", "altered", "reason"),
    [
        (b'"one"', b'"two"', "a commit record was altered"),
        # To Python the same number, and in a record another text.
        (b'"size": 1', b'"size": 1.0', "a commit record was altered"),
        (b'"one"', b'["one"]', "not a commit record: unhashable type: 'list'"),
    ],
)
def test_a_record_that_was_altered_is_not_believed(
    repo: DirectoryRepo, tmp_path: Path, written: bytes, altered: bytes, reason: str
) -> None:
    repo.commit(commit_of(repo, addition(tmp_path / "in", "run_a", b"a")))
    repo.head()
    record = repo.root / ".vulcan/commits/00000001.json"
    assert record.read_bytes().count(written) == 1
    record.write_bytes(record.read_bytes().replace(written, altered))
    with pytest.raises(DiskTrouble) as error:
        repo.head()
    assert str(error.value) == f"{repo.root}/.vulcan: {reason}"


def test_a_record_that_is_nested_too_deep_is_not_believed(
    repo: DirectoryRepo, tmp_path: Path
) -> None:
    repo.commit(commit_of(repo, addition(tmp_path / "in", "run_a", b"a")))
    (repo.root / ".vulcan/commits/00000001.json").write_bytes(b"[" * 100_000)
    with pytest.raises(DiskTrouble) as error:
        repo.head()
    assert str(error.value) == f"{repo.root}/.vulcan: it is nested too deep"


def test_a_folder_has_no_pull_requests(repo: DirectoryRepo, tmp_path: Path) -> None:
    new = addition(tmp_path / "in", "run_a", b"a")
    with pytest.raises(UsageError):
        repo.preflight(create_pr=True)
    with pytest.raises(UsageError):
        repo.upload([new], create_pr=True)
    with pytest.raises(UsageError):
        repo.commit(commit_of(repo, new), create_pr=True)
    assert hidden_names(repo.root) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "repo").write_text("no folder")
    with pytest.raises(RepoMissing):
        DirectoryRepo(tmp_path / "repo").preflight()


def test_a_folder_that_others_own_is_denied_before_anything_is_copied() -> None:
    top = Path(tempfile.mkdtemp(prefix="vulcan-"))
    try:
        top.chmod(0o555)
        told = as_nobody(
            top,
            "try: DirectoryRepo(folder).preflight()\n"
            "except Denied as error: print(error, error.path)",
        )
        assert told == f"{top}: permission denied {top}\n"
    finally:
        top.chmod(0o755)
        top.rmdir()


def test_a_disk_that_is_read_only_is_the_disks_trouble(tmp_path: Path) -> None:
    new = addition(tmp_path / "in", "run_a", b"a")
    with disk_of("1m") as top:
        repo = DirectoryRepo(top / "repo")
        repo.preflight(create=True)
        read_only(top)
        for ask in (repo.preflight, lambda: repo.upload([new])):
            with pytest.raises(DiskTrouble) as error:
                ask()
            assert str(error.value) == f"{top}/repo: Read-only file system"
            assert (error.value.path, error.value.errno) == (top / "repo", errno.EROFS)


def test_a_full_disk_is_said_and_leaves_the_repo_as_it_was(
    small_disk: Path, tmp_path: Path
) -> None:
    repo = DirectoryRepo(small_disk)
    small = addition(tmp_path / "in", "run_small", b"s" * 1000)
    large = addition(tmp_path / "in", "run_large", b"l" * 300_000)
    head = repo.commit(commit_of(repo, small))
    with pytest.raises(DiskTrouble):
        repo.commit(commit_of(repo, large))
    assert Landed(repo.head()) == head
    assert visible(small_disk) == {small.path_in_repo: b"s" * 1000}
    other = addition(tmp_path / "in", "run_other", b"o" * 1000)
    assert isinstance(repo.commit(commit_of(repo, other)), Landed)


REPLACING = """
import hashlib, sys
from pathlib import Path
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.hub.repo import Addition, Commit, Removal
repo, source = DirectoryRepo(Path(sys.argv[1])), Path(sys.argv[2])
def sha(data): return hashlib.sha256(data).hexdigest()
def add(path, name, replaces=None):
    data = (source / name).read_bytes()
    return Addition(path, source / name, sha(data), len(data), replaces)
old = add("_vulcan/head", "run_b", sha((source / "run_a").read_bytes()))
gone = Removal("part/old", sha((source / "run_b").read_bytes()))
files = (old, add("h12_1/run_c.parquet", "run_c"))
repo.commit(Commit("two", "", repo.head(), files, (gone,)))
"""
"""Commits a shard with new content for a file of our own, and takes another out."""


@needs_strace
@pytest.mark.parametrize("call", ["write", "fsync", "rename", "renameat", "linkat", "unlinkat"])
def test_killed_at_any_call_a_replaced_file_is_the_old_one_or_the_new_one(
    tmp_path: Path, source: Path, call: str
) -> None:
    points = 0
    for number in range(1, 40):
        folder = tmp_path / f"repo{number}"
        folder.mkdir()
        repo = DirectoryRepo(folder)
        ours = {"_vulcan/head": b"run_a" * 5, "part/old": b"run_b" * 5}
        before = repo.commit(
            commit_of(repo, *(addition(tmp_path, name, data) for name, data in ours.items()))
        )
        assert isinstance(before, Landed)
        command = [sys.executable, "-c", REPLACING, str(folder), str(source)]
        if not killed_at(call, number, command):
            break
        points += 1
        repo = DirectoryRepo(folder)
        landed = repo.head() != before.commit_id
        new = {"_vulcan/head": b"run_b" * 5, "h12_1/run_c.parquet": b"run_c" * 5}
        wanted = {name: sha256(data) for name, data in (new if landed else ours).items()}
        assert contents(repo, *ours, *new) == wanted
        assert {file.path for file in repo.files()} == wanted.keys()
        subprocess.run(command, cwd=PROJECT, check=True)
        assert (folder / "_vulcan/head").read_bytes() == b"run_b" * 5
        assert len(repo.log(9)) == 2
    assert points > 0 or call == "rename"


def test_a_file_is_replaced_only_by_who_knows_what_it_is(
    repo: DirectoryRepo, tmp_path: Path
) -> None:
    old = addition(tmp_path / "in", "_vulcan/head", b"old")
    new = addition(tmp_path / "in", "_vulcan/head", b"new")
    assert isinstance(repo.commit(commit_of(repo, old)), Landed)
    (repo.root / "_vulcan/head").write_bytes(b"a person's")

    for replaces in (None, old.sha256):
        outcome = repo.commit(commit_of(repo, new._replace(replaces=replaces)))
        assert outcome == Refused(
            "the path holds other content, which is never replaced", ("_vulcan/head",)
        )
    assert (repo.root / "_vulcan/head").read_bytes() == b"a person's"
    knowing = new._replace(replaces=sha256(b"a person's"))
    assert isinstance(repo.commit(commit_of(repo, knowing)), Landed)
    assert (repo.root / "_vulcan/head").read_bytes() == b"new"


def test_of_a_replaced_file_only_the_newest_content_is_kept(
    repo: DirectoryRepo, tmp_path: Path
) -> None:
    old = addition(tmp_path / "in", "_vulcan/head", b"old")
    first = repo.commit(commit_of(repo, old))
    assert isinstance(first, Landed)
    assert repo.fetch(old.path_in_repo, first.commit_id).read_bytes() == b"old"
    new = addition(tmp_path / "in", "_vulcan/head", b"new")._replace(replaces=old.sha256)
    repo.commit(commit_of(repo, new))

    assert repo.look_up([old.path_in_repo], first.commit_id) == {}
    with pytest.raises(FileNotFoundError):
        repo.fetch(old.path_in_repo, first.commit_id)
    assert contents(repo, "_vulcan/head") == {"_vulcan/head": new.sha256}


def test_a_file_is_taken_out_only_by_who_knows_what_it_is(
    repo: DirectoryRepo, tmp_path: Path
) -> None:
    files = [addition(tmp_path / "in", f"part/{name}", name.encode()) for name in "ab"]
    first = repo.commit(commit_of(repo, *files))
    assert isinstance(first, Landed)
    new = addition(tmp_path / "in", "part/c", b"c")

    strange = commit_of(repo, new)._replace(removals=(Removal("part/a", "0" * 64),))
    why = "the path holds other content, which is never replaced"
    assert repo.commit(strange) == Refused(why, ("part/a",))
    known = [Removal("part/a", files[0].sha256), Removal("part/never", "0" * 64)]
    assert isinstance(repo.commit(commit_of(repo, new)._replace(removals=tuple(known))), Landed)

    assert sorted(path.name for path in (repo.root / "part").iterdir()) == ["b", "c"]
    assert [file.path for file in repo.files()] == ["part/b", "part/c"]
    assert [file.path for file in repo.files(first.commit_id)] == ["part/b"]
    assert isinstance(repo.commit(commit_of(repo, files[0])), Landed)
    assert sorted(file.path for file in repo.files()) == ["part/a", "part/b", "part/c"]


def test_who_may_only_read_does_not_see_what_is_taken_out(
    repo: DirectoryRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = addition(tmp_path / "in", "part/a", b"a")
    assert isinstance(repo.commit(commit_of(repo, old)), Landed)
    new = addition(tmp_path / "in", "part/b", b"b")

    def may_not(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("vulcan_cli.hub.directory.give_places", may_not)
    removals = (Removal("part/a", old.sha256),)
    assert isinstance(repo.commit(commit_of(repo, new)._replace(removals=removals)), Landed)

    assert (repo.root / "part/a").exists()
    assert contents(repo, "part/a", "part/b") == {"part/b": new.sha256}
    assert [file.path for file in repo.files()] == ["part/b"]
    with pytest.raises(FileNotFoundError):
        repo.fetch("part/a")


def test_a_commit_is_read_once_for_all_of_its_files(
    repo: DirectoryRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [addition(tmp_path / "in", f"part/{name}", name.encode()) for name in "abc"]
    first = repo.commit(commit_of(repo, *files))
    assert isinstance(first, Landed)
    assert isinstance(repo.commit(commit_of(repo, addition(tmp_path / "in", "d", b"d"))), Landed)
    parsed: list[bytes] = []

    def parse(data: bytes) -> object:
        parsed.append(data)
        return parse_json(data)

    monkeypatch.setattr(commit_log, "parse_json", parse)
    parse_record.cache_clear()

    for file in files:
        repo.fetch(file.path_in_repo)
    newest = (repo.root / ".vulcan/commits/00000002.json").read_bytes()
    assert parsed == [newest]

    repo.fetch(files[0].path_in_repo, first.commit_id)
    parsed.clear()
    for file in files:
        repo.fetch(file.path_in_repo, first.commit_id)
    assert parsed == []


def test_records_of_an_older_version_keep_their_ids() -> None:
    record = Record(1, NO_COMMIT, "m", "d", 1.5, "in", (RecordedFile("a/b", "f" * 64, 3, "0"),))
    replacing = RecordedFile("a/b", "f" * 64, 3, "0", "e" * 64)
    assert "replaces" not in record.as_bytes().decode()
    assert "removed" not in record.as_bytes().decode()
    assert record.id == "0a9798f7715f9bc2b4267daafb2e5de4deb5e9b7"
    assert parse_record(record.as_bytes()) == record
    changed = Record(1, NO_COMMIT, "m", "d", 1.5, "in", (replacing,))
    assert parse_record(changed.as_bytes()) == changed
