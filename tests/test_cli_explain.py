import errno
import json
import shlex
from pathlib import Path

import pytest

from vulcan_cli import errors
from vulcan_cli.cli.advice import advised_errors
from vulcan_cli.cli.app import COMMANDS, Command, program
from vulcan_cli.cli.explain import EXIT_STATUSES, explain, interrupted
from vulcan_cli.errors import Problem, VulcanError

ERRORS: tuple[VulcanError, ...] = (
    VulcanError("broken"),
    errors.UsageError("this and that exclude each other"),
    errors.TemplateError("no such name"),
    errors.MissingTemplateValue("seed"),
    errors.UnknownColumn("there is no column 'tau'"),
    errors.InputRefused(Problem("is empty")),
    errors.ColumnClash("odd", ("String", "Int64"), ("a.parquet", "b.parquet"), ("run_id",)),
    errors.UnevenLists("the lists of flux have 12 to 16 elements", ["flux"], longest=16),
    errors.NotForTerminal("parquet"),
    errors.RowsRefused(Problem("is bad"), n_staged=7, n_refused=1, kept=(Path("kept.csv"),)),
    errors.RowsRefused(Problem("is torn"), n_staged=7, n_refused=0, kept=()),
    errors.NothingToDraw("no row matches"),
    errors.BadShard(Path("/s/pending/x.parquet"), "no footer"),
    errors.Conflict("h12_2/h11_3/bucket_5/run_a.parquet", "pending/"),
    errors.NotSetUp("repo", "no repo is set"),
    errors.StagingMissing(Path("/s"), Path("/s/pending")),
    errors.TokenUnfit("HF_TOKEN", "what HF_TOKEN holds is no token"),
    errors.TokenInSettings(Path("/s/vulcan.toml"), "/s/vulcan.toml sets a token"),
    errors.Denied("this token may not write to a/b"),
    errors.OnlyProposals("a/b takes no commit of this token: open a pull request"),
    errors.RepoMissing("a/b"),
    errors.RepoMissing("a/b", "dev"),
    errors.RepoMissing("file:///a/b"),
    errors.RepoRefuses("a/b refuses every shard: too large"),
    errors.TryLater("not now"),
    errors.HomeNotSet(2, ["a-1", "b-2"], ["file:///c"]),
    errors.OutOfThreads(),
    errors.OutOfMemory(),
    errors.Unreachable("no answer", retry_at=0.0),
    errors.RateLimited("too many requests"),
    errors.ServerTrouble("status 503"),
    errors.DiskTrouble(Path("/s"), OSError(28, "No space left on device")),
    errors.SyncAtWork("process 7 on head"),
    errors.LeaseLost("process 8 on head"),
)


def classes(base: type[VulcanError] = VulcanError) -> set[type[VulcanError]]:
    return {base}.union(*(classes(below) for below in base.__subclasses__()))


def ours() -> set[type[VulcanError]]:
    return {kind for kind in classes() if kind.__module__ == "vulcan_cli.errors"}


def test_every_class_has_advice_and_is_tested_here() -> None:
    assert advised_errors() == ours()
    assert {type(error) for error in ERRORS} == ours()


def test_every_exit_status_is_described() -> None:
    assert {kind.exit_code for kind in ours()} | {0, 130} == set(EXIT_STATUSES)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_says_what_is_safe_and_what_to_type(error: VulcanError) -> None:
    said = explain(error, "vulcan status")
    assert said.kind == type(error).__name__
    assert said.exit_code == error.exit_code
    assert str(error) in said.sentence
    assert said.safe
    assert said.next
    assert json.loads(json.dumps(said.document()))["error"]["message"] == said.sentence


def suggested() -> list[str]:
    settings = ("staging_dir", "repo", "token", "vulcan.toml")
    said = [explain(error) for error in ERRORS]
    said += [explain(errors.NotSetUp(name, "x")) for name in settings]
    return sorted({command for each in (*said, interrupted()) for command in each.next})


