import stat
import subprocess
from pathlib import Path
from typing import cast

import pytest

from tests.cli_in_process import run
from tests.cli_support import VULCAN, Ran, clean, on_terminal
from vulcan_cli.credentials import Secret
from vulcan_cli.settings import load_settings
from vulcan_cli.settings_fields import FIELDS

TOKEN = "hf_" + "abcdefghij" * 3
TEMPLATE = "{date}_{project}_h11-{h11?}_h12-{h12?}_ks-{ks_id?}_triang-{triang_id?}_seed-{seed?}"


def of_user(home: Path, text: str) -> Path:
    file = home / ".config/vulcan/vulcan.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_where_each_value_comes_from(tmp_path: Path) -> None:
    mine = of_user(tmp_path, "budget = 7\nmax_batch = 8\n")
    here = tmp_path / "vulcan.toml"
    here.write_text('budget = 9\nproject = "dawn"\n')
    env = {
        "VULCAN_REPO": "me/vacua,me/more",
        "STRINGFORGE_VULCAN_REPO": "you/vacua",
        "STRINGFORGE_VULCAN_TOKEN": TOKEN,
        "HF_ENDPOINT": "http://hub.example/",
    }
    ran = run("config", "--staging-dir", "spool", cwd=tmp_path, env=env)
    rows = [
        ("setting", "comes from", "value"),
        ("staging_dir", "--staging-dir", "spool"),
        ("repo", "VULCAN_REPO", "me/vacua, me/more"),
        ("project", str(here), "dawn"),
        ("template", "default", TEMPLATE),
        ("budget", str(here), "9"),
        ("window_s", "default", "3600"),
        ("max_batch", str(mine), "8"),
        ("max_retries", "default", "3"),
        ("commit_prefix", "default", "vulcan: forge"),
        ("card", "default", "true"),
        ("license", "default", "-"),
        ("citation", "default", "-"),
        ("healthcheck_url", "default", "-"),
        ("token", "STRINGFORGE_VULCAN_TOKEN", "[hidden]"),
        ("endpoint", "HF_ENDPOINT", "http://hub.example"),
    ]
    wide = max(len(origin) for _, origin, _ in rows)
    table = "".join(f"{name:15}  {origin:{wide}}  {value}\n" for name, origin, value in rows)
    assert ran == Ran(0, table, "")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_it_fits_its_terminal(tmp_path: Path, columns: int) -> None:
    env = clean(tmp_path, COLUMNS=str(columns), LC_ALL="C.UTF-8", NO_COLOR="1")
    code, seen = on_terminal([*VULCAN, "config"], env, tmp_path)
    assert code == 0
    whole = f"template         default     {TEMPLATE}"
    cut = whole if len(whole) <= columns else whole[: columns - 1] + "…"
    assert seen.splitlines()[4] == cut


def test_a_file_that_others_can_write_is_ignored_and_said(tmp_path: Path) -> None:
    file = tmp_path / "vulcan.toml"
    file.write_text("budget = 9\n")
    file.chmod(0o666)
    ran = run("config", "--json", cwd=tmp_path)
    notice = f"{file} is ignored: others can write to it"
    assert (ran.code, ran.err) == (0, f"vulcan: {notice}\n")
    document = ran.document()
    assert (document["files"], document["ignored"]) == ([], [notice])


