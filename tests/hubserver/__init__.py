"""A Hugging Face Hub of our own for tests: a real HTTP server that the unmodified client talks to.

    with HubProcess(tmp_path / "hub") as hub:      # or HubThread: same interface, not killable
        hub.create_repo("alice/vacua")
        hub.add_faults(Fault("drop_after", path="/commit/", mode="reset"))
        ...  # HfApi(endpoint=hub.url, token="hf_write"), or a child with env=hub.client_env()
        assert [commit.title for commit in hub.commits("alice/vacua")] == [...]

Where the Hub's behaviour is unknown this one is stricter. It has no Xet: clients need
HF_HUB_DISABLE_XET=1.
"""

from __future__ import annotations

from tests.hubserver.client import (
    BAD,
    BOB,
    NO_CERTIFICATES,
    READ,
    WRITE,
    Attempt,
    ControlError,
    HubProcess,
    HubThread,
    LocalHub,
    LoggedRequest,
    SeenCommit,
)
from tests.hubserver.config import Config, Refusal, Token
from tests.hubserver.faults import Fault

__all__ = [
    "BAD",
    "BOB",
    "NO_CERTIFICATES",
    "READ",
    "WRITE",
    "Attempt",
    "Config",
    "ControlError",
    "Fault",
    "HubProcess",
    "HubThread",
    "LocalHub",
    "LoggedRequest",
    "Refusal",
    "SeenCommit",
    "Token",
]
