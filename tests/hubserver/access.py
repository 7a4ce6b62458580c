"""Who may see and change a repo, with the refusals that the client tells apart."""

from __future__ import annotations

from tests.hubserver.errors import HubError, bad_credentials, login_needed, repo_not_found
from tests.hubserver.messages import Params, Request
from tests.hubserver.repo import Repo
from tests.hubserver.store import Store

READ_TOKEN = "you must use a write token to upload to a repository."
ONLY_PROPOSALS = "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"


def check_token(request: Request) -> None:
    """An unknown token is refused everywhere, also for public repos."""
    if not request.token_known:
        raise bad_credentials()


def readable(store: Store, request: Request, params: Params) -> Repo:
    """The repo of the path, when this request may read it."""
    check_token(request)
    repo = store.repos.get(f"{params['kind'] or 'models'}/{params['repo']}")
    visible = repo is not None and (not repo.private or _owns(request, repo))
    if repo is not None and visible:
        return repo
    raise login_needed() if request.token is None else repo_not_found()


def writable(store: Store, request: Request, params: Params, *, pull_request: bool = False) -> Repo:
    """The repo of the path, when this request may write to it (or, for a pull request, propose)."""
    repo = readable(store, request, params)
    if request.token is None:
        raise login_needed()
    if request.token.role != "write":
        raise HubError(403, READ_TOKEN)
    if not pull_request and not _owns(request, repo):
        raise HubError(403, ONLY_PROPOSALS)
    return repo


def writer(request: Request) -> str:
    """The user of a request that passed `writable`."""
    if request.token is None:
        raise login_needed()
    return request.token.user


def _owns(request: Request, repo: Repo) -> bool:
    return request.token is not None and request.token.owns(repo.namespace)
