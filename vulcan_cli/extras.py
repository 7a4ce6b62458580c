"""Packages that only some need: `pip install 'vulcan-cli[EXTRA]'` brings them."""

from __future__ import annotations

from vulcan_cli.errors import NotSetUp


def require(package: str, extra: str | None = None) -> None:
    """Load an optional package, or say what brings it.

    Args:
        package: Its name.
        extra: The extra that brings it; of the same name, where none is given.

    Raises:
        NotSetUp: It is not installed.
    """
    try:
        __import__(package)
    except ImportError as error:
        brings = f"pip install 'vulcan-cli[{extra or package}]'"
        raise NotSetUp(package, f"{package} is not installed: {brings}") from error
