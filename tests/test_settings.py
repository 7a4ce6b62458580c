import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vulcan_cli.environment import Display, read_display, read_endpoint
from vulcan_cli.errors import NotSetUp, UsageError
from vulcan_cli.settings import Origin, Settings, load_settings, options_alone
from vulcan_cli.settings_fields import ENVIRONMENT, FIELDS
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.vacua.run_id import DEFAULT_TEMPLATE

TOKEN = "hf_" + "abcdefghij" * 3


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "below"
    folder.mkdir(parents=True)
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return path


def load(
    home: Path, here: Path, /, *, env: dict[str, str] | None = None, **options: Any
) -> Settings:
    return load_settings({"HOME": str(home), **(env or {})}, here, **options)


def test_defaults(home: Path, here: Path) -> None:
    assert load(home, here) == Settings(
        staging_dir=None,
        repo=(),
        project="",
        template=DEFAULT_TEMPLATE,
        budget=90,
        window_s=3600.0,
        max_batch=500,
        max_retries=3,
        commit_prefix="vulcan: forge",
        card=True,
        license=None,
        citation=None,
        healthcheck_url=None,
        origins=dict.fromkeys(FIELDS, Origin("default", "default")),
    )


def test_defaults_are_those_of_sync(home: Path, here: Path) -> None:
    settings = load(home, here)
    names = ("budget", "window_s", "max_batch", "max_retries", "commit_prefix", "card")
    assert {name: getattr(settings, name) for name in names} == {
        name: getattr(SyncOptions(), name) for name in names
    }


def test_each_place_wins_over_the_next(home: Path, here: Path) -> None:
    users = write(home / ".config/vulcan/vulcan.toml", 'project = "user"')
    above = write(here.parent / "vulcan.toml", 'project = "above"')
    nearest = write(here / "vulcan.toml", 'project = "here"')
    env = {"VULCAN_PROJECT": "ours", "STRINGFORGE_VULCAN_PROJECT": "peers"}

    def project(option: str | None = None) -> tuple[str, Origin]:
        settings = load(home, here, env=env, project=option)
        return settings.project, settings.origins["project"]

    assert project("option") == ("option", Origin("option", "--project"))
    assert project() == ("ours", Origin("environment", "VULCAN_PROJECT"))
    env["VULCAN_PROJECT"] = ""
    assert project() == ("peers", Origin("environment", "STRINGFORGE_VULCAN_PROJECT"))
    env.clear()
    assert project() == ("here", Origin("file", str(nearest)))
    nearest.unlink()
    assert project() == ("above", Origin("file", str(above)))
    above.unlink()
    assert project() == ("user", Origin("file", str(users)))
    users.unlink()
    assert project() == ("", Origin("default", "default"))


def test_each_setting_is_decided_by_itself(home: Path, here: Path) -> None:
    write(here / "vulcan.toml", "budget = 7\nmax_batch = 20")
    settings = load(home, here, env={"VULCAN_MAX_BATCH": "30"}, window_s="15m")
    assert (settings.budget, settings.max_batch, settings.window_s) == (7, 30, 900.0)
    assert {name: str(origin) for name, origin in settings.origins.items()} == {
        **dict.fromkeys(FIELDS, "default"),
        "budget": str(here / "vulcan.toml"),
        "max_batch": "VULCAN_MAX_BATCH",
        "window_s": "--window-s",
    }


def test_the_users_folder_follows_xdg(home: Path, here: Path, tmp_path: Path) -> None:
    write(tmp_path / "xdg/vulcan/vulcan.toml", 'project = "xdg"')
    write(home / ".config/vulcan/vulcan.toml", 'project = "home"')
    absolute = load(home, here, env={"XDG_CONFIG_HOME": str(tmp_path / "xdg")})
    relative = load(home, here, env={"XDG_CONFIG_HOME": "xdg"})
    assert (absolute.project, relative.project) == ("xdg", "home")


def test_folders_in_a_file_count_from_that_file(home: Path, here: Path) -> None:
    write(here.parent / "vulcan.toml", 'staging_dir = "spool"\nrepo = ["../repo", "me/vacua"]')
    settings = load(home, here)
    assert settings.staging_dir == here.parent / "spool"
    assert settings.repo == (f"{here.parent}/../repo", "me/vacua")


def test_folders_elsewhere_count_from_the_working_directory(home: Path, here: Path) -> None:
    env = {"VULCAN_STAGING_DIR": "spool", "VULCAN_REPO": "../repo, me/vacua"}
    settings = load(home, here, env=env)
    assert settings.staging_dir == Path("spool")
    assert settings.repo == ("../repo", "me/vacua")


