"""What a repo is to the rest of us: few methods, and the outcomes of a commit as values.

Two ways to fail. What concerns one batch or one shard is returned as a value, because sync goes
on after it: `Refused`, `Changed`, `Stale`, `Later`, `Unknown`. What stops the whole run is raised:
`Denied`, `RepoMissing`, `RepoRefuses`, `DiskTrouble`. Methods that only ask raise `Unreachable`,
`RateLimited` or `ServerTrouble` where an answer did not come; none of them waits by itself.

The order of a commit is `head`, `look_up` at that head, `upload`, a slot of the budget, `commit`
with that head as parent, and `look_up` again: only the last one says what is in the repo.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from vulcan_cli.errors import RateLimited, ServerTrouble, TryLater, Unreachable, UsageError

MAIN = "main"
"""The default branch."""

NO_COMMIT = "0" * 40
"""The head of a repo that has no commit yet."""

PUBLIC_HUB = "https://huggingface.co"
"""Where the Hub is, unless someone says otherwise."""

LOOK_UP_LIMIT = 1000
"""Most paths that one question may name; `look_up` itself takes any number and asks in parts."""


class RemoteFile(NamedTuple):
    """A file that a repo holds.

    Attributes:
        path: Its path in the repo.
        size: Bytes.
        sha256: 64 hex digits; None only out of `files`, where it was not cheap to know.
    """

    path: str
    size: int
    sha256: str | None


class Addition(NamedTuple):
    """A file to put into the repo.

    Attributes:
        path_in_repo: Where it goes.
        local: Where its bytes are read; `/proc/self/fd/N` of a descriptor that the caller keeps
            open until the commit has returned, or a file nobody else may write.
        sha256: What the bytes were when they were checked, 64 hex digits.
        size: Bytes, as checked.
        replaces: SHA-256 of the content that this takes the place of, for the few files of our
            own that change (the catalog, the card); None for what may only be new. A folder
            compares it with what is there. On the Hub the parent fences it: whoever replaces a
            file has read it at that commit.
    """

    path_in_repo: str
    local: Path
    sha256: str
    size: int
    replaces: str | None = None


class Removal(NamedTuple):
    """A file of our own to take out of the repo: published splits that are fewer than before.

    Attributes:
        path_in_repo: Where it is.
        sha256: Its content, 64 hex digits. A folder compares it with what is there; on the Hub the
            parent fences it.
    """

    path_in_repo: str
    sha256: str


class Commit(NamedTuple):
    """A commit to make.

    Attributes:
        message: The title, never empty, made from constants and counts.
        description: The text below it; holds the batch id.
        parent: The head it was planned on (40 hex digits). The repo refuses it on any other.
        additions: What it adds; no path twice.
        removals: What it takes out; none of the paths that it adds.
    """

    message: str
    description: str
    parent: str
    additions: tuple[Addition, ...]
    removals: tuple[Removal, ...] = ()


class LoggedCommit(NamedTuple):
    """A commit that a repo remembers; `time` in unix seconds."""

    id: str
    message: str
    description: str
    time: float


class Snapshot(NamedTuple):
    """A revision that is being read: all of it is read at this commit.

    Attributes:
        head: The commit that the revision stands for, `NO_COMMIT` where there is none.
        parent: The commit before it, `NO_COMMIT` where there is none; None where that is not
            known and nobody can be asked.
        is_cached: The network is switched off: this is what was last seen of the revision.
    """

    head: str
    parent: str | None
    is_cached: bool = False


class Part(NamedTuple):
    """A stretch of a file; `size` is that of the whole file, bytes."""

    data: bytes
    size: int


class PullRequestStatus(enum.Enum):
    """What became of a pull request."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class PullRequest(NamedTuple):
    """A pull request of the repo; a draft counts as open."""

    number: int
    title: str
    status: PullRequestStatus

    @property
    def revision(self) -> str:
        """What to give as `revision` to read what it proposes."""
        return f"refs/pr/{self.number}"


class Trouble(enum.Enum):
    """Why an answer has to wait; the value says it in words."""

    RATE_LIMIT = "rate limit"
    UNREACHABLE = "unreachable"
    SERVER = "server error"


