"""The local Hub, asked by the unmodified client: what it answers is what is known of the Hub."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    constants,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder
from huggingface_hub.utils._http import parse_ratelimit_headers
from huggingface_hub.utils.tqdm import disable_progress_bars
from hypothesis import given
from hypothesis import strategies as st

from tests.hubserver import BAD, BOB, READ, WRITE, Fault, HubProcess, HubThread, LocalHub, Refusal
from tests.hubserver.access import ONLY_PROPOSALS
from tests.hubserver.api_repo import GITATTRIBUTES
from tests.hubserver.gitignore import ignore_rules
from tests.hubserver.trees import EMPTY, Entry, blob_id, pointer

REPO = "alice/vacua"
COMMIT = "/api/datasets/alice/vacua/commit/main"
SEED = {".gitattributes": hashlib.sha256(GITATTRIBUTES).hexdigest()}


@pytest.fixture(autouse=True)
def _plain_lfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_HUB_DISABLE_XET=1 sets when the client is imported."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    disable_progress_bars()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubThread]:
    """A server with one empty private repo."""
    with HubThread(tmp_path / "hub") as server:
        server.create_repo(REPO)
        yield server


def client(hub: LocalHub, token: str | bool = WRITE) -> HfApi:
    return HfApi(endpoint=hub.url, token=token)


def shard(text: str) -> bytes:
    return b"PAR1\0" + text.encode() + b"PAR1"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def adds(names: list[str]) -> list[CommitOperationAdd]:
    """Fresh operations; the content of a file follows from its name."""
    return [CommitOperationAdd(name, shard(name)) for name in names]


def listing(*names: str) -> dict[str, str]:
    """The tree of a repo with these shards."""
    return dict(sorted((SEED | {name: sha(shard(name)) for name in names}).items()))


def commit(hub: LocalHub, *names: str, **options: Any) -> CommitInfo:
    return send(client(hub), adds(list(names)), **options)


def send(api: HfApi, operations: list[Any], **options: Any) -> CommitInfo:
    options = {"repo_type": "dataset", "commit_message": "Add"} | options
    return api.create_commit(REPO, operations, **options)


def titles(hub: LocalHub, revision: str = "main") -> list[str]:
    return [each.title for each in hub.commits(REPO, revision)]


def raw(
    hub: LocalHub, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """A request without the client; names of headers take `_` for `-`."""
    address = urlsplit(hub.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    given = {"Authorization": f"Bearer {WRITE}"}
    given |= {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        connection.request(method, path, body, given)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def raw_commit(hub: LocalHub, *operations: dict[str, Any], summary: str = "m") -> tuple[int, str]:
    """Status and error of a hand-made commit request."""
    header = {"key": "header", "value": {"summary": summary, "description": ""}}
    body = b"\n".join(json.dumps(line).encode() for line in (header, *operations))
    status, _, answer = raw(hub, "POST", COMMIT, body)
    return status, json.loads(answer).get("error", "")


def line(key: str, path: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": {"path": path, **value}}


def kinds(hub: LocalHub) -> Counter[str]:
    """Requests by method and the telling part of the path."""
    part = re.compile(r"preupload|batch|verify|_lfs|commit|vacua(?=$|/revision)")
    return Counter(
        f"{each.method} {found[0] if (found := part.search(each.path)) else each.path}"
        for each in hub.requests()
    )


# Repos and accounts


def test_a_new_repo_has_one_commit_with_git_attributes(hub: HubThread) -> None:
    api = client(hub)
    url = api.create_repo("acme/new", repo_type="dataset", private=True)
    assert (str(url), url.repo_id) == (f"{hub.url}/datasets/acme/new", "acme/new")
    assert [(each.title, each.files) for each in hub.commits("acme/new")] == [
        ("initial commit", SEED)
    ]
    info = api.dataset_info("acme/new")
    assert (info.private, info.author) == (True, "acme")
    assert info.sha == hub.refs("acme/new")["refs/heads/main"]
    assert [each.rfilename for each in info.siblings or []] == [".gitattributes"]


def test_create_repo_again_is_409_or_fine(hub: HubThread) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        client(hub).create_repo(REPO, repo_type="dataset")
    assert caught.value.response.status_code == 409
    assert caught.value.server_message == "You already created this dataset repo"
    again = client(hub).create_repo(REPO, repo_type="dataset", exist_ok=True)
    assert str(again) == f"{hub.url}/datasets/{REPO}"


def test_create_repo_is_no_check_of_write_access(hub: HubThread, tmp_path: Path) -> None:
    # in a child: this branch of the client knows only the endpoint of the environment
    program = (
        "from huggingface_hub import HfApi\n"
        f"print(HfApi().create_repo('{REPO}', repo_type='dataset', exist_ok=True))"
    )
    env = hub.client_env(READ, home=tmp_path / "home")
    run = subprocess.run([sys.executable, "-c", program], env=env, check=True, capture_output=True)
    assert run.stdout.decode() == f"{hub.url}/datasets/{REPO}\n"
    assert [each.status for each in hub.requests()] == [403, 200]


def test_delete_repo(hub: HubThread) -> None:
    client(hub).delete_repo(REPO, repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        client(hub).dataset_info(REPO)


def test_whoami_tells_user_and_role(hub: HubThread) -> None:
    who = client(hub, READ).whoami()
    assert (who["name"], who["auth"]["accessToken"]["role"]) == ("alice", "read")


@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        (BAD, 401, "Invalid credentials in Authorization header"),
        (False, 401, "Invalid username or password."),
        (READ, 403, "you must use a write token to upload to a repository."),
        (BOB, 404, "Repository not found"),
    ],
)
def test_who_may_not_write(
    hub: HubThread, token: str | bool, status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(HfHubHTTPError) as caught:
        send(client(hub, token), adds(["a.parquet"]))
    assert caught.value.response.status_code == status
    assert caught.value.server_message == message
    assert isinstance(caught.value, RepositoryNotFoundError) == (status == 404)
    assert hub.attempts() == []


def test_a_stranger_may_read_a_public_repo_but_only_propose(hub: HubThread) -> None:
    hub.create_repo("alice/open", private=False)
    bob = client(hub, BOB)
    assert bob.list_repo_files("alice/open", repo_type="dataset") == [".gitattributes"]
    options: Any = {"repo_type": "dataset", "commit_message": "Mine"}
    with pytest.raises(HfHubHTTPError) as caught:
        bob.create_commit("alice/open", adds(["a.parquet"]), **options)
    assert caught.value.response.status_code == 403
    assert caught.value.server_message == ONLY_PROPOSALS
    proposed = bob.create_commit("alice/open", adds(["a.parquet"]), create_pr=True, **options)
    assert proposed.pr_num == 1


def test_auth_check(hub: HubThread) -> None:
    client(hub, READ).auth_check(REPO, repo_type="dataset")
    client(hub).auth_check(REPO, repo_type="dataset", write=True)
    with pytest.raises(HfHubHTTPError):
        client(hub, READ).auth_check(REPO, repo_type="dataset", write=True)


def test_a_revoked_token_is_401_and_the_log_shows_names_only(hub: HubThread) -> None:
    client(hub).whoami()
    hub.set_token(WRITE, None)
    with pytest.raises(HfHubHTTPError):
        client(hub).whoami()
    seen = [(each.token, each.status, "authorization" in each.headers) for each in hub.requests()]
    assert seen == [("write", 200, False), ("unknown", 401, False)]


# Commits


@pytest.mark.parametrize(("verify", "total"), [(False, 505), (True, 1005)])
def test_500_files_in_one_commit(tmp_path: Path, verify: bool, total: int) -> None:
    names = [f"data/{number:03}.parquet" for number in range(500)]
    with HubProcess(tmp_path / "hub") as hub:
        hub.create_repo(REPO)
        hub.configure(verify=verify)
        commit(hub, *names)
        wanted = {"POST preupload": 2, "POST batch": 2, "PUT _lfs": 500, "POST commit": 1}
        assert kinds(hub) == wanted | ({"POST verify": 500} if verify else {})
        assert kinds(hub).total() == total
        assert hub.tree(REPO) == listing(*names)
        assert [each.operations for each in hub.attempts(REPO)] == [500]


def test_unchanged_files_make_no_commit(hub: HubThread) -> None:
    names = [f"{number}.parquet" for number in range(300)]
    commit(hub, *names)
    head = hub.push(REPO, {"other.parquet": b"x"})
    before = kinds(hub)
    assert commit(hub, *names).oid == head
    assert kinds(hub) - before == {
        "POST preupload": 2,
        "POST batch": 2,
        "GET vacua": 1,
    }


def test_a_commit_has_its_author_description_and_time(hub: HubThread) -> None:
    done = commit(hub, "a/b.parquet", commit_message="Title", commit_description="batch 7")
    (found, first) = client(hub).list_repo_commits(REPO, repo_type="dataset")
    assert (found.commit_id, found.title, found.message) == (done.oid, "Title", "batch 7")
    assert (found.authors, first.title) == (["alice"], "initial commit")
    seen = hub.commits(REPO)[-1]
    assert (seen.id, seen.parent, seen.description) == (done.oid, first.commit_id, "batch 7")
    assert seen.files == {"a/b.parquet": sha(shard("a/b.parquet"))}
    assert found.created_at.timestamp() == pytest.approx(seen.time, abs=0.001)


def test_regular_empty_deleted_and_copied_files(hub: HubThread) -> None:
    api = client(hub)
    send(api, [CommitOperationAdd("n.txt", b"one\n"), CommitOperationAdd("e.parquet", b"")])
    commit(hub, "d/a.parquet", "d/b.parquet", "c.parquet")
    operations = [
        CommitOperationDelete("d/"),
        CommitOperationDelete("n.txt"),
        CommitOperationCopy("c.parquet", "e/c.parquet"),
    ]
    send(api, operations)
    c = sha(shard("c.parquet"))
    assert hub.tree(REPO) == SEED | {"c.parquet": c, "e.parquet": sha(b""), "e/c.parquet": c}
    assert hub.commits(REPO)[-1].deletes == ["d/a.parquet", "d/b.parquet", "n.txt"]


def test_deleting_what_is_not_there(hub: HubThread) -> None:
    with pytest.raises(RemoteEntryNotFoundError) as caught:
        send(client(hub), [CommitOperationDelete("no.parquet")])
    assert caught.value.server_message == "A file with this name doesn't exist: no.parquet"
    message = "A file with this name doesn't exist: nö"
    assert raw_commit(hub, line("deletedFile", "nö")) == (404, message)


def test_gitignore_hides_files_and_an_empty_commit_still_lands(hub: HubThread) -> None:
    hub.push(REPO, {".gitignore": b"*.parquet\n!keep.parquet\n"})
    commit(hub, "a.parquet", "keep.parquet", commit_message="Some")
    commit(hub, "b.parquet", commit_message="None")
    assert [(each.title, list(each.files)) for each in hub.commits(REPO)[2:]] == [
        ("Some", ["keep.parquet"]),
        ("None", []),
    ]


def test_a_broken_card_is_refused_before_anything_is_sent(hub: HubThread) -> None:
    with pytest.raises(ValueError, match=r"^Invalid metadata in README\.md") as caught:
        send(client(hub), [CommitOperationAdd("README.md", b"---\na: [1\n---\n")])
    assert isinstance(caught.value.__cause__, BadRequestError)
    assert [each.path for each in hub.requests()] == ["/api/validate-yaml"]
    send(client(hub), [CommitOperationAdd("README.md", b"---\na: [1]\n---\n")])
    assert sorted(hub.tree(REPO)) == [".gitattributes", "README.md"]


# Answers that are lost


@pytest.mark.parametrize("action", ["drop", "drop_after"])
@pytest.mark.parametrize(
    ("mode", "error"), [("close", httpx2.RemoteProtocolError), ("reset", httpx2.ReadError)]
)
def test_lost_before_and_after_look_the_same(
    hub: HubThread, action: Any, mode: Any, error: type[Exception]
) -> None:
    hub.add_faults(Fault(action, path="/commit/", mode=mode))
    with pytest.raises(httpx2.TransportError) as caught:
        commit(hub, "a.parquet")
    assert type(caught.value) is error
    landed = action == "drop_after"
    assert titles(hub) == ["initial commit", *(["Add"] if landed else [])]
    last = hub.requests()[-1]
    assert (last.status, last.served, last.fault) == (None, 200 if landed else None, action)
    assert len(hub.attempts(REPO)) == 1


def test_retry_with_fresh_operations_makes_no_second_commit(hub: HubThread) -> None:
    hub.add_faults(Fault("drop_after", path="/commit/"))
    with pytest.raises(httpx2.RemoteProtocolError):
        commit(hub, "a.parquet")
    assert commit(hub, "a.parquet").oid == hub.refs(REPO)["refs/heads/main"]
    assert titles(hub) == ["initial commit", "Add"]
    assert len(hub.attempts(REPO)) == 1


def test_retry_with_the_same_objects_makes_an_empty_second_commit(hub: HubThread) -> None:
    hub.add_faults(Fault("drop_after", path="/commit/"))
    operations = adds(["a.parquet"])
    with pytest.raises(httpx2.RemoteProtocolError):
        send(client(hub), operations)
    before = len(hub.requests())
    send(client(hub), operations)
    assert [each.path for each in hub.requests()[before:]] == [COMMIT]
    trees = [hub.tree(REPO, each.id) for each in hub.commits(REPO)]
    assert trees == [SEED, listing("a.parquet"), listing("a.parquet")]


def test_504_after_the_commit_applied(hub: HubThread) -> None:
    hub.add_faults(Fault("status_after", path="/commit/", status=504, body="Gateway Timeout"))
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "a.parquet")
    assert caught.value.response.status_code == 504
    assert hub.tree(REPO) == listing("a.parquet")
    assert (hub.requests()[-1].status, hub.requests()[-1].served) == (504, 200)


def test_a_post_lands_after_its_client_was_killed(hub: HubThread, tmp_path: Path) -> None:
    hub.add_faults(Fault("hold", path="/commit/"))
    program = (
        "from huggingface_hub import HfApi\n"
        f"HfApi().upload_file(path_or_fileobj=b'late', path_in_repo='late.parquet',"
        f" repo_id='{REPO}', repo_type='dataset')"
    )
    env = hub.client_env(home=tmp_path / "home")
    with subprocess.Popen([sys.executable, "-c", program], env=env) as child:
        assert hub.await_held() == 1
        child.kill()
    assert hub.tree(REPO) == SEED
    assert hub.release() == 1
    assert hub.tree(REPO) == SEED | {"late.parquet": sha(b"late")}


@pytest.mark.parametrize("reply", [504, "close", "reset"])
def test_a_held_commit_applies_after_its_answer(hub: HubThread, reply: Any) -> None:
    hub.add_faults(Fault("hold", path="/commit/", reply=reply))
    with pytest.raises(httpx2.HTTPError):
        commit(hub, "a.parquet")
    assert hub.tree(REPO) == SEED
    assert hub.release() == 1
    assert hub.tree(REPO) == listing("a.parquet")


def test_a_hung_request_meets_the_timeout_of_the_client(hub: HubThread) -> None:
    hub.add_faults(Fault("hang", path="/commit/"))
    with httpx2.Client(timeout=0.2) as plain, pytest.raises(httpx2.ReadTimeout):
        plain.post(hub.url + COMMIT, content=b"")
    assert hub.await_held() == 1
    assert hub.release() == 1
    assert titles(hub) == ["initial commit"]


# Refusals


def test_a_stale_parent_is_412(hub: HubThread) -> None:
    head = hub.refs(REPO)["refs/heads/main"]
    hub.push(REPO, {"other.parquet": b"x"})
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "a.parquet", parent_commit=head)
    assert caught.value.response.status_code == 412
    message = "A commit has happened since. Please refresh and try again."
    assert caught.value.server_message == message
    new = hub.refs(REPO)["refs/heads/main"]
    commit(hub, "a.parquet", parent_commit=new[:7])
    assert hub.commits(REPO)[-1].parent == new


def test_a_landed_batch_never_meets_its_stale_parent(hub: HubThread) -> None:
    head = hub.refs(REPO)["refs/heads/main"]
    first = commit(hub, "a.parquet", parent_commit=head)
    assert commit(hub, "a.parquet", parent_commit=head).oid == first.oid


def test_an_unknown_object_is_refused_and_nothing_of_the_commit_stays(hub: HubThread) -> None:
    missing = line("lfsFile", "a.parquet", algo="sha256", oid="0" * 64, size=3)
    status, message = raw_commit(hub, line("file", "n.txt", content="eA=="), missing)
    assert status == 400
    assert message == (
        "Your push was rejected because an LFS pointer pointed to a file that does not exist. "
        "For instance, this can happen if you used `git push --no-verify` to push your changes."
        "\nOffending file: a.parquet"
    )
    assert hub.tree(REPO) == SEED


@pytest.mark.parametrize(
    "path", ["/a", "a//b", "a/../b", "./a", ".git/a", "a/.git", "", "a\\b", ".gitattributes/a"]
)
def test_paths_that_are_refused(hub: HubThread, path: str) -> None:
    assert raw_commit(hub, line("file", path, content="eA=="))[0] == 400
    assert hub.tree(REPO) == SEED


def test_payloads_that_are_refused(hub: HubThread) -> None:
    twice = line("file", "a", content="eA==")
    assert raw_commit(hub, twice, twice) == (400, "The path is used twice in this commit: a")
    below = line("file", "a/b", content="eA==")
    assert raw_commit(hub, twice, below) == (400, "The path is both a file and a folder: a")
    assert raw_commit(hub, summary=" ") == (400, "The commit message must not be empty")
    assert raw_commit(hub, line("file", "a", content="?"))[0] == 400
    assert raw_commit(hub, line("rename", "a")) == (400, "Unknown operation: rename")
    assert raw(hub, "POST", COMMIT, b"{")[0] == 400
    assert titles(hub) == ["initial commit"]


def test_limits_of_a_commit_and_of_a_folder(hub: HubThread) -> None:
    hub.configure(max_operations=3, max_folder_entries=4)
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, *(f"d/{number}.parquet" for number in range(4)))
    assert caught.value.response.status_code == 413
    commit(hub, "d/0.parquet", "d/1.parquet", "d/2.parquet")
    with pytest.raises(BadRequestError) as refused:
        commit(hub, "d/3.parquet", "d/4.parquet")
    assert refused.value.server_message == "too many files per directory: d"
    assert len(hub.tree(REPO)) == 4


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("named", [True, False])
def test_a_path_that_is_refused(hub: HubThread, status: int, named: bool) -> None:
    refusal = Refusal("bad", status, "We do not like this.", names_path=named)
    hub.refuse_paths(refusal)
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "a.parquet", "bad.parquet")
    assert caught.value.response.status_code == status
    tail = "\nOffending file: bad.parquet" if named else ""
    assert str(caught.value.server_message).splitlines()[-1] == (
        "Offending file: bad.parquet" if named else "We do not like this."
    )
    assert caught.value.response.json() == {"error": "We do not like this." + tail}
    commit(hub, "a.parquet")
    assert hub.tree(REPO) == listing("a.parquet")


def test_requests_that_ask_for_too_much(hub: HubThread) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        client(hub).get_paths_info(REPO, [f"{n}" for n in range(1001)], repo_type="dataset")
    assert caught.value.response.status_code == 413
    assert caught.value.server_message == "too many parameters"
    files = [{"path": f"{n}", "size": 1, "sample": "eA=="} for n in range(257)]
    body = json.dumps({"files": files}).encode()
    assert raw(hub, "POST", "/api/datasets/alice/vacua/preupload/main", body)[0] == 413
    body = json.dumps({"objects": [{"oid": "0" * 64, "size": 1}] * 257}).encode()
    assert raw(hub, "POST", "/datasets/alice/vacua.git/info/lfs/objects/batch", body)[0] == 413


# Rate limits


def test_cap_as_text_only(hub: HubThread) -> None:
    hub.set_cap(1)
    commit(hub, "a.parquet")
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "b.parquet")
    assert caught.value.response.status_code == 429
    assert caught.value.server_message == (
        "You have exceeded the rate limit for repository commits (1 per hour). "
        "You can retry this action in about 1 hour."
    )
    assert "retry-after" not in caught.value.response.headers
    info = parse_ratelimit_headers(caught.value.response.headers)
    assert info is not None
    assert (info.resource_type, info.limit, info.window_seconds) == ("api", 1_000_000, 300)
    assert info.remaining > 0


def test_cap_as_rate_limit_header(hub: HubThread) -> None:
    hub.set_cap(1, flavour="ratelimit")
    commit(hub, "a.parquet")
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "b.parquet")
    info = parse_ratelimit_headers(caught.value.response.headers)
    assert info is not None
    assert (info.resource_type, info.remaining) == ("commits", 0)
    assert (info.limit, info.window_seconds) == (1, 3600)
    assert 0 < info.reset_in_seconds <= 3600


def test_cap_as_retry_after_in_both_forms(hub: HubThread) -> None:
    hub.set_cap(1, flavour="retry-after")
    commit(hub, "a.parquet")
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "b.parquet")
    seconds = int(caught.value.response.headers["Retry-After"])
    hub.set_cap(1, flavour="retry-after-date")
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "b.parquet")
    until = parsedate_to_datetime(caught.value.response.headers["Retry-After"])
    # the moment when the one commit leaves the window, rounded up to a second
    first = hub.attempts(REPO)[0].time + 3600
    assert 0 <= until.timestamp() - first <= 1
    assert 0 < seconds <= 3600


def test_cap_is_a_rolling_window_per_repo(hub: HubThread) -> None:
    hub.create_repo("alice/other")
    hub.set_cap(2, window=100)
    commit(hub, "a.parquet")
    hub.advance_clock(60)
    commit(hub, "b.parquet")
    with pytest.raises(HfHubHTTPError):
        commit(hub, "c.parquet")
    client(hub).upload_file(
        path_or_fileobj=b"x", path_in_repo="x", repo_id="alice/other", repo_type="dataset"
    )
    hub.advance_clock(50)
    commit(hub, "c.parquet")
    with pytest.raises(HfHubHTTPError):
        commit(hub, "d.parquet")
    assert [each.counted for each in hub.attempts(REPO)] == [True, True, False, True, False]
    assert hub.tree(REPO) == listing("a.parquet", "b.parquet", "c.parquet")


def test_refused_and_lost_commits_take_a_slot(hub: HubThread) -> None:
    hub.set_cap(2)
    hub.add_faults(Fault("drop", path="/commit/"))
    with pytest.raises(httpx2.RemoteProtocolError):
        commit(hub, "a.parquet")
    with pytest.raises(HfHubHTTPError):
        commit(hub, "a.parquet", parent_commit="0" * 40)
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "a.parquet")
    assert caught.value.response.status_code == 429


def test_request_quota(hub: HubThread) -> None:
    hub.configure(api_quota=2, api_window=1e9)
    api = client(hub)
    api.whoami()
    api.whoami()
    with pytest.raises(HfHubHTTPError) as caught:
        api.dataset_info(REPO)
    info = parse_ratelimit_headers(caught.value.response.headers)
    assert info is not None
    assert (info.resource_type, info.remaining, info.limit) == ("api", 0, 2)


# Faults of any request


def test_the_client_retries_preupload_but_not_the_commit(hub: HubThread) -> None:
    hub.add_faults(Fault("status", path="/preupload/"), Fault("status", path="/commit/"))
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "a.parquet")
    assert caught.value.response.status_code == 503
    assert caught.value.server_message == "A fault of the local Hub"
    assert [each.status for each in hub.requests()] == [503, 200, 200, 200, 503]
    assert hub.fault_hits() == [1, 1]


def test_skip_times_and_clear(hub: HubThread) -> None:
    hub.add_faults(Fault("status", path="whoami", status=418, skip=1, times=2))
    seen = [raw(hub, "GET", "/api/whoami-v2")[0] for _ in range(5)]
    assert seen == [200, 418, 418, 200, 200]
    hub.add_faults(Fault("status", method="GET", status=418, times=None))
    assert [raw(hub, "GET", "/api/whoami-v2")[0] for _ in range(2)] == [418, 418]
    hub.clear_faults()
    assert raw(hub, "GET", "/api/whoami-v2")[0] == 200


def test_a_fault_for_large_commits_only(hub: HubThread) -> None:
    fault = Fault("status", path="/commit/", times=None, min_operations=2, status=504)
    hub.add_faults(fault)
    with pytest.raises(HfHubHTTPError):
        commit(hub, "a.parquet", "b.parquet")
    commit(hub, "a.parquet")
    assert hub.tree(REPO) == listing("a.parquet")


def test_a_failed_put_is_wrapped_by_the_client(hub: HubThread) -> None:
    hub.add_faults(Fault("status", method="PUT", status=403, headers={"X-Why": "because"}))
    with pytest.raises(RuntimeError) as caught:
        commit(hub, "a.parquet")
    assert str(caught.value) == "Error while uploading 'a.parquet' to the Hub."
    assert isinstance(caught.value.__cause__, HfHubHTTPError)
    assert caught.value.__cause__.response.headers["X-Why"] == "because"


def test_a_put_that_loses_its_connection_half_way_is_repeated(hub: HubThread) -> None:
    hub.add_faults(Fault("drop", method="PUT", read=3, mode="reset"))
    commit(hub, "a.parquet")
    puts = [(each.status, each.fault) for each in hub.requests() if each.method == "PUT"]
    assert puts == [(None, "drop"), (200, None)]
    assert hub.tree(REPO) == listing("a.parquet")


def test_a_truncated_upload_is_found_at_the_commit_and_healed(hub: HubThread) -> None:
    hub.add_faults(Fault("truncate_upload", method="PUT", keep=3))
    with pytest.raises(BadRequestError):
        commit(hub, "a.parquet")
    assert hub.tree(REPO) == SEED
    commit(hub, "a.parquet")
    assert hub.tree(REPO) == listing("a.parquet")


def test_a_truncated_upload_is_found_by_verify(hub: HubThread) -> None:
    hub.configure(verify=True)
    hub.add_faults(Fault("truncate_upload", method="PUT", keep=3))
    with pytest.raises(RuntimeError) as caught:
        commit(hub, "a.parquet")
    assert isinstance(caught.value.__cause__, HfHubHTTPError)
    assert hub.attempts(REPO) == []


def test_a_spoilt_upload_is_found_only_by_reading_back(hub: HubThread, tmp_path: Path) -> None:
    hub.add_faults(Fault("spoil_upload", method="PUT"))
    commit(hub, "a.parquet")
    assert hub.tree(REPO) == listing("a.parquet")
    back = Path(download(hub, "a.parquet", tmp_path)).read_bytes()
    content = shard("a.parquet")
    assert back == content[:-1] + bytes([content[-1] ^ 1])


def test_content_must_have_the_hash_of_its_address(hub: HubThread) -> None:
    path = f"/_lfs/datasets/{REPO}/{sha(b'right')}"
    assert raw(hub, "PUT", path, b"wrong")[0] == 422
    assert raw(hub, "PUT", path, b"right")[0] == 200


# Reading


def download(hub: LocalHub, path: str, folder: Path, **options: Any) -> str:
    cache: Any = {"token": WRITE, "cache_dir": folder / "cache"}
    options = {"endpoint": hub.url} | cache | options
    return str(hf_hub_download(REPO, path, repo_type="dataset", **options))


def test_download_whole_cut_and_of_an_old_revision(
    hub: HubThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the client resumes after the last whole chunk, of 10 MB unless told otherwise
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 400)
    content = bytes(range(256)) * 100
    old = hub.push(REPO, {"a.parquet": content})
    hub.push(REPO, {"a.parquet": b"new"})
    hub.add_faults(Fault("truncate_download", method="GET", path="/resolve/", keep=1000))
    assert Path(download(hub, "a.parquet", tmp_path, revision=old)).read_bytes() == content
    gets = [each for each in hub.requests() if each.method == "GET"]
    assert [(each.status, each.headers.get("range")) for each in gets] == [
        (200, None),
        (206, "bytes=800-"),
    ]
    assert Path(download(hub, "a.parquet", tmp_path)).read_bytes() == b"new"


def test_a_range_that_is_answered_with_another(hub: HubThread) -> None:
    hub.push(REPO, {"a.parquet": b"0123456789"})
    hub.add_faults(
        Fault("other_range", "/resolve/"), Fault("other_range", headers={"Range": "bytes=7-"})
    )
    address = f"/datasets/{REPO}/resolve/main/a.parquet"
    answers = [raw(hub, "GET", address, Range="bytes=1-2") for _ in range(3)]
    assert [(status, body) for status, _, body in answers] == [
        (200, b"0123456789"),
        (206, b"789"),
        (206, b"12"),
    ]


def test_headers_of_resolve(hub: HubThread) -> None:
    head = hub.push(REPO, {"d/a.parquet": b"0123456789", "n.txt": b"text"})
    status, headers, body = raw(hub, "HEAD", f"/datasets/{REPO}/resolve/main/d/a.parquet")
    names = ("content-length", "etag", "x-linked-etag", "x-linked-size", "x-repo-commit")
    etag = f'"{sha(b"0123456789")}"'
    assert (status, body) == (200, b"")
    assert [headers.get(name) for name in names] == ["10", etag, etag, "10", head]
    status, headers, body = raw(hub, "GET", f"/datasets/{REPO}/resolve/{head}/n.txt")
    assert (status, body) == (200, b"text")
    wanted = ["4", f'"{blob_id(b"text")}"', None, None, head]
    assert [headers.get(name) for name in names] == wanted


@pytest.mark.parametrize(
    ("asked", "status", "body", "told"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
    ],
)
def test_ranges(
    hub: HubThread, asked: str, status: int, body: bytes | None, told: str | None
) -> None:
    hub.push(REPO, {"a.parquet": b"0123456789"})
    seen = raw(hub, "GET", f"/datasets/{REPO}/resolve/main/a.parquet", Range=asked)
    assert (seen[0], seen[1].get("content-range")) == (status, told)
    assert body is None or seen[2] == body


def test_what_is_not_found(hub: HubThread, tmp_path: Path) -> None:
    with pytest.raises(RemoteEntryNotFoundError):
        download(hub, "no.parquet", tmp_path)
    with pytest.raises(RevisionNotFoundError):
        download(hub, "a.parquet", tmp_path, revision="no")
    with pytest.raises(RevisionNotFoundError):
        commit(hub, "a.parquet", revision="no")
    with pytest.raises(RepositoryNotFoundError):
        client(hub).dataset_info("alice/no")
    with pytest.raises(RemoteEntryNotFoundError):
        list(client(hub).list_repo_tree(REPO, "no", repo_type="dataset"))


def test_tree_in_pages(hub: HubThread) -> None:
    hub.configure(page_size=3, expand_page_size=2)
    names = ["a/b/1.parquet", "a/b/2.parquet", "a/3.parquet", "a-b.parquet", "z.parquet"]
    commit(hub, *names)
    api = client(hub)
    deep = list(api.list_repo_tree(REPO, repo_type="dataset", recursive=True))
    assert [each.path for each in deep] == sorted([".gitattributes", "a", "a/b", *names])
    assert [each.path for each in deep if isinstance(each, RepoFolder)] == ["a", "a/b"]
    assert sum("/tree/" in each.path for each in hub.requests()) == 3
    flat = list(api.list_repo_tree(REPO, "a", repo_type="dataset", expand=True))
    assert [each.path for each in flat] == ["a/3.parquet", "a/b"]
    assert [each.last_commit.title for each in flat if each.last_commit] == ["Add", "Add"]
    assert api.list_repo_files(REPO, repo_type="dataset") == sorted([".gitattributes", *names])


def test_paths_info(hub: HubThread) -> None:
    commit(hub, "d/a.parquet")
    found = client(hub).get_paths_info(REPO, ["d/a.parquet", "no", "d"], repo_type="dataset")
    assert [each.path for each in found] == ["d/a.parquet", "d"]
    file = found[0]
    assert isinstance(file, RepoFile)
    assert file.lfs is not None
    content = shard("d/a.parquet")
    text = pointer(sha(content), len(content))
    assert (file.size, file.lfs.sha256, file.lfs.size) == (len(content), sha(content), len(content))
    assert (file.blob_id, file.lfs.pointer_size) == (blob_id(text), len(text))


def test_many_commits_in_pages(hub: HubThread) -> None:
    hub.configure(commits_page_size=3)
    for number in range(7):
        hub.push(REPO, {f"{number}.parquet": b"x"}, title=f"{number}")
    found = client(hub).list_repo_commits(REPO, repo_type="dataset")
    assert [each.title for each in found] == ["6", "5", "4", "3", "2", "1", "0", "initial commit"]
    wanted = [listing(), *(SEED | {f"{n}.parquet": sha(b"x") for n in range(k)} for k in range(8))]
    assert [hub.tree(REPO, each.commit_id) for each in reversed(found)] == wanted[1:]


def test_file_system_and_snapshot(hub: HubThread, tmp_path: Path) -> None:
    commit(hub, "d/a.parquet", "d/e/b.parquet")
    fs = HfFileSystem(endpoint=hub.url, token=WRITE)
    top = f"datasets/{REPO}"
    assert sorted(fs.glob(f"{top}/**/*.parquet")) == [
        f"{top}/d/a.parquet",
        f"{top}/d/e/b.parquet",
    ]
    assert sorted(map(str, fs.ls(f"{top}/d", detail=False))) == [f"{top}/d/a.parquet", f"{top}/d/e"]
    with fs.open(f"{top}/d/a.parquet", "rb") as file:
        file.seek(5)
        assert file.read(11) == b"d/a.parquet"
    folder = snapshot_download(
        REPO, repo_type="dataset", endpoint=hub.url, token=WRITE, cache_dir=tmp_path / "cache"
    )
    assert (Path(folder) / "d/e/b.parquet").read_bytes() == shard("d/e/b.parquet")


# Branches, tags, pull requests


def test_branches_and_tags(hub: HubThread) -> None:
    api = client(hub)
    head = hub.refs(REPO)["refs/heads/main"]
    api.create_branch(REPO, branch="try/1", repo_type="dataset")
    api.create_tag(REPO, tag="v1", repo_type="dataset")
    commit(hub, "a.parquet", revision="try/1")
    assert hub.tree(REPO, "try/1") == listing("a.parquet")
    assert hub.tree(REPO, "v1") == SEED
    with pytest.raises(HfHubHTTPError):
        api.create_tag(REPO, tag="v1", repo_type="dataset")
    api.create_tag(REPO, tag="v1", repo_type="dataset", exist_ok=True)
    with pytest.raises(RevisionNotFoundError):
        commit(hub, "b.parquet", revision="v1")
    refs = api.list_repo_refs(REPO, repo_type="dataset")
    assert [each.name for each in refs.branches] == ["main", "try/1"]
    assert [(each.ref, each.target_commit) for each in refs.tags] == [("refs/tags/v1", head)]
    api.delete_tag(REPO, tag="v1", repo_type="dataset")
    api.delete_branch(REPO, branch="try/1", repo_type="dataset")
    assert hub.refs(REPO) == {"refs/heads/main": head}
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(REPO, tag="v1", repo_type="dataset")


def test_pull_request_pushed_to_and_merged(hub: HubThread) -> None:
    api = client(hub)
    opened = commit(hub, "a.parquet", create_pr=True, commit_message="Shards")
    assert (opened.pr_num, opened.pr_revision) == (1, "refs/pr/1")
    assert opened.pr_url == f"{hub.url}/datasets/{REPO}/discussions/1"
    pushed = commit(hub, "b.parquet", revision="refs/pr/1", commit_message="More")
    assert hub.tree(REPO) == SEED
    assert hub.tree(REPO, "refs/pr/1") == listing("a.parquet", "b.parquet")
    details = api.get_discussion_details(REPO, 1, repo_type="dataset")
    assert (details.status, details.target_branch) == ("open", "refs/heads/main")
    assert [each.type for each in details.events] == ["comment", "commit", "commit"]
    assert details.conflicting_files == []
    hub.push(REPO, {"other.parquet": b"x"})
    api.merge_pull_request(REPO, 1, repo_type="dataset")
    merged = api.get_discussion_details(REPO, 1, repo_type="dataset")
    assert merged.status == "merged"
    assert merged.merge_commit_oid == hub.refs(REPO)["refs/heads/main"]
    assert titles(hub) == ["initial commit", "Somebody else", "Shards (#1)"]
    assert set(hub.tree(REPO)) == {*SEED, "a.parquet", "b.parquet", "other.parquet"}
    assert hub.refs(REPO)["refs/pr/1"] == pushed.oid
    with pytest.raises(HfHubHTTPError) as caught:
        commit(hub, "c.parquet", revision="refs/pr/1")
    assert caught.value.response.status_code == 403


def test_pull_requests_are_listed_closed_and_opened_again(hub: HubThread) -> None:
    api = client(hub)
    commit(hub, "a.parquet", create_pr=True, commit_message="One")
    draft = api.create_pull_request(REPO, "Two", repo_type="dataset")
    api.create_discussion(REPO, "Three", repo_type="dataset")
    assert draft.status == "draft"
    hub.close_pr(REPO, 1)

    def listed(**options: Any) -> list[tuple[int, str]]:
        found = api.get_repo_discussions(REPO, repo_type="dataset", **options)
        return [(each.num, each.status) for each in found]

    assert listed() == [(3, "open"), (2, "draft"), (1, "closed")]
    assert listed(discussion_type="pull_request", discussion_status="open") == [(2, "draft")]
    changed = api.change_discussion_status(REPO, 1, "open", repo_type="dataset")
    assert changed.new_status == "open"
    assert listed(discussion_type="pull_request") == [(2, "draft"), (1, "open")]
    refs = api.list_repo_refs(REPO, repo_type="dataset", include_pull_requests=True)
    assert [each.ref for each in refs.pull_requests or []] == ["refs/pr/1", "refs/pr/2"]
    api.comment_discussion(REPO, 1, "hello", repo_type="dataset")
    assert hub.discussions(REPO)[0]["events"][-1]["data"]["latest"]["raw"] == "hello"


def test_a_pull_request_with_a_conflict(hub: HubThread) -> None:
    commit(hub, "a.parquet", create_pr=True)
    hub.push(REPO, {"a.parquet": b"else"})
    details = client(hub).get_discussion_details(REPO, 1, repo_type="dataset")
    assert details.conflicting_files == ["a.parquet"]
    with pytest.raises(HfHubHTTPError) as caught:
        client(hub).merge_pull_request(REPO, 1, repo_type="dataset")
    assert caught.value.response.status_code == 409


# The server itself


def test_everything_survives_kill_9(tmp_path: Path) -> None:
    with HubProcess(tmp_path / "hub") as hub:
        hub.create_repo(REPO, private=False)
        hub.set_cap(3, flavour="retry-after")
        hub.add_faults(Fault("drop_after", path="/commit/", skip=1))
        commit(hub, "a.parquet", create_pr=True)
        with pytest.raises(httpx2.RemoteProtocolError):
            commit(hub, "b.parquet")

        def state() -> list[object]:
            return [
                hub.commits(REPO),
                hub.commits(REPO, "refs/pr/1"),
                hub.tree(REPO),
                hub.refs(REPO),
                hub.discussions(REPO),
                hub.attempts(),
                hub.requests(),
                hub.config(),
            ]

        before, url = state(), hub.url
        hub.restart()
        assert state() == before
        assert hub.url == url
        assert commit(hub, "b.parquet").oid == hub.refs(REPO)["refs/heads/main"]
        commit(hub, "c.parquet")
        with pytest.raises(HfHubHTTPError) as caught:
            commit(hub, "d.parquet")
        assert caught.value.response.status_code == 429
        assert hub.tree(REPO) == listing("b.parquet", "c.parquet")


def test_a_file_left_by_a_killed_write_is_no_commit(tmp_path: Path) -> None:
    with HubThread(tmp_path / "hub") as hub:
        hub.create_repo(REPO)
        events = tmp_path / "hub/repos/datasets/alice/vacua/events"
        (events / ".00000001.json.tmp").write_bytes(b'{"kind": "com')
        with (tmp_path / "hub/attempts.jsonl").open("ab") as log:
            log.write(b'{"repo": "datas')
        hub.stop()
        hub.start()
        assert titles(hub) == ["initial commit"]
        commit(hub, "a.parquet")
        hub.stop()
        hub.start()
        assert titles(hub) == ["initial commit", "Add"]
        assert len(hub.attempts(REPO)) == 1


PATTERNS = ["*.parquet", "/a.txt", "data/", "b/*.txt", "**/c", "d/**", "[ab].txt", "!a.txt", "#x"]
PATHS = ["a.txt", "b/a.txt", "b/c/a.txt", "data/x", "b/data", "c", "b/c", "d/e/f", "x.parquet"]


@given(st.lists(st.sampled_from(PATTERNS), max_size=4))
def test_gitignore_rules_have_no_surprise_for_a_negated_last_line(patterns: list[str]) -> None:
    ignored = ignore_rules("\n".join([*patterns, "!/x.parquet"]))
    assert not ignored("x.parquet")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_gitignore_agrees_with_git(pattern: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text(f"a.txt\n{pattern}\n")
    command = ["git", "-C", str(tmp_path), "check-ignore", "--no-index", *PATHS]
    told = subprocess.run(command, check=False, capture_output=True, text=True).stdout.split()
    ignored = ignore_rules(f"a.txt\n{pattern}\n")
    assert [path for path in PATHS if ignored(path)] == told


NAMES = st.lists(st.sampled_from("abc"), min_size=3, max_size=3).map("/".join)


@given(st.lists(st.tuples(st.booleans(), NAMES)))
def test_folders_of_a_tree_follow_its_files(steps: list[tuple[bool, str]]) -> None:
    tree, files = EMPTY, set[str]()
    for adding, path in steps:
        entry = Entry(1, "b", "s", True, "c")
        tree = tree.changed({path: entry} if adding else {}, [] if adding else [path])
        files = files | {path} if adding else files - {path}
    parts = {path: path.split("/") for path in files}
    folders = {"/".join(parts[path][:depth]) for path in files for depth in (1, 2)}
    assert set(tree.files) == files
    assert tree.below("", recursive=True) == sorted(files | folders)
    counts = Counter(path.rpartition("/")[0] for path in files | folders)
    assert tree.folders == counts
