"""The Hub without its sockets: from a request to a response."""

from __future__ import annotations

import re
import sys
import threading
import traceback

from tests.hubserver.api_pr import PullRequestApi
from tests.hubserver.api_repo import RepoApi
from tests.hubserver.api_resolve import ResolveApi
from tests.hubserver.api_upload import UploadApi
from tests.hubserver.errors import HubError
from tests.hubserver.messages import Endpoint, Request, Response, decoded
from tests.hubserver.store import Store

_REPO = r"(?P<repo>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>models|datasets|spaces)/{_REPO}"
_WEB = rf"/(?:(?P<kind>datasets|spaces)/)?{_REPO}"
_GIT = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/]+/[^/]+)\.git"
_COMMIT = re.compile(rf"{_API}/commit/(?P<rev>[^/]+)")

Route = tuple[str, re.Pattern[str], Endpoint]


class App:
    """All endpoints over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.repos = RepoApi(store)
        self.pull_requests = PullRequestApi(store)
        self.uploads = UploadApi(store, self.pull_requests)
        self.resolver = ResolveApi(store)
        self.quota = Quota(store)
        self._routes = [*self._write_routes(), *self._read_routes(), *self._discussion_routes()]

    def _write_routes(self) -> list[Route]:
        repos, uploads = self.repos, self.uploads
        return [
            ("POST", _COMMIT, uploads.commit),
            _route(
                "PUT", rf"/_lfs/(?P<kind>\w+)/{_REPO}/(?P<oid>[0-9a-f]{{64}})", uploads.put_object
            ),
            _route("POST", rf"{_API}/preupload/(?P<rev>[^/]+)", uploads.preupload),
            _route("POST", rf"{_GIT}/info/lfs/objects/batch", uploads.lfs_batch),
            _route("POST", rf"{_GIT}/info/lfs/objects/verify", uploads.lfs_verify),
            _route("POST", "/api/repos/create", repos.create),
            _route("DELETE", "/api/repos/delete", repos.delete),
            _route("POST", "/api/validate-yaml", repos.validate_yaml),
            _route("POST", rf"{_API}/branch/(?P<name>[^/]+)", repos.create_branch),
            _route("POST", rf"{_API}/tag/(?P<name>[^/]+)", repos.create_tag),
            _route("DELETE", rf"{_API}/(?P<what>branch|tag)/(?P<name>[^/]+)", repos.delete_ref),
        ]

    def _read_routes(self) -> list[Route]:
        repos = self.repos
        resolve = rf"{_WEB}/resolve/(?P<rev>[^/]+)/(?P<path>.+)"
        return [
            _route("GET", resolve, self.resolver.resolve),
            _route("HEAD", resolve, self.resolver.resolve),
            _route("GET", "/api/whoami-v2", repos.whoami),
            _route("GET", rf"{_API}/auth-check(?P<write>/write)?", repos.auth_check),
            _route("GET", _API, repos.info),
            _route("GET", rf"{_API}/revision/(?P<rev>[^/]+)", repos.info),
            _route("GET", rf"{_API}/refs", repos.refs),
            _route("GET", rf"{_API}/tree/(?P<rev>[^/]+)(?:/(?P<path>.*))?", repos.tree),
            _route("POST", rf"{_API}/paths-info/(?P<rev>[^/]+)", repos.paths_info),
            _route("GET", rf"{_API}/commits/(?P<rev>[^/]+)", repos.commits),
        ]

    def _discussion_routes(self) -> list[Route]:
        pulls, num = self.pull_requests, r"(?P<num>\d+)"
        return [
            _route("GET", rf"{_API}/discussions", pulls.listing),
            _route("POST", rf"{_API}/discussions", pulls.open),
            _route("GET", rf"{_API}/discussions/{num}", pulls.details),
            _route(
                "POST", rf"{_API}/discussions/{num}/(?P<what>status|merge|comment)", pulls.change
            ),
        ]

    def received(self, request: Request) -> None:
        """Note a request that arrived, before anything goes wrong with it."""
        match = _COMMIT.fullmatch(request.path)
        if match is not None and request.method == "POST":
            self.uploads.received(request, decoded(match.groupdict()))

    def dispatch(self, request: Request) -> Response:
        """Serve a request; a bug of ours becomes a 500 with a traceback."""
        try:
            quota_headers = self.quota.spend(request)
            response = self._serve(request)
        except HubError as error:
            headers = {"Content-Type": "application/json; charset=utf-8", **error.all_headers()}
            if not self.store.config.error_codes:
                headers = {"Content-Type": headers["Content-Type"]}
            response = Response(error.status, error.body(), headers)
            quota_headers = self.quota.headers(request)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return Response(500, b'{"error": "Internal Error of the local Hub"}')
        response.headers = quota_headers | response.headers
        return response

    def _serve(self, request: Request) -> Response:
        for method, pattern, endpoint in self._routes:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                return endpoint(request, decoded(match.groupdict()))
        raise HubError(404, "Sorry, we can't find the page you are looking for.")


def _route(method: str, pattern: str, endpoint: Endpoint) -> Route:
    return method, re.compile(pattern), endpoint


class Quota:
    """The API request quota: a fixed window per token, told in `RateLimit` on every response."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._used: dict[tuple[str | None, int], int] = {}

    def spend(self, request: Request) -> dict[str, str]:
        """Count an API request; refuse it when the window is used up."""
        if request.path.startswith("/api/") or "/info/lfs/" in request.path:
            key = self._key(request)
            with self._lock:
                used = self._used.get(key, 0)
                if used >= self._store.config.api_quota:
                    raise HubError(429, "You have exceeded the rate limit for the API.")
                self._used[key] = used + 1
        return self.headers(request)

    def headers(self, request: Request) -> dict[str, str]:
        """`RateLimit` and `RateLimit-Policy` as they stand."""
        config = self._store.config
        if not config.rate_headers:
            return {}
        left = max(config.api_quota - self._used.get(self._key(request), 0), 0)
        reset = int(config.api_window - self._store.now() % config.api_window)
        policy = f'"fixed window";"api";q={config.api_quota};w={config.api_window:.0f}'
        return {"RateLimit": f'"api";r={left};t={reset}', "RateLimit-Policy": policy}

    def _key(self, request: Request) -> tuple[str | None, int]:
        return request.token_name, int(self._store.now() // self._store.config.api_window)