@pytest.mark.parametrize("command", [line for line in suggested() if line.startswith("vulcan ")])
def test_every_command_suggested_is_one(command: str) -> None:
    _, *words = shlex.split(command, comments=True)
    tree = program()
    root = tree.make_context("vulcan", [], resilient_parsing=True)
    if words[0].startswith("-"):
        assert words[0] in {name for option in tree.get_params(root) for name in option.opts}
        return
    assert words[0] in COMMANDS
    below = tree.get_command(root, words[0])
    assert isinstance(below, Command)
    context = below.make_context(words[0], [], parent=root, resilient_parsing=True)
    known = {name for option in below.get_params(context) for name in option.opts}
    assert {word for word in words[1:] if word.startswith("-")} <= known


def test_a_token_in_a_settings_file_is_taken_out_before_a_login_counts() -> None:
    error = errors.TokenInSettings(Path("/my home/vulcan.toml"), "it sets a token")
    assert explain(error, "vulcan sync").next[:2] == (
        "${EDITOR:-vi} '/my home/vulcan.toml'  # take the token out",
        "hf auth login",
    )


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["stage", "-", "--staging-dir=a b"], "vulcan status --staging-dir 'a b'"),
        (["query", "--where", "h11 = 3"], "vulcan query --where 'h11 = 3'"),
        (["init", "a b"], "vulcan init 'a b'"),
        ([], "vulcan status"),
    ],
)
def test_what_to_type_after_ctrl_c(typed: list[str], line: str) -> None:
    assert interrupted(typed).next == (line,)


def test_the_words_for_a_person() -> None:
    said = explain(errors.NotSetUp("repo", "no repo is set"))
    assert (said.sentence, said.lines()) == (
        "no repo is set",
        [
            "  safe: nothing was changed",
            "  next: export VULCAN_REPO=owner/name",
            "  next: vulcan sync --dry-run",
        ],
    )


