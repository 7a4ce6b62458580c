"""The real client against a real server: every fault, and what it is told as."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, constants

from tests.hub_support import SHARDS, addition, commit_of, contents, plain_lfs, sha256
from tests.hubserver import (
    BAD,
    BOB,
    NO_CERTIFICATES,
    READ,
    WRITE,
    Fault,
    HubThread,
    LocalHub,
    Refusal,
    Token,
)
from vulcan_cli.errors import (
    Denied,
    DiskTrouble,
    RateLimited,
    RepoMissing,
    RepoRefuses,
    ServerTrouble,
    Unreachable,
    UsageError,
)
from vulcan_cli.hub import downloads
from vulcan_cli.hub.downloads import Downloads
from vulcan_cli.hub.huggingface import HubRepo
from vulcan_cli.hub.repo import (
    Addition,
    Landed,
    Later,
    Part,
    PullRequest,
    PullRequestStatus,
    Ready,
    Refused,
    Snapshot,
    Stale,
    Trouble,
    Unknown,
)

NAME = "alice/vacua"
NOW = 1_700_000_000.0
PROJECT = Path(__file__).resolve().parents[1]
FAULT = "A fault of the local Hub"
IMPATIENT_S = 2.0
"""How long a client waits for a silent Hub, where all its other answers come in time."""


@pytest.fixture(autouse=True)
def _plain_lfs() -> Iterator[None]:
    with plain_lfs():
        yield


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with HubThread(tmp_path / "hub") as running:
        running.create_repo(NAME)
        yield running


@pytest.fixture
def new(tmp_path: Path) -> Addition:
    return addition(tmp_path / "in", "run_new", b"PAR1 new")


def open_hub(hub: LocalHub, token: str | None = WRITE, name: str = NAME, **more: Any) -> HubRepo:
    return HubRepo(
        name,
        token=token,
        endpoint=hub.url,
        cache_dir=hub.root.parent / "cache",
        clock=lambda: NOW,
        **more,
    )


COMMIT = "/commit/"


@pytest.mark.parametrize(
    ("fault", "outcome", "landed"),
    [
        (
            Fault("drop", COMMIT, "POST"),
            Unknown("Server disconnected without sending a response.", Trouble.UNREACHABLE),
            False,
        ),
        (
            Fault("drop", COMMIT, "POST", mode="reset"),
            Unknown("[Errno 104] Connection reset by peer", Trouble.UNREACHABLE),
            False,
        ),
        (
            Fault("drop_after", COMMIT, "POST"),
            Unknown("Server disconnected without sending a response.", Trouble.UNREACHABLE),
            True,
        ),
        (
            Fault("drop_after", COMMIT, "POST", mode="reset"),
            Unknown("[Errno 104] Connection reset by peer", Trouble.UNREACHABLE),
            True,
        ),
        (
            Fault("status_after", COMMIT, "POST", status=504),
            Unknown(FAULT, Trouble.SERVER, None, 504),
            True,
        ),
        (
            Fault("status", COMMIT, "POST", status=503, headers={"Retry-After": "7"}),
            Unknown(FAULT, Trouble.SERVER, NOW + 7, 503),
            False,
        ),
        (
            Fault("status", COMMIT, "POST", status=500, body="<html>oops</html>"),
            Unknown("oops", Trouble.SERVER, None, 500),
            False,
        ),
        (
            Fault("status", COMMIT, "POST", status=408),
            Unknown(FAULT, Trouble.SERVER, None, 408),
            False,
        ),
        (
            Fault("status", COMMIT, "POST", status=200, body="not JSON"),
            Unknown("Expecting value: line 1 column 1 (char 0)", Trouble.SERVER),
            False,
        ),
        (
            Fault("status", COMMIT, "POST", status=409),
            Later(FAULT, Trouble.SERVER, None, 409),
            False,
        ),
        (Fault("status", COMMIT, "POST", status=412), Stale(), False),
        (Fault("status", COMMIT, "POST", status=400), Refused(FAULT, (), 400), False),
        (Fault("status", COMMIT, "POST", status=413, body=""), Refused("HTTP 413", (), 413), False),
        (Fault("status", COMMIT, "POST", status=422), Refused(FAULT, (), 422), False),
    ],
    ids=lambda value: (
        f"{value.action}-{value.status}-{value.mode}" if isinstance(value, Fault) else ""
    ),
)
def test_a_commit_that_goes_wrong(
    hub: LocalHub, new: Addition, fault: Fault, outcome: object, landed: bool
) -> None:
    """What comes back, whether it landed; then a second try, which ends with one commit."""
    repo = open_hub(hub)
    commit = commit_of(repo, new)
    hub.add_faults(fault)

    assert repo.commit(commit) == outcome
    assert contents(repo, new.path_in_repo) == ({new.path_in_repo: new.sha256} if landed else {})
    attempts = len(hub.attempts())
    assert attempts == 1
    assert repo.commit(commit_of(repo, new)) == Landed(repo.head())
    assert contents(repo, new.path_in_repo) == {new.path_in_repo: new.sha256}
    assert len(hub.attempts()) == attempts + (not landed)
    assert [commit.title for commit in hub.commits(NAME)] == ["initial commit", "one"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "", Denied),
        (403, "", Denied),
        (404, "RepoNotFound", RepoMissing),
        (404, "RevisionNotFound", RepoMissing),
        (402, "", RepoRefuses),
        (451, "", RepoRefuses),
    ],
)
def test_a_commit_that_stops_the_run(
    hub: LocalHub, new: Addition, status: int, code: str, kind: type[Exception]
) -> None:
    repo = open_hub(hub)
    headers = {"X-Error-Code": code} if code else {}
    hub.add_faults(Fault("status", COMMIT, "POST", status=status, headers=headers))
    with pytest.raises(kind):
        repo.commit(commit_of(repo, new))
    assert contents(repo, new.path_in_repo) == {}


@pytest.mark.parametrize(
    ("flavour", "wait"),
    [("text", 3600), ("retry-after", 3600), ("retry-after-date", 3600), ("ratelimit", 3600)],
)
def test_the_commit_limit_says_when_to_come_back(
    hub: LocalHub, new: Addition, tmp_path: Path, flavour: Any, wait: int
) -> None:
    repo = open_hub(hub)
    repo.commit(commit_of(repo, new))
    hub.set_cap(1, flavour=flavour)
    outcome = repo.commit(commit_of(repo, addition(tmp_path / "in", "run_b", b"b")))

    assert isinstance(outcome, Later)
    assert outcome.reason == (
        "You have exceeded the rate limit for repository commits (1 per hour). "
        "You can retry this action in about 1 hour."
    )
    assert (outcome.trouble, outcome.status) == (Trouble.RATE_LIMIT, 429)
    assert outcome.commits_per_hour == 1
    assert outcome.retry_at is not None
    # Seconds pass between the first commit and the second, and between two clocks.
    assert NOW + wait - 10 <= outcome.retry_at <= NOW + wait + 1
    error = outcome.error(NAME)
    assert type(error) is RateLimited
    assert error.retry_at == outcome.retry_at


@pytest.mark.parametrize("names_path", [True, False])
def test_a_refusal_names_its_culprit_or_not(
    hub: LocalHub, tmp_path: Path, names_path: bool
) -> None:
    repo = open_hub(hub)
    batch = [addition(tmp_path / "in", f"run_{name}", name.encode()) for name in ("a", "bad", "c")]
    hub.refuse_paths(Refusal("run_bad", 422, "We do not like it.", names_path))
    path = f"{SHARDS}/run_bad.parquet"
    words = "We do not like it."

    assert repo.commit(commit_of(repo, *batch)) == (
        Refused(f"{words} Offending file: {path}", (path,), 422)
        if names_path
        else Refused(words, (), 422)
    )
    assert repo.commit(commit_of(repo, batch[0], batch[2])) == Landed(repo.head())


def test_content_that_was_cut_on_its_way_is_refused_by_name(hub: LocalHub, tmp_path: Path) -> None:
    repo = open_hub(hub)
    batch = [addition(tmp_path / "in", f"run_{name}", name.encode() * 9) for name in ("a", "b")]
    hub.add_faults(Fault("truncate_upload", f"/{batch[1].sha256}", "PUT", keep=3))
    outcome = repo.commit(commit_of(repo, *batch))
    assert isinstance(outcome, Refused)
    assert (outcome.culprits, outcome.status) == ((batch[1].path_in_repo,), 400)
    assert repo.commit(commit_of(repo, *batch)) == Landed(repo.head())


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault("status", "/_lfs/", "PUT", status=403), ("storage: " + FAULT, 403)),
        (Fault("status", "/_lfs/", "PUT", status=400), ("storage: " + FAULT, 400)),
        (Fault("status", "/_lfs/", "PUT", status=422), (422, 1)),
        (Fault("status", "/preupload/", "POST", status=413), (413, 0)),
        (Fault("status", "/objects/batch", "POST", status=400), (400, 0)),
    ],
)
def test_an_upload_that_goes_wrong_costs_no_commit(
    hub: LocalHub, tmp_path: Path, fault: Fault, outcome: object
) -> None:
    repo = open_hub(hub)
    batch = [addition(tmp_path / "in", f"run_{name}", name.encode() * 9) for name in ("a", "b")]
    hub.add_faults(fault)
    got = repo.commit(commit_of(repo, *batch))
    if isinstance(got, Refused):
        assert (got.status, len(got.culprits)) == outcome
    else:
        assert isinstance(got, Later)
        assert (got.reason, got.status) == outcome
        assert (got.trouble, got.retry_at) == (Trouble.SERVER, None)
    assert hub.attempts() == []
    assert repo.upload(batch) == Ready()


@pytest.mark.parametrize("where", ["/preupload/", "/objects/batch", "/_lfs/"])
@pytest.mark.parametrize(
    "headers", [{"Retry-After": "3000"}, {"RateLimit": '"api";r=0;t=3000'}], ids=["after", "limit"]
)
def test_the_client_never_sleeps_on_a_429(
    hub: LocalHub, new: Addition, where: str, headers: dict[str, str]
) -> None:
    """It would sleep for 50 minutes."""
    repo = open_hub(hub)
    hub.add_faults(Fault("status", where, status=429, headers=headers))
    assert repo.upload([new]) == Later(FAULT, Trouble.RATE_LIMIT, NOW + 3000, 429)
    assert hub.fault_hits() == [1]


def test_the_client_never_sleeps_long_on_a_503(hub: LocalHub, new: Addition) -> None:
    repo = open_hub(hub)
    hub.add_faults(Fault("status", "/preupload/", status=503, headers={"Retry-After": "3000"}))
    assert repo.upload([new]) == Later(FAULT, Trouble.SERVER, NOW + 3000, 503)
    assert hub.fault_hits() == [1]


def test_a_short_fault_of_an_upload_is_tried_again_by_the_client(
    hub: LocalHub, new: Addition
) -> None:
    hub.add_faults(Fault("status", "/_lfs/", "PUT", status=503))
    assert open_hub(hub).upload([new]) == Ready()
    assert hub.fault_hits() == [1]


@pytest.mark.parametrize("ask", ["head", "look_up", "pull_requests", "preflight"])
def test_a_hub_that_is_silent_does_not_hold_a_question(hub: LocalHub, ask: str) -> None:
    """The client itself would wait for ever."""
    repo = open_hub(hub, timeout_s=IMPATIENT_S)
    hub.add_faults(Fault("hang", "/api/"))
    with pytest.raises(Unreachable):
        getattr(repo, ask)(*([["a"]] if ask == "look_up" else []))
    assert hub.await_held() == 1
    assert hub.release() == 1


def test_a_hub_that_is_silent_does_not_hold_a_commit(hub: LocalHub, new: Addition) -> None:
    repo = open_hub(hub, timeout_s=IMPATIENT_S)
    hub.add_faults(Fault("hold", COMMIT))
    commit = commit_of(repo, new)
    assert repo.commit(commit) == Unknown("timed out", Trouble.UNREACHABLE)
    assert contents(repo, new.path_in_repo) == {}
    # A second try, prepared before the first one lands.
    assert repo.upload([new]) == Ready()
    assert hub.await_held() == 1
    assert hub.release() == 1
    assert contents(repo, new.path_in_repo) == {new.path_in_repo: new.sha256}
    assert repo.commit(commit) == Stale()
    assert [commit.title for commit in hub.commits(NAME)] == ["initial commit", "one"]


def test_a_listing_that_hangs_is_asked_for_again(hub: LocalHub, new: Addition) -> None:
    repo = open_hub(hub, timeout_s=IMPATIENT_S)
    repo.commit(commit_of(repo, new))
    hub.add_faults(Fault("hang", "/tree/"))
    assert {file.path for file in repo.files()} == {".gitattributes", new.path_in_repo}


def test_nobody_at_home(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        repo = HubRepo(NAME, token=WRITE, endpoint=nowhere, cache_dir=tmp_path / "cache")
        for ask in (
            repo.preflight,
            repo.head,
            lambda: repo.look_up(["a"]),
            lambda: list(repo.files()),
        ):
            with pytest.raises(Unreachable):
                ask()


def test_the_hub_goes_away_between_upload_and_commit(hub: LocalHub, new: Addition) -> None:
    repo = open_hub(hub)
    commit = commit_of(repo, new)
    assert repo.upload([new]) == Ready()
    assert isinstance(hub, HubThread)
    hub.stop()
    # Which of the two depends on when the client notices that its open connection ended.
    assert isinstance(repo.commit(commit), Later | Unknown)
    hub.start()
    assert repo.commit(commit_of(repo, new)) == Landed(repo.head())


def test_requests_of_a_commit(hub: LocalHub, tmp_path: Path) -> None:
    """What upload brought is neither asked about nor sent again."""
    repo = open_hub(hub)
    batch = [addition(tmp_path / "in", f"run_{n:03}", b"%d" % n) for n in range(300)]
    commit = commit_of(repo, *batch)
    before = len(hub.requests())
    assert repo.upload(batch) == Ready()
    assert repo.commit(commit) == Landed(repo.head())
    made = Counter(
        (each.method, each.path.split("?")[0].rpartition("/")[0].rpartition("/")[2])
        for each in hub.requests()[before:]
    )
    assert made == {
        ("POST", "preupload"): 2,
        ("POST", "objects"): 2,
        ("PUT", "vacua"): 300,
        ("POST", "commit"): 1,
        ("GET", "revision"): 1,
    }


@pytest.mark.parametrize(
    ("token", "kind", "words"),
    [
        (
            READ,
            Denied,
            "alice/vacua does not let this token: "
            "you must use a write token to upload to a repository.",
        ),
        (
            BAD,
            Denied,
            "alice/vacua does not let this token: Invalid credentials in Authorization header",
        ),
        (None, Denied, "alice/vacua needs a token that may see it: Invalid username or password."),
        (BOB, RepoMissing, "there is no repo alice/vacua, or this token may not see it"),
    ],
    ids=["read", "bad", "none", "stranger"],
)
def test_preflight_finds_a_token_that_will_not_do(
    hub: LocalHub, token: str | None, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as error:
        open_hub(hub, token).preflight()
    assert str(error.value) == words
    assert (hub.attempts(), len(hub.commits(NAME))) == ([], 1)


def test_a_stranger_may_propose_but_not_write(hub: LocalHub, new: Addition) -> None:
    hub.create_repo("alice/open", private=False)
    repo = open_hub(hub, BOB, "alice/open")
    with pytest.raises(Denied):
        repo.preflight()
    repo.preflight(create_pr=True)
    outcome = repo.commit(commit_of(repo, new), create_pr=True)
    assert isinstance(outcome, Landed)
    assert outcome.pull_request == 1


def test_a_repo_is_made_private_and_only_with_the_right_to(hub: LocalHub) -> None:
    with pytest.raises(Denied):
        open_hub(hub, READ, "alice/later").preflight(create=True)
    with pytest.raises(Denied):
        open_hub(hub, WRITE, "bob/later").preflight(create=True)
    repo = open_hub(hub, WRITE, "alice/later")
    repo.preflight(create=True)
    with pytest.raises(RepoMissing):
        open_hub(hub, BOB, "alice/later").head()
    assert [commit.id for commit in hub.commits("alice/later")] == [repo.head()]


@pytest.mark.parametrize("rules", ["*.parquet\n", "h12_*/\n"])
def test_a_gitignore_that_hides_shards_is_found_before_a_slot_is_spent(
    hub: LocalHub, rules: str
) -> None:
    hub.push(NAME, {".gitignore": rules.encode()})
    with pytest.raises(RepoRefuses) as error:
        open_hub(hub).preflight()
    assert str(error.value) == "the .gitignore of alice/vacua hides parquet files"
    assert hub.attempts() == []


def test_a_gitignore_that_hides_some_is_found_by_name(hub: LocalHub, tmp_path: Path) -> None:
    hub.push(NAME, {".gitignore": b"run_b*\n"})
    repo = open_hub(hub)
    repo.preflight()
    batch = [addition(tmp_path / "in", f"run_{name}", name.encode()) for name in ("a", "b", "b2")]
    assert repo.commit(commit_of(repo, *batch)) == Refused(
        "the repo's .gitignore hides it", tuple(each.path_in_repo for each in batch[1:])
    )
    assert hub.attempts() == []


def test_a_pull_request_from_its_opening_to_its_end(hub: LocalHub, tmp_path: Path) -> None:
    repo = open_hub(hub)
    one, two = (addition(tmp_path / "in", f"run_{name}", name.encode()) for name in ("a", "b"))
    assert repo.upload([one], create_pr=True) == Ready()
    first = repo.commit(commit_of(repo, one, title="first"), create_pr=True)
    second = repo.commit(commit_of(repo, two, title="second"), create_pr=True)
    assert isinstance(first, Landed)
    assert isinstance(second, Landed)
    assert (first.pull_request, second.pull_request) == (1, 2)
    proposed = repo.pull_request(1)
    assert proposed == PullRequest(1, "first", PullRequestStatus.OPEN)
    assert repo.head(proposed.revision) == first.commit_id
    assert list(repo.look_up([one.path_in_repo], proposed.revision)) == [one.path_in_repo]
    assert contents(repo, one.path_in_repo, two.path_in_repo) == {}

    hub.merge_pr(NAME, 1)
    hub.close_pr(NAME, 2)
    assert repo.pull_requests() == [
        PullRequest(2, "second", PullRequestStatus.CLOSED),
        PullRequest(1, "first", PullRequestStatus.MERGED),
    ]
    assert contents(repo, one.path_in_repo, two.path_in_repo) == {one.path_in_repo: one.sha256}
    with pytest.raises(UsageError):
        repo.commit(commit_of(repo, two), "dev", create_pr=True)


def test_a_pull_request_whose_answer_was_lost_is_found(hub: LocalHub, new: Addition) -> None:
    repo = open_hub(hub)
    hub.add_faults(Fault("drop_after", COMMIT, mode="reset"))
    assert isinstance(repo.commit(commit_of(repo, new), create_pr=True), Unknown)
    (found,) = repo.pull_requests()
    assert list(repo.look_up([new.path_in_repo], found.revision)) == [new.path_in_repo]


def test_listings_go_over_all_pages_and_no_further_than_needed(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.configure(page_size=2, commits_page_size=2)
    repo = open_hub(hub)
    batch = [addition(tmp_path / "in", f"run_{n}", b"%d" % n) for n in range(5)]
    for each in batch:
        repo.commit(commit_of(repo, each, title=each.path_in_repo))
    listed = {file.path: file.sha256 for file in repo.files()}
    assert listed == {each.path_in_repo: each.sha256 for each in batch} | {".gitattributes": None}

    before = len(hub.requests())
    assert [each.message for each in repo.log(3)] == [each.path_in_repo for each in batch[:1:-1]]
    assert len(hub.requests()) - before == 2


def test_a_branch(hub: LocalHub, new: Addition) -> None:
    repo = open_hub(hub)
    HfApi(hub.url, WRITE).create_branch(NAME, branch="dev", repo_type="dataset")
    repo.preflight(revision="dev")
    parent = repo.head("dev")
    outcome = repo.commit(commit_of(repo, new, parent=parent), "dev")
    assert outcome == Landed(repo.head("dev"))
    assert (list(repo.look_up([new.path_in_repo], "dev")), repo.head()) == (
        [new.path_in_repo],
        parent,
    )


def test_a_download_that_breaks_is_taken_up_again(hub: LocalHub, tmp_path: Path) -> None:
    repo = open_hub(hub)
    large = addition(tmp_path / "in", "run_large", os.urandom(200_000))
    repo.commit(commit_of(repo, large))
    hub.add_faults(Fault("truncate_download", "/resolve/", "GET", keep=50_000))
    assert sha256(repo.fetch(large.path_in_repo).read_bytes()) == large.sha256


@pytest.mark.parametrize("answered", ["", "bytes=100-"])
def test_a_download_is_taken_up_where_it_broke_whatever_part_comes(
    hub: LocalHub, tmp_path: Path, answered: str
) -> None:
    repo = open_hub(hub)
    large = addition(tmp_path / "in", "run_large", os.urandom(200_000))
    repo.commit(commit_of(repo, large))
    hub.add_faults(
        Fault("truncate_download", "/resolve/", "GET", keep=50_000),
        Fault("other_range", "/resolve/", "GET", headers={"Range": answered}),
    )
    assert sha256(repo.fetch(large.path_in_repo).read_bytes()) == large.sha256


def test_a_download_is_not_taken_up_where_it_did_not_break(hub: LocalHub, tmp_path: Path) -> None:
    repo = open_hub(hub)
    large = addition(tmp_path / "in", "run_large", os.urandom(200_000))
    repo.commit(commit_of(repo, large))
    hub.add_faults(
        Fault("truncate_download", "/resolve/", "GET", keep=50_000),
        Fault("other_range", "/resolve/", "GET", headers={"Range": "bytes=190000-"}),
    )
    with pytest.raises(ServerTrouble) as error:
        repo.fetch(large.path_in_repo)
    assert str(error.value) == (
        f"{NAME} gives no answer that makes sense: another part of a file came than was asked for"
    )
    assert sha256(repo.fetch(large.path_in_repo).read_bytes()) == large.sha256


def card_in(hub: LocalHub, tmp_path: Path, name: str = "README.md") -> Addition:
    """A short file that a person put into the repo."""
    card = addition(tmp_path / "in", name, b"# Words of people\n")
    hub.push(NAME, {card.path_in_repo: b"# Words of people\n"})
    return card


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("name", ["README.md", "run_a"])
def test_a_file_whose_end_nobody_tells_is_held_to_its_size(
    hub: LocalHub, tmp_path: Path, name: str, *, is_known: bool
) -> None:
    repo = open_hub(hub)
    card = card_in(hub, tmp_path, name)
    hub.add_faults(
        Fault("cut_unsaid", "/resolve/", "GET", keep=7),
        Fault("cut_unsaid", "/resolve/", "GET", keep=18),
    )
    wanted = card.sha256 if is_known else None
    with pytest.raises(ServerTrouble) as error:
        repo.fetch(card.path_in_repo, sha256=wanted)
    assert str(error.value) == f"{NAME} gives no answer that makes sense: a file came short"
    assert repo.fetch(card.path_in_repo, sha256=wanted).read_bytes() == b"# Words of people\n"


@pytest.mark.parametrize("answered", ["bytes=7-9", "bytes=0-9"])
def test_a_download_that_is_taken_up_in_part_is_held_to_its_size(
    hub: LocalHub, tmp_path: Path, answered: str
) -> None:
    repo = open_hub(hub)
    card = card_in(hub, tmp_path)
    hub.add_faults(
        Fault("truncate_download", "/resolve/", "GET", keep=7),
        Fault("other_range", "/resolve/", "GET", headers={"Range": answered}),
    )
    with pytest.raises(ServerTrouble) as error:
        repo.fetch(card.path_in_repo)
    assert str(error.value) == f"{NAME} gives no answer that makes sense: a file came short"
    assert repo.fetch(card.path_in_repo).read_bytes() == b"# Words of people\n"


def test_a_file_in_git_that_comes_short_is_not_taken_for_another(
    hub: LocalHub, tmp_path: Path
) -> None:
    repo = open_hub(hub)
    card = card_in(hub, tmp_path)
    hub.add_faults(Fault("cut_unsaid", "/resolve/", "GET", keep=7))
    with pytest.raises(ServerTrouble) as error:
        repo.look_up([card.path_in_repo])
    assert str(error.value) == f"{NAME} gives no answer that makes sense: a file came short"
    assert contents(repo, card.path_in_repo) == {card.path_in_repo: card.sha256}


def test_a_fetched_file_is_there_without_the_hub(hub: LocalHub, new: Addition) -> None:
    repo = open_hub(hub)
    commit_id = repo.commit(commit_of(repo, new))
    assert isinstance(commit_id, Landed)
    path = repo.fetch(new.path_in_repo, commit_id.commit_id)
    before = len(hub.requests())
    assert repo.fetch(new.path_in_repo, commit_id.commit_id) == path
    assert len(hub.requests()) == before


def since(hub: LocalHub, before: int) -> list[tuple[str, str, int | None]]:
    """Method, last part of the path and status of the requests after so many."""
    return [(r.method, r.path.rpartition("/")[2], r.status) for r in hub.requests()[before:]]


def test_a_file_costs_one_request_and_none_with_the_next_commit(
    hub: LocalHub, new: Addition, tmp_path: Path
) -> None:
    repo = open_hub(hub)
    first = repo.commit(commit_of(repo, new))
    assert isinstance(first, Landed)
    before = len(hub.requests())
    kept = repo.fetch(new.path_in_repo, first.commit_id, sha256=new.sha256)
    assert since(hub, before) == [("GET", "run_new.parquet", 200)]
    assert HfApi(endpoint=hub.url, token=WRITE).hf_hub_download(
        NAME,
        new.path_in_repo,
        repo_type="dataset",
        revision=first.commit_id,
        cache_dir=tmp_path / "cache",
        local_files_only=True,
    ) == str(kept)

    second = hub.push(NAME, {"other.txt": b"other"})
    before = len(hub.requests())
    assert repo.fetch(new.path_in_repo, second, sha256=new.sha256).read_bytes() == b"PAR1 new"
    assert since(hub, before) == []
    assert kept.resolve() == repo.fetch(new.path_in_repo, second).resolve()


def test_a_full_disk_below_the_downloads_is_named(hub: LocalHub, small_disk: Path) -> None:
    path = f"{SHARDS}/run_large.parquet"
    head = hub.push(NAME, {path: os.urandom(300_000)})
    with pytest.raises(DiskTrouble) as error:
        HubRepo(NAME, token=WRITE, endpoint=hub.url, cache_dir=small_disk).fetch(path, head)
    kept = small_disk / "datasets--alice--vacua"
    assert (error.value.path, str(error.value)) == (
        kept,
        f"{kept}: No space left on device",
    )
    assert [file for file in kept.rglob("*") if file.is_file()] == []


def test_processes_that_read_one_commit_at_once_are_not_in_each_others_way(tmp_path: Path) -> None:
    blobs = tmp_path / "datasets--alice--vacua/blobs"
    blobs.mkdir(parents=True)
    content = sha256(b"")
    (blobs / content).touch()
    program = f"""
