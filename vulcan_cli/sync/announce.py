"""What goes into a commit beside its shards: catalog and card of the repo, brought up to date.

The catalog is a cache, and never the reason that a shard is not published: where it cannot be made,
or the repo will not have it, the commits of this run go without both, and the report says so. The
next run finds out what it lacks by listing the repo.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vulcan_cli.dataset.away import Away
from vulcan_cli.dataset.card import README
from vulcan_cli.dataset.catalog import COLUMNS, Catalog, Source, frame_of, row_of
from vulcan_cli.dataset.catalog_text import encode
from vulcan_cli.dataset.footers import FooterReader
from vulcan_cli.dataset.repo_catalog import list_shards, matching, read_footers, unread
from vulcan_cli.dataset.repo_head import (
    BASE_PATH,
    HEAD_PATH,
    Base,
    encode_head,
    parse_head,
    read_base,
    read_own,
)
from vulcan_cli.errors import VulcanError
from vulcan_cli.hub.repo import Addition, Refused, Repo
from vulcan_cli.other_errors import first_line
from vulcan_cli.sync.check import Checked
from vulcan_cli.sync.in_memory import addition
from vulcan_cli.sync.readme import CardKeeper, NoCardError, reason_of

MOST_RECENT = 1000
"""So many rows may stand in the head file, or a quarter of those in the base file."""

MOST_SHARDS = 24_997
"""With more shards than this in a commit, our three files would be too many for the Hub."""

MOST_FOOTERS = 500
"""Footers of shards of others that one commit reads at most; the rest comes with later ones."""


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The catalog as it stands at a commit, or as it will with the next one.

    Attributes:
        base: The base file; None where there is none, or none that counts.
        recent: Rows beside those of the base.
        replaced: SHA-256 of the head file that is there.
        replaced_base: That of the base file; None also where nobody looked.
    """

    base: Base | None
    recent: Catalog
    replaced: str | None
    replaced_base: str | None


