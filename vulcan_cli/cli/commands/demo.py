"""`vulcan demo`: the whole job on real vacua, in a temporary folder."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import typer

from vulcan_cli.cli.options.everywhere import Quiet
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


def demo(*, keep: Keep = None, quiet: Quiet = False) -> None:
    """Stage real vacua of seven geometries, publish them to a folder, query and split them.

    Each command is shown as it is run. Needs no network and no settings, and takes seconds.
    """
    out = Output(quiet=quiet)
    # What is set on this machine is for real work.
    with _folder(keep) as folder, contextlib.chdir(folder), options_alone():
        _copy_results(Path("results"))
        out.say("Workers stage what their solver wrote; no network, no token.")
        for file in sorted(Path("results").glob("h11-*")):
            _run(f"stage {file} --geometry {_geometry(file)} --project demo {_HERE}", out)
        for what, command in _AFTER_STAGING:
            out.say("")
            out.say(what)
            _run(command, out)
    if keep is not None:
        out.say(f"All of it is in {keep}.")


def _run(command: str, out: Output) -> None:
    """Show a command line and run it, as if it had been typed."""
    from vulcan_cli.cli.app import PROGRAM, main  # noqa: PLC0415

    out.say(f"$ {PROGRAM} {command}")
    code = main([*shlex.split(command), *(["-q"] if out.quiet else [])])
    if code:
        raise typer.Exit(code)


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
