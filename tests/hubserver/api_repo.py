"""Endpoints that read a repo, and those that make and delete repos and refs."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlencode

import yaml  # type: ignore[import-untyped]

from tests.hubserver.access import check_token, readable, writable, writer
from tests.hubserver.commits import Payload, build_commit
from tests.hubserver.errors import (
    HubError,
    bad_credentials,
    bad_request,
    login_needed,
    revision_not_found,
)
from tests.hubserver.messages import Params, Request, Response, iso, json_response
from tests.hubserver.repo import MAIN, Commit, Json, Repo
from tests.hubserver.store import Store
from tests.hubserver.trees import Tree, pointer

GITATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"
_PATHS_PER_REQUEST = 1000


class RepoApi:
    """What the client reads of a repo, and what makes and deletes repos and refs."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def whoami(self, request: Request, _params: Params) -> Response:
        """GET /api/whoami-v2"""
        token = request.token
        if token is None:
            raise bad_credentials() if not request.token_known else login_needed()
        auth = {
            "type": "access_token",
            "accessToken": {"displayName": token.name, "role": token.role},
        }
        orgs = [{"type": "org", "name": name, "roleInOrg": token.role} for name in token.orgs]
        return json_response(
            {"type": "user", "name": token.user, "fullname": token.user, "orgs": orgs, "auth": auth}
        )

    def create(self, request: Request, _params: Params) -> Response:
        """POST /api/repos/create"""
        check_token(request)
        author, kind, name = self._named(request)
        private = (
            request.json().get("visibility") == "private" or request.json().get("private") is True
        )
        with self.store.lock:
            url = f"{request.base_url}/{'' if kind == 'models' else kind + '/'}{name}"
            if f"{kind}/{name}" in self.store.repos:
                message = f"You already created this {kind[:-1]} repo"
                raise HubError(409, message, fields={"url": url, "name": name})
            self.make_repo(kind, name, private=private, author=author)
        return json_response({"url": url, "name": name, "private": private})

    def make_repo(self, kind: str, name: str, *, private: bool, author: str) -> Repo:
        """A new repo with its first commit, which holds `.gitattributes` as on the Hub."""
        content = base64.b64encode(GITATTRIBUTES).decode()
        payload = Payload(
            "initial commit", "", None, [("file", {"path": ".gitattributes", "content": content})]
        )
        first = build_commit(self.store, Repo(kind, name), payload, parent=None, author=author)
        return self.store.create(kind, name, private=private, commit=first)

    def delete(self, request: Request, _params: Params) -> Response:
        """DELETE /api/repos/delete"""
        _, kind, name = self._named(request)
        with self.store.lock:
            self.store.delete(writable(self.store, request, {"kind": kind, "repo": name}))
        return json_response("OK")

    def _named(self, request: Request) -> tuple[str, str, str]:
        """(user, kind, full name) of a repo that the body names, checked for write access."""
        body = request.json()
        user = writer(request)
        namespace = body.get("organization") or user
        kind = f"{body.get('type') or 'model'}s"
        if (
            request.token is None
            or request.token.role != "write"
            or not request.token.owns(namespace)
        ):
            message = f"You don't have the rights to create a {kind[:-1]} under the namespace"
            raise HubError(403, f'{message} "{namespace}"')
        return user, kind, f"{namespace}/{body['name']}"

    def info(self, request: Request, params: Params) -> Response:
        """GET /api/datasets/{repo} and .../revision/{rev}"""
        repo = readable(self.store, request, params)
        head = repo.resolve(params.get("rev") or "main")
        value: Json = {
            "id": repo.name,
            "author": repo.namespace,
            "sha": head,
            "lastModified": iso(repo.commits[head].time),
            "createdAt": iso(repo.created),
            "private": repo.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
        }
        wanted = request.query.get("expand", [])
        if not wanted or "siblings" in wanted:
            value["siblings"] = _siblings(repo.tree(head), blobs=request.flag("blobs"))
        if wanted:
            value = {name: value[name] for name in ("id", *wanted) if name in value}
        return json_response(value)

    def auth_check(self, request: Request, params: Params) -> Response:
        """GET .../auth-check[/write]"""
        (writable if params["write"] else readable)(self.store, request, params)
        return json_response({})

    def refs(self, request: Request, params: Params) -> Response:
        """GET .../refs"""
        repo = readable(self.store, request, params)
        found: dict[str, list[Json]] = {
            "branches": [],
            "tags": [],
            "converts": [],
            "pullRequests": [],
        }
        groups = {"refs/heads/": "branches", "refs/tags/": "tags", "refs/pr/": "pullRequests"}
        for ref, target in sorted(repo.refs.items()):
            prefix = next(each for each in groups if ref.startswith(each))
            name = ref if prefix == "refs/pr/" else ref.removeprefix(prefix)
            found[groups[prefix]].append({"name": name, "ref": ref, "targetCommit": target})
        if not request.flag("include_prs"):
            del found["pullRequests"]
        return json_response(found)

    def tree(self, request: Request, params: Params) -> Response:
        """GET .../tree/{rev}[/{folder}]: a page of entries, with the link to the next one"""
        repo = readable(self.store, request, params)
        tree = repo.tree(repo.resolve(params["rev"]))
        folder = params["path"].strip("/")
        if folder and folder not in tree.folders:
            raise HubError(
                404, f'{folder} does not exist on "{params["rev"]}"', code="EntryNotFound"
            )
        expand, recursive = request.flag("expand"), request.flag("recursive")
        size = self.store.config.expand_page_size if expand else self.store.config.page_size
        paths, more = tree.page(
            folder, recursive=recursive, after=request.value("cursor") or "", size=size
        )
        response = json_response([_entry(repo, tree, path, expand=expand) for path in paths])
        if more:
            _link_next(request, response, cursor=paths[-1])
        return response

    def paths_info(self, request: Request, params: Params) -> Response:
        """POST .../paths-info/{rev}: what is at these paths; missing ones are left out"""
        repo = readable(self.store, request, params)
        form = request.form()
        paths = form.get("paths", [])
        if len(paths) > _PATHS_PER_REQUEST:
            raise HubError(413, "too many parameters")
        expand = form.get("expand", [""])[0].lower() == "true"
        tree = repo.tree(repo.resolve(params["rev"]))
        there = [path for path in dict.fromkeys(each.rstrip("/") for each in paths) if path]
        found = [path for path in there if path in tree.files or path in tree.folders]
        return json_response([_entry(repo, tree, path, expand=expand) for path in found])

    def commits(self, request: Request, params: Params) -> Response:
        """GET .../commits/{rev}: a page of the history, newest first"""
        repo = readable(self.store, request, params)
        start = int(request.value("p") or 0)
        size = self.store.config.commits_page_size
        history = list(repo.history(repo.resolve(params["rev"])))
        page = history[start * size : (start + 1) * size]
        formatted = "formatted" in request.query.get("expand[]", [])
        response = json_response([_commit(commit, formatted=formatted) for commit in page])
        if (start + 1) * size < len(history):
            _link_next(request, response, p=str(start + 1))
        return response

    def create_branch(self, request: Request, params: Params) -> Response:
        """POST .../branch/{name}"""
        repo = writable(self.store, request, params)
        with repo.lock:
            target = repo.resolve(request.json().get("startingPoint") or "main")
            self._set_ref(repo, f"refs/heads/{params['name']}", target)
        return json_response({})

    def create_tag(self, request: Request, params: Params) -> Response:
        """POST .../tag/{rev}"""
        repo = writable(self.store, request, params)
        with repo.lock:
            self._set_ref(repo, f"refs/tags/{request.json()['tag']}", repo.resolve(params["name"]))
        return json_response({})

    def _set_ref(self, repo: Repo, ref: str, target: str) -> None:
        if ref in repo.refs:
            raise HubError(409, f"Reference already exists: {ref}")
        self.store.record(repo, {"kind": "refs", "refs": {ref: target}})

    def delete_ref(self, request: Request, params: Params) -> Response:
        """DELETE .../branch/{name} and .../tag/{name}"""
        repo = writable(self.store, request, params)
        ref = f"refs/{'heads' if params['what'] == 'branch' else 'tags'}/{params['name']}"
        if ref == MAIN:
            raise HubError(403, "The default branch cannot be deleted")
        with repo.lock:
            if ref not in repo.refs:
                raise revision_not_found(params["name"])
            self.store.record(repo, {"kind": "refs", "refs": {ref: None}})
        return json_response({})

    def validate_yaml(self, request: Request, _params: Params) -> Response:
        """POST /api/validate-yaml: whether the head of a card is YAML"""
        content = str(request.json().get("content", ""))
        parts = content.split("---\n", 2)
        if not content.startswith("---\n") or len(parts) < 3:
            warning = {"message": "empty or missing yaml metadata in repo card"}
            return json_response({"errors": [], "warnings": [warning]})
        try:
            fine = isinstance(yaml.safe_load(parts[1]), dict | None)
        except yaml.YAMLError as error:
            return json_response({"errors": [{"message": str(error)}], "warnings": []}, 400)
        if not fine:
            raise bad_request("The metadata of the card is not a mapping")
        return json_response({"errors": [], "warnings": []})


