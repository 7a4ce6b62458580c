"""A repo on the Hugging Face Hub, through the official client; the only importer of it.

What the client (huggingface_hub 2.4.0) does by itself and we do not want: it may wait for ever, as
its HTTP client has no timeout; sleep for an hour inside a call, after a 429 with `RateLimit` or
`Retry-After`; drop files in silence that the repo's `.gitignore` names; use its own login. So its
HTTP client is set up here, every 429 is an error at once, `shouldIgnore` is looked at, and the
token is always given. What waits are left are its retries of single uploads and listings, 23
seconds at most for each.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    set_client_factory,
)
from huggingface_hub.community import Discussion
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import logging as client_logging
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import (
    default_client_factory,
    get_session,
    hf_raise_for_status,
    http_stream_backoff,
)
from huggingface_hub.utils._pagination import paginate
from huggingface_hub.utils._runtime import is_xet_available
from huggingface_hub.utils.tqdm import disable_progress_bars

from vulcan_cli import __version__
from vulcan_cli.errors import (
    DiskTrouble,
    RepoMissing,
    RepoRefuses,
    ServerTrouble,
    TryLater,
    Unreachable,
    UsageError,
)
from vulcan_cli.hub.answers import (
    REFUSED,
    Answer,
    commit_outcome,
    error_of,
    plain,
    upload_outcome,
)
from vulcan_cli.hub.downloads import COMMIT_ID, Downloads
from vulcan_cli.hub.paths import problem_of, refuse_paths
from vulcan_cli.hub.repo import (
    LOOK_UP_LIMIT,
    MAIN,
    NO_COMMIT,
    Addition,
    Changed,
    Commit,
    CommitOutcome,
    Landed,
    Later,
    LoggedCommit,
    Part,
    PullRequest,
    PullRequestStatus,
    Ready,
    Refused,
    RemoteFile,
    Snapshot,
    Trouble,
    Unknown,
    UploadOutcome,
    hub_key,
)

PROBE = "h12_0/h11_0/bucket_0/run_probe.parquet"
"""A path as shards have it, to ask about and never to write."""

_CARD = "README.md"

LONGEST_SLEEP_S = 60.0
"""What the client may sleep by itself before it asks again."""

MOST_RESUMPTIONS = 5
"""How often a download that breaks is taken up again."""

_CONNECT_S = 15.0
_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
_NO_SUCH_SERVICE = {404, 405, 501}
_MISUNDERSTOOD = (ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class _Ahead:
    """Operations whose content is with the Hub, each for one commit and no more."""

    revision: str
    create_pr: bool
    operations: dict[Addition, CommitOperationAdd]

    def serves(self, commit: Commit, revision: str, *, create_pr: bool) -> bool:
        """Whether they are for this commit."""
        there = set(commit.additions) <= set(self.operations)
        return there and (self.revision, self.create_pr) == (revision, create_pr)


@dataclass(frozen=True, slots=True)
class Account:
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
        _set_up_client(timeout_s)
        self._id = repo_id
        self._token = token
        self._downloads = Downloads(cache_dir or Path(constants.HF_HUB_CACHE), repo_id)
        self._clock = clock
        self._say_once = say
        self._ahead: _Ahead | None = None
        self._api = HfApi(
            endpoint=endpoint,
            token=token or False,
            library_name="vulcan-cli",
            library_version=__version__,
        )

    @property
    def name(self) -> str:
        """`owner/name`."""
        return self._id

    @property
    def key(self) -> str:
        """See `Repo.key`."""
        return hub_key(self._id, self._api.endpoint)

    @property
    def is_remote(self) -> bool:
        """Always."""
        return True

    def preflight(
        self, *, create: bool = False, create_pr: bool = False, revision: str = MAIN
    ) -> None:
        """See `Repo.preflight`: asks how a shard would be uploaded, which only writers may ask."""
        _check_pull_request(revision, create_pr=create_pr)
        if create:
            self._create_where_missing()
        self.head(revision)
        with self._asking(revision):
            response = get_session().post(
                f"{self._url}/preupload/{quote(revision, safe='')}",
                params={"create_pr": "1"} if create_pr else None,
                json={"files": [{"path": PROBE, "sample": "UEFSMQ==", "size": 4}]},
                headers=self._headers(),
            )
            hf_raise_for_status(response)
            hidden = response.json()["files"][0].get("shouldIgnore", False)
        if hidden:
            raise RepoRefuses(
                f"the .gitignore of {self._id} hides parquet files", hidden_in=self._id
            )

    def account(self) -> Account:
        """Whose token this is, and what time it is there; one question.

        Raises:
            Denied: The Hub does not know the token.
        """
        with self._asking(MAIN):
            url = f"{self._api.endpoint}/api/whoami-v2"
            response = get_session().get(url, headers=self._headers())
            said: dict[str, Any] = {}
            if self._token is not None:
                hf_raise_for_status(response)
                said = response.json()
            token = said.get("auth", {}).get("accessToken", {})
            date = response.headers.get("date", "")
            moment = parsedate_to_datetime(date).timestamp() if date else None
            return Account(said.get("name"), token.get("role"), moment)

    def head(self, revision: str = MAIN) -> str:
        """See `Repo.head`."""
        with self._asking(revision):
            # Without `expand` the answer lists every file of the repo.
            info = self._api.dataset_info(self._id, revision=revision, expand=["sha"])
            return _text(info.sha)

    def look_up(self, paths: Iterable[str], revision: str = MAIN) -> dict[str, RemoteFile]:
        """See `Repo.look_up`. A file outside LFS is read to know its SHA-256."""
        wanted = [path for path in dict.fromkeys(paths) if problem_of(path) is None]
        found: dict[str, RemoteFile] = {}
        with self._asking(revision):
            for part in _parts(wanted, LOOK_UP_LIMIT):
                infos = self._api.get_paths_info(
                    self._id, part, revision=revision, repo_type="dataset"
                )
                for info in infos:
                    if isinstance(info, RepoFile):
                        found[info.path] = _remote_file(info)
            for path, file in found.items():
                if file.sha256 is None:
                    found[path] = RemoteFile(path, file.size, self._sha256_of(path, revision))
        return found

    def check_card(self, text: str) -> str | None:
        """See `Repo.check_card`; the client asks once more with the commit, when it is late."""
        with self._asking(MAIN):
            response = get_session().post(
                f"{self._api.endpoint}/api/validate-yaml",
                json={"content": text, "repoType": "dataset"},
                headers=self._headers(),
            )
            try:
                hf_raise_for_status(response)
            except HfHubHTTPError as error:
                answer = self._answer(error)
                if answer is None or answer.status not in REFUSED:
                    raise
                return answer.reason
        return None

    def upload(
        self, additions: Sequence[Addition], revision: str = MAIN, *, create_pr: bool = False
    ) -> UploadOutcome:
        """See `Repo.upload`."""
        _check_pull_request(revision, create_pr=create_pr)
        self._ahead = None
        refused = refuse_paths(additions)
        if refused is not None:
            return refused
        operations, changed = _operations(additions)
        if changed:
            return Changed(changed)
        try:
            self._api.preupload_lfs_files(
                self._id,
                list(operations.values()),
                repo_type="dataset",
                revision=revision,
                create_pr=create_pr,
                free_memory=False,
            )
            outcome = _check_sent(operations)
        except Exception as error:
            if self._has_no_xet(error, revision):
                return self.upload(additions, revision, create_pr=create_pr)
            return self._upload_failed(error, additions, revision)
        if isinstance(outcome, Ready):
            self._ahead = _Ahead(revision, create_pr, operations)
        return outcome

    def commit(
        self, commit: Commit, revision: str = MAIN, *, create_pr: bool = False
    ) -> CommitOutcome:
        """See `Repo.commit`."""
        ahead = self._ahead
        if ahead is None or not ahead.serves(commit, revision, create_pr=create_pr):
            ready = self.upload(commit.additions, revision, create_pr=create_pr)
            ahead = self._ahead
            if ahead is None:
                assert not isinstance(ready, Ready)
                return ready
        # An operation remembers what was there before it: good for one try.
        self._ahead = None
        try:
            info = self._api.create_commit(
                self._id,
                [
                    *(ahead.operations[addition] for addition in commit.additions),
                    *(CommitOperationDelete(each.path_in_repo) for each in commit.removals),
                ],
                commit_message=commit.message,
                commit_description=commit.description,
                repo_type="dataset",
                revision=revision,
                create_pr=create_pr,
                parent_commit=commit.parent,
            )
        except Exception as error:
            return self._commit_failed(error, commit, revision)
        return Landed(info.oid, info.pr_num)

    def files(self, revision: str = MAIN) -> Iterator[RemoteFile]:
        """See `Repo.files`; pages of 1000, all of one commit."""
        head = revision if COMMIT_ID.fullmatch(revision) else self.head(revision)
        with self._asking(revision):
            for info in self._api.list_repo_tree(
                self._id, recursive=True, revision=head, repo_type="dataset"
            ):
                if isinstance(info, RepoFile):
                    yield _remote_file(info)

    def snapshot(self, revision: str = MAIN) -> Snapshot:
        """See `Repo.snapshot`; the client knows whether it may use the network."""
        if constants.is_offline_mode():
            seen = self._downloads.last_seen(revision)
            if seen is None:
                raise Unreachable(f"offline, and nothing of {self._id}@{revision} is here")
            return Snapshot(seen, None, is_cached=True)
        newest = [commit.id for commit in self.log(2, revision)]
        if not newest:
            raise ServerTrouble(f"{self._id} gives no answer that makes sense: it has no commit")
        with self._asking(revision):
            self._downloads.remember(revision, newest[0])
        return Snapshot(newest[0], newest[1] if len(newest) > 1 else NO_COMMIT)

    def find(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path | None:
        """See `Repo.find`: what was downloaded, by this program or by the Hub's client."""
        if problem_of(path) is not None:
            return None
        with self._asking(revision):
            return self._downloads.find(path, revision, sha256)

    def fetch(self, path: str, revision: str = MAIN, *, sha256: str | None = None) -> Path:
        """See `Repo.fetch`; kept where the Hub's client keeps downloads.

        Not by `hf_hub_download`, which asks twice for a file, and again for content that came
        with another commit.
        """
        offline = constants.is_offline_mode()
        if offline or COMMIT_ID.fullmatch(revision):
            found = self.find(path, revision, sha256=sha256)
            if found is not None:
                return found
        if offline or problem_of(path) is not None:
            raise FileNotFoundError(errno.ENOENT, f"not in {self._id}", path)
        with self._asking(revision, path), self._open(path, revision) as response:
            commit = _first(response, "x-repo-commit")
            if not COMMIT_ID.fullmatch(commit):
                raise ValueError("the commit that a file is of is missing")
            self._downloads.remember(revision, commit)
            content = self._whole(path, commit, response)
            return self._downloads.keep(path, commit, content, sha256)

    def read(self, path: str, revision: str, *, start: int, length: int) -> Part:
        """See `Repo.read`; by an HTTP range."""
        span = f"{start}-{start + length - 1}" if start >= 0 else f"{start}"
        with self._asking(revision, path), self._open(path, revision, span) as response:
            size = response.headers.get("content-range", "").rpartition("/")[2]
            if not size.isdecimal():
                raise ValueError("a part of a file came without the size of the whole")
            return Part(b"".join(self._told(response.iter_bytes()))[:length], int(size))

    @property
    def notes(self) -> Path:
        """See `Repo.notes`: beside the downloads, and deleted with them."""
        return self._downloads.notes

    def log(self, limit: int, revision: str = MAIN) -> list[LoggedCommit]:
        """See `Repo.log`; asks for no more pages than it needs."""
        with self._asking(revision):
            # Not `list_repo_commits`, which always reads the whole history.
            pages = paginate(f"{self._url}/commits/{quote(revision, safe='')}", {}, self._headers())
            return [_logged(item) for item in islice(pages, limit)]

    def pull_request(self, number: int) -> PullRequest:
        """See `Repo.pull_request`."""
        self.head()
        with self._asking(MAIN, f"refs/pr/{number}"):
            found = self._api.get_discussion_details(self._id, number, repo_type="dataset")
        if not found.is_pull_request:
            raise FileNotFoundError(errno.ENOENT, f"no pull request of {self._id}", str(number))
        return _pull_request(found)

    def pull_requests(self) -> list[PullRequest]:
        """See `Repo.pull_requests`."""
        with self._asking(MAIN):
            found = self._api.get_repo_discussions(
                self._id, discussion_type="pull_request", repo_type="dataset"
            )
            return sorted(map(_pull_request, found), key=lambda each: -each.number)

    @property
    def _url(self) -> str:
        return f"{self._api.endpoint}/api/datasets/{self._id}"

    def _file_url(self, path: str, revision: str) -> str:
        place = f"{self._api.endpoint}/datasets/{self._id}/resolve"
        return f"{place}/{quote(revision, safe='')}/{quote(path)}"

    def _headers(self) -> dict[str, str]:
        return build_hf_headers(
            token=self._token or False, library_name="vulcan-cli", library_version=__version__
        )

    def _create_where_missing(self) -> None:
        """Make the repo, private, where there is none that we may see."""
        try:
            self.head()
        except RepoMissing:
            with self._asking(MAIN):
                self._api.create_repo(
                    self._id, repo_type="dataset", visibility="private", exist_ok=True
                )

    def _sha256_of(self, path: str, revision: str) -> str:
        """Read a file that the Hub keeps in git itself (10 MB at most), without a SHA-256."""
        digest = hashlib.sha256()
        with get_session().stream(
            "GET", self._file_url(path, revision), headers=self._headers()
        ) as response:
            hf_raise_for_status(response)
            for data in response.iter_bytes():
                digest.update(data)
        return digest.hexdigest()

    @contextmanager
    def _open(self, path: str, revision: str, span: str | None = None) -> Iterator[httpx2.Response]:
        """The answer with a file, or with a span of its bytes, still to be read."""
        # Content that was packed for the way has other bytes, and other places in them.
        headers = {**self._headers(), "accept-encoding": "identity"}
        if span is not None:
            headers["range"] = f"bytes={span}"
        url = self._file_url(path, revision)
        with http_stream_backoff("GET", url, headers=headers) as response:
            hf_raise_for_status(response)
            if span is not None and response.status_code != 206:
                raise ValueError("a part of a file was asked for, and something else came")
            yield response

    def _whole(self, path: str, commit: str, first: httpx2.Response) -> Iterator[bytes]:
        """The content of a file, taken up again where the connection breaks."""
        received = 0
        with ExitStack() as stack:
            response = first
            for last in (*[False] * MOST_RESUMPTIONS, True):
                try:
                    for data in response.iter_bytes():
                        received += len(data)
                        yield data
                except httpx2.TransportError as error:
                    if last:
                        raise self._lost(error) from None
                    stack.close()
                    response = stack.enter_context(self._open(path, commit, f"{received}-"))
                else:
                    return

    def _told(self, content: Iterator[bytes]) -> Iterator[bytes]:
        """Content; where the connection breaks, our own error: the client would swallow its own."""
        try:
            yield from content
        except httpx2.TransportError as error:
            raise self._lost(error) from None

    @contextmanager
    def _asking(self, revision: str, path: str | None = None) -> Iterator[None]:
        """Turn what goes wrong with a question into our errors, none of which holds a secret."""
        try:
            yield
        except Exception as error:
            raise self._error(_cause(error), revision, path) from None

    def _error(self, error: BaseException, revision: str, path: str | None) -> BaseException:
        answer = self._answer(error)
        if answer is not None:
            if path is not None and answer.status == 404 and answer.code in {"EntryNotFound", ""}:
                return FileNotFoundError(errno.ENOENT, f"not in {self._id}", path)
            return error_of(answer, self._id, revision, self._clock())
        if _is_lost(error):
            return self._lost(error)
        if isinstance(error, OSError):
            return DiskTrouble(Path(error.filename or "."), error)
        if isinstance(error, _MISUNDERSTOOD):
            return ServerTrouble(f"{self._id} gives no answer that makes sense: {self._say(error)}")
        return error

    def _lost(self, error: BaseException) -> TryLater:
        return Later(self._say(error), Trouble.UNREACHABLE).error(self._id)

    def _has_no_xet(self, error: Exception, revision: str) -> bool:
        """Whether an upload failed because this Hub has no Xet; from then on it goes by LFS.

        Xet calls it a lost connection whatever the Hub said, so the Hub is asked once more.

        Raises:
            VulcanError: It said that this token may not.
        """
        if not is_xet_available() or not isinstance(_cause(error), ConnectionError):
            return False
        with self._asking(revision):
            address = f"{self._url}/xet-write-token/{quote(revision, safe='')}"
            response = get_session().get(address, headers=self._headers())
            if response.status_code not in _NO_SUCH_SERVICE:
                hf_raise_for_status(response)
                return False
        # The client looks at this before each upload, and all repos here are of one Hub.
        constants.HF_HUB_DISABLE_XET = True
        self._say_once(f"{self._api.endpoint} has no Xet: content goes by LFS")
        return True

    def _upload_failed(
        self, error: Exception, additions: Sequence[Addition], revision: str
    ) -> UploadOutcome:
        """What it means that content could not be sent; nothing has landed."""
        cause = _cause(error)
        # The client's own words around it may name the file.
        text = f"{plain(str(error), self._token)} {plain(str(cause), self._token)}"
        answer = self._answer(cause)
        if answer is not None:
            outcome = upload_outcome(answer, text, additions, self._clock())
            if _is_about_arrival(error, cause) and not isinstance(outcome, Later):
                # Lost on its way: neither the content nor the token is to blame.
                return Later(f"storage: {answer.reason}", Trouble.SERVER, None, answer.status)
            if outcome is None:
                raise error_of(answer, self._id, revision, self._clock()) from None
            return outcome
        if "LFS batch API returned errors" in text:
            return upload_outcome(
                Answer(422, text, "", {}), text, additions, self._clock()
            ) or Refused(text)
        if isinstance(cause, OSError) and not _is_lost(cause):
            changed = _operations(additions)[1]
            if changed:
                return Changed(changed)
            raise DiskTrouble(Path(cause.filename or additions[0].local), cause) from None
        lost = _is_lost(cause)
        return Later(self._say(cause), Trouble.UNREACHABLE if lost else Trouble.SERVER)

    def _commit_failed(self, error: Exception, commit: Commit, revision: str) -> CommitOutcome:
        """What it means that the commit request, or the answer to it, failed."""
        cause = _cause(error)
        answer = self._answer(cause)
        if answer is not None:
            outcome = commit_outcome(answer, commit.additions, self._clock())
            if outcome is None:
                raise error_of(answer, self._id, revision, self._clock()) from None
            return outcome
        if isinstance(cause, (*_NEVER_SENT, ConnectionError)):
            return Later(self._say(cause), Trouble.UNREACHABLE)
        if isinstance(cause, ValueError) and isinstance(cause.__cause__, HfHubHTTPError):
            # The client had the card checked, and sent nothing else.
            return Refused(self._say(cause), (_CARD,), 400)
        lost = _is_lost(cause)
        return Unknown(self._say(cause), Trouble.UNREACHABLE if lost else Trouble.SERVER)

    def _answer(self, error: BaseException) -> Answer | None:
        """What the Hub answered, where this is an answer."""
        if not isinstance(error, HfHubHTTPError):
            return None
        response = error.response
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            response.status_code,
            _once(plain(error.server_message or "", self._token)),
            headers.get("x-error-code", ""),
            headers,
            is_storage=response.request.method == "PUT",
        )

    def _say(self, error: BaseException) -> str:
        """An exception in words; its class where it has none."""
        return plain(str(error), self._token)[:200] or type(error).__name__


