"""A repo on the Hugging Face Hub, through the official client."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from huggingface_hub import constants
from huggingface_hub.community import Discussion
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._http import get_session, hf_raise_for_status
from huggingface_hub.utils._pagination import paginate

from vulcan_cli.errors import RepoMissing, RepoRefuses, ServerTrouble, Unreachable
from vulcan_cli.hub.answers import REFUSED
from vulcan_cli.hub.client import Client
from vulcan_cli.hub.content import Content
from vulcan_cli.hub.downloads import COMMIT_ID, Downloads
from vulcan_cli.hub.paths import problem_of
from vulcan_cli.hub.repo import (
    LOOK_UP_LIMIT,
    MAIN,
    NO_COMMIT,
    Addition,
    Commit,
    CommitOutcome,
    LoggedCommit,
    Part,
    PullRequest,
    PullRequestStatus,
    RemoteFile,
    Snapshot,
    UploadOutcome,
    check_pull_request,
    hub_key,
)
from vulcan_cli.hub.sending import Sender

PROBE = "h12_0/h11_0/bucket_0/run_probe.parquet"
"""A path as shards have it, to ask about and never to write."""


class Account(NamedTuple):
    """Who the Hub takes us for.

    Attributes:
        name: Of the account; None without a token.
        role: What its token may: `read`, `write`, `fineGrained`; None where that is not said.
        time: Now by the Hub's clock, unix seconds, to the second; None where it does not say.
    """

    name: str | None
    role: str | None
    time: float | None


class HubRepo:
    """A `Repo` that is a dataset on the Hub.

    Args:
        repo_id: `owner/name`.
        token: The secret, used as it is; None for nobody: the client's own login is not looked at.
        endpoint: Another Hub; None for the one that the client is set to.
        cache_dir: Where downloads are kept; None for the client's own cache.
        timeout_s: How long the Hub may be silent, seconds. The Hub itself gives up after 60.
        clock: Gives unix seconds, to tell when to come back.
        say: Told once that the Hub has no Xet, where that is so.
    """

    def __init__(
        self,
        repo_id: str,
        *,
        token: str | None,
        endpoint: str | None = None,
        cache_dir: Path | None = None,
        timeout_s: float = 120.0,
        clock: Callable[[], float] = time.time,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = Client(repo_id, token, endpoint, timeout_s, clock)
        self._downloads = Downloads(cache_dir or Path(constants.HF_HUB_CACHE), repo_id)
        self._content = Content(self._client, self._downloads)
        self._sender = Sender(self._client, say)

    @property
    def name(self) -> str:
        """`owner/name`."""
        return self._client.repo_id

    @property
    def key(self) -> str:
        """See `Repo.key`."""
        return hub_key(self.name, self._client.endpoint)

    @property
    def is_remote(self) -> bool:
        """Always."""
        return True

    def preflight(
        self, *, create: bool = False, create_pr: bool = False, revision: str = MAIN
    ) -> None:
        """See `Repo.preflight`: asks how a shard would be uploaded, which only writers may ask."""
        check_pull_request(revision, create_pr=create_pr)
        if create:
            self._create_where_missing()
        self.head(revision)
        with self._client.asking(revision):
            response = get_session().post(
                f"{self._client.url}/preupload/{quote(revision, safe='')}",
                params={"create_pr": "1"} if create_pr else None,
                json={"files": [{"path": PROBE, "sample": "UEFSMQ==", "size": 4}]},
                headers=self._client.headers(),
            )
            hf_raise_for_status(response)
            hidden = response.json()["files"][0].get("shouldIgnore", False)
        if hidden:
            raise RepoRefuses(
                f"the .gitignore of {self.name} hides parquet files",
                hidden_in=self.name,
            )

    def account(self) -> Account:
        """Whose token this is, and what time it is there; one question.

        Raises:
            Denied: The Hub does not know the token.
        """
        with self._client.asking(MAIN):
            url = f"{self._client.endpoint}/api/whoami-v2"
            response = get_session().get(url, headers=self._client.headers())
            said: dict[str, Any] = {}
            if self._client.has_token:
                hf_raise_for_status(response)
                said = response.json()
            token = said.get("auth", {}).get("accessToken", {})
            date = response.headers.get("date", "")
            moment = parsedate_to_datetime(date).timestamp() if date else None
            return Account(said.get("name"), token.get("role"), moment)

    def head(self, revision: str = MAIN) -> str:
        """See `Repo.head`."""
        with self._client.asking(revision):
            # Without `expand` the answer lists every file of the repo.
            info = self._client.api.dataset_info(self.name, revision=revision, expand=["sha"])
            return _text(info.sha)

    def look_up(self, paths: Iterable[str], revision: str = MAIN) -> dict[str, RemoteFile]:
        """See `Repo.look_up`. A file outside LFS is read to know its SHA-256."""
        wanted = [path for path in dict.fromkeys(paths) if problem_of(path) is None]
        found: dict[str, RemoteFile] = {}
        with self._client.asking(revision):
            for part in _parts(wanted, LOOK_UP_LIMIT):
                infos = self._client.api.get_paths_info(
                    self.name, part, revision=revision, repo_type="dataset"
                )
                for info in infos:
                    if isinstance(info, RepoFile):
                        found[info.path] = _remote_file(info)
            for path, file in found.items():
                if file.sha256 is None:
                    sha256 = self._content.sha256_of(path, revision, file.size)
                    found[path] = RemoteFile(path, file.size, sha256)
        return found

    def check_card(self, text: str) -> str | None:
        """See `Repo.check_card`; the client asks once more with the commit, when it is late."""
        with self._client.asking(MAIN):
            response = get_session().post(
                f"{self._client.endpoint}/api/validate-yaml",
                json={"content": text, "repoType": "dataset"},
                headers=self._client.headers(),
            )
            try:
                hf_raise_for_status(response)
            except HfHubHTTPError as error:
                answer = self._client.answer(error)
                if answer is None or answer.status not in REFUSED:
                    raise
                return answer.reason
            # The client reads the answer when it commits, and would not get past it.
            if not isinstance(response.json(), dict):
                raise TypeError("what it says of a card is no object")
        return None

    def upload(
        self, additions: Sequence[Addition], revision: str = MAIN, *, create_pr: bool = False
    ) -> UploadOutcome:
        """See `Repo.upload`."""
        return self._sender.upload(additions, revision, create_pr=create_pr)

    def commit(
        self, commit: Commit, revision: str = MAIN, *, create_pr: bool = False
    ) -> CommitOutcome:
        """See `Repo.commit`."""
        return self._sender.commit(commit, revision, create_pr=create_pr)

    def files(self, revision: str = MAIN) -> Iterator[RemoteFile]:
        """See `Repo.files`; pages of 1000, all of one commit."""
        head = revision if COMMIT_ID.fullmatch(revision) else self.head(revision)
        is_empty = True
        with self._client.asking(revision):
            for info in self._client.api.list_repo_tree(
                self.name, recursive=True, revision=head, repo_type="dataset"
            ):
                is_empty = False
                if isinstance(info, RepoFile):
                    yield _remote_file(info)
            if is_empty:
                self._check_empty(head)

    def snapshot(self, revision: str = MAIN) -> Snapshot:
        """See `Repo.snapshot`; the client knows whether it may use the network."""
        if constants.is_offline_mode():
            seen = self._downloads.last_seen(revision)
            if seen is None:
                raise Unreachable(f"offline, and nothing of {self.name}@{revision} is here")
            return Snapshot(seen, self._downloads.parent_of(seen), is_cached=True)
        newest = [commit.id for commit in self.log(2, revision)]
        if not newest:
            raise ServerTrouble(f"{self.name} gives no answer that makes sense: it has no commit")
        head, parent = (*newest, NO_COMMIT)[:2]
        self._downloads.remember(revision, head)
        self._downloads.remember_parent(head, parent)
        return Snapshot(head, parent)

    def find(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path | None:
        """See `Repo.find`: what was downloaded, by this program or by the Hub's client."""
        return self._content.find(path, revision, sha256=sha256)

    def fetch(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path:
        """See `Repo.fetch`; kept where the Hub's client keeps downloads."""
        return self._content.fetch(path, revision, sha256=sha256)

    def read(self, path: str, revision: str, *, start: int, length: int) -> Part:
        """See `Repo.read`; by an HTTP range."""
        return self._content.read(path, revision, start=start, length=length)

    @property
    def notes(self) -> Path:
        """See `Repo.notes`: beside the downloads, and deleted with them."""
        return self._downloads.notes

    def log(self, limit: int, revision: str = MAIN) -> list[LoggedCommit]:
        """See `Repo.log`; asks for no more pages than it needs."""
        with self._client.asking(revision):
            # Not `list_repo_commits`, which always reads the whole history.
            pages = paginate(
                f"{self._client.url}/commits/{quote(revision, safe='')}", {}, self._client.headers()
            )
            return [_logged(item) for item in islice(pages, limit)]

    def pull_request(self, number: int) -> PullRequest:
        """See `Repo.pull_request`."""
        self.head()
        with self._client.asking(MAIN, f"refs/pr/{number}"):
            found = self._client.api.get_discussion_details(self.name, number, repo_type="dataset")
        if not found.is_pull_request:
            raise FileNotFoundError(errno.ENOENT, f"no pull request of {self.name}", str(number))
        return _pull_request(found)

    def pull_requests(self) -> list[PullRequest]:
        """See `Repo.pull_requests`."""
        with self._client.asking(MAIN):
            found = self._client.api.get_repo_discussions(
                self.name, discussion_type="pull_request", repo_type="dataset"
            )
            return sorted(map(_pull_request, found), key=lambda each: -each.number)

    def _check_empty(self, commit: str) -> None:
        """Raise ValueError where a commit has files after all.

        The client takes any object for an empty list, and with an empty list a catalog would be
        written that hides all shards.
        """
        response = get_session().get(
            f"{self._client.url}/tree/{commit}", headers=self._client.headers()
        )
        hf_raise_for_status(response)
        if response.json() != []:
            raise ValueError("it listed nothing of what it has")

    def _create_where_missing(self) -> None:
        """Make the repo, private, where there is none that we may see."""
        try:
            self.head()
        except RepoMissing:
            with self._client.asking(MAIN):
                self._client.api.create_repo(
                    self.name, repo_type="dataset", visibility="private", exist_ok=True
                )


def _parts(paths: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]


def _remote_file(info: RepoFile) -> RemoteFile:
    size, sha256 = (info.size, None) if info.lfs is None else (info.lfs.size, info.lfs.sha256)
    given = ((info.path, str), (size, int), (sha256, str | None))
    if not all(isinstance(value, kind) for value, kind in given):
        raise TypeError("it lists what can be no file")
    return RemoteFile(info.path, size, sha256)


def _logged(item: dict[str, Any]) -> LoggedCommit:
    moment = datetime.fromisoformat(item["date"]).timestamp()
    return LoggedCommit(item["id"], item.get("title", ""), item.get("message", ""), moment)


def _pull_request(found: Discussion) -> PullRequest:
    status: Literal["open", "closed", "merged", "draft"] = found.status
    return PullRequest(
        found.num, found.title, PullRequestStatus("open" if status == "draft" else status)
    )


def _text(value: str | None) -> str:
    if not value:
        raise ValueError("the head of the branch is missing")
    return value
