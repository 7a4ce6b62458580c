"""State on disk: a file per event (written aside, fsynced, renamed), objects, two logs.

hub.json                                 settings
requests.jsonl, attempts.jsonl           every request answered; every commit request received
repos/datasets/alice/vacua/events/       00000000.json, 00000001.json, ...
repos/datasets/alice/vacua/objects/ab/   contents, named by SHA-256
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.hubserver.config import Config
from tests.hubserver.repo import Commit, Json, Repo, commit_json


class Store:
    """All repos of one server and their files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        (root / "repos").mkdir(parents=True, exist_ok=True)
        self.config = self._load_config()
        self.repos = {repo.key: repo for repo in self._load_repos()}
        self.attempts: list[Json] = list(read_lines(root / "attempts.jsonl"))
        self._attempts_log = JsonLines(root / "attempts.jsonl")
        self.requests_log = JsonLines(root / "requests.jsonl")

    def close(self) -> None:
        """Release the logs."""
        self._attempts_log.close()
        self.requests_log.close()

    def now(self) -> float:
        """The server's clock, which a test can move."""
        return time.time() + self.config.clock_offset

    def set_config(self, values: Json) -> None:
        """Replace some settings and keep them."""
        with self.lock:
            self.config = self.config.changed(values)
            write_whole(self.root / "hub.json", json.dumps(self.config.as_json()).encode())

    def folder(self, repo: Repo) -> Path:
        """Where a repo is kept."""
        return self.root / "repos" / repo.key

    def create(self, kind: str, name: str, *, private: bool, commit: Commit) -> Repo:
        """Make a repo with its first commit."""
        repo = Repo(kind, name)
        (self.folder(repo) / "events").mkdir(parents=True)
        event = {
            "kind": "create",
            "private": private,
            "time": commit.time,
            "commit": commit_json(commit),
            "refs": {"refs/heads/main": commit.id},
        }
        self.record(repo, event)
        self.repos[repo.key] = repo
        return repo

    def delete(self, repo: Repo) -> None:
        """Forget a repo and remove its files."""
        del self.repos[repo.key]
        shutil.rmtree(self.folder(repo))

    def record(self, repo: Repo, event: Json) -> None:
        """Make an event durable, then visible."""
        with repo.lock:
            path = self.folder(repo) / "events" / f"{repo.events:08d}.json"
            write_whole(path, json.dumps(event).encode())
            repo.apply(event)

    def object_path(self, repo: Repo, sha256: str) -> Path:
        """Where content with this SHA-256 is, or would be."""
        return self.folder(repo) / "objects" / sha256[:2] / sha256

    def object_size(self, repo: Repo, sha256: str) -> int | None:
        """Size of a stored object in bytes, None when it is not there."""
        try:
            return self.object_path(repo, sha256).stat().st_size
        except FileNotFoundError:
            return None

    def put_object(self, repo: Repo, sha256: str, content: bytes) -> None:
        """Store content under a name; whether the name is right is the caller's to check."""
        path = self.object_path(repo, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{sha256}.{threading.get_ident()}")
        aside.write_bytes(content)
        aside.replace(path)

    def add_attempt(self, attempt: Json) -> Json:
        """Write down that a commit request arrived, and decide whether the cap lets it in."""
        with self.lock:
            attempt["over"] = (
                self._over(attempt["repo"], attempt["time"]) if attempt["counted"] else None
            )
            attempt["counted"] = attempt["counted"] and attempt["over"] is None
            self.attempts.append(attempt)
            self._attempts_log.append(attempt)
            return attempt

    def _over(self, key: str, now: float) -> float | None:
        """Seconds until the rolling window has room again, None when it has room now."""
        cap, window = self.config.commit_cap, self.config.cap_window
        if cap is None:
            return None
        times = [each["time"] for each in self.attempts if each["repo"] == key and each["counted"]]
        recent = [moment for moment in times if moment > now - window]
        return None if len(recent) < cap else recent[-cap] + window - now

    def _load_config(self) -> Config:
        path = self.root / "hub.json"
        return Config().changed(json.loads(path.read_bytes())) if path.exists() else Config()

    def _load_repos(self) -> Iterator[Repo]:
        for folder in sorted((self.root / "repos").glob("*/*/*/events")):
            kind, namespace, name = folder.parent.relative_to(self.root / "repos").parts
            repo = Repo(kind, f"{namespace}/{name}")
            for path in sorted(folder.glob("*.json")):
                repo.apply(json.loads(path.read_bytes()))
            if repo.events:
                yield repo


class JsonLines:
    """An append-only log: one line per write call, so that a kill never mixes two."""

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
        self._file = path.open("ab", buffering=0)
        if not whole:
            self._file.write(b"\n")

    def append(self, record: Json) -> None:
        """Add one record."""
        self._file.write(json.dumps(record).encode() + b"\n")

    def read(self) -> list[Any]:
        """All records so far."""
        return list(read_lines(self.path))

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def read_lines(path: Path) -> Iterator[Any]:
    """Records of a log; a line cut short by a kill is skipped."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    aside = path.with_name(f".{path.name}.tmp")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256_hex(content: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
