"""What the Hub's words and headers mean, case by case."""

from __future__ import annotations

from pathlib import Path

import pytest

from vulcan_cli.errors import (
    Denied,
    OnlyProposals,
    RateLimited,
    RepoMissing,
    RepoRefuses,
    ServerTrouble,
    VulcanError,
)
from vulcan_cli.hub.answers import (
    Answer,
    commit_outcome,
    commits_per_hour,
    culprits,
    error_of,
    plain,
    retry_at,
)
from vulcan_cli.hub.repo import Addition, Later, Refused, Stale, Trouble, Unknown

NOW = 1_700_000_000.0
LIMIT = "You have exceeded the rate limit for repository commits (128 per hour)."


def answer(status: int, words: str = "", code: str = "", **headers: str) -> Answer:
    return Answer(status, words, code, {k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        (answer(429, f"{LIMIT} You can retry this action in about 1 hour."), 3600),
        (answer(429, f"{LIMIT} You can retry this action in 43 minutes."), 2580),
        (answer(429, "retry in about 2 hours"), 7200),
        (answer(429, "Retry in a minute"), 60),
        (answer(429, "try again in about an hour"), 3600),
        (answer(429, "in less than 30 seconds"), 30),
        (answer(429, "in 1 day"), 86_400),
        (answer(429, "exceeded hourly quotas for action: commit"), None),
        (answer(429, "within 5 minutes"), None),
        (answer(429, "", retry_after="120"), 120),
        (answer(429, "", retry_after="0"), 0),
        (answer(429, "in 43 minutes", retry_after="120"), 120),
        (answer(429, "", retry_after="-5"), None),
        (answer(429, "", retry_after="soon"), None),
        (answer(429, "", retry_after="9" * 30), None),
        # By the server's clock where it is told, however wrong ours is.
        (
            answer(
                429,
                retry_after="Wed, 21 Oct 2015 07:28:00 GMT",
                date="Wed, 21 Oct 2015 07:18:00 GMT",
            ),
            600,
        ),
        (answer(429, retry_after="Tue, 14 Nov 2023 22:15:20 GMT"), 120),
        (answer(429, retry_after="Tue, 14 Nov 2023 22:00:00 GMT"), 0),
        (answer(429, ratelimit='"api";r=0;t=55'), 55),
        # Of another bucket than the one that is empty.
        (answer(429, ratelimit='"api";r=977;t=55'), None),
        (answer(429, "in 2 minutes", ratelimit='"api";r=977;t=55'), 120),
        (answer(503, "", retry_after="7"), 7),
        # Nothing that makes sense takes longer than a week.
        (answer(429, "in 999999999 hours"), 604_800),
        (answer(429, f"in {'9' * 5000} hours"), None),
        (answer(429, retry_after="999999999"), 604_800),
        (answer(429, retry_after="Fri, 31 Dec 9999 23:59:59 GMT"), 604_800),
        (answer(429, ratelimit='"api";r=0;t=999999999'), 604_800),
        (answer(429, ratelimit=f'"api";r=0;t={"9" * 400}'), None),
    ],
)
def test_when_to_come_back(given: Answer, wait: float | None) -> None:
    assert retry_at(given, NOW) == (None if wait is None else NOW + wait)


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (LIMIT, 128),
        ("rate limit for repository commits (256 per hour). You can retry", 256),
        ("320 commits per hour", 320),
        ("Too many requests", None),
        ("128 per minute", None),
    ],
)
def test_the_limit_that_is_named(words: str, limit: int | None) -> None:
    assert commits_per_hour(answer(429, words)) == limit


def some(*names: str) -> list[Addition]:
    return [Addition(name, Path("x"), f"{n:064x}", 1) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Offending file: h12_1/run_a.parquet", ("h12_1/run_a.parquet",)),
        (
            "- h12_1/run_b.parquet: bad, - h12_1/run_a.parquet: bad",
            ("h12_1/run_a.parquet", "h12_1/run_b.parquet"),
        ),
        ("'h12_1/run_a.parquet'.", ("h12_1/run_a.parquet",)),
        ("x/h12_1/run_a.parquet", ()),
        ("h12_1/run_a.parquetry", ()),
        ("run_a.parquet", ()),
        (f"object {1:064x} is missing", ("h12_1/run_b.parquet",)),
        ("too many files", ()),
        ("h12_1/run_a.parquet h12_1/run_b.parquet h12_1/run_c.parquet", ()),
    ],
)
def test_who_is_named(text: str, named: tuple[str, ...]) -> None:
    batch = some("h12_1/run_a.parquet", "h12_1/run_b.parquet", "h12_1/run_c.parquet")
    assert culprits(text, batch) == named


