"""From words on the command line to values, for the few types that our options have.

Typer would load pydantic for this, which takes longer than all else that a command line costs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer._coercion import RuntimeParam
from typer.core import TyperArgument, TyperOption

if TYPE_CHECKING:
    from typer._click import Context, Parameter
    from typer.core import _TyperParameter
    from typer.models import ParameterInfo

_NO_REVISION = re.compile(
    r"^[-/]|[/.]$|//|\.\.|@\{|^@$|(?:^|/)\.|\.lock(?:/|$)|[\x00-\x20\x7f~^:?*[\\]"
)
"""As `git check-ref-format` has it."""


class _Plain(RuntimeParam):
    """Reads a value of one of the types in `_READERS`, or a list of them."""

    def _coerce_value(self, value: object, param: _TyperParameter, ctx: Context) -> object:
        read = _READERS[_kind(self.annotation)]
        try:
            if isinstance(value, list | tuple):
                return [_limited(read, item, self.parameter_info) for item in value]
            return _limited(read, value, self.parameter_info)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error


def read_plainly(parameters: list[Parameter]) -> list[Parameter]:
    """Make arguments and options read their values here, where their types are plain."""
    for parameter in parameters:
        if isinstance(parameter, TyperArgument | TyperOption):
            described = parameter.type_descriptor
            if _kind(described.annotation) in _READERS:
                plain = _Plain(described.parameter_info, described.annotation)
                parameter._runtime_param = plain  # noqa: SLF001 - typer has no other way
    return parameters


def revision_name(text: str) -> str:
    """The value of an option that takes a branch or commit, of which only a repo knows more.

    Raises:
        typer.BadParameter: Git gives none such a name, and an address with it may be another's;
            the option is named to who typed it.
    """
    if not text.strip():
        raise typer.BadParameter("it is empty")
    if _NO_REVISION.search(text):
        raise typer.BadParameter(f"no branch or commit is called {text!r}")
    return text


def file_or_stdout(file: Path | None) -> Path | None:
    """The value of an option that takes a file: None for `-`, which is standard output."""
    return None if file == Path("-") else file


def _kind(annotation: object) -> object:
    """`str` for `str` and for `list[str]`."""
    inner = getattr(annotation, "__args__", (annotation,))
    return inner[0] if len(inner) == 1 else None


def _limited(read: Callable[[str], object], value: object, limits: ParameterInfo) -> object:
    """A value, read where it is text; ValueError where it is beyond the option's limits."""
    if not isinstance(value, str):
        return value
    number = read(value)
    if isinstance(number, int | float):
        if limits.min is not None and number < limits.min:
            raise ValueError(f"{value} is less than {limits.min}")
        if limits.max is not None and number > limits.max:
            raise ValueError(f"{value} is more than {limits.max}")
    return number


def _whole(text: str) -> int:
    try:
        # Also refuses what int() takes and nobody means, such as 1_000 and digits of other scripts.
        return int(text) if text.isascii() and "_" not in text else int("")
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None


def _number(text: str) -> float:
    try:
        return float(text) if text.isascii() and "_" not in text else float("")
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _path(text: str) -> Path:
    # Path("") would be the working directory, which nobody means who types a variable not set.
    if not text:
        raise ValueError("the name of a file or folder is empty")
    path = Path(text)
    # A path drops the ./ by which a file is called what alone is standard input or output.
    return path.absolute() if text != "-" == str(path) else path


def _flag(text: str) -> bool:
    raise ValueError(f"{text!r} is given to what takes no value")


_READERS: Mapping[object, Callable[[str], object]] = {
    str: str,
    int: _whole,
    float: _number,
    bool: _flag,
    Path: _path,
}
