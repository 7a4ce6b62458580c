"""One warm process that runs command lines and Python for the tests of the docs.

`vulcan` on the PATH of a page's shell is a client of it (`CLIENT`) which hands over its words, its
environment and its own stdin, stdout and stderr; so pipes, redirections and the terminal are real,
and only the import of Polars is shared. Started by `python -m tests.docs_server SOCKET`.
"""

from __future__ import annotations

import contextlib
import doctest
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

from vulcan_cli.cli.app import main

CLIENT = """#!{python} -IS
import fcntl, json, os, socket, sys

program, *words = {program!r}, *sys.argv[1:]
lock = os.open({path!r} + ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    alone = bool({{"--every", "--watch"}} & set(words))
except BlockingIOError:
    alone = True
if alone:
    # Another end of a pipe is at work there, or this one stays until it is stopped.
    os.execv({python!r}, [{python!r}, "-m", "vulcan_cli", *words])
there = socket.socket(socket.AF_UNIX)
there.connect({path!r})
socket.send_fds(there, [b"x"], [0, 1, 2])
request = {{"program": program, "words": words, "cwd": os.getcwd(), "environ": dict(os.environ)}}
there.sendall(json.dumps(request).encode())
there.shutdown(socket.SHUT_WR)
sys.exit(int(there.recv(16) or b"1"))
"""
"""The client, of a `program`: `vulcan`, or `python` for a block of a page."""


class Request(TypedDict):
    """What a client asks for."""

    program: str
    words: list[str]
    cwd: str
    environ: dict[str, str]


def write_client(folder: Path, program: str, server: Path) -> None:
    """Make `vulcan`, or the program that runs the Python of a page, in a folder of the PATH."""
    client = folder / program
    client.write_text(CLIENT.format(python=sys.executable, program=program, path=str(server)))
    client.chmod(0o755)


def serve(path: str) -> None:
    """Answer one client after the other, until killed."""
    spaces: dict[str, dict[str, Any]] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            client, _ = listener.accept()
            with client:
                _, streams, *_ = socket.recv_fds(client, 1, 3)
                request: Request = json.loads(_all_of(client))
                with _as_that_process(request, streams):
                    code = _answer(request, spaces)
                client.sendall(str(code).encode())


def _answer(request: Request, spaces: dict[str, dict[str, Any]]) -> int:
    if request["program"] == "vulcan":
        return main(request["words"])
    page, file = request["words"]
    space = spaces.setdefault(page, {"__name__": "__main__"})
    return _run_python(Path(file), space)


def _run_python(file: Path, space: dict[str, Any]) -> int:
    """Run a block, or the examples of one, in the namespace of its page."""
    text = file.read_text()
    if text.startswith(">>> "):
        test = doctest.DocTestParser().get_doctest(text, space, file.name, None, None)
        return int(doctest.DocTestRunner().run(test, clear_globs=False).failed > 0)
    try:
        exec(compile(text, file, "exec"), space)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _all_of(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


@contextlib.contextmanager
def _as_that_process(request: Request, streams: list[int]) -> Iterator[None]:
    """Its descriptors, working directory and environment; afterwards our own."""
    kept, environ, handler = [os.dup(n) for n in range(3)], dict(os.environ), _handler()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environ"])
    try:
        with contextlib.chdir(request["cwd"]):
            sys.stdin, sys.stdout, sys.stderr = _opened(0, "r"), _opened(1, "w"), _opened(2, "w")
            yield
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
    finally:
        os.environ.clear()
        os.environ.update(environ)
        signal.signal(signal.SIGTERM, handler)
        for number, stream in enumerate(kept):
            os.dup2(stream, number)
            os.close(stream)


def _handler() -> Any:
    return signal.getsignal(signal.SIGTERM)


def _opened(descriptor: int, mode: str) -> Any:
    return open(descriptor, mode, encoding="utf-8", closefd=False)


if __name__ == "__main__":
    serve(sys.argv[1])
