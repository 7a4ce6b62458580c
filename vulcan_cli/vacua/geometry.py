"""A Calabi-Yau geometry and the names that follow from it: id, bucket, path in the repo."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, SupportsIndex, TypeVar

from vulcan_cli.errors import InputRefused, Problem
from vulcan_cli.vacua.secrets import scrub

T = TypeVar("T")

KEYS = ("h11", "h12", "ks_id", "triang_id", "conifold_id", "cicy_id")
"""The six keys of a geometry, in their order everywhere."""

ABSENT = -1
"""The value of a key that a geometry does not have; 0 is a real value."""

LARGEST_KEY = 2**31 - 1
"""Keys are int32 columns in a shard."""

BUCKET_MASK = 0b1111
"""Four bits: sixteen folders of shards below each pair of Hodge numbers."""

SHARD_PATH = re.compile(
    r"h12_(?P<h12>-1|0|[1-9][0-9]*)/h11_(?P<h11>-1|0|[1-9][0-9]*)/bucket_(?P<bucket>[0-9]|1[0-5])"
    r"/run_(?P<run_id>(?!.*__)[A-Za-z0-9][A-Za-z0-9_-]*)\.parquet",
    re.ASCII,
)
"""A shard's path in the repo, the whole string (use `fullmatch`)."""


@dataclass(frozen=True, order=True)
class Geometry:
    """One geometry in the mirror convention: `h12` counts complex-structure moduli (CYTools' h21).

    Attributes are the six keys; `ABSENT` where a geometry lacks one. At least one is present.

    Raises:
        InputRefused: No key is present, or a value is not an integer from -1 to 2^31 - 1.
    """

    h11: int = ABSENT
    h12: int = ABSENT
    ks_id: int = ABSENT
    triang_id: int = ABSENT
    conifold_id: int = ABSENT
    cicy_id: int = ABSENT

    def __post_init__(self) -> None:
        values = (self.h11, self.h12, self.ks_id, self.triang_id, self.conifold_id, self.cicy_id)
        # First, because every footer of a catalog comes this way.
        if min(values) >= ABSENT < max(values) <= LARGEST_KEY:
            return
        problems = [_out_of_range(key, value) for key, value in self.as_dict().items()]
        found = [problem for problem in problems if problem is not None]
        raise InputRefused(
            *found or [Problem(f"a geometry needs at least one of {', '.join(KEYS)}")]
        )

    @classmethod
    def from_mapping(cls, keys: Mapping[str, object]) -> Self:
        """Read a geometry from keys and values; a missing key, None and -1 count as absent.

        Args:
            keys: Names out of `KEYS` to integers. Strings of digits and other exact integers
                (NumPy's) are taken, booleans and floats are not.

        Raises:
            InputRefused: An unknown key, or a value that is no integer in range.
        """
        problems = [_unknown(key) for key in keys if key not in KEYS]
        values: dict[str, int] = {}
        for key in (key for key in KEYS if keys.get(key) is not None):
            number = _integer(keys[key])
            if number is None:
                problems.append(Problem(f"{key} must be an integer", value=_shown(keys[key])))
            elif wrong := _out_of_range(key, number):
                problems.append(wrong)
            else:
                values[key] = number
        if problems:
            raise InputRefused(*problems)
        return cls(**values)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `h11=3,h12=2,ks_id=384564`.

        Raises:
            InputRefused: As `from_mapping`, or a part is not `key=value`, or a key comes twice.
        """
        keys: dict[str, object] = {}
        problems: list[Problem] = []
        for part in text.split(","):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not value:
                message = "a geometry is written key=value,key=value"
                problems.append(Problem(message, value=_shown(part)))
            elif key in keys:
                problems.append(Problem(f"{key} is given twice"))
            else:
                keys[key] = value
        geometry, wrong = attempted(lambda: cls.from_mapping(keys))
        if geometry is None or problems:
            # Keys that are missing may be among what could not be read.
            raise InputRefused(*problems, *(wrong if keys else ()))
        return geometry

    def as_dict(self) -> dict[str, int]:
        """All six keys, in the order of `KEYS`."""
        return {key: getattr(self, key) for key in KEYS}

    @cached_property
    def geometry_id(self) -> str:
        """First 16 hex digits of SHA-1 over the compact JSON of all six keys, keys sorted."""
        return geometry_id_of(tuple(self.as_dict().values()))

    @property
    def bucket(self) -> int:
        """A number from 0 to 15 that spreads geometries of equal Hodge numbers over folders."""
        return _bucket_of(self.geometry_id)

    def path_in_repo(self, run_id: str) -> str:
        """Where the shard of this geometry and run stands in the repo."""
        return path_in_repo_of(tuple(self.as_dict().values()), self.geometry_id, run_id)

    def __str__(self) -> str:
        return ",".join(
            f"{key}={value}" for key, value in self.as_dict().items() if value != ABSENT
        )


def geometry_id_of(keys: Sequence[int]) -> str:
    """The id of the geometry with these values of `KEYS`, in their order."""
    # As `json.dumps` with sorted keys would write them, many times faster.
    compact = _COMPACT.format(*keys)
    return hashlib.sha1(compact.encode(), usedforsecurity=False).hexdigest()[:16]


_COMPACT = "{{" + ",".join(f'"{key}":{{{KEYS.index(key)}}}' for key in sorted(KEYS)) + "}}"


def path_in_repo_of(keys: Sequence[int], geometry_id: str, run_id: str) -> str:
    """Where a shard stands in the repo; `keys` are the values of `KEYS`, in their order."""
    bucket = _bucket_of(geometry_id)
    return f"h12_{keys[1]}/h11_{keys[0]}/bucket_{bucket}/run_{run_id}.parquet"


def _bucket_of(geometry_id: str) -> int:
    digest = hashlib.sha1(geometry_id.encode(), usedforsecurity=False).digest()
    return digest[0] & BUCKET_MASK


def attempted(read: Callable[[], T]) -> tuple[T | None, tuple[Problem, ...]]:
    """What a call gives, or what is wrong with what it reads."""
    try:
        return read(), ()
    except InputRefused as refusal:
        return None, refusal.problems


def file_name(path_in_repo: str) -> str:
    """A shard's file name in the staging directory: its path in the repo, `/` written `__`."""
    return path_in_repo.replace("/", "__")


def path_of_file_name(name: str) -> str | None:
    """The path in the repo that a staging file name stands for, or None where it is no shard's."""
    path = name.replace("__", "/")
    return path if SHARD_PATH.fullmatch(path) else None


def _unknown(key: str) -> Problem:
    mirror = "; CYTools' h21 is h12 here" if key == "h21" else ""
    return Problem(f"there is no such key; keys are {', '.join(KEYS)}{mirror}", value=_shown(key))


def _shown(value: object) -> str:
    return scrub(repr(value))


def _out_of_range(key: str, value: int) -> Problem | None:
    if ABSENT <= value <= LARGEST_KEY:
        return None
    return Problem(f"{key} must be from {ABSENT} to {LARGEST_KEY}", value=str(value))


def _integer(value: object) -> int | None:
    """An exact integer, or None. Digits in a string count, booleans and floats do not."""
    # First, because every footer of a catalog comes this way.
    if type(value) is int:
        return value
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value.strip(), re.ASCII) else None
    # NumPy's booleans are no subclass of bool. Its integers have an index, floats have none.
    if type(value).__name__ in ("bool", "bool_") or not isinstance(value, SupportsIndex):
        return None
    return int(value)
