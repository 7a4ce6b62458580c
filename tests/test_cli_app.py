import os
import shutil
import subprocess
from pathlib import Path

import pytest

import vulcan_cli
from tests.cli_in_process import run
from tests.cli_support import (
    CHECKOUT,
    VULCAN,
    Ran,
    clean,
    in_shell,
    interrupted,
    on_terminal,
    vulcan,
)
from vulcan_cli.cli.app import COMMANDS, Command, program
from vulcan_cli.cli.explain import EXIT_STATUSES

PRINT_TEXT = {"schedule", "job-script", "plot"}
"""The demo shows what others print; the others print or draw files."""

TOKEN = "hf_" + "abcdefghij" * 3


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    for state in ("pending", "synced", "failed"):
        (tmp_path / "spool" / state).mkdir(parents=True)
    return tmp_path / "spool"


def test_version(tmp_path: Path) -> None:
    assert vulcan("--version", home=tmp_path) == Ran(0, f"vulcan {vulcan_cli.__version__}\n", "")


def test_version_for_a_script(tmp_path: Path) -> None:
    document = {"version": vulcan_cli.__version__, "json_format": 1}
    assert vulcan("--version", "--json", home=tmp_path).document() == document
    assert vulcan("stage", "--version", "--json", home=tmp_path).document() == document


@pytest.mark.parametrize(
    "words", [["--version", "status"], ["--version", "stage", "--run-id", "a", "nowhere"]]
)
def test_who_asks_for_the_version_gets_no_more(tmp_path: Path, words: list[str]) -> None:
    assert vulcan(*words, home=tmp_path) == Ran(0, f"vulcan {vulcan_cli.__version__}\n", "")


@pytest.mark.parametrize(
    "words", [["--json"], ["-q"], ["-qv"], ["--quiet", "--verbose"], ["-v", "--json"]]
)
def test_how_to_talk_may_be_said_before_the_command(
    tmp_path: Path, spool: Path, words: list[str]
) -> None:
    asked = ["--staging-dir", str(spool)]
    before = vulcan(*words, "status", *asked, home=tmp_path)
    assert before == vulcan("status", *words, *asked, home=tmp_path)
    assert before.code == 0


def test_what_a_command_does_not_know_is_refused_before_it_too(tmp_path: Path) -> None:
    assert vulcan("--json", "plot", "tau", home=tmp_path) == vulcan(
        "plot", "--json", "tau", home=tmp_path
    )
    assert vulcan("-q", home=tmp_path) == Ran(
        2,
        "",
        "vulcan: there is no option -q\n  safe: nothing was changed\n  next: vulcan --help\n",
    )


def test_help_of_status_word_for_word(tmp_path: Path) -> None:
    assert vulcan("status", "--help", home=tmp_path, env={"COLUMNS": "80"}) == Ran(
        0,
        """\
Usage: vulcan status [OPTIONS]

Say how many shards wait, how many are published, and what the commit budget
allows.

Nothing is changed, and nothing is asked of the repo. The picture shows when
commits were made in the window of the budget. Warnings tell of folders that are
too open, and of repos and folders near the number of files that the Hub asks
for. Rows of synced/ are told where its catalog is up to date; a shard whose
rows --rows cannot count is skipped and named.

Where:
  --staging-dir DIR  The staging directory. [VULCAN_STAGING_DIR]
  --repo REPO        owner/name on the Hub, or a folder: file:///folder,
                     /folder, ./folder; repeatable: each geometry has its home
                     in one. [VULCAN_REPO]

Output:
  --rows          Count the rows of every state, also of pending.
  --watch         Stay, and keep it up to date.
  --metrics FILE  Write it to a file for Prometheus, replaced as a whole; - is
                  stdout.
  --json          Write JSON to stdout.
  -q, --quiet     Say nothing but results and errors.
  -v, --verbose   Say which settings count, what is done, and what made an
                  error.

Options:
  --version  Say the version and end.
  --help     Show this message and exit.

Examples:
  # How many shards wait, and when the next commit may be
  vulcan status
  # The same, kept up to date until Ctrl-C
  vulcan status --watch
  # For a script
  vulcan status --staging-dir /shared/vulcan --json
  # For Prometheus, from cron
  vulcan status --metrics /var/lib/node_exporter/vulcan.prom

Exit status:
    0  done, or nothing to do
    1  a fault of ours
    2  wrong usage
    3  data refused in this run: bad input, rejected or failed entries,
       conflicts, bad shards
    4  not allowed or not set up: token, permission, repo, missing setting
    6  the local disk: full, read-only, unreadable
  130  interrupted
""",
        "",
    )


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_its_terminal(tmp_path: Path, name: str, columns: int) -> None:
    shown = run(name, "--help", cwd=tmp_path, env={"COLUMNS": str(columns)})
    text = shown.out.partition("\nExamples:")[0]
    assert shown.code == 0
    assert max(map(len, text.splitlines())) <= min(max(columns, 50), 100)