def _siblings(tree: Tree, *, blobs: bool) -> list[Json]:
    if not blobs:
        return [{"rfilename": path} for path in sorted(tree.files)]
    found = []
    for path, entry in sorted(tree.files.items()):
        sibling: Json = {"rfilename": path, "size": entry.size, "blobId": entry.blob}
        if entry.lfs:
            size = len(pointer(entry.sha256, entry.size))
            sibling["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": size}
        found.append(sibling)
    return found


def _entry(repo: Repo, tree: Tree, path: str, *, expand: bool) -> Json:
    """One line of a listing."""
    entry = tree.files.get(path)
    if entry is None:
        value: Json = {"type": "directory", "oid": tree.folder_id(path), "size": 0, "path": path}
    else:
        value = {"type": "file", "oid": entry.blob, "size": entry.size, "path": path}
        if entry.lfs:
            size = len(pointer(entry.sha256, entry.size))
            value["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": size}
    if expand:
        last = repo.commits[entry.commit] if entry else _last_below(repo, tree, path)
        value["lastCommit"] = {"id": last.id, "title": last.title, "date": iso(last.time)}
    return value


def _last_below(repo: Repo, tree: Tree, folder: str) -> Commit:
    paths = tree.below(folder, recursive=True)
    found = {tree.files[path].commit for path in paths if path in tree.files}
    return max((repo.commits[each] for each in found), key=lambda commit: commit.number)


def _commit(commit: Commit, *, formatted: bool) -> Json:
    value: Json = {
        "id": commit.id,
        "title": commit.title,
        "message": commit.description,
        "authors": [{"user": commit.author}],
        "date": iso(commit.time),
    }
    if formatted:
        value["formatted"] = {
            "title": json.dumps(commit.title)[1:-1],
            "message": commit.description,
        }
    return value


def _link_next(request: Request, response: Response, **changes: str) -> None:
    query = {name: values[0] for name, values in request.query.items()} | changes
    response.headers["Link"] = f'<{request.base_url}{request.path}?{urlencode(query)}>; rel="next"'
