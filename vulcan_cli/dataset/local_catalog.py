"""The catalog of a state folder: a cache of the folder, kept in `_vulcan/`, never the truth.

What is stored is believed shard by shard, while name, size, time and inode are as they were. Before
a folder is listed for storing, its own modification time gets a fraction of a second that nobody
else will set; while it has that time, no name in it came, went or was replaced, and one look at the
folder is enough. Shards do not change under their names; where few are asked for, each is looked at
nevertheless.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import polars as pl

from vulcan_cli.dataset import catalog_words
from vulcan_cli.dataset.catalog import COLUMNS, SCHEMA, Catalog, Progress, untold
from vulcan_cli.dataset.catalog_store import (
    BAD,
    IDENTITY,
    ROWS,
    TRIMMED,
    Packed,
    Stored,
    load,
    store,
)
from vulcan_cli.dataset.processes import read_folder
from vulcan_cli.dataset.state_folder import are_as_listed, listing_of, set_stamp, stamp_of
from vulcan_cli.errors import BadShard, DiskTrouble, NotSetUp
from vulcan_cli.files.folder import DAY, Folder, is_temporary
from vulcan_cli.quantities import counted
from vulcan_cli.staging.area import (
    PRIVATE,
    STATES,
    StagingArea,
    State,
    disk_trouble,
)
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.vacua.geometry import KEYS, path_of_file_name

_logger = logging.getLogger(__name__)

_SECOND_NS = 10**9

# So many files are looked at for each question: 2 ms here, some 0.3 s over NFS.
_FEW = 1_000

# How far the clock that stamps files may be ahead of the one that stamps the ledger.
_SKEW_S = 300


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What a state folder holds.

    Attributes:
        catalog: One row for each shard that was asked for.
        n_shards: How many shards there are.
        trimmed: Paths that the ledger knows and `synced/` lacks, each with the key of its repo.
    """

    catalog: Catalog
    n_shards: int
    trimmed: Mapping[str, str]


def read_state(
    area: StagingArea,
    state: State,
    progress: Progress = untold,
    *,
    where: pl.Expr | None = None,
) -> Held:
    """The catalog of a state folder as it is now.

    What came or went since it was stored is read anew. The result is stored where `_vulcan`
    belongs to this account.

    Args:
        area: The staging directory.
        state: Which folder.
        progress: Told of footers that had to be read.
        where: A condition of `Filters.on_shards`; None asks for all shards.

    Raises:
        NotSetUp: There is no such folder.
        DiskTrouble: It cannot be read.
    """
    packed = _load(area, state)
    with area.folder(state) as folder, disk_trouble(folder.path):
        if _is_current(area, state, folder, packed):
            stored = packed.unpack(where)
            if _are_unchanged(folder, stored):
                return replace(_held(stored, state, folder, ()), n_shards=packed.n_shards)
        held = _heal(area, state, folder, packed.unpack(), progress)
        return held if where is None else replace(held, catalog=held.catalog.where(where))


def keep(area: StagingArea) -> None:
    """Bring the stored catalogs up to date: for those who change things, under the sync lock.

    What goes wrong is left to the next reader.
    """
    for state in STATES:
        with (
            contextlib.suppress(NotSetUp, DiskTrouble),
            area.folder(state) as folder,
            disk_trouble(folder.path),
        ):
            packed = _load(area, state)
            if not _is_current(area, state, folder, packed):
                _heal(area, state, folder, packed.unpack())


def _is_current(area: StagingArea, state: State, folder: Folder, packed: Packed) -> bool:
    unchanged = packed.stamp == stamp_of(folder)
    return unchanged and (state != "synced" or packed.ledger == Ledger(area).size())


def _are_unchanged(folder: Folder, stored: Stored) -> bool:
    """Whether the files asked for, where they are few, and those that were none are as they were.

    The folder's own time does not tell of a file that is written in place, such as one that is
    still being copied.
    """
    few = [frame for frame in (stored.rows, stored.bad) if frame.height <= _FEW]
    return all(are_as_listed(folder, frame) for frame in few)


