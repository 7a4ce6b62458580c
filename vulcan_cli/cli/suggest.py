"""What was meant, and values to complete. Loads nothing that reads rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

# Typer looks at the types of a completer when it calls it.
from typer import Context
from typer.core import TyperGroup

if TYPE_CHECKING:
    from vulcan_cli.staging.area import StagingArea, State

MOST = 200
"""More than these nobody reads; one more letter makes them fewer."""

# What any worker may call a column must not be what a shell runs at a TAB, or at Enter.
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]*", re.ASCII)

_BOUNDED = (
    *("tau_re", "tau_im", "tadpole_charge", "W_re", "W_im", "g_s", "m_gravitino", "residual"),
    *("is_susy", "is_isd"),
)

CATALOG = (
    *("path_in_repo", "run_id", "geometry_id"),
    *("h11", "h12", "ks_id", "triang_id", "conifold_id", "cicy_id"),
    *("n_rows", "schema_version", "digest", "bytes", "sha256", "time", "state", "file", "columns"),
    *(f"{end}_{name}" for name in _BOUNDED for end in ("min", "max")),
)
"""Columns of the catalog, known here so that no TAB waits for Polars."""

Completer = Callable[[Context, str], list[tuple[str, str]]]
PlainCompleter = Callable[[Context, str], list[str]]


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`; did you mean status?`, to end a sentence with; nothing where no word is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for typos

    near = get_close_matches(word, list(words), n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


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
            (f"{before}{comma}{minus}{value}", _shards(count)) for value, count in found.items()
        ]

    return complete


def one_of(words: Mapping[str, str], *, listed: bool = False) -> Completer:
    """Completes one of a few words, each with what it means.

    Args:
        words: The words and their meanings.
        listed: Whether several may stand there, `train,val`; then the last is completed.
    """

    def complete(ctx: Context, incomplete: str) -> list[tuple[str, str]]:  # noqa: ARG001
        before, comma, typed = incomplete.rpartition(",") if listed else ("", "", incomplete)
        return [
            (f"{before}{comma}{word}", meaning)
            for word, meaning in words.items()
            if word.startswith(typed)
        ]

    return complete


def column_in_sql(ctx: Context, incomplete: str) -> list[tuple[str, str]]:
    """Completes the column that ends a condition so far, such as `tau_im > 2 AND mod`."""
    match = re.search(r"[A-Za-z_][A-Za-z0-9_]*$", incomplete)
    typed = match[0] if match else ""
    before = incomplete.removesuffix(typed)
    found = _found(ctx, "column", typed)
    return [(f"{before}{name}", _shards(count)) for name, count in found.items()]


def run_ids_in(state: State) -> PlainCompleter:
    """Completes run ids of a state folder, by the names of its files."""

    def complete(ctx: Context, incomplete: str) -> list[str]:
        from vulcan_cli.errors import VulcanError  # noqa: PLC0415

        area = _area(ctx)
        try:
            entries = () if area is None else area.scan(state).entries
        except VulcanError:
            return []
        names = (entry.name.removesuffix(".parquet").partition("__run_")[2] for entry in entries)
        plain = {name for name in names if name and _PLAIN.fullmatch(name)}
        return sorted(name for name in plain if name.startswith(incomplete))[:MOST]

    return complete


def help_words(ctx: Context, incomplete: str) -> list[tuple[str, str]]:
    """Completes topics and commands, for `vulcan help`."""
    from vulcan_cli.cli.topics import TOPICS  # noqa: PLC0415

    root = ctx.find_root()
    commands = root.command.list_commands(root) if isinstance(root.command, TyperGroup) else []
    words = [*TOPICS.items(), *((name, "a command") for name in commands)]
    return [(word, meaning) for word, meaning in words if word.startswith(incomplete)]


def _found(ctx: Context, key: str, beginning: str) -> dict[str, int]:
    from vulcan_cli.dataset.catalog_words import find  # noqa: PLC0415

    if key == "column" and ctx.info_name == "catalog":
        return dict.fromkeys((name for name in CATALOG if name.startswith(beginning)), 0)
    area = _area(ctx)
    if area is None:
        return {}
    states: tuple[State, ...] = ("synced",)
    if ctx.params.get("source") == "staged":
        states = ("synced", "pending")
    found: dict[str, int] = {}
    for state in states:
        for value, count in find(area, state, key, beginning, MOST).items():
            if _PLAIN.fullmatch(value):
                found[value] = found.get(value, 0) + count
    return dict(sorted(found.items())[:MOST])


def _area(ctx: Context) -> StagingArea | None:
    """The staging directory of the line that is typed; None where none is set, or not well."""
    from vulcan_cli.errors import VulcanError  # noqa: PLC0415
    from vulcan_cli.settings import load_settings  # noqa: PLC0415
    from vulcan_cli.staging.area import StagingArea  # noqa: PLC0415

    named = ctx.params.get("staging_dir")
    try:
        folder = load_settings(staging_dir=None if named is None else Path(named)).staging_dir
    except VulcanError:
        # A shell has no use for what is wrong with the settings.
        return None
    return None if folder is None else StagingArea(folder)


def _shards(count: int) -> str:
    return f"{count} shard{'' if count == 1 else 's'}" if count else ""