@pytest.mark.parametrize(
    ("env", "heading"),
    [({"TERM": "xterm"}, "\x1b[1mExit status:\x1b[0m"), ({"NO_COLOR": "1"}, "Exit status:")],
)
def test_headings_are_bold_where_that_is_welcome(
    tmp_path: Path, env: dict[str, str], heading: str
) -> None:
    code, seen = on_terminal([*VULCAN, "--help"], clean(tmp_path, **env), tmp_path)
    assert code == 0
    assert heading in seen.splitlines()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_sentence_examples_and_known_options(name: str) -> None:
    tree = program()
    root = tree.make_context("vulcan", [], resilient_parsing=True)
    command = tree.get_command(root, name)
    assert isinstance(command, Command)
    context = command.make_context(name, [], parent=root, resilient_parsing=True)
    page = command.page(context)
    assert page.summary.endswith(".")
    assert page.examples
    assert {code for code, _ in page.exit_statuses} <= set(EXIT_STATUSES)
    known = {name for parameter in command.get_params(context) for name in parameter.opts}
    assert {"--help", "--quiet"} <= known
    assert "--json" in known or name in PRINT_TEXT
    for example in page.examples:
        # What stands behind -- is another program's.
        for part in example.command.partition(" -- ")[0].split("|"):
            words = part.split()
            if words[:2] == ["vulcan", name]:
                options = {word.partition("=")[0] for word in words if word.startswith("--")}
                assert options <= known


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (["statsu"], "there is no command 'statsu'; did you mean status?", "vulcan --help"),
        (["wibble"], "there is no command 'wibble'", "vulcan --help"),
        (["--verison"], "there is no option --verison; did you mean --version?", "vulcan --help"),
        (
            ["status", "--stagingdir", "x"],
            "there is no option --stagingdir; did you mean --staging-dir?",
            "vulcan status --help",
        ),
        (
            ["status", "--repo"],
            "option '--repo' requires an argument",
            "vulcan status --help",
        ),
        (["status", "x"], "got unexpected extra argument(s) (x)", "vulcan status --help"),
        (["status", "--repo", TOKEN], "--repo: it looks like a token", "vulcan status --help"),
        (
            ["status", f"--token={TOKEN}"],
            "there is no option --token",
            "vulcan status --help",
        ),
    ],
)
def test_wrong_usage(tmp_path: Path, words: list[str], sentence: str, hint: str) -> None:
    lines = f"vulcan: {sentence}\n  safe: nothing was changed\n  next: {hint}\n"
    assert vulcan(*words, home=tmp_path) == Ran(2, "", lines)


def test_wrong_usage_for_a_script(tmp_path: Path) -> None:
    ran = vulcan("status", "--json", "--wibble", home=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.error() == {
        "kind": "UsageError",
        "exit_code": 2,
        "message": "there is no option --wibble",
        "safe": "nothing was changed",
        "next": ["vulcan status --help"],
    }


def test_an_error_of_the_disk(tmp_path: Path, spool: Path) -> None:
    (spool / "pending").rmdir()
    (spool / "pending").symlink_to(tmp_path)
    ran = vulcan("status", "--staging-dir", spool, "--json", home=tmp_path)
    assert (ran.code, ran.error()["kind"], ran.error()["setting"]) == (4, "NotSetUp", "staging_dir")


def test_a_full_disk_behind_stdout(tmp_path: Path, spool: Path) -> None:
    command = f"{' '.join(VULCAN)} status --staging-dir {spool} >/dev/full"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=clean(tmp_path), check=False
    )
    assert done.returncode == 6
    assert done.stderr.splitlines()[0] == "vulcan: standard output: No space left on device"


@pytest.mark.parametrize("words", [["status"], ["--help"]])
def test_a_closed_pipe_ends_quietly(tmp_path: Path, spool: Path, words: list[str]) -> None:
    command = f"(sleep 1; exec {' '.join([*VULCAN, *words])}; ) | true; echo ${{PIPESTATUS[0]}}"
    ran = in_shell(command, home=tmp_path, env={"VULCAN_STAGING_DIR": str(spool)})
    assert (ran.out, ran.err) == ("0\n", "")