def _heal(
    area: StagingArea,
    state: State,
    folder: Folder,
    stored: Stored,
    progress: Progress = untold,
) -> Held:
    """Take in what changed, and store it where that is ours to do."""
    with _place(area) as place:
        stamp = None if place is None else set_stamp(folder)
        # Before the listing: what it tells of was moved here before.
        ledger = Ledger(area).size()
        listing = listing_of(folder)
        new = _new_in(listing, stored)
        if new.height:
            _logger.info("reads the footers of %s in %s/", counted(new.height, "file"), state)
        fresh, for_now = _read_new(folder, state, new, progress)
        kept = Stored(
            # What could not be read may be readable soon, without any change of the folder.
            None if for_now else stamp,
            ledger,
            stored.rows.join(listing, on=IDENTITY, how="semi"),
            stored.bad.join(listing, on=IDENTITY, how="semi"),
            schemas=stored.schemas,
        )
        healed = _united(kept, fresh)
        if state == "synced":
            healed = _with_ledger(area, healed)
        if place is not None:
            # The answer is right without it.
            with contextlib.suppress(OSError):
                _store(place, state, healed)
    return _held(healed, state, folder, for_now)


def _load(area: StagingArea, state: State) -> Packed:
    try:
        with area.folder(PRIVATE, catalog_words.FOLDER) as place:
            return load(place, _file_name(state))
    except (NotSetUp, DiskTrouble, OSError):
        return Packed()


def _file_name(state: State) -> str:
    return f"{state}.catalog"


@contextmanager
def _place(area: StagingArea) -> Iterator[Folder | None]:
    """The folder of catalogs, where it is this account's to write in."""
    with contextlib.ExitStack() as stack:
        yield _open_place(area, stack)


def _open_place(area: StagingArea, stack: contextlib.ExitStack) -> Folder | None:
    try:
        root = stack.enter_context(area.folder())
        if not _is_ours(root):
            return None
        private = stack.enter_context(root.make_child(PRIVATE))
        if not _is_ours(private):
            return None
        return stack.enter_context(private.make_child(catalog_words.FOLDER))
    except (NotSetUp, DiskTrouble, OSError):
        return None


def _is_ours(folder: Folder) -> bool:
    return os.fstat(folder.fd).st_uid == os.geteuid()


def _new_in(listing: pl.DataFrame, stored: Stored) -> pl.DataFrame:
    for known in (stored.rows, stored.bad):
        listing = listing.join(known, on=IDENTITY, how="anti")
    return listing.sort("name")


def _read_new(
    folder: Folder, state: State, new: pl.DataFrame, progress: Progress
) -> tuple[Stored, tuple[BadShard, ...]]:
    """Read footers; what cannot be read now but perhaps later is told apart."""
    found = read_folder(folder.path, new["name"].to_list(), state, progress)
    rows = found.rows.with_columns(_NAME).join(
        new.select("name", "mtime_ns", "inode"), on="name", how="left", maintain_order="left"
    )
    lasting = {b.path.name: b.reason for b in found.bad if not isinstance(b.__cause__, OSError)}
    bad = new.filter(pl.col("name").is_in(list(lasting))).with_columns(
        pl.col("name").replace_strict(lasting, return_dtype=pl.String).alias("reason")
    )
    for_now = tuple(each for each in found.bad if each.path.name not in lasting)
    return Stored(
        rows=rows.select(list(ROWS)), bad=bad.select(list(BAD)), schemas=found.schemas
    ), for_now


_NAME = pl.col("path_in_repo").str.replace_all("/", "__", literal=True).alias("name")


def _united(kept: Stored, fresh: Stored) -> Stored:
    """Both together, with the schemas that are still in use."""
    schemas = [*kept.schemas, *(each for each in fresh.schemas if each not in kept.schemas)]
    place = pl.Series([schemas.index(each) for each in fresh.schemas], dtype=pl.UInt32)
    moved = fresh.rows.with_columns(place.gather(fresh.rows[SCHEMA]).alias(SCHEMA))
    rows = pl.concat([kept.rows, moved]).sort("path_in_repo")
    used = rows[SCHEMA].unique(maintain_order=True)
    numbers = pl.Series(range(len(used)), dtype=pl.UInt32)
    renumbered = pl.col(SCHEMA).replace_strict(used, numbers, return_dtype=pl.UInt32)
    return replace(
        kept,
        rows=rows.with_columns(renumbered),
        bad=pl.concat([kept.bad, fresh.bad]).sort("name"),
        schemas=tuple(schemas[number] for number in used),
    )


