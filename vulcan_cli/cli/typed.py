"""A command line as it was typed: what makes other command lines of it, to type next."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

STAGING = "--staging-dir"
"""The option that names the staging directory."""

_WHERE = ("--source", "--revision", STAGING, "--repo")
"""Options that say where shards are read."""

_UNSAID = ("--healthcheck-url",)
"""Options whose values are secrets; what is to type next leaves them out."""

_END = "--"
"""No option stands behind it."""


def again(words: Sequence[str], option: str | None = None) -> str:
    """A command line as it was typed, or with one option more; empty where nothing is known."""
    if not words:
        return ""
    command, *rest = without(words, _UNSAID)
    more = [option] if option is not None and option not in rest else []
    return shlex.join(["vulcan", command, *more, *rest])


def without(words: Sequence[str], options: Collection[str]) -> list[str]:
    """A command line without some options and what they take."""
    left: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == _END:
            return [*left, word, *rest]
        if word in options:
            next(rest, None)
        elif word.partition("=")[0] not in options:
            left.append(word)
    return left


def with_options(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """A command line with options, and what they take, behind those that it has."""
    end = words.index(_END) if _END in words else len(words)
    return [*words[:end], *options, *words[end:]]


def only(words: Sequence[str], options: Collection[str]) -> Iterator[str]:
    """These options of a command line, each with what it takes."""
    for word, following in zip_longest(words, words[1:]):
        if word == _END:
            return
        name, is_whole, given = word.partition("=")
        value = given if is_whole else following
        if name in options and value is not None:
            yield from (name, value)


def values(words: Sequence[str], options: Collection[str]) -> list[str]:
    """What these options of a command line take."""
    return list(only(words, options))[1::2]


def here(command: str, typed: Sequence[str]) -> str:
    """A command for the staging directory that was typed, if one was."""
    return shlex.join([*shlex.split(command), *only(typed, (STAGING,))])


def there(command: str, typed: Sequence[str]) -> str:
    """A command that reads shards where the one that was typed reads them."""
    return shlex.join([*shlex.split(command), *only(typed, _WHERE)])
