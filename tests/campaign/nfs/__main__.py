"""Writers and syncs on two NFS clients at once, v3 and v4.2, in a virtual machine.

`python -m tests.campaign.nfs [--only NAME] [--version 4.2]`, from the checkout, as root, by a
Python 3.11. The first run makes a Debian, which takes minutes. Nothing is needed from the processor
but patience; `--accel kvm` is faster where it works.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.campaign.nfs import image
from tests.campaign.nfs.guest import VERSIONS, WELL
from tests.campaign.nfs.scenarios import SCENARIOS

_LONGEST_S = 3600


def main() -> int:
    """Run the machine and print what it says; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SCENARIOS)
    parser.add_argument("--version", choices=VERSIONS)
    # A /dev/kvm that is there may still not start an ordinary kernel.
    parser.add_argument("--accel", choices=("tcg", "kvm"), default="tcg", help="of the emulator")
    options = parser.parse_args()
    if (why := image.missing()) is not None:
        print(f"skipped: {why}")
        return 0
    chosen = {"only": options.only, "version": options.version}
    words = [f"--{name}={value}" for name, value in chosen.items() if value is not None]
    with tempfile.TemporaryDirectory(prefix="vulcan-nfs-") as work:
        command = _machine(image.make(Path(work)), options.accel, words)
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
        ) as machine:
            assert machine.stdout is not None
            ended_well = False
            for line in machine.stdout:
                print(line, end="", flush=True)
                ended_well = ended_well or line.rstrip() == WELL
    return int(not ended_well)


def _machine(disks: image.Disks, accelerator: str, words: list[str]) -> list[str]:
    """The command line of the emulator."""
    kernel = f"console=ttyS0 quiet panic=-1 root=/dev/vda rw init=/vulcan-init -- {' '.join(words)}"
    drives = [
        f"file={path},format=raw,if=virtio,snapshot=on"
        for path in (disks.system, disks.payload, disks.export)
    ]
    return [
        *("timeout", str(_LONGEST_S), "qemu-system-x86_64", "-nographic", "-no-reboot"),
        *("-accel", accelerator, "-cpu", "max", "-smp", "2", "-m", "6G", "-nic", "none"),
        *("-kernel", str(disks.kernel), "-initrd", str(disks.initrd), "-append", kernel),
        *(word for drive in drives for word in ("-drive", drive)),
    ]


if __name__ == "__main__":
    sys.exit(main())
