"""`vulcan init`: a staging directory that workers share."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vulcan_cli.cli.options.everywhere import Json, Quiet, Verbose
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.tree import Example
from vulcan_cli.errors import UsageError

if TYPE_CHECKING:
    from vulcan_cli.staging.setup import Changed, Founded

EXAMPLES = (
    Example("For all accounts of a group", "vulcan init /shared/vulcan --group forge"),
    Example("And use it in this shell", 'eval "$(vulcan init /shared/vulcan)"'),
)
EXIT_CODES = (4, 6)

_VARIABLE = "VULCAN_STAGING_DIR"

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")]

GroupName = Annotated[
    str | None,
    typer.Option(
        "--group", metavar="GROUP", help="Accounts of this group may stage; its name or number."
    ),
]


def init(
    directory: Directory,
    *,
    group: GroupName = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a staging directory, or give an old one the permissions it should have.

    Accounts of its group may put shards into pending/, and nobody there can touch another's. All
    other folders are yours, who runs sync, to write, and the group's to read. Running it again
    changes nothing. Stdout gets the line for your shell that makes all commands use it.
    """
    from vulcan_cli.staging import setup  # noqa: PLC0415

    out = Output(as_json=json, quiet=quiet, verbose=verbose)
    founded = setup.found_area(directory, group=None if group is None else _group_id(group))
    if json:
        out.json(_document(founded))
        return
    _tell(out, founded)
    out.line(f"export {_VARIABLE}={shlex.quote(str(founded.root))}")


def _group_id(text: str) -> int:
    import grp  # noqa: PLC0415

    if text.isascii() and text.isdecimal() and int(text) < 2**32 - 1:
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except (KeyError, ValueError):
        raise UsageError(f"there is no group {text!r} on this node") from None


def _group_name(group: int) -> str:
    import grp  # noqa: PLC0415

    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def _tell(out: Output, founded: Founded) -> None:
    for path in founded.made:
        out.say(f"made {path}")
    for change in founded.changed:
        out.say(f"{change.path} was {_shown(change, 0)}, is now {_shown(change, 1)}")
    if not founded.made and not founded.changed:
        out.say(f"{founded.root} is a staging directory already; nothing was changed")
    out.say(f"accounts of group {_group_name(founded.group)} may stage into {founded.root}/pending")


def _shown(change: Changed, moment: int) -> str:
    mode = stat.filemode(stat.S_IFDIR | change.mode[moment])
    return f"{mode} of group {_group_name(change.group[moment])}"


def _document(founded: Founded) -> dict[str, object]:
    return {
        "staging_dir": founded.root,
        "made": founded.made,
        "changed": [
            {
                "path": change.path,
                "mode": [f"{mode:04o}" for mode in change.mode],
                "group": [_group_name(group) for group in change.group],
            }
            for change in founded.changed
        ],
        "group": _group_name(founded.group),
        "export": {_VARIABLE: founded.root},
    }
