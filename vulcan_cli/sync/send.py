"""Files of our own sent without any shard: a slot, one request, and a look at what became of it.

There is no journal: what is to be sent follows from the repo as it stands, so running it again is
the recovery, and what landed already needs no commit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Literal, NamedTuple

from vulcan_cli.errors import InputRefused, Problem, RepoRefuses, TryLater
from vulcan_cli.hub import repo as hub
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.budget import Budget
from vulcan_cli.sync.commit import hear
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.sync.timing import Clock


class Change(NamedTuple):
    """What a commit is to do.

    Attributes:
        additions: Files to put in, each readable until the commit has returned.
        removals: Files to take out.
        bad_input: Paths whose refusal is the fault of what a person gave.
    """

    additions: tuple[hub.Addition, ...] = ()
    removals: tuple[hub.Removal, ...] = ()
    bad_input: frozenset[str] = frozenset()


class Sent(NamedTuple):
    """What was done.

    Attributes:
        repo: The repo's name.
        status: `pushed`; `unchanged` where the repo had it all; `rehearsed` where it was only to
            be found out.
        commit: The id of the commit; None where there was none.
        added: Paths that were put in, or are to be.
        removed: Paths that were taken out, or are to be.
    """

    repo: str
    status: Literal["pushed", "unchanged", "rehearsed"]
    commit: str | None
    added: tuple[str, ...]
    removed: tuple[str, ...]


def send(
    area: StagingArea,
    repo: hub.Repo,
    options: SyncOptions,
    change_at: Callable[[str], Change],
    title: str,
    *,
    dry_run: bool = False,
    clock: Clock | None = None,
) -> Sent:
    """Bring a branch to where nothing is left to change, with at most one commit that lands.

    Args:
        area: The staging directory, which holds the budget.
        repo: Where to.
        options: How.
        change_at: What is to be done at a commit, found out anew whenever that moved.
        title: What the commit is called, after the prefix; made from constants and counts.
        dry_run: Only find out what is to be done: no slot, no commit.
        clock: Time.

    Raises:
        TryLater: No slot is free, the server has trouble, or others commit all the time.
        InputRefused, RepoRefuses: The repo will not have the files.
        VulcanError: The repo cannot be reached, or not written to.
    """
    clock = clock or Clock()
    if not dry_run:
        repo.preflight(create=options.create_repo, revision=options.revision)
    for _ in range(options.max_retries + 1):
        head = repo.head(options.revision)
        change = change_at(head)
        added = tuple(each.path_in_repo for each in change.additions)
        removed = tuple(each.path_in_repo for each in change.removals)
        if not added and not removed:
            return Sent(repo.name, "unchanged", None, (), ())
        if dry_run:
            return Sent(repo.name, "rehearsed", None, added, removed)
        landed = _try(area, repo, options, change, head=head, title=title, clock=clock)
        if landed is not None:
            return Sent(repo.name, "pushed", landed, added, removed)
    raise TryLater(f"{repo.name} changed at every try")


def _try(
    area: StagingArea,
    repo: hub.Repo,
    options: SyncOptions,
    change: Change,
    *,
    head: str,
    title: str,
    clock: Clock,
) -> str | None:
    """One commit request; None where it is worth another look."""
    uploaded = repo.upload(change.additions, options.revision)
    if not isinstance(uploaded, hub.Ready):
        _not_landed(uploaded, change, repo.name)
        return None
    budget = Budget(
        area,
        repo.key,
        options.budget,
        options.window_s,
        clock.now,
        with_peer=options.with_peer,
        name=repo.name,
    )
    commit = hub.Commit(
        message=f"{options.commit_prefix}, {title}",
        description=f"vulcan push {uuid.uuid4().hex}",
        parent=head,
        additions=change.additions,
        removals=change.removals,
    )
    with budget.slot():
        outcome = repo.commit(commit, options.revision)
    hear(budget, outcome)
    if isinstance(outcome, hub.Landed):
        return outcome.commit_id
    if isinstance(outcome, hub.Unknown):
        return _look(repo, options.revision, commit, outcome)
    _not_landed(outcome, change, repo.name)
    return None


def _look(repo: hub.Repo, revision: str, commit: hub.Commit, unknown: hub.Unknown) -> str | None:
    """Whether the commit landed, by what the repo remembers.

    Raises:
        TryLater: It did not, or not yet.
    """
    for logged in repo.log(10, revision):
        if commit.description in logged.description:
            return logged.id
    raise unknown.as_later().error(repo.name)


def _not_landed(outcome: hub.UploadOutcome | hub.CommitOutcome, change: Change, name: str) -> None:
    """Return where it is worth another look; nothing was committed.

    Raises:
        TryLater, InputRefused, RepoRefuses: It is not.
    """
    if isinstance(outcome, hub.Later):
        raise outcome.error(name)
    if isinstance(outcome, hub.Refused):
        if change.bad_input & set(outcome.culprits):
            raise InputRefused(*(Problem(outcome.reason, source=path) for path in outcome.culprits))
        what = ", ".join(outcome.culprits) or "this commit"
        raise RepoRefuses(f"{name} refuses {what}: {outcome.reason}")
