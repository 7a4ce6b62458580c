"""Answers to a shell that wants words to complete. Loads nothing that draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer._click.shell_completion import CompletionItem, add_completion_class
from typer._completion_classes import FishComplete, ZshComplete, completion_init
from typer.completion import shell_complete

from vulcan_cli.settings import COMPLETION_VARIABLE

if TYPE_CHECKING:
    from typer.core import TyperGroup

_ESCAPED = str.maketrans({'"': '""', "'": "''", "$": r"\$", "`": r"\`", ":": r"\\:", "\\": r"\\\\"})


class _Zsh(ZshComplete):
    """As Typer's, which loads rich to take markup out of help texts; ours have none."""

    def format_completion(self, item: CompletionItem) -> str:
        value = _quoted(item.value)
        return f'"{value}":"{_quoted(item.help)}"' if item.help else f'"{value}"'


class _Fish(FishComplete):
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
    add_completion_class(_Zsh, "zsh")
    add_completion_class(_Fish, "fish")
    return shell_complete(program, {}, "vulcan", COMPLETION_VARIABLE, request)


def _quoted(text: str) -> str:
    """Text inside double quotes of zsh's `_arguments`, which stand in single quotes themselves."""
    return text.translate(_ESCAPED)
