"""Values to complete, from the words of the catalog. Loads nothing that reads rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# Typer looks at the types of a completer when it calls it.
from typer import Context

MOST = 200
"""More than these nobody reads; one more letter makes them fewer."""

Completer = Callable[[Context, str], list[tuple[str, str]]]


def values_of(key: str, *, listed: bool = False, signed: bool = False) -> Completer:
    """Completes values of a key, such as `ks_id`, each with its number of shards.

    Args:
        key: As the catalog's words call it.
        listed: Whether several may stand there, `3,5`; then the last is completed.
        signed: Whether `-` may stand before each.
    """

    def complete(ctx: Context, incomplete: str) -> list[tuple[str, str]]:
        before, comma, typed = incomplete.rpartition(",") if listed else ("", "", incomplete)
        minus = "-" if signed and typed.startswith("-") else ""
        found = _found(ctx, key, typed.removeprefix(minus))
        return [
            (f"{before}{comma}{minus}{value}", f"{count} shard{'' if count == 1 else 's'}")
            for value, count in found.items()
        ]

    return complete


def _found(ctx: Context, key: str, beginning: str) -> dict[str, int]:
    from vulcan_cli.dataset.catalog_words import find  # noqa: PLC0415
    from vulcan_cli.errors import VulcanError  # noqa: PLC0415
    from vulcan_cli.settings import load_settings  # noqa: PLC0415
    from vulcan_cli.staging.area import StagingArea, State  # noqa: PLC0415

    named = ctx.params.get("staging_dir")
    try:
        folder = load_settings(staging_dir=None if named is None else Path(named)).staging_dir
    except VulcanError:
        # A shell has no use for what is wrong with the settings.
        return {}
    if folder is None:
        return {}
    states: tuple[State, ...] = ("synced",)
    if ctx.params.get("source") == "staged":
        states = ("synced", "pending")
    found: dict[str, int] = {}
    for state in states:
        for value, count in find(StagingArea(folder), state, key, beginning, MOST).items():
            found[value] = found.get(value, 0) + count
    return dict(sorted(found.items())[:MOST])
