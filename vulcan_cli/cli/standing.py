"""How things stand, as `vulcan status` and `vulcan` alone say it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vulcan_cli.environment import read_endpoint
from vulcan_cli.quantities import counted, format_duration, format_size
from vulcan_cli.settings import Settings

if TYPE_CHECKING:
    from vulcan_cli.dataset.catalog import Progress
    from vulcan_cli.errors import BadShard
    from vulcan_cli.staging.area import StagingArea, State
    from vulcan_cli.staging.crowding import Crowd
    from vulcan_cli.staging.survey import Survey


class Slots(NamedTuple):
    """The commit budget of the first repo.

    Attributes:
        repo: The repo, as it is set.
        budget: Commits in a window, as it is set.
        limit: The same, or fewer where the repo said that it takes fewer.
        remaining: Commits that may be made now.
        window_s: That window, seconds.
        spent_at: When the commits were made that count, unix seconds, oldest first.
        next_slot_at: When the next one may be made; None where it may be now.
    """

    repo: str
    budget: int
    limit: int
    remaining: int
    window_s: float
    spent_at: tuple[float, ...]
    next_slot_at: float | None

    def sentence(self, now: float) -> str:
        """What may be committed, and when."""
        wait = ""
        if self.next_slot_at is not None:
            wait = f", next in {format_duration(self.next_slot_at - now)}"
        window = format_duration(self.window_s)
        return f"{self.remaining} of {self.limit} commits left in {window}{wait}, to {self.repo}"


class Standing(NamedTuple):
    """How things stand.

    Attributes:
        root: The staging directory.
        survey: What is in it.
        rows: Rows by state, where that is known.
        bad: Shards whose rows were to be counted and that are none.
        slots: The commit budget; None where no repo is set.
        crowds: Repos and folders near their limits.
        now: When that was, unix seconds.
    """

    root: Path
    survey: Survey
    rows: Mapping[State, int]
    bad: tuple[BadShard, ...]
    slots: Slots | None
    crowds: tuple[Crowd, ...]
    now: float


def read_standing(
    settings: Settings, *, all_rows: bool = False, progress: Progress = lambda *_: None
) -> Standing:
    """Look at the staging directory; changes nothing, and loads Polars for `all_rows` only.

    Args:
        settings: Which one, and what counts.
        all_rows: Count the rows of every state; else those that a catalog tells.
        progress: Told of footers that had to be read for that.

    Raises:
        NotSetUp: None is set, or it is not there.
        DiskTrouble: It cannot be read.
    """
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415
    from vulcan_cli.staging.survey import survey  # noqa: PLC0415

    area = StagingArea(settings.require_staging_dir())
    found = survey(area)
    rows, bad = _all_rows(area, progress) if all_rows else (_known_rows(area), ())
    return Standing(
        root=area.root,
        survey=found,
        rows=rows,
        bad=bad,
        slots=read_slots(area, settings),
        crowds=_crowds(area, settings, found),
        now=time.time(),
    )


def read_slots(area: StagingArea, settings: Settings) -> Slots | None:
    """The commit budget of the first repo; None where none is set."""
    from vulcan_cli.cli.repos import main_key  # noqa: PLC0415
    from vulcan_cli.staging.budget import Budget  # noqa: PLC0415

    if not settings.repo:
        return None
    key = _keys(settings)[0]
    with_peer = key == main_key(settings)
    budget = Budget(area, key, settings.budget, settings.window_s, with_peer=with_peer)
    return Slots(
        repo=settings.repo[0],
        budget=settings.budget,
        limit=budget.limit(),
        remaining=budget.remaining(),
        window_s=settings.window_s,
        spent_at=budget.spent_at(),
        next_slot_at=budget.next_slot_at(),
    )


def lines_of(standing: Standing, *, draws: bool) -> Iterator[str]:
    """What stands below the table of states.

    Args:
        standing: How things stand.
        draws: Whether the picture of the window may use more than ASCII.
    """
    from vulcan_cli.cli.picture import bars  # noqa: PLC0415

    found, slots = standing.survey, standing.slots
    if found.rejected or found.conflicts:
        yield f"set aside: {found.rejected} rejected, {counted(found.conflicts, 'conflict')}"
    if slots is None:
        yield "no repo is set"
    else:
        yield slots.sentence(standing.now)
        if slots.limit < slots.budget:
            yield f"{slots.repo} said that it takes no more; the budget is {slots.budget}"
        if slots.spent_at:
            picture = bars(slots.spent_at, standing.now, slots.window_s, draws=draws)
            yield f"{picture} {format_duration(slots.window_s)} ago to now"
    yield f"sync: {_sync(found)}"


def table_of(standing: Standing) -> list[list[str]]:
    """The states: shards, rows where any are known, bytes, age."""
    table = []
    for state, counts in standing.survey.states.items():
        rows = standing.rows.get(state)
        oldest = ""
        if state == "pending" and counts.oldest is not None:
            oldest = f"oldest {format_duration(standing.now - counts.oldest)}"
        row = [state, counted(counts.shards, "shard"), format_size(counts.size), oldest]
        if standing.rows:
            row.insert(2, "" if rows is None else counted(rows, "row"))
        table.append(row)
    return table


def warnings_of(standing: Standing) -> Iterator[str]:
    """What a person should look at, a sentence each."""
    for path in standing.survey.wide:
        yield f"more accounts may write to {path} than staging needs"
    for crowd in standing.crowds:
        place = f"folder {crowd.folder} of the repo" if crowd.folder else "the repo"
        files = f"about {crowd.files:,} files, where the Hub asks for {crowd.most:,} at most"
        yield f"{place} has {files}"


def _crowds(area: StagingArea, settings: Settings, found: Survey) -> tuple[Crowd, ...]:
    from vulcan_cli.staging.crowding import crowds  # noqa: PLC0415

    waiting, here = found.states["pending"].folders, found.states["synced"].folders
    return crowds(area, _keys(settings), waiting=waiting, here=here)


def _keys(settings: Settings) -> list[str]:
    from vulcan_cli.hub.open import key_without_client  # noqa: PLC0415

    return [key_without_client(repo, read_endpoint()) for repo in settings.repo]


def _known_rows(area: StagingArea) -> dict[State, int]:
    """Rows of `synced/`, where its catalog is up to date."""
    from vulcan_cli.dataset.catalog_words import totals  # noqa: PLC0415

    found = totals(area, "synced")
    return {"synced": found.rows} if found is not None and found.is_current else {}


def _all_rows(
    area: StagingArea, progress: Progress
) -> tuple[dict[State, int], tuple[BadShard, ...]]:
    """Rows of every state, and the shards whose rows nobody can count."""
    from vulcan_cli.dataset.local_catalog import read_state  # noqa: PLC0415
    from vulcan_cli.staging.area import STATES  # noqa: PLC0415

    catalogs = {state: read_state(area, state, progress).catalog for state in STATES}
    rows = {state: int(catalog.rows["n_rows"].sum()) for state, catalog in catalogs.items()}
    return rows, tuple(bad for catalog in catalogs.values() for bad in catalog.bad)


def _sync(found: Survey) -> str:
    if found.owner is None:
        return "an unreadable lease" if found.leased else "none at work"
    return f"{'ended without a word' if found.owner.is_gone() else 'at work'}, {found.owner}"
