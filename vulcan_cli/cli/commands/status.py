"""`vulcan status`: how things stand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vulcan_cli.cli.options.everywhere import Json, Quiet, Repo, StagingDir, Verbose
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.tree import Example
from vulcan_cli.quantities import counted, format_duration, format_size
from vulcan_cli.settings import Settings, load_settings, read_endpoint

if TYPE_CHECKING:
    from vulcan_cli.staging.area import StagingArea
    from vulcan_cli.staging.survey import Survey

EXAMPLES = (
    Example("How many shards wait, and when the next commit may be", "vulcan status"),
    Example("The same for a script", "vulcan status --staging-dir /shared/vulcan --json"),
)
EXIT_CODES = (4, 6)


@dataclass(frozen=True, slots=True)
class _Slots:
    """The commit budget of the main repo."""

    repo: str
    remaining: int
    next_slot_at: float | None


def status(
    *,
    staging_dir: StagingDir = None,
    repo: Repo = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say how many shards wait, how many are published, and what the commit budget allows.

    Nothing is changed, and nothing is asked of the repo.
    """
    # Help and completion load this module, and must not wait for the rest.
    from vulcan_cli.staging import area, survey  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    settings = load_settings(staging_dir=staging_dir, repo=repo)
    out.notices(settings.notices)
    here = area.StagingArea(settings.require_staging_dir())
    found = survey.survey(here)
    slots = _slots(here, settings)
    if json:
        out.json(_document(here.root, found, slots, settings))
        return
    out.line(str(here.root))
    out.table(_states(found), indent="  ", right=(1, 2))
    for line in _rest(found, slots, settings):
        out.line("  " + line)
    for path in found.wide:
        out.warn(f"more accounts may write to {path} than staging needs")


def _slots(area: StagingArea, settings: Settings) -> _Slots | None:
    from vulcan_cli.hub.open import key_without_client  # noqa: PLC0415
    from vulcan_cli.staging.budget import Budget  # noqa: PLC0415

    if not settings.repo:
        return None
    main = settings.repo[0]
    key = key_without_client(main, read_endpoint())
    budget = Budget(area, key, settings.budget, settings.window_s, with_peer=True)
    return _Slots(main, budget.remaining(), budget.next_slot_at())


def _states(found: Survey) -> Iterator[tuple[str, str, str, str]]:
    for state, counts in found.states.items():
        oldest = ""
        if state == "pending" and counts.oldest is not None:
            oldest = f"oldest {format_duration(time.time() - counts.oldest)}"
        yield state, counted(counts.shards, "shard"), format_size(counts.size), oldest


def _rest(found: Survey, slots: _Slots | None, settings: Settings) -> Iterator[str]:
    if found.rejected or found.conflicts:
        yield f"set aside: {found.rejected} rejected, {counted(found.conflicts, 'conflict')}"
    if slots is None:
        yield "no repo is set"
    else:
        window = format_duration(settings.window_s)
        wait = "" if slots.next_slot_at is None else f", next {_when(slots.next_slot_at)}"
        commits = f"{slots.remaining} of {settings.budget} commits left in {window}{wait}"
        yield f"{commits}, to {slots.repo}"
    yield f"sync: {_sync(found)}"


def _sync(found: Survey) -> str:
    if found.owner is None:
        return "an unreadable lease" if found.leased else "none at work"
    return f"{'ended without a word' if found.owner.is_gone() else 'at work'}, {found.owner}"


def _document(root: object, found: Survey, slots: _Slots | None, settings: Settings) -> object:
    states: dict[str, object] = {
        state: {"shards": counts.shards, "bytes": counts.size, "oldest": counts.oldest}
        for state, counts in found.states.items()
    }
    return {
        "staging_dir": str(root),
        **states,
        "rejected": found.rejected,
        "conflicts": found.conflicts,
        "repo": None if slots is None else slots.repo,
        "budget": {
            "budget": settings.budget,
            "window_s": settings.window_s,
            "remaining": None if slots is None else slots.remaining,
            "next_slot_at": None if slots is None else slots.next_slot_at,
        },
        "sync": _owner(found),
        "wider_than_needed": [str(path) for path in found.wide],
    }


def _owner(found: Survey) -> object:
    if not found.leased:
        return None
    if found.owner is None:
        return {"host": None, "pid": None, "since": None, "gone": None}
    owner = found.owner
    return {
        "host": owner.host,
        "pid": owner.pid,
        "since": owner.since,
        "gone": owner.is_gone(),
    }


def _when(moment: float) -> str:
    return f"in {format_duration(moment - time.time())}"
