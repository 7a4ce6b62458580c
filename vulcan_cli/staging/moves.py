"""Moving shards between states: never over anything, and verified after the move.

Onward, the parquet goes first and its sidecar follows. Back to `pending/`, the sidecar goes first,
so that the peer, which needs it there, never meets a shard without one. Killed between the two,
`tidy` brings them together again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from vulcan_cli.errors import BadShard, DiskTrouble
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import Identity, sha256_within
from vulcan_cli.staging.area import LARGEST_SHARD, PRIVATE, StagingArea, State, disk_trouble
from vulcan_cli.staging.aside import Aside, forget_aside, set_aside
from vulcan_cli.staging.carry import carry
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.staging.reasons import forget_reason

Outcome = Literal["moved", "altered", "exists", "gone", "stays"]
"""`moved`; `altered`: other bytes than were sent, back in pending or in conflicts; `exists`: the
name is taken there by other content; `gone`: nothing of that name here; `stays`: the file system
refuses. In the last three nothing changed."""


class Sent(NamedTuple):
    """Which bytes the repo confirmed, and which file they were read from.

    Attributes:
        sha256: In hex.
        identity: The file's device and inode when it was checked.
    """

    sha256: str
    identity: Identity


class Moving(NamedTuple):
    """A shard to move.

    Attributes:
        name: File name of the parquet.
        sent: What must have moved, or None to take it as it is.
    """

    name: str
    sent: Sent | None = None


class Moved(NamedTuple):
    """What became of a shard that was to move.

    Attributes:
        name: File name of the parquet.
        outcome: See `Outcome`.
        error: What the file system said, where it said something.
    """

    name: str
    outcome: Outcome
    error: OSError | None = None


def move(
    area: StagingArea,
    shards: Iterable[Moving],
    source: State,
    target: State,
    *,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[Moved], None] = lambda _: None,
) -> tuple[Moved, ...]:
    """Move shards to another state, each for itself, durably when this returns.

    Running it again after a crash finishes what was begun.

    Args:
        area: The staging directory.
        shards: Which, and what bytes they must have.
        source: The state they are in.
        target: The state they go to.
        check: Called before each move; what it raises (`LeaseLost`) ends the run, with the shards
            before that one moved.
        tell: Called with each once all that moved are durable, also where an error ended the run.

    Raises:
        NotSetUp: A state folder is missing or a link.
        DiskTrouble: A folder cannot be opened or made durable.
    """
    results = []
    with area.folder(source) as here, area.folder(target) as there, disk_trouble(there.path):
        try:
            for shard in shards:
                check()
                results.append(_move(area, here, there, shard, target))
        finally:
            there.sync()
            here.sync()
            for result in results:
                tell(result)
    return tuple(results)


def retry(
    area: StagingArea,
    names: Iterable[str],
    *,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[Moved], None] = lambda _: None,
) -> tuple[Moved, ...]:
    """Move shards from `failed/` back to `pending/`, and forget why they failed.

    Args:
        area: The staging directory.
        names: Which.
        check: As for `move`.
        tell: As for `move`; the reason is forgotten after that.

    Raises:
        NotSetUp: A state folder is missing or a link.
        DiskTrouble: A folder cannot be opened or made durable.
    """

    def done(moved: Moved) -> None:
        tell(moved)
        if moved.outcome == "moved":
            forget_reason(area, moved.name)

    return move(area, map(Moving, names), "failed", "pending", check=check, tell=done)


def restore(area: StagingArea, aside: Aside) -> Moved:
    """Move an entry that was set aside back to `pending/` under its old name.

    Raises:
        NotSetUp: The folder is missing or a link.
        DiskTrouble: A folder cannot be opened or made durable.
    """
    with (
        area.folder(PRIVATE, aside.heap) as here,
        area.folder("pending") as there,
        disk_trouble(there.path),
    ):
        try:
            outcome = _put_back(here, there, aside)
        except OSError as error:
            gone = error.errno == errno.ENOENT
            return Moved(aside.name, "gone" if gone else "stays", error)
        there.sync()
        here.sync()
    if outcome == "moved":
        forget_aside(area, aside)
    return Moved(aside.name, outcome)


def remove_confirmed(area: StagingArea, name: str, sha256: str) -> bool:
    """Delete a shard from `synced/` whose bytes are these, sidecar first; False where they differ.

    Durable when this returns. Killed in between, the parquet alone is left and can be asked for
    again.

    Raises:
        DiskTrouble: It cannot be read or removed.
    """
    with area.folder("synced") as folder, disk_trouble(folder.path / name):
        if sha256_in(folder, name) != sha256:
            return False
        folder.remove(f"{name}{SIDECAR_SUFFIX}")
        folder.remove(name)
        folder.sync()
    return True


def _move(area: StagingArea, here: Folder, there: Folder, shard: Moving, target: State) -> Moved:
    go = _move_back if target == "pending" else _move_on
    try:
        outcome = go(here, there, shard)
        if outcome == "altered" and carry(there, shard.name, here, shard.name) == "taken":
            why = "it was replaced by other bytes while it was being sent"
            with contextlib.suppress(DiskTrouble):
                set_aside(area, shard.name, into="conflicts", why=why, state=target)
    except FileNotFoundError as error:
        return Moved(shard.name, "gone", error)
    except OSError as error:
        return Moved(shard.name, "stays", error)
    return Moved(shard.name, outcome)


def _move_on(here: Folder, there: Folder, shard: Moving) -> Outcome:
    outcome = _move_parquet(here, there, shard, back=False)
    if outcome == "moved":
        # A sidecar that stays behind makes a split pair, and `tidy` finishes those.
        meta = f"{shard.name}{SIDECAR_SUFFIX}"
        with contextlib.suppress(OSError):
            _bring_sidecar(here, meta, there, meta)
    return outcome


def _move_back(here: Folder, there: Folder, shard: Moving) -> Outcome:
    meta = f"{shard.name}{SIDECAR_SUFFIX}"
    if here.status(shard.name) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), shard.name)
    if _is_other(here, shard.name, there, shard.name):
        return "exists"
    return _sidecar_first(
        here, meta, there, meta, lambda: _move_parquet(here, there, shard, back=True)
    )


def _put_back(here: Folder, there: Folder, aside: Aside) -> Outcome:
    def parquet() -> Outcome:
        carried = carry(here, aside.id, there, aside.name, by_link=True)
        return _drop_original(here, aside.id, there, aside.name) if carried == "taken" else "moved"

    if _is_other(here, aside.id, there, aside.name):
        return "exists"
    old, new = f"{aside.id}{SIDECAR_SUFFIX}", f"{aside.name}{SIDECAR_SUFFIX}"
    return _sidecar_first(here, old, there, new, parquet)


def _sidecar_first(
    here: Folder, name: str, there: Folder, new_name: str, parquet: Callable[[], Outcome]
) -> Outcome:
    """Move a sidecar, then its parquet; where that does not move, the sidecar goes back."""
    brought = moved = False
    with contextlib.suppress(OSError):
        brought = carry(here, name, there, new_name, by_link=True) != "taken"
    try:
        outcome = parquet()
        moved = outcome == "moved"
    finally:
        with contextlib.suppress(OSError):
            if moved:
                _bring_sidecar(here, name, there, new_name)
            elif brought:
                carry(there, new_name, here, name)
    return outcome


def _move_parquet(here: Folder, there: Folder, shard: Moving, *, back: bool) -> Outcome:
    name = shard.name
    try:
        carried = carry(here, name, there, name, by_link=back)
    except FileNotFoundError:
        # Moved by a run that died before its sidecar, or before it looked at what had moved.
        found = None if shard.sent is None else sha256_in(there, name)
        if shard.sent is None or found is None:
            raise
        return "moved" if found == shard.sent.sha256 else "altered"
    if carried != "taken":
        same_file = carried == "renamed"
        return "moved" if _is_what_was_sent(there, shard, same_file=same_file) else "altered"
    return _drop_original(here, name, there, name, shard.sent)


def _drop_original(
    here: Folder, name: str, there: Folder, new_name: str, sent: Sent | None = None
) -> Outcome:
    """Finish a move by link or copy of a run that died before it dropped the original."""
    if _same_bytes(here, name, there, new_name, sent):
        here.remove(name)
        return "moved"
    return "exists"


def _is_what_was_sent(there: Folder, shard: Moving, *, same_file: bool) -> bool:
    if shard.sent is None:
        return True
    if same_file and there.identity(shard.name) != shard.sent.identity:
        return False
    return sha256_in(there, shard.name) == shard.sent.sha256


def _bring_sidecar(here: Folder, name: str, there: Folder, new_name: str) -> None:
    """Move the sidecar to its parquet, over debris of that name: the parquet's name is ours."""
    status = here.status(name)
    if status is None or not stat.S_ISREG(status.st_mode):
        return
    if carry(here, name, there, new_name) == "taken":
        here.rename_over(name, there, new_name)


def _is_other(here: Folder, name: str, there: Folder, new_name: str) -> bool:
    """Whether the new name is taken by other content."""
    taken = there.status(new_name) is not None
    return taken and not _same_bytes(here, name, there, new_name)


def _same_bytes(
    here: Folder, name: str, there: Folder, new_name: str, sent: Sent | None = None
) -> bool:
    ours = sha256_in(here, name)
    if ours is None or (sent is not None and sent.sha256 != ours):
        return False
    return ours == sha256_in(there, new_name)


def sha256_in(folder: Folder, name: str) -> str | None:
    """SHA-256 of a file; None where it is gone, no regular file, or too large for a shard.

    Raises:
        OSError: It cannot be read.
    """
    try:
        fd = folder.open_regular(name)
    except (BadShard, FileNotFoundError):
        return None
    try:
        # What grows while we read has not the bytes of anything that was checked.
        return sha256_within(fd, min(os.fstat(fd).st_size, LARGEST_SHARD))
    finally:
        os.close(fd)
