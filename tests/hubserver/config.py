"""What a test may set on the server: tokens, limits, the clock. A restart keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

CapFlavour = Literal["text", "retry-after", "retry-after-date", "ratelimit"]


@dataclass(frozen=True, slots=True)
class Token:
    """Who a token speaks for. `name` is what the request log shows instead of the token."""

    name: str
    user: str
    role: Literal["read", "write"]
    orgs: list[str] = field(default_factory=list)

    def owns(self, namespace: str) -> bool:
        """Whether repos of this namespace are theirs to read and write."""
        return namespace == self.user or namespace in self.orgs


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refuse every commit that adds a path matching `path` (a regular expression, searched)."""

    path: str
    status: int = 400
    message: str = "Your push was rejected by a policy of this repository."
    names_path: bool = True


def default_tokens() -> dict[str, Token]:
    """Token string -> whose it is. Any other string, such as `hf_bad`, is an invalid credential."""
    return {
        "hf_write": Token("write", "alice", "write", ["acme"]),
        "hf_read": Token("read", "alice", "read", ["acme"]),
        "hf_write_bob": Token("write_bob", "bob", "write"),
    }


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one server. Times in seconds, sizes in bytes.

    The last four make it another server than we think the Hub is: small files in git instead of
    LFS, refusals without `X-Error-Code`, no `RateLimit`, a connection for each request.
    """

    commit_cap: int | None = 128
    cap_window: float = 3600.0
    cap_flavour: CapFlavour = "text"
    verify: bool = False
    api_quota: int = 1_000_000
    api_window: float = 300.0
    max_operations: int = 25_000
    max_folder_entries: int = 10_000
    page_size: int = 1000
    expand_page_size: int = 50
    commits_page_size: int = 50
    regular_limit: int = 10 * 1024 * 1024
    clock_offset: float = 0.0
    tokens: dict[str, Token] = field(default_factory=default_tokens)
    refusals: list[Refusal] = field(default_factory=list)
    all_regular: bool = False
    error_codes: bool = True
    rate_headers: bool = True
    keep_alive: bool = True

    def as_json(self) -> dict[str, Any]:
        """Plain data, the inverse of `changed`."""
        return asdict(self)

    def changed(self, values: dict[str, Any]) -> Config:
        """A copy with the settings named in `values` replaced; unknown names are a ValueError."""
        unknown = set(values) - {each.name for each in fields(self)}
        if unknown:
            raise ValueError(f"unknown settings: {sorted(unknown)}")
        current: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        current.update(values)
        current["tokens"] = {key: _token(value) for key, value in current["tokens"].items()}
        current["refusals"] = [_refusal(value) for value in current["refusals"]]
        return Config(**current)


def _token(value: Token | dict[str, Any]) -> Token:
    return value if isinstance(value, Token) else Token(**value)


def _refusal(value: Refusal | dict[str, Any]) -> Refusal:
    return value if isinstance(value, Refusal) else Refusal(**value)
