"""`vulcan sync` and a Hub that says no: exit status, every word of it, and what is safe."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cli_in_process import run
from tests.cli_shards import staged as staged_by_command
from tests.cli_support import Ran, on_full_disk, vulcan
from tests.hub_support import plain_lfs
from tests.hubserver import BAD, BOB, READ, WRITE, Fault, HubThread, LocalHub
from tests.hubserver.access import ONLY_PROPOSALS
from tests.sync_support import NAME, by_name, put, put_many, shards_in
from vulcan_cli.quantities import format_duration
from vulcan_cli.staging.area import StagingArea

COMMIT = f"/api/datasets/{NAME}/commit/"
HIDING = "alice/hiding"
OPEN = "alice/open"
WORDS = ("--staging-dir", "staging", "--max-retries", "0")
SAFE = "  safe: 3 shards that the repo has not confirmed are in pending/\n"
NOTHING = "committed=0 failed=0 remaining=3 commits=0\n"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with plain_lfs(), HubThread(tmp_path / "hub") as running:
        running.create_repo(NAME)
        running.create_repo(HIDING)
        running.create_repo(OPEN, private=False)
        running.push(HIDING, {".gitignore": b"*.parquet\n"})
        yield running


@pytest.fixture
def staged(tmp_path: Path) -> dict[str, str]:
    area = StagingArea(tmp_path / "staging")
    area.create()
    return put_many(area, 3)


def environment(hub: LocalHub, token: str | None) -> dict[str, str]:
    given = hub.client_env(token, home=hub.root.parent / "home")
    return {name: text for name, text in given.items() if name.startswith(("HF_", "SSL_"))}


@dataclass(frozen=True)
class Case:
    """What goes wrong; how the command ends, its sentence, and what it says to type next."""

    code: int
    kind: str
    sentence: str
    next: tuple[str, ...]
    token: str | None = WRITE
    repo: str = NAME
    faults: tuple[Fault, ...] = ()
    facts: dict[str, object] = field(default_factory=dict)
    out: str = NOTHING


AGAIN = "vulcan sync --staging-dir staging --max-retries 0 --repo {repo}"
CASES = {
    "401": Case(
        4,
        "Denied",
        f"{NAME} does not let this token: Invalid credentials in Authorization header",
        ("unset HF_TOKEN && hf auth login", AGAIN),
        token=BAD,
        facts={"path": None},
    ),
    "403": Case(
        4,
        "Denied",
        f"{NAME} does not let this token: you must use a write token to upload to a repository.",
        ("unset HF_TOKEN && hf auth login", AGAIN),
        token=READ,
        facts={"path": None},
    ),
    "only proposals": Case(
        4,
        "OnlyProposals",
        f"{OPEN} takes no commit of this token: {ONLY_PROPOSALS}",
        (AGAIN.replace("sync ", "sync --create-pr "),),
        token=BOB,
        repo=OPEN,
        facts={"path": None},
    ),
    "no token": Case(
        4,
        "NotSetUp",
        f"there is no token to write to {NAME} with",
        ("hf auth login", AGAIN),
        token=None,
        facts={"setting": "token"},
        out="",
    ),
    "404": Case(
        4,
        "RepoMissing",
        f"there is no repo {NAME}, or this token may not see it",
        (
            f"vulcan doctor --repo {NAME} --staging-dir staging",
            AGAIN.replace("sync ", "sync --create-repo "),
        ),
        token=BOB,
        facts={"repo": NAME, "revision": None},
    ),
    ".gitignore": Case(
        4,
        "RepoRefuses",
        f"the .gitignore of {HIDING} hides parquet files",
        (f"hf repos delete-files {HIDING} .gitignore --type dataset", AGAIN),
        repo=HIDING,
        facts={"hidden_in": HIDING},
    ),
    "refuses all": Case(
        4,
        "RepoRefuses",
        f"{NAME} refuses every shard: Storage limit reached.",
        ("vulcan sync --repo OWNER/NAME",),
        faults=(
            Fault(
                "status",
                COMMIT,
                "POST",
                times=None,
                status=400,
                body={"error": "Storage limit reached."},
            ),
        ),
        facts={"hidden_in": None},
    ),
    "server error": Case(
        5,
        "ServerTrouble",
        f"{NAME} has trouble of its own: Bad Gateway (HTTP 502)",
        (AGAIN,),
        faults=(
            Fault(
                "status",
                COMMIT,
                "POST",
                times=None,
                status=502,
                body="<html><title>x</title><h1>Bad Gateway</h1></html>",
            ),
        ),
        facts={"retry_at": None},
    ),
    "unreachable": Case(
        5,
        "Unreachable",
        f"{NAME} cannot be reached: Server disconnected without sending a response.",
        (AGAIN,),
        faults=(Fault("drop", "/revision/", times=None),),
        facts={"retry_at": None},
    ),
    "no sense": Case(
        5,
        "ServerTrouble",
        f"{NAME} gives no answer that makes sense: 'id'",
        (AGAIN,),
        faults=(Fault("status", "/revision/", times=None, status=200, body={"no": 1}),),
        facts={"retry_at": None},
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_p9_what_is_no_shards_fault_says_what_is_safe_and_what_to_do(
    hub: LocalHub, staged: dict[str, str], tmp_path: Path, what: str
) -> None:
    case = CASES[what]
    hub.add_faults(*case.faults)
    words = ("sync", *WORDS, "--repo", case.repo)
    env = environment(hub, case.token)
    next_ = [line.format(repo=case.repo) for line in case.next]
    told = "".join(f"  next: {line}\n" for line in next_)
    for quiet, out in ((), case.out), (("-q",), ""):
        again = told.replace(case.repo + "\n", f"{case.repo} -q\n") if quiet else told
        assert run(*words, *quiet, cwd=tmp_path, env=env) == Ran(
            case.code, out, f"vulcan: {case.sentence}\n{SAFE}{again}"
        )
    ran = run(*words, "--json", cwd=tmp_path, env=env)
    assert ran.code == case.code
    assert ran.error() == {
        "kind": case.kind,
        "exit_code": case.code,
        "message": case.sentence,
        "safe": SAFE.strip().removeprefix("safe: "),
        "next": [f"{line} --json" if line.endswith(case.repo) else line for line in next_],
        **case.facts,
    }
    if case.out:
        assert ran.document() == {
            "committed": 0,
            "failed": 0,
            "rejected": 0,
            "conflicts": 0,
            "remaining": 3,
            "in_review": 0,
            "pull_request": None,
            "pull_requests": {},
            "commits": [],
            "errors": [case.sentence],
            "next_slot_at": None,
        }
    assert shards_in(tmp_path / "staging/pending") == by_name(staged)


@pytest.mark.usefixtures("staged")
def test_what_may_only_be_proposed_is_proposed_by_the_next_command(
    hub: LocalHub, tmp_path: Path
) -> None:
    env = environment(hub, BOB)
    refused = run("sync", *WORDS, "--repo", OPEN, "--json", cwd=tmp_path, env=env)
    (command,) = cast("list[str]", refused.error()["next"])
    ran = run(*shlex.split(command)[1:], cwd=tmp_path, env=env)
    assert (ran.code, ran.document()["in_review"]) == (0, 3)


def test_no_room_for_the_card_is_said_with_its_name(hub: LocalHub, tmp_path: Path) -> None:
    area = StagingArea(tmp_path / "staging")
    area.create()
    # A card that lists so many columns is larger than a file may be here; all else is smaller.
    columns: dict[str, Any] = {f"a_column_with_number_{number:03d}": 1.0 for number in range(100)}
    put(area, "wide", **columns)
    words = ("sync", *WORDS, "--repo", NAME)
    env = environment(hub, WRITE)
    assert on_full_disk(*words, home=tmp_path, blocks=8, env=env) == Ran(
        0,
        "committed=1 failed=0 remaining=0 commits=1\n",
        f"vulcan: the catalog in {NAME} is not brought up to date: README.md: File too large\n",
    )


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", COMMIT, status=429, body={"error": "retry in 9999999999999 hours"}),
        Fault("status", "/commit", status=429, headers={"RateLimit": f'"api";r=0;t={"9" * 20}'}),
    ],
    ids=["words", "header"],
)
def test_a_wait_that_cannot_be_is_no_fault_of_ours(
    hub: LocalHub, tmp_path: Path, fault: Fault
) -> None:
    hub.add_faults(fault)
    ran = vulcan("sync", *WORDS, "--repo", NAME, home=tmp_path, env=environment(hub, WRITE))
    assert (ran.code, ran.out) == (5, NOTHING)
    assert ran.err.splitlines()[1:] == [
        SAFE.rstrip("\n"),
        f"  next: {AGAIN.format(repo=NAME)}",
    ]


@pytest.mark.usefixtures("staged")
def test_p10_a_rate_limit_is_told_once_and_kept_by_the_next_run(
    hub: LocalHub, tmp_path: Path
) -> None:
    words = "You have exceeded the rate limit for repository commits (128 per hour)."
    more = " You can retry this action in 43 minutes."
    hub.add_faults(
        Fault("status", COMMIT, "POST", skip=1, times=1, status=429, body={"error": words + more})
    )
    env = environment(hub, WRITE)
    command = ("sync", *WORDS, "--repo", NAME, "--max-batch", "1")
    first = vulcan(*command, home=tmp_path, env=env)
    assert (first.code, first.out) == (5, "committed=1 failed=0 remaining=2 commits=1\n")
    moment = r"[-0-9]{10} [:0-9]{8} UTC"
    assert re.fullmatch(
        rf"vulcan: {NAME} takes no more for now: {re.escape(words + more)} \(HTTP 429\)\n"
        r"  safe: 2 shards that the repo has not confirmed are in pending/\n"
        rf"  next: vulcan {' '.join(command)}  # after {moment}\n",
        first.err,
    )
    # A run before that asks for no commit, which would be refused again.
    again = run(*command, cwd=tmp_path, env=env)
    assert (again.code, again.out) == (5, "committed=0 failed=0 remaining=2 commits=0\n")
    sentence = f"{NAME} takes no more for now, as it said when it refused a commit"
    assert re.fullmatch(
        rf"vulcan: {sentence}\n"
        r"  safe: 2 shards that the repo has not confirmed are in pending/\n"
        rf"  next: vulcan {' '.join(command)}  # after {moment}\n",
        again.err,
    )
    document = run(*command, "--json", cwd=tmp_path, env=env)
    assert (document.code, document.error()["kind"]) == (5, "RateLimited")
    assert document.document()["errors"] == [sentence]
    assert document.document()["next_slot_at"] == document.error()["retry_at"]
    assert len(hub.attempts(NAME)) == 2
    asked = ("status", *WORDS[:2], "--repo", NAME)
    known = json.loads(run(*asked, "--json", cwd=tmp_path, env=env).out)["budget"]["next_slot_at"]
    before = time.time()
    status = run(*asked, cwd=tmp_path, env=env).out.splitlines()
    # A minute may end while the line is made.
    waits = {format_duration(known - moment) for moment in (before, time.time())}
    assert [line for line in status if NAME in line] in [
        [f"  0 of 90 commits left in 1h, next in {wait}, to {NAME}"] for wait in waits
    ]


@pytest.mark.usefixtures("staged")
def test_an_error_in_json_stands_alone_beside_what_is_in_review(
    hub: LocalHub, tmp_path: Path
) -> None:
    words = ("sync", *WORDS, "--repo", NAME, "--create-pr", "--json")
    env = environment(hub, WRITE)
    assert run(*words, cwd=tmp_path, env=env).document()["in_review"] == 3
    put(StagingArea(tmp_path / "staging"), "late", 9)
    hub.add_faults(Fault("status", COMMIT, "POST", times=None, status=503, body="full"))

    ran = run(*words, cwd=tmp_path, env=env)

    assert (ran.code, ran.document()["in_review"], ran.document()["remaining"]) == (5, 3, 4)
    assert json.loads(ran.err)["error"]["kind"] == "ServerTrouble"


@pytest.mark.parametrize("as_json", [False, True])
def test_the_pull_request_of_each_repo_is_told(
    hub: LocalHub, tmp_path: Path, *, as_json: bool
) -> None:
    # Homes hang on the port of the hub: two in a million runs leave one of the repos empty.
    for h11 in range(3, 23):
        staged_by_command(tmp_path, f"g{h11}", geometry=f"h11={h11},h12=2")
    repos = ("--repo", NAME, "--repo", OPEN)
    words = ("sync", "--staging-dir", "spool", *repos, "--create-pr")
    ran = run(*words, *(["--json"] if as_json else []), cwd=tmp_path, env=environment(hub, WRITE))
    numbers = {name: hub.discussions(name)[-1]["num"] for name in (NAME, OPEN)}
    assert numbers == {NAME: 1, OPEN: 1}
    told = f"20 shards in review, pull request 1 of {NAME}, pull request 1 of {OPEN}\n"
    assert (ran.code, ran.err) == (0, told)
    if not as_json:
        assert ran.out == "committed=0 failed=0 remaining=20 commits=2\n"
        return
    document = ran.document()
    assert len(cast("list[str]", document.pop("commits"))) == 2
    assert document == {
        "committed": 0,
        "failed": 0,
        "rejected": 0,
        "conflicts": 0,
        "remaining": 20,
        "in_review": 20,
        "pull_request": 1,
        "pull_requests": numbers,
        "errors": [],
        "next_slot_at": None,
    }


def test_nothing_is_proposed_where_a_folder_is_among_the_repos(
    hub: LocalHub, staged: dict[str, str], tmp_path: Path
) -> None:
    words = ("sync", *WORDS, "--repo", NAME, "--repo", "./folder", "--create-pr")
    assert run(*words, cwd=tmp_path, env=environment(hub, WRITE)) == Ran(
        2,
        "",
        f"vulcan: file://{tmp_path}/folder is a folder, which has no pull requests\n"
        "  safe: nothing was changed\n  next: vulcan sync --help\n",
    )
    assert (hub.discussions(NAME), hub.attempts(NAME)) == ([], [])
    assert shards_in(tmp_path / "staging/pending") == by_name(staged)


@pytest.mark.parametrize("n_failed", [2, 3])
def test_p9_a_batch_that_was_given_up_is_said_to_be_in_failed(
    hub: LocalHub, staged: dict[str, str], tmp_path: Path, n_failed: int
) -> None:
    hub.add_faults(Fault("status", COMMIT, "POST", times=None, status=503, body="full"))
    env = environment(hub, WRITE)
    words = ("sync", *WORDS, "--repo", NAME, "--fail-exhausted", "--max-batch", str(n_failed))
    trouble = f"{NAME} has trouble of its own: full (HTTP 503)"
    blamed = sorted(by_name(staged))[:n_failed]
    said = "".join(f"vulcan: {name} is refused: {trouble}\n" for name in blamed)
    safe, first = {
        2: (
            "1 shard that the repo has not confirmed is in pending/, and 2 shards are in failed/",
            "",
        ),
        3: ("3 shards are in failed/", "  next: vulcan retry-failed --staging-dir staging\n"),
    }[n_failed]
    assert run(*words, cwd=tmp_path, env=env) == Ran(
        5,
        f"committed=0 failed={n_failed} remaining={3 - n_failed} commits=0\n",
        f"{said}vulcan: {trouble}\n  safe: {safe}\n{first}  next: vulcan {shlex.join(words)}\n",
    )


@pytest.mark.usefixtures("staged")
def test_p9_time_that_is_up_hides_no_trouble(hub: LocalHub, tmp_path: Path) -> None:
    env = environment(hub, WRITE)
    words = ("sync", "--staging-dir", "staging", "--repo", NAME, "--max-duration", "1s")
    hub.add_faults(Fault("drop", "/revision/", times=None))
    assert vulcan(*words, home=tmp_path, env=env) == Ran(
        5,
        NOTHING,
        f"vulcan: {NAME} cannot be reached: Server disconnected without sending a response.\n"
        f"{SAFE}  next: vulcan {' '.join(words)}\n",
    )


def test_p9_a_timeout_of_the_storage_blames_no_shard(
    hub: LocalHub, staged: dict[str, str], tmp_path: Path
) -> None:
    """S3 says it with a 400."""
    late = max(staged.values())
    hub.add_faults(
        Fault("status", f"/{late}", "PUT", times=None, status=400, body={"error": "RequestTimeout"})
    )
    env = environment(hub, WRITE)
    words = ("sync", *WORDS, "--repo", NAME)
    sentence = f"{NAME} has trouble of its own: storage: RequestTimeout (HTTP 400)"
    told = f"vulcan: {sentence}\n{SAFE}  next: {AGAIN.format(repo=NAME)}\n"
    assert run(*words, cwd=tmp_path, env=env) == Ran(5, NOTHING, told)
    assert shards_in(tmp_path / "staging/pending") == by_name(staged)
    hub.clear_faults()
    again = run(*words, cwd=tmp_path, env=env)
    assert again == Ran(0, "committed=3 failed=0 remaining=0 commits=1\n", "")
