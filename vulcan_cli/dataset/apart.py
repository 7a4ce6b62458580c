"""Reading the footers of very many shards in several processes: one decodes on one processor only.

The processes are children of our own, not those of `multiprocessing`, which would run the script of
who uses class `VulcanReader` once more in each.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, Self

from vulcan_cli.dataset.catalog import Catalog, Progress, Source, untold

MANY = 20_000
"""So many footers take longer than a process takes to start."""

_MOST_PROCESSES = 8
_PART = 1000

_CHILD = """
import os, sys
os.environ["POLARS_MAX_THREADS"] = "1"
sys.path[:] = sys.argv[1:]
from vulcan_cli.dataset.apart import serve
serve(sys.stdin.buffer, sys.stdout.buffer)
"""
_BROKEN = (OSError, EOFError, ValueError, pickle.UnpicklingError)


def read_many(
    sources: Sequence[Source], progress: Progress = untold, *, processes: int | None = None
) -> Catalog:
    """As `Catalog.read`, on as many processors as there are; no two sources are of one path.

    Args:
        sources: The shards.
        progress: Told of footers read.
        processes: How many to use; None for what the machine has, where it is worth it.
    """
    if processes is None:
        processes = _processes() if len(sources) >= MANY else 1
    if processes == 1:
        return Catalog.read(sources, progress)
    parts = []
    for part, read in _read(sources, processes):
        parts += read
        progress(min(len(sources), (part + 1) * _PART), len(sources))
    return Catalog.joined(parts)


def serve(asked: IO[bytes], answers: IO[bytes]) -> None:
    """What a child does: read parts until there are no more."""
    # Ctrl-C is for the parent, and its end is ours.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError):
        while True:
            _send(answers, _answer(_received(asked)))


def _answer(part: list[tuple[str, str, str]]) -> object:
    found = Catalog.read([Source(path, Path(file), state) for path, file, state in part])
    bad = [str(each.path) for each in found.bad]
    return found.rows, found.schemas, bad


def _processes() -> int:
    return min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))


def _read(sources: Sequence[Source], processes: int) -> Iterator[tuple[int, list[Catalog]]]:
    """Each part's number and what was read of it, in their order."""
    parts = [sources[start : start + _PART] for start in range(0, len(sources), _PART)]
    children: SimpleQueue[_Child] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(processes):
            children.put(stack.enter_context(_Child()))
        pool = stack.enter_context(ThreadPoolExecutor(processes))
        yield from enumerate(pool.map(lambda part: _read_by_one(children, part), parts))


def _read_by_one(children: SimpleQueue[_Child], part: Sequence[Source]) -> list[Catalog]:
    child = children.get()
    try:
        return child.read(part)
    except _BROKEN:
        # It could not be started, or was ended: the parent can do what it would have done.
        return [Catalog.read(part)]
    finally:
        children.put(child)


class _Child:
    """A process that reads parts, started for the first. Use as a context manager."""

    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def read(self, part: Sequence[Source]) -> list[Catalog]:
        """The shards of a part; what is wrong with others is found out here, once more."""
        if self._process is None:
            self._process = _started()
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        _send(into, [(each.path_in_repo, str(each.file), each.state) for each in part])
        rows, schemas, bad = _received(out)
        others = set(bad)
        read = [Catalog(rows, schemas)]
        if others:
            read.append(Catalog.read([each for each in part if str(each.file) in others]))
        return read


def _started() -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _CHILD, *sys.path]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)  # noqa: S603


def _send(pipe: IO[bytes], what: object) -> None:
    pickle.dump(what, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _received(pipe: IO[bytes]) -> Any:  # noqa: ANN401 (whatever the other end sent)
    # Only our own process is at the other end.
    return pickle.load(pipe)  # noqa: S301
