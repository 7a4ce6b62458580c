"""A request as the endpoints see it, and the response they give."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.hubserver.config import Token
from tests.hubserver.errors import bad_request
from tests.hubserver.repo import Json


@dataclass(slots=True)
class Request:
    """One request.

    `path` is still quoted; names in `headers` are in lower case. `keep_upload` and `spoil_upload`
    are faults of an upload. `served` is the status of the endpoint, also when nobody sees it.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    token: Token | None
    token_known: bool
    token_name: str | None = None
    attempt: Json | None = None
    keep_upload: int | None = None
    spoil_upload: bool = False
    served: int | None = None

    def json(self) -> Any:
        """The body as JSON; an empty body is an empty object."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise bad_request("Invalid JSON body") from None

    def form(self) -> dict[str, list[str]]:
        """The body as a submitted form."""
        return parse_qs(self.body.decode(), keep_blank_values=True)

    def flag(self, name: str) -> bool:
        """Whether a query parameter says yes."""
        return self.query.get(name, [""])[0].lower() in ("1", "true")

    def value(self, name: str) -> str | None:
        """A query parameter."""
        values = self.query.get(name)
        return values[0] if values else None


@dataclass(slots=True)
class Response:
    """One answer. `length` is what a HEAD announces when it differs from the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


def json_response(value: object, status: int = 200, **headers: str) -> Response:
    """An answer with a JSON body."""
    fields = {"Content-Type": "application/json; charset=utf-8"}
    fields.update({name.replace("_", "-"): text for name, text in headers.items()})
    return Response(status, json.dumps(value).encode(), fields)


def iso(moment: float) -> str:
    """A time as the client parses it, such as 2026-08-19T07:19:38.123Z."""
    return (
        datetime.fromtimestamp(moment, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


Params = dict[str, str]
Endpoint = Callable[["Request", Params], Response]


def decoded(groups: Mapping[str, str | None]) -> Params:
    """The parts of a path, unquoted; parts that are absent are empty."""
    return {name: unquote(text or "") for name, text in groups.items()}