def test_several_repos_the_first_is_the_main_one(home: Path, here: Path) -> None:
    assert load(home, here, repo="a/b,c/d").require_repo() == "a/b"


def test_what_is_not_set_is_said(home: Path, here: Path) -> None:
    settings = load(home, here)
    with pytest.raises(NotSetUp, match=r"^no staging directory is set$") as no_folder:
        settings.require_staging_dir()
    with pytest.raises(NotSetUp, match=r"^no repo is set$") as no_repo:
        settings.require_repo()
    assert (no_folder.value.setting, no_repo.value.setting) == ("staging_dir", "repo")


@pytest.mark.parametrize(
    ("key", "hint"), [("stagingdir", "; did you mean staging_dir?"), ("wibble", "")]
)
def test_an_unknown_key_is_refused_with_the_nearest(
    home: Path, here: Path, key: str, hint: str
) -> None:
    file = write(here / "vulcan.toml", f'{key} = "x"')
    with pytest.raises(NotSetUp) as caught:
        load(home, here)
    assert str(caught.value) == f"{file}: there is no setting '{key}'{hint}"


def test_a_misspelt_variable_is_said(home: Path, here: Path) -> None:
    env = {
        "VULCAN_STAGNG_DIR": "x",
        "VULCAN_TOKEN_FILE": "y",
        "VULCAN_SOMETHING_ELSE_ALTOGETHER": "z",
    }
    assert load(home, here, env=env).notices == (
        "VULCAN_STAGNG_DIR is ignored: did you mean VULCAN_STAGING_DIR?",
    )


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("budget", "0", "it must be a whole number of at least 1"),
        ("budget", "-1", "it must be a whole number of at least 1"),
        ("budget", "ninety", "it must be a whole number of at least 1"),
        ("budget", "1.5", "it must be a whole number of at least 1"),
        ("budget", "9" * 30, "it must be a whole number of at least 1"),
        ("max_retries", "x", "it must be a whole number of at least 0"),
        ("window_s", "0", "it must be longer than 0 s"),
        ("window_s", "soon", "'soon' is no duration: write 90s, 15m, 2h, 30d or 1h30m"),
        ("commit_prefix", "two\nlines", "it must be one line of text"),
        ("card", "perhaps", "it must be true or false"),
        ("license", "two\nlines", "it must be one line of text"),
        ("citation", " ", "it must be text"),
        ("repo", "a/b,,c/d", "a repo is empty"),
        ("staging_dir", "nul\0", "it must be a folder"),
        ("repo", f"https://me:{TOKEN}@host/x", "it looks like a token"),
        ("project", TOKEN, "it looks like a token"),
        ("healthcheck_url", "hc-ping.com/x", "it must begin with https:// or http://"),
        (
            "template",
            "{a.b}",
            "run-id template: {a.b} is not a plain name such as {seed} or {seed?}",
        ),
    ],
)
def test_values_that_cannot_be(home: Path, here: Path, name: str, value: str, why: str) -> None:
    field = FIELDS[name]
    with pytest.raises(UsageError) as usage:
        load_settings({"HOME": str(home)}, here, **{name: value})
    assert str(usage.value) == f"{field.option}: {why}"
    with pytest.raises(NotSetUp) as not_set_up:
        load(home, here, env={field.variable: value})
    assert str(not_set_up.value) == f"{field.variable}: {why}"
    assert not_set_up.value.setting == name


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("budget = true", "budget: it must be a whole number of at least 1"),
        ("budget = 1.0", "budget: it must be a whole number of at least 1"),
        ("repo = []", "repo: it must be a repo, or a list of repos"),
        ("repo = [1]", "repo: it must be a repo, or a list of repos"),
        ("staging_dir = 3", "staging_dir: it must be a folder"),
        ("project = 3", "project: it must be one line of text"),
    ],
)
def test_types_that_cannot_be(home: Path, here: Path, line: str, why: str) -> None:
    file = write(here / "vulcan.toml", line)
    with pytest.raises(NotSetUp) as caught:
        load(home, here)
    assert str(caught.value) == f"{file}, {why}"


def test_a_file_that_is_no_toml(home: Path, here: Path) -> None:
    told = {
        "budget = = 3": "is no TOML: Invalid value (at line 1, column 10)",
        "budget = " + "[" * 100_000: "is no TOML: it is nested too deep",
    }
    for text, why in told.items():
        file = write(here / "vulcan.toml", text)
        with pytest.raises(NotSetUp) as caught:
            load(home, here)
        assert str(caught.value) == f"{file} {why}"


