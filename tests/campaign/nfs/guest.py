"""What happens in the virtual machine: scenarios, for each version of NFS, and what they found."""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from pathlib import Path

from tests.campaign.nfs.hosts import Client, Server
from tests.campaign.nfs.scenarios import SCENARIOS
from tests.campaign.nfs.world import World
from tests.hubserver import HubThread

VERSIONS = ("3", "4.2")
WELL = "no faults"
"""The last line of a run in which all was well."""


def main() -> None:
    """Run the scenarios that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SCENARIOS)
    parser.add_argument("--version", choices=VERSIONS)
    options = parser.parse_args()
    server = Server()
    clients = (Client(1), Client(2))
    n_faults = 0
    for version in [options.version] if options.version else VERSIONS:
        for name in [options.only] if options.only else SCENARIOS:
            n_faults += _play(version, name, server, clients)
    print(f"{n_faults} faults" if n_faults else WELL, flush=True)


def _play(version: str, name: str, server: Server, clients: tuple[Client, Client]) -> int:
    """One scenario on a staging directory of its own; the number of faults."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work, HubThread(Path(work, "hub"), server.address) as hub:
        world = World(version, name, server, clients, hub)
        try:
            with world:
                faults = list(SCENARIOS[name](world))
        except Exception:
            faults = [traceback.format_exc()]
    for fault in faults:
        print(f"    {fault}", flush=True)
    seconds = time.monotonic() - began
    print(f"NFS {version}, {name}: {len(faults)} faults, {seconds:.0f} s", flush=True)
    return len(faults)


if __name__ == "__main__":
    main()
