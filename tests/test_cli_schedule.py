"""What is printed for schedulers, run as they would run it."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_shards import KEYS, staged, written
from tests.cli_support import Ran, clean
from tests.hubserver import WRITE, LocalHub
from tests.sync_support import NAME
from tests.vacua_support import rows
from vulcan_cli.scheduling import timers
from vulcan_cli.scheduling.job import job_of
from vulcan_cli.vacua.shard import read_footer

SYNC = ("/opt/vulcan", "sync", "--quiet")
JOB = {
    "SLURM_JOB_ID": "812",
    "SLURM_ARRAY_JOB_ID": "800",
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURMD_NODENAME": "n042",
}
TOLD = {
    "scheduler": "slurm",
    "job_id": "812",
    "array_job_id": "800",
    "array_task_id": "7",
    "node": "n042",
    "restart_count": "0",
}


ENABLE = (
    "next: systemctl --user daemon-reload && systemctl --user enable --now vulcan-sync.timer\n"
    "next: loginctl enable-linger  # it runs while you are logged out too\n"
)


def run_of(every_s: float = 900.0, **environment: str) -> timers.Run:
    return timers.Run(command=SYNC, environment=environment, every_s=every_s)


# Timers


@pytest.mark.parametrize(
    ("every_s", "fields"),
    [
        (60, "* * * * *"),
        (300, "*/5 * * * *"),
        (900, "*/15 * * * *"),
        (3600, "0 * * * *"),
        (7200, "0 */2 * * *"),
        (86400, "0 0 * * *"),
    ],
)
def test_intervals_of_cron(every_s: float, fields: str) -> None:
    assert timers.cron(run_of(every_s)).splitlines()[-1] == f"{fields} {' '.join(SYNC)}"


def execute(script: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", script],
        env=clean(cwd, **env),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_line_of_cron_syncs_from_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s 100% "new"'
    folder.mkdir()
    staged(folder, "r")
    words = ("--staging-dir", "spool", "--repo", "./the repo")
    ran = run("schedule", "cron", *words, cwd=folder, env={"VULCAN_MAX_RETRIES": "1"})
    assert (ran.code, ran.err) == (0, "")
    (folder / "the repo").mkdir()
    *comments, line = ran.out.splitlines()
    assert comments == [
        "# Add it to yours: (crontab -l; vulcan schedule cron) | crontab -",
        "# What it prints, cron mails: sync --quiet prints warnings and errors only.",
    ]
    assert line.startswith("*/15 * * * * /usr/bin/env ")
    # Cron splits at a bare % and takes the backslash away from the others.
    command = line.removeprefix("*/15 * * * * ")
    assert re.search(r"(?<!\\)%", command) is None
    done = execute(command.replace("\\%", "%"), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list((folder / "spool/synced").glob("*.parquet"))) == 1
    assert "VULCAN_MAX_RETRIES=1 " in command


@pytest.mark.parametrize(
    ("variables", "login"),
    [
        ({"XDG_CACHE_HOME": "{}/cache"}, "cache/huggingface/token"),
        ({"XDG_CACHE_HOME": "~/cache"}, "cache/huggingface/token"),
        ({"HF_HOME": "~/hub"}, "hub/token"),
        ({"HF_TOKEN_PATH": "~/login"}, "login"),
    ],
)
def test_a_line_of_cron_finds_the_login_of_this_shell(
    variables: dict[str, str], login: str, hub: LocalHub, tmp_path: Path
) -> None:
    staged(tmp_path, "r")
    (tmp_path / login).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / login).write_text(WRITE)
    here = {name: text.format(tmp_path) for name, text in variables.items()}
    words = ("--staging-dir", "spool", "--repo", NAME)
    ran = run("schedule", "cron", *words, cwd=tmp_path, env={**here, "HF_ENDPOINT": hub.url})
    assert (ran.code, ran.err) == (0, "")
    command = ran.out.splitlines()[-1].removeprefix("*/15 * * * * ")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = execute(f"cd {elsewhere} && {command}", tmp_path, HF_HUB_DISABLE_XET="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list((tmp_path / "spool/synced").glob("*.parquet"))) == 1


def test_slurms_scrontab_runs_the_same_line_and_warns_of_its_nodes(tmp_path: Path) -> None:
    words = ("--staging-dir", "my spool", "--repo", "a/b")
    cron = run("schedule", "cron", *words, cwd=tmp_path).out.splitlines()
    scrontab = run("schedule", "scrontab", *words, cwd=tmp_path).out.splitlines()
    assert scrontab == [
        "# Add it to yours: (scrontab -l; vulcan schedule scrontab) | scrontab -",
        "# It may land on a node without network: then every run ends with 5 and nothing is lost.",
        "# Ask for a partition that reaches the Hub, or use cron on a login node instead:",
        "##SCRON --partition=PARTITION",
        "#SCRON --job-name=vulcan-sync",
        "#SCRON --cpus-per-task=1 --mem=1G",
        "#SCRON --time=01:00:00",
        cron[-1],
    ]


def test_units_of_systemd_are_written_out_and_verified(tmp_path: Path) -> None:
    words = ("schedule", "systemd", "--staging-dir", 'the "100%" $spool', "--repo", "./r")
    ran = run(*words, "--every", "7m", "--out-dir", "units", cwd=tmp_path)
    assert ran == Ran(
        0,
        "units/vulcan-sync.service\nunits/vulcan-sync.timer\n",
        # Its manager does not look there.
        f"next: systemctl --user link {tmp_path}/units/vulcan-sync.service "
        f"{tmp_path}/units/vulcan-sync.timer\n" + ENABLE,
    )
    service = (tmp_path / "units/vulcan-sync.service").read_text().splitlines()
    assert f'Environment="VULCAN_STAGING_DIR={tmp_path}/the \\"100%%\\" $spool"' in service
    timer = (tmp_path / "units/vulcan-sync.timer").read_text().splitlines()
    assert timer[-5:-2] == ["OnUnitInactiveSec=420s", "RandomizedDelaySec=30s", ""]
    odd = run(*words, "--every", "90s", cwd=tmp_path).out.splitlines()
    assert "Description=Commit staged shards every 90s" in odd
    assert "OnUnitInactiveSec=90s" in odd
    printed = run(*words, "--every", "7m", cwd=tmp_path).out
    for name in ("vulcan-sync.service", "vulcan-sync.timer"):
        assert f"\n# ~/.config/systemd/user/{name}\n{(tmp_path / 'units' / name).read_text()}" in (
            printed
        )
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd-analyze")
    files = sorted((tmp_path / "units").iterdir())
    done = subprocess.run(
        [verify, "verify", "--user", "--man=no", *files],
        env=clean(tmp_path, XDG_RUNTIME_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("folder", "env"),
    [
        ("~/.config/systemd/user", {}),
        (".config/../.config/systemd/user", {}),
        ("my config/systemd/user", {"XDG_CONFIG_HOME": "my config"}),
        ("~/.local/share/systemd/user", {}),
    ],
)
def test_units_where_systemd_looks_need_no_link(
    tmp_path: Path, folder: str, env: dict[str, str]
) -> None:
    there = {name: str(tmp_path / path) for name, path in env.items()}
    (tmp_path / ".config").mkdir()
    words = ("schedule", "systemd", "--staging-dir", "spool", "--repo", "./r", "--out-dir", folder)
    ran = run(*words, cwd=tmp_path, env=there)
    assert (ran.code, ran.err) == (0, ENABLE)


def test_no_secret_is_written_down(tmp_path: Path) -> None:
    token, url = "hf_" + "abcdefghij" * 3, "https://hc-ping.com/0b8d"
    secret_file = tmp_path / "token"
    secret_file.write_text(token)
    secret_file.chmod(0o600)
    words = ("schedule", "cron", "--staging-dir", "spool", "--repo", "a/b")
    ran = run(*words, cwd=tmp_path, env={"HF_TOKEN": token, "VULCAN_HEALTHCHECK_URL": url})
    assert token not in ran.out + ran.err
    assert url not in ran.out + ran.err
    assert ran.err.splitlines() == [
        "vulcan: the token in HF_TOKEN is not written down: put it into a file of mode 0600 and "
        "export VULCAN_TOKEN_FILE, or run hf auth login",
        "vulcan: healthcheck_url is not written down: put it into the file that "
        "vulcan config init --user makes",
    ]
    ran = run(*words, cwd=tmp_path, env={"VULCAN_TOKEN_FILE": "token"})
    assert (ran.code, ran.err) == (0, "")
    assert f"VULCAN_TOKEN_FILE={secret_file} " in ran.out
    assert token not in ran.out


def test_a_timer_goes_the_way_of_this_shell_to_the_network(tmp_path: Path) -> None:
    ways = {
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "localhost,.cluster",
        "SSL_CERT_FILE": f"{tmp_path}/site.pem",
        "HF_HUB_DISABLE_XET": "1",
    }
    secret = {"https_proxy": "http://me:word@proxy:3128", "all_proxy": "me:word@proxy:3128"}
    words = ("schedule", "cron", "--staging-dir", "spool", "--repo", "a/b")
    given = {**ways, **secret, "SSL_CERT_FILE": "site.pem"}
    ran = run(*words, cwd=tmp_path, env=given)
    assert (ran.code, ran.err) == (
        0,
        "".join(
            f"vulcan: {name} is not written down, as it may hold a password: "
            "set it where the timer runs\n"
            for name in secret
        ),
    )
    _, *variables, _, _, quiet = shlex.split(ran.out.splitlines()[-1])[5:]
    here = {"VULCAN_STAGING_DIR": f"{tmp_path}/spool", "VULCAN_REPO": "a/b"}
    assert (dict(each.split("=", 1) for each in variables), quiet) == (here | ways, "--quiet")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["corn"], "vulcan schedule does cron, systemd, scrontab, not 'corn'; did you mean cron?"),
        (["cron", "--every", "30s"], "--every is at least 1m: a sync takes a slot of the commit "
         "budget"),
        (["cron", "--every", "7m"], "cron knows no 7m: minutes that divide 60, hours that divide "
         "24, and 1d; systemd takes any"),
        (["cron", "--every", "90s"], "cron knows no 90s: minutes that divide 60, hours that divide "
         "24, and 1d; systemd takes any"),
        (["cron", "--out-dir", "x"], "--out-dir goes with vulcan schedule systemd"),
        (["cron", "--staging-dir", "two\nlines"], "a timer is made of lines: VULCAN_STAGING_DIR "
         "must not hold a line break"),
        (["systemd", "--staging-dir", "two\nlines"], "a timer is made of lines: "
         "VULCAN_STAGING_DIR must not hold a line break"),
        (["scrontab", "--staging-dir", "100%"], "Slurm's scrontab has no way to write a % in a "
         "command"),
    ],
)  # fmt: skip
def test_timers_that_cannot_be(tmp_path: Path, words: list[str], sentence: str) -> None:
    env = {"VULCAN_STAGING_DIR": "spool", "VULCAN_REPO": "a/b"}
    assert run("schedule", *words, cwd=tmp_path, env=env) == Ran(
        2,
        "",
        f"vulcan: {sentence}\n  safe: nothing was changed\n  next: vulcan schedule --help\n",
    )


def test_a_timer_needs_a_repo(tmp_path: Path) -> None:
    assert run("schedule", "cron", "--staging-dir", "s", cwd=tmp_path).code == 4
    assert run("schedule", "cron", "--repo", "a/b", cwd=tmp_path).code == 4


# Jobs


def test_what_schedulers_say_of_a_job(tmp_path: Path) -> None:
    ad = tmp_path / ".job.ad"
    ad.write_text('ClusterId = 5\nCmd = "/bin/bash"\nProcId = 3\nNumJobStarts = 1\nX = 1 + 1\n')
    node = os.uname().nodename
    assert job_of(JOB) == TOLD
    assert job_of({**JOB, "SLURM_RESTART_COUNT": "2"})["restart_count"] == "2"
    pbs = {"scheduler": "pbs", "job_id": "9[4].head", "array_task_id": "4", "node": node}
    assert job_of({"PBS_JOBID": "9[4].head", "PBS_ARRAY_INDEX": "4"}) == pbs
    assert job_of({"PBS_JOBID": "9[4].head", "PBS_ARRAYID": "4"}) == pbs
    assert job_of({"_CONDOR_JOB_AD": str(ad)}) == {
        "scheduler": "htcondor",
        "job_id": "5",
        "array_task_id": "3",
        "restart_count": "1",
        "node": node,
    }
    assert job_of({"_CONDOR_JOB_AD": "/nowhere"}) == {"scheduler": "htcondor", "node": node}
    assert job_of({"PBS_JOBID": "a\nb"}) == {"scheduler": "pbs", "node": node}
    assert job_of({"HOME": "/root"}) == {}


def test_the_job_is_told_and_changes_no_content(tmp_path: Path) -> None:
    written(tmp_path, "in", rows())
    words = ("stage", "in", "-g", KEYS, "--staging-dir", "spool", "--set", "date=X", "--json")
    first = run(*words, "--provenance", "node=mine", cwd=tmp_path, env=JOB).document()
    told = read_footer(tmp_path / str(first["path"])).provenance["provenance"]
    assert told == {**TOLD, "node": "mine"}
    again = run(*words, cwd=tmp_path, env={**JOB, "SLURM_RESTART_COUNT": "1"}).document()
    assert (again["status"], again["digest"]) == ("already-staged", first["digest"])


def script(cwd: Path, kind: str, *words: str, tasks: str = "20", solver: str = "cat") -> Path:
    """A printed job script; its solver is one word of a shell."""
    ran = run(
        *("job-script", kind, "--tasks", tasks, "-g", KEYS, "--staging-dir", "spool", *words),
        *("--project", "it's", "--", "bash", "-c", solver, "solver", "{task}"),
        cwd=cwd,
    )
    assert (ran.code, ran.err) == (0, "")
    path = cwd / "job.sh"
    path.write_text(ran.out)
    checked = subprocess.run(["bash", "-n", path], capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")
    return path


def found(cwd: Path) -> tuple[list[int], dict[str, object]]:
    """The first quanta of the one staged shard, and its provenance."""
    (path,) = (cwd / "spool/pending").glob("*.parquet")
    first = pl.read_parquet(path)["flux"].list.first().to_list()
    return first, dict(read_footer(path).provenance["provenance"])


def test_one_task_of_a_slurm_array(tmp_path: Path) -> None:
    (tmp_path / "rows-7").write_text(rows(3).write_ndjson())
    path = script(tmp_path, "slurm", "--solver", "name=newton", solver='cat "rows-$1"')
    head = [line for line in path.read_text().splitlines() if line.startswith("#SBATCH")]
    assert head == [
        "#SBATCH --job-name=vulcan",
        "#SBATCH --array=0-19",
        "#SBATCH --time=24:00:00",
        "#SBATCH --cpus-per-task=1 --mem=2000M",
        "#SBATCH --requeue --open-mode=append",
        "#SBATCH --signal=B:TERM@120",
    ]
    done = execute(f"bash {path}", tmp_path, **JOB)
    assert (done.returncode, done.stderr) == (0, "")
    assert found(tmp_path) == ([0, 1, 2], TOLD)
    (staged_path,) = done.stdout.splitlines()
    assert "_it-s_h11-272_" in staged_path
    assert pl.read_parquet(staged_path)["solver_name"].to_list() == ["newton"] * 3


@pytest.mark.parametrize("again_and_again", [False, True])
def test_a_task_that_is_preempted_stages_what_it_has(
    tmp_path: Path, *, again_and_again: bool
) -> None:
    (tmp_path / "rows").write_text(rows(7).write_ndjson())
    path = script(tmp_path, "slurm", "--max-rows", "5", solver="cat rows; exec sleep 600")
    command = ["bash", str(path)]
    with subprocess.Popen(
        command, env=clean(tmp_path, **JOB), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        while again_and_again and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
        rest = process.stdout.read()
        assert process.wait(timeout=120) == 0
    counts = [pl.read_parquet(line).height for line in (first + rest).splitlines()]
    assert counts == [5, 2]


def test_a_solver_that_fails_fails_its_task_and_its_rows_are_staged(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text(rows(2).write_ndjson())
    path = script(tmp_path, "pbs", "--time", "90m", "--mem", "500MB", solver="cat rows; exit 9")
    head = [line for line in path.read_text().splitlines() if line.startswith("#PBS")]
    assert head == [
        "#PBS -N vulcan",
        "#PBS -J 0-19",
        "#PBS -l select=1:ncpus=1:mem=500mb",
        "#PBS -l walltime=01:30:00",
        "#PBS -r y -j oe",
    ]
    done = execute(f"bash {path}", tmp_path, PBS_JOBID="4[2].head", PBS_ARRAY_INDEX="2")
    assert done.returncode == 9
    numbers, told = found(tmp_path)
    assert (numbers, told["job_id"], told["array_task_id"]) == ([0, 1], "4[2].head", "2")


def test_a_script_for_htcondor_submits_itself(tmp_path: Path) -> None:
    (tmp_path / "rows-3").write_text(rows(2).write_ndjson())
    path = script(tmp_path, "htcondor", tasks="4", solver='cat "rows-$1"')
    fake = tmp_path / "bin/condor_submit"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\ntest "$*" = - && cat > submitted\n')
    fake.chmod(0o755)
    done = execute(f"bash {path}", tmp_path, PATH=f"{fake.parent}:{os.environ['PATH']}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "submitted").read_text().splitlines() == [
        "universe = vanilla",
        "executable = /bin/bash",
        f"arguments = \"'{path}' $(Process)\"",
        f"initialdir = {tmp_path}",
        "request_cpus = 1",
        "request_memory = 2000MB",
        "allowed_job_duration = 86400",
        "should_transfer_files = NO",
        "kill_sig = SIGTERM",
        "log = vulcan.log",
        "output = vulcan.$(Cluster).$(Process).out",
        "error = vulcan.$(Cluster).$(Process).err",
        "queue 4",
    ]
    (tmp_path / "ad").write_text("ClusterId = 5\nProcId = 3\n")
    done = execute(f"bash {path} 3", tmp_path, _CONDOR_JOB_AD=str(tmp_path / "ad"))
    assert (done.returncode, done.stderr) == (0, "")
    numbers, told = found(tmp_path)
    assert (numbers, told["job_id"], told["array_task_id"]) == ([0, 1], "5", "3")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["slrum", "x"], "vulcan job-script does slurm, pbs, htcondor, not 'slrum'; did you "
         "mean slurm?"),
        (["slurm"], "which solver? Put its command line behind --, with {task} in it"),
        (["slurm", "--time", "5s", "x"], "a task has at least a minute: --time 24h"),
        (["pbs", "-g", "h11=3", "-g", "h11=4", "x"], "--geometry: h11 is given twice"),
        (["pbs", "-g", "h21=3", "x"], "--geometry: there is no such key; keys are "
         "h11, h12, ks_id, triang_id, conifold_id, cicy_id; CYTools' h21 is h12 here "
         "(found 'h21')"),
        (["slurm", "--format", "npz", "x"], "npz is whole or nothing: --max-age is for ndjson, "
         "csv and Arrow's stream"),
        (["slurm", "--format", "json", "x"], "--format is one of auto, parquet, csv, ndjson, "
         "arrow, npz, not 'json'"),
        (["slurm", "--max-age", "soon", "x"], "'soon' is no duration: write 90s, 15m, 2h, 30d "
         "or 1h30m"),
        (["slurm", "--max-age", "0", "x"], "--max-age must be longer than 0 s"),
        (["slurm", "--solver", "newton", "x"], "--solver is written key=value,key=value, not "
         "'newton'"),
        (["slurm", "--tadpole-charge", "3000000000", "x"], "tadpole_charge must be an integer "
         "from -2147483648 to 2147483647, not 3000000000"),
        (["slurm", "--template", "{seed}", "x"], "run-id template needs a value for {seed}"),
        (["slurm", "--mem", "0", "x"], "a task needs memory: --mem 2GB"),
    ],
)  # fmt: skip
def test_scripts_that_cannot_be(tmp_path: Path, words: list[str], sentence: str) -> None:
    assert run("job-script", *words, "--staging-dir", "spool", cwd=tmp_path) == Ran(
        2,
        "",
        f"vulcan: {sentence}\n  safe: nothing was changed\n  next: vulcan job-script --help\n",
    )


def test_keys_of_a_geometry_in_several_options_are_one_geometry(tmp_path: Path) -> None:
    keys, rest = KEYS.rsplit(",", 1)
    words = ("--staging-dir", "spool", "--", "solver")
    apart = run("job-script", "slurm", "-g", keys, "-g", rest, *words, cwd=tmp_path)
    assert apart == run("job-script", "slurm", "-g", KEYS, *words, cwd=tmp_path)
    assert apart.code == 0


def test_the_command_that_runs_vulcan(tmp_path: Path) -> None:
    python = tmp_path / "python"
    assert timers.executable(python) == (str(python), "-m", "vulcan_cli")
    (tmp_path / "vulcan").touch()
    assert timers.executable(python) == (str(tmp_path / "vulcan"),)
    assert json.dumps(timers.executable(Path(sys.executable))).startswith('["/')