import sys
from pathlib import Path
from vulcan_cli.hub.downloads import Downloads

seen = Downloads(Path({os.fspath(tmp_path)!r}), {NAME!r})
print("ready", flush=True)
sys.stdin.read()
for number in range(3000):
    found = seen.find(f"folder/{{number}}", {"c" * 40!r}, {content!r})
    assert found is not None and found.read_bytes() == b""
"""
    gate, handle = os.pipe()
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=gate,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for each in readers:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    os.close(gate)
    os.close(handle)
    assert [(each.communicate(timeout=120)[1], each.returncode) for each in readers] == [
        ("", 0)
    ] * 4
    links = tmp_path / "datasets--alice--vacua/snapshots" / ("c" * 40) / "folder"
    assert sorted(link.name for link in links.iterdir()) == sorted(map(str, range(3000)))


def test_what_the_hubs_client_downloaded_is_not_asked_for_again(
    hub: LocalHub, new: Addition, tmp_path: Path
) -> None:
    repo = open_hub(hub)
    repo.commit(commit_of(repo, new))
    theirs = HfApi(endpoint=hub.url, token=WRITE).hf_hub_download(
        NAME, new.path_in_repo, repo_type="dataset", cache_dir=tmp_path / "cache"
    )
    head = repo.head()
    before = len(hub.requests())
    assert str(repo.fetch(new.path_in_repo, head, sha256=new.sha256)) == theirs
    assert since(hub, before) == []


def test_a_part_of_a_file_moves_no_more_than_that(hub: LocalHub, tmp_path: Path) -> None:
    repo = open_hub(hub)
    large = addition(tmp_path / "in", "run_large", os.urandom(200_000))
    repo.commit(commit_of(repo, large))
    head, before = repo.head(), len(hub.requests())
    part = repo.read(large.path_in_repo, head, start=-8, length=8)
    assert (part.data, part.size) == (large.local.read_bytes()[-8:], 200_000)
    assert since(hub, before) == [("GET", "run_large.parquet", 206)]


def test_a_part_may_come_without_the_size_of_the_whole(hub: LocalHub, tmp_path: Path) -> None:
    repo = open_hub(hub)
    large = addition(tmp_path / "in", "run_large", os.urandom(200_000))
    repo.commit(commit_of(repo, large))
    hub.add_faults(Fault("unsaid_size", "/resolve/", "GET", times=None))
    for start, length in ((4000, 1000), (-8, 8), (199_000, 5000), (-300_000, 4)):
        first = max(0, start if start >= 0 else 200_000 + start)
        part = repo.read(large.path_in_repo, repo.head(), start=start, length=length)
        assert part == Part(large.local.read_bytes()[first : first + length], 200_000)


def test_a_download_is_taken_up_by_a_part_without_the_size_of_the_whole(
    hub: LocalHub, tmp_path: Path
) -> None:
    repo = open_hub(hub)
    card = card_in(hub, tmp_path)
    hub.add_faults(
        Fault("truncate_download", "/resolve/", "GET", keep=7),
        Fault("unsaid_size", "/resolve/", "GET"),
    )
    assert repo.fetch(card.path_in_repo).read_bytes() == b"# Words of people\n"


@pytest.mark.parametrize("answered", ["", "bytes=1000-", "bytes=1000-99999", "bytes=4000-4999"])
@pytest.mark.parametrize("asked", [4000, -196_000])
def test_a_part_is_cut_out_of_an_answer_that_holds_more(
    hub: LocalHub, tmp_path: Path, answered: str, asked: int
) -> None:
    repo = open_hub(hub)
    large = addition(tmp_path / "in", "run_large", os.urandom(200_000))
    repo.commit(commit_of(repo, large))
    hub.add_faults(Fault("other_range", "/resolve/", "GET", headers={"Range": answered}))
    part = repo.read(large.path_in_repo, repo.head(), start=asked, length=1000)
    assert part == Part(large.local.read_bytes()[4000:5000], 200_000)


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        ("bytes=5000-5999", "another part of a file came than was asked for"),
        ("bytes=4000-4500", "a part of a file came short"),
        ("bytes=0-999", "a part of a file came short"),
    ],
)
@pytest.mark.parametrize("asked", [4000, -196_000])
def test_another_part_than_was_asked_for_is_not_taken_for_it(
    hub: LocalHub, tmp_path: Path, answered: str, reason: str, asked: int
) -> None:
    repo = open_hub(hub)
    large = addition(tmp_path / "in", "run_large", os.urandom(200_000))
    repo.commit(commit_of(repo, large))
    head = repo.head()
    hub.add_faults(Fault("other_range", "/resolve/", "GET", headers={"Range": answered}))
    with pytest.raises(ServerTrouble) as error:
        repo.read(large.path_in_repo, head, start=asked, length=1000)
    assert str(error.value) == f"{NAME} gives no answer that makes sense: {reason}"


@pytest.mark.parametrize(
    "ask",
    [
        lambda repo: repo.fetch("absent.parquet"),
        lambda repo: repo.read("absent.parquet", "main", start=-4, length=4),
    ],
    ids=["fetch", "read"],
)
def test_a_refusal_that_breaks_off_is_a_lost_connection(
    hub: LocalHub, ask: Callable[[HubRepo], object]
) -> None:
    hub.add_faults(Fault("truncate_download", "/resolve/", "GET", keep=3))
    with pytest.raises(Unreachable):
        ask(open_hub(hub))
    with pytest.raises(FileNotFoundError):
        ask(open_hub(hub))


def test_a_download_that_cannot_be_taken_up_is_a_lost_connection(
    hub: LocalHub, tmp_path: Path
) -> None:
    repo = open_hub(hub)
    large = addition(tmp_path / "in", "run_large", os.urandom(200_000))
    repo.commit(commit_of(repo, large))
    absent = {"Location": f"{hub.url}/datasets/{NAME}/resolve/main/absent.parquet"}
    hub.add_faults(
        Fault("truncate_download", "/resolve/", "GET", keep=50_000),
        Fault("status", "/resolve/", "GET", status=302, headers=absent),
        Fault("truncate_download", "/resolve/", "GET", keep=3),
    )
    with pytest.raises(Unreachable):
        repo.fetch(large.path_in_repo)
    assert sha256(repo.fetch(large.path_in_repo).read_bytes()) == large.sha256


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize(
    "ask",
    [
        lambda repo, path: repo.fetch(path),
        lambda repo, path: repo.read(path, "main", start=-4, length=4),
    ],
    ids=["fetch", "read"],
)
def test_storage_that_refuses_content_says_nothing_of_the_token_or_the_file(
    hub: LocalHub,
    new: Addition,
    tmp_path: Path,
    ask: Callable[[HubRepo, str], object],
    status: int,
) -> None:
    repo = open_hub(hub)
    repo.commit(commit_of(repo, new))
    with HubThread(tmp_path / "storage") as storage:
        storage.add_faults(Fault("status", status=status, body="Request has expired"))
        there = {"Location": f"{storage.url}/signed"}
        hub.add_faults(Fault("status", "/resolve/", "GET", status=302, headers=there))
        with pytest.raises(ServerTrouble) as error:
            ask(repo, new.path_in_repo)
    assert str(error.value) == (
        f"{NAME} has trouble of its own: storage: Request has expired (HTTP {status})"
    )
    ask(repo, new.path_in_repo)


def test_offline_reads_what_is_here_and_says_what_is_not(
    hub: LocalHub, new: Addition, tmp_path: Path
) -> None:
    repo = open_hub(hub)
    repo.commit(commit_of(repo, new))
    other = addition(tmp_path / "in", "run_other", b"other")
    repo.commit(commit_of(repo, other))
    head, parent, _ = repo.snapshot()
    repo.fetch(new.path_in_repo, head)
    before = len(hub.requests())
    constants.HF_HUB_OFFLINE = True
    try:
        away = open_hub(hub)
        assert away.snapshot() == Snapshot(head, parent, is_cached=True)
        assert away.fetch(new.path_in_repo, head).read_bytes() == b"PAR1 new"
        assert away.fetch(new.path_in_repo).read_bytes() == b"PAR1 new"
        with pytest.raises(FileNotFoundError):
            away.fetch(other.path_in_repo, head)
        with pytest.raises(Unreachable):
            away.snapshot("dev")
        with pytest.raises(Unreachable):
            away.read(new.path_in_repo, head, start=0, length=1)
    finally:
        constants.HF_HUB_OFFLINE = False
    assert since(hub, before) == []


def test_which_commit_is_before_one_is_remembered_of_those_seen_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_MOST_PARENTS", 2)
    seen = Downloads(tmp_path, NAME)
    for commit, parent in (("b", "a"), ("c", "b"), ("c", "x"), ("d", "c")):
        seen.remember_parent(commit, parent)
    known = Downloads(tmp_path, NAME)
    assert [known.parent_of(commit) for commit in "abcd"] == [None, None, "b", "c"]


@pytest.mark.parametrize("names", [("dev", "dev/x"), ("dev/x", "dev")])
def test_a_branch_whose_name_goes_on_where_that_of_a_tag_ends_is_read(
    hub: LocalHub, new: Addition, tmp_path: Path, names: tuple[str, str]
) -> None:
    repo = open_hub(hub)
    start = repo.head()
    made = repo.commit(commit_of(repo, new))
    assert isinstance(made, Landed)
    api = HfApi(endpoint=hub.url, token=WRITE)
    api.create_tag(NAME, tag=names[0], repo_type="dataset")
    api.create_branch(NAME, branch=names[1], repo_type="dataset")
    for name in (*names, *names):
        assert repo.snapshot(name) == Snapshot(made.commit_id, start)
        assert repo.fetch(new.path_in_repo, name).read_bytes() == b"PAR1 new"
    refs = tmp_path / "cache/datasets--alice--vacua/refs"
    assert [str(file.relative_to(refs)) for file in refs.rglob("*") if file.is_file()] == [names[0]]


@pytest.mark.parametrize(
    ("ask", "path"),
    [
        (lambda repo: repo.head(), "/revision/"),
        (lambda repo: repo.look_up(["a"]), "/paths-info/"),
        (lambda repo: repo.pull_requests(), "/discussions"),
        (lambda repo: repo.preflight(), "/preupload/"),
    ],
    ids=["head", "look_up", "pull_requests", "preflight"],
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Denied), (403, Denied), (429, RateLimited), (500, ServerTrouble), (200, ServerTrouble)],
)
def test_questions_that_go_wrong(
    hub: LocalHub, ask: Callable[[HubRepo], object], path: str, status: int, kind: type[Exception]
) -> None:
    hub.add_faults(Fault("status", path, status=status, body="<html>", times=None))
    with pytest.raises(kind):
        ask(open_hub(hub))
    hub.clear_faults()
    ask(open_hub(hub))


ODD_LISTINGS: dict[str, object] = {
    "no list": {},
    "nothing": [],
    "a path": [{"type": "file", "path": 1, "size": 1, "oid": "x"}],
    "a size": [{"type": "file", "path": "x", "size": "1", "oid": "x"}],
    "a SHA-256": [
        {
            "type": "file",
            "path": "x",
            "size": 1,
            "oid": "x",
            "lfs": {"size": 1, "oid": 1, "pointerSize": 1},
        }
    ],
}


@pytest.mark.parametrize("what", ODD_LISTINGS)
def test_a_listing_that_makes_no_sense_is_not_believed(
    hub: LocalHub, new: Addition, what: str
) -> None:
    repo = open_hub(hub)
    repo.commit(commit_of(repo, new))
    hub.add_faults(Fault("status", "/tree/", "GET", status=200, body=ODD_LISTINGS[what]))
    with pytest.raises(ServerTrouble):
        list(repo.files())
    assert sorted(file.path for file in repo.files()) == [".gitattributes", new.path_in_repo]


def test_a_repo_of_no_file_lists_none(hub: LocalHub) -> None:
    hub.push(NAME, {}, deletes=[".gitattributes"])
    assert list(open_hub(hub).files()) == []


def test_no_answer_makes_us_say_the_token(hub: LocalHub, new: Addition) -> None:
    secret = "quite-an-odd-secret"
    hub.set_token(secret, Token("odd", "alice", "write"))
    repo = open_hub(hub, secret)
    body = {"error": f"token {secret} of http://me:pw@host, hf_abcdefghijklmnopqrstuvwxyz"}
    words = "token [hidden] of [hidden]host, [hidden]"
    hub.add_faults(Fault("status", COMMIT, status=422, body=body))
    assert repo.commit(commit_of(repo, new)) == Refused(words, (), 422)
    hub.add_faults(Fault("status", "/revision/", status=403, body=body))
    with pytest.raises(Denied) as error:
        repo.head()
    assert str(error.value) == f"alice/vacua does not let this token: {words}"
    assert error.value.__suppress_context__


def test_only_the_given_token_is_used_and_nothing_is_printed(hub: LocalHub) -> None:
    """Not the login in the environment, where HF_TOKEN holds a good one."""
    code = (
        "import sys; from vulcan_cli.errors import Denied\n"
        "from vulcan_cli.hub.open import Login, open_repo\n"
        "try: open_repo('alice/vacua', Login(endpoint=sys.argv[1])).preflight()\n"
        "except Denied as error: print('denied')\n"
        "open_repo('alice/vacua', Login(sys.argv[2])).preflight()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, hub.url, WRITE],
        env=hub.client_env(WRITE),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("denied\n", "")
    tokens = {each.token for each in hub.requests()}
    assert tokens == {None, "write"}


def test_uploads_are_silent(hub: LocalHub, tmp_path: Path) -> None:
    """No bar, no warning, no address on the terminal, whatever the client would like to say."""
    shard = tmp_path / "shard"
    shard.write_bytes(b"PAR1")
    code = (
        "import hashlib, sys; from pathlib import Path\n"
        "from vulcan_cli.hub.huggingface import HubRepo\n"
        "from vulcan_cli.hub.repo import Addition, Commit\n"
        "data = Path(sys.argv[2]).read_bytes(); repo = HubRepo('alice/vacua', token='hf_write')\n"
        "add = Addition('a.parquet', Path(sys.argv[2]), hashlib.sha256(data).hexdigest(), 4)\n"
        "for _ in range(2): repo.commit(Commit('m', 'd', repo.head(), (add,)))\n"
        "print(len(repo.log(9)))"
    )
    hub.add_faults(Fault("status", "/_lfs/", "PUT", status=503))
    environment = hub.client_env(None)
    del environment["HF_HUB_DISABLE_PROGRESS_BARS"]
    done = subprocess.run(
        [sys.executable, "-c", code, hub.url, str(shard)],
        env=environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("2\n", "")


XET = """
import os, sys
from pathlib import Path
from vulcan_cli.hub import downloads
from vulcan_cli.hub.downloads import Downloads
from vulcan_cli.hub.huggingface import HubRepo
from vulcan_cli.errors import VulcanError
from vulcan_cli.hub.repo import Addition, Ready

