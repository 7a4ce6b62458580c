"""`vulcan doctor`: each thing that can be wrong, with its cure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from tests.cli_in_process import run
from tests.cli_support import CHECKOUT, Ran, clean, vulcan
from tests.hubserver import BOB, READ, WRITE, HubThread, LocalHub
from vulcan_cli.cli import checks
from vulcan_cli.cli.checks import Check
from vulcan_cli.hub.directory import DirectoryRepo
from vulcan_cli.mounts import Mount
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.health import Health, Space, examine

NAME = "alice/vacua"
HERE = ("--staging-dir", "spool")


@pytest.fixture
def area(tmp_path: Path) -> StagingArea:
    made = StagingArea(tmp_path / "spool")
    made.create(shared=True)
    return made


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with HubThread(tmp_path / "hub") as running:
        running.create_repo(NAME, private=False)
        yield running


Verdicts = dict[str, tuple[str, str, str]]


def verdicts(ran: Ran) -> Verdicts:
    """By name: the verdict, what was found, the cure."""
    found = cast("list[Mapping[str, str]]", ran.document()["checks"])
    return {check["name"]: (check["verdict"], check["text"], check["cure"]) for check in found}


@pytest.mark.usefixtures("area")
def test_all_is_well(tmp_path: Path) -> None:
    DirectoryRepo(tmp_path / "repo").preflight(create=True)
    ran = run("doctor", *HERE, "--repo", "./repo", cwd=tmp_path)
    steady = [
        re.sub(r"^(\w+) +(python|packages|file system|space|inodes): .*", r"\2", line)
        for line in ran.out.splitlines()
    ]
    unsteady = {"inodes"}
    if tmp_path.is_relative_to("/dev/shm"):
        unsteady.add("      cure: choose a folder on a disk")
    assert [line for line in steady if line not in unsteady] == [
        "python",
        "packages",
        "ok    polars: runs on this processor",
        "ok    completion: not for a shell that nobody names",
        "ok    settings: no vulcan.toml",
        "ok    staging directory: spool: this account can stage and sync",
        "file system",
        "ok    hard links: work",
        "ok    locks: work",
        "ok    permissions: no wider than staging needs",
        "space",
        "ok    clock of the files: the same as of this node",
        "ok    token: not needed for a folder",
        "ok    repo ./repo: can be read and written, at commit 00000000",
    ]
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.usefixtures("area")
def test_it_changes_nothing(tmp_path: Path) -> None:
    def look() -> dict[Path, tuple[int, int]]:
        """Only the time of `pending/` changes, where files were made and dropped."""
        found = {path: path.stat() for path in tmp_path.rglob("*")}
        times = {
            path: 0 if path.name == "pending" else of.st_mtime_ns for path, of in found.items()
        }
        return {path: (of.st_mode, times[path]) for path, of in found.items()}

    before = look()
    run("doctor", *HERE, "--repo", "./repo", cwd=tmp_path)
    assert look() == before


def test_where_nothing_is_set(tmp_path: Path) -> None:
    ran = run("doctor", "--quiet", "--offline", cwd=tmp_path, env={"SHELL": "/bin/fish"})
    lines = [
        "warn  completion: not installed for fish",
        "      cure: vulcan --install-completion",
        "fail  staging directory: no staging directory is set",
        "      cure: export VULCAN_STAGING_DIR=/shared/folder, then vulcan doctor",
        "warn  token: none: enough to stage, and to read public repos",
        "      cure: hf auth login",
        "warn  repo: none is set: enough to stage, not to sync",
        "      cure: export VULCAN_REPO=owner/name",
    ]
    if Path("/usr/share/fish/vendor_completions.d/vulcan.fish").exists():
        del lines[:2]
    assert (ran.code, ran.out.splitlines(), ran.err) == (4, lines, "")


@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        ("pyarrow", "25.0.1", "pyarrow>=26"),
        ("polars", "3.0.0", "polars<3,>=2.1"),
        # Only an extra asks for it.
        ("torch", "1.0", "torch>=2.4"),
    ],
)
def test_a_package_of_another_version_than_is_meant(
    tmp_path: Path, name: str, version: str, wanted: str
) -> None:
    told = tmp_path / "first" / f"{name}-{version}.dist-info" / "METADATA"
    told.parent.mkdir(parents=True)
    told.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    env = {"PYTHONPATH": f"{tmp_path / 'first'}{os.pathsep}{CHECKOUT}"}
    ran = vulcan("doctor", *HERE, "--json", home=tmp_path, env=env)
    verdict, text, cure = verdicts(ran)["packages"]
    assert (verdict, text.split(";")[0], cure) == (
        "warn",
        f"{name} {version} where {wanted} is needed",
        f"python -m pip install '{wanted}'",
    )


@pytest.mark.parametrize(
    ("module", "text", "cure"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "ends by SIGILL: this processor is older than it is made for",
            "python -m pip install 'polars[rtcompat]'",
        ),
        (
            "raise ImportError('no shared library')",
            "ImportError: no shared library",
            "python -m pip install --force-reinstall polars",
        ),
    ],
)
def test_polars_that_does_not_run(tmp_path: Path, module: str, text: str, cure: str) -> None:
    (tmp_path / "polars.py").write_text(module)
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}"}
    ran = vulcan("doctor", *HERE, "--json", home=tmp_path, env=env)
    assert (ran.code, verdicts(ran)["polars"]) == (4, ("fail", text, cure))


def test_nothing_of_the_working_directory_is_run(tmp_path: Path) -> None:
    # Whoever may write to a shared folder could wait there for somebody who asks the doctor.
    (tmp_path / "polars.py").write_text("open('ran', 'w')")
    program = Path(sys.executable).with_name("vulcan")
    subprocess.run(
        [program, "doctor", *HERE, "-q"], env=clean(tmp_path), cwd=tmp_path, check=False, timeout=60
    )
    assert [path.name for path in tmp_path.iterdir()] == ["polars.py"]


def test_settings_that_are_wrong_end_it(tmp_path: Path) -> None:
    (tmp_path / "vulcan.toml").write_text("budgte = 1\n")
    ran = run("doctor", "--json", cwd=tmp_path)
    assert ran.code == 4
    assert list(verdicts(ran)) == ["python", "packages", "polars", "completion", "settings"]
    assert verdicts(ran)["settings"] == (
        "fail",
        f"{tmp_path}/vulcan.toml: there is no setting 'budgte'; did you mean budget?",
        "vulcan help settings",
    )


@pytest.mark.usefixtures("area")
@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (
            WRITE,
            {
                "token": ("ok", "from HF_TOKEN", ""),
                "account": ("ok", "alice, role of the token: write", ""),
                f"repo {NAME}": ("ok", "can be read and written, at commit HEAD", ""),
            },
        ),
        (
            READ,
            {
                "token": ("ok", "from HF_TOKEN", ""),
                "account": ("ok", "alice, role of the token: read", ""),
                f"repo {NAME}": (
                    "fail",
                    "DENIED",
                    "unset HF_TOKEN && hf auth login, then vulcan doctor",
                ),
            },
        ),
        (
            BOB,
            {
                "account": ("ok", "bob, role of the token: write", ""),
                f"repo {NAME}": (
                    "warn",
                    "can be read, at commit HEAD; takes only pull requests of this token",
                    f"vulcan sync --create-pr --repo {NAME}",
                ),
            },
        ),
        (
            None,
            {
                "token": (
                    "warn",
                    "none: enough to stage, and to read public repos",
                    "hf auth login",
                ),
                f"repo {NAME}": (
                    "warn",
                    "can be read, at commit HEAD; not written",
                    "hf auth login",
                ),
            },
        ),
    ],
)
def test_a_token_and_a_repo_on_the_hub(
    tmp_path: Path,
    hub: LocalHub,
    token: str | None,
    expected: Verdicts,
) -> None:
    env = {**hub.client_env(), **({} if token is None else {"HF_TOKEN": token})}
    if token is None:
        env.pop("HF_TOKEN", None)
    ran = vulcan("doctor", *HERE, "--repo", NAME, "--json", home=tmp_path, env=env)
    found = verdicts(ran)
    denied = f"{NAME} does not let this token: "
    steady = {
        name: (
            verdict,
            "DENIED"
            if text.startswith(denied)
            else re.sub("commit [0-9a-f]{8}", "commit HEAD", text),
            cure,
        )
        for name, (verdict, text, cure) in found.items()
    }
    assert {name: steady[name] for name in expected} == expected
    assert steady["clock of the Hub"] == ("ok", "the same as of this node", "")
    assert steady["xet cache"][0] in {"ok", "warn"}
    assert ran.code == (4 if token == READ else 0)
    assert hub.commits(NAME)[1:] == []


@pytest.mark.usefixtures("area")
def test_no_answer_is_5_and_a_missing_setting_comes_first(tmp_path: Path) -> None:
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": WRITE}
    words = ("doctor", "--repo", NAME, "--json")
    ran = vulcan(*words, *HERE, home=tmp_path, env=env)
    assert ran.code == 5
    verdict, _, cure = verdicts(ran)[f"repo {NAME}"]
    assert (verdict, cure) == ("fail", "vulcan doctor")
    assert vulcan(*words, "--staging-dir", "none", home=tmp_path, env=env).code == 4
    asked = run(*words, *HERE, "--offline", cwd=tmp_path, env=env)
    assert (asked.code, verdicts(asked)[f"repo {NAME}"]) == (0, ("ok", "not asked: --offline", ""))


@pytest.mark.usefixtures("area")
@pytest.mark.parametrize("options", [(), ("--offline",)], ids=["asked", "offline"])
def test_a_name_that_no_repo_has_is_2_with_and_without_network(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    words = ("doctor", *HERE, "--repo", "x/y/z", *options)
    ran = run(*words, "--json", cwd=tmp_path)
    why = "a repo is written owner/name, file:///folder or ./folder, not 'x/y/z'"
    assert (ran.code, verdicts(ran)["repo x/y/z"]) == (2, ("fail", why, "vulcan doctor --help"))
    both = run(*words, "--staging-dir", "none", "-q", cwd=tmp_path)
    assert both.code == 4


@pytest.mark.usefixtures("area")
def test_an_option_that_cannot_be_is_2(tmp_path: Path) -> None:
    token = "hf_" + "abcdefghij" * 3
    ran = run("doctor", *HERE, "--repo", token, "--json", cwd=tmp_path)
    found = ("fail", "--repo: it looks like a token", "vulcan doctor --help")
    assert (ran.code, verdicts(ran)["settings"]) == (2, found)


def test_a_file_for_a_staging_directory_is_cured_by_another_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("doctor", "--staging-dir", "file", "--json", cwd=tmp_path)
    why = "file is no folder but a link or a file; vulcan goes nowhere else"
    cure = "export VULCAN_STAGING_DIR=/shared/folder, then vulcan doctor"
    assert (ran.code, verdicts(ran)["staging directory"]) == (4, ("fail", why, cure))
    missing = run("doctor", "--staging-dir", "none", "--json", cwd=tmp_path)
    found = ("fail", "there is no folder none", "vulcan init none")
    assert (missing.code, verdicts(missing)["staging directory"]) == (4, found)


def mount(kind: str, *options: str) -> Mount:
    return Mount(Path("/s"), kind, "src", frozenset(options))


@pytest.mark.parametrize(
    ("found", "verdict", "text"),
    [
        (mount("ext4", "rw"), "ok", "of this node alone"),
        (mount("nfs4", "rw", "hard"), "ok", "shared with other nodes"),
        (mount("lustre", "rw", "flock"), "ok", "shared with other nodes"),
        (mount("lustre", "rw", "localflock"), "warn", "no locks between nodes"),
        (mount("nfs", "rw", "nolock"), "warn", "locks of one node are unknown to others"),
        (mount("nfs4", "rw", "local_lock=all"), "warn", "locks of one node are unknown to others"),
        (mount("nfs", "rw", "soft"), "warn", "soft, so writes may fail when the server is slow"),
        (mount("tmpfs", "rw"), "warn", "a reboot empties it"),
        (mount("xfs", "ro"), "fail", "read-only"),
    ],
)
def test_file_systems(found: Mount, verdict: str, text: str) -> None:
    check = checks._mount(found)
    assert (check.name, check.verdict) == ("file system", verdict)
    assert check.text.removeprefix(f"{found.kind} of src at /s")[2:] == text
    assert bool(check.cure) == (verdict != "ok")


def test_what_else_can_be_wrong(area: StagingArea) -> None:
    well = examine(area)
    root = area.root
    alone = well._replace(writable=("pending",))
    assert (
        checks._writable(root, alone).text
        == f"{root}: this account can stage; another account syncs"
    )
    assert checks._writable(root, well._replace(writable=())) == Check(
        "staging directory",
        "fail",
        f"this account may not write to {root}/pending",
        f"ask its owner for `vulcan init {root} --group GROUP`",
    )
    moved = checks._writable(root, well._replace(elsewhere=(area.synced,)))
    assert (moved.verdict, moved.exit_code) == ("fail", 6)
    without = well._replace(has_links=False, has_locks=False)
    assert [(check.name, check.verdict) for check in checks._abilities(without)] == [
        ("hard links", "warn"),
        ("locks", "warn"),
    ]
    assert list(checks._abilities(well._replace(has_links=None, has_locks=None))) == []
    area.synced.chmod(0o777)
    assert checks._permissions(root, examine(area)) == Check(
        "permissions",
        "warn",
        f"more accounts than needed may write to {area.synced}",
        f"vulcan init {root}",
    )


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Space(50 * 10**9, 10**12, 90, 100), ["ok", "ok"]),
        (Space(9 * 10**9, 10**12, 4, 100), ["warn", "warn"]),
        (Space(0, 10**12, 0, 0), ["fail"]),
    ],
)
def test_room(space: Space, expected: list[str]) -> None:
    assert [check.verdict for check in checks._space(space)] == expected


@pytest.mark.parametrize(
    ("skew_s", "text"),
    [
        (-30.0, "the same as of this node"),
        (90.0, "1m ahead of that of this node"),
        (-7200.0, "2h behind that of this node"),
    ],
)
def test_clocks(skew_s: float, text: str) -> None:
    assert checks._clock("clock", skew_s).text == text


def test_health_is_what_was_tried(area: StagingArea) -> None:
    health = examine(area, clock=lambda: 0.0)
    assert isinstance(health, Health)
    assert (health.has_links, health.has_locks) == (True, True)
    assert health.writable == ("pending", "synced", "failed")
    assert health.skew_s is not None
    assert health.skew_s > 10**9
    assert [path for path in area.root.rglob("*") if path.is_file()] == []
