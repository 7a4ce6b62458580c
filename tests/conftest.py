"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# The machines of CI are shared: a slow example says nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
