"""What `vulcan help TOPIC` explains; each topic is a man page too. A module for each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from vulcan_cli.cli.tree import Topic

TOPICS: Mapping[str, str] = {
    "environment": "the variables that vulcan reads",
    "settings": "vulcan.toml: every key, and which value counts",
    "exit-codes": "what scripts read from the exit status",
    "formats": "what goes in, what comes out, and what a shard is",
    "staging": "the staging directory, and how a shard goes through it",
    "metrics": "what a file for Prometheus says",
    "recipes": "lines to copy: workers, head node, cron, readers",
}
"""The topics, each with what it is about, in the order to read them."""


def load(name: str) -> Topic:
    """A topic of `TOPICS`."""
    module = import_module(f"vulcan_cli.cli.topics.{name.replace('-', '_')}")
    topic: Topic = module.TOPIC
    return topic
