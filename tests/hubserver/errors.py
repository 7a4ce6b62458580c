"""The one exception an endpoint raises to refuse a request."""

from __future__ import annotations

import json
from collections.abc import Mapping


class HubError(Exception):
    """A refusal: status, the sentence shown, the `X-Error-Code`, further headers and fields."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})
        self.fields = dict(fields or {})

    def body(self) -> bytes:
        """The JSON body the client reads its `server_message` from."""
        return json.dumps({"error": self.message, **self.fields}).encode()

    def all_headers(self) -> dict[str, str]:
        """Headers of the refusal: the client reads the code and the message from here on a HEAD."""
        message = " ".join(self.message.split()).encode("ascii", "replace").decode()
        headers = {"X-Error-Message": message, **self.headers}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        return headers


def bad_request(message: str) -> HubError:
    """400: the request itself is wrong."""
    return HubError(400, message)


def bad_credentials() -> HubError:
    """401 of a token that the Hub does not know."""
    return HubError(401, "Invalid credentials in Authorization header")


def login_needed() -> HubError:
    """401 of a request without a token; it does not tell a private repo from a missing one."""
    return HubError(401, "Invalid username or password.")


def repo_not_found() -> HubError:
    """404 of a repo that is missing, or that this user may not know of."""
    return HubError(404, "Repository not found", code="RepoNotFound")


def revision_not_found(revision: str) -> HubError:
    """404 of a branch, tag, pull request ref or commit that is not there."""
    return HubError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def entry_not_found(message: str = "Entry not found") -> HubError:
    """404 of a path that the revision does not hold."""
    return HubError(404, message, code="EntryNotFound")
