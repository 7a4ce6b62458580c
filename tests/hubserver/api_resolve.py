"""Reading files: HEAD and GET of `resolve`, whole or a range."""

from __future__ import annotations

import re
from urllib.parse import quote

from tests.hubserver.access import readable
from tests.hubserver.errors import HubError, entry_not_found
from tests.hubserver.messages import Params, Request, Response
from tests.hubserver.store import Store

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class ResolveApi:
    """The download path of one server."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def resolve(self, request: Request, params: Params) -> Response:
        """HEAD and GET {repo}/resolve/{rev}/{path}"""
        repo = readable(self.store, request, params)
        head = repo.resolve(params["rev"])
        entry = repo.tree(head).files.get(params["path"])
        if entry is None:
            raise _with_commit(entry_not_found(), head)
        content = self.store.object_path(repo, entry.sha256).read_bytes()
        name = quote(params["path"].rpartition("/")[2])
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"inline; filename*=UTF-8''{name}",
            "X-Repo-Commit": head,
            "ETag": f'"{entry.oid}"',
            "Accept-Ranges": "bytes",
        }
        if entry.lfs:
            headers["X-Linked-Etag"] = f'"{entry.sha256}"'
            headers["X-Linked-Size"] = str(entry.size)
        return _ranged(request, content, headers)


def _with_commit(error: HubError, head: str) -> HubError:
    error.headers["X-Repo-Commit"] = head
    return error


def _ranged(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    """The whole content, or the one range asked for; several ranges are answered with the whole."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or match.groups() == ("", ""):
        return Response(200, content, headers)
    first, last = match.groups()
    size = len(content)
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size or start >= stop:
        raise HubError(416, "Range Not Satisfiable", headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(206, content[start:stop], headers)
