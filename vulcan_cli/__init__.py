"""vulcan: stage flux vacua, publish them to one Hugging Face dataset, query and split them.

>>> from vulcan_cli import Vulcan

is the door for Python workers. What it names is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vulcan_cli.api import Vulcan
    from vulcan_cli.dataset.features import FeatureSpec
    from vulcan_cli.dataset.ml_view import VulcanMLView
    from vulcan_cli.dataset.reader import VulcanReader
    from vulcan_cli.staging.intake import StagedShard
    from vulcan_cli.sync.report import SyncReport

_HOMES = {
    "FeatureSpec": "dataset.features",
    "StagedShard": "staging.intake",
    "SyncReport": "sync.report",
    "Vulcan": "api",
    "VulcanMLView": "dataset.ml_view",
    "VulcanReader": "dataset.reader",
}

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
    if name in _HOMES:
        return getattr(import_module(f"vulcan_cli.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