@pytest.mark.parametrize(
    "text", [f'\nproject = "{TOKEN}"', f"\n# {TOKEN}", f'\nrepo = "https://me:{TOKEN}@host/x"']
)
def test_a_token_in_a_file_is_refused_unsaid(home: Path, here: Path, text: str) -> None:
    file = write(here / "vulcan.toml", text)
    with pytest.raises(NotSetUp) as caught:
        load(home, here)
    assert str(caught.value) == (
        f"{file}, line 2 holds what looks like a token; no file of ours may"
    )
    assert caught.value.setting == "token"


def test_a_token_key_is_refused_whatever_it_holds(home: Path, here: Path) -> None:
    file = write(here / "vulcan.toml", 'token = "short"')
    with pytest.raises(NotSetUp) as caught:
        load(home, here)
    assert str(caught.value) == f"{file} sets a token, and no file of ours may"


@pytest.mark.parametrize("mode", [0o646, 0o666])
def test_a_file_that_others_can_write_is_ignored(home: Path, here: Path, mode: int) -> None:
    write(here.parent / "vulcan.toml", 'project = "above"')
    file = write(here / "vulcan.toml", 'project = "here"')
    file.chmod(mode)
    settings = load(home, here)
    assert settings.project == "above"
    assert settings.notices == (f"{file} is ignored: others can write to it",)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o707])
def test_a_file_in_a_folder_that_others_can_write_is_ignored(
    home: Path, here: Path, mode: int
) -> None:
    file = write(here / "vulcan.toml", 'project = "here"')
    here.chmod(mode)
    settings = load(home, here)
    assert settings.project == ""
    assert settings.notices == (f"{file} is ignored: others can write to its folder",)


def test_a_link_does_not_hide_where_the_file_stands(home: Path, here: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "shared" / "settings", 'project = "here"')
    (here / "vulcan.toml").symlink_to(file)
    assert load(home, here).project == "here"
    file.parent.chmod(0o777)
    settings = load(home, here)
    assert settings.project == ""
    assert settings.notices == (f"{here}/vulcan.toml is ignored: others can write to its folder",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_account_is_ignored(home: Path, here: Path) -> None:
    file = write(here / "vulcan.toml", 'project = "here"')
    os.chown(file, 12_345, 12_345)
    assert load(home, here).notices == (f"{file} is ignored: it belongs to another account",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_group_of_many_counts_as_others(home: Path, here: Path) -> None:
    file = write(here / "vulcan.toml", 'project = "here"')
    file.chmod(0o664)
    assert load(home, here).project == "here", "root's own group is nobody else's"
    os.chown(file, 0, 12_345)
    assert load(home, here).notices == (f"{file} is ignored: others can write to it",)


def test_a_fifo_for_a_file_does_not_hang(home: Path, here: Path) -> None:
    os.mkfifo(here / "vulcan.toml", 0o600)
    assert load(home, here).notices == (f"{here}/vulcan.toml is ignored: it is no regular file",)


def test_a_working_directory_that_is_gone(home: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os; os.rmdir(os.getcwd());"
        "from vulcan_cli.settings import load_settings; print(load_settings().budget)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=gone,
        env={"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1]), "VULCAN_BUDGET": "5"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "5\n"


def test_only_known_names_are_options(home: Path, here: Path) -> None:
    with pytest.raises(TypeError, match="budgt"):
        load(home, here, budgt=3)


@pytest.mark.parametrize(
    ("environ", "display"),
    [
        ({}, Display()),
        ({"NO_COLOR": ""}, Display()),
        ({"NO_COLOR": "0"}, Display(color=False)),
        ({"TERM": "dumb"}, Display(color=False, motion=False)),
        ({"VULCAN_DEBUG": "1"}, Display(debug=True)),
        ({"VULCAN_DEBUG": "0"}, Display()),
    ],
)
def test_display(environ: dict[str, str], display: Display) -> None:
    assert read_display(environ) == display


def test_endpoint() -> None:
    assert read_endpoint({}) is None
    assert read_endpoint({"HF_ENDPOINT": "http://127.0.0.1:8000/"}) == "http://127.0.0.1:8000"


def test_every_setting_is_documented() -> None:
    names = [name for name, _ in ENVIRONMENT]
    assert names[: len(FIELDS)] == [f"VULCAN_{name.upper()}" for name in FIELDS]
    assert len(names) == len(set(names))


def test_options_alone_may_count(tmp_path: Path) -> None:
    (tmp_path / "vulcan.toml").write_text("nonsense = 1\n")
    with options_alone():
        settings = load_settings({"VULCAN_BUDGET": "none"}, tmp_path, project="p")
    assert (settings.project, settings.budget, settings.notices) == ("p", 90, ())
    with pytest.raises(NotSetUp):
        load_settings({}, tmp_path)
