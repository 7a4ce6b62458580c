"""How things stand in a staging directory, read without changing anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vulcan_cli.staging.area import STATES, StagingArea, State
from vulcan_cli.staging.aside import count_aside
from vulcan_cli.staging.lease import Owner, has_lease, read_owner
from vulcan_cli.staging.listing import Counts


class Survey(NamedTuple):
    """How things stand.

    Attributes:
        states: What each state folder holds.
        rejected: Entries set aside because they are no shards.
        conflicts: Entries set aside because their name is taken by other content.
        leased: Whether somebody holds the sync lock, alive or not.
        owner: Who, as the lease says; None where there is no lease or it cannot be read.
        wide: Folders that more accounts may write to than staging needs.
    """

    states: Mapping[State, Counts]
    rejected: int
    conflicts: int
    leased: bool
    owner: Owner | None
    wide: tuple[Path, ...]


def survey(area: StagingArea) -> Survey:
    """Look at a staging directory.

    Raises:
        NotSetUp: It is not there, or a state folder is missing.
        DiskTrouble: It cannot be read.
    """
    return Survey(
        states={state: area.counts(state) for state in STATES},
        rejected=count_aside(area, "rejected"),
        conflicts=count_aside(area, "conflicts"),
        leased=has_lease(area),
        owner=read_owner(area),
        wide=area.wider_than_needed(),
    )
