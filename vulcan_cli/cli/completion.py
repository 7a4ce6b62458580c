"""Answers to a shell that wants words to complete. Loads nothing that draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer._click.shell_completion import (
    CompletionItem,
    ShellComplete,
    _resolve_context,
    add_completion_class,
)
from typer._completion_classes import BashComplete, FishComplete, ZshComplete, completion_init
from typer.completion import shell_complete

from vulcan_cli.environment import COMPLETION_VARIABLE, completion_type

if TYPE_CHECKING:
    from typer.core import TyperGroup

_ESCAPED = str.maketrans({'"': '""', "'": "''", "$": r"\$", "`": r"\`", ":": r"\\:", "\\": r"\\\\"})


# COMP_TYPE where bash lists the words, rather than putting one of them into the line: ?, ! and @.
_LISTED = {"63", "33", "64"}


class _Shell(ShellComplete):
    """Completes values that begin with `-` too, where an option waits for one: `--sort -ta`."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-") and args:
            context = _resolve_context(self.cli, self.ctx_args, self.prog_name, args)
            for param in context.command.get_params(context):
                if args[-1] in param.opts and not getattr(param, "is_flag", True):
                    values = param.shell_complete(context, incomplete)
                    if values:
                        return values
        return super().get_completions(args, incomplete)


class _Bash(_Shell, BashComplete):
    """As Typer's, with what is told of values in a list of several: bash has no other place."""

    def complete(self) -> str:
        items = self.get_completions(*self.get_completion_args())
        listed = len(items) > 1 and completion_type() in _LISTED
        return "\n".join(_told(item) if listed else str(item.value) for item in items)


class _Zsh(_Shell, ZshComplete):
    """As Typer's, which loads rich to take markup out of help texts; ours have none."""

    def format_completion(self, item: CompletionItem) -> str:
        value = _quoted(item.value)
        return f'"{value}":"{_quoted(item.help)}"' if item.help else f'"{value}"'


class _Fish(_Shell, FishComplete):
    """As Typer's, without rich."""

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.value}\t{' '.join(item.help.split())}" if item.help else str(item.value)


def answer(program: TyperGroup, request: str) -> int:
    """Print the words that a shell asks for.

    Args:
        program: All commands.
        request: Such as `complete_bash`.
    """
    completion_init()
    add_completion_class(_Bash, "bash")
    add_completion_class(_Zsh, "zsh")
    add_completion_class(_Fish, "fish")
    return shell_complete(program, {}, "vulcan", COMPLETION_VARIABLE, request)


def _told(item: CompletionItem) -> str:
    # Sentences, as of options and commands, are too long for a list; a shell expands patterns.
    if not item.help or item.help.endswith(".") or set(item.help) & set("*?["):
        return str(item.value)
    return f"{item.value}  ({item.help})"


def _quoted(text: str) -> str:
    """Text inside double quotes of zsh's `_arguments`, which stand in single quotes themselves."""
    return text.translate(_ESCAPED)
