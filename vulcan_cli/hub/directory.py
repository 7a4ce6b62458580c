"""A repo that is a folder: `file:///folder`.

Files stand in it as they would on the Hub, so any reader of parquet files can use it. `.vulcan/`
beside them holds `commits/` (see `commit_log`) and `incoming/<name>/`, where content waits for its
commit. A commit goes: content durable in `incoming/`, the record gets its number (now it has
landed), the files get their places, the incoming folder goes. Whoever opens the repo after a crash
carries out what is left; who may read but not write sees the content where it waits.

No file is replaced but those whose commit names what it replaces, which are our own (see
`Addition`); of these only the newest content is kept. No link inside the folder is ever followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.errors import BadShard, Denied, DiskTrouble, RepoMissing, UsageError
from vulcan_cli.files.folder import Folder
from vulcan_cli.files.open_files import sha256_of
from vulcan_cli.files.paths import fsync_dir
from vulcan_cli.hub.commit_log import (
    HIDDEN,
    Record,
    RecordedFile,
    append_record,
    full_id,
    newest_first,
    newest_record,
    number_of,
    ours,
    ours_to_read,
    paths_left_of,
    read_record,
)
from vulcan_cli.hub.incoming import give_places, places_of, receive, remove_tree, tidy
from vulcan_cli.hub.paths import problem_of, refuse_paths
from vulcan_cli.hub.repo import (
    MAIN,
    NO_COMMIT,
    Addition,
    Changed,
    Commit,
    CommitOutcome,
    Landed,
    LoggedCommit,
    Part,
    PullRequest,
    Ready,
    Refused,
    RemoteFile,
    Snapshot,
    Stale,
    UploadOutcome,
    key_of,
)
from vulcan_cli.hub.tree import open_file, read_file, to_add, to_remove, walk

_MAY_NOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS}


class _Incoming(NamedTuple):
    """Content that came ahead of its commit: the folder it waits in, and the part of each file."""

    name: str
    parts: dict[Addition, str]

    def recorded(self, file: Addition) -> RecordedFile:
        """What a commit that takes this file says of it."""
        part = self.parts[file]
        return RecordedFile(file.path_in_repo, file.sha256, file.size, part, file.replaces)


class _Older(NamedTuple):
    """What was there at an older commit, as it is known while the newest is this one."""

    newest: str
    revision: str
    paths: set[str]


class DirectoryRepo:
    """A `Repo` in a folder. It has one branch, `main`, and no pull requests.

    Args:
        root: The folder. Links on the way to it are followed, links in it are not.
        clock: Gives unix seconds, for the time of a commit.
        new_name: Gives a name that nobody had.
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Callable[[], float] = time.time,
        new_name: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow links
        self._clock = clock
        self._new_name = new_name
        self._ahead: _Incoming | None = None
        self._older: _Older | None = None

    @property
    def name(self) -> str:
        """The folder as a `file://` address."""
        return self.root.as_uri()

    @property
    def key(self) -> str:
        """See `Repo.key`; the same for every path that leads to this folder."""
        real = self.root.resolve()
        return key_of(real.name, str(real))

    @property
    def is_remote(self) -> bool:
        """Never."""
        return False

    def check_pull_request(self, *, create_pr: bool) -> None:
        """Raise UsageError for any pull request."""
        if create_pr:
            raise UsageError(f"{self.name} is a folder, which has no pull requests")

    def preflight(
        self, *, create: bool = False, create_pr: bool = False, revision: str = MAIN
    ) -> None:
        """See `Repo.preflight`. `create` makes the folder and those above it."""
        self.check_pull_request(create_pr=create_pr)
        if revision != MAIN:
            raise RepoMissing(self.name, revision)
        if create and not self.root.exists():
            with self._edge():
                self.root.mkdir(parents=True, exist_ok=True)
                fsync_dir(self.root.parent)
        with self._open() as root:
            for name in ("", HIDDEN, f"{HIDDEN}/commits", f"{HIDDEN}/incoming"):
                path = root.path / name
                if path.exists() and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                    raise _not_writable(path)

    def head(self, revision: str = MAIN) -> str:
        """See `Repo.head`."""
        with self._open() as root:
            return self._head_of(root, revision)

    def look_up(self, paths: Iterable[str], revision: str = MAIN) -> dict[str, RemoteFile]:
        """See `Repo.look_up`: each file is read, so what it says is what a reader gets."""
        found: dict[str, RemoteFile] = {}
        with self._open() as root:
            waiting = self._carry_out(root)
            known = self._paths_at(root, revision)
            for path in paths:
                if problem_of(path) is None and (known is None or path in known):
                    file = read_file(root, waiting, path)
                    if file is not None:
                        found[path] = file
        return found

    def check_card(self, text: str) -> None:
        """See `Repo.check_card`: a folder takes any."""

    def upload(
        self, additions: Sequence[Addition], revision: str = MAIN, *, create_pr: bool = False
    ) -> UploadOutcome:
        """See `Repo.upload`: copies the content, durably, beside where it will stand."""
        self.check_pull_request(create_pr=create_pr)
        refused = refuse_paths(additions)
        if refused is not None:
            return refused
        with self._open() as root:
            self._head_of(root, revision)
            self._carry_out_all(root)
            with ours(root, "incoming") as incoming:
                self._discard_ahead(incoming)
                return self._receive(incoming, additions)

    def commit(
        self, commit: Commit, revision: str = MAIN, *, create_pr: bool = False
    ) -> CommitOutcome:
        """See `Repo.commit`. Never `Later`; `Unknown` only where the disk failed in the act."""
        self.check_pull_request(create_pr=create_pr)
        if not self._is_ahead(commit.additions):
            ready = self.upload(commit.additions, revision)
            if not isinstance(ready, Ready):
                return ready
        with self._open() as root:
            self._carry_out_all(root)
            newest = newest_record(root)
            if revision != MAIN:
                raise RepoMissing(self.name, revision)
            if commit.parent != (NO_COMMIT if newest is None else newest.id):
                return Stale()
            return self._decide(root, commit, 1 if newest is None else newest.number + 1)

    def files(self, revision: str = MAIN) -> Iterator[RemoteFile]:
        """See `Repo.files`."""
        with self._open() as root:
            waiting = self._carry_out(root)
            known = self._paths_at(root, revision)
            for path, size in walk(root, ""):
                is_gone = waiting.pop(path, None) == ()
                if is_gone:
                    continue
                if known is None or path in known:
                    yield RemoteFile(path, size, None)
            for path in waiting:
                file = read_file(root, waiting, path)
                if file is not None and (known is None or path in known):
                    yield file

    def snapshot(self, revision: str = MAIN) -> Snapshot:
        """See `Repo.snapshot`."""
        with self._open() as root, ours_to_read(root, "commits") as commits:
            head = self._head_of(root, revision)
            number = None if commits is None else number_of(commits, head)
            if commits is None or not number:
                return Snapshot(head, NO_COMMIT)
            return Snapshot(head, read_record(commits, number).parent)

    def find(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path | None:
        """See `Repo.find`: the file itself, where it stands."""
        try:
            return self.fetch(path, revision, sha256=sha256)
        except (FileNotFoundError, BadShard):
            return None

    def fetch(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path:
        """See `Repo.fetch`: the file itself, where it stands."""
        with self._open_at(path, revision) as (fd, place):
            other = sha256 is not None and sha256_of(fd)[0] != sha256
        if other:
            raise BadShard(self.root / path, "it is there with other content")
        return self.root / place

    def read(self, path: str, revision: str, *, start: int, length: int) -> Part:
        """See `Repo.read`."""
        with self._open_at(path, revision) as (fd, _):
            size = os.fstat(fd).st_size
            first = start if start >= 0 else max(0, size + start)
            return Part(os.pread(fd, length, first), size)

    @property
    def notes(self) -> None:
        """None: the folder is read as quickly as notes would be."""
        return None

    def log(self, limit: int, revision: str = MAIN) -> list[LoggedCommit]:
        """See `Repo.log`."""
        found: list[LoggedCommit] = []
        with self._open() as root, ours_to_read(root, "commits") as commits:
            start = self._head_of(root, revision)
            if commits is None:
                return found
            for record in newest_first(commits):
                if found or record.id == start:
                    found.append(
                        LoggedCommit(record.id, record.message, record.description, record.time)
                    )
                if len(found) >= limit:
                    break
        return found[:limit]

    def pull_request(self, number: int) -> PullRequest:
        """There is none."""
        raise FileNotFoundError(errno.ENOENT, f"{self.name} has no pull requests", str(number))

    def pull_requests(self) -> list[PullRequest]:
        """There are none."""
        return []

    @contextmanager
    def _open_at(self, path: str, revision: str) -> Iterator[tuple[int, str]]:
        """A descriptor of a file of the repo, and where in the folder it stands."""
        with self._open() as root:
            waiting = self._carry_out(root)
            known = self._paths_at(root, revision)
            places = waiting.get(path, (path,)) if known is None or path in known else ()
            found = ((open_file(root, place), place) for place in places if not problem_of(path))
            fd, place = next((each for each in found if each[0] is not None), (None, ""))
        if fd is None:
            raise FileNotFoundError(errno.ENOENT, f"not in {self.name}", path)
        try:
            with self._edge():
                yield fd, place
        finally:
            os.close(fd)

    @contextmanager
    def _edge(self) -> Iterator[None]:
        """Turn what the system says into what a caller can act on."""
        try:
            yield
        except (BadShard, ValueError) as error:
            raise DiskTrouble(self.root / HIDDEN, OSError(errno.EIO, str(error))) from error
        except PermissionError as error:
            path = self.root / str(error.filename or "")
            raise Denied(f"{path}: permission denied", path=path) from error
        except OSError as error:
            raise DiskTrouble(self.root, error) from error

    @contextmanager
    def _open(self) -> Iterator[Folder]:
        try:
            root = Folder.open(self.root)
        except (FileNotFoundError, NotADirectoryError):
            raise RepoMissing(self.name) from None
        except OSError:
            with self._edge():
                raise
        with root, self._edge():
            yield root

    def _head_of(self, root: Folder, revision: str) -> str:
        """The id that a revision stands for."""
        newest = newest_record(root)
        head = NO_COMMIT if newest is None else newest.id
        if revision in {MAIN, head}:
            return head
        with ours_to_read(root, "commits") as commits:
            found = None if commits is None else full_id(commits, revision)
        if found is None:
            raise RepoMissing(self.name, revision)
        return found

    def _paths_at(self, root: Folder, revision: str) -> set[str] | None:
        """What was there at an older commit; None for the newest, which is what stands there."""
        newest = self._head_of(root, MAIN)
        if revision in {MAIN, newest}:
            return None
        older = self._older
        if older is None or (older.newest, older.revision) != (newest, revision):
            commit = self._head_of(root, revision)
            if commit == newest:
                return None
            with ours_to_read(root, "commits") as commits:
                last = None if commits is None else number_of(commits, commit)
                if commits is None or last is None:
                    raise RepoMissing(self.name, revision)
                older = self._older = _Older(newest, revision, paths_left_of(commits, last))
        return older.paths

    def _carry_out(self, root: Folder) -> dict[str, tuple[str, ...]]:
        """Give the files of the newest commit their places, where that is still to do.

        Every commit does this before it lands, so older ones need no look.

        Returns:
            For content that waits and that we may not move, where to look for it in the folder,
            in turn.
        """
        record = newest_record(root)
        with ours_to_read(root, "incoming") as incoming:
            if record is None or incoming is None or incoming.status(record.incoming) is None:
                return {}
            try:
                give_places(root, incoming, record)
            except OSError as error:
                if error.errno not in _MAY_NOT_WRITE:
                    raise
                gone = {file.path: () for file in record.removed}
                return {**gone, **{file.path: places_of(record, file) for file in record.files}}
        return {}

    def _carry_out_all(self, root: Folder) -> None:
        """As `_carry_out`, for who is to write: nothing may be left to others."""
        if self._carry_out(root):
            raise _not_writable(self.root, " to finish the newest commit in it")

    def _receive(self, incoming: Folder, additions: Sequence[Addition]) -> UploadOutcome:
        """Copy content into a new incoming folder."""
        ahead = _Incoming(self._new_name(), {})
        self._ahead = ahead
        with incoming.make_child(ahead.name) as folder:
            tidy(incoming, ahead.name)
            changed = []
            for number, addition in enumerate(additions):
                part = f"{number:06d}"
                if receive(addition, folder, part):
                    ahead.parts[addition] = part
                else:
                    changed.append(addition.path_in_repo)
            folder.sync()
        if changed:
            self._discard_ahead(incoming)
            return Changed(tuple(changed))
        return Ready()

    def _is_ahead(self, additions: Sequence[Addition]) -> bool:
        """Whether all this content waits here; others clear away what has waited for a day."""
        ahead = self._ahead
        if ahead is None or not set(additions) <= set(ahead.parts):
            return False
        with self._open() as root, ours_to_read(root, "incoming") as incoming:
            return incoming is not None and incoming.status(ahead.name) is not None

    def _discard_ahead(self, incoming: Folder) -> None:
        """Drop content that no commit took."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            remove_tree(incoming, ahead.name)

    def _decide(self, root: Folder, commit: Commit, number: int) -> CommitOutcome:
        """Write the record of what is new and try for the number after its parent's."""
        ahead = self._ahead
        assert ahead is not None
        taken, new = to_add(root, commit.additions)
        altered, gone = to_remove(root, commit.removals)
        if taken or altered:
            why = "the path holds other content, which is never replaced"
            return Refused(why, (*taken, *altered))
        with ours(root, "incoming") as incoming, ours(root, "commits") as commits:
            if not new and not gone:
                self._discard_ahead(incoming)
                return Landed(commit.parent)
            if incoming.status(ahead.name) is None:
                # Cleared away this very moment; it is brought again in the next try.
                self._ahead = None
                return Stale()
            files = tuple(ahead.recorded(each) for each in new)
            record = Record(
                number=number,
                parent=commit.parent,
                message=commit.message,
                description=commit.description,
                time=self._clock(),
                incoming=ahead.name,
                files=files,
                removed=gone,
            )
            outcome = append_record(incoming, commits, record)
            if isinstance(outcome, Stale):
                return outcome
            # From here on the content belongs to the commit, whatever happens.
            self._ahead = None
            if isinstance(outcome, Landed):
                with contextlib.suppress(OSError):
                    give_places(root, incoming, record)
        return outcome


def _not_writable(path: Path, to_do: str = "") -> Denied | DiskTrouble:
    """Why a folder may not be written: its disk is read-only, or it is another account's."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return DiskTrouble(path, OSError(errno.EROFS, os.strerror(errno.EROFS)))
    return Denied(f"{path}: permission denied{to_do}", path=path)