def _with_ledger(area: StagingArea, stored: Stored) -> Stored:
    """With what the ledger knows: SHA-256, and which shards were here."""
    known = _ledger(area)
    rows = stored.rows.join(
        known, on=("path_in_repo", "bytes"), how="left", maintain_order="left"
    ).with_columns(
        # What was written later is another file of that name.
        pl.when(pl.col("mtime_ns") // _SECOND_NS <= pl.col("until")).then("known").alias("sha256")
    )
    trimmed = known.join(stored.rows, on="path_in_repo", how="anti").select(list(TRIMMED))
    return replace(stored, rows=rows.select(list(ROWS)), trimmed=trimmed.sort("path_in_repo"))


def _ledger(area: StagingArea) -> pl.DataFrame:
    """The latest entry of each path."""
    entries = [(e.path, e.repo, e.size, e.sha256, int(e.time)) for e in Ledger(area).entries()]
    types = {**TRIMMED, "bytes": pl.Int64(), "known": pl.String(), "until": pl.Int64()}
    return (
        pl.DataFrame(entries, schema=types, orient="row")
        .unique("path_in_repo", keep="last")
        .with_columns(pl.col("until") + _SKEW_S)
    )


def _store(place: Folder, state: State, stored: Stored) -> None:
    _tidy(place)
    # The words first: where this is cut off between the two, the next reader stores both.
    place.replace(catalog_words.file_name(state), _words(stored))
    store(place, _file_name(state), stored)


def _tidy(place: Folder) -> None:
    """Drop what a killed run left."""
    old = [entry.name for entry in place.scan() if is_temporary(entry.name)]
    for name in old:
        status = place.status(name)
        if status is not None and place.server_time() - status.st_mtime > DAY:
            place.discard(name)


def _words(stored: Stored) -> bytes:
    totals = {
        "shards": stored.rows.height,
        "rows": int(stored.rows["n_rows"].sum()),
        "bytes": int(stored.rows["bytes"].sum()),
        "bad": stored.bad.height,
        "stamp": stored.stamp,
    }
    counted = [
        stored.rows[name].value_counts().select(_word(name, pl.col(name)))
        for name in ("run_id", "geometry_id", *KEYS)
    ]
    columns: dict[str, int] = {}
    for number, n_shards in stored.rows[SCHEMA].value_counts().iter_rows():
        for name in filter(str.isprintable, stored.schemas[number]):
            columns[name] = columns.get(name, 0) + n_shards
    of_columns = pl.DataFrame(
        {"column": list(columns), "count": list(columns.values())},
        schema={"column": pl.String, "count": pl.Int64},
    )
    counted.append(of_columns.select(_word("column", pl.col("column"))))
    words = pl.concat(counted).to_series().sort()
    return catalog_words.text_of(totals, words)


def _word(key: str, values: pl.Expr) -> pl.Expr:
    return pl.format("{}={}\t{}", pl.lit(key), values, pl.col("count")).alias("word")


def _held(stored: Stored, state: State, folder: Folder, for_now: tuple[BadShard, ...]) -> Held:
    """What is stored, for those who ask."""
    rows = stored.rows.with_columns(
        (pl.col("mtime_ns") // 1000).cast(COLUMNS["time"]).alias("time"),
        pl.lit(state).alias("state"),
        (pl.lit(f"{folder.path}{os.sep}") + pl.col("name")).alias("file"),
    )
    lasting = [
        BadShard(folder.path / name, reason)
        for name, reason in stored.bad.select("name", "reason").iter_rows()
    ]
    bad = sorted([*lasting, *for_now], key=lambda each: each.path.name)
    catalog = Catalog(rows.select(*COLUMNS, SCHEMA), stored.schemas, tuple(bad))
    # A file that is no shard stands in the place of one, but was not trimmed.
    there = {path_of_file_name(each.path.name) for each in bad}
    trimmed = {path: repo for path, repo in stored.trimmed.iter_rows() if path not in there}
    return Held(catalog, rows.height, trimmed)
