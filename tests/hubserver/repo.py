"""One repo in memory: commits, refs, discussions, all made by applying events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.hubserver.errors import revision_not_found
from tests.hubserver.trees import EMPTY, Entry, Tree

Json = dict[str, Any]

MAIN = "refs/heads/main"
_TREES_KEPT = 8


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: what it changed relative to its parent. `time` is seconds since the epoch."""

    id: str
    parent: str | None
    title: str
    description: str
    author: str
    time: float
    number: int
    writes: dict[str, Entry]
    deletes: list[str]


@dataclass(slots=True)
class Discussion:
    """A pull request or a plain discussion. `base` is the commit a pull request starts from."""

    num: int
    title: str
    author: str
    time: float
    status: str
    is_pull_request: bool
    base: str | None
    merge_commit: str | None = None
    events: list[Json] = field(default_factory=list)


def commit_json(commit: Commit) -> Json:
    """A commit as it is kept on disk."""
    writes = [[path, e.size, e.blob, e.sha256, e.lfs] for path, e in commit.writes.items()]
    return {
        "id": commit.id,
        "parent": commit.parent,
        "title": commit.title,
        "description": commit.description,
        "author": commit.author,
        "time": commit.time,
        "writes": writes,
        "deletes": commit.deletes,
    }


class Repo:
    """The state of one repo. Hold `lock` from reading the head to applying an event on it."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.private = False
        self.created = 0.0
        self.events = 0
        self.refs: dict[str, str] = {}
        self.commits: dict[str, Commit] = {}
        self.discussions: dict[int, Discussion] = {}
        self.lock = threading.RLock()
        self._trees: dict[str, Tree] = {}

    @property
    def key(self) -> str:
        """The repo as one string, such as `datasets/alice/vacua`."""
        return f"{self.kind}/{self.name}"

    @property
    def web_path(self) -> str:
        """Its place in URLs outside the API: models have no prefix there."""
        return self.name if self.kind == "models" else self.key

    @property
    def namespace(self) -> str:
        """The user or organisation that owns it."""
        return self.name.partition("/")[0]

    def find_ref(self, revision: str) -> str | None:
        """The full name of the ref that a revision names, if it names one."""
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in self.refs), None)

    def resolve(self, revision: str) -> str:
        """Commit id of a ref, of a commit id, or of the beginning of one (7 digits or more)."""
        ref = self.find_ref(revision)
        if ref is not None:
            return self.refs[ref]
        if revision in self.commits:
            return revision
        found = (
            [each for each in self.commits if each.startswith(revision)]
            if len(revision) >= 7
            else []
        )
        if len(found) != 1:
            raise revision_not_found(revision)
        return found[0]

    def history(self, commit_id: str | None) -> Iterator[Commit]:
        """Commits from this one back to the first."""
        while commit_id is not None:
            commit = self.commits[commit_id]
            yield commit
            commit_id = commit.parent

    def tree(self, commit_id: str) -> Tree:
        """The files at a commit, rebuilt from the nearest tree in memory."""
        with self.lock:
            missing = []
            tree = EMPTY
            for commit in self.history(commit_id):
                known = self._trees.get(commit.id)
                if known is not None:
                    tree = known
                    break
                missing.append(commit)
            for commit in reversed(missing):
                tree = tree.changed(commit.writes, commit.deletes)
            self._keep(commit_id, tree)
            return tree

    def _keep(self, commit_id: str, tree: Tree) -> None:
        self._trees.pop(commit_id, None)
        self._trees[commit_id] = tree
        while len(self._trees) > _TREES_KEPT:
            del self._trees[next(iter(self._trees))]

    def apply(self, event: Json) -> None:
        """Take one event into the state, alike when live and at start. It was checked before."""
        with self.lock:
            self.events += 1
            if event["kind"] == "create":
                self.private, self.created = event["private"], event["time"]
            if event.get("discussion") is not None:
                self._open_discussion(event["discussion"])
            if event.get("commit") is not None:
                self._add_commit(event["commit"])
            for ref, target in event.get("refs", {}).items():
                self._move_ref(ref, target)
            if event.get("note") is not None:
                self._add_note(event["note"])

    def _add_commit(self, record: Json) -> None:
        commit_id = record["id"]
        writes = {
            path: Entry(size, blob, sha, lfs, commit_id)
            for path, size, blob, sha, lfs in record["writes"]
        }
        fields = {
            key: record[key]
            for key in ("id", "parent", "title", "description", "author", "time", "deletes")
        }
        self.commits[commit_id] = Commit(number=len(self.commits), writes=writes, **fields)

    def _move_ref(self, ref: str, target: str | None) -> None:
        if target is None:
            self.refs.pop(ref, None)
        else:
            self.refs[ref] = target

    def _open_discussion(self, record: Json) -> None:
        self.discussions[record["num"]] = Discussion(**record)

    def _add_note(self, note: Json) -> None:
        """A line in a discussion: a comment, a commit, or a change of status."""
        discussion = self.discussions[note["num"]]
        discussion.events.append(note["event"])
        discussion.status = note.get("status", discussion.status)
        discussion.merge_commit = note.get("merge_commit", discussion.merge_commit)
