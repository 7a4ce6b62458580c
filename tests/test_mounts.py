from pathlib import Path

import pytest

from vulcan_cli.mounts import Mount, mount_of

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:25 / /home rw,nosuid - nfs4 server:/home rw,vers=4.2,hard
31 22 0:26 / /scratch rw shared:9 master:3 - lustre mgs@tcp:/lfs rw,flock
32 22 0:27 / /with\\040space ro - fuse.sshfs me@host:/a\\134b ro
33 30 0:28 / /home/me rw - tmpfs tmpfs rw
34 30 0:29 / /home/me rw - beegfs beegfs_nodev rw
nonsense
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "mountinfo").write_text(TABLE)
    return tmp_path / "mountinfo"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/x", ("/", "ext4", "/dev/sda1", False)),
        ("/home", ("/home", "nfs4", "server:/home", True)),
        ("/home2/x", ("/", "ext4", "/dev/sda1", False)),
        ("/scratch/spool/pending", ("/scratch", "lustre", "mgs@tcp:/lfs", True)),
        ("/with space/x", ("/with space", "fuse.sshfs", "me@host:/a\\b", True)),
        ("/home/me/spool", ("/home/me", "beegfs", "beegfs_nodev", True)),
    ],
)
def test_the_nearest_mount_that_nothing_hides(
    table: Path, path: str, expected: tuple[str, str, str, bool]
) -> None:
    found = mount_of(Path(path), table)
    assert found is not None
    assert (str(found.point), found.kind, found.source, found.is_network) == expected


def test_options_of_the_mount_and_of_the_file_system(table: Path) -> None:
    assert mount_of(Path("/home/x"), table) == Mount(
        Path("/home"), "nfs4", "server:/home", frozenset({"rw", "nosuid", "vers=4.2", "hard"})
    )


def test_where_the_kernel_tells_nothing(tmp_path: Path) -> None:
    assert mount_of(tmp_path, tmp_path / "none") is None
    (tmp_path / "empty").write_text("")
    assert mount_of(tmp_path, tmp_path / "empty") is None


def test_of_this_machine(tmp_path: Path) -> None:
    found = mount_of(tmp_path)
    assert found is not None
    assert tmp_path.resolve().is_relative_to(found.point)
