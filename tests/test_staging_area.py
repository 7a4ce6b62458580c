"""The staging directory, and the text in it that anybody may have written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.staging_tools import meta_of, name_of, names, path_in_repo, run, sidecar, stage
from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp
from vulcan_cli.staging.area import StagingArea, disk_trouble
from vulcan_cli.staging.journal import BatchRecord, Journal, JournalShard
from vulcan_cli.staging.journal import _parse as parse_journal
from vulcan_cli.staging.ledger import Ledger, LedgerEntry
from vulcan_cli.staging.listing import Counts
from vulcan_cli.staging.records import RecordError
from vulcan_cli.staging.sidecar import parse_sidecar

SHA = "a" * 64


def test_it_is_made_with_the_folders_above_it(tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "deep" / "staging")
    assert not area.exists()
    area.create()
    area.create()
    assert area.exists()
    assert names(area.root) == ["failed", "pending", "synced"]


@pytest.mark.parametrize(
    ("about", "name", "named"),
    [
        ("/s/pending", "a.parquet", "/s/pending/a.parquet"),
        ("/s/pending", ".v1-2-3.tmp", "/s/pending"),
        ("/s/pending", "/proc/self/fd/3", "/s/pending"),
        ("/s/pending", None, "/s/pending"),
        ("/s/ledger", "ledger", "/s/ledger"),
    ],
)
def test_an_error_names_the_file_in_an_open_folder(
    about: str, name: str | None, named: str
) -> None:
    with pytest.raises(DiskTrouble) as caught, disk_trouble(Path(about)):
        raise OSError(5, "Input/output error", name)
    assert str(caught.value) == f"{named}: Input/output error"


def test_a_shared_one_lets_workers_write_to_pending_alone(tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "staging")
    area.create()
    area.create(shared=True)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in area.root.iterdir()}
    assert modes == {"pending": 0o3770, "synced": 0o2750, "failed": 0o2750, "_vulcan": 0o2750}
    assert area.root.stat().st_mode & 0o7777 == 0o2750
    assert area.wider_than_needed() == ()
    area.pending.chmod(0o777)
    area.synced.chmod(0o770)
    assert area.wider_than_needed() == (area.pending, area.synced)


def test_a_listing_tells_shards_from_what_is_not_ours(area: StagingArea) -> None:
    stage(area, "b")
    stage(area, "a")
    (area.pending / meta_of("lone")).write_text("")
    (area.pending / name_of("bare")).write_text("")
    for foreign in ("x.parquet.12.ab.tmp", ".nfs0001", "README"):
        (area.pending / foreign).write_text("")
    (area.pending / ".v12.tmp").write_text("")
    listing = area.scan("pending")
    assert [(entry.name, entry.has_parquet, entry.has_sidecar) for entry in listing.entries] == [
        (name_of("a"), True, True),
        (name_of("b"), True, True),
        (name_of("bare"), True, False),
        (name_of("lone"), False, True),
    ]
    assert (listing.foreign, listing.temporaries) == (3, 1)
    first = listing.entries[0]
    assert first.path_in_repo == path_in_repo("a")
    assert first.parquet == area.pending / name_of("a")
    assert first.sidecar == area.pending / meta_of("a")


def test_counts_follow_no_link_and_open_nothing(area: StagingArea) -> None:
    sizes = [stage(area, run).size for run in ("a", "b")]
    os.utime(area.pending / name_of("b"), (5.0, 5.0))
    (area.pending / name_of("link")).symlink_to("/etc/passwd")
    os.mkfifo(area.pending / name_of("fifo"))
    (area.pending / "README").write_text("")
    (folder,) = {name_of(run).rpartition("__run_")[0] for run in ("a", "b", "link", "fifo")}
    folders = {folder.replace("__", "/"): 4}
    assert area.counts("pending") == Counts(4, sum(sizes), 5.0, 1, 0, folders)
    assert area.counts("synced") == Counts(0, 0, None, 0, 0, {})


@pytest.mark.parametrize("made", ["missing", "file", "link"])
def test_p17_what_is_no_folder_of_ours_is_refused(
    area: StagingArea, tmp_path: Path, made: str
) -> None:
    area.pending.rmdir()
    make: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "file": lambda: area.pending.write_text(""),
        "link": lambda: area.pending.symlink_to(tmp_path),
    }
    make[made]()
    with pytest.raises(NotSetUp) as caught:
        area.scan("pending")
    assert caught.value.setting == "staging_dir"
    with pytest.raises(NotSetUp):
        area.counts("pending")


DEEP = b"[" * 100_000

BAD_SIDECARS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<html>",
    "a list": b"[]",
    "too deep": b'{"path_in_repo": ' + DEEP,
    "not UTF-8": b'{"a": "\xff"}',
    "a number of 5000 digits": b'{"n_rows": ' + b"9" * 5000 + b"}",
    "larger than a megabyte": json.dumps({**sidecar("a"), "x": "x" * (1 << 20)}).encode(),
    "no path": json.dumps({**sidecar("a"), "path_in_repo": None}).encode(),
    "a path that is a list": json.dumps({**sidecar("a"), "path_in_repo": ["x"]}).encode(),
    "true rows": json.dumps({**sidecar("a"), "n_rows": True}).encode(),
    "half a row": json.dumps({**sidecar("a"), "n_rows": 1.5}).encode(),
    "fewer than no rows": json.dumps({**sidecar("a"), "n_rows": -1}).encode(),
    "provenance as text": json.dumps({**sidecar("a"), "provenance": "x"}).encode(),
    "no hash": json.dumps({**sidecar("a"), "sha256": "x"}).encode(),
    "infinite size": json.dumps({**sidecar("a"), "size": float("inf")}).encode(),
}


@pytest.mark.parametrize("kind", BAD_SIDECARS)
def test_p8_a_bad_sidecar_is_a_bad_shard(area: StagingArea, kind: str) -> None:
    (area.pending / meta_of("a")).write_bytes(BAD_SIDECARS[kind])
    with pytest.raises(BadShard):
        area.read_sidecar("pending", name_of("a"))


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_p8_a_sidecar_that_is_no_file_is_a_bad_shard(area: StagingArea, kind: str) -> None:
    place = area.pending / meta_of("a")
    make: dict[str, Callable[[], object]] = {
        "link": lambda: place.symlink_to("/etc/passwd"),
        "fifo": lambda: os.mkfifo(place),
        "folder": place.mkdir,
    }
    make[kind]()
    with pytest.raises(BadShard):
        area.read_sidecar("pending", name_of("a"))


def test_the_peers_sidecar_is_read(area: StagingArea) -> None:
    (area.pending / meta_of("a")).write_text(json.dumps(sidecar("a"), indent=2))
    read = area.read_sidecar("pending", name_of("a"))
    assert read is not None
    assert (read.path_in_repo, read.run_id, read.n_rows) == (path_in_repo("a"), "a", 1)
    assert (read.sha256, read.size, read.digest, read.staged_by) == (None, None, None, None)
    assert area.read_sidecar("pending", name_of("b")) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = ["path_in_repo", "run_id", "n_rows", "provenance", "sha256", "size", "digest"]
JOURNAL = ["batch", "repo", "revision", "parent", "shards", "created"]


@settings(deadline=None)
@given(st.binary() | st.dictionaries(st.sampled_from(FIELDS), json_values).map(json.dumps))
def test_p8_no_sidecar_raises_anything_else(data: bytes | str) -> None:
    with suppress(RecordError):
        parse_sidecar(data.encode() if isinstance(data, str) else data)


@settings(deadline=None)
@given(st.binary() | st.dictionaries(st.sampled_from(JOURNAL), json_values).map(json.dumps))
def test_p8_no_journal_raises_anything_else(data: bytes | str) -> None:
    with suppress(RecordError):
        parse_journal(data.encode() if isinstance(data, str) else data)


def batch(name: str, created: float = 1.0) -> BatchRecord:
    shard = JournalShard(name_of("a"), path_in_repo("a"), SHA, 3)
    return BatchRecord(name, "repo", "main", "p" * 40, (shard,), created)


def test_p7_a_journal_says_what_was_in_flight_until_it_is_settled(area: StagingArea) -> None:
    journal = Journal(area)
    assert journal.pending() == []
    journal.open(batch("b2", created=2.0))
    journal.open(batch("b1", created=3.0))
    assert Journal(area).pending() == [batch("b2", created=2.0), batch("b1", created=3.0)]
    journal.close("b2")
    journal.close("b2")
    assert Journal(area).pending() == [batch("b1", created=3.0)]


def test_p8_a_bad_journal_hides_no_good_one(area: StagingArea) -> None:
    journal = Journal(area)
    journal.open(batch("good"))
    folder = area.private / "journal"
    (folder / "garbage.json").write_bytes(DEEP)
    (folder / "renamed.json").write_bytes((folder / "good.json").read_bytes())
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "folder.json").mkdir()
    hostile = json.loads((folder / "good.json").read_text())
    hostile["batch"] = "evil"
    hostile["shards"][0]["name"] = "../../../etc/passwd"
    (folder / "evil.json").write_text(json.dumps(hostile))
    assert journal.pending() == [batch("good")]


def test_p17_a_batch_id_is_a_plain_word(area: StagingArea) -> None:
    with pytest.raises(ValueError, match="evil"):
        Journal(area).open(batch("../evil"))


def entry(name: str, commit: str = "c") -> LedgerEntry:
    return LedgerEntry(
        path=path_in_repo(name),
        sha256=SHA,
        size=3,
        repo="repo",
        revision="main",
        commit=commit * 40,
        time=7.5,
        digest=None,
    )


def test_the_ledger_finds_the_latest_line_of_a_path(area: StagingArea) -> None:
    ledger = Ledger(area)
    assert (ledger.find(path_in_repo("a")), list(ledger.entries())) == (None, [])
    ledger.append([])
    assert ledger.find(path_in_repo("a")) is None
    ledger.append([entry("a"), entry("aa"), entry("b")])
    ledger.append([entry("a", commit="d")])
    assert ledger.find(path_in_repo("a")) == entry("a", commit="d")
    assert ledger.find(path_in_repo("b")) == entry("b")
    assert ledger.find(path_in_repo("c")) is None
    expected = [entry("a"), entry("aa"), entry("b"), entry("a", commit="d")]
    assert list(ledger.entries()) == expected


def test_p8_bad_lines_of_the_ledger_hide_no_good_one(area: StagingArea) -> None:
    ledger = Ledger(area)
    ledger.append([entry("a")])
    path = area.private / "ledger.jsonl"
    with path.open("ab") as file:
        file.write(json.dumps({"path": path_in_repo("a"), "sha256": 5}).encode() + b"\n")
        file.write(b'"' + path_in_repo("a").encode() + b'"' + b"x" * 200_000 + b"\n")
        file.write(DEEP + b"\n\xff\n{\n")
        file.write(f'{{"other": "{path_in_repo("a")}"'.encode())
    ledger.append([entry("b")])
    assert ledger.find(path_in_repo("a")) == entry("a")
    assert ledger.find(path_in_repo("b")) == entry("b")
    assert list(ledger.entries()) == [entry("a"), entry("b")]
    assert ledger.find(path_in_repo("b")) != entry("b")._replace(digest="x")


def test_p17_nothing_is_written_through_a_link_in_place_of_our_folder(
    area: StagingArea, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    area.private.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotSetUp):
        Ledger(area).append([entry("a")])
    with pytest.raises(NotSetUp):
        Journal(area).open(batch("b"))
    assert names(tmp_path / "elsewhere") == []


def test_p1_the_folder_of_a_new_staging_directory_is_durable(tmp_path: Path) -> None:
    log = tmp_path / "log"
    under = ("-y", "-o", str(log), "-e", "trace=mkdirat,fsync")
    assert run("create", tmp_path / "staging", under=under) == (0, "created")
    made = [line.split("(")[0].split()[-1] for line in log.read_text().splitlines() if "(" in line]
    calls = [call for call in made if call in {"mkdirat", "fsync"}]
    assert calls == ["mkdirat", "fsync"] * 4
