"""`vulcan help`: a command, or a subject that is no command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vulcan_cli.cli.options.everywhere import Json, Quiet
from vulcan_cli.cli.output import Output
from vulcan_cli.cli.suggest import help_words
from vulcan_cli.cli.tree import Example

if TYPE_CHECKING:
    from vulcan_cli.cli.app import Program
    from vulcan_cli.cli.help import Heading

EXAMPLES = (
    Example("What there is to read", "vulcan help"),
    Example("Lines to copy", "vulcan help recipes"),
    Example("The same as vulcan stage --help", "vulcan help stage"),
)
EXIT_CODES = ()

Name = Annotated[
    str | None,
    typer.Argument(metavar="TOPIC", help="A topic, or a command.", autocompletion=help_words),
]


def help(  # noqa: A001 - it is what people type
    context: typer.Context, name: Name = None, *, json: Json = False, quiet: Quiet = False
) -> None:
    """Explain a topic, or a command; without one, list the topics.

    Each topic is a manual page too.
    """
    out = Output(as_json=json, quiet=quiet)
    if name is None:
        _list(out)
        return
    render = _renderer(name, context)
    if json:
        out.json({"name": name, "text": render(80, str)})
    else:
        out.drawn(render)


def _list(out: Output) -> None:
    from vulcan_cli.cli.topics import TOPICS  # noqa: PLC0415

    if out.as_json:
        out.json({"topics": TOPICS})
        return
    out.table((f"vulcan help {name}", about) for name, about in TOPICS.items())
    out.say("vulcan --help lists the commands; vulcan help COMMAND explains one")


def _renderer(name: str, context: typer.Context) -> Callable[[int, Heading], str]:
    """What draws a topic or a command, for a width and a kind of headings."""
    from vulcan_cli.cli.help import render, render_topic  # noqa: PLC0415
    from vulcan_cli.cli.topics import TOPICS, load  # noqa: PLC0415

    if name in TOPICS:
        topic = load(name)
        return lambda width, heading: render_topic(topic, width, heading)
    root = context.find_root()
    page = cast("Program", root.command).page_below(name, root)
    return lambda width, heading: render(page, width, heading)
