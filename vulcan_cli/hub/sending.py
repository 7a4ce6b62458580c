"""Content and commits on their way to the Hub, and what it means that one failed.

What the client (huggingface_hub 2.4.0) does by itself and we do not want: it drops files in silence
that the repo's `.gitignore` names, so `shouldIgnore` is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils._http import get_session, hf_raise_for_status
from huggingface_hub.utils._runtime import is_xet_available

from vulcan_cli.errors import DiskTrouble
from vulcan_cli.hub.answers import Answer, commit_outcome, upload_outcome
from vulcan_cli.hub.client import Client, cause_of, is_lost
from vulcan_cli.hub.paths import refuse_paths
from vulcan_cli.hub.repo import (
    MAIN,
    Addition,
    Changed,
    Commit,
    CommitOutcome,
    Landed,
    Later,
    Ready,
    Refused,
    Trouble,
    Unknown,
    UploadOutcome,
    check_pull_request,
)

_CARD = "README.md"
_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
_NO_SUCH_SERVICE = {404, 405, 501}


class _Ahead(NamedTuple):
    """Operations whose content is with the Hub, each for one commit and no more."""

    revision: str
    create_pr: bool
    operations: dict[Addition, CommitOperationAdd]

    def serves(self, commit: Commit, revision: str, *, create_pr: bool) -> bool:
        """Whether they are for this commit."""
        there = set(commit.additions) <= set(self.operations)
        return there and (self.revision, self.create_pr) == (revision, create_pr)


class Sender:
    """Sends content and commits to one repo; see `Repo` for what its methods promise."""

    def __init__(self, client: Client, say: Callable[[str], None]) -> None:
        """Bind it to a client; `say` is told once that the Hub has no Xet, where that is so."""
        self._client = client
        self._say_once = say
        self._ahead: _Ahead | None = None

    def upload(
        self, additions: Sequence[Addition], revision: str = MAIN, *, create_pr: bool = False
    ) -> UploadOutcome:
        """See `Repo.upload`."""
        check_pull_request(revision, create_pr=create_pr)
        self._ahead = None
        refused = refuse_paths(additions)
        if refused is not None:
            return refused
        operations, changed = _operations(additions)
        if changed:
            return Changed(changed)
        try:
            self._client.api.preupload_lfs_files(
                self._client.repo_id,
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
            info = self._client.api.create_commit(
                self._client.repo_id,
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

    def _has_no_xet(self, error: Exception, revision: str) -> bool:
        """Whether an upload failed because this Hub has no Xet; from then on it goes by LFS.

        Xet calls it a lost connection whatever the Hub said, so the Hub is asked once more.

        Raises:
            VulcanError: It said that this token may not.
        """
        if not is_xet_available() or not isinstance(cause_of(error), ConnectionError):
            return False
        with self._client.asking(revision):
            address = f"{self._client.url}/xet-write-token/{quote(revision, safe='')}"
            response = get_session().get(address, headers=self._client.headers())
            if response.status_code not in _NO_SUCH_SERVICE:
                hf_raise_for_status(response)
                return False
        # The client looks at this before each upload, and all repos here are of one Hub.
        constants.HF_HUB_DISABLE_XET = True
        self._say_once(f"{self._client.endpoint} has no Xet: content goes by LFS")
        return True

    def _upload_failed(
        self, error: Exception, additions: Sequence[Addition], revision: str
    ) -> UploadOutcome:
        """What it means that content could not be sent; nothing has landed."""
        cause = cause_of(error)
        # The client's own words around it may name the file.
        text = f"{self._client.plain(str(error))} {self._client.plain(str(cause))}"
        answer = self._client.answer(cause)
        if answer is not None:
            outcome = upload_outcome(answer, text, additions, self._client.now())
            if _is_about_arrival(error, cause) and not isinstance(outcome, Later):
                # Lost on its way: neither the content nor the token is to blame.
                return Later(f"storage: {answer.reason}", Trouble.SERVER, None, answer.status)
            if outcome is None:
                raise self._client.refusal(answer, revision) from None
            return outcome
        if "LFS batch API returned errors" in text:
            return upload_outcome(
                Answer(422, text, "", {}), text, additions, self._client.now()
            ) or Refused(text)
        if isinstance(cause, OSError) and not is_lost(cause):
            changed = _operations(additions)[1]
            if changed:
                return Changed(changed)
            raise DiskTrouble(Path(cause.filename or additions[0].local), cause) from None
        lost = is_lost(cause)
        return Later(self._client.words(cause), Trouble.UNREACHABLE if lost else Trouble.SERVER)

    def _commit_failed(self, error: Exception, commit: Commit, revision: str) -> CommitOutcome:
        """What it means that the commit request, or the answer to it, failed."""
        cause = cause_of(error)
        answer = self._client.answer(cause)
        if answer is not None:
            outcome = commit_outcome(answer, commit.additions, self._client.now())
            if outcome is None:
                raise self._client.refusal(answer, revision) from None
            return outcome
        if isinstance(cause, (*_NEVER_SENT, ConnectionError)):
            return Later(self._client.words(cause), Trouble.UNREACHABLE)
        if isinstance(cause, ValueError) and isinstance(cause.__cause__, HfHubHTTPError):
            # The client had the card checked, and sent nothing else.
            return Refused(self._client.words(cause), (_CARD,), 400)
        lost = is_lost(cause)
        return Unknown(self._client.words(cause), Trouble.UNREACHABLE if lost else Trouble.SERVER)


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


def _is_about_arrival(error: BaseException, cause: BaseException) -> bool:
    """Whether a file was sent, and then the question failed whether it had arrived."""
    asked = isinstance(cause, HfHubHTTPError) and cause.response.request.method == "POST"
    # The client wraps what goes wrong with one file.
    return asked and isinstance(error, RuntimeError)


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
