"""A staging directory and a repo under every sort of trouble, against a model: path to SHA-256s.

A Hypothesis state machine. Its commands run in this process; a crash lets nothing reach the disk
any more from some call on, as if the process had been killed there. The peer is played: it takes
what has a sidecar, commits it in its own name, and renames without looking.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.hub_support import addition
from tests.sync_support import (
    Hooked,
    Killed,
    Place,
    grow_old,
    name_of,
    path_of,
    put,
    put_bytes,
    sha256_of_file,
)
from vulcan_cli.errors import Conflict, VulcanError
from vulcan_cli.files import folder, open_files, renaming
from vulcan_cli.hub.repo import Commit, Trouble, Unknown
from vulcan_cli.staging.area import STATES, StagingArea
from vulcan_cli.staging.aside import HEAPS, entries_aside
from vulcan_cli.staging.journal import Journal
from vulcan_cli.staging.lease import break_lease
from vulcan_cli.staging.listing import SIDECAR_SUFFIX
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.retry import retry_failed
from vulcan_cli.sync.timing import Clock
from vulcan_cli.sync.trim import trim_synced
from vulcan_cli.vacua.geometry import file_name

RUNS = tuple(f"run{number}" for number in range(5))
BAD = name_of("no-shard")
WINDOW_S = 3600.0
BUDGET = 6

_DISK = {"link", "rename", "unlink", "fsync", "mkdir", "write", "fchmod"}
_YEAR = 365 * 86_400


class _DyingOs:
    """The system calls of `files`, which reach the disk so many times and then no more."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        if name not in _DISK:
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self.spend()
            return found(*arguments, **options)

        return call


@contextmanager
def dying_after(calls: int) -> Iterator[None]:
    """Kill, as far as one process can play that, whoever changes the disk once more than this."""
    dying, rename = _DyingOs(calls), renaming.rename_noreplace

    def rename_while_alive(*arguments: Any) -> None:
        dying.spend()
        rename(*arguments)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(folder, "os", dying)
        patch.setattr(open_files, "os", dying)
        patch.setattr(folder, "rename_noreplace", rename_while_alive)
        yield


class SpoolMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize()
    def set_up(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="vulcan-machine-"))
        self.area, self.place = StagingArea(self.root / "spool"), Place("directory", self.root)
        self.area.create()
        self.place.folder.mkdir()
        self.moment = time.time()
        self.staged: dict[str, set[str]] = {}
        self.in_repo: dict[str, str] = {}
        self.bad: str | None = None

    def teardown(self) -> None:
        if not hasattr(self, "root"):
            return
        try:
            self._ends_as_undisturbed()
        finally:
            shutil.rmtree(self.root)

    @rule(run=st.sampled_from(RUNS), number=st.integers(1, 2), calls=st.none() | st.integers(0, 14))
    def stage(self, run: str, number: int, calls: int | None) -> None:
        """P2, P3, P4: a new name is taken, the same rows are there already, others are refused."""
        before = self._where()["pending"]
        with contextlib.suppress(Conflict), self._maybe_dying(calls):
            put(self.area, run, number)
        for name, found in self._where()["pending"].items():
            # A name whose shard was set aside is free for other rows.
            if name not in before:
                self.staged.setdefault(path_of(run), set()).update(found)

    @rule()
    def put_what_is_no_shard(self) -> None:
        """P8."""
        if self.bad is None:
            self.bad = sha256_of_file(put_bytes(self.area, BAD, b"PAR1 nothing PAR1"))

    @rule(
        calls=st.none() | st.integers(0, 80),
        batch=st.integers(1, 3),
        trouble=st.sampled_from([None, "before", "after"]),
        other=st.booleans(),
    )
    def sync(self, calls: int | None, batch: int, trouble: str | None, *, other: bool) -> None:
        """P5, P6, P7: killed anywhere, its answer lost, or with another one let in meanwhile."""
        repo: Any = self.place.open()
        if trouble is not None:
            repo = _Unsure(repo, applied=trouble == "after")
        if other:
            repo = Hooked(repo, before=self._another_sync("commit"))
        with contextlib.suppress(VulcanError), self._maybe_dying(calls):
            sync(self.area, repo, self._options(batch), clock=self._clock)

    @rule(name=st.sampled_from(RUNS))
    def somebody_takes_the_path(self, name: str) -> None:
        """Other content under a name of ours, in the repo."""
        path = path_of(name)
        if not (self.place.folder / path).exists():
            data = f"another's {name}".encode()
            self._commit("somebody else", path, data)

    @rule(name=st.sampled_from(RUNS))
    def refuse(self, name: str) -> None:
        """A folder where a file should go: the repo refuses that shard alone."""
        path = self.place.folder / path_of(name)
        if path.is_dir():
            path.rmdir()
        elif not path.exists():
            path.mkdir(parents=True)

    @rule(calls=st.none() | st.integers(0, 12))
    def retry(self, calls: int | None) -> None:
        with contextlib.suppress(VulcanError), self._maybe_dying(calls):
            retry_failed(self.area)

    @rule(calls=st.none() | st.integers(0, 12))
    def trim(self, calls: int | None) -> None:
        """P12."""
        with contextlib.suppress(VulcanError), self._maybe_dying(calls):
            trim_synced(self.area, self.place.open(), now=self.moment + _YEAR, older_than_s=0.0)

    @rule(seconds=st.sampled_from([-_YEAR, -WINDOW_S, 60, WINDOW_S + 1, _YEAR]))
    def the_clock_jumps(self, seconds: float) -> None:
        self.moment += seconds

    @rule()
    def days_pass(self) -> None:
        """What was young is old, for whoever looks at files."""
        for path in self.area.pending.iterdir():
            grow_old(path, 3 * 86_400)

    @precondition(lambda self: any(self.area.pending.glob("*.parquet")))
    @rule()
    def the_peer_syncs(self) -> None:
        for file in sorted(self.area.pending.glob(f"*{SIDECAR_SUFFIX}")):
            parquet = file.with_name(file.name.removesuffix(SIDECAR_SUFFIX))
            path = parquet.name.replace("__", "/")
            if not parquet.exists() or (self.place.folder / path).exists():
                continue
            self._commit("stringforge", path, parquet.read_bytes())
            parquet.rename(self.area.synced / parquet.name)
            file.rename(self.area.synced / file.name)

    @invariant()
    def p3_nothing_is_replaced(self) -> None:
        tree = self._tree()
        for path, sha256 in self.in_repo.items():
            assert tree.get(path) == sha256, path
        self.in_repo = tree
        for state in STATES:
            for name, found in self._where()[state].items():
                path = name.replace("__", "/")
                expected = {self.bad} if name == BAD else self.staged[path]
                assert found <= expected, (state, name)

    @invariant()
    def p5_nothing_is_lost(self) -> None:
        where, tree = self._where(), self._tree()
        for path, contents in self.staged.items():
            for sha256 in contents:
                held = [state for state in where if sha256 in where[state].get(file_name(path), ())]
                assert tree.get(path) == sha256 or set(held) - {"synced"}, (path, held)
        for name, found in where["synced"].items():
            assert found == {tree.get(name.replace("__", "/"))}, name
        if self.bad is not None:
            held = [state for state in ("pending", "rejected") if BAD in where[state]]
            assert [where[state][BAD] for state in held] == [{self.bad}]

    @invariant()
    def p6_nothing_is_committed_twice(self) -> None:
        committed = Counter(
            path
            for title, paths in self.place.commits()
            if title not in ("stringforge", "somebody else")
            for path in paths
        )
        assert [path for path, times in committed.items() if times > 1] == []

    def _ends_as_undisturbed(self) -> None:
        """P7, P8, P10: one more run, with nothing in its way, leaves nothing to do."""
        for refused in [*self.place.folder.rglob("*.parquet")]:
            if refused.is_dir():
                refused.rmdir()
        for file in self.area.pending.iterdir():
            grow_old(file)
        self._mend_lease()
        retry_failed(self.area)
        self.moment += 2 * WINDOW_S
        report = sync(self.area, self.place.open(), self._options(3), clock=self._clock)
        if report.n_remaining:
            # P10: slots of a clock that was ahead count from now, for one window.
            assert report.next_slot_at == self.moment + WINDOW_S
            self.moment = report.next_slot_at
            report = sync(self.area, self.place.open(), self._options(3), clock=self._clock)
        assert (report.stopped, report.n_unreadable) == (None, 0)
        where, tree = self._where(), self._tree()
        assert (where["pending"], where["failed"], Journal(self.area).pending()) == ({}, {}, [])
        for path, contents in self.staged.items():
            kept = where["conflicts"].get(file_name(path), set())
            assert contents <= {tree[path], *kept}
        if self.bad is not None:
            assert where["rejected"] == {BAD: {self.bad}}
        self.p3_nothing_is_replaced()
        self.p5_nothing_is_lost()
        self.p6_nothing_is_committed_twice()

    @contextmanager
    def _maybe_dying(self, calls: int | None) -> Iterator[None]:
        self._mend_lease()
        with contextlib.nullcontext() if calls is None else dying_after(calls):
            yield

    def _mend_lease(self) -> None:
        # The process of the lease that died is this one, so nobody else could take it over.
        break_lease(self.area)

    @property
    def _clock(self) -> Clock:
        return Clock(now=lambda: self.moment, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.moment += seconds

    def _options(self, batch: int) -> SyncOptions:
        return SyncOptions(max_batch=batch, budget=BUDGET, window_s=WINDOW_S, max_retries=1)

    def _another_sync(self, at: str) -> Callable[[str], None]:
        """A sync that breaks the lock, once, just before a call of this one."""
        pending = [at]

        def hook(called: str) -> None:
            if pending == [called]:
                pending.clear()
                break_lease(self.area)
                with contextlib.suppress(VulcanError):
                    sync(self.area, self.place.open(), self._options(2), clock=self._clock)

        return hook

    def _commit(self, title: str, path: str, data: bytes) -> None:
        repo = self.place.open()
        added = (addition(self.root / "in", path, data),)
        repo.commit(Commit(title, "", repo.head(), added))

    def _tree(self) -> dict[str, str]:
        """What the repo says that it holds; to ask it finishes a commit that died after landing."""
        found = self.place.open().look_up([path_of(run) for run in RUNS])
        return {path: file.sha256 or "" for path, file in found.items()}

    def _where(self) -> dict[str, dict[str, set[str]]]:
        """State or heap to file name to the SHA-256s of what stands there under this name."""
        found: dict[str, dict[str, set[str]]] = {
            state: {
                path.name: {sha256_of_file(path)}
                for path in self.area.path(state).glob("*.parquet")
            }
            for state in STATES
        }
        for heap in HEAPS:
            of_heap = found.setdefault(heap, {})
            for aside in entries_aside(self.area, heap):
                sha256 = hashlib.sha256(aside.path.read_bytes()).hexdigest()
                of_heap.setdefault(aside.name, set()).add(sha256)
        return found


class _Unsure:
    """A repo whose first commit nobody hears of again, applied or not."""

    def __init__(self, repo: Any, *, applied: bool) -> None:
        self._repo = repo
        self._applied = applied
        self._done = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repo, name)

    def commit(self, *arguments: Any, **options: Any) -> Any:
        if self._done:
            return self._repo.commit(*arguments, **options)
        self._done = True
        if self._applied:
            self._repo.commit(*arguments, **options)
        return Unknown("nobody knows", Trouble.UNREACHABLE)
