"""An NFS server and its clients, each client in name spaces of its own.

Its network, its mounts, its processes and its boot id are a client's own, as on another machine;
only the kernel is the same.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EXPORTED = Path("/srv")
"""What the server exports."""

_SERVER = "10.9.9.9"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_LEASE_S = 10
_LONGEST_S = 400


def run(*words: str) -> str:
    """Run a command of the system, which must succeed; what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Server:
    """The NFS server, which is the machine itself.

    Attributes:
        address: Its address, for all clients.
    """

    address = _SERVER

    def __init__(self) -> None:
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{_SERVER}/32", "dev", "lo")
        for module in ("nfsd", "nfs", "veth"):
            run("modprobe", module)
        EXPORTED.chmod(0o755)
        options = "rw,sync,no_subtree_check,root_squash,fsid=0"
        Path("/etc/exports").write_text(f"{EXPORTED} 10.0.0.0/8({options})\n")
        _portmapper()
        run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
        # After a start, files may be opened and locked only once this time is over.
        for name in ("nfsv4gracetime", "nfsv4leasetime"):
            Path("/proc/fs/nfsd", name).write_text(str(_LEASE_S))
        Path("/proc/sys/fs/nfs/nlm_grace_period").write_text(str(_LEASE_S))
        run("exportfs", "-a")
        self.start()
        run("rpc.mountd")

    def start(self) -> None:
        """Serve."""
        run("rpc.nfsd", "8")

    def stop(self) -> None:
        """Answer nobody."""
        run("rpc.nfsd", "0")


class Client:
    """Another machine, as far as NFS and `vulcan` can tell."""

    def __init__(self, number: int) -> None:
        self.name = f"node{number}"
        spaces = ("--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc")
        # Its first process takes care of those whose parent is gone.
        first = ("bash", "-c", "while :; do wait -n || sleep 0.2; done")
        self._holder = subprocess.Popen(["unshare", *spaces, *first])
        self._first = _child_of(self._holder.pid)
        near, far = f"to{number}", f"at{number}"
        network = f"10.0.{number}"
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        run("ip", "link", "set", far, "netns", str(self._first))
        run("ip", "address", "add", f"{network}.1/24", "dev", near)
        run("ip", "link", "set", near, "up")
        boot_id = Path(f"/tmp/{self.name}.boot_id")
        boot_id.write_text(f"{uuid.uuid4()}\n")
        self.system("hostname", self.name)
        self.system("ip", "link", "set", "lo", "up")
        self.system("ip", "address", "add", f"{network}.2/24", "dev", far)
        self.system("ip", "link", "set", far, "up")
        self.system("ip", "route", "add", "default", "via", f"{network}.1")
        self.system("mount", "--bind", str(boot_id), _BOOT_ID)
        self.system("mount", "-t", "tmpfs", "run", "/run")
        self.system("mount", "-t", "tmpfs", "state", "/var/lib/nfs")
        self.system("bash", "-c", _PORTMAPPER)

    def system(self, *words: str) -> str:
        """Run a command of the system here, as root."""
        return run(*self._inside(), *words)

    def mount(self, version: str, place: Path, *, options: str = "") -> None:
        """Mount what the server exports."""
        place.mkdir(parents=True, exist_ok=True)
        # NFSv4 counts paths from the export of fsid 0.
        source = f"{_SERVER}:/" if version.startswith("4") else f"{_SERVER}:{EXPORTED}"
        known = f"vers={version},nosharecache{options and ','}{options}"
        self.system("mount", "-t", "nfs", "-o", known, source, str(place))

    def unmount(self, place: Path) -> None:
        """Let go of it, also where something is at work there."""
        self.system("umount", "-f", "-l", str(place))

    def start(
        self, words: Sequence[str], *, uid: int, gid: int, environment: Mapping[str, str]
    ) -> Process:
        """Start a process of an account."""
        account = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
        return Process([*self._inside(), *account, *words], environment)

    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", "--target", str(self._first), "--all", "--wd=/mnt")


class Process:
    """A process of a client."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._entered = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def send(self, number: int) -> bool:
        """Send a signal to the process itself; whether it was still there."""
        try:
            os.kill(_child_of(self._entered.pid), number)
        except (ProcessLookupError, FileNotFoundError, RuntimeError):
            return False
        # `nsenter` waits for it in a process of its own, which stops where the other does.
        if number == signal.SIGCONT:
            self._entered.send_signal(number)
        return True

    def ended(self) -> Ended:
        """Wait for its end.

        Raises:
            TimeoutExpired: It does not end.
        """
        out, err = self._entered.communicate(timeout=_LONGEST_S)
        return Ended(self._entered.returncode, out, err)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit status.
        out: What it printed.
        err: What it said.
    """

    code: int
    out: str
    err: str

    def lines(self) -> list[dict[str, object]]:
        """What it printed, a document of JSON a line."""
        return [json.loads(line) for line in self.out.splitlines()]


_PORTMAPPER = "mkdir -p /run/rpcbind /var/lib/nfs/sm /var/lib/nfs/sm.bak && rpcbind && rpc.statd"


def _portmapper() -> None:
    run("bash", "-c", _PORTMAPPER)


def _child_of(pid: int) -> int:
    """The only child of a process, once there is one."""
    for _ in range(200):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise RuntimeError(f"{pid} has no child")
