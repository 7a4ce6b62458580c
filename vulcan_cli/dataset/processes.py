"""Reading the footers of very many shards on several processors: one process decodes on one only.

The processes are children of our own, not those of `multiprocessing`, which would run the script of
who uses class `VulcanReader` once more in each. The parent reads too, from the first moment on.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

import polars as pl

from vulcan_cli.dataset.catalog import Catalog, Progress, Source, untold
from vulcan_cli.vacua.geometry import path_of_file_name

MANY = 5000
"""So many footers take longer than a process takes to start."""

_MOST_PROCESSES = 8
_PART = 1000

_CHILD = """
import os, sys
os.environ["POLARS_MAX_THREADS"] = "1"
sys.path[:] = sys.argv[1:]
from vulcan_cli.dataset.processes import serve
serve(sys.stdin.buffer, sys.stdout.buffer)
"""
_BROKEN = (OSError, EOFError, ValueError, pickle.UnpicklingError)


class _Part(NamedTuple):
    """Some files of a state folder."""

    folder: Path
    names: Sequence[str]
    state: str

    def read(self, progress: Progress = untold) -> Catalog:
        named = ((name, path_of_file_name(name)) for name in self.names)
        sources = [
            Source(path, self.folder / name, self.state) for name, path in named if path is not None
        ]
        return Catalog.read(sources, progress)


def read_folder(
    folder: Path,
    names: Sequence[str],
    state: str,
    progress: Progress = untold,
    *,
    processes: int | None = None,
) -> Catalog:
    """The catalog of some files of a state folder.

    Args:
        folder: The folder.
        names: Their names, each once; those that no shard can have are passed over.
        state: The state of the folder.
        progress: Told of footers read.
        processes: How many to use; None for what the machine has, where it is worth it.
    """
    if processes is None:
        processes = _processes() if len(names) >= MANY else 1
    if processes == 1:
        return _Part(folder, names, state).read(progress)
    starts = range(0, len(names), _PART)
    work = _Work([_Part(folder, names[start : start + _PART], state) for start in starts])
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(processes - 1))
        # Who is interrupted does not wait for parts that nobody has begun.
        stack.callback(work.waiting.clear)
        helpers = [pool.submit(_help, work) for _ in range(processes - 1)]
        for done in work.do(lambda part: [part.read()]):
            progress(min(len(names), done * _PART), len(names))
        for helper in helpers:
            helper.result()
    progress(len(names), len(names))
    return Catalog.joined([catalog for _, found in sorted(work.found.items()) for catalog in found])


def serve(asked: IO[bytes], answers: IO[bytes]) -> None:
    """What a child does: read parts until there are no more."""
    # Ctrl-C is for the parent, and its end is ours.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError):
        while True:
            found = _received(asked).read()
            _send(answers, (found.rows, found.schemas, [bad.path.name for bad in found.bad]))


class _Work:
    """Parts that wait to be read, and what was found in the others, by their numbers."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self.waiting = deque(enumerate(parts))
        self.found: dict[int, list[Catalog]] = {}

    def do(self, read: Callable[[_Part], list[Catalog]]) -> Iterator[int]:
        """Read a part each step, and say how many all threads have done, until none waits."""
        while True:
            try:
                number, part = self.waiting.popleft()
            except IndexError:
                return
            self.found[number] = read(part)
            yield len(self.found)


def _processes() -> int:
    return min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))


def _help(work: _Work) -> None:
    """Read parts by a process of its own."""
    with _Child() as child:
        for _ in work.do(child.read):
            pass


class _Child:
    """A process that reads parts, started for the first. Use as a context manager."""

    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def read(self, part: _Part) -> list[Catalog]:
        """The shards of a part; what is wrong with others is found out here, once more."""
        try:
            rows, schemas, bad = self._ask(part)
        except _BROKEN:
            # It could not be started, or was ended: we can do what it would have done.
            return [part.read()]
        found = [Catalog(rows, schemas)]
        if bad:
            found.append(part._replace(names=bad).read())
        return found

    def _ask(self, part: _Part) -> tuple[pl.DataFrame, tuple[pl.Schema, ...], list[str]]:
        if self._process is None:
            self._process = _started()
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        _send(into, part)
        answer: tuple[pl.DataFrame, tuple[pl.Schema, ...], list[str]] = _received(out)
        return answer


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