def test_a_file_of_comments(tmp_path: Path) -> None:
    file = tmp_path / "vulcan.toml"
    assert run("config", "init", cwd=tmp_path) == Ran(
        0, f"{file}\n", "it sets nothing yet; all the rest are comments\n"
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    text = file.read_text()
    assert [name for name in FIELDS if f"\n# {name} = " not in text] == []
    assert load_settings({"HOME": "/nowhere"}, tmp_path).files == (file,)


@pytest.mark.parametrize("name", FIELDS)
def test_each_comment_is_a_line_that_counts_without_its_sign(tmp_path: Path, name: str) -> None:
    run("config", "init", cwd=tmp_path)
    file = tmp_path / "vulcan.toml"
    file.write_text(file.read_text().replace(f"\n# {name} = ", f"\n{name} = "))
    settings = load_settings({"HOME": "/nowhere"}, tmp_path)
    assert settings.origins[name].name == str(file)
    shown = {
        "staging_dir": Path("/shared/vulcan"),
        "repo": ("owner/name",),
        "project": "landscape",
        "license": "cc-by-4.0",
        "citation": "Us (2026)",
    }
    found = getattr(settings, name)
    if isinstance(found, Secret):
        assert found.reveal() == "https://hc-ping.com/UUID"
        return
    assert found == shown.get(name, FIELDS[name].default)


def test_a_file_with_settings_in_it(tmp_path: Path) -> None:
    folder = tmp_path / 'odd "name" \x7f ü'
    words = ("config", "init", "--staging-dir", folder, "--repo", "./a", "--repo", "b/c", "--json")
    ran = run(*words, cwd=tmp_path)
    assert ran.document() == {
        "path": str(tmp_path / "vulcan.toml"),
        "set": {"staging_dir": str(folder), "repo": ["./a", "b/c"]},
    }
    settings = load_settings({"HOME": "/nowhere"}, tmp_path)
    assert settings.staging_dir == folder
    assert settings.repo == (f"{tmp_path}/a", "b/c")


def test_the_users_own_file_means_the_same_everywhere(tmp_path: Path) -> None:
    words = ("config", "init", "--user", "--staging-dir", "spool", "--repo", "./a", "-q")
    file = tmp_path / ".config/vulcan/vulcan.toml"
    assert run(*words, cwd=tmp_path) == Ran(0, f"{file}\n", "")
    settings = load_settings({"HOME": str(tmp_path)}, Path("/"))
    assert settings.staging_dir == tmp_path / "spool"
    assert settings.repo == (f"{tmp_path}/a",)


def test_never_over_one_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "vulcan.toml"
    file.symlink_to(tmp_path / "gone")
    assert run("config", "init", cwd=tmp_path) == Ran(
        2,
        "",
        f"vulcan: {file} is there already, and was left as it is\n"
        "  safe: nothing was changed\n"
        "  next: vulcan config --help\n",
    )
    assert file.is_symlink()


def test_not_where_it_would_be_ignored(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    ran = run("config", "init", cwd=tmp_path)
    assert (ran.code, ran.err.splitlines()[0]) == (
        4,
        f"vulcan: {tmp_path}/vulcan.toml would be ignored: others can write to its folder",
    )
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "vulcan.toml"
    file.write_text("budgte = 3\n")
    assert run("config", cwd=tmp_path) == Ran(
        4,
        "",
        f"vulcan: {file}: there is no setting 'budgte'; did you mean budget?\n"
        "  safe: nothing was changed\n"
        "  next: vulcan help settings\n",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shwo"], "vulcan config does show or init, not 'shwo'; did you mean show?"),
        (["show", "--user"], "--user goes with vulcan config init"),
    ],
)
def test_wrong_usage(tmp_path: Path, words: list[str], message: str) -> None:
    ran = run("config", *words, cwd=tmp_path)
    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (2, "", f"vulcan: {message}")


@pytest.mark.parametrize(
    ("text", "mode", "cure"),
    [
        (TOKEN, 0o644, "chmod 600 'a token'"),
        ("", 0o600, "install -m 600 NEW_TOKEN 'a token'"),
        (None, 0, "install -m 600 NEW_TOKEN 'a token'"),
    ],
    ids=["others read it", "empty", "missing"],
)
def test_a_token_file_that_will_not_do_has_its_cure(
    tmp_path: Path, text: str | None, mode: int, cure: str
) -> None:
    if text is not None:
        (tmp_path / "a token").write_text(text)
        (tmp_path / "a token").chmod(mode)
    (tmp_path / "new").write_text(TOKEN)
    env = {"VULCAN_TOKEN_FILE": "a token"}
    ran = run("config", "--json", cwd=tmp_path, env=env)
    assert (ran.code, ran.error()["next"]) == (4, [cure, "vulcan config --json"])
    asked = run("doctor", "--offline", "--json", "--repo", "a/b", cwd=tmp_path, env=env)
    checks = cast("list[dict[str, str]]", asked.document()["checks"])
    found = [(check["verdict"], check["cure"]) for check in checks if check["name"] == "token"]
    assert (asked.code, found) == (4, [("fail", f"{cure}, then vulcan doctor")])

    typed = ["sh", "-c", cure.replace("NEW_TOKEN", "new")]
    assert subprocess.run(typed, cwd=tmp_path, check=True).returncode == 0
    again = run("config", "--json", cwd=tmp_path, env=env)
    assert again.document()["token"] == {"set": True, "origin": "a token"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [("VULCAN_TOKEN_FILE", "."), ("VULCAN_TOKEN_FILE", "no/file"), ("HF_TOKEN", "two words")],
)
def test_a_variable_that_leads_to_no_token_is_given_up(
    tmp_path: Path, variable: str, value: str
) -> None:
    ran = run("config", "--json", cwd=tmp_path, env={variable: value})
    cures = [f"unset {variable} && hf auth login", "vulcan config --json"]
    assert (ran.code, ran.error()["next"]) == (4, cures)
