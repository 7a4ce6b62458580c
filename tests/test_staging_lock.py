"""One sync at a time, P11: who may hold the lock, who may take it over, and who must stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.staging_tools import fill, inject, names, start
from vulcan_cli.errors import DiskTrouble, LeaseLost, NotSetUp, SyncAtWork
from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.lease import Owner, break_lease, has_lease, read_in, read_owner
from vulcan_cli.staging.lock import SyncLock


class Watch:
    """A monotonic clock that moves only while somebody sleeps, and what happens meanwhile."""

    def __init__(self, meanwhile: Callable[[float], object] = lambda _: None) -> None:
        self.now = 0.0
        self._meanwhile = meanwhile

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._meanwhile(self.now)


def lock(area: StagingArea, watch: Watch | None = None) -> SyncLock:
    watch = watch or Watch()
    return SyncLock(area, monotonic=watch, sleep=watch.sleep)


def lease(area: StagingArea) -> Path:
    return area.private / "sync.lease"


def leave(area: StagingArea, owner: Owner, beat: int = 0) -> None:
    area.private.mkdir(exist_ok=True)
    lease(area).write_text(json.dumps({"beat": beat, **owner._asdict()}))


def holding(
    area: StagingArea, beat_s: float = 30, patience_s: float = 300
) -> subprocess.Popen[str]:
    """A process that holds the lock."""
    holder = start("hold", area.root, beat_s, patience_s)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def ended() -> int:
    """The id of a process that ran a moment ago."""
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


@pytest.fixture
def elsewhere() -> Owner:
    """A holder on another boot, under our host name and with our process id."""
    return Owner.myself(1.0)._replace(boot_id="another boot")


def test_p11_the_lock_is_held_by_one_and_given_back(area: StagingArea) -> None:
    with lock(area) as held:
        assert read_owner(area) == held.owner
        assert held.warning is None
        with pytest.raises(SyncAtWork) as caught, lock(area):
            pass
        assert caught.value.owner == f"process {os.getpid()} on {held.owner.host}"
        held.check()
    assert not has_lease(area)
    assert names(area.private) == ["sync.lock", "sync.reserve"]
    with lock(area):
        pass


def test_p11_another_process_that_works_is_named_at_once(area: StagingArea) -> None:
    holder = holding(area)
    watch = Watch()
    with pytest.raises(SyncAtWork), lock(area, watch):
        pass
    assert watch.now == 0
    assert holder.communicate()[0] == "released\n"


def test_p11_of_four_at_once_one_holds_it(area: StagingArea) -> None:
    holders = [start("hold", area.root, 30, 300) for _ in range(4)]
    words = []
    for holder in holders:
        assert holder.stdout is not None
        words.append(holder.stdout.readline().strip())
    assert sorted(words) == ["SyncAtWork"] * 3 + ["held"]
    assert sorted(holder.communicate()[0] for holder in holders) == ["", "", "", "released\n"]


def test_p11_a_killed_holder_is_followed_at_once(area: StagingArea) -> None:
    holder = holding(area)
    holder.kill()
    holder.communicate()
    watch = Watch()
    with lock(area, watch) as held:
        assert read_owner(area) == held.owner
    assert watch.now == 0


def test_p11_a_killed_holder_that_nobody_waited_for_is_dead_too(area: StagingArea) -> None:
    holder = holding(area)
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    owner = read_owner(area)
    assert owner is not None
    assert owner.is_gone()
    with lock(area):
        pass
    holder.communicate()


def test_p11_a_reused_process_id_is_another_process(area: StagingArea) -> None:
    myself = Owner.myself(1.0)
    leave(area, myself._replace(started=myself.started - 1))
    watch = Watch()
    with lock(area, watch):
        assert watch.now == 0


def test_p11_a_dead_process_on_this_boot_is_followed_at_once(area: StagingArea) -> None:
    leave(area, Owner.myself(1.0)._replace(pid=ended()))
    watch = Watch()
    with lock(area, watch):
        assert watch.now == 0


@pytest.mark.parametrize("field", ["boot_id", "pid_namespace"])
@pytest.mark.parametrize("value", ["another", ""])
def test_p11_elsewhere_a_dead_one_is_watched_for_all_our_patience(
    area: StagingArea, field: str, value: str
) -> None:
    owner = Owner.myself(1.0)
    changes = {field: value}
    leave(area, owner._replace(pid=ended(), **changes))  # type: ignore[arg-type]
    watch = Watch()
    with lock(area, watch):
        assert 300 <= watch.now < 302


def test_p11_elsewhere_one_that_beats_is_never_robbed(area: StagingArea, elsewhere: Owner) -> None:
    leave(area, elsewhere)

    def beat(now: float) -> None:
        if now > 299:
            leave(area, elsewhere, beat=1)

    watch = Watch(beat)
    with pytest.raises(SyncAtWork), lock(area, watch):
        pass
    assert 299 < watch.now < 301
    assert read_owner(area) == elsewhere


def test_whose_lease_is_watched_is_told_once(area: StagingArea, elsewhere: Owner) -> None:
    leave(area, elsewhere)
    watch = Watch()
    told: list[tuple[float, str]] = []

    def tell(owner: str) -> None:
        told.append((watch.now, owner))

    with SyncLock(area, monotonic=watch, sleep=watch.sleep, watching=tell):
        assert told == [(0, str(elsewhere))]
    with SyncLock(area, watching=tell):
        assert len(told) == 1


def test_a_dead_one_of_this_boot_is_not_said_to_be_watched(area: StagingArea) -> None:
    leave(area, Owner.myself(1.0)._replace(pid=ended()))
    told: list[str] = []
    with SyncLock(area, watching=told.append):
        assert told == []


def test_p11_a_watch_that_is_asked_to_end_takes_nothing(
    area: StagingArea, elsewhere: Owner
) -> None:
    leave(area, elsewhere)
    watch = Watch()
    asked = SyncLock(area, monotonic=watch, sleep=watch.sleep, stopping=lambda: watch.now >= 10)
    with pytest.raises(SyncAtWork), asked:
        pass
    assert (watch.now, read_owner(area)) == (10, elsewhere)


@pytest.mark.parametrize("kind", ["empty", "garbage", "deep", "large", "link", "fifo", "folder"])
def test_p11_a_garbage_lease_is_taken_after_all_our_patience(area: StagingArea, kind: str) -> None:
    area.private.mkdir()
    place = lease(area)
    make: dict[str, Callable[[], object]] = {
        "empty": lambda: place.write_text(""),
        "garbage": lambda: place.write_bytes(b"\xff\x00{"),
        "deep": lambda: place.write_text("[" * 4000),
        "large": lambda: place.write_text("x" * 100_000),
        "link": lambda: place.symlink_to("/etc/passwd"),
        "fifo": lambda: os.mkfifo(place),
        "folder": place.mkdir,
    }
    make[kind]()
    assert (read_owner(area), has_lease(area)) == (None, True)
    watch = Watch()
    with lock(area, watch) as held:
        assert 300 <= watch.now < 302
        held.check()
    assert not has_lease(area)


def test_p11_elsewhere_one_that_ends_while_it_is_watched_is_followed_without_a_word(
    area: StagingArea, elsewhere: Owner
) -> None:
    holder = holding(area, 60, 600)
    leave(area, elsewhere)

    def give_back(_: float) -> None:
        if has_lease(area):
            lease(area).unlink()
        else:
            holder.communicate("\n\n")

    with lock(area, Watch(give_back)) as held:
        assert (held.warning, holder.returncode) == (None, 0)


def test_p11_who_is_interrupted_while_taking_it_gives_it_back(
    area: StagingArea, elsewhere: Owner
) -> None:
    holder = holding(area, 60, 600)
    leave(area, elsewhere)
    seen: list[Owner | None] = []

    def interrupt(_: float) -> None:
        seen.append(read_owner(area))
        if seen[-1] != elsewhere:
            # Ours stands, and the other process still has the POSIX lock.
            raise KeyboardInterrupt
        lease(area).unlink()

    with pytest.raises(KeyboardInterrupt), lock(area, Watch(interrupt)):
        pass
    holder.communicate("\n\n")
    assert [owner and owner.pid for owner in seen] == [elsewhere.pid, os.getpid()]
    assert not has_lease(area)
    # In a notebook the process lives on, and tries again.
    with lock(area) as held:
        assert read_owner(area) == held.owner


def test_p11_a_holder_beats_in_its_lease(area: StagingArea) -> None:
    beats = SyncLock(area, beat_s=0.01)
    with beats:
        first = lease(area).read_bytes()
        while lease(area).read_bytes() == first:
            beats.check()
        assert len(lease(area).read_bytes()) == len(first)
        assert read_owner(area) == beats.owner


def test_p11_a_stopped_holder_is_followed_and_stops_when_it_wakes(area: StagingArea) -> None:
    holder = holding(area, 0.1, 2)
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "mine\n"
    holder.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
    with SyncLock(area, beat_s=0.1, patience_s=1.0) as held:
        assert held.warning is not None
        holder.send_signal(signal.SIGCONT)
        output, _ = holder.communicate("\n")
        assert output == "lost\nreleased\n"
        held.check()
        assert read_owner(area) == held.owner


@pytest.mark.parametrize("call", ["openat", "read"])
def test_p11_a_lease_that_an_nfs_client_knew_too_long_is_looked_at_again(
    area: StagingArea, call: str
) -> None:
    stale = inject(call, "error=ESTALE", folder=lease(area))
    # The path that strace watches is the one that the call names.
    holder = start("hold", area.root, 30, 300, under=(*stale, "-P", "sync.lease"))
    output, _ = holder.communicate("\n\n")
    assert output == "held\nmine\nmine\nreleased\n"


def test_p11_a_lease_that_stays_stale_is_no_lease_of_ours(area: StagingArea) -> None:
    stale = inject("openat", "error=ESTALE", "1+", folder=lease(area))
    holder = start("hold", area.root, 30, 300, under=(*stale, "-P", "sync.lease"))
    output, _ = holder.communicate("\n")
    assert (output, holder.returncode) == ("held\nDiskTrouble\n", 6)


def test_p11_a_broken_lease_stops_its_holder(area: StagingArea) -> None:
    with lock(area) as held:
        assert break_lease(area) == held.owner
        with pytest.raises(LeaseLost):
            held.check()
    assert not has_lease(area)
    assert break_lease(area) is None


def test_p11_giving_back_takes_no_lease_of_another(area: StagingArea, elsewhere: Owner) -> None:
    with lock(area):
        leave(area, elsewhere._replace(token="another"))
    owner = read_owner(area)
    assert owner is not None
    assert owner.token == "another"


def test_p11_a_lease_taken_by_mistake_is_put_back(area: StagingArea) -> None:
    with lock(area) as held, area.folder("_vulcan") as folder:
        # What a taker does that judged an older lease than the one it got.
        folder.rename_over("sync.lease", folder, ".vtaken.tmp")
        put_back = Watch(lambda _: folder.link_exclusive(".vtaken.tmp", folder, "sync.lease"))
        held._sleep = put_back.sleep
        held.check()
        folder.remove(".vtaken.tmp")


def test_who_holds_it_is_printable(elsewhere: Owner) -> None:
    hostile = elsewhere._replace(host="node\n\x1b[31m", pid=7)
    assert str(hostile) == "process 7 on node??[31m"


def test_status_of_a_directory_without_sync(area: StagingArea) -> None:
    assert (read_owner(area), has_lease(area), break_lease(area)) == (None, False, None)


def test_p17_no_lease_is_made_through_a_link(area: StagingArea, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    area.private.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotSetUp), lock(area):
        pass
    assert names(tmp_path / "elsewhere") == []


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
FIELDS = ["token", "host", "boot_id", "pid_namespace", "pid", "started", "since"]


@settings(deadline=None)
@given(st.binary() | st.dictionaries(st.sampled_from(FIELDS), json_values).map(json.dumps))
def test_p11_no_lease_raises_anything(data: bytes | str) -> None:
    with TemporaryDirectory() as made, Folder.open(Path(made)) as folder:
        fd, name = folder.new_temporary()
        try:
            os.write(fd, data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
            found = read_in(folder, name)
            assert found is not None
            if found.owner is not None:
                found.owner.is_gone()
                found.owner.is_running()
        finally:
            os.close(fd)
            folder.discard(name)


@pytest.fixture
def full(small_disk: Path) -> StagingArea:
    """A staging directory where the lock was held before the disk was full."""
    made = StagingArea(small_disk / "staging")
    made.create()
    with lock(made):
        pass
    fill(small_disk)
    return made


def test_on_a_full_disk_the_lock_is_held_in_the_room_of_the_one_before(full: StagingArea) -> None:
    for _ in range(2):
        with lock(full) as held:
            held.check()
            assert read_owner(full) == held.owner
            with pytest.raises(SyncAtWork), lock(full):
                pass
            held.check()
        assert names(full.private) == ["sync.lock", "sync.reserve"]


def test_on_a_full_disk_one_that_finds_another_at_work_leaves_the_room(
    small_disk: Path,
) -> None:
    area = StagingArea(small_disk / "staging")
    area.create()
    with lock(area):
        pass
    with lock(area) as held:
        fill(small_disk)
        with pytest.raises(SyncAtWork), lock(area):
            pass
        assert names(area.private) == ["sync.lease", "sync.lock", "sync.reserve"]
        held.check()
    with lock(area) as held:
        held.check()


def test_p7_on_a_full_disk_one_that_was_killed_is_followed(full: StagingArea) -> None:
    holder = holding(full)
    assert names(full.private) == ["sync.lease", "sync.lock"]
    holder.kill()
    holder.communicate()
    with lock(full) as held:
        held.check()
    assert names(full.private) == ["sync.lock", "sync.reserve"]


def test_the_file_of_a_broken_lease_is_never_written_over(area: StagingArea) -> None:
    """Its holder may be alive, and beat in it."""
    with lock(area):
        break_lease(area)
        assert names(area.private) == ["sync.lock"]
    assert names(area.private) == ["sync.lock"]


def test_p17_a_second_name_of_another_file_is_no_room_for_a_lease(full: StagingArea) -> None:
    other = full.root.parent / "other"
    reserve = full.private / "sync.reserve"
    os.link(reserve, other)
    before = other.read_bytes()
    with pytest.raises(DiskTrouble), lock(full):
        pass
    assert other.read_bytes() == before
    assert names(full.private) == ["sync.lock"]