@pytest.mark.parametrize(
    ("error", "typed", "next_"),
    [
        (
            errors.InputRefused(Problem("is empty")),
            "stage 'my results.csv' -g h11=3",
            "vulcan stage --dry-run 'my results.csv' -g h11=3",
        ),
        (
            errors.InputRefused(Problem("is empty")),
            "stage a.csv --dry-run",
            "vulcan stage a.csv --dry-run",
        ),
        (
            errors.RepoMissing("file:///a/repo"),
            "sync --repo ./repo -q",
            "vulcan sync --create-repo --repo ./repo -q",
        ),
        (
            errors.RepoMissing("a/ml"),
            "split --push a/ml --freeze f.json",
            "vulcan split --create-repo --push a/ml --freeze f.json",
        ),
        (errors.Unreachable("no answer"), "query --count", "vulcan query --count"),
        (errors.NotSetUp("repo", "no repo is set"), "sync -q", "vulcan sync -q"),
        (errors.NotSetUp("staging_dir", "none is set"), "stage a.csv", "vulcan stage a.csv"),
        (
            errors.TemplateError("run id 'a/b' is not allowed"),
            "stage 'a b.csv' -g h11=3 --run-id=a/b -q",
            "vulcan stage --run-id NAME 'a b.csv' -g h11=3 -q",
        ),
        (
            errors.TemplateError("run id 'a/b' is not allowed"),
            "stage a.csv --template '{seed:/}' -q",
            "vulcan stage --template '{date}_{project}_seed-{seed?}' a.csv -q",
        ),
        (
            errors.MissingTemplateValue("nope"),
            "stage --set seed=1 --template '{nope}' -- -a.csv",
            "vulcan stage --set nope=VALUE --set seed=1 --template '{nope}' -- -a.csv",
        ),
        (
            errors.Conflict("h12_2/h11_3/bucket_5/run_a.parquet", "pending/"),
            "stage a.csv --run-id a -q",
            "vulcan stage --run-id NAME a.csv -q",
        ),
        (
            errors.Conflict("train-00000-of-00001.parquet", "a/ml"),
            "split --features tau --push a/ml --out-dir ml",
            "vulcan split --push OWNER/NAME --features tau",
        ),
        (
            errors.NotSetUp("staging_dir", "x is no folder but a link or a file"),
            "sync --staging-dir x --repo ./r --staging-dir=y",
            "vulcan sync --repo ./r",
        ),
        (
            errors.NotSetUp("staging_dir", "x is no folder but a link or a file"),
            "stage --staging-dir x -- a.csv --staging-dir",
            "vulcan stage -- a.csv --staging-dir",
        ),
        (
            errors.DiskTrouble(Path("/no/x.csv"), OSError(2, "No such file or directory")),
            "query -o /no/x.csv",
            "vulcan query -o /no/x.csv",
        ),
        (
            errors.UnknownColumn("there is no column 'flx'"),
            "query --staging-dir 'a b' --where 'flx > 1' --source=repo --repo ./r --repo ./s",
            "vulcan query --staging-dir 'a b' --source repo --repo ./r --repo ./s --limit 1 --json",
        ),
        (
            errors.UnknownColumn("there is no column 'h13'"),
            "catalog --staging-dir s --by h13",
            "vulcan catalog --staging-dir s --limit 1 --json",
        ),
        (
            errors.UnknownColumn("there is no column 'flx'"),
            "split --features flx --repo a/b --revision dev -q",
            "vulcan query --repo a/b --revision dev --limit 1 --json",
        ),
        (
            errors.UnknownColumn("there is no column 'x': columns are b", of_result=True),
            "query --staging-dir s --sql 'SELECT h11 AS b FROM vacua' --columns x -o x.csv",
            "vulcan query --staging-dir s --sql 'SELECT h11 AS b FROM vacua' --limit 1 --json",
        ),
        (
            errors.UnknownColumn("there is no column 'x': did you mean h11?"),
            "query --staging-dir s --sql 'SELECT x FROM vacua'",
            "vulcan query --staging-dir s --limit 1 --json",
        ),
        (
            errors.NothingToDraw("no row matches"),
            "plot flux --staging-dir s --h11 3",
            "vulcan query --staging-dir s --limit 1 --json",
        ),
        (
            errors.ColumnClash("odd", ("String", "Int64"), ("a.parquet", "b.parquet"), ()),
            "query --staging-dir s --columns odd",
            "vulcan catalog --staging-dir s --columns path_in_repo,columns",
        ),
        (
            errors.UnevenLists("the lists of flux have 12 to 16 elements", ["flux"], longest=16),
            "split train --features flux --format npz",
            "vulcan split train --features flux --format npz --list-max-len 16",
        ),
        (
            errors.UnevenLists("the lists of flux need one length", ["flux"]),
            "split --features flux --format npz --out-dir ml",
            "vulcan split --features flux --format npz --out-dir ml --list-max-len N",
        ),
        (
            errors.UnevenLists("uneven", ["f", "g,h"], longest=2, left_out=["odd"]),
            "split train --format npz",
            "vulcan split train --format npz --features 'f,\"g,h\"' --list-max-len 2",
        ),
        (
            errors.UnevenLists("the lists of f have 1 to 2 elements", ["f"], longest=2),
            "query --sql 'SELECT f FROM vacua' --format npz",
            "vulcan query --sql 'SELECT f FROM vacua' -o FILE.parquet",
        ),
        (
            errors.UnevenLists("uneven", ["f"], longest=2, left_out=["odd"]),
            "split --format npz -- train",
            "vulcan split --format npz --features f --list-max-len 2 -- train",
        ),
        (
            errors.UnevenLists("uneven", ["f"], longest=2),
            "query --h11 3 --format npz --",
            "vulcan split --h11 3 --features f --list-max-len 2 --out-dir FOLDER --format npz --",
        ),
        (
            errors.NotForTerminal("arrow"),
            "split --format arrow -- train",
            "vulcan split -o FILE.arrow -- train",
        ),
        (
            errors.HomeNotSet(1, ["file:///a"], ["a/b"]),
            "query --count --",
            "vulcan query --count --repo a/b --repo REPO --",
        ),
        (
            errors.RowsRefused(n_staged=1, n_refused=1, kept=(Path("/w/rows.csv"),)),
            "stage --staging-dir s -- -",
            "vulcan stage /w/rows.csv --staging-dir s --dry-run --",
        ),
        (
            errors.OnlyProposals("no commit"),
            "sync --repo a/b --revision dev --json",
            "vulcan sync --create-pr --repo a/b --json",
        ),
        (errors.OnlyProposals("no commit"), "sync --create-pr", "vulcan sync --create-pr"),
        (errors.OnlyProposals("no commit"), "split --push a/b", "vulcan split --push a/b"),
        (
            errors.BadShard(Path("/s/synced/x.parquet"), "no footer"),
            "verify --staging-dir /s",
            "vulcan status --staging-dir /s",
        ),
    ],
)
def test_the_next_command_is_made_of_the_one_that_was_typed(
    error: VulcanError, typed: str, next_: str
) -> None:
    assert explain(error, "vulcan stage", shlex.split(typed)).next[-1] == next_


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (errors.StagingMissing(Path("/s s"), Path("/s s/pending")), "vulcan init '/s s'"),
        (errors.DiskTrouble(Path("/no/x.csv"), OSError(2, "No such file")), "mkdir -p /no"),
        (errors.DiskTrouble(Path("/"), OSError(13, "Permission denied")), "ls -ld /"),
        (errors.DiskTrouble(Path("/no-x"), OSError(1, "Operation not permitted")), "ls -ld /"),
        (errors.Denied("/: permission denied", path=Path("/")), "ls -ld /"),
        (errors.Denied("/no x: permission denied", path=Path("/no x")), "ls -ld /"),
        (errors.DiskTrouble(Path("/no-x"), OSError(30, "Read-only file system")), "findmnt -T /"),
        (errors.DiskTrouble(Path("/"), OSError(28, "No space left")), "df -h / && df -i /"),
        (errors.DiskTrouble(Path("/"), OSError(24, "Too many open files")), "ulimit -n"),
        (errors.DiskTrouble(Path("/"), OSError(12, "Cannot allocate memory")), "free -h"),
        (
            errors.NotSetUp("numpy", "numpy is not installed: pip install 'vulcan-cli[numpy]'"),
            "pip install 'vulcan-cli[numpy]'",
        ),
    ],
)
def test_the_first_thing_to_type_is_the_cure(error: VulcanError, first: str) -> None:
    assert explain(error).next[0] == first


