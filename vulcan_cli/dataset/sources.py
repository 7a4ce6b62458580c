"""Where the shards of a question stand: in the staging directory, in the repo, or in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import polars as pl

from vulcan_cli import environment
from vulcan_cli.dataset.away import Away
from vulcan_cli.dataset.catalog import Catalog, Progress, untold
from vulcan_cli.dataset.local_catalog import Held, read_state
from vulcan_cli.dataset.repo_catalog import read_repo
from vulcan_cli.errors import (
    HomeNotSet,
    NotSetUp,
    StagingMissing,
    TryLater,
    UsageError,
    VulcanError,
)
from vulcan_cli.hub.open import Login, is_directory, open_repo
from vulcan_cli.hub.repo import MAIN, Repo
from vulcan_cli.quantities import counted
from vulcan_cli.staging.area import StagingArea

Place = Literal["auto", "synced", "staged", "repo"]
"""`synced`: what the repo has confirmed, as it stands here. `staged`: pending and synced. `repo`:
what stands in the repo. `auto`: `synced`, with what `trim-synced` removed read from the repo; the
repo alone where there is no staging directory."""


class Found(NamedTuple):
    """The shards that a question is about.

    Attributes:
        catalog: One row per shard.
        description: Where they stand, in words.
    """

    catalog: Catalog
    description: str


def open_as_set(repo: str, token: str | None = None) -> Repo:
    """Open a repo; one on the Hub with the token, else that of the environment or the login.

    Raises:
        UsageError: It is written in no way that a repo is.
        TokenUnfit: What should hold the token holds none, or others can read it.
    """
    if token is None and not is_directory(repo):
        found = environment.find_token()
        token = None if found is None else found.reveal()
    return open_repo(repo, Login(token=token, endpoint=environment.read_endpoint()))


def locate(
    area: StagingArea | None,
    repos: Sequence[Repo],
    place: Place,
    *,
    revision: str = MAIN,
    where: pl.Expr | None = None,
    progress: Progress = untold,
) -> Found:
    """Find the shards of a question.

    Args:
        area: The staging directory, where there is one.
        repos: The repos that are set, if any; several are one dataset.
        place: Where to look.
        revision: The branch or commit of each repo.
        where: A condition of `Filters.on_shards`: others need not be found. None for all.
        progress: Told of footers that had to be read.

    Raises:
        NotSetUp: What `place` needs is missing.
        UsageError: A revision where no repo is asked.
        HomeNotSet: Shards were trimmed, and the repo that has them is not among `repos`.
        TryLater: Shards were trimmed, and the repo that has them cannot be read.
    """
    is_there = area is not None and area.exists()
    if place == "repo" or (place == "auto" and not is_there):
        if not repos:
            raise _no_repo(area, place)
        return _in_repos(repos, revision, progress)
    if area is None:
        raise NotSetUp("staging_dir", "there is no staging directory to read")
    if revision != MAIN:
        raise UsageError(f"a revision is one of the repo; say source repo to read {revision}")
    if place == "staged":
        return _in_pending_and_synced(area, progress, where)
    held = read_state(area, "synced", progress, where=where)
    if place == "synced":
        return Found(held.catalog, f"synced of {area.root}")
    return _with_trimmed(area, held, repos, progress)


def _no_repo(area: StagingArea | None, place: Place) -> NotSetUp:
    """What is missing where a repo would be read and none is set.

    Raises:
        NotSetUp, DiskTrouble: A file or a link stands in the place of the staging directory.
    """
    if place == "repo":
        return NotSetUp("repo", "no repo is set")
    if area is None:
        return NotSetUp("repo", "there is neither a staging directory nor a repo to read")
    # A file in its place is another trouble than a folder that is missing.
    with area.folder():
        return StagingMissing(area.root, area.root)


def _in_pending_and_synced(area: StagingArea, progress: Progress, where: pl.Expr | None) -> Found:
    # Pending first: what moves on meanwhile is found in one of them.
    pending = read_state(area, "pending", progress, where=where).catalog
    synced = read_state(area, "synced", progress, where=where).catalog
    return Found(Catalog.joined((synced, pending)), f"pending and synced of {area.root}")


def _in_repos(repos: Sequence[Repo], revision: str, progress: Progress) -> Found:
    found = Catalog.joined([read_repo(repo, revision, progress) for repo in repos])
    return Found(found, _described(found.away))


def _described(found: Mapping[str, Away]) -> str:
    """Which repos at which commits, in words."""
    return " and ".join(
        f"{away.repo.name} at {away.commit[:12]}"
        + (", as last seen from this machine" if away.is_cached else "")
        for away in found.values()
    )


def _with_trimmed(
    area: StagingArea, synced: Held, repos: Sequence[Repo], progress: Progress
) -> Found:
    """What stands in `synced/`, and what the ledger knows of that was trimmed since."""
    home = synced.trimmed
    described = f"synced of {area.root}"
    if not home:
        waiting = 0 if synced.n_shards else area.counts("pending").shards
        if waiting:
            described += f", which is empty; {counted(waiting, 'shard')} in pending, read by "
            described += "--source staged"
        return Found(synced.catalog, described)
    count = counted(len(home), "trimmed shard")
    trimmed = _of_repos(home, {repo.key: repo for repo in repos}, progress)
    joined = Catalog.joined((synced.catalog, *trimmed))
    return Found(joined, f"{described}, and {count} of the repo")


def _of_repos(
    home: Mapping[str, str], repos: Mapping[str, Repo], progress: Progress
) -> list[Catalog]:
    """The shards at some paths, each in the repo of its key.

    Raises:
        HomeNotSet: That repo is not set.
        TryLater: A repo cannot be read, or no longer has one of them.
    """
    keys = sorted(set(home.values()))
    unset = [key for key in keys if key not in repos]
    if unset:
        n_shards = sum(key in unset for key in home.values())
        raise HomeNotSet(n_shards, unset, [repo.name for repo in repos.values()])
    found = []
    for key in keys:
        paths = {path for path, of in home.items() if of == key}
        try:
            found.append(_of_repo(repos[key], paths, progress))
        except VulcanError as error:
            count = counted(len(paths), "trimmed shard")
            raise TryLater(f"{count} can only be read from the repo: {error}") from error
    return found


def _of_repo(repo: Repo, paths: set[str], progress: Progress) -> Catalog:
    """The shards at some paths of a repo, which must have them all."""
    catalog = read_repo(repo, progress=progress, only=paths)
    told = {*catalog.rows["path_in_repo"], *(str(shard.path) for shard in catalog.bad)}
    missing = sorted(paths - told)
    if missing:
        raise TryLater(f"{repo.name} no longer has {missing[0]}")
    return catalog
