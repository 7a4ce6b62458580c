"""Where the shards of a question stand: in the staging directory, in the repo, or in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vulcan_cli.dataset.catalog import Source
from vulcan_cli.errors import NotSetUp, TryLater, UsageError, VulcanError
from vulcan_cli.hub.repo import MAIN, Repo
from vulcan_cli.staging.area import StagingArea, State
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.vacua.geometry import SHARD_PATH

Place = Literal["auto", "synced", "staged", "repo"]
"""`synced`: what the repo has confirmed, as it stands here. `staged`: pending and synced. `repo`:
what stands in the repo. `auto`: `synced`, with what `trim-synced` removed read from the repo; the
repo alone where there is no staging directory."""


@dataclass(frozen=True, slots=True)
class Found:
    """The shards that a question is about.

    Attributes:
        sources: Each shard once, by path.
        description: Where they stand, in words.
    """

    sources: tuple[Source, ...]
    description: str


def locate(
    area: StagingArea | None, repo: Repo | None, place: Place, *, revision: str = MAIN
) -> Found:
    """Find the shards of a question.

    Args:
        area: The staging directory, where there is one.
        repo: The repo, where one is set.
        place: Where to look.
        revision: The branch or commit of the repo.

    Raises:
        NotSetUp: What `place` needs is missing.
        UsageError: A revision where no repo is asked.
        TryLater: Shards were trimmed, and the repo that has them cannot be read.
    """
    if place == "auto" and (area is None or not area.exists()):
        area = None
    if place == "repo" or (place == "auto" and area is None):
        if repo is None:
            missing = "staging_dir" if place == "auto" else "repo"
            raise NotSetUp(missing, "there is neither a staging directory nor a repo to read")
        return _in_repo(repo, revision)
    if area is None:
        raise NotSetUp("staging_dir", "there is no staging directory to read")
    if revision != MAIN:
        raise UsageError(f"a revision is one of the repo; say source repo to read {revision}")
    synced = _in_state(area, "synced")
    if place == "staged":
        pending = _in_state(area, "pending")
        return Found((*synced, *pending), f"pending and synced of {area.root}")
    if place == "synced":
        return Found(synced, f"synced of {area.root}")
    return _with_trimmed(area, synced, repo)


def _in_state(area: StagingArea, state: State) -> tuple[Source, ...]:
    return tuple(
        Source(entry.path_in_repo, entry.parquet, state)
        for entry in area.scan(state).entries
        if entry.has_parquet and entry.path_in_repo is not None
    )


def _in_repo(repo: Repo, revision: str) -> Found:
    head = repo.head(revision)
    paths = sorted(file.path for file in repo.files(head) if SHARD_PATH.fullmatch(file.path))
    sources = _fetched(repo, paths, head)
    return Found(sources, f"{repo.name} at {head[:12]}")


def _with_trimmed(area: StagingArea, synced: Sequence[Source], repo: Repo | None) -> Found:
    """What stands in `synced/`, and what the ledger knows of that was trimmed since."""
    here = {source.path_in_repo for source in synced}
    trimmed = sorted({entry.path for entry in Ledger(area).entries()} - here)
    described = f"synced of {area.root}"
    if not trimmed:
        return Found(tuple(synced), described)
    count = f"{len(trimmed)} trimmed shard" + ("s" if len(trimmed) > 1 else "")
    try:
        if repo is None:
            raise NotSetUp("repo", "no repo is set")
        sources = _fetched(repo, trimmed, repo.head())
    except VulcanError as error:
        raise TryLater(f"{count} can only be read from the repo: {error}") from error
    return Found((*synced, *sources), f"{described}, and {count} of {repo.name}")


def _fetched(repo: Repo, paths: Sequence[str], revision: str) -> tuple[Source, ...]:
    sources = []
    for path in paths:
        try:
            file: Path = repo.fetch(path, revision)
        except FileNotFoundError as error:
            raise TryLater(f"{repo.name} no longer has {path}") from error
        sources.append(Source(path, file, "repo"))
    return tuple(sources)
