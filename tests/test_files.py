"""Durable file operations: names have one owner, links are not followed, replies may be lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.staging_tools import inject, link_exclusive, names, new_temporary, rename_exclusive, run
from vulcan_cli.errors import BadShard
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import open_regular, sha256_of
from vulcan_cli.files.paths import append_durably, replace_durably


def test_a_link_is_won_once_and_other_content_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "other").write_text("other")
    assert link_exclusive(tmp_path / "mine", tmp_path / "name")
    assert not link_exclusive(tmp_path / "other", tmp_path / "name")
    assert (tmp_path / "name").read_text() == "mine"


def test_a_link_whose_reply_was_lost_counts_as_won(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    os.link(tmp_path / "mine", tmp_path / "name")
    assert link_exclusive(tmp_path / "mine", tmp_path / "name")


def test_a_rename_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "name").write_text("other")
    assert not rename_exclusive(tmp_path / "mine", tmp_path / "name")
    assert (tmp_path / "name").read_text() == "other"
    assert rename_exclusive(tmp_path / "mine", tmp_path / "free")
    assert names(tmp_path) == ["free", "name"]


def test_a_link_as_target_is_a_taken_name(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "name").symlink_to(tmp_path / "elsewhere")
    assert not link_exclusive(tmp_path / "mine", tmp_path / "name")
    assert not rename_exclusive(tmp_path / "mine", tmp_path / "name")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param((), id="hard links"),
        pytest.param(inject("linkat", "error=EPERM", "1+"), id="rename without replacing"),
        pytest.param(
            (
                *("-e", "trace=linkat,renameat2"),
                *("-e", "inject=linkat:error=EOPNOTSUPP:when=1+"),
                *("-e", "inject=renameat2:error=EINVAL:when=1+"),
            ),
            id="reservation",
        ),
    ],
)
def test_p3_twenty_processes_and_one_name_have_one_winner(
    tmp_path: Path, spoil: tuple[str, ...]
) -> None:
    code, output = run("race-link", tmp_path, 20, under=spoil)
    assert (code, output) == (0, "1")
    # The file holds the name that its maker gave it: it is one maker's, whole.
    assert (tmp_path / "one").read_text().startswith(".v")


def test_an_interrupted_call_is_made_again(tmp_path: Path) -> None:
    spoil = inject("linkat", "error=EINTR", "1..3")
    assert run("race-link", tmp_path, 1, under=spoil) == (0, "1")


def test_an_old_reservation_is_free_and_a_young_one_is_not(tmp_path: Path) -> None:
    with Folder.open(tmp_path) as folder:
        (tmp_path / "mine").write_text("mine")
        folder._reserve(".vreserved.tmp")
        with pytest.raises(BlockingIOError):
            folder._reserve(".vreserved.tmp")
        two_days = (tmp_path / ".vreserved.tmp").stat().st_mtime - 2 * 86_400
        os.utime(tmp_path / ".vreserved.tmp", (two_days, two_days))
        folder._reserve(".vreserved.tmp")
    assert names(tmp_path) == [".vreserved.tmp", "mine"]


def test_replacing_replaces_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "name").symlink_to(tmp_path / "secret")
    replace_durably(tmp_path / "name", b"new", 0o640)
    assert (tmp_path / "secret").read_text() == "secret"
    assert (tmp_path / "name").read_bytes() == b"new"
    assert (tmp_path / "name").lstat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["name", "secret"]


def test_appending_ends_a_torn_line_first(tmp_path: Path) -> None:
    append_durably(tmp_path / "log", b"one\n")
    with (tmp_path / "log").open("ab") as file:
        file.write(b"tor")
    append_durably(tmp_path / "log", b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntor\ntwo\n"


@pytest.mark.parametrize("make", [append_durably, replace_durably])
def test_what_is_made_has_its_mode_whatever_the_umask(
    tmp_path: Path, make: Callable[[Path, bytes], None]
) -> None:
    before = os.umask(0o077)
    try:
        make(tmp_path / "log", b"one\n")
    finally:
        os.umask(before)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("mode", [0o2750, 0o755, 0o700, 0o777])
def test_who_may_look_into_a_folder_may_look_into_one_made_in_it(tmp_path: Path, mode: int) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(mode)
    before = os.umask(0o077)
    try:
        with Folder.open(parent) as folder, folder.make_child("child") as child:
            made = os.fstat(child.fd).st_mode & 0o777
    finally:
        os.umask(before)
    assert made == 0o700 | mode & 0o055


def test_appending_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "log").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic"):
        append_durably(tmp_path / "log", b"one\n")
    assert (tmp_path / "secret").read_text() == "secret"


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (lambda path: path.symlink_to("/etc/passwd"), "a symbolic link"),
    "folder": (lambda path: path.mkdir(), "a folder"),
    "fifo": (os.mkfifo, "a FIFO"),
    "socket": (_socket, "a socket"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    make, name = KINDS[kind]
    make(tmp_path / "entry")
    with pytest.raises(BadShard) as caught:
        open_regular(tmp_path / "entry")
    assert caught.value.reason == f"{name}, not a regular file"


def test_a_device_is_not_opened() -> None:
    with pytest.raises(BadShard) as caught:
        open_regular(Path("/dev/null"))
    assert caught.value.reason == "a device, not a regular file"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0b"])
def test_p17_a_name_is_one_step_and_no_more(tmp_path: Path, name: str) -> None:
    with Folder.open(tmp_path) as folder, pytest.raises(OSError, match="not a plain file name"):
        folder.replace(name, b"")


def test_p17_a_folder_behind_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "child").symlink_to(tmp_path / "elsewhere")
    with Folder.open(tmp_path / "root") as folder:
        with pytest.raises(NotADirectoryError):
            folder.child("child")
        with pytest.raises(NotADirectoryError):
            folder.make_child("child")


def test_sha256_of_reads_from_the_start_and_stops_at_the_limit(tmp_path: Path) -> None:
    fd, _ = new_temporary(tmp_path)
    try:
        os.write(fd, b"abc")
        known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert sha256_of(fd) == (known, 3)
        assert os.lseek(fd, 0, os.SEEK_CUR) == 3
        with pytest.raises(OSError, match="too large"):
            sha256_of(fd, limit=2)
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [0, 1, 1 << 14, (1 << 14) + 1, 100_000])
def test_a_file_is_read_up_to_its_limit_and_no_further(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "record").write_bytes(data[:size])
    with Folder.open(tmp_path) as folder:
        assert folder.read("record", size) == folder.read("record", 1 << 20) == data[:size]
        if size:
            with pytest.raises(BadShard, match=f"larger than {size - 1} bytes$"):
                folder.read("record", size - 1)
