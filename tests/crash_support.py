"""A staging directory where a sync meets everything, to be killed in; and how it must end."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hub_support import addition
from tests.sync_support import (
    Place,
    grow_old,
    ledger_of,
    name_of,
    path_of,
    put_bytes,
    put_many,
    shard_bytes,
    shards_in,
)
from vulcan_cli.hub.repo import Commit
from vulcan_cli.staging.area import STATES, StagingArea
from vulcan_cli.staging.aside import HEAPS, entries_aside
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.journal import Journal
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.retry import retry_failed
from vulcan_cli.sync.trim import trim_synced
from vulcan_cli.vacua.geometry import file_name

CALLS = (
    "renameat2",
    "renameat",
    "linkat",
    "unlinkat",
    "fsync",
    "mkdirat",
    "openat",
    "write",
    "pread64",
)
"""The system calls by which a sync touches a disk."""

OPTIONS: dict[str, Any] = {"max_batch": 3}
GOOD, THERE, TAKEN, REFUSED = range(4), 4, 5, 6
"""Numbers of the shards: good ones, one that the repo has, one whose path is taken, one refused."""

Where = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Scene:
    """A staging directory and a directory repo, with good shards, bad ones, and ones in the way."""

    area: StagingArea
    place: Place
    staged: dict[str, str]
    before: list[str]

    @classmethod
    def make(cls, root: Path) -> Scene:
        """Set it up."""
        area, place = StagingArea(root / "staging"), Place("directory", root)
        area.create()
        place.folder.mkdir()
        staged = put_many(area, 7)
        for path in area.pending.iterdir():
            grow_old(path)
        paths = list(staged)
        there = (area.pending / file_name(paths[THERE])).read_bytes()
        other = shard_bytes(f"run{TAKEN:03d}", 99)
        repo = place.open()
        additions = (
            addition(root / "in", paths[THERE], there),
            addition(root / "in", paths[TAKEN], other),
        )
        repo.commit(Commit("somebody else", "", repo.head(), additions))
        (place.folder / paths[REFUSED]).mkdir()
        garbage = put_bytes(area, name_of("garbage"), b"no parquet").read_bytes()
        staged[path_of("garbage")] = hashlib.sha256(garbage).hexdigest()
        return cls(area, place, staged, place.committed())

    def order(self, **more: Any) -> dict[str, Any]:
        """What to tell a process that is to sync here."""
        repo = self.place.folder.as_uri()
        now = time.time() + 10
        return {
            "staging": str(self.area.root),
            "repo": repo,
            "options": OPTIONS,
            "now": now,
            **more,
        }

    def run_again(self, verb: str = "sync") -> None:
        """The same once more, undisturbed, in this process."""
        repo = self.place.open()
        if verb == "retry":
            retry_failed(self.area)
        elif verb == "trim":
            trim_synced(self.area, repo, now=time.time() + 10, older_than_s=0.0)
        else:
            report = sync(self.area, repo, SyncOptions(**OPTIONS))
            assert (report.stopped, report.n_unreadable) == (None, 0)

    def where_shards_are(self) -> Where:
        """State or heap to file name to SHA-256."""
        found: Where = {state: shards_in(self.area.path(state)) for state in STATES}
        for heap in HEAPS:
            found[heap] = {
                aside.name: hashlib.sha256(aside.path.read_bytes()).hexdigest()
                for aside in entries_aside(self.area, heap)
            }
        return found

    def assert_nothing_lost(self) -> None:
        """P5: each shard is whole in one of the places that count; P12: or the repo has it."""
        where = self.where_shards_are()
        tree = self._tree()
        for path, sha256 in self.staged.items():
            held = [place for place, names in where.items() if names.get(file_name(path)) == sha256]
            in_repo = tree.get(path) == sha256
            assert in_repo or set(held) - {"synced"}, (path, held)

    def assert_done(self) -> None:
        """Everything is where an undisturbed sync puts it."""
        paths = list(self.staged)
        published = {paths[number]: self.staged[paths[number]] for number in (*GOOD, THERE)}
        names = {file_name(path): sha256 for path, sha256 in self.staged.items()}
        assert self.where_shards_are() == {
            "pending": {},
            "synced": {file_name(path): sha256 for path, sha256 in published.items()},
            "failed": {file_name(paths[REFUSED]): self.staged[paths[REFUSED]]},
            "rejected": {name_of("garbage"): names[name_of("garbage")]},
            "conflicts": {file_name(paths[TAKEN]): names[file_name(paths[TAKEN])]},
        }
        assert {
            path: sha for path, sha in self._tree().items() if path != paths[TAKEN]
        } == published
        ours = [path for path in self.place.committed() if path not in self.before]
        assert ours == [paths[number] for number in GOOD]
        key = self.place.open().key
        assert ledger_of(self.area) == [(p, s, key, "main") for p, s in published.items()]
        assert Journal(self.area).pending() == []

    def assert_slots(self) -> None:
        """At most one slot more than an undisturbed sync spends: three."""
        left = Budget(self.area, self.place.open().key, 90, 3600.0, with_peer=True).remaining()
        assert 90 - left <= 3 + 1

    def _tree(self) -> dict[str, str]:
        """What the repo says it holds; to ask it finishes a commit that died after landing."""
        found = self.place.open().look_up(self.staged)
        return {path: file.sha256 or "" for path, file in found.items()}
