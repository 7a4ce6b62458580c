"""The settings of a command, and what its person should know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vulcan_cli.settings import Settings, load_settings
from vulcan_cli.settings_fields import shown

if TYPE_CHECKING:
    from vulcan_cli.cli.output import Output


def configured(
    out: Output,
    **options: Any,  # noqa: ANN401 (checked by load_settings)
) -> Settings:
    """Find out which settings count, and tell what a person should know of them.

    Args:
        out: How to talk: notices always, and with `--verbose` each setting that is not the default.
        options: As for `load_settings`.

    Raises:
        UsageError, NotSetUp: As `load_settings`.
    """
    settings = load_settings(**options)
    out.notices(settings.notices)
    for name, origin in settings.origins.items():
        if origin.kind != "default":
            out.detail(f"{name} is {shown(getattr(settings, name))}, from {origin.name}")
    return settings
