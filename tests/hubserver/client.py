"""What tests hold: a Hub that runs as a process or in a thread, and all its knobs."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.hubserver.config import CapFlavour, Refusal, Token
from tests.hubserver.faults import Fault
from tests.hubserver.server import HubServer

WRITE, READ, BOB, BAD = "hf_write", "hf_read", "hf_write_bob", "hf_bad"
_PROJECT = Path(__file__).resolve().parents[2]

NO_CERTIFICATES = {"SSL_CERT_DIR": str(_PROJECT / "tests")}
"""For clients: none that is needed here, where those of the machine take 30 ms to load."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A commit request that arrived.

    `counted`: it took a slot of the cap (the 429 of the cap itself, 401, 403 and 404 do not).
    `over`: seconds until the cap has room, for a request that it refused.
    """

    repo: str
    time: float
    token: str | None
    revision: str
    create_pr: bool
    title: str
    description: str
    parent: str | None
    operations: int
    counted: bool
    over: float | None


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request that was answered or dropped.

    `status` is what the client saw (None: dropped); `served` is what the endpoint said (None: it
    was not asked, or not yet).
    """

    time: float
    method: str
    path: str
    status: int | None
    served: int | None
    fault: str | None
    token: str | None
    body_bytes: int
    sent_bytes: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class SeenCommit:
    """A commit in the history of a revision. `files` is path -> SHA-256 of what it wrote."""

    id: str
    parent: str | None
    title: str
    description: str
    author: str
    time: float
    files: dict[str, str]
    deletes: list[str]


class ControlError(Exception):
    """The control endpoint refused."""


