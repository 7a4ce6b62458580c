"""`vulcan init`: whose folder is whose, with accounts that are really different ones."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_support import Ran, clean, vulcan
from tests.staging_tools import names
from tests.vacua_support import REAL
from vulcan_cli.staging.area import STATES

VACUA = REAL / "model_h12-2_1_batch0.parquet"
GEOMETRY = "h11=272,h12=2,ks_id=1,triang_id=0"

WORKERS, GROUP = (40_001, 40_002), 40_100
"""Accounts that this machine does not know, and a group that they share."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two other accounts")

MODES = {"": 0o2750, "pending": 0o3770, "synced": 0o2750, "failed": 0o2750, "_vulcan": 0o2750}


def modes(root: Path) -> dict[str, int]:
    return {name: stat.S_IMODE((root / name).stat().st_mode) for name in MODES}


def test_it_makes_what_sync_and_workers_need_and_says_what_to_type(tmp_path: Path) -> None:
    root = tmp_path / "far" / "it's mine"
    first = vulcan("init", root, home=tmp_path)
    assert (first.code, first.out) == (0, f"export VULCAN_STAGING_DIR={shlex.quote(str(root))}\n")
    made = [root, *(root / name for name in MODES if name)]
    assert first.err.splitlines()[:-1] == [f"made {path}" for path in made]
    assert modes(root) == MODES
    again = vulcan("init", root, home=tmp_path)
    assert (again.code, again.out) == (0, first.out)
    assert again.err.splitlines()[:-1] == [
        f"{root} is a staging directory already; nothing was changed"
    ]
    status = vulcan("status", "--staging-dir", root, "--json", home=tmp_path)
    assert (status.code, status.document()["wider_than_needed"]) == (0, [])


