"""Batches of a stream into `pending/`: good rows are published, bad ones are kept in a file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.files.folder import Folder
from vulcan_cli.staging.intake import Intake, Read

if TYPE_CHECKING:
    from vulcan_cli.vacua.stream import Rows

_KEPT_MODE = 0o600
# Each round finds twenty bad rows of one kind. What is worse than this is not worth sorting.
_MOST_ROUNDS = 50

Work = Callable[[Sequence[tuple[str, Read]]], Intake]
"""Stages inputs, or only validates them."""


class Sorted(NamedTuple):
    """What became of a batch.

    Attributes:
        intake: The good rows; None where there is none.
        problems: What is wrong with the others, with row numbers of the stream.
        bad: Their places in the batch, counted from 0.
        in_general: Whether something is wrong that is no single row's fault.
    """

    intake: Intake | None
    problems: tuple[Problem, ...] = ()
    bad: tuple[int, ...] = ()
    in_general: bool = False


def stage_good(rows: Rows, work: Work, name: str) -> Sorted:
    """Stage the rows of a batch of the stream of this name that are good.

    Rows that a refusal names are put aside and the others tried again. Where more than half are
    bad, or what is wrong is no single row's fault, the whole batch is refused: then it is not for
    us to say which rows are the good ones.
    """
    everything = tuple(range(len(rows)))
    good = list(everything)
    problems: list[Problem] = []
    for _ in range(_MOST_ROUNDS):
        try:
            intake = work([(name, partial(rows.frame, good))])
        except InputRefused as refusal:
            named = {each.row - 1 for each in refusal.problems if each.row is not None}
            found = [each._replace(source=name) for each in refusal.problems]
            problems += [_in_stream(each, rows, good) for each in found]
        else:
            bad = sorted(set(everything).difference(good))
            return Sorted(intake, tuple(problems), tuple(bad))
        if not named:
            return Sorted(None, tuple(problems), everything, in_general=True)
        good = [place for number, place in enumerate(good) if number not in named]
        if 2 * len(good) < len(rows) or not good:
            break
    return Sorted(None, tuple(problems), everything)


def keep(rows: Rows, places: Sequence[int], folder: Path) -> Path:
    """Write rows to a new file of a folder, durably, as they came.

    Raises:
        OSError: The folder does not take it.
    """
    host = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname())
    stem = f"vulcan-refused-{host}-{os.getpid()}-row-{rows.first + places[0]}"
    data = rows.file(places)
    with Folder.open(folder) as here:
        number = 1
        name = f"{stem}.{rows.ending}"
        while not here.create(name, data, _KEPT_MODE):
            # Another process of that number was here before.
            number += 1
            name = f"{stem}-{number}.{rows.ending}"
    return folder / name


def _in_stream(problem: Problem, rows: Rows, good: Sequence[int]) -> Problem:
    """A problem with its row's number in the whole stream."""
    if problem.row is None:
        return problem
    return problem._replace(row=rows.first + good[problem.row - 1])