class Announcer:
    """Makes catalog and card for the commits of one run to one repo."""

    def __init__(
        self,
        repo: Repo,
        *,
        now: Callable[[], float],
        say: Callable[[str], None],
        card: CardKeeper | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            repo: The repo.
            now: Unix seconds.
            say: Told why there is no catalog, once.
            card: Makes the card out of the catalog; None for no card.
        """
        self._repo = repo
        self._now = now
        self._say = say
        self._card = card
        self._base: tuple[str, Catalog] | None = None
        self._is_on = True
        self._at: tuple[str, _Known] | None = None
        self._next: _Known | None = None
        self._suspected: str | None = None

    @contextmanager
    def prepared(self, shards: Sequence[Checked], parent: str) -> Iterator[tuple[Addition, ...]]:
        """The files that belong into a commit of these shards; readable for the length of a block.

        Args:
            shards: What the commit adds.
            parent: The commit it is made on.
        """
        self._next = None
        if self._card is not None:
            self._card.begin()
        with ExitStack() as stack:
            fits = len(shards) <= MOST_SHARDS
            wanted = self._is_on and self._suspected is None and fits
            yield self._files(stack, shards, parent) if wanted else ()

    def is_to_blame(self, refused: Refused, n_shards: int) -> bool:
        """Whether to try a refused commit again without our files, as they may be the cause.

        Where nobody is named, the search for a shard goes on without them, so that they cannot
        mislead it; `judge` then tells.

        Args:
            refused: What the repo said.
            n_shards: How many shards the commit held.
        """
        if self._card is not None and self._card.is_to_blame(refused.reason, refused.culprits):
            return True
        if refused.culprits and not {HEAD_PATH, BASE_PATH} & set(refused.culprits):
            return False
        if refused.culprits:
            self.stop(refused.reason)
            return True
        self._suspected = refused.reason
        return n_shards == 1

    def judge(self, *, all_landed: bool, none_landed: bool) -> None:
        """A batch has ended: where all of it landed once our files were left out, they are why.

        Args:
            all_landed: The repo has all shards of the batch.
            none_landed: It has refused each of them, so that nothing is known yet.
        """
        if self._suspected is not None and all_landed:
            self.stop(self._suspected)
        if not none_landed:
            self._suspected = None

    def landed(self, commit_id: str) -> None:
        """The repo said that the commit at hand is this one."""
        self._at = None if self._next is None else (commit_id, self._next)
        self._next = None
        if self._card is not None:
            self._card.landed(commit_id)

    def stop(self, why: str) -> None:
        """Let the further commits of this run go without a catalog."""
        if self._is_on:
            self._say(f"the catalog in {self._repo.name} is not brought up to date: {why}")
        self._is_on = False

    def _files(
        self, stack: ExitStack, shards: Sequence[Checked], parent: str
    ) -> tuple[Addition, ...]:
        try:
            known = self._at[1] if self._at and self._at[0] == parent else self._read(parent)
            files, self._next = self._with(shards, known, parent)
            files += self._card_file(self._next, parent)
            return tuple(addition(stack, *file) for file in files)
        except (VulcanError, OSError) as error:
            self.stop(reason_of(error))
        except (ValueError, pl.exceptions.PolarsError) as error:
            self.stop(first_line(error))
        return ()

    def _read(self, commit: str) -> _Known:
        """The catalog as it stands at a commit, made good for what others committed."""
        data = read_own(self._repo, HEAD_PATH, commit)
        head = parse_head(data)
        # Into a folder, people may copy shards without a commit.
        if head is not None and self._repo.is_remote and head.is_of(self._repo.snapshot(commit)):
            told = None if head.base is None else head.base.sha256
            return _Known(head.base, head.recent, head.sha256, told)
        replaced = None if data is None else hashlib.sha256(data).hexdigest()
        if head is None:
            return self._by_listing(commit, None, None, replaced)
        return self._by_listing(commit, head.base, head.recent, replaced)

    def _by_listing(
        self, commit: str, base: Base | None, recent: Catalog | None, replaced: str | None
    ) -> _Known:
        """All rows anew, as far as possible out of those that are there."""
        older = read_base(self._repo, commit, base)
        earlier = [each for each in (recent, older) if each is not None]
        rows = matching(earlier, list_shards(self._repo, commit))
        held = {} if older is None else dict(_contents(older))
        now = dict(_contents(rows))
        is_true = older is not None and all(now.get(path) == held[path] for path in held)
        if base is None or not is_true:
            return _Known(None, rows, replaced, self._base_there(commit))
        since = rows.where(~pl.col("path_in_repo").is_in(list(held)))
        return _Known(base, since, replaced, base.sha256)

    def _base_there(self, commit: str) -> str | None:
        """SHA-256 of a base file that does not count, for who compares it."""
        data = None if self._repo.is_remote else read_own(self._repo, BASE_PATH, commit)
        return None if data is None else hashlib.sha256(data).hexdigest()

    def _with(
        self, shards: Sequence[Checked], known: _Known, parent: str
    ) -> tuple[list[tuple[str, bytes, str | None]], _Known]:
        """The files of a commit with these shards, and what is known once it has landed."""
        away = Away(self._repo, parent)
        late = read_footers(away, unread(known.recent)[:MOST_FOOTERS])
        recent = Catalog.joined((self._rows(shards), late, known.recent))
        base, replaced_base, files = known.base, known.replaced_base, []
        few = max(MOST_RECENT, (base.n_shards if base else 0) // 4)
        if recent.already_read().rows.height > few:
            older = read_base(self._repo, parent, base)
            if older is None:
                recovered = self._by_listing(parent, None, known.recent, known.replaced)
                return self._with(shards, recovered, parent)
            whole = Catalog.joined((recent.already_read(), older))
            data = encode(whole, {})
            files.append((BASE_PATH, data, replaced_base))
            base = Base(hashlib.sha256(data).hexdigest(), whole.rows.height)
            self._base = (base.sha256, whole)
            replaced_base = base.sha256
            recent = recent.where(pl.col("n_rows").is_null())
        data = encode_head(parent, base, recent)
        files.append((HEAD_PATH, data, known.replaced))
        return files, _Known(base, recent, hashlib.sha256(data).hexdigest(), replaced_base)

    def _card_file(self, known: _Known, parent: str) -> list[tuple[str, bytes, str | None]]:
        made = self._card and self._card.file(lambda: self._all(known, parent), parent)
        return [(README, *made)] if made else []

    def _all(self, known: _Known, parent: str) -> Catalog:
        """All rows of the catalog as it will be with the next commit."""
        base = known.base
        if base is None:
            return known.recent
        if self._base is None or self._base[0] != base.sha256:
            rows = read_base(self._repo, parent, base)
            if rows is None:
                raise NoCardError(f"{BASE_PATH} is not what {HEAD_PATH} says")
            self._base = (base.sha256, rows)
        return Catalog.joined((known.recent, self._base[1]))

    def _rows(self, shards: Sequence[Checked]) -> Catalog:
        """The rows of the shards that the commit adds."""
        reader = FooterReader()
        rows = []
        for shard in shards:
            seen = reader.read(shard.local)
            source = Source(shard.path_in_repo, Path(shard.path_in_repo), "repo")
            rows.append(row_of(seen, source, shard.path_in_repo, shard.sha256))
        moment = pl.from_epoch(pl.lit(int(self._now()))).cast(pl.Datetime("us", "UTC"))
        frame = frame_of(rows).with_columns(time=moment.cast(COLUMNS["time"]))
        return Catalog(frame, tuple(reader.schemas))


def _contents(catalog: Catalog) -> Iterator[tuple[str, tuple[int, str | None]]]:
    """Path to size and SHA-256 of each row."""
    for path, size, sha256 in catalog.rows.select("path_in_repo", "bytes", "sha256").iter_rows():
        yield path, (size, sha256)