def test_an_old_staging_directory_keeps_its_shards_and_gets_the_permissions(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    for state in STATES:
        (root / state).mkdir(parents=True)
        (root / state).chmod(0o777)
    root.chmod(0o755)
    (root / "pending" / "x.parquet").write_bytes(b"theirs")
    group = root.stat().st_gid
    ran = vulcan("init", root, "--group", str(group), "--json", home=tmp_path)
    document = ran.document()
    assert (ran.code, document["staging_dir"], document["made"]) == (
        0,
        str(root),
        [str(root / "_vulcan")],
    )
    changed = document["changed"]
    assert isinstance(changed, list)
    assert [(each["path"], each["mode"]) for each in changed] == [
        (str(root), ["0755", "2750"]),
        (str(root / "pending"), ["0777", "3770"]),
        (str(root / "synced"), ["0777", "2750"]),
        (str(root / "failed"), ["0777", "2750"]),
    ]
    assert document["export"] == {"VULCAN_STAGING_DIR": str(root)}
    assert modes(root) == MODES
    assert (root / "pending" / "x.parquet").read_bytes() == b"theirs"


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("")
    mode = home.stat().st_mode
    ran = vulcan("init", home, home=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == (
        f"vulcan: {home} is no staging directory and not empty: it holds thesis.tex"
    )
    assert (names(home), home.stat().st_mode) == (["thesis.tex"], mode)
    ran = vulcan("init", home / "thesis.tex", "--json", home=tmp_path)
    assert (ran.code, ran.error()["message"]) == (2, f"{home / 'thesis.tex'} is no folder")


def test_a_fresh_disk_is_empty(tmp_path: Path) -> None:
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    assert vulcan("init", tmp_path / "disk", home=tmp_path).code == 0


def test_p17_a_link_in_place_of_a_state_folder_is_refused(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "spool", tmp_path / "elsewhere"
    elsewhere.mkdir()
    mode = elsewhere.stat().st_mode
    (root / "synced").mkdir(parents=True)
    (root / "pending").symlink_to(elsewhere)
    ran = vulcan("init", root, home=tmp_path)
    assert (ran.code, ran.out) == (4, "")
    assert (names(elsewhere), elsewhere.stat().st_mode) == ([], mode)


def test_a_group_that_is_none(tmp_path: Path) -> None:
    ran = vulcan("init", tmp_path / "x", "--group", "no such", "--json", home=tmp_path)
    assert (ran.code, ran.error()["message"]) == (2, "there is no group 'no such' on this node")
    assert not (tmp_path / "x").exists()


AS_ACCOUNT = """
import contextlib, os, sys
from pathlib import Path
from vulcan_cli.__main__ import main
uid, group, warm_up, *words = sys.argv[1:]
# While it may read them: the interpreter's own files can be closed to other accounts.
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    assert main([*words[:2], *words[4:], "--staging-dir", warm_up]) == 0
os.setgroups([])
os.setresgid(int(group), int(group), int(group))
os.setresuid(int(uid), int(uid), int(uid))
os.umask(0o077)
sys.exit(main(words))
"""
"""Runs a command as root into another staging directory first, then as the account."""

ATTACK = """
import os, sys
uid, group, victim, root = sys.argv[1:]
os.setgroups([])
os.setresgid(int(group), int(group), int(group))
os.setresuid(int(uid), int(uid), int(uid))
done = []
def attempt(name, call):
    try:
        call()
    except OSError:
        return
    done.append(name)
attempt("write", lambda: open(victim, "ab"))
attempt("chmod", lambda: os.chmod(victim, 0o666))
attempt("rename", lambda: os.rename(victim, victim + ".old"))
attempt("unlink", lambda: os.unlink(victim))
open(root + "/pending/mine", "w").close()
attempt("replace", lambda: os.rename(root + "/pending/mine", victim))
for name in ("synced", "failed", "_vulcan", ""):
    attempt(name, lambda: os.mkdir(os.path.join(root, name, "x")))
print(done)
"""


def python(script: str, *words: object, home: Path, **env: str) -> Ran:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        capture_output=True,
        text=True,
        env=clean(home, **env),
        cwd=home,
        check=False,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def open_to_all(folder: Path) -> None:
    """Let every account pass through a folder of pytest's, and those above it."""
    while folder.stat().st_uid == os.geteuid() and folder != folder.parent:
        folder.chmod(folder.stat().st_mode | 0o011)
        folder = folder.parent


@needs_root
def test_p17_workers_of_other_accounts_stage_and_cannot_touch_each_other(tmp_path: Path) -> None:
    open_to_all(tmp_path)
    root, vacua = tmp_path / "spool", tmp_path / VACUA.name
    shutil.copy(VACUA, vacua)
    vacua.chmod(0o444)
    assert vulcan("init", root, "--group", str(GROUP), home=tmp_path).code == 0
    staged = [
        python(
            AS_ACCOUNT,
            *(uid, GROUP, tmp_path / f"of-root-{uid}"),
            *("stage", vacua, "--staging-dir", root, "--geometry", GEOMETRY),
            *("--project", f"of-{uid}", "--json"),
            home=tmp_path,
        )
        for uid in WORKERS
    ]
    assert [(ran.code, ran.err) for ran in staged] == [(0, ""), (0, "")]
    paths = [Path(json.loads(ran.out)["path"]) for ran in staged]
    before = [path.read_bytes() for path in paths]
    found = [(path.stat().st_uid, path.stat().st_gid) for path in paths]
    assert found == [(uid, GROUP) for uid in WORKERS]
    tried = python(ATTACK, WORKERS[1], GROUP, paths[0], root, home=tmp_path)
    assert tried == Ran(0, "[]\n", "")
    assert [path.read_bytes() for path in paths] == before
    ran = vulcan(
        *("sync", "--staging-dir", root, "--repo", tmp_path / "repo", "--create-repo", "--json"),
        home=tmp_path,
    )
    assert (ran.code, ran.err) == (0, "")
    assert (ran.document()["committed"], ran.document()["remaining"]) == (2, 0)


@needs_root
def test_who_may_not_pass_a_folder_above_is_told_which(tmp_path: Path) -> None:
    open_to_all(tmp_path)
    mine, closed = tmp_path / "mine", tmp_path / "closed"
    root, token = closed / "spool", closed / "mine" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("hf_token\n")
    token.chmod(0o600)
    closed.chmod(0o700)
    assert [vulcan("init", each, home=tmp_path).code for each in (mine, root)] == [0, 0]

    def denied(*words: str | Path) -> dict[str, object]:
        ran = python(
            AS_ACCOUNT,
            *(WORKERS[0], GROUP, mine, *words),
            home=tmp_path,
            VULCAN_TOKEN_FILE=str(token),
        )
        assert ran.out == ""
        # Before it stand notices of settings files that are closed, too.
        found: dict[str, object] = json.loads(ran.err.splitlines()[-1])["error"]
        return found

    assert denied("status", "--json", "--staging-dir", root) == {
        "kind": "DiskTrouble",
        "exit_code": 6,
        "errno": 13,
        "message": f"{root}: Permission denied",
        "safe": "what was already staged or confirmed stays so; nothing half-written counts",
        "next": [f"ls -ld {closed}", f"vulcan doctor --staging-dir {root}"],
        "path": str(root),
    }
    assert denied("config", "--json") == {
        "kind": "TokenUnfit",
        "exit_code": 4,
        "message": f"VULCAN_TOKEN_FILE: {token}: Permission denied",
        "safe": "nothing was changed",
        "next": ["unset VULCAN_TOKEN_FILE && hf auth login", "vulcan config --json"],
        "place": str(token),
        "too_open": False,
        "setting": "token",
    }