@lru_cache(maxsize=1)
def _set_up_client(timeout_s: float) -> None:
    """Set up the client's HTTP client, which all of the process shares."""
    limits = httpx2.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)).as_dict()

    def never_wait_for_ever(request: httpx2.Request) -> None:
        # Here and not in the client alone: many calls say `timeout=None` with their request.
        given = request.extensions.get("timeout", {})
        known = {name: value for name, value in given.items() if value is not None}
        request.extensions = {**request.extensions, "timeout": limits | known}

    def factory() -> httpx2.Client:
        client = default_client_factory()
        hooks = client.event_hooks
        client.event_hooks = {
            "request": [*hooks.get("request", []), never_wait_for_ever],
            "response": [*hooks.get("response", []), _refuse_to_sleep],
        }
        return client

    set_client_factory(factory)
    disable_progress_bars()
    # It logs addresses that are signed, which are secrets too.
    client_logging.set_verbosity(logging.CRITICAL)


def _refuse_to_sleep(response: httpx2.Response) -> None:
    """Raise where the client would sleep: on every 429, and on a 503 that asks for long."""
    asked = response.headers.get("retry-after", "").strip()
    seconds = float(asked) if asked.isascii() and asked.isdigit() else 0.0
    too_long = response.status_code == 503 and seconds > LONGEST_SLEEP_S
    if response.status_code == 429 or too_long:
        response.read()
        hf_raise_for_status(response)