shard, sha256 = Path(sys.argv[1]), sys.argv[2]
repo = HubRepo("alice/vacua", token="hf_write", say=print)

def upload(path, sha256):
    try:
        outcome = repo.upload([Addition("a.parquet", path, sha256, 1000)])
        print("Ready" if outcome == Ready() else outcome)
    except VulcanError as error:
        print(type(error).__name__)

upload(shard, sha256)
fd = os.open(shard, os.O_RDONLY)
shard.unlink()
by_fd = Path(f"/proc/self/fd/{fd}")
upload(by_fd, sha256)
upload(by_fd, "0" * 64)
"""


SENT = ["Ready", "Ready", "Changed(paths=('a.parquet',))"]


def xet_store(folder: Path) -> Fault:
    """Let the Hub hand out a store in a folder, where Xet puts content as to its own service."""
    address, expires = f"local://{folder}", 4_000_000_000
    headers = {
        "X-Xet-Cas-Url": address,
        "X-Xet-Access-Token": "x",
        "X-Xet-Token-Expiration": str(expires),
    }
    body = {"casUrl": address, "accessToken": "x", "exp": expires}
    return Fault("status", "/xet-write-token/", times=None, status=200, body=body, headers=headers)


@pytest.mark.parametrize("service", ["local store", "none", "denied"])
def test_content_goes_by_xet_where_there_is_one(
    hub: LocalHub, tmp_path: Path, service: str
) -> None:
    """In a process of its own, as Xet starts threads; the digest checked is the one Xet made."""
    shard = addition(tmp_path / "in", "run_a", b"x" * 1000)
    if service == "local store":
        hub.add_faults(xet_store(tmp_path / "store"))
    if service == "denied":
        hub.add_faults(Fault("status", "/xet-write-token/", times=None, status=403))
    environment = hub.client_env(None) | {"HF_HUB_DISABLE_XET": "0"}
    # Xet's own client begins with certificates, though none is needed.
    for name in NO_CERTIFICATES:
        del environment[name]
    done = subprocess.run(
        [sys.executable, "-c", XET, str(shard.local), shard.sha256],
        env=environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    puts = [each for each in hub.requests() if each.method == "PUT"]
    if service == "local store":
        assert (lines, puts) == (SENT, [])
        assert any((tmp_path / "store").rglob("*"))
    elif service == "none":
        # Told once; and what the Hub has already is not sent again.
        assert (lines, len(puts)) == ([f"{hub.url} has no Xet: content goes by LFS", *SENT], 1)
    else:
        assert lines == ["Denied"] * 3
