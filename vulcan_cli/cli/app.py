"""The list of commands, and `main`: the only place that catches errors."""

from __future__ import annotations

import functools
import inspect
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import takewhile
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from vulcan_cli.cli import explain, help, tree, welcome  # noqa: A004
from vulcan_cli.cli.options.everywhere import Json
from vulcan_cli.cli.options.groups import ungrouped
from vulcan_cli.cli.output import Output, prepare_streams
from vulcan_cli.cli.suggest import did_you_mean, one_of
from vulcan_cli.cli.topics import TOPICS
from vulcan_cli.cli.values import read_plainly
from vulcan_cli.environment import completion_request, read_display
from vulcan_cli.errors import DiskTrouble, UsageError

if TYPE_CHECKING:
    from typer._click import Command as AnyCommand
    from typer._click import Context, HelpFormatter, Parameter

PROGRAM = "vulcan"

# Options of one letter that every command has, one by one or together.
_FLAGS = re.compile("-[qv]+")
_TALK = re.compile(f"{_FLAGS.pattern}|--quiet|--verbose|--json")

COMMANDS: tuple[str, ...] = (
    "init",
    "stage",
    "sync",
    "status",
    "retry-failed",
    "trim-synced",
    "verify",
    "unlock",
    "catalog",
    "query",
    "split",
    "plot",
    "card",
    "schedule",
    "job-script",
    "config",
    "doctor",
    "demo",
    "help",
)
"""The commands, in the order of a shard's life. Each is a function in a module of its name."""

EXAMPLES = (
    tree.Example("Where do I stand?", "vulcan"),
    tree.Example("See all of it at work, in seconds", "vulcan demo"),
    tree.Example(
        "Let your shell complete commands, options and values", "vulcan --install-completion"
    ),
)


_VERSION_HELP = "Say the version and end."
Version = Annotated[bool, typer.Option("--version", help=_VERSION_HELP)]

COMPLETION = "Completion"
"""The heading of options about completion."""

InstallCompletion = Annotated[
    bool,
    typer.Option(
        "--install-completion",
        help="Make your shell complete vulcan, and end.",
        rich_help_panel=COMPLETION,
    ),
]

ShowCompletion = Annotated[
    bool,
    typer.Option(
        "--show-completion",
        help="Print the script that does so, and end.",
        rich_help_panel=COMPLETION,
    ),
]

ShellName = Annotated[
    str | None,
    typer.Option(
        "--shell",
        metavar="SHELL",
        help="bash, zsh or fish; by default the one in $SHELL.",
        autocompletion=one_of(dict.fromkeys(("bash", "zsh", "fish"), "")),
        rich_help_panel=COMPLETION,
    ),
]


class Command(TyperCommand):
    """A command whose help ends in examples and exit statuses."""

    examples: tuple[tree.Example, ...] = ()
    exit_codes: tuple[int, ...] = ()

    def page(self, context: Context) -> tree.Page:
        """All that is to say of it."""
        return tree.page_of(self, context, examples=self.examples, exit_codes=self.exit_codes)

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Its arguments and options, that of the help too."""
        return read_plainly(super().get_params(ctx))

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the help."""
        formatter.write(_help_text(self.page(ctx)))


class Program(TyperGroup):
    """All commands; a command's module is loaded when it is asked for."""

    def page(self, context: Context) -> tree.Page:
        """All that is to say of it."""
        # Only their docstrings: to make all commands takes longer than the rest of the help.
        summaries = ((name, tree.summary_of(_function(name).__doc__)) for name in COMMANDS)
        return tree.page_of(
            self,
            context,
            examples=EXAMPLES,
            exit_codes=explain.EXIT_STATUSES,
            commands=summaries,
        )

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Its arguments and options, that of the help too."""
        return read_plainly(super().get_params(ctx))

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the help."""
        formatter.write(_help_text(self.page(ctx)))

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the words; also those of a line that a shell completes."""
        return super().parse_args(ctx, _behind_command(args))

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        """The names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> AnyCommand | None:  # noqa: ARG002
        """Load a command; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands[cmd_name]

    def page_below(self, name: str, context: Context) -> tree.Page:
        """All that is to say of a command.

        Raises:
            UsageError: There is none of this name, and no topic either.
        """
        command = self.get_command(context, name)
        if not isinstance(command, Command):
            words = (*COMMANDS, *TOPICS)
            meant = did_you_mean(name, words)
            raise UsageError(f"there is no command and no topic {name!r}{meant}")
        below = command.make_context(name, [], parent=context, resilient_parsing=True)
        return command.page(below)

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, AnyCommand | None, list[str]]:
        """Find the command that was typed, or say which was meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise UsageError(f"there is no command {name!r}{did_you_mean(name, COMMANDS)}")
        return super().resolve_command(ctx, args)


