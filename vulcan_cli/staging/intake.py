"""From inputs to shards in `pending/`: all are validated and on disk before one becomes visible."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from vulcan_cli.errors import Conflict, InputRefused, Problem, UsageError
from vulcan_cli.quantities import counted
from vulcan_cli.staging.already import Published
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.listing import sidecar_beside
from vulcan_cli.staging.publish import Publication
from vulcan_cli.vacua.geometry import file_name
from vulcan_cli.vacua.inputs import Given
from vulcan_cli.vacua.prepare import Prepared, Run, check_rows, check_run, prepare
from vulcan_cli.vacua.shard import Shard, digest_of_rows
from vulcan_cli.vacua.unread import UnreadRows

_logger = logging.getLogger(__name__)

Read = Callable[[], pl.DataFrame | Given]
"""Reads one input: its rows, or also what stands beside them."""


@dataclass(frozen=True, slots=True)
class StagedShard:
    """A shard that is staged. The first five attributes have the peer's names.

    Attributes:
        run_id: The run.
        parquet_path: The file; where it would stand, if it is not in the staging directory.
        sidecar_path: The file beside it.
        path_in_repo: Where it stands, or will stand, in the repo.
        n_rows: How many vacua it holds; for the peer's, what its sidecar says.
        digest: Content digest, 32 hex digits; None for the peer's.
        status: `staged`; `already-staged` where the same rows were there; `valid` in a rehearsal.
        where: The folder it is in, or `repo`.
    """

    run_id: str
    parquet_path: Path
    sidecar_path: Path
    path_in_repo: str
    n_rows: int
    digest: str | None = None
    status: Literal["staged", "already-staged", "valid"] = "staged"
    where: str = "pending"


class Intake(NamedTuple):
    """What became of a call.

    Attributes:
        shards: In the order of the inputs.
        doubts: What is odd, but allowed.
        conflicts: Names that another process took for other rows at this very moment.
        empty: Inputs without rows, where that is normal.
    """

    shards: tuple[StagedShard, ...]
    doubts: tuple[Problem, ...]
    conflicts: tuple[Conflict, ...] = ()
    empty: tuple[str, ...] = ()


def stage(
    area: StagingArea, inputs: Iterable[tuple[str, Read]], run: Run, *, now: datetime
) -> Intake:
    """Publish the shards of some inputs, all or none of them.

    Args:
        area: The staging directory; its folders are made where they are missing.
        inputs: What to call each input in messages, and how to read it.
        run: What is known of their rows; with a `run_id`, one shard only.
        now: The moment, with a time zone.

    Raises:
        InputRefused: With all problems of all inputs. Nothing was published.
        Conflict: A run id is taken by other rows. Nothing was published.
        DiskTrouble: The file system refuses.
    """
    # The folders come last: a refused input leaves the disk as it was.
    validated = _validate(inputs, run, now)
    shards = validated.shards
    if not shards:
        return validated.intake([])
    area.create()
    with Publication(area, digest_of=digest_of_rows, staged_by=_me()) as publication:
        for shard in shards:
            publication.add(
                path_in_repo=shard.path_in_repo,
                write=shard.write,
                sidecar=shard.sidecar(),
                digest=shard.digest,
            )
        results = publication.link_all()
    staged = [
        _staged(area, shard, result)
        for shard, result in zip(shards, results, strict=True)
        if isinstance(result, Published)
    ]
    conflicts = tuple(result for result in results if isinstance(result, Conflict))
    return validated.intake(staged, conflicts)


def validate(
    area: StagingArea, inputs: Iterable[tuple[str, Read]], run: Run, *, now: datetime
) -> Intake:
    """As `stage`, but write nothing at all: the shards that would be there.

    Raises:
        InputRefused: With all problems of all inputs.
    """
    validated = _validate(inputs, run, now)
    return validated.intake([_would_be(area, shard) for shard in validated.shards])


class _Validated(NamedTuple):
    """Inputs of which nothing is wrong."""

    shards: tuple[Shard, ...]
    doubts: tuple[Problem, ...]
    empty: tuple[str, ...]

    def intake(self, shards: Iterable[StagedShard], conflicts: tuple[Conflict, ...] = ()) -> Intake:
        return Intake(tuple(shards), self.doubts, conflicts, self.empty)


def _validate(inputs: Iterable[tuple[str, Read]], run: Run, now: datetime) -> _Validated:
    of_run = check_run(run)
    problems = list(of_run)
    shards: list[Shard] = []
    doubts: list[Problem] = []
    empty = []
    for name, read in inputs:
        try:
            made = _prepared(_given(read, run, now), run, now)
        except InputRefused as refusal:
            problems += [_of(name, each) for each in refusal.problems if each not in of_run]
            continue
        if not made.shards:
            empty.append(name)
        shards += made.shards
        doubts += [_of(name, doubt) for doubt in made.doubts]
    if problems:
        raise InputRefused(*problems)
    if run.run_id is not None and len(shards) > 1:
        raise UsageError(f"one run id cannot name {len(shards)} shards")
    for shard in shards:
        n_rows = counted(shard.n_rows, "row")
        _logger.info("%s: %s, content digest %s", shard.path_in_repo, n_rows, shard.digest)
    return _Validated(tuple(shards), tuple(doubts), tuple(empty))


def _given(read: Read, run: Run, now: datetime) -> Given:
    """What an input gives; where some rows cannot be read, the others are checked too."""
    try:
        found = read()
    except UnreadRows as unread:
        others = check_rows(unread.others, run, now=now)
        numbered = (_in_input(problem, unread.numbers) for problem in others)
        raise InputRefused(*unread.problems, *numbered) from None
    return found if isinstance(found, Given) else Given(found)


def _in_input(problem: Problem, numbers: Sequence[int]) -> Problem:
    """A problem of some rows with its row's number among all."""
    return problem if problem.row is None else problem._replace(row=numbers[problem.row - 1])


def _prepared(given: Given, run: Run, now: datetime) -> Prepared:
    if given.may_be_empty and given.frame.is_empty():
        return Prepared(shards=(), doubts=())
    made = prepare(
        given.frame, replace(run, provenance={**given.provenance, **run.provenance}), now=now
    )
    return replace(made, doubts=(*given.remarks, *made.doubts))


def _of(name: str, problem: Problem) -> Problem:
    return problem._replace(source=problem.source or name)


def _staged(area: StagingArea, shard: Shard, published: Published) -> StagedShard:
    would_be = _would_be(area, shard)
    path = published.path or would_be.parquet_path
    return replace(
        would_be,
        parquet_path=path,
        sidecar_path=sidecar_beside(path),
        status=published.status,
        where=published.where,
    )


def _would_be(area: StagingArea, shard: Shard) -> StagedShard:
    path = area.pending / file_name(shard.path_in_repo)
    return StagedShard(
        run_id=shard.run_id,
        parquet_path=path,
        sidecar_path=sidecar_beside(path),
        path_in_repo=shard.path_in_repo,
        n_rows=shard.n_rows,
        digest=shard.digest,
        status="valid",
    )


def _me() -> str:
    return f"uid {os.getuid()} on {socket.gethostname()}"
