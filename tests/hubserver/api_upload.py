"""Endpoints on the way of a file into a commit: preupload, LFS batch, PUT, verify, commit."""

from __future__ import annotations

import base64
import binascii
import re
from email.utils import formatdate
from math import ceil

from tests.hubserver.access import writable, writer
from tests.hubserver.api_pr import PullRequestApi
from tests.hubserver.commits import Payload, build_commit, check_payload, parse_payload
from tests.hubserver.errors import HubError, bad_request, revision_not_found
from tests.hubserver.gitignore import ignore_rules
from tests.hubserver.messages import Params, Request, Response, json_response
from tests.hubserver.repo import Json, Repo, commit_json
from tests.hubserver.store import Store, sha256_hex

LARGE_SUFFIXES = (
    ".parquet",
    ".arrow",
    ".bin",
    ".npz",
    ".npy",
    ".gz",
    ".zip",
    ".zst",
    ".h5",
    ".safetensors",
)
STALE_PARENT = "A commit has happened since. Please refresh and try again."
_FILES_PER_REQUEST = 256


class UploadApi:
    """The write path of one server."""

    def __init__(self, store: Store, pull_requests: PullRequestApi) -> None:
        self.store = store
        self.pull_requests = pull_requests

    def preupload(self, request: Request, params: Params) -> Response:
        """POST .../preupload/{rev}: how to upload each file, and what is there"""
        repo = writable(self.store, request, params, pull_request=request.flag("create_pr"))
        tree = repo.tree(repo.resolve(params["rev"]))
        body = request.json()
        if len(body["files"]) > _FILES_PER_REQUEST:
            raise HubError(413, "too many files")
        ignored = ignore_rules(body.get("gitIgnore", self._gitignore(repo, params["rev"])))
        answers = []
        for file in body["files"]:
            mode = "lfs" if self._is_large(file) else "regular"
            answer = {
                "path": file["path"],
                "uploadMode": mode,
                "shouldIgnore": ignored(file["path"]),
            }
            there = tree.files.get(file["path"])
            if there is not None:
                answer["oid"] = there.oid
            answers.append(answer)
        return json_response({"files": answers})

    def _gitignore(self, repo: Repo, revision: str) -> str:
        entry = repo.tree(repo.resolve(revision)).files.get(".gitignore")
        return "" if entry is None else self.store.object_path(repo, entry.sha256).read_text()

    def _is_large(self, file: Json) -> bool:
        try:
            sample = base64.b64decode(file["sample"], validate=True)
        except (KeyError, TypeError, binascii.Error):
            raise bad_request("A file has no sample") from None
        if self.store.config.all_regular:
            return int(file["size"]) > self.store.config.regular_limit
        large = int(file["size"]) > self.store.config.regular_limit or b"\0" in sample
        return large or str(file["path"]).endswith(LARGE_SUFFIXES)

    def lfs_batch(self, request: Request, params: Params) -> Response:
        """POST {repo}.git/info/lfs/objects/batch: where to put each object that is not there"""
        repo = writable(self.store, request, params, pull_request=True)
        objects = request.json().get("objects", [])
        if len(objects) > _FILES_PER_REQUEST:
            raise HubError(413, "too many objects")
        answers = [self._lfs_object(request, repo, each) for each in objects]
        return json_response({"transfer": "basic", "objects": answers})

    def _lfs_object(self, request: Request, repo: Repo, wanted: Json) -> Json:
        oid, size = str(wanted["oid"]), int(wanted["size"])
        answer: Json = {"oid": oid, "size": size}
        if not re.fullmatch("[0-9a-f]{64}", oid):
            answer["error"] = {"code": 422, "message": "Invalid object id"}
        elif self.store.object_size(repo, oid) != size:
            actions: Json = {
                "upload": {"href": f"{request.base_url}/_lfs/{repo.key}/{oid}?size={size}"}
            }
            if self.store.config.verify:
                href = f"{request.base_url}/{repo.web_path}.git/info/lfs/objects/verify"
                actions["verify"] = {"href": href}
            answer["actions"] = actions
        return answer

    def put_object(self, request: Request, params: Params) -> Response:
        """PUT of the content of one object; the address is the permission, as for presigned urls"""
        repo = self.store.repos.get(f"{params['kind']}/{params['repo']}")
        if repo is None:
            raise HubError(404, "No such upload")
        if sha256_hex(request.body) != params["oid"]:
            raise HubError(422, "The content does not have the SHA-256 of the object id")
        content = request.body[: request.keep_upload]
        if request.spoil_upload:
            content = content[:-1] + bytes([content[-1] ^ 1]) if content else content
        self.store.put_object(repo, params["oid"], content)
        return Response(200, b"", {"ETag": f'"{params["oid"]}"'})

    def lfs_verify(self, request: Request, params: Params) -> Response:
        """POST {repo}.git/info/lfs/objects/verify: whether an object arrived with its size"""
        repo = writable(self.store, request, params, pull_request=True)
        body = request.json()
        if self.store.object_size(repo, str(body["oid"])) != body["size"]:
            raise HubError(404, "The object was not uploaded")
        return json_response({})

    def received(self, request: Request, params: Params) -> None:
        """Write down a commit request before anything else happens to it, also before a fault."""
        try:
            payload = parse_payload(request.body)
        except HubError:
            payload = Payload("", "", None)
        try:
            repo = writable(self.store, request, params, pull_request=request.flag("create_pr"))
            key, counted = repo.key, True
        except HubError:
            key, counted = f"{params['kind']}/{params['repo']}", False
        request.attempt = self.store.add_attempt(
            {
                "repo": key,
                "time": self.store.now(),
                "token": request.token_name,
                "revision": params["rev"],
                "create_pr": request.flag("create_pr"),
                "title": payload.title,
                "description": payload.description,
                "parent": payload.parent,
                "operations": len(payload.operations),
                "counted": counted,
            }
        )

    def commit(self, request: Request, params: Params) -> Response:
        """POST .../commit/{rev}[?create_pr=1]: all of it or nothing"""
        create_pr = request.flag("create_pr")
        repo = writable(self.store, request, params, pull_request=create_pr)
        if request.attempt is not None and request.attempt["over"] is not None:
            raise self._over_cap(request.attempt["over"])
        payload = parse_payload(request.body)
        check_payload(payload, self.store.config)
        with repo.lock:
            if create_pr:
                return self._propose(request, repo, params["rev"], payload)
            return self._push(request, repo, params["rev"], payload)

    def _push(self, request: Request, repo: Repo, revision: str, payload: Payload) -> Response:
        ref = repo.find_ref(revision)
        if ref is None or ref.startswith("refs/tags/"):
            raise revision_not_found(revision)
        head = repo.refs[ref]
        if payload.parent is not None and not _is_commit(payload.parent, head):
            raise HubError(412, STALE_PARENT)
        commit = build_commit(self.store, repo, payload, parent=head, author=writer(request))
        event: Json = {"kind": "commit", "commit": commit_json(commit), "refs": {ref: commit.id}}
        if ref.startswith("refs/pr/"):
            event["note"] = self.pull_requests.commit_note(
                repo, int(ref.rpartition("/")[2]), commit
            )
        self.store.record(repo, event)
        return json_response(_committed(request, repo, commit.id))

    def _propose(self, request: Request, repo: Repo, revision: str, payload: Payload) -> Response:
        if repo.find_ref(revision) != "refs/heads/main":
            raise bad_request("A pull request must target the default branch")
        base = repo.resolve(payload.parent or revision)
        commit = build_commit(self.store, repo, payload, parent=base, author=writer(request))
        num = self.pull_requests.open_with(repo, commit, base)
        answer = _committed(request, repo, commit.id)
        answer["pullRequestUrl"] = f"{request.base_url}/{repo.web_path}/discussions/{num}"
        return json_response(answer)

    def _over_cap(self, wait: float) -> HubError:
        """The 429 of the commit cap, told in the way that the settings ask for."""
        config = self.store.config
        seconds = ceil(wait)
        soon = "about 1 hour" if seconds > 2700 else f"{seconds // 60 + 1} minutes"
        span = "hour" if config.cap_window == 3600 else f"{config.cap_window:g} seconds"
        text = "You have exceeded the rate limit for repository commits"
        policy = f'"fixed window";"commits";q={config.commit_cap};w={config.cap_window:.0f}'
        headers = {
            "text": {},
            "retry-after": {"Retry-After": str(seconds)},
            "retry-after-date": {
                "Retry-After": formatdate(ceil(self.store.now() + wait), usegmt=True)
            },
            "ratelimit": {
                "RateLimit": f'"commits";r=0;t={seconds}',
                "RateLimit-Policy": policy,
            },
        }[config.cap_flavour]
        return HubError(
            429,
            f"{text} ({config.commit_cap} per {span}). You can retry this action in {soon}.",
            headers=headers,
        )


def _is_commit(wanted: str, commit_id: str) -> bool:
    """Whether a whole or shortened id (5 digits or more) names this commit."""
    return re.fullmatch("[0-9a-f]{5,40}", wanted) is not None and commit_id.startswith(wanted)


def _committed(request: Request, repo: Repo, commit_id: str) -> Json:
    url = f"{request.base_url}/{repo.web_path}/commit/{commit_id}"
    return {"success": True, "commitOid": commit_id, "commitUrl": url, "hookOutput": ""}
