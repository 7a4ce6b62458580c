"""What `vulcan` alone says: where one stands, and what to type next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import vulcan_cli
from vulcan_cli.cli.output import Output
from vulcan_cli.errors import VulcanError
from vulcan_cli.quantities import counted, format_duration, format_size
from vulcan_cli.settings import Settings, load_settings

if TYPE_CHECKING:
    from vulcan_cli.cli.standing import Slots
    from vulcan_cli.staging.listing import Counts

JSON_FORMAT = 1
"""Changes only where a key of a JSON document is renamed, dropped or given another meaning."""

_NONE = "not set"


class _Found(NamedTuple):
    """What can be told quickly, and what is in the way of the rest."""

    pending: Counts | None = None
    failed: Counts | None = None
    slots: Slots | None = None
    trouble: VulcanError | None = None


def welcome(out: Output) -> None:
    """Say where one stands; loads nothing that reads rows."""
    settings = load_settings()
    out.notices(settings.notices)
    found = _look(settings)
    steps = list(_next(settings, found))
    if out.as_json:
        out.json(_document(settings, found, [command for command, _ in steps]))
        return
    out.line(f"vulcan {vulcan_cli.__version__}: flux vacua from a cluster to one dataset")
    out.line("")
    out.table(_rows(settings, found), indent="  ")
    out.line("")
    out.line("Next:")
    out.table(steps, indent="  ")


def version(out: Output) -> None:
    """Say the version."""
    if out.as_json:
        out.json({"version": vulcan_cli.__version__, "json_format": JSON_FORMAT})
    else:
        out.line(f"vulcan {vulcan_cli.__version__}")


def _look(settings: Settings) -> _Found:
    from vulcan_cli.cli.standing import read_slots  # noqa: PLC0415
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415

    if settings.staging_dir is None:
        return _Found()
    area = StagingArea(settings.staging_dir)
    try:
        return _Found(area.counts("pending"), area.counts("failed"), read_slots(area, settings))
    except VulcanError as error:
        return _Found(trouble=error)


def _rows(settings: Settings, found: _Found) -> Iterator[tuple[str, str]]:
    yield "staging", _with_origin(settings, "staging_dir", str(settings.staging_dir or ""))
    yield "repo", _with_origin(settings, "repo", ", ".join(settings.repo))
    if found.trouble is not None:
        yield "trouble", str(found.trouble)
    if found.pending is not None:
        yield "pending", _pending(found.pending)
    if found.failed is not None and found.failed.shards:
        yield "failed", counted(found.failed.shards, "shard")
    if found.slots is not None:
        yield "budget", found.slots.sentence(time.time()).partition(", to ")[0]


def _with_origin(settings: Settings, name: str, value: str) -> str:
    return f"{value}  ({settings.origins[name]})" if value else _NONE


def _pending(counts: Counts) -> str:
    text = f"{counted(counts.shards, 'shard')}, {format_size(counts.size)}"
    if counts.oldest is None:
        return text
    return f"{text}, oldest {format_duration(time.time() - counts.oldest)}"


def _next(settings: Settings, found: _Found) -> Iterator[tuple[str, str]]:
    """Command lines that are of use now, the most useful first."""
    if settings.staging_dir is None:
        yield "vulcan demo", "see all of it at work; no network, no settings"
        yield "vulcan init /shared/vulcan", "make a staging directory"
    elif found.trouble is not None:
        yield "vulcan doctor", "find out what is wrong, and its cure"
    elif not settings.repo:
        yield "vulcan stage results.parquet", "put vacua into pending/"
        yield "export VULCAN_REPO=owner/name", "say where they go"
    else:
        yield from _work(found)
    yield "vulcan --help", "all commands"
    yield "vulcan help", "what else there is to read"


def _work(found: _Found) -> Iterator[tuple[str, str]]:
    if found.pending is not None and found.pending.shards:
        yield "vulcan sync", "commit what waits"
    if found.failed is not None and found.failed.shards:
        yield "vulcan retry-failed --dry-run", "why shards failed"
    yield "vulcan query --limit 5", "look at vacua"


def _document(settings: Settings, found: _Found, steps: list[str]) -> dict[str, object]:
    slots = found.slots
    return {
        "version": vulcan_cli.__version__,
        "json_format": JSON_FORMAT,
        "staging_dir": settings.staging_dir,
        "repo": settings.repo,
        "pending": None if found.pending is None else found.pending.shards,
        "failed": None if found.failed is None else found.failed.shards,
        "budget_remaining": None if slots is None else slots.remaining,
        "trouble": None if found.trouble is None else str(found.trouble),
        "next": steps,
    }
