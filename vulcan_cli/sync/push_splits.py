"""Splits sent to a repo of their own: only what changed, in one commit, nothing stale left behind.

`split.json` in the repo says what an earlier push put there: of that, and of nothing else, files
are replaced and taken out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from vulcan_cli.dataset.card import README, About
from vulcan_cli.dataset.split_card import split_card
from vulcan_cli.dataset.split_files import DESCRIPTION
from vulcan_cli.errors import Conflict, DiskTrouble, RepoRefuses, UsageError
from vulcan_cli.files.json_text import parse_json
from vulcan_cli.hub.repo import Addition, Removal, Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync.in_memory import addition
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.readme import card_to_push
from vulcan_cli.sync.send import Change, Sent, send
from vulcan_cli.vacua.geometry import SHARD_PATH

LARGEST = 16 << 20
"""Bytes of a `split.json` that we look into."""

# What a push calls its files; nothing else is ever replaced or taken out.
_PART = re.compile(r"\w+(\.\w+)*-\d{5}-of-\d{5}\.parquet", re.ASCII)


class Description(NamedTuple):
    """A `split.json`.

    Attributes:
        data: Its bytes.
        said: What it says.
        files: SHA-256 and size of each file of splits, by name.
    """

    data: bytes
    said: Mapping[str, Any]
    files: Mapping[str, tuple[str, int]]

    @classmethod
    def parse(cls, data: bytes) -> Description:
        """Read one.

        Raises:
            ValueError: It is none of ours.
        """
        try:
            said = parse_json(data)
            parts = [part for split in said["files"].values() for part in split]
            files = {part["name"]: (str(part["sha256"]), int(part["bytes"])) for part in parts}
            strange = [name for name in files if not _PART.fullmatch(name)]
            if strange or not isinstance(said["vulcan_version"], str):
                raise ValueError(f"not the files of splits: {strange[:1]}")
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a {DESCRIPTION}: {error}") from error
        return cls(data, said, files)

    @property
    def sha256(self) -> str:
        """What it is."""
        return hashlib.sha256(self.data).hexdigest()


def pushed_before(repo: Repo, commit: str) -> Description | None:
    """What an earlier push left at a commit; None where there was none. One question.

    Raises:
        Conflict: A `split.json` is there that no push made.
        VulcanError: The repo cannot be read.
    """
    try:
        file = repo.fetch(DESCRIPTION, commit)
        data = file.read_bytes() if file.stat().st_size <= LARGEST else b""
        return Description.parse(data)
    except FileNotFoundError:
        return None
    except ValueError:
        raise Conflict(DESCRIPTION, repo.name) from None


def push_splits(
    area: StagingArea,
    repo: Repo,
    options: SyncOptions,
    about: About,
    folder: Path,
    *,
    dry_run: bool = False,
) -> Sent:
    """Make a repo hold the splits of a folder, and their card.

    Args:
        area: The staging directory, which holds the budget.
        repo: Where to; not a repo of shards.
        options: How.
        about: What is said beside what `split.json` tells.
        folder: What `write_splits` made, in parquet.
        dry_run: As for `send`.

    Raises:
        UsageError: The repo holds shards, or there are no rows.
        Conflict: It holds something else where a file is to go.
        InputRefused: The card that is there cannot be kept, or the repo refuses the new one.
        VulcanError: As `send`.
    """
    try:
        new = Description.parse((folder / DESCRIPTION).read_bytes())
    except OSError as error:
        raise DiskTrouble(folder / DESCRIPTION, error) from error
    if not any(new.said["rows"].values()):
        raise UsageError("there are no rows to push")
    with ExitStack() as stack:

        def change_at(head: str) -> Change:
            _refuse_shards(repo, head)
            before = pushed_before(repo, head)
            parts, gone = _parts(repo, head, folder, new, before)
            card, _ = card_to_push(
                stack, repo, head, lambda text: split_card(text, new.said, about)
            )
            own = (_description(stack, new, before), card)
            additions = (*parts, *(each for each in own if each is not None))
            return Change(additions, gone, bad_input=frozenset({README}))

        return send(area, repo, options, change_at, "splits", dry_run=dry_run)


def refuse_splits(repo: Repo, commit: str) -> None:
    """Raise RepoRefuses where a repo holds splits that were pushed: no shards belong there."""
    try:
        held = pushed_before(repo, commit)
    except Conflict:
        # Somebody else's file of this name is in nobody's way.
        held = None
    if held is not None:
        raise RepoRefuses(f"{repo.name} holds splits; shards go to a repo of their own")


def _refuse_shards(repo: Repo, head: str) -> None:
    if any(SHARD_PATH.fullmatch(file.path) for file in repo.files(head)):
        raise UsageError(f"{repo.name} holds shards; splits go to a repo of their own")


def _parts(
    repo: Repo, head: str, folder: Path, new: Description, before: Description | None
) -> tuple[tuple[Addition, ...], tuple[Removal, ...]]:
    """The files of splits to put in, and those of an earlier push to take out."""
    held = {} if before is None else before.files
    there = repo.look_up([*new.files, *held], head)
    now = {path: file.sha256 or "" for path, file in there.items()}
    for path, sha256 in now.items():
        if sha256 not in {files[path][0] for files in (new.files, held) if path in files}:
            raise Conflict(path, repo.name)
    put_in = tuple(
        Addition(name, folder / name, sha256, size, replaces=now.get(name))
        for name, (sha256, size) in new.files.items()
        if now.get(name) != sha256
    )
    gone = tuple(Removal(path, sha256) for path, sha256 in now.items() if path not in new.files)
    return put_in, gone


def _description(stack: ExitStack, new: Description, before: Description | None) -> Addition | None:
    if before is not None and before.data == new.data:
        return None
    return addition(stack, DESCRIPTION, new.data, None if before is None else before.sha256)