def program() -> Program:
    """The tree of commands."""
    app = typer.Typer(
        name=PROGRAM,
        cls=Program,
        callback=_vulcan,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    return cast("Program", get_command(app))


def _say_version(context: typer.Context, *, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        welcome.version(Output(as_json=_are_typed(context.find_root().obj, "--json")))
        raise typer.Exit


_VersionOfAll = Annotated[
    bool,
    typer.Option("--version", help=_VERSION_HELP, is_eager=True, callback=_say_version),
]


def main(arguments: Sequence[str] | None = None, *, within: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: What follows `vulcan`; this process's own where none is given.
        within: The command line that was typed, where it runs this one: after Ctrl-C, what to type
            next is about it.

    Returns:
        The exit status.
    """
    words = _behind_command(list(sys.argv[1:] if arguments is None else arguments))
    prepare_streams()
    output = Output(
        as_json=_are_typed(words, "--json"),
        quiet=_are_typed(words, "-q", "--quiet"),
        verbose=_are_typed(words, "-v", "--verbose"),
    )
    try:
        code = _run(words)
    except BaseException as error:
        typed = within if isinstance(error, KeyboardInterrupt) else None
        code = _caught(error, output, list(typed or words))
    try:
        output.finish()
    except DiskTrouble as error:
        code = code or _caught(error, output, [])
    return code


def _behind_command(words: list[str]) -> list[str]:
    """The words, with those that say how to talk behind the command that they stand before."""
    before = list(takewhile(_TALK.fullmatch, words))
    command, *rest = words[len(before) :] or [""]
    return [command, *before, *rest] if command in COMMANDS else words


def _run(words: list[str]) -> int:
    request = completion_request()
    if request is not None:
        from vulcan_cli.cli.completion import answer  # noqa: PLC0415 - only when a shell asks

        return answer(program(), request)
    color = None if read_display().color else False
    # A command may have to say what to type next while it goes on.
    with program().make_context(PROGRAM, list(words), color=color, obj=words) as context:
        return context.command.invoke(context) or 0


def _caught(error: BaseException, output: Output, words: list[str]) -> int:
    """Say what went wrong with a command line; the exit status."""
    command = _command_of(words)
    match error:
        case typer.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else 0
        case BrokenPipeError():
            # Whoever read our output has read enough.
            output.lost_reader()
            return 0
        case KeyboardInterrupt():
            explanation = explain.interrupted(words if command != PROGRAM else [])
        case typer.TyperException():
            explanation = explain.usage(_usage_sentence(error), command)
        case _:
            typed = words if command != PROGRAM else []
            explanation = explain.explain(error, command, typed)
    output.trace(error)
    output.explain(explanation)
    output.causes(error)
    return explanation.exit_code


def _vulcan(
    context: typer.Context,
    *,
    version: Version = False,
    install_completion: InstallCompletion = False,
    show_completion: ShowCompletion = False,
    shell: ShellName = None,
    json: Json = False,
) -> None:
    """Stage flux vacua on a cluster, publish them to one dataset, query and split them.

    Workers `stage` shards into a directory that all nodes share; one `sync` on a node with network
    commits them to a repo on the Hub, or to a folder; everybody can `query` and `split` them.

    Alone, `vulcan` says where you stand and what to type next; `vulcan help` lists what there is to
    read beside the commands: variables, settings, formats, recipes. `--json`, `-q` and `-v` may
    stand before a command too.
    """
    if shell is not None and not (show_completion or install_completion):
        raise UsageError("--shell goes with --install-completion or --show-completion")
    if install_completion and show_completion:
        raise UsageError("--show-completion and --install-completion go one at a time")
    out = Output(as_json=json)
    if version:
        welcome.version(out)
    elif show_completion or install_completion:
        _complete(out, shell, install=install_completion)
    elif context.invoked_subcommand is None:
        welcome.welcome(out)
    else:
        return
    raise typer.Exit


def _complete(out: Output, shell: str | None, *, install: bool) -> None:
    """Make the person's shell complete, or print what would."""
    from vulcan_cli.cli import installing  # noqa: PLC0415
    from vulcan_cli.environment import read_shell  # noqa: PLC0415

    here = read_shell()
    here = here if shell is None else here._replace(name=shell)
    if not install:
        out.lines(installing.script(here.name).splitlines())
        return
    files = installing.install(here)
    if out.as_json:
        out.json({"shell": here.name, "files": files})
        return
    out.lines(map(str, files))
    out.say(f"{here.name} completes vulcan from its next start on")


def _module(name: str) -> ModuleType:
    return import_module(f"vulcan_cli.cli.commands.{name.replace('-', '_')}")


def _function(name: str) -> Callable[..., object]:
    """The function that a command is made of."""
    function: Callable[..., object] = getattr(_module(name), name.replace("-", "_"))
    return function


def _with_version(function: Callable[..., object]) -> Callable[..., object]:
    """A function of single options, with the one that says the version; it is not given that."""
    signature = inspect.signature(function)
    version = inspect.Parameter(
        "version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_VersionOfAll
    )

    @functools.wraps(function)
    def run(**typed: object) -> object:
        del typed["version"]
        return function(**typed)

    parameters = [*signature.parameters.values(), version]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def _load(name: str) -> Command:
    """Make a command of the function in its module."""
    module = _module(name)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, cls=Command)(_with_version(ungrouped(_function(name))))
    command = cast("Command", get_command(app))
    command.examples = module.EXAMPLES
    command.exit_codes = module.EXIT_CODES
    return command


def _help_text(page: tree.Page) -> str:
    # Click takes the bold away where stdout is no terminal.
    columns = shutil.get_terminal_size().columns
    return help.render(page, columns, lambda text: typer.style(text, bold=True))


def _are_typed(words: list[str], *names: str) -> bool:
    """Whether an option was typed, by one of its names; `-qv` are two."""
    end = words.index("--") if "--" in words else len(words)
    flags = [f"-{letter}" for word in words[:end] if _FLAGS.fullmatch(word) for letter in word[1:]]
    return not {*words[:end], *flags}.isdisjoint(names)


def _usage_sentence(error: typer.TyperException) -> str:
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and isinstance(option, str):
        near = getattr(error, "possibilities", None) or ()
        return f"there is no option {option}{did_you_mean(option, near)}"
    message = error.format_message().rstrip(".")
    return message[:1].lower() + message[1:]


def _command_of(words: list[str]) -> str:
    """The command that was asked for, for the hint where to read more."""
    is_one = bool(words) and words[0] in COMMANDS and words[0] != "help"
    return f"{PROGRAM} {words[0]}" if is_one else PROGRAM