def _cause(error: BaseException) -> BaseException:
    """What went wrong, below what the client wrapped it in."""
    while isinstance(error, (RuntimeError, LocalEntryNotFoundError)):
        if error.__cause__ is None:
            break
        error = error.__cause__
    return error


def _is_about_arrival(error: BaseException, cause: BaseException) -> bool:
    """Whether a file was sent, and then the question failed whether it had arrived."""
    asked = isinstance(cause, HfHubHTTPError) and cause.response.request.method == "POST"
    # The client wraps what goes wrong with one file.
    return asked and isinstance(error, RuntimeError)


def _once(words: str) -> str:
    """A message that came in the header and again in the body, said once."""
    half = len(words) // 2
    return words[:half] if words[:half] == words[half + 1 :] else words


def _is_lost(error: BaseException) -> bool:
    """Whether the connection failed; Xet says so with Python's own `ConnectionError`."""
    lost = (httpx2.RequestError, ConnectionError, TimeoutError, LocalEntryNotFoundError)
    return isinstance(error, lost) and not isinstance(error, HfHubHTTPError)


def _check_pull_request(revision: str, *, create_pr: bool) -> None:
    if create_pr and revision != MAIN:
        raise UsageError(f"a pull request goes to {MAIN}, not to {revision}")


def _operations(
    additions: Sequence[Addition],
) -> tuple[dict[Addition, CommitOperationAdd], tuple[str, ...]]:
    """Fresh operations, and the paths whose local file cannot be read or has another size."""
    operations: dict[Addition, CommitOperationAdd] = {}
    changed: list[str] = []
    for addition in additions:
        try:
            operation = CommitOperationAdd(addition.path_in_repo, str(addition.local))
        except (ValueError, OSError):
            changed.append(addition.path_in_repo)
            continue
        if operation.upload_info.size != addition.size:
            changed.append(addition.path_in_repo)
        operations[addition] = operation
    return operations, tuple(changed)