def test_what_is_missing_of_a_repo() -> None:
    here, there = errors.RepoMissing("file:///a/repo"), errors.RepoMissing("a/b")
    assert str(here) == "there is no repo file:///a/repo"
    assert str(there) == "there is no repo a/b, or this token may not see it"
    assert str(errors.RepoMissing("a/b", "dev")) == "a/b has no branch or commit dev"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "query --repo REPO",
        "plot flux --repo REPO",
        "card --push --repo REPO",
        "verify --repo REPO",
        "split --source repo --repo REPO",
        "split --source repo --repo REPO --push ./ml",
    ],
)
def test_who_only_reads_is_helped_to_find_the_repo_and_makes_none(
    tmp_path: Path, typed: str
) -> None:
    def told(repo: str) -> tuple[str, tuple[str, ...]]:
        said = explain(errors.RepoMissing(repo), typed=shlex.split(typed.replace("REPO", repo)))
        return said.safe, said.next

    safe = "nothing was changed"
    folder = (tmp_path / "my repo/deep").as_uri()
    assert told(folder) == (safe, (f"ls {tmp_path}", "vulcan config"))
    assert told("a/b") == (safe, ("vulcan doctor --repo a/b", "vulcan config"))


def test_doctor_does_not_send_to_itself() -> None:
    said = explain(errors.RepoMissing("a/b"), typed=["doctor", "--repo", "a/b"])
    assert said.next == ("vulcan config",)


