"""`vulcan demo`: the whole job on real vacua, in a temporary folder."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import typer

from vulcan_cli.cli.options.everywhere import Json, Quiet, Verbose
from vulcan_cli.cli.options.keeping import Keep
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import UsageError
from vulcan_cli.settings import options_alone

EXAMPLES = (
    Example("Watch the whole job", "vulcan demo"),
    Example("And keep its folder to play with", "vulcan demo --keep vulcan-demo"),
)
EXIT_CODES = (6,)

_HERE = "--staging-dir staging"
_THERE = f"{_HERE} --repo ./repo"
_COLUMNS = "h12,ks_id,tau_im,W_re,residual"
_LISTS = "flux,moduli_re,moduli_im"
# Seven geometries are few: this salt leaves no split empty.
_SALT = "--salt 1"

_AFTER_STAGING = (
    ("How things stand.", f"status {_THERE}"),
    (
        "Commit what waits to the repo: a folder here, on the Hub it is owner/name.",
        f"sync {_THERE} --create-repo",
    ),
    (
        "Ask for vacua.",
        f"query {_HERE} --where 'tau_im > 5' --columns {_COLUMNS} --limit 5 --format table",
    ),
    ("Cut the geometries into train, val and test.", f"split {_HERE} {_SALT}"),
    (
        "Write the training rows, lists filled up to 20.",
        f"split train {_HERE} {_SALT} --features {_LISTS} --list-max-len 20 -o train.parquet",
    ),
)


class _Ran(NamedTuple):
    """A command and what became of it; `stdout` only where that was held back."""

    command: str
    exit_code: int
    stdout: str


def demo(
    context: typer.Context,
    *,
    keep: Keep = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Stage real vacua of seven geometries, publish them to a folder, query and split them.

    Each command is shown as it is run; with --json, stdout carries one document of all commands,
    their exit statuses and what they wrote. Needs no network and no settings, and takes seconds.
    """
    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    # What is set on this machine is for real work.
    with _folder(keep) as folder, contextlib.chdir(folder), options_alone():
        _copy_results(Path("results"))
        ran: list[_Ran] = []
        for command in _told(out):
            ran.append(_run(command, out, context.obj))
            if ran[-1].exit_code:
                break
    if out.as_json:
        kept = None if keep is None else str(keep)
        out.json({"folder": kept, "commands": [each._asdict() for each in ran]})
    if ran[-1].exit_code:
        raise typer.Exit(ran[-1].exit_code)
    if keep is not None:
        out.say(f"All of it is in {keep}.")


def _told(out: Output) -> Iterator[str]:
    """The commands of the demo, each after what it is for was told."""
    out.say("Workers stage what their solver wrote; no network, no token.")
    for file in sorted(Path("results").glob("h11-*")):
        yield f"stage {file} --geometry {_geometry(file)} --project demo {_HERE}"
    for what, command in _AFTER_STAGING:
        out.say("")
        out.say(what)
        yield command


def _run(command: str, out: Output, typed: Sequence[str]) -> _Ran:
    """Show a command line and run it as if it had been typed; returns what became of it."""
    from vulcan_cli.cli.app import PROGRAM, main  # noqa: PLC0415

    out.say(f"$ {PROGRAM} {command}")
    loudness = [*(["-q"] if out.quiet else []), *(["-v"] if out.verbose else [])]
    with _stdout_held(held=out.as_json) as written:
        code = main([*shlex.split(command), *loudness], within=typed)
    return _Ran(f"{PROGRAM} {command}", code, written.getvalue().decode())


@contextlib.contextmanager
def _stdout_held(*, held: bool) -> Iterator[io.BytesIO]:
    """Where stdout goes while it is held back; nothing comes there otherwise."""
    written = io.BytesIO()
    if not held:
        yield written
        return
    with contextlib.redirect_stdout(io.TextIOWrapper(written, encoding="utf-8")) as text:
        yield written
        text.detach()


def _geometry(file: Path) -> str:
    """The geometry in a file's name: `h11-272_h12-2_ks-1` is `h11=272,h12=2,ks_id=1`."""
    h11, h12, ks_id = (part.rpartition("-")[2] for part in file.stem.split("_"))
    return f"h11={h11},h12={h12},ks_id={ks_id},triang_id=0"


def _copy_results(folder: Path) -> None:
    folder.mkdir()
    for file in resources.files("vulcan_cli.demo").iterdir():
        if file.name.startswith("h11-"):
            (folder / file.name).write_bytes(file.read_bytes())


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """A temporary folder, or one that stays."""
    if keep is not None:
        if keep.exists():
            raise UsageError(f"{keep} is there already; name a new folder")
        keep.mkdir(parents=True)
        yield keep
        return
    folder = Path(tempfile.mkdtemp(prefix="vulcan-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