class LocalHub:
    """The knobs of a running server. Repos are `alice/vacua` (a dataset) or `models/alice/net`."""

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self.root = root

    def client_env(self, token: str | None = WRITE, *, home: Path | None = None) -> dict[str, str]:
        """The environment of a child process whose `huggingface_hub` talks to this server."""
        kept = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "SSL_"))
        }
        kept |= NO_CERTIFICATES | {
            "HF_ENDPOINT": self.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HOME": str(home or self.root.parent / "hf_home"),
        }
        return kept if token is None else kept | {"HF_TOKEN": token}

    def add_faults(self, *faults: Fault) -> None:
        """Let requests go wrong; see `Fault`."""
        self._call("POST", "faults", {"faults": [asdict(fault) for fault in faults]})

    def clear_faults(self) -> None:
        """No more faults."""
        self._call("DELETE", "faults")

    def fault_hits(self) -> list[int]:
        """How many requests each rule hit, in the order the rules were added."""
        return [rule["hits"] for rule in self._call("GET", "faults")]

    def configure(self, **settings: Any) -> None:
        """Change settings (fields of `Config`); they survive a restart."""
        self._call("POST", "config", settings)

    def config(self) -> dict[str, Any]:
        """The settings in force."""
        return dict(self._call("GET", "config"))

    def set_cap(
        self, cap: int | None, *, window: float = 3600.0, flavour: CapFlavour = "text"
    ) -> None:
        """The commit cap per repo, in a rolling window, and how its 429 tells the wait."""
        self.configure(commit_cap=cap, cap_window=window, cap_flavour=flavour)

    def advance_clock(self, seconds: float) -> None:
        """Move the clock of the server forward."""
        self.configure(clock_offset=self.config()["clock_offset"] + seconds)

    def refuse_paths(self, *refusals: Refusal) -> None:
        """Refuse commits by path; replaces the refusals in force."""
        self.configure(refusals=[asdict(each) for each in refusals])

    def set_token(self, secret: str, token: Token | None) -> None:
        """Make a token valid, or (None) invalid."""
        tokens = self.config()["tokens"]
        tokens.pop(secret, None)
        self.configure(tokens=tokens if token is None else tokens | {secret: asdict(token)})

    def requests(self) -> list[LoggedRequest]:
        """All requests since the root was made, without those of this class."""
        return [LoggedRequest(**each) for each in self._call("GET", "requests")]

    def attempts(self, repo: str | None = None) -> list[Attempt]:
        """All commit requests received, also those that were dropped or refused."""
        found = [Attempt(**each) for each in self._call("GET", "attempts")]
        return found if repo is None else [each for each in found if each.repo == _key(repo)]

    def create_repo(self, repo: str, *, private: bool = True, author: str = "alice") -> None:
        """Make a repo; its first commit holds `.gitattributes`."""
        self._call("POST", "create", {"repo": _key(repo), "private": private, "author": author})

    def commits(self, repo: str, revision: str = "main") -> list[SeenCommit]:
        """History of a revision, oldest first; the first is the one of `create_repo`."""
        found = []
        for record in self._call("POST", "commits", {"repo": _key(repo), "revision": revision}):
            files = {path: sha256 for path, _, _, sha256, _ in record.pop("writes")}
            found.append(SeenCommit(files=files, **record))
        return found

    def tree(self, repo: str, revision: str = "main") -> dict[str, str]:
        """Path -> SHA-256 of every file at a revision."""
        return dict(self._call("POST", "tree", {"repo": _key(repo), "revision": revision}))

    def refs(self, repo: str) -> dict[str, str]:
        """Full ref name -> commit id."""
        return dict(self._call("POST", "refs", {"repo": _key(repo)}))

    def discussions(self, repo: str) -> list[dict[str, Any]]:
        """Pull requests and discussions: `num`, `title`, `status`, `merge_commit`, ..."""
        return list(self._call("POST", "discussions", {"repo": _key(repo)}))

    def push(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        deletes: Iterable[str] = (),
        revision: str = "main",
        title: str = "Somebody else",
        description: str = "",
        author: str = "alice",
    ) -> str:
        """A commit by somebody else, past all checks and counters; its id."""
        body = {
            "repo": _key(repo),
            "revision": revision,
            "title": title,
            "description": description,
            "author": author,
            "files": {path: base64.b64encode(content).decode() for path, content in files.items()},
            "deletes": list(deletes),
        }
        return str(self._call("POST", "push", body))

    def merge_pr(self, repo: str, num: int, *, author: str = "alice") -> str:
        """Merge a pull request; the id of the commit on the default branch."""
        return str(self._call("POST", "merge", {"repo": _key(repo), "num": num, "author": author}))

    def close_pr(self, repo: str, num: int, *, author: str = "alice") -> None:
        """Close a pull request without merging it."""
        self._call(
            "POST", "status", {"repo": _key(repo), "num": num, "status": "closed", "author": author}
        )

    def await_held(self, at_least: int = 1, *, timeout: float = 30.0) -> int:
        """Wait until so many requests are held (`hold`, `hang`); how many there are."""
        return int(self._call("POST", "held", {"at_least": at_least, "timeout": timeout}))

    def release(self, *, timeout: float = 30.0) -> int:
        """Let held requests go on, and return when they were applied; how many there were."""
        return int(self._call("POST", "release", {"timeout": timeout}))

    def _call(self, method: str, name: str, body: object = None) -> Any:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        try:
            connection.request(
                method, f"/_control/{name}", json.dumps(body) if body is not None else None
            )
            response = connection.getresponse()
            value = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ControlError(value["error"])
        return value


class HubThread(LocalHub):
    """A server in a thread of this process: quickest to start. Use as a context manager."""

    def __init__(self, root: Path, host: str = "127.0.0.1") -> None:
        super().__init__("", root)
        self._host = host
        self._server: HubServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve; after a stop, on the same port."""
        port = urlsplit(self.url).port or 0
        self._server = HubServer(self.root, port, self._host)
        self.url = self._server.url
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """End the server and its connections."""
        if self._server is not None:
            self._server.abort()
            self._server = None


class HubProcess(LocalHub):
    """A server in a process of its own: can be killed. Use as a context manager."""

    def __init__(self, root: Path) -> None:
        super().__init__("", root)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Serve; after a kill, on the same port."""
        port = urlsplit(self.url).port or 0
        command = [
            sys.executable,
            "-m",
            "tests.hubserver",
            "--root",
            str(self.root),
            "--port",
            str(port),
        ]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [*command, "--with-parent"], cwd=_PROJECT, stdin=pipe, stdout=pipe, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise ControlError(f"The server did not start: exit code {self._process.wait()}")

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def restart(self, *, after: float = 0.0) -> None:
        """Kill, stay away for so many seconds, and serve again."""
        self.kill()
        time.sleep(after)
        self.start()


def _key(repo: str) -> str:
    return repo if repo.count("/") == 2 else f"datasets/{repo}"