_TROUBLES: dict[Trouble, tuple[type[TryLater], str]] = {
    Trouble.RATE_LIMIT: (RateLimited, "takes no more for now"),
    Trouble.UNREACHABLE: (Unreachable, "cannot be reached"),
    Trouble.SERVER: (ServerTrouble, "has trouble of its own"),
}


@dataclass(frozen=True, slots=True)
class Ready:
    """The content is with the repo; `commit` needs to send nothing but names."""


class Landed(NamedTuple):
    """The repo says it took the commit.

    Attributes:
        commit_id: 40 hex digits. The current head where every file was there already: then no
            commit was made.
        pull_request: Its number where one was asked for.
    """

    commit_id: str
    pull_request: int | None = None


class Changed(NamedTuple):
    """Local bytes are not what was checked, or cannot be read. Nothing was committed.

    Attributes:
        paths: Paths in the repo of these additions.
    """

    paths: tuple[str, ...]


class Refused(NamedTuple):
    """The repo will not take this content, now or later. Nothing was committed.

    Attributes:
        reason: Its own words, secrets removed; the same words mean the same cause.
        culprits: Paths of this batch that it names; empty where it names none, or all.
        status: The HTTP status (400, 413, 422), None where there was none.
    """

    reason: str
    culprits: tuple[str, ...] = ()
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Stale:
    """The head is no longer the parent (412). Nothing was committed; look again."""


class Later(NamedTuple):
    """Not now, for a reason that is no shard's fault. Nothing was committed.

    Attributes:
        reason: In words, secrets removed.
        trouble: The kind.
        retry_at: Unix seconds before which it makes no sense to come back, where that was said;
            the caller clamps it to its window.
        status: The HTTP status where there was one.
        commits_per_hour: The repo's own limit, where the refusal named it.
    """

    reason: str
    trouble: Trouble
    retry_at: float | None = None
    status: int | None = None
    commits_per_hour: int | None = None

    def error(self, repo: str) -> TryLater:
        """The same as an exception, for who gives up; `repo` is the name of the repo."""
        kind, what = _TROUBLES[self.trouble]
        known = self.status is None or str(self.status) in self.reason
        status = "" if known else f" (HTTP {self.status})"
        return kind(f"{repo} {what}: {self.reason}{status}", retry_at=self.retry_at)


class Unknown(NamedTuple):
    """The answer was lost: the commit may have landed, or may land yet. Ask the repo.

    Attributes:
        reason: In words, secrets removed.
        trouble: `UNREACHABLE` for a lost connection or a timeout, `SERVER` for a 5xx or a 408.
        retry_at: As in `Later`.
        status: The HTTP status where there was one.
    """

    reason: str
    trouble: Trouble
    retry_at: float | None = None
    status: int | None = None

    def as_later(self) -> Later:
        """The same, once the repo was asked and nothing has landed."""
        return Later(self.reason, self.trouble, self.retry_at, self.status)


UploadOutcome = Ready | Changed | Refused | Later
CommitOutcome = Landed | Changed | Refused | Stale | Later | Unknown