def test_a_time_to_come_back_is_told() -> None:
    said = explain(errors.RateLimited("too many requests", retry_at=1_000_000_000.0))
    assert said.next == ("vulcan sync  # after 2001-09-09 01:46:40 UTC",)


def test_problems_stand_below_the_sentence_and_whole_in_json() -> None:
    one = Problem("is null", column="tau_im", row=3)
    many = tuple(Problem("is null", column="tau_im", row=row) for row in range(60))
    assert explain(errors.InputRefused(one)).sentence == (
        "the input is refused: column tau_im, row 3: is null"
    )
    said = explain(errors.InputRefused(*many))
    assert said.sentence == "the input is refused: 60 problems"
    assert len(said.details) == 51
    assert said.details[-1] == "and 10 more"
    assert said.facts["problems"] == [
        {"message": "is null", "column": "tau_im", "row": row, "value": None, "source": None}
        for row in range(60)
    ]


def test_other_exceptions_become_ours() -> None:
    disk = explain(OSError(28, "No space left on device", "/s/pending"))
    assert (disk.kind, disk.exit_code) == ("DiskTrouble", 6)
    assert disk.sentence == "/s/pending: No space left on device"
    threads = explain(RuntimeError("can't start new thread"), typed=("sync",))
    assert (threads.kind, threads.exit_code) == ("OutOfThreads", 5)
    assert threads.next == ("POLARS_MAX_THREADS=1 vulcan sync",)
    memory = explain(MemoryError(), typed=("stage", "a.csv"))
    assert (memory.kind, memory.exit_code) == ("OutOfMemory", 5)
    assert memory.next == ("ulimit -a", "vulcan stage a.csv")
    fault = explain(ZeroDivisionError("division by zero"), "vulcan sync")
    assert (fault.kind, fault.exit_code) == ("VulcanError", 1)
    assert fault.sentence == "a fault in vulcan: ZeroDivisionError: division by zero"
    assert fault.next == ("VULCAN_DEBUG=1 vulcan sync ...",)


def test_a_new_token_goes_where_the_old_one_came_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("VULCAN_TOKEN", "STRINGFORGE_VULCAN_TOKEN", "VULCAN_TOKEN_FILE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "login"))
    (tmp_path / "login").mkdir()
    (tmp_path / "login/token").write_text("hf_login")
    file = tmp_path / "a token"
    file.touch(mode=0o600)
    file.write_text("hf_file")

    def cure() -> str:
        return explain(errors.Denied("not this token"), typed=["sync"]).next[0]

    told = [cure()]
    for name, value in (("HF_TOKEN", "hf_a"), ("VULCAN_TOKEN_FILE", file), ("VULCAN_TOKEN", "b")):
        monkeypatch.setenv(name, str(value))
        told.append(cure())
    assert told == [
        "hf auth login",
        "unset HF_TOKEN && hf auth login",
        f"install -m 600 NEW_TOKEN '{file}'",
        "unset VULCAN_TOKEN && hf auth login",
    ]


@pytest.mark.parametrize("typed", ["--staging-dir 'a b'", "--staging-dir='a b'"])
def test_what_to_type_next_is_about_the_same_staging_directory(tmp_path: Path, typed: str) -> None:
    words = ["sync", *shlex.split(typed), "-q"]
    full = OSError(errno.ENOSPC, "No space left on device")
    again = shlex.join(["vulcan", *words])
    assert [
        explain(error, "vulcan sync", words).next
        for error in (
            errors.SyncAtWork("process 1"),
            errors.LeaseLost("taken"),
            errors.DiskTrouble(tmp_path / "a/b", full),
            errors.DiskTrouble(Path("standard output"), full),
        )
    ] == [
        ("vulcan status --staging-dir 'a b'",),
        ("vulcan status --staging-dir 'a b'", again),
        (f"df -h {tmp_path} && df -i {tmp_path}", "vulcan status --staging-dir 'a b'"),
        ("df -h . && df -i .", "vulcan status --staging-dir 'a b'"),
    ]
