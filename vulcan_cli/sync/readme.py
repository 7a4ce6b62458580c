"""The dataset card that goes into a commit: the repo's `README.md`, true for what it will hold.

It is never the reason that a shard is not published: where it cannot be made, or the repo will not
have it, the commits of this run go without it, and the report says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import unquote

from vulcan_cli.dataset.card import README, About, card
from vulcan_cli.dataset.card_blocks import Card
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.errors import (
    ColumnClash,
    DiskTrouble,
    InputRefused,
    Problem,
    ServerTrouble,
    TryLater,
    VulcanError,
)
from vulcan_cli.hub.repo import Addition, Repo
from vulcan_cli.sync.in_memory import addition

LARGEST = 4 << 20
"""Bytes of a `README.md` that we look into."""

# In words of a refusal that names no file.
_OF_A_CARD = re.compile(r"\breadme\b|\byaml\b|\bcard\b|\bmetadata in\b", re.IGNORECASE)


class CardFile(NamedTuple):
    """A card to commit.

    Attributes:
        data: The file; None where the one that is there says it all.
        replaces: As in `Addition`.
        left_alone: As in `Card`.
    """

    data: bytes | None
    replaces: str | None
    left_alone: tuple[str, ...]


class NoCardError(Exception):
    """The `README.md` that is there is none that we can keep; says why."""


def about_of(repo: Repo, licence: str | None, citation: str | None) -> About:
    """What the card of a repo says beside what its shards tell."""
    folder = unquote(repo.name.rstrip("/").rpartition("/")[2])
    return About(repo.name if repo.is_remote else f"./{folder}", licence, citation)


def read_card(repo: Repo, commit: str) -> bytes | None:
    """The `README.md` at a commit; None where there is none. At most two questions.

    Raises:
        NoCardError: It is too large.
        ServerTrouble: It is listed, and said not to be there when it is asked for.
        VulcanError: The repo cannot be read.
    """
    try:
        file = repo.fetch(README, commit)
        if file.stat().st_size > LARGEST:
            raise NoCardError(f"{README} has more than {LARGEST >> 20} MiB")
        return file.read_bytes()
    except FileNotFoundError:
        # One wrong answer must not cost people what they wrote.
        if repo.look_up([README], commit):
            what = f"{README} is there and cannot be read"
            raise ServerTrouble(f"{repo.name} gives no answer that makes sense: {what}") from None
        return None


def new_card(before: bytes | None, make: Callable[[str | None], Card]) -> CardFile:
    """The card to put in the place of the one that is there.

    Args:
        before: The one that is there; None where there is none.
        make: Makes the new one out of its text.

    Raises:
        NoCardError: The one that is there is no text.
        VulcanError: As `make`.
    """
    try:
        text = None if before is None else before.decode()
    except UnicodeDecodeError as error:
        raise NoCardError(f"{README} is no text in UTF-8") from error
    made = make(text)
    data = made.text.encode()
    replaces = None if before is None else hashlib.sha256(before).hexdigest()
    return CardFile(None if data == before else data, replaces, made.left_alone)


def card_to_push(
    stack: ExitStack, repo: Repo, commit: str, make: Callable[[str | None], Card]
) -> tuple[Addition | None, tuple[str, ...]]:
    """The card to commit for its own sake, None where it is there already; and keys left alone.

    Raises:
        InputRefused: The one that is there cannot be kept, or the repo would refuse the new one.
        VulcanError: The repo cannot be read; or as `make`.
    """
    try:
        made = new_card(read_card(repo, commit), make)
        why = None if made.data is None else repo.check_card(made.data.decode())
    except NoCardError as error:
        raise InputRefused(Problem(str(error), source=README)) from error
    if why is not None:
        raise InputRefused(Problem(why, source=README))
    if made.data is None:
        return None, made.left_alone
    return addition(stack, README, made.data, made.replaces), made.left_alone


def reason_of(error: Exception) -> str:
    """Why a commit goes without a file of ours, and what becomes of it where that is known."""
    if isinstance(error, ColumnClash):
        return f"{error}, and a card gives a column one type; shards are committed without it"
    if isinstance(error, OSError) and error.errno is not None:
        error = DiskTrouble.of(error)
    later = "; the next sync that commits will do it" if isinstance(error, TryLater) else ""
    return f"{error}{later}"


class CardKeeper:
    """Makes the card for the commits of one run to one repo.

    The card is read once; then it is what our own commits made of it, as long as nobody else
    commits.
    """

    def __init__(self, repo: Repo, about: About, *, say: Callable[[str], None]) -> None:
        """Nothing is asked yet.

        Args:
            repo: The repo.
            about: What is said of it beside what its shards tell.
            say: Told why there is no card, once.
        """
        self._repo = repo
        self._about = about
        self._say = say
        self._is_on = True
        self._at: tuple[str, bytes | None] | None = None
        self._next: bytes | None = None
        self._fine: set[bytes] = set()

    def begin(self) -> None:
        """A new commit is being made; nothing is known of a card in it."""
        self._next = None

    def file(self, shards: Callable[[], Catalog], parent: str) -> tuple[bytes, str | None] | None:
        """The card for a commit on `parent` and what it replaces; None for no card.

        Args:
            shards: Gives all shards that the repo will hold.
            parent: The commit it is made on.
        """
        if not self._is_on:
            return None
        try:
            before = self._before(parent)
            made = new_card(before, lambda text: card(text, shards(), self._about))
            if made.data is not None:
                self._check(made.data)
        except (NoCardError, VulcanError, OSError) as error:
            self.stop(reason_of(error))
            return None
        self._next = before if made.data is None else made.data
        return None if made.data is None else (made.data, made.replaces)

    def landed(self, commit_id: str) -> None:
        """The commit that was being made is this one."""
        self._at = None if self._next is None else (commit_id, self._next)

    def is_to_blame(self, reason: str, culprits: tuple[str, ...]) -> bool:
        """Whether a refusal is about the card, which is then left out of this run."""
        if not self._is_on or self._next is None:
            return False
        is_named = README in culprits or (not culprits and _OF_A_CARD.search(reason) is not None)
        if is_named:
            self.stop(reason)
        return is_named

    def stop(self, why: str) -> None:
        """Let the further commits of this run go without a card."""
        if self._is_on:
            self._say(f"the card of {self._repo.name} is not brought up to date: {why}")
        self._is_on = False

    def _before(self, parent: str) -> bytes | None:
        """The card as it stands; in a folder people may change it without a commit."""
        if self._repo.is_remote and self._at is not None and self._at[0] == parent:
            return self._at[1]
        return read_card(self._repo, parent)

    def _check(self, data: bytes) -> None:
        """Ask whether the repo would take it; once for the same YAML, which is what counts."""
        front = data.split(b"---", 2)[1]
        if front in self._fine:
            return
        why = self._repo.check_card(data.decode())
        if why is not None:
            raise NoCardError(why)
        self._fine.add(front)
