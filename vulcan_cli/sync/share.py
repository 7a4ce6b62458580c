"""Which of the shards in `pending/` are for a repo, where there are several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property

from vulcan_cli.errors import BadShard, DiskTrouble
from vulcan_cli.hub.routing import home_of
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.staging.listing import Entry
from vulcan_cli.vacua.shard import footer_of


class Share:
    """All that waits: the share of a repo that stands alone."""

    def takes(self, _entry: Entry, /) -> bool:
        """Whether an entry is for this repo, as far as can be told before it is checked."""
        return True

    def is_home_of(self, _geometry_id: str, /) -> bool:
        """Whether shards of a geometry belong into this repo."""
        return True


class OneOfSeveral(Share):
    """The share of one repo beside others. Ask it under the sync lock, when entries are listed."""

    def __init__(
        self, area: StagingArea, keys: Sequence[str], key: str, seen: dict[str, str]
    ) -> None:
        """Bind a share.

        Args:
            area: The staging directory.
            keys: The keys of all repos.
            key: The key of this one.
            seen: File names to geometries that were read before; this adds to it.
        """
        self._area = area
        self._keys = keys
        self._key = key
        self._seen = seen

    def takes(self, entry: Entry, /) -> bool:
        """As `Share.takes`; what nobody can read is for the first repo to judge."""
        if entry.name not in self._seen:
            geometry_id = self._geometry_of(entry) if entry.has_parquet else None
            if geometry_id is None:
                return self._key == self._keys[0]
            self._seen[entry.name] = geometry_id
        return self.is_home_of(self._seen[entry.name])

    def is_home_of(self, geometry_id: str, /) -> bool:
        """As `Share.is_home_of`."""
        return home_of(geometry_id, self._keys, self._published) == self._key

    @cached_property
    def _published(self) -> dict[str, str]:
        """Geometry to the repo that had it first."""
        published: dict[str, str] = {}
        for entry in Ledger(self._area).entries():
            if entry.geometry_id is not None and entry.repo in self._keys:
                published.setdefault(entry.geometry_id, entry.repo)
        return published

    def _geometry_of(self, entry: Entry) -> str | None:
        """The geometry that a footer claims; checked when the entry's turn comes."""
        try:
            fd = self._area.open_shard("pending", entry.name)
            with os.fdopen(fd, "rb") as file:
                return footer_of(file, entry.parquet).geometry.geometry_id
        except (BadShard, DiskTrouble):
            return None


def shares(area: StagingArea, keys: Sequence[str]) -> list[Share]:
    """The share of each repo, in their order."""
    if len(keys) == 1:
        return [Share()]
    seen: dict[str, str] = {}
    return [OneOfSeveral(area, keys, key, seen) for key in keys]