def _check_sent(operations: dict[Addition, CommitOperationAdd]) -> Ready | Changed | Refused:
    """Whether what was sent is what was checked, and none of it is hidden by the repo.

    The digest is the one computed while sending, by Xet as by LFS.
    """
    hidden = tuple(
        addition.path_in_repo
        for addition, operation in operations.items()
        if operation._should_ignore  # noqa: SLF001 - the client tells it nowhere else
    )
    if hidden:
        return Refused("the repo's .gitignore hides it", hidden)
    changed = tuple(
        addition.path_in_repo
        for addition, operation in operations.items()
        if operation.upload_info.sha256.hex() != addition.sha256
    )
    return Changed(changed) if changed else Ready()


def _parts(paths: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]


def _remote_file(info: RepoFile) -> RemoteFile:
    if info.lfs is None:
        return RemoteFile(info.path, info.size, None)
    return RemoteFile(info.path, info.lfs.size, info.lfs.sha256)


def _logged(item: dict[str, Any]) -> LoggedCommit:
    moment = datetime.fromisoformat(item["date"]).timestamp()
    return LoggedCommit(item["id"], item.get("title", ""), item.get("message", ""), moment)


def _pull_request(found: Discussion) -> PullRequest:
    status: Literal["open", "closed", "merged", "draft"] = found.status
    return PullRequest(
        found.num, found.title, PullRequestStatus("open" if status == "draft" else status)
    )


def _first(response: httpx2.Response, name: str) -> str:
    """A header of the Hub's own answer, before it sent us on to where content is."""
    answers = (*response.history, response)
    return next((each.headers[name] for each in answers if name in each.headers), "")


def _text(value: str | None) -> str:
    if not value:
        raise ValueError("the head of the branch is missing")
    return value
