"""Pull requests and discussions: list, read, open, comment, close, merge."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from tests.hubserver.access import readable, writable, writer
from tests.hubserver.errors import HubError, bad_request
from tests.hubserver.messages import Params, Request, Response, iso, json_response
from tests.hubserver.repo import MAIN, Commit, Discussion, Json, Repo, commit_json
from tests.hubserver.store import Store
from tests.hubserver.trees import Entry

_PAGE = 20


class PullRequestApi:
    """Discussions of all repos; also what the control endpoints use to merge and close."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def listing(self, request: Request, params: Params) -> Response:
        """GET .../discussions, newest first"""
        repo = readable(self.store, request, params)
        found = [each for each in reversed(repo.discussions.values()) if _wanted(request, each)]
        start = int(request.value("p") or 0) * _PAGE
        page = [_summary(repo, each) for each in found[start : start + _PAGE]]
        return json_response({"discussions": page, "count": len(found), "start": start})

    def details(self, request: Request, params: Params) -> Response:
        """GET .../discussions/{num}"""
        repo = readable(self.store, request, params)
        found = self._find(repo, params["num"])
        value = _summary(repo, found) | {"events": found.events}
        if found.is_pull_request:
            value["changes"] = {"base": MAIN}
            if found.merge_commit is not None:
                value["changes"]["mergeCommitId"] = found.merge_commit
            value["filesWithConflicts"] = (
                self._changes(repo, found)[2] if found.status != "merged" else []
            )
        return json_response(value)

    def open(self, request: Request, params: Params) -> Response:
        """POST .../discussions: an empty draft pull request, or a plain discussion"""
        repo = writable(self.store, request, params, pull_request=True)
        body = request.json()
        with repo.lock:
            is_pr = bool(body.get("pullRequest"))
            base = repo.refs[MAIN] if is_pr else None
            status = "draft" if is_pr else "open"
            found = Discussion(
                len(repo.discussions) + 1,
                body["title"],
                writer(request),
                self.store.now(),
                status,
                is_pr,
                base,
            )
            found.events.append(self._comment(found.num, found.author, body.get("description", "")))
            refs = {f"refs/pr/{found.num}": base} if is_pr else {}
            self.store.record(
                repo, {"kind": "discussion", "discussion": asdict(found), "refs": refs}
            )
        return json_response(
            {"num": found.num, "url": f"{request.base_url}{request.path}/{found.num}"}
        )

    def open_with(self, repo: Repo, commit: Commit, base: str) -> int:
        """An open pull request that begins with this commit."""
        num = len(repo.discussions) + 1
        found = Discussion(num, commit.title, commit.author, commit.time, "open", True, base)
        found.events.append(self._comment(num, commit.author, commit.description))
        found.events.append(_commit_event(commit))
        event = {
            "kind": "discussion",
            "commit": commit_json(commit),
            "discussion": asdict(found),
            "refs": {f"refs/pr/{num}": commit.id},
        }
        self.store.record(repo, event)
        return num

    def commit_note(self, repo: Repo, num: int, commit: Commit) -> Json:
        """The line that a push leaves in a pull request; a settled one is refused."""
        found = repo.discussions[num]
        if found.status not in ("open", "draft"):
            raise HubError(403, f"The pull request is {found.status}")
        return {"num": num, "event": _commit_event(commit)}

    def change(self, request: Request, params: Params) -> Response:
        """POST .../discussions/{num}/status, /merge, /comment"""
        repo = writable(self.store, request, params, pull_request=params["what"] == "comment")
        body = request.json() or {}
        num = self._find(repo, params["num"]).num
        if params["what"] == "status":
            return json_response(
                {"newStatus": self.set_status(repo, num, body["status"], writer(request))}
            )
        if params["what"] == "merge":
            self.merge(repo, num, writer(request))
            return json_response({})
        event = self._comment(num, writer(request), body["comment"])
        self.store.record(repo, {"kind": "note", "note": {"num": num, "event": event}})
        return json_response({"newMessage": event})

    def set_status(self, repo: Repo, num: int, status: str, author: str) -> Json:
        """Open or close; the event is returned."""
        with repo.lock:
            if status not in ("open", "closed") or repo.discussions[num].status == "merged":
                raise bad_request(f"The status cannot become {status}")
            event = self._status_event(repo, num, status, author)
            self.store.record(
                repo, {"kind": "note", "note": {"num": num, "event": event, "status": status}}
            )
        return event

    def merge(self, repo: Repo, num: int, author: str) -> str:
        """Put the changes of a pull request on the default branch as one commit; its id."""
        with repo.lock:
            found = repo.discussions[num]
            if not found.is_pull_request or found.status != "open":
                raise bad_request(f"A pull request that is {found.status} cannot be merged")
            writes, deletes, conflicts = self._changes(repo, found)
            if conflicts:
                raise HubError(409, f"The pull request has conflicts: {', '.join(conflicts)}")
            commit = self._merge_commit(repo, found, author, writes, deletes)
            event = self._status_event(repo, num, "merged", author)
            note = {"num": num, "event": event, "status": "merged", "merge_commit": commit.id}
            self.store.record(
                repo,
                {
                    "kind": "merge",
                    "commit": commit_json(commit),
                    "refs": {MAIN: commit.id},
                    "note": note,
                },
            )
        return commit.id

    def _merge_commit(
        self,
        repo: Repo,
        found: Discussion,
        author: str,
        writes: dict[str, Entry],
        deletes: list[str],
    ) -> Commit:
        head, number = repo.refs[MAIN], len(repo.commits)
        commit_id = hashlib.sha1(
            json.dumps([repo.key, head, found.num, number]).encode()
        ).hexdigest()
        title = f"{found.title} (#{found.num})"
        return Commit(commit_id, head, title, "", author, self.store.now(), number, writes, deletes)

    def _changes(
        self, repo: Repo, found: Discussion
    ) -> tuple[dict[str, Entry], list[str], list[str]]:
        """(writes, deletes, conflicting paths) of a pull request against the default branch."""
        base = repo.tree(found.base or repo.refs[MAIN]).files
        mine = repo.tree(repo.refs[f"refs/pr/{found.num}"]).files
        main = repo.tree(repo.refs[MAIN]).files
        changed = [
            path
            for path in mine.keys() | base.keys()
            if _oid(mine.get(path)) != _oid(base.get(path))
        ]
        todo = sorted(path for path in changed if _oid(mine.get(path)) != _oid(main.get(path)))
        conflicts = [path for path in todo if _oid(main.get(path)) != _oid(base.get(path))]
        writes = {path: mine[path] for path in todo if path in mine}
        return writes, [path for path in todo if path not in mine], conflicts

    def _find(self, repo: Repo, num: str) -> Discussion:
        found = repo.discussions.get(int(num))
        if found is None:
            raise HubError(404, "Discussion not found")
        return found

    def _comment(self, num: int, author: str, text: str) -> Json:
        latest = {
            "raw": text,
            "html": text,
            "updatedAt": iso(self.store.now()),
            "author": {"name": author},
        }
        data = {"edited": False, "hidden": False, "latest": latest, "history": [latest]}
        return _event("comment", f"{num}/{text}", author, self.store.now(), data)

    def _status_event(self, repo: Repo, num: int, status: str, author: str) -> Json:
        identity = f"{num}/{len(repo.discussions[num].events)}"
        return _event("status-change", identity, author, self.store.now(), {"status": status})


