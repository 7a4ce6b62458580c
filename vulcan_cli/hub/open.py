"""From what a person writes for a repo to the repo itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vulcan_cli.errors import UsageError
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.hub.repo import PUBLIC_HUB, Repo, check_pull_request, hub_key
from vulcan_cli.vacua.secrets import scrub

HUB_NAME = re.compile(
    r"(?=[^/]{1,96}/[^/]{1,96})"
    r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?/[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?",
    re.ASCII,
)
"""`owner/name`, the whole string, as the Hub takes it (`--` and `..` aside)."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to speak to the Hub.

    Attributes:
        token: The secret; None for nobody.
        endpoint: Another Hub than the public one.
        cache_dir: Where downloads are kept; None for the Hub client's own cache.
        timeout_s: How long the Hub may be silent, seconds.
        say: Told what a person may want to know of how content goes.
    """

    token: str | None = None
    endpoint: str | None = None
    cache_dir: Path | None = None
    timeout_s: float = 120.0
    say: Callable[[str], None] = lambda _: None

    def __repr__(self) -> str:
        # The token must not appear where somebody prints this; nor is it a tuple to walk through.
        return f"Login(endpoint={self.endpoint!r})"


def is_directory(text: str) -> bool:
    """Whether a repo is written as a folder: `file:…`, or a path that begins with `/` or `.`."""
    return text.startswith(("file:", "/", "./", "../")) or text in {".", ".."}


def folder_of(text: str) -> Path | None:
    """The folder that a repo is; None for one on the Hub.

    Args:
        text: The repo as a person writes it.

    Raises:
        UsageError: It begins with `file:` and names no folder.
    """
    if not is_directory(text):
        return None
    if not text.startswith("file:"):
        return Path(text)
    parts = urlsplit(text)
    path = unquote(parts.path)
    if parts.netloc not in {"", "localhost"} or not path.startswith("/") or "\0" in path:
        raise UsageError(f"a folder is written file:///folder, not {scrub(text)!r}")
    if parts.query or parts.fragment:
        raise UsageError(f"write ? and # in a folder's name as %3F and %23: {scrub(text)!r}")
    return Path(path)


def open_repo(text: str, login: Login | None = None) -> Repo:
    """Open `owner/name` on the Hub, or `file:///folder`, `/folder`, `./folder`, `../folder`.

    Nothing is looked at: a repo that is not there says so when it is asked.

    Args:
        text: The repo as a person writes it.
        login: How to speak to the Hub; a folder needs none.

    Raises:
        UsageError: It is written in no such way.
    """
    folder = folder_of(text)
    if folder is not None:
        return DirectoryRepo(folder)
    _check_hub_name(text)
    # Loads huggingface_hub, which takes longer than all the rest.
    from vulcan_cli.hub.huggingface import HubRepo  # noqa: PLC0415

    login = login or Login()
    return HubRepo(
        text,
        token=login.token,
        endpoint=login.endpoint,
        cache_dir=login.cache_dir,
        timeout_s=login.timeout_s,
        say=login.say,
    )


def key_without_client(text: str, endpoint: str | None = None) -> str:
    """The `Repo.key` that `open_repo` would give, without loading the Hub's client.

    Args:
        text: The repo as a person writes it.
        endpoint: Another Hub than the public one.

    Raises:
        UsageError: It is written in no such way.
    """
    folder = folder_of(text)
    if folder is not None:
        return DirectoryRepo(folder).key
    _check_hub_name(text)
    return hub_key(text, endpoint or PUBLIC_HUB)


def check_proposal(text: str, revision: str, *, create_pr: bool) -> None:
    """Make sure, asking nobody, that commits can be proposed where they shall be.

    Args:
        text: The repo as a person writes it.
        revision: The branch.
        create_pr: Whether commits shall be pull requests.

    Raises:
        UsageError: The repo is a folder, or the branch is not the main one.
    """
    folder = folder_of(text)
    if folder is not None:
        DirectoryRepo(folder).check_pull_request(create_pr=create_pr)
    check_pull_request(revision, create_pr=create_pr)


def _check_hub_name(text: str) -> None:
    if not HUB_NAME.fullmatch(text) or "--" in text or ".." in text:
        # As the address in a browser has it.
        meant = "/".join(text.partition("datasets/")[2].split("/")[:2])
        hint = f"; did you mean {meant}?" if HUB_NAME.fullmatch(meant) else ""
        raise UsageError(
            f"a repo is written owner/name, file:///folder or ./folder, not {scrub(text)!r}{hint}"
        )