class Repo(Protocol):
    """A dataset repo.

    A `revision` is a branch, `refs/pr/N`, or the id of a commit, of which 7 digits are enough.

    Every method may raise `Denied`, `RepoMissing` (also for a revision that is not there) and
    `DiskTrouble`; those that ask, `Unreachable`, `RateLimited` and `ServerTrouble`.
    """

    @property
    def name(self) -> str:
        """How people write it, without secrets; `open_repo(name)` opens the same repo."""

    @property
    def key(self) -> str:
        """A file name that no other repo has: lower case letters, digits, `-`, at most 60."""

    @property
    def is_remote(self) -> bool:
        """Whether it stands behind a network."""

    def preflight(
        self, *, create: bool = False, create_pr: bool = False, revision: str = MAIN
    ) -> None:
        """Find out, without a commit, whether commits can work: the repo, the permission to write.

        Args:
            create: Make the repo where there is none; private where that can be said.
            create_pr: Commits will be pull requests, for which less permission is enough.
            revision: The branch that commits will go to.

        Raises:
            RepoRefuses: What the repo holds would hide every shard (`.gitignore`).
        """

    def head(self, revision: str = MAIN) -> str:
        """The id of the newest commit, `NO_COMMIT` where there is none."""

    def look_up(self, paths: Iterable[str], revision: str = MAIN) -> dict[str, RemoteFile]:
        """Which of these paths are there, each with its SHA-256, which is never None here."""

    def check_card(self, text: str) -> str | None:
        """Why the repo would refuse this `README.md`, in its own words; None where it takes it."""

    def upload(
        self, additions: Sequence[Addition], revision: str = MAIN, *, create_pr: bool = False
    ) -> UploadOutcome:
        """Bring content to the repo ahead of one commit. Nothing becomes visible.

        What an earlier `upload` brought for a commit that was not made may be dropped.
        """

    def commit(
        self, commit: Commit, revision: str = MAIN, *, create_pr: bool = False
    ) -> CommitOutcome:
        """Ask for one commit, all of it or nothing, with at most one commit request.

        Content that `upload` brought is not sent again. A retry asks `upload` and `commit` anew:
        nothing that the repo said before is remembered for it.

        Args:
            commit: What to commit, on which parent.
            revision: The branch.
            create_pr: Propose it as a new pull request instead.

        Raises:
            UsageError: A pull request of a repo that has none.
        """

    def files(self, revision: str = MAIN) -> Iterator[RemoteFile]:
        """Every file, in no promised order; `sha256` is None where it would cost a read."""

    def snapshot(self, revision: str = MAIN) -> Snapshot:
        """What to read of a revision; one question."""

    def find(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path | None:
        """What `fetch` would give, where that needs no question; else None."""

    def fetch(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path:
        """A local file with this content, to read only; at most one question.

        Args:
            path: The path in the repo.
            revision: Where; the id of a commit is looked for on this machine first.
            sha256: What it must be, where that is known: then content that came here with another
                commit is as good.

        Raises:
            FileNotFoundError: The repo has no such path, or (offline) nothing of it is here.
            BadShard: It is there with other content than `sha256`.
        """

    def read(self, path: str, revision: str, *, start: int, length: int) -> Part:
        """A stretch of a file, and no more of it; one question.

        Args:
            path: The path in the repo.
            revision: Where.
            start: The first byte; negative: so many bytes before the end.
            length: How many bytes, at least one; fewer where the file ends.

        Raises:
            FileNotFoundError: The repo has no such path.
        """

    @property
    def notes(self) -> Path | None:
        """Where readers keep what they learned; None where looking again costs little.

        A folder on this machine, perhaps still to be made. What is in it can be learned again.
        """

    def log(self, limit: int, revision: str = MAIN) -> list[LoggedCommit]:
        """The newest commits, newest first."""

    def pull_request(self, number: int) -> PullRequest:
        """One pull request, as it stands now.

        Raises:
            FileNotFoundError: The repo has none of this number.
        """

    def pull_requests(self) -> list[PullRequest]:
        """All pull requests, newest first; none for a repo that has no such thing.

        After an `Unknown` with `create_pr`, the one that landed is here: look up its revision.
        """


def check_pull_request(revision: str, *, create_pr: bool) -> None:
    """Raise UsageError for a pull request to another branch than the main one."""
    if create_pr and revision != MAIN:
        raise UsageError(f"a pull request goes to {MAIN}, not to {revision}")


def key_of(label: str, identity: str) -> str:
    """A `Repo.key`: readable by its label, unique by a digest of its identity.

    >>> key_of("Owner/Name", "owner/name")
    'owner-name-a0a7498d306a'
    """
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[-40:].strip("-") or "repo"
    return f"{slug}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def hub_key(repo_id: str, endpoint: str) -> str:
    """The `Repo.key` of a repo on a Hub, which does not tell upper from lower case."""
    address = endpoint.rstrip("/")
    place = "" if address == PUBLIC_HUB else f"{address}/"
    return key_of(repo_id, f"{place}{repo_id}".lower())
