"""What programs give as arguments: brought to one type, or refused by the argument's name.

Each function raises `UsageError` for a value that is of no use.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import SupportsFloat, SupportsIndex, TypeVar

from vulcan_cli.errors import UsageError

_T = TypeVar("_T")


def integer(name: str, value: object) -> int:
    """An integer, as NumPy's are too."""
    if isinstance(value, SupportsIndex) and not _is_truth(value):
        # An array has the method, and no integer.
        with suppress(TypeError):
            return operator.index(value)
    raise _refusal(name, "one integer", value)


def number(name: str, value: object) -> float:
    """A number, as NumPy's are too."""
    if isinstance(value, SupportsFloat) and not _is_truth(value):
        with suppress(TypeError, OverflowError):
            return float(value)
    raise _refusal(name, "one number", value)


def numbers(name: str, values: object) -> tuple[float, ...]:
    """Numbers."""
    if not isinstance(values, Iterable):
        raise _refusal(name, "a list of numbers", values)
    return tuple(number(f"each of {name}", value) for value in values)


def text(name: str, value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise _refusal(name, "one text", value)
    return value


def texts(name: str, values: object) -> tuple[str, ...]:
    """Texts; one alone is one, not as many as it has letters."""
    if isinstance(values, str):
        return (values,)
    if not isinstance(values, Iterable):
        raise _refusal(name, "a text or a list of texts", values)
    return tuple(text(f"each of {name}", value) for value in values)


def truth(name: str, value: object) -> bool:
    """True or False, as NumPy has them too."""
    if _is_truth(value):
        return bool(value)
    with suppress(UsageError):
        if (whole := integer(name, value)) in (0, 1):
            return bool(whole)
    raise _refusal(name, "True or False", value)


def path(name: str, value: object) -> Path:
    """The path of a file."""
    if not isinstance(value, str | PathLike):
        raise _refusal(name, "the path of a file", value)
    return Path(value)


def repo(value: object) -> str:
    """A repo as a person writes it; a Path counts from where the program is now."""
    if isinstance(value, Path):
        return str(value.absolute())
    return instance("repo", value, str, "a text or a Path")


def instance(name: str, value: object, kind: type[_T], what: str) -> _T:
    """What is of this kind."""
    if not isinstance(value, kind):
        raise _refusal(name, what, value)
    return value


def _is_truth(value: object) -> bool:
    # NumPy's are no subclass of bool.
    return type(value).__name__ in {"bool", "bool_"}


def _refusal(name: str, what: str, value: object) -> UsageError:
    return UsageError(f"{name} is {what}, not {value!r:.80}")
