"""How things stand as Prometheus reads it: the text exposition format, for a node's collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import vulcan_cli

if TYPE_CHECKING:
    from vulcan_cli.cli.standing import Standing

METRICS: Mapping[str, str] = {
    "vulcan_info": "The version that wrote this; always 1.",
    "vulcan_looked_at_timestamp_seconds": "When this was written.",
    "vulcan_shards": "Shards in a state folder.",
    "vulcan_shard_bytes": "Bytes of the shards in a state folder.",
    "vulcan_rows": "Rows of those shards, where they are known.",
    "vulcan_oldest_shard_timestamp_seconds": "When the oldest shard in a state folder came.",
    "vulcan_set_aside": "Entries set aside: no shards, or rows under a name that was taken.",
    "vulcan_commit_budget": "Commits that a window allows.",
    "vulcan_commit_budget_remaining": "Commits that the window allows now.",
    "vulcan_commit_window_seconds": "The length of the window of the commit budget.",
    "vulcan_next_commit_timestamp_seconds": "When the next commit may be, where not now.",
    "vulcan_sync_running": "Whether a sync holds the lock and is not known to be gone.",
    "vulcan_wide_folders": "Folders that more accounts may write to than staging needs.",
    "vulcan_crowded": "Folders and repos near the number of files that the Hub asks for.",
}
"""Every metric and what it says; all are gauges."""


def render(standing: Standing) -> str:
    """The whole file."""
    lines = []
    seen = set()
    for name, labels, value in _samples(standing):
        if name not in seen:
            lines += [f"# HELP {name} {METRICS[name]}", f"# TYPE {name} gauge"]
            seen.add(name)
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {_number(value)}")
    return "\n".join(lines) + "\n"


Sample = tuple[str, dict[str, str], float]


def _samples(standing: Standing) -> Iterator[Sample]:
    found, slots = standing.survey, standing.slots
    place = {"staging_dir": str(standing.root)}
    yield "vulcan_info", {**place, "version": vulcan_cli.__version__}, 1
    yield "vulcan_looked_at_timestamp_seconds", place, standing.now
    yield from _of_states(standing, place)
    yield "vulcan_set_aside", {**place, "why": "rejected"}, found.rejected
    yield "vulcan_set_aside", {**place, "why": "conflict"}, found.conflicts
    if slots is not None:
        repo = {**place, "repo": slots.repo}
        yield "vulcan_commit_budget", repo, slots.limit
        yield "vulcan_commit_budget_remaining", repo, slots.remaining
        yield "vulcan_commit_window_seconds", repo, slots.window_s
        if slots.next_slot_at is not None:
            yield "vulcan_next_commit_timestamp_seconds", repo, slots.next_slot_at
    is_gone = found.owner is not None and found.owner.is_gone()
    yield "vulcan_sync_running", place, found.leased and not is_gone
    yield "vulcan_wide_folders", place, len(found.wide)
    yield "vulcan_crowded", place, len(standing.crowds)


def _of_states(standing: Standing, place: dict[str, str]) -> Iterator[Sample]:
    """A metric's samples stand together, as the format asks for."""
    states = {state: {**place, "state": state} for state in standing.survey.states}
    counts = standing.survey.states
    for state, labels in states.items():
        yield "vulcan_shards", labels, counts[state].shards
    for state, labels in states.items():
        yield "vulcan_shard_bytes", labels, counts[state].size
    for state, rows in standing.rows.items():
        yield "vulcan_rows", states[state], rows
    for state, labels in states.items():
        oldest = counts[state].oldest
        if oldest is not None:
            yield "vulcan_oldest_shard_timestamp_seconds", labels, oldest


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
