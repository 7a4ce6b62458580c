"""The disks of the virtual machine: Debian with a kernel that knows NFS, and this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.nfs.hosts import EXPORTED

CHECKOUT = Path(__file__).parents[3]

_MIRROR = "http://deb.debian.org/debian"
_RELEASE = "bookworm"
_PACKAGES = (
    *("linux-image-cloud-amd64", "nfs-kernel-server", "nfs-common", "iproute2", "procps"),
    *("python3.11", "util-linux", "kmod"),
)
_TOOLS = ("qemu-system-x86_64", "debootstrap", "mke2fs")

_INIT = f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -o ro /dev/vdb /mnt
mount /dev/vdc {EXPORTED}
cd /mnt
export PYTHONPATH=/mnt/packages PYTHONDONTWRITEBYTECODE=1
/usr/bin/python3.11 -m tests.campaign.nfs.guest "$@"
echo o > /proc/sysrq-trigger
sleep 60
"""


@dataclass(frozen=True, slots=True)
class Disks:
    """What the machine starts from.

    Attributes:
        kernel: Its kernel.
        initrd: What the kernel starts with.
        system: Debian; nothing that is written to it stays.
        payload: The checkout, and the packages that it needs.
        export: An empty file system for the server to export.
    """

    kernel: Path
    initrd: Path
    system: Path
    payload: Path
    export: Path


def missing() -> str | None:
    """What this machine lacks to make and run a virtual one; None where it has all."""
    if os.geteuid() != 0:
        return "only root can make a Debian"
    if sys.version_info[:2] != (3, 11):
        return f"packages for the Python 3.11 of Debian {_RELEASE} are made by a Python 3.11"
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def make(work: Path) -> Disks:
    """Make the disks; Debian is kept for the next time.

    Args:
        work: A folder for what is made for this run.
    """
    kept = _kept()
    payload, export = work / "payload.img", work / "export.img"
    _filled(payload, "3G", _checkout(work / "payload"))
    _filled(export, "1G", None)
    return Disks(kept / "vmlinuz", kept / "initrd.img", kept / "system.img", payload, export)


def _kept() -> Path:
    """Debian, made once."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = root / "vulcan-campaign" / f"nfs-{_RELEASE}"
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as made:
        system, ready = Path(made, "system"), Path(made, "ready")
        include = f"--include={','.join(_PACKAGES)}"
        command = ["debootstrap", "--variant=minbase", include, _RELEASE, str(system), _MIRROR]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        init = system / "vulcan-init"
        init.write_text(_INIT)
        init.chmod(0o755)
        (system / EXPORTED.relative_to("/")).mkdir(exist_ok=True)
        ready.mkdir()
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy((system / name).resolve(), ready / name)
        _filled(ready / "system.img", "2G", system)
        ready.rename(kept)
    return kept


def _checkout(folder: Path) -> Path:
    """What the machine runs, as it is now."""
    packages = folder / "packages"
    install = [sys.executable, "-m", "pip", "install", "-qq", "--target", str(packages)]
    subprocess.run([*install, str(CHECKOUT)], check=True)
    shutil.copytree(CHECKOUT / "tests", folder / "tests")
    return folder


def _filled(image: Path, size: str, folder: Path | None) -> None:
    """An ext4 image that holds a folder."""
    filling = [] if folder is None else ["-d", str(folder)]
    command = ["mke2fs", "-q", "-F", "-t", "ext4", *filling, str(image), size]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