def _event(kind: str, identity: str, author: str, moment: float, data: Json) -> Json:
    event_id = hashlib.sha1(f"{kind}/{identity}/{moment}".encode()).hexdigest()[:24]
    return {
        "id": event_id,
        "type": kind,
        "createdAt": iso(moment),
        "author": {"name": author},
        "data": data,
    }


def _commit_event(commit: Commit) -> Json:
    data = {"subject": commit.title, "oid": commit.id}
    return _event("commit", commit.id, commit.author, commit.time, data)


def _oid(entry: Entry | None) -> str | None:
    return None if entry is None else entry.oid


def _summary(repo: Repo, found: Discussion) -> Json:
    return {
        "num": found.num,
        "title": found.title,
        "author": {"name": found.author},
        "createdAt": iso(found.time),
        "status": found.status,
        "isPullRequest": found.is_pull_request,
        "repo": {"name": repo.name, "type": repo.kind[:-1]},
    }


def _wanted(request: Request, found: Discussion) -> bool:
    kind, status, author = request.value("type"), request.value("status"), request.value("author")
    right_kind = kind in (None, "all", "pull_request" if found.is_pull_request else "discussion")
    settled = "closed" if found.status in ("closed", "merged") else "open"
    return right_kind and status in (None, "all", settled) and author in (None, found.author)
