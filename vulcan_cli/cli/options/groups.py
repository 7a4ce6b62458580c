"""Options that commands share as one argument: a dataclass whose fields are options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter
from typing import Any, get_type_hints

_Command = Callable[..., Any]
_Groups = Mapping[str, type[Any]]


def ungrouped(command: _Command) -> _Command:
    """The command with each option of a group as an argument of its own, as typer reads them.

    Args:
        command: A function; arguments that are annotated with a dataclass are the groups.

    Returns:
        A function that takes single options, and calls the command with the groups made of them.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: _Groups = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation)
    }

    @functools.wraps(command)
    def run(**typed: object) -> object:
        made = {
            name: group(**{field.name: typed.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**typed, **made)

    single = tuple(_single(signature, groups))
    run.__signature__ = signature.replace(parameters=single)  # type: ignore[attr-defined]
    return run


def _single(signature: inspect.Signature, groups: _Groups) -> Iterator[Parameter]:
    for name, parameter in signature.parameters.items():
        if name in groups:
            yield from _options(groups[name])
        else:
            yield parameter


def _options(group: type[Any]) -> Iterator[Parameter]:
    annotations = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=annotations[field.name],
        )