def test_a_notice_of_an_ignored_file(tmp_path: Path, spool: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "vulcan.toml").write_text('staging_dir = "/elsewhere"')
    shared.chmod(0o777)
    ran = vulcan("status", "--staging-dir", spool, "--json", home=tmp_path, cwd=shared)
    assert ran.document()["staging_dir"] == str(spool)
    assert ran.err == (f"vulcan: {shared}/vulcan.toml is ignored: others can write to its folder\n")


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_the_traceback_is_for_developers(tmp_path: Path, json: list[str]) -> None:
    calm = vulcan("status", *json, home=tmp_path)
    debug = vulcan("status", *json, home=tmp_path, env={"VULCAN_DEBUG": "1"})
    assert debug.code == calm.code == 4
    assert debug.err.startswith("Traceback (most recent call last):\n")
    assert debug.err.endswith(calm.err)
    assert "Traceback" not in calm.err


def test_a_traceback_holds_no_secret(tmp_path: Path) -> None:
    ran = vulcan("status", "--repo", TOKEN, home=tmp_path, env={"VULCAN_DEBUG": "1"})
    assert "Traceback" in ran.err
    assert TOKEN not in ran.err


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_interrupted(tmp_path: Path, spool: Path) -> None:
    """A signal delivered while the pending folder is being read."""
    log = tmp_path / "strace"
    probe = ["strace", "-o", str(log), "-e", "trace=getdents64", *VULCAN, "status"]
    env = clean(tmp_path, VULCAN_STAGING_DIR=str(spool))
    traced = subprocess.run(probe, capture_output=True, env=env, check=False, cwd=tmp_path)
    if traced.returncode != 0:
        pytest.skip("strace may not trace here")
    last = sum("getdents64(" in line for line in log.read_text().splitlines())
    probe[4] = f"inject=getdents64:signal=SIGINT:when={last}"
    done = subprocess.run(probe, capture_output=True, env=env, check=False, cwd=tmp_path, text=True)
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (
        130,
        "",
        interrupted("status"),
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_interrupted_while_an_error_is_told(tmp_path: Path) -> None:
    probe = ["strace", "-qq", "-o", os.devnull, "-e", "inject=write:signal=SIGINT:when=1"]
    words = ["status", "--staging-dir", "nowhere"]
    done = subprocess.run(
        [*probe, *VULCAN, *words],
        capture_output=True,
        text=True,
        env=clean(tmp_path, PYTHONDONTWRITEBYTECODE="1"),
        check=False,
        cwd=tmp_path,
    )
    told = "vulcan: there is no folder nowhere\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, "", told)


IN_TEXT = 'exec("raise KeyboardInterrupt")\n'
"""After this, Python would end by the signal, whoever catches the exception."""


def test_interrupted_while_polars_loads(tmp_path: Path, spool: Path) -> None:
    early = tmp_path / "polars"
    early.mkdir()
    (early / "__init__.py").write_text(IN_TEXT)
    path = os.pathsep.join([str(tmp_path), str(CHECKOUT)])
    ran = vulcan("catalog", "--staging-dir", spool, home=tmp_path, env={"PYTHONPATH": path})
    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (130, "", "vulcan: interrupted")


def test_interrupted_before_it_has_begun(tmp_path: Path) -> None:
    early = tmp_path / "typer"
    early.mkdir()
    (early / "__init__.py").write_text("raise KeyboardInterrupt\n")
    path = os.pathsep.join([str(tmp_path), str(CHECKOUT)])
    assert vulcan("--version", home=tmp_path, env={"PYTHONPATH": path}) == Ran(130, "", "")


def test_python_m_and_the_script_are_one(tmp_path: Path) -> None:
    beside = Path(VULCAN[0]).with_name("vulcan")
    if not os.access(beside, os.X_OK):
        pytest.skip("vulcan is not installed beside this Python")
    done = subprocess.run(
        [beside, "--version"], capture_output=True, text=True, env=clean(tmp_path), check=True
    )
    assert done.stdout == vulcan("--version", home=tmp_path).out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_the_version(tmp_path: Path, command: str) -> None:
    ran = run(command, "--version", cwd=tmp_path)
    assert ran == Ran(0, f"vulcan {vulcan_cli.__version__}\n", "")
    assert list(tmp_path.iterdir()) == []
