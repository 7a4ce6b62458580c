"""The command as people run it: a process of its own, with an environment of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

CHECKOUT = Path(__file__).parents[1]
VULCAN = (sys.executable, "-m", "vulcan_cli")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a process did."""

    code: int
    out: str
    err: str

    def document(self) -> dict[str, object]:
        """The one JSON document on stdout."""
        return cast("dict[str, object]", json.loads(self.out))

    def error(self) -> dict[str, object]:
        """The error on stderr, as scripts see it."""
        return cast("dict[str, object]", json.loads(self.err)["error"])


def clean(home: Path, **more: str) -> dict[str, str]:
    """An environment that knows nothing of this machine."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **more}


def vulcan(
    *words: str | Path,
    home: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> Ran:
    """Run vulcan with pipes for stdin, stdout and stderr."""
    return _ran([*VULCAN, *words], home, cwd, env, stdin)


def python(
    code: str,
    *words: str | Path,
    home: Path,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> Ran:
    """Run a program that is given as text, with pipes for stdin, stdout and stderr."""
    return _ran([sys.executable, "-c", code, *words], home, None, env, stdin)


_LITTLE_MEMORY = """
import mmap, resource, sys
from pathlib import Path
import vulcan_cli.staging.intake
from vulcan_cli.__main__ import main

pages = int(Path("/proc/self/statm").read_text().split()[0])
# Room for some vacua.
most = pages * mmap.PAGESIZE + (512 << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
sys.exit(main(sys.argv[1:]))
"""


def with_little_memory(
    *words: str | Path, home: Path, env: Mapping[str, str] | None = None, stdin: str = ""
) -> Ran:
    """Run a command line to which the system gives 512 MiB beside the program."""
    return python(_LITTLE_MEMORY, *words, home=home, env=env, stdin=stdin)


def without_threads(*words: str | Path, home: Path, stdin: str = "") -> Ran:
    """Run a command line where the system starts no more threads for Polars."""
    # The stack of one is more than what is left.
    stack = {"RUST_MIN_STACK": str(1 << 30)}
    return with_little_memory(*words, home=home, env=stack, stdin=stdin)


def in_shell(
    command: str,
    *,
    home: Path,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    shell: str = "bash",
) -> Ran:
    """Run a command line in a shell, with pipes for stdin, stdout and stderr."""
    return _ran([shell, "-c", command], home, None, env, stdin)


def _ran(
    command: Sequence[str | Path],
    home: Path,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: str = "",
) -> Ran:
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        env=clean(home, **(env or {})),
        cwd=cwd or home,
        check=False,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def on_full_disk(
    *words: str,
    home: Path,
    blocks: int,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> Ran:
    """As `vulcan`, where files hold so many blocks of 512 bytes: a full disk to whoever writes."""
    command = f"ulimit -f {blocks} && exec {shlex.join([*VULCAN, *words])}"
    env = {**(env or {}), "PYTHONDONTWRITEBYTECODE": "1"}
    return in_shell(command, home=home, env=env, stdin=stdin, shell="/bin/sh")


def on_terminal(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> tuple[int, str]:
    """Run a command on a terminal; its exit status and what the terminal got."""
    main, side = pty.openpty()
    process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=env, cwd=cwd)
    os.close(side)
    seen = b""
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:
            # Linux says EIO when the last process has closed its side.
            break
        if not data:
            break
        seen += data
    os.close(main)
    return process.wait(timeout=120), seen.decode().replace("\r\n", "\n")


def interrupted(line: str) -> list[str]:
    """What an interrupted command says, with the command line to type next."""
    return [
        "vulcan: interrupted",
        "  safe: what was done so far stands; the same command goes on from there",
        f"  next: vulcan {line}",
    ]


# Of threads that Polars stops; its own words, and at any moment.
_PANIC = re.compile(
    r"^$|^thread '.*' panicked at |__POLARS_ABORT_KEYBOARD_INTERRUPT|^note: run with `RUST_BACK"
)


def our_lines(err: str) -> list[str]:
    """The lines of stderr that are ours, where Polars may be stopped: it says so itself."""
    return [line for line in err.splitlines() if not _PANIC.search(line)]


def interrupted_at_work(
    *words: str, home: Path, folder: Path, number: signal.Signals = signal.SIGINT
) -> Ran:
    """Run vulcan, and send Ctrl-C or `number` as soon as a file below a folder holds something."""
    process = subprocess.Popen(
        [*VULCAN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean(home),
        cwd=home,
    )
    while not any(path.is_file() and path.stat().st_size for path in folder.rglob("*")):
        assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)


def modules_after(
    words: Sequence[str], home: Path, env: Mapping[str, str] | None = None
) -> set[str]:
    """Names of the modules that are loaded when a command line is done."""
    code = (
        "import sys\n"
        "from vulcan_cli.__main__ import main\n"
        "main(sys.argv[1:])\n"
        "sys.stderr.write('\\n'.join(sys.modules))\n"
    )
    ran = python(code, *words, home=home, env=env)
    assert ran.code == 0, ran.err
    return set(ran.err.splitlines())
