"""The card sent alone: where no shards wait, or somebody else wrote the repo."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from vulcan_cli.dataset.card import README, About, card
from vulcan_cli.dataset.repo_catalog import read_repo
from vulcan_cli.dataset.repo_head import HEAD_PATH, encode_head, parse_head, read_own
from vulcan_cli.errors import BadShard
from vulcan_cli.hub.repo import Addition, Repo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync.in_memory import addition
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.push_splits import refuse_splits
from vulcan_cli.sync.readme import card_to_push
from vulcan_cli.sync.send import Change, Sent, send


class PushedCard(NamedTuple):
    """What became of a card.

    Attributes:
        sent: What was done.
        left_alone: Keys of the YAML that people wrote themselves, so that ours were left out.
        bad: What should have been shards and are none; the card does not count them.
    """

    sent: Sent
    left_alone: tuple[str, ...]
    bad: tuple[BadShard, ...]


def push_card(
    area: StagingArea, repo: Repo, options: SyncOptions, about: About, *, dry_run: bool = False
) -> PushedCard:
    """Bring the `README.md` of a repo up to date with its shards.

    The catalog goes with it where the repo has one: it names the commit that it is made on.

    Args:
        area: The staging directory, which holds the budget.
        repo: The repo.
        options: How.
        about: What is said beside what the shards tell.
        dry_run: As for `send`.

    Raises:
        InputRefused: The card that is there cannot be kept, or the repo refuses the new one.
        RepoRefuses: The repo holds splits.
        VulcanError: As `send`.
    """
    found: list[tuple[tuple[str, ...], tuple[BadShard, ...]]] = []

    def change_at(head: str) -> Change:
        refuse_splits(repo, head)
        shards = read_repo(repo, head)
        made, left_alone = card_to_push(stack, repo, head, lambda text: card(text, shards, about))
        found.append((left_alone, shards.bad))
        if made is None:
            return Change()
        return Change((made, *_catalog(stack, repo, head)), bad_input=frozenset({README}))

    with ExitStack() as stack:
        sent = send(area, repo, options, change_at, "dataset card", dry_run=dry_run)
    return PushedCard(sent, *found[-1])


def _catalog(stack: ExitStack, repo: Repo, head: str) -> Iterator[Addition]:
    """The catalog, where there is one that tells all, as one made on this commit."""
    data = read_own(repo, HEAD_PATH, head)
    found = parse_head(data)
    if data is not None and found is not None and found.is_of(repo.snapshot(head)):
        new = encode_head(head, found.base, found.recent)
        yield addition(stack, HEAD_PATH, new, hashlib.sha256(data).hexdigest())
