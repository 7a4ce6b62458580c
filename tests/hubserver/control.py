"""The tests' own door, `/_control/`: faults, settings, what happened. Not logged, never faulty."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tests.hubserver.api_upload import LARGE_SUFFIXES
from tests.hubserver.app import App
from tests.hubserver.commits import Payload, build_commit, check_payload
from tests.hubserver.errors import HubError, repo_not_found
from tests.hubserver.faults import Fault, FaultPlan, Holds
from tests.hubserver.messages import Request, Response, json_response
from tests.hubserver.repo import Json, Repo, commit_json
from tests.hubserver.store import sha256_hex


class Control:
    """What `LocalHub` calls. Every endpoint takes and gives JSON."""

    def __init__(self, app: App, plan: FaultPlan, holds: Holds) -> None:
        self.app = app
        self.store = app.store
        self.plan = plan
        self.holds = holds
        self._table: dict[tuple[str, str], Callable[[Json], object]] = {
            ("GET", "faults"): lambda _: plan.state(),
            ("POST", "faults"): lambda body: plan.add([Fault(**rule) for rule in body["faults"]]),
            ("DELETE", "faults"): lambda _: plan.clear(),
            ("GET", "config"): lambda _: self.store.config.as_json(),
            ("POST", "config"): self.store.set_config,
            ("GET", "requests"): lambda _: self.store.requests_log.read(),
            ("GET", "attempts"): lambda _: self.store.attempts,
            ("POST", "commits"): self._commits,
            ("POST", "tree"): self._tree,
            ("POST", "refs"): lambda body: self._repo(body).refs,
            ("POST", "discussions"): self._discussions,
            ("POST", "create"): self._create,
            ("POST", "push"): self._push,
            ("POST", "merge"): self._merge,
            ("POST", "status"): self._status,
            ("POST", "held"): lambda body: holds.await_held(body["at_least"], body["timeout"]),
            ("POST", "release"): lambda body: holds.release(body["timeout"]),
        }

    def dispatch(self, request: Request) -> Response:
        """Serve one control request."""
        endpoint = self._table.get((request.method, request.path.removeprefix("/_control/")))
        if endpoint is None:
            return json_response({"error": "no such control"}, 404)
        try:
            return json_response(endpoint(request.json()))
        except HubError as error:
            return json_response({"error": error.message}, error.status)
        except (KeyError, TypeError, ValueError) as error:
            return json_response({"error": f"{type(error).__name__}: {error}"}, 400)

    def _repo(self, body: Json) -> Repo:
        repo = self.store.repos.get(body["repo"])
        if repo is None:
            raise repo_not_found()
        return repo

    def _commits(self, body: Json) -> list[Json]:
        """Commits of a revision, oldest first."""
        repo = self._repo(body)
        history = list(repo.history(repo.resolve(body["revision"])))
        return [commit_json(commit) for commit in reversed(history)]

    def _tree(self, body: Json) -> dict[str, str]:
        repo = self._repo(body)
        files = repo.tree(repo.resolve(body["revision"])).files
        return {path: files[path].sha256 for path in sorted(files)}

    def _discussions(self, body: Json) -> list[Json]:
        return [asdict(each) for each in self._repo(body).discussions.values()]

    def _create(self, body: Json) -> str:
        kind, _, name = body["repo"].partition("/")
        with self.store.lock:
            if body["repo"] in self.store.repos:
                raise HubError(409, "The repo exists")
            return self.app.repos.make_repo(
                kind, name, private=body["private"], author=body["author"]
            ).key

    def _push(self, body: Json) -> str:
        """A commit by somebody else; its id."""
        repo = self._repo(body)
        operations = [self._operation(repo, path, text) for path, text in body["files"].items()]
        operations += [("deletedFile", {"path": path}) for path in body["deletes"]]
        payload = Payload(body["title"], body["description"], None, operations)
        check_payload(payload, self.store.config)
        with repo.lock:
            ref = repo.find_ref(body["revision"]) or ""
            head = repo.resolve(ref)
            commit = build_commit(self.store, repo, payload, parent=head, author=body["author"])
            self.store.record(
                repo, {"kind": "commit", "commit": commit_json(commit), "refs": {ref: commit.id}}
            )
        return commit.id

    def _operation(self, repo: Repo, path: str, text: str) -> tuple[str, Json]:
        content = base64.b64decode(text)
        if not path.endswith(LARGE_SUFFIXES) or not content:
            return "file", {"path": path, "content": text}
        sha256 = sha256_hex(content)
        self.store.put_object(repo, sha256, content)
        return "lfsFile", {"path": path, "algo": "sha256", "oid": sha256, "size": len(content)}

    def _merge(self, body: Json) -> str:
        return self.app.pull_requests.merge(self._repo(body), body["num"], body["author"])

    def _status(self, body: Json) -> Any:
        return self.app.pull_requests.set_status(
            self._repo(body), body["num"], body["status"], body["author"]
        )
