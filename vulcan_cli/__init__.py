"""vulcan: stage flux vacua, publish them to one Hugging Face dataset, query and split them.

>>> from vulcan_cli import Vulcan

is the door for Python workers. What it names is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vulcan_cli.api import (
        FeatureSpec,
        StagedShard,
        SyncReport,
        Vulcan,
        VulcanMLView,
        VulcanReader,
    )

__version__ = "0.1.0"

__all__ = [
    "FeatureSpec",
    "StagedShard",
    "SyncReport",
    "Vulcan",
    "VulcanMLView",
    "VulcanReader",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("vulcan_cli.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