def test_a_batch_of_one_may_be_named() -> None:
    assert culprits("bad: a.parquet", some("a.parquet")) == ("a.parquet",)


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(412, "A commit has happened since."), Stale()),
        (answer(400, "bad: a.parquet"), Refused("bad: a.parquet", ("a.parquet",), 400)),
        (answer(413), Refused("HTTP 413", (), 413)),
        (answer(422, "no"), Refused("no", (), 422)),
        (answer(500), Unknown("HTTP 500", Trouble.SERVER, None, 500)),
        (answer(504, "late", retry_after="9"), Unknown("late", Trouble.SERVER, NOW + 9, 504)),
        (answer(408), Unknown("HTTP 408", Trouble.SERVER, None, 408)),
        (answer(409, "busy"), Later("busy", Trouble.SERVER, None, 409)),
        (answer(429, LIMIT), Later(LIMIT, Trouble.RATE_LIMIT, None, 429, 128)),
        (answer(401), None),
        (answer(403), None),
        (answer(404), None),
        (answer(402), None),
    ],
)
def test_answers_to_a_commit(given: Answer, outcome: object) -> None:
    assert commit_outcome(given, some("a.parquet", "b.parquet"), NOW) == outcome


NOWHERE = "there is no repo a/b, or this token may not see it"
WRONG = "Invalid credentials in Authorization header"
NOBODY = "Invalid username or password."
PROPOSE = "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"
PROTECTED = "You cannot push to a protected branch."


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (answer(401, WRONG), Denied, f"a/b does not let this token: {WRONG}"),
        (answer(401, NOBODY), Denied, f"a/b needs a token that may see it: {NOBODY}"),
        (answer(401, "", "RepoNotFound"), RepoMissing, NOWHERE),
        (answer(403, "read only"), Denied, "a/b does not let this token: read only"),
        (answer(403, "ask", "GatedRepo"), Denied, "a/b does not let this token: ask"),
        (answer(403, PROPOSE), OnlyProposals, f"a/b takes no commit of this token: {PROPOSE}"),
        (answer(403, PROTECTED), OnlyProposals, f"a/b takes no commit of this token: {PROTECTED}"),
        (answer(404), RepoMissing, NOWHERE),
        (answer(404, "", "RevisionNotFound"), RepoMissing, "a/b has no branch or commit dev"),
        (answer(429, LIMIT), RateLimited, f"a/b takes no more for now: {LIMIT} (HTTP 429)"),
        (answer(502), ServerTrouble, "a/b has trouble of its own: HTTP 502"),
        # A download broke off behind its last byte, and the rest was asked for.
        (answer(416), ServerTrouble, "a/b has trouble of its own: HTTP 416"),
        (answer(402, "pay"), RepoRefuses, "a/b refuses: pay"),
    ],
)
def test_answers_that_are_errors(given: Answer, kind: type[VulcanError], words: str) -> None:
    error = error_of(given, "a/b", "dev", NOW)
    assert (type(error), str(error)) == (kind, words)


@pytest.mark.parametrize(
    ("status", "words"), [(403, "Request has expired"), (400, "RequestTimeout")]
)
def test_what_storage_says_of_a_moment_is_no_shards_fault(status: int, words: str) -> None:
    given = Answer(status, words, "", {}, is_storage=True)
    assert commit_outcome(given, some("a.parquet"), NOW) == Later(
        f"storage: {words}", Trouble.SERVER, None, status
    )


def test_of_a_page_only_its_words_are_kept() -> None:
    page = "<html><head><title>502</title><style>p {}</style></head>\n<h1>Bad <b>Gateway</b></h1>"
    assert plain(page) == "Bad Gateway"
    assert plain("needs a <token>") == "needs a <token>"


def test_no_secret_in_what_is_kept() -> None:
    told = (
        "line one\n  token odd-secret, hf_abcdefghijklmnopqrstuvwxyz\n"
        "Authorization: Bearer abcdefgh12 http://u:p@h/x"
    )
    assert plain(told, "odd-secret") == (
        "line one token [hidden], [hidden] Authorization: [hidden] [hidden]h/x"
    )
    assert len(answer(400, "x" * 9999).reason) == 500
