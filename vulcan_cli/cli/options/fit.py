"""Options that do not fit what else was typed: refused, as nothing that is typed is ignored."""

from __future__ import annotations

from collections.abc import Mapping

from vulcan_cli.errors import UsageError


def refuse_typed(sentence: str, typed: Mapping[str, object]) -> None:
    """Make sure that none of some options was typed.

    Args:
        sentence: Why not, with `{}` where the option is to be named.
        typed: What was typed, by option; None and False were not.

    Raises:
        UsageError: One was.
    """
    for option, value in typed.items():
        if value is not None and value is not False:
            raise UsageError(sentence.format(option))
