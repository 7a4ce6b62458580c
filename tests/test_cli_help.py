"""`vulcan help`: topics and commands, as people read them."""

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperOption

from tests.cli_in_process import run
from tests.cli_support import VULCAN, Ran, clean, on_terminal
from vulcan_cli.cli.app import COMMANDS, Command, program
from vulcan_cli.cli.explain import EXIT_STATUSES
from vulcan_cli.cli.topics import TOPICS, load
from vulcan_cli.settings_fields import ENVIRONMENT, FIELDS, FILES
from vulcan_cli.vacua.schema import COLUMNS


def test_the_list(tmp_path: Path) -> None:
    lines = [f"{f'vulcan help {name}':23}  {about}\n" for name, about in TOPICS.items()]
    told = "vulcan --help lists the commands; vulcan help COMMAND explains one\n"
    assert run("help", cwd=tmp_path) == Ran(0, "".join(lines), told)
    assert run("help", "-q", cwd=tmp_path) == Ran(0, "".join(lines), "")


def test_a_topic_word_for_word(tmp_path: Path) -> None:
    shown = run("help", "exit-codes", cwd=tmp_path, env={"COLUMNS": "80"})
    assert shown == Ran(
        0,
        """\
What scripts read from the exit status.

Statuses:
    0  done, or nothing to do
    1  a fault of ours
    2  wrong usage
    3  data refused in this run: bad input, rejected or failed entries,
       conflicts, bad shards
    4  not allowed or not set up: token, permission, repo, missing setting
    5  later: Hub unreachable, rate limit, server error; shards are safe in
       pending
    6  the local disk: full, read-only, unreadable
    7  another sync is at work
  130  interrupted

Which one, where several apply:
The first of 1, 6, 4, 5, 3. A sync that used up its budget while shards wait has
done what it could: 0, or 5 with `--error-on-remaining`. SIGTERM lets a command
finish the batch or the shard at hand: 0. `query` and `split` drop the file or
folder they are writing and end by the signal, which a shell reads as 143; in
the background of a script, where Ctrl-C is ignored, they may leave a hidden
one.

After 5 run the same command again; after 7 another sync does the work. Neither
needs a person. With `--json`, stderr carries the error as one JSON document:
`kind`, `exit_code`, `message`, `safe`, `next`.

In a shell script:
  vulcan sync --quiet
  case $? in
    0|5|7) ;;                         # done, later, or another does it
    3) vulcan status ;;               # some shards were refused: look at them
    *) echo "vulcan needs you" >&2; exit 1 ;;
  esac

The same as a manual page: man 7 vulcan-exit-codes
""",
        "",
    )


@pytest.mark.parametrize("name", [*TOPICS, *COMMANDS])
def test_as_json(tmp_path: Path, name: str) -> None:
    text = run("help", name, cwd=tmp_path, env={"COLUMNS": "80"}).out
    assert run("help", name, "--json", cwd=tmp_path).document() == {"name": name, "text": text}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_what_its_own_help_says(tmp_path: Path, name: str) -> None:
    assert run("help", name, cwd=tmp_path) == run(name, "--help", cwd=tmp_path)


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("name", TOPICS)
def test_prose_fits_its_terminal(tmp_path: Path, name: str, columns: int) -> None:
    shown = run("help", name, cwd=tmp_path, env={"COLUMNS": str(columns)}).out
    topic = load(name)
    copied = {f"  {line}" for part in topic.parts for line in part.lines}
    copied |= {f"  {example.command}" for example in topic.examples}
    prose = [line for line in shown.splitlines() if line not in copied and len(line.split()) > 1]
    assert max(map(len, prose)) <= min(max(columns, 50), 100)


def test_headings_are_bold_on_a_terminal(tmp_path: Path) -> None:
    words = [*VULCAN, "help", "staging"]
    code, seen = on_terminal(words, clean(tmp_path, TERM="xterm"), tmp_path)
    assert code == 0
    bold = re.findall("\x1b\\[1m(.*?)\x1b\\[0m", seen)
    headings = [f"{part.heading}:" for part in load("staging").parts if part.heading]
    assert bold == [*headings, "Examples:"]
    assert "\x1b" not in on_terminal(words, clean(tmp_path, TERM="dumb"), tmp_path)[1]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("formts", "formats"), ("staeg", "stage"), ("exit-code", "exit-codes"), ("zebra", "")],
)
def test_what_is_not_there(tmp_path: Path, word: str, meant: str) -> None:
    hint = f"; did you mean {meant}?" if meant else ""
    assert run("help", word, cwd=tmp_path) == Ran(
        2,
        "",
        f"vulcan: there is no command and no topic '{word}'{hint}\n"
        "  safe: nothing was changed\n"
        "  next: vulcan --help\n",
    )


def test_topics_leave_nothing_out() -> None:
    environment, settings, codes = map(load, ("environment", "settings", "exit-codes"))
    assert [part.rows for part in environment.parts if part.rows] == [ENVIRONMENT, FILES]
    assert [name for name, _ in settings.parts[1].rows] == list(FIELDS)
    assert [int(code) for code, _ in codes.parts[0].rows] == list(EXIT_STATUSES)
    columns = next(part for part in load("formats").parts if part.heading == "Columns")
    named = {name for term, _ in columns.rows for name in term.split(", ")}
    assert named - {"any other"} == {column.name for column in COLUMNS}


def test_defaults_are_said_as_config_shows_them(tmp_path: Path) -> None:
    shown = run("config", cwd=tmp_path)
    rows = [re.split("  +", line) for line in shown.out.splitlines()[1:]]
    defaults = {name: value for name, _, value in rows if name in FIELDS and value != "-"}
    said = {name: field.described.partition("; default: ")[2] for name, field in FIELDS.items()}
    assert {name: text for name, text in said.items() if text} == defaults


def test_what_a_sync_takes_unless_told_otherwise_stands_in_its_help() -> None:
    tree = program()
    command = tree.get_command(tree.make_context("vulcan", [], resilient_parsing=True), "sync")
    assert isinstance(command, Command)
    shown = {
        option: parameter.help.partition(" [")[0].rpartition("; ")[2]
        for parameter in command.params
        if isinstance(parameter, TyperOption) and parameter.help
        for option in parameter.opts
    }
    usual = ("max_batch", "budget", "max_retries", "commit_prefix")
    assert {name: shown[FIELDS[name].option] for name in usual} == {
        name: f"{FIELDS[name].default} by default." for name in usual
    }


def commands_in(text: str) -> list[list[str]]:
    """What is typed behind `vulcan` in a line of shell; comments and other commands left out."""
    joined = text.replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        words = shlex.split(line, comments=True)
        if "vulcan" in words:
            words = words[words.index("vulcan") + 1 :]
            end = next(
                (n for n, w in enumerate(words) if w in {";;", "|", ";", "--"} or w[0] == ">"), None
            )
            found.append(words[:end])
    return found


@pytest.mark.parametrize("name", TOPICS)
def test_every_command_in_a_topic_is_one(name: str) -> None:
    topic = load(name)
    lines = [line for part in topic.parts for line in part.lines]
    lines += [example.command for example in topic.examples]
    tree = program()
    root = tree.make_context("vulcan", [], resilient_parsing=True)
    for words in commands_in("\n".join(lines)):
        command = tree.get_command(root, words[0])
        assert isinstance(command, Command), words
        context = command.make_context(words[0], [], parent=root, resilient_parsing=True)
        known = {name for option in command.get_params(context) for name in option.opts}
        assert {word for word in words if word.startswith("-") and len(word) > 1} <= known, words
