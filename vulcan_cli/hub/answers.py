"""What the Hub's answers mean: from a status and its words to an outcome, without any network.

Sources: https://huggingface.co/docs/hub/rate-limits for the headers; the wordings of the commit
limit are those that users quote ("You can retry this action in about 1 hour"), as are those for a
token that may only propose ("pass `create_pr=1` as a query parameter to create a Pull Request").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from vulcan_cli.errors import Denied, OnlyProposals, RepoMissing, RepoRefuses, VulcanError
from vulcan_cli.hub.repo import Addition, Later, Refused, Stale, Trouble, Unknown
from vulcan_cli.vacua.secrets import HIDDEN, scrub

BAD_CREDENTIALS = "Invalid credentials in Authorization header"
"""What the Hub says with a 401 where the token is wrong, and not the repo's name."""

LONGEST_REASON = 500
"""Characters of the Hub's words that we keep."""

LONGEST_WAIT_S = 7 * 86_400.0
"""What is said to take longer is taken for this long: no limit of the Hub does."""

REFUSED = frozenset({400, 413, 422})
"""Statuses that say that this content is not taken, now or later."""

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_IN = re.compile(
    r"\bin (?:about |around |less than |almost |over )?(an?|\d{1,9}) (second|minute|hour|day)s?\b",
    re.IGNORECASE,
)
_PER_HOUR = re.compile(r"\b(\d+) (?:commits )?per hour\b", re.IGNORECASE)
_ONLY_PROPOSALS = re.compile(
    r"\bcreate_pr\b|\b(?:create|open) a pull request\b|\bprotected branch\b", re.IGNORECASE
)
_TAG = re.compile(r"<[^<>]*>")
_NOT_SHOWN = re.compile(r"<(style|script|title)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_RATE_LIMIT = re.compile(r'"\w+"\s*;\s*r\s*=\s*(\d{1,9})\s*;\s*t\s*=\s*(\d{1,9})\b')


class Answer(NamedTuple):
    """An answer of the Hub that is no success.

    Attributes:
        status: The HTTP status.
        words: All that the server said, on one line, secrets removed; empty where it said nothing.
        code: `X-Error-Code`, or empty.
        headers: All headers, names in lower case.
        is_storage: It came from where content is kept, not from the Hub's API.
    """

    status: int
    words: str
    code: str
    headers: Mapping[str, str]
    is_storage: bool = False

    @property
    def reason(self) -> str:
        """Its words, shortened, or the status where it had none."""
        return self.words[:LONGEST_REASON] or f"HTTP {self.status}"


def plain(text: str, token: str | None = None) -> str:
    """Somebody else's words on one line, without this token or any other, or tags of a page."""
    if token:
        text = text.replace(token, HIDDEN)
    if text.lstrip().startswith("<"):
        text = _TAG.sub(" ", _NOT_SHOWN.sub(" ", text))
    return scrub(" ".join(text.split()))


def retry_at(answer: Answer, now: float) -> float | None:
    """When the Hub says to come back, unix seconds by our clock.

    `Retry-After` (seconds or a date) is exact; words are about the limit that was hit;
    `RateLimit` stands on every answer and explains this one only when nothing remains (`r=0`).
    Never later than `LONGEST_WAIT_S` from now.
    """
    waits = (
        _retry_after(answer.headers, now),
        _words_wait(answer.words),
        _rate_limit_wait(answer.headers),
    )
    return next((now + min(wait, LONGEST_WAIT_S) for wait in waits if wait is not None), None)


def commits_per_hour(answer: Answer) -> int | None:
    """The limit that a 429 names, as in "(128 per hour)"."""
    match = _PER_HOUR.search(answer.words)
    return int(match[1]) if match else None


def culprits(text: str, additions: Iterable[Addition]) -> tuple[str, ...]:
    """Paths of a batch that a refusal names, by path or by SHA-256; none where it names all."""
    given = tuple(additions)
    named = tuple(
        each.path_in_repo
        for each in given
        if each.sha256 in text
        or re.search(rf"(?<![\w/.-]){re.escape(each.path_in_repo)}(?![\w/-])", text)
    )
    return () if len(named) == len(given) > 1 else named


def is_lost_upload(reason: str) -> bool:
    """Whether a refusal says that content which was sent is not there: no fault of the content."""
    return "LFS pointer" in reason and "does not exist" in reason


def error_of(answer: Answer, repo: str, revision: str, now: float) -> VulcanError:
    """The error that an answer to a plain question is."""
    status = answer.status
    if answer.code == "RevisionNotFound":
        return RepoMissing(repo, revision)
    later = later_of(answer, now)
    if later is not None:
        return later.error(repo)
    if answer.code == "RepoNotFound" or status == 404:
        return RepoMissing(repo)
    if status == 401 and answer.words != BAD_CREDENTIALS and not answer.code:
        # The Hub tells nobody whether a repo that they may not see is there.
        return Denied(f"{repo} needs a token that may see it: {answer.reason}")
    if status in {401, 403} or answer.code in {"GatedRepo", "DisabledRepo"}:
        return _denied(answer, repo)
    return RepoRefuses(f"{repo} refuses: {answer.reason}")


def _denied(answer: Answer, repo: str) -> Denied:
    """The error that a refusal of a token is, with which another command may be allowed."""
    if answer.status == 403 and _ONLY_PROPOSALS.search(answer.words):
        return OnlyProposals(f"{repo} takes no commit of this token: {answer.reason}")
    return Denied(f"{repo} does not let this token: {answer.reason}")


def later_of(answer: Answer, now: float) -> Later | None:
    """The same as a request to wait, where that is what it is."""
    status = answer.status
    moment = retry_at(answer, now)
    if status == 429:
        limit = commits_per_hour(answer)
        return Later(answer.reason, Trouble.RATE_LIMIT, moment, status, limit)
    if status >= 500 or status in {408, 409, 416, 423, 425}:
        return Later(answer.reason, Trouble.SERVER, moment, status)
    if answer.is_storage and status in {400, 401, 403, 404}:
        # An address of content is good for some time only; the Hub gives a new one. S3 calls
        # content that did not come in time a bad request.
        return Later(f"storage: {answer.reason}", Trouble.SERVER, moment, status)
    return None


def upload_outcome(
    answer: Answer, text: str, additions: Iterable[Addition], now: float
) -> Later | Refused | None:
    """What an answer to sending content means; None where it stops the run.

    `text` is all that the client said about it, where a path may be named.
    """
    later = later_of(answer, now)
    if later is None and answer.status in REFUSED:
        return Refused(answer.reason, culprits(text, additions), answer.status)
    return later


def commit_outcome(
    answer: Answer, additions: Iterable[Addition], now: float
) -> Later | Refused | Stale | Unknown | None:
    """What an answer to the commit request itself means; None where it stops the run."""
    status = answer.status
    if status == 412:
        return Stale()
    if status >= 500 or status == 408:
        # A gateway that gave up says nothing about what stands behind it.
        return Unknown(answer.reason, Trouble.SERVER, retry_at(answer, now), status)
    return upload_outcome(answer, answer.words, additions, now)


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by `Retry-After`; a date is measured against the server's own clock."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    moment = _date(value)
    if moment is None:
        return None
    server_now = _date(headers.get("date", ""))
    return max(0.0, moment - (now if server_now is None else server_now))


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _words_wait(words: str) -> float | None:
    match = _IN.search(words)
    if match is None:
        return None
    count = 1 if match[1].lower().startswith("a") else int(match[1])
    return float(count * _UNITS[match[2].lower()])


def _rate_limit_wait(headers: Mapping[str, str]) -> float | None:
    match = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return float(match[2]) if match and match[1] == "0" else None
