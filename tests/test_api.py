"""Class `Vulcan`: code written for the peer runs with the import line changed."""

from __future__ import annotations

import copy
import doctest
import json
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

import vulcan_cli
from tests.hubserver import WRITE, HubThread, LocalHub
from tests.peer_support import Peer
from vulcan_cli import (
    FeatureSpec,
    StagedShard,
    SyncReport,
    Vulcan,
    VulcanMLView,
    VulcanReader,
    errors,
)
from vulcan_cli.errors import (
    Conflict,
    InputRefused,
    NotSetUp,
    Problem,
    UsageError,
    VulcanError,
)

CHECKOUT = Path(__file__).parents[1]
REAL = Path(__file__).parent / "data/vacua"
OURS, THEIRS = "from vulcan_cli import", "from stringforge.vulcan import"
NAMES = "FeatureSpec, StagedShard, SyncReport, Vulcan, VulcanMLView, VulcanReader"

SCRIPT = f"""
{OURS} {NAMES}

import json
import sys
from hashlib import sha256
from pathlib import Path

import pandas as frames

GIVEN = json.loads(sys.argv[1])
REAL = Path(GIVEN["real"])
GEOMETRIES = {{
    "model_h12-2_1_batch0": {{"h11": 272, "h12": 2, "ks_id": 1, "triang_id": 0}},
    "model_h12-3_2_batch1": {{"h11": 131, "h12": 3, "ks_id": 2, "triang_id": 0}},
    "model_h12-3_5_batch1": {{"h11": 107, "h12": 3, "ks_id": 5, "triang_id": 0}},
    "model_h12-4_3_batch0": {{"h11": 122, "h12": 4, "ks_id": 3, "triang_id": 0}},
}}


def plain(cell):
    if hasattr(cell, "__len__") and not isinstance(cell, str):
        return [plain(each) for each in cell]
    return cell.item() if hasattr(cell, "item") else cell


def show(frame):
    print(len(frame), "rows")
    for name in frame.columns:
        if name != "created_at":
            cells = [plain(cell) for cell in frame[name]]
            print("  ", name, cells[:2], sha256(repr(cells).encode()).hexdigest()[:8])


def fails(call):
    try:
        call()
    except (KeyError, ValueError, FileNotFoundError, TypeError) as error:
        kinds = (KeyError, ValueError, FileNotFoundError, TypeError)
        print(next(kind.__name__ for kind in kinds if isinstance(error, kind)))


# The settings of the environment, and what arguments change of them.
for vulcan in (Vulcan.from_env(), Vulcan.from_env(repo="alice/other", project="other", budget=7)):
    print(vulcan.repo, vulcan.staging_dir, vulcan.project, vulcan.budget, vulcan.window_s)

# A worker stages.
vulcan = Vulcan(repo=GIVEN["repo"], staging_dir=GIVEN["staging"], project="land scape", budget=20)
print(vulcan.list_pending(), vulcan.remaining_budget(), len(vulcan.query()))
for number, (name, geometry) in enumerate(GEOMETRIES.items()):
    shard = vulcan.write(
        frames.read_parquet(REAL / (name + ".parquet")),
        geometry=geometry,
        run_id=f"run-{{number}}",
        solver={{"config_hash": "abc"}},
        provenance={{"git_sha": "deadbeef", "wall_clock_s": 2.5}},
    )
    assert isinstance(shard, StagedShard)
    assert shard.parquet_path.is_file() and shard.sidecar_path.is_file()
    print(shard.run_id, shard.path_in_repo, shard.n_rows, shard.parquet_path.name)
bare = frames.read_parquet(REAL / "model_h12-3_5_batch1.parquet").head(3)
bare = bare[["flux", "moduli_re", "moduli_im", "tau_re", "tau_im"]]
vulcan.write(bare, geometry={{"cicy_id": 7}}, run_id="bare", tadpole_charge=12)

# Run ids by text, by a function, by chance.
by_text = "{{project}}_h11-{{h11?}}_{{note}}_{{number!s:.3}}"
for template in (by_text, lambda **names: f"ks-{{names['ks_id']}}"):
    other = Vulcan(
        repo=GIVEN["repo"], staging_dir=GIVEN["staging"], project="land scape",
        run_id_template=template, extra_kwargs={{"note": "a b", "number": 1.0}},
    )
    print(other.render_run_id(ks_id=5, number="2.256"))
random = Vulcan(repo=GIVEN["repo"], staging_dir=GIVEN["staging"], run_id_template=None)
print(len({{random.render_run_id() for _ in range(20)}}))
written = random.write(bare, geometry={{"h11": 9}}, tadpole_charge=1)
written.parquet_path.unlink()
written.sidecar_path.unlink()

# The head node looks and syncs.
pending = vulcan.list_pending()
print([(shard.run_id, shard.n_rows, shard.path_in_repo) for shard in pending])
for dry_run in (True, False):
    report = vulcan.sync(dry_run=dry_run, max_batch=2)
    assert isinstance(report, SyncReport)
    print(report.n_committed, report.n_failed, report.n_remaining, report.n_commits)
    print(len(report.commit_oids), None in report.commit_oids, report.errors)
    print(vulcan.remaining_budget(), len(vulcan.list_pending()))

# Anybody reads.
reader = vulcan.reader(cache_size=3)
assert isinstance(reader, VulcanReader)
show(reader.catalog())
show(reader.query(h12=3))
show(reader.query(h12=3, is_susy=True, solver_name="newton_SUSY_ISD+", columns=["flux", "W_re"]))
show(vulcan.query(ks_id=1, columns=["moduli_im", "tau_im", "residual"]))
show(vulcan.fetch_run("run-2"))
show(reader.read_columns(pending[0].path_in_repo, ["tau_re"]))
print(len(reader.fetch_run("nowhere")), len(reader.query(ks_id=99)))
show(VulcanReader.from_local(GIVEN["staging"]).catalog())

# And learns.
view = vulcan.ml_view(
    fractions=(0.5, 0.5), splits=("train", "test"), salt="fold-1",
    feature_spec=FeatureSpec(features=["flux", "tau_im"], list_max_len=6),
)
assert isinstance(view, VulcanMLView)
show(view.split_assignments())
print([view.split_of(text) for text in ("53c720309c3cfd39", "f7ab5efef3a47ce5", "")])
for split in ("train", "test"):
    show(view.as_dataframe(split))
spec = FeatureSpec(features=["moduli_re"], list_max_len=5, list_fill=-1.5, keep_geometry_id=False)
show(view.as_dataframe("train", feature_spec=spec, query_filters={{"h12": 3}}))

# What cannot be.
fails(lambda: Vulcan(repo="", staging_dir=GIVEN["staging"]))
fails(lambda: view.as_dataframe("nowhere"))
fails(lambda: vulcan.write(bare, geometry={{}}, tadpole_charge=1))
fails(lambda: vulcan.write(bare, geometry={{"h11": -1}}, tadpole_charge=1))
fails(lambda: vulcan.write(bare, geometry={{"h11": 1}}))
fails(lambda: vulcan.write(bare.head(0), geometry={{"h11": 1}}, tadpole_charge=1))
fails(lambda: vulcan.write(bare[["flux"]], geometry={{"h11": 1}}, tadpole_charge=1))
fails(lambda: vulcan.write(bare, geometry={{"h11": 1}}, tadpole_charge=1, run_id="a__b"))
fails(lambda: random.write(bare, geometry={{"h11": 1}}, tadpole_charge=1, run_id="../up"))
fails(lambda: Vulcan(
    repo=GIVEN["repo"], staging_dir=GIVEN["staging"], run_id_template="{{lacking}}"
).render_run_id())
fails(lambda: Vulcan(
    repo=GIVEN["repo"], staging_dir=GIVEN["staging"], run_id_template=lambda **names: "a b"
).render_run_id())
fails(lambda: reader.query(columns=["nothing"]))
fails(lambda: reader.query(nothing=1))
fails(lambda: reader.fetch_shard("h12_1/h11_1/bucket_1/run_x.parquet"))
fails(lambda: view.as_dataframe("train", feature_spec=FeatureSpec(features=["nothing"])))
"""
"""What a user of the peer has written, but for its first line."""

PRINTED = (Path(__file__).parent / "data/api/printed_by_the_peer.txt").read_text()
"""What the script printed when it ran with the peer, 0.1.1."""

SETTINGS = {
    "REPO": "alice/env",
    "STAGING_DIR": "/scratch/staging",
    "PROJECT": "of-env",
    "BUDGET": "33",
}


def environment(prefix: str) -> dict[str, str]:
    return {f"{prefix}{name}": value for name, value in SETTINGS.items()}


def given(tmp_path: Path, repo: str) -> str:
    return json.dumps({"real": str(REAL), "repo": repo, "staging": str(tmp_path / "staging")})


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_the_peers_script_runs_on_a_folder_repo(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    (tmp_path / "repo").mkdir()
    script = SCRIPT.replace("import pandas as frames", f"import {library} as frames")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    # The peer cuts lists short in silence.
    kept["PYTHONWARNINGS"] = "ignore::UserWarning"

    done = subprocess.run(
        [sys.executable, "-c", script, given(tmp_path, str(tmp_path / "repo"))],
        env={**kept, **environment("STRINGFORGE_VULCAN_"), "PYTHONPATH": str(CHECKOUT)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.stderr == ""
    assert done.stdout == PRINTED
    assert done.returncode == 0


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with HubThread(tmp_path / "hub") as running:
        running.create_repo("alice/vacua")
        yield running


@pytest.mark.parametrize("line", [OURS, THEIRS])
def test_one_script_prints_the_same_with_either_import(
    line: str, hub: LocalHub, peer: Peer, tmp_path: Path
) -> None:
    env = {
        **environment("STRINGFORGE_VULCAN_"),
        **{name: text for name, text in hub.client_env().items() if name.startswith("HF_")},
        "PYTHONPATH": str(CHECKOUT),
    }

    printed = peer.run(SCRIPT.replace(OURS, line), given(tmp_path, "alice/vacua"), env=env)

    assert printed == PRINTED


PRIVATE = """
import sys
import polars as pl
from vulcan_cli import Vulcan, VulcanReader

vulcan = Vulcan(repo="alice/private", staging_dir=sys.argv[1])
vulcan.write(pl.read_parquet(sys.argv[2]), geometry={"h11": 107})
print(vulcan.sync().n_committed)
print(vulcan.reader().query().height)
print(VulcanReader.from_hf("alice/private").query().height)
print(VulcanReader.from_hf("alice/private", token=sys.argv[3]).query().height)
"""


@pytest.mark.parametrize("variable", ["HF_TOKEN", "VULCAN_TOKEN"])
def test_a_private_repo_is_read_with_the_token_of_the_environment(
    variable: str, hub: LocalHub, tmp_path: Path
) -> None:
    hub.create_repo("alice/private", private=True)
    env = dict(hub.client_env(home=tmp_path))
    token = env.pop("HF_TOKEN")
    done = subprocess.run(
        [sys.executable, "-c", PRIVATE, tmp_path / "staging", FILE, token],
        env={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT), **env, variable: token},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr) == ("1\n37\n37\n37\n", "")


FILE = REAL / "model_h12-3_5_batch1.parquet"
SPEC: Any = FeatureSpec
"""Without its types, as most programs are."""

GEOMETRY = {"h11": 107, "h12": 3, "ks_id": 5, "triang_id": 0}


@pytest.fixture
def vulcan(tmp_path: Path) -> Vulcan:
    return Vulcan(repo=str(tmp_path / "repo"), staging_dir=tmp_path / "staging", project="p")


def pandas_frame(path: Path) -> Any:
    return pytest.importorskip("pandas").read_parquet(path)


@pytest.mark.parametrize(
    "read",
    [pl.scan_parquet, pq.read_table, lambda path: pq.ParquetFile(path).read(), pandas_frame],
    ids=["lazy", "table", "chunks", "pandas"],
)
def test_a_frame_of_any_library_is_the_same_shard(
    read: Callable[[Path], Any], vulcan: Vulcan
) -> None:
    first = vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)

    second = vulcan.write(read(FILE), geometry=GEOMETRY, run_id=first.run_id)

    assert (first.status, second.status) == ("staged", "already-staged")
    assert second.parquet_path == first.parquet_path
    assert second.digest == first.digest
    assert vulcan.list_pending() == [first]


def test_a_run_id_tells_its_content_whatever_the_template(vulcan: Vulcan) -> None:
    rows = pl.read_parquet(FILE)
    templates: list[Any] = ["fixed", "{digest}", lambda **names: f"ks-{names['ks_id']}", None]
    for template in templates:
        vulcan.run_id_template = template
        ids = [vulcan.write(part, geometry=GEOMETRY).run_id for part in (rows[:5], rows[5:])]
        assert len(set(ids)) == 2
        shards = {shard.run_id: shard for shard in vulcan.list_pending()}
        for run_id in ids:
            digest = shards[run_id].digest
            assert digest is not None
            assert digest[:16] in run_id


def test_another_run_of_the_same_name_is_refused(vulcan: Vulcan) -> None:
    rows = pl.read_parquet(FILE)
    vulcan.write(rows[:5], geometry=GEOMETRY, run_id="mine")

    with pytest.raises(Conflict):
        vulcan.write(rows[5:], geometry=GEOMETRY, run_id="mine")

    assert [shard.n_rows for shard in vulcan.list_pending()] == [5]


def write_as(work: tuple[Vulcan, str, int]) -> StagedShard:
    vulcan, run_id, n_rows = work
    return vulcan.write(pl.read_parquet(FILE).head(n_rows), geometry=GEOMETRY, run_id=run_id)


def test_an_error_of_a_worker_comes_back_to_who_started_it(vulcan: Vulcan) -> None:
    first = write_as((vulcan, "mine", 5))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as workers:
        taken = workers.submit(write_as, (vulcan, "mine", 6)).exception()
        same = workers.submit(write_as, (vulcan, "mine", 5)).result()

    assert isinstance(taken, Conflict)
    assert (taken.path_in_repo, taken.where) == (first.path_in_repo, "pending/")
    assert str(taken) == f"{first.path_in_repo} exists with other content in pending/"
    assert same == replace(first, status="already-staged")


def read_by(work: tuple[VulcanReader, VulcanMLView, str]) -> list[Any]:
    reader, view, split = work
    return [reader.query(h12=3), reader.revision, view.as_dataframe(split), view.splits]


@pytest.mark.parametrize("where", ["instance", "local", "folder"])
def test_readers_and_views_go_to_other_processes(
    vulcan: Vulcan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY, run_id="mine")
    vulcan.sync(create_repo=True)
    monkeypatch.chdir(tmp_path)
    readers: dict[str, Callable[[], VulcanReader]] = {
        "instance": vulcan.reader,
        "local": lambda: VulcanReader.from_local("staging", cache_size=3),
        "folder": lambda: VulcanReader.from_hf("./repo", revision="main"),
    }
    reader = readers[where]()
    view = VulcanMLView(reader, splits=("one",), fractions=(1.0,), salt="s")
    here = read_by((reader, view, "one"))

    monkeypatch.chdir("/")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as workers:
        there = workers.submit(read_by, (reader, view, "one")).result()

    rows, revision, features, splits = there
    assert rows.equals(here[0])
    assert features.equals(here[2])
    assert (rows.height, features.height) == (37, 37)
    assert (revision, splits) == (here[1], here[3])
    # What was read is not sent along.
    assert len(pickle.dumps(view)) < 2000


def test_a_token_goes_with_copies_and_to_no_other_process(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in hub.client_env(home=tmp_path).items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("HF_TOKEN")
    vulcan = Vulcan(repo="alice/vacua", staging_dir=tmp_path / "none", token=WRITE)
    reader = VulcanReader.from_hf("alice/vacua", token=WRITE)
    view = VulcanMLView(reader)

    for each in (vulcan, reader, view):
        assert WRITE.encode() not in pickle.dumps(each)
    for copied in (copy.copy, copy.deepcopy):
        assert copied(vulcan).query().height == 0
        assert copied(reader).query().height == 0
        assert copied(view).reader.query().height == 0
    for sent in (pickle.loads(pickle.dumps(each)) for each in (vulcan, reader)):
        with pytest.raises(errors.Denied):
            sent.query()
    monkeypatch.setenv("HF_TOKEN", WRITE)
    for sent in (pickle.loads(pickle.dumps(each)) for each in (vulcan, reader)):
        assert sent.query().height == 0


FORKED = """
import os
import signal
import sys
from pathlib import Path
import polars as pl
from vulcan_cli import Vulcan, VulcanReader

file, folder, began = sys.argv[1:]
vulcan = Vulcan(repo=folder + "/repo", staging_dir=folder + "/staging", run_id_template="fixed")
reader = VulcanReader.from_local(folder + "/staging")
if began != "nothing":
    getattr(pl, began)(file)
    # A thread has its name a moment after it has begun.
    while "tokio-rt-worker\\n" not in [
        (task / "comm").read_text() for task in Path("/proc/self/task").iterdir()
    ]:
        pass


def tell(call):
    try:
        print(call(), flush=True)
    except ValueError as error:
        print(type(error).__name__, error, sep=": ", flush=True)


def work():
    # Where it waits for ever, it is ended.
    signal.alarm(300)
    tell(lambda: vulcan.write(pl.scan_parquet(file), geometry={"h11": 107}).n_rows)
    tell(lambda: vulcan.sync(create_repo=True).n_committed)
    tell(lambda: vulcan.query().height)
    tell(lambda: reader.query().height)
    print(len(vulcan.list_pending()), flush=True)
    return 0


child = os.fork()
if child == 0:
    os._exit(work())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
LOST_THREADS = (
    "UsageError: this process was forked after Polars had begun threads, for which it would wait "
    "for ever: start workers by spawn or forkserver of multiprocessing"
)


@pytest.mark.parametrize(
    ("began", "printed"),
    [
        ("nothing", ["37", "1", "37", "37", "0", "0"]),
        ("read_parquet", [*[LOST_THREADS] * 4, "0", "0"]),
        ("read_parquet_schema", [*[LOST_THREADS] * 4, "0", "0"]),
    ],
)
def test_a_worker_that_is_forked_too_late_is_told(
    began: str, printed: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, FILE, tmp_path, began],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == printed


ASKED_BEFORE = """
import os
import signal
import sys
from vulcan_cli import VulcanReader

reader = VulcanReader.from_local(sys.argv[1])
(path,) = reader.catalog()["path_in_repo"]
asked = (
    lambda: reader.query(is_susy=True, columns=["run_id", "tau_im"]),
    lambda: reader.fetch_shard(path),
    lambda: reader.read_columns(path, ["tau_im"]),
)
shapes = [call().shape for call in asked]
child = os.fork()
if child == 0:
    signal.alarm(300)
    print(shapes, [call().shape for call in asked] == shapes, flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_worker_that_is_forked_has_what_was_asked_before(vulcan: Vulcan) -> None:
    rows = pl.read_parquet(FILE)
    vulcan.write(rows, geometry=GEOMETRY)
    vulcan.sync(create_repo=True)

    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore::DeprecationWarning"),
            *("-c", ASKED_BEFORE, vulcan.staging_dir),
        ],
        env={"PATH": os.defpath, "HOME": str(vulcan.staging_dir), "PYTHONPATH": str(CHECKOUT)},
        check=False,
        capture_output=True,
        text=True,
    )

    n_susy = rows["is_susy"].sum()
    width = len(vulcan.query().columns)
    shapes = [(n_susy, 2), (37, width), (37, 1)]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{shapes} True", "0"]


ERRORS: list[VulcanError] = [
    errors.VulcanError("a fault"),
    errors.UsageError("no such option"),
    errors.TemplateError("no such name"),
    errors.MissingTemplateValue("note"),
    errors.UnknownColumn("no column"),
    errors.UnevenLists("uneven", ["flux"], longest=3, file_format="npz"),
    errors.NotForTerminal("npz"),
    errors.InputRefused(Problem("is null", "flux", 3), Problem("is empty")),
    errors.ColumnClash("x", [pl.Int32(), pl.List(pl.String())], ["a", "b"], ["y"]),
    errors.RowsRefused(Problem("is null"), n_staged=1, n_refused=2, kept=(Path("kept"),)),
    errors.NothingToDraw("no row"),
    errors.BadShard(Path("a.parquet"), "no footer"),
    errors.Conflict("a.parquet", "pending"),
    errors.NotSetUp("repo", "no repo"),
    errors.StagingMissing(Path("spool"), Path("spool/pending")),
    errors.TokenUnfit(Path("token"), "too open", too_open=True),
    errors.TokenInSettings(Path("vulcan.toml"), "a token"),
    errors.Denied("not ours", path=Path("spool")),
    errors.OnlyProposals("only a pull request"),
    errors.RepoMissing("owner/name", "dev"),
    errors.RepoRefuses("hidden", hidden_in="owner/name"),
    errors.TryLater("not now", retry_at=1.5),
    errors.HomeNotSet(2, ["one"], ["two"]),
    errors.OutOfThreads(),
    errors.OutOfMemory(),
    errors.Unreachable("no answer"),
    errors.RateLimited("too many", retry_at=2.5),
    errors.ServerTrouble("a fault of the Hub"),
    errors.DiskTrouble(Path("spool"), OSError(28, "No space left on device")),
    errors.SyncAtWork("process 7"),
    errors.LeaseLost("process 7"),
]


def classes_of_errors(base: type[VulcanError] = VulcanError) -> Iterator[type[VulcanError]]:
    yield base
    for kind in base.__subclasses__():
        yield from classes_of_errors(kind)


def test_every_error_is_copied_and_sent_whole() -> None:
    ways: list[Callable[[VulcanError], VulcanError]] = [
        lambda error: pickle.loads(pickle.dumps(error)),
        copy.copy,
        copy.deepcopy,
    ]
    for way in ways:
        for error in ERRORS:
            other = way(error)
            assert type(other) is type(error)
            assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))
    ours = {kind for kind in classes_of_errors() if kind.__module__ == errors.__name__}
    assert {type(error) for error in ERRORS} == ours


def test_template_values_of_a_call_win_over_those_of_the_instance(tmp_path: Path) -> None:
    vulcan = Vulcan(
        repo="owner/name",
        staging_dir=tmp_path,
        run_id_template="{note}_{where?}_{digest}",
        extra_kwargs={"note": "usual", "where": "here"},
    )
    rows = pl.read_parquet(FILE)

    shard = vulcan.write(rows, geometry=GEOMETRY, extra_kwargs={"note": "special"})

    assert shard.digest is not None
    assert shard.run_id == f"special_here_{shard.digest[:16]}"
    assert vulcan.render_run_id(digest="d", where=None) == "usual_na_d"


def test_bad_rows_are_refused_with_all_that_is_wrong(vulcan: Vulcan) -> None:
    rows = pl.read_parquet(FILE).with_columns(tau_im=pl.lit(-1.0), flux=pl.lit("x")).head(2)

    with pytest.raises(InputRefused) as refusal:
        vulcan.write(rows.drop("tau_re"), geometry=GEOMETRY)

    found = {(problem.column, problem.row) for problem in refusal.value.problems}
    assert {("tau_re", None), ("tau_im", 1), ("tau_im", 2)} < found
    assert {column for column, _ in found} == {"tau_re", "tau_im", "flux"}
    assert isinstance(refusal.value, ValueError)
    assert not vulcan.staging_dir.exists()


def test_what_is_told_of_rows_is_a_mapping(vulcan: Vulcan) -> None:
    told: dict[str, Any] = {"geometry": "h11=3", "solver": "newton", "provenance": ["seed"]}

    with pytest.raises(InputRefused) as refusal:
        vulcan.write(pl.read_parquet(FILE), **told)

    assert str(refusal.value) == (
        "geometry is a mapping of names to values, not str; "
        "solver is a mapping of names to values, not str; "
        "provenance is a mapping of names to values, not list"
    )


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (lambda vulcan: vulcan.query(where=3), "where is a text or a list of texts, not 3"),
        (lambda vulcan: vulcan.query(is_susy="x"), "is_susy is True or False, not 'x'"),
        (lambda vulcan: vulcan.query(limit=2.5), "limit is one integer, not 2.5"),
        (lambda vulcan: vulcan.query(columns=3), "columns is a text or a list of texts, not 3"),
        (lambda vulcan: vulcan.query(sort=[3]), "each of sort is one text, not 3"),
        (lambda vulcan: vulcan.sync(max_batch=2.5), "max_batch is one integer, not 2.5"),
        (lambda vulcan: vulcan.sync(budget="x"), "budget is one integer, not 'x'"),
        (lambda vulcan: vulcan.sync(repo=3), "repo is a text or a Path, not 3"),
        (lambda vulcan: vulcan.from_env(repo=3), "repo is a text or a Path, not 3"),
        (lambda vulcan: type(vulcan)(repo=3), "repo is a text or a Path, not 3"),
        (lambda vulcan: type(vulcan.reader()).from_hf(3), "repo is a text or a Path, not 3"),
        (lambda vulcan: vulcan.sync(commit_prefix=3), "commit_prefix is one text, not 3"),
        (lambda vulcan: vulcan.reader(cache_size="x"), "cache_size is one integer, not 'x'"),
        (lambda vulcan: vulcan.ml_view(fractions=3), "fractions is a list of numbers, not 3"),
        (
            lambda vulcan: vulcan.ml_view(fractions=["a", "b", "c"]),
            "each of fractions is one number, not 'a'",
        ),
        (lambda vulcan: vulcan.ml_view(splits=[1, 2, 3]), "each of splits is one text, not 1"),
        (lambda vulcan: vulcan.ml_view(folds=2.5), "folds is one integer, not 2.5"),
        (lambda vulcan: vulcan.ml_view(frozen=3), "frozen is the path of a file, not 3"),
        (lambda vulcan: vulcan.ml_view(feature_spec=3), "feature_spec is a FeatureSpec, not 3"),
        (
            lambda vulcan: vulcan.ml_view().as_dataframe("train", feature_spec={}),
            "feature_spec is a FeatureSpec, not {}",
        ),
        (
            lambda vulcan: vulcan.ml_view().as_numpy("train", feature_spec={"features": "flux"}),
            "feature_spec is a FeatureSpec, not {'features': 'flux'}",
        ),
        (lambda _: VulcanMLView("./repo"), "reader is a VulcanReader, not './repo'"),  # type: ignore[arg-type]
        (
            lambda vulcan: type(vulcan.reader()).from_hf(vulcan.repo, revision=3),
            "revision is one text, not 3",
        ),
        (
            lambda _: SPEC(keep_geometry_id="no"),
            "keep_geometry_id is True or False, not 'no'",
        ),
        (lambda _: SPEC(features=3), "features is a text or a list of texts, not 3"),
        (lambda _: SPEC(features=[3]), "each of features is one text, not 3"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_its_name(
    vulcan: Vulcan, asked: Callable[[Any], object], sentence: str
) -> None:
    vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)
    with pytest.raises(UsageError) as refusal:
        asked(vulcan)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"folds": 3, "splits": ["a", "b"]}, "folds names and sizes the splits: no splits"),
        (
            {"folds": 3, "fractions": [0.7, 0.2, 0.1]},
            "folds names and sizes the splits: no fractions",
        ),
        ({"frozen": "held", "splits": ["b", "a"]}, "frozen says which splits there are: no splits"),
        (
            {"frozen": "held", "fractions": [1, 0, 0]},
            "frozen says which splits there are: no fractions",
        ),
        ({"frozen": "held", "salt": "7"}, "frozen says which splits there are: no salt"),
        ({"frozen": "held", "folds": 3}, "frozen says which splits there are: no folds"),
        ({"frozen": "held", "group_by": "geometry"}, None),
        ({"frozen": "held", "splits": ["a", "b"], "fractions": [0.5, 0.5]}, None),
        ({"frozen": "other", "salt": "7", "group_by": "polytope"}, None),
        ({"frozen": "other", "group_by": "polytope"}, None),
        (
            {"frozen": "held", "group_by": "polytope"},
            "held is grouped by geometry: no other group_by",
        ),
        ({"folds": 3, "salt": "7", "group_by": "polytope"}, None),
    ],
)
def test_what_a_view_would_not_look_at_is_refused(
    vulcan: Vulcan,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    asked: dict[str, Any],
    sentence: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    described = {"splits": ["a", "b"], "fractions": [0.5, 0.5], "assignments": {}}
    for name, salt, group_by in (("held", "", "geometry"), ("other", "7", "polytope")):
        Path(name).write_text(json.dumps({**described, "salt": salt, "group_by": group_by}))
    said = None
    try:
        vulcan.ml_view(**asked)
    except UsageError as error:
        said = str(error)
    assert said == sentence


def test_an_expression_is_no_condition(vulcan: Vulcan) -> None:
    condition = pl.col("tau_im") > 2
    with pytest.raises(UsageError) as refusal:
        vulcan.query(where=condition)
    assert str(refusal.value) == f"where is a text or a list of texts, not {condition!r:.80}"


def test_a_filter_that_is_none_is_named(vulcan: Vulcan) -> None:
    with pytest.raises(TypeError) as refusal:
        vulcan.query(foo=None)
    assert str(refusal.value) == (
        "there is no filter 'foo': choose from run_id, geometry_id, h11, h12, ks_id, triang_id, "
        "conifold_id, cicy_id, solver_name, is_susy, is_isd, where, columns, sort, limit"
    )


def test_a_run_id_is_a_text(vulcan: Vulcan) -> None:
    with pytest.raises(InputRefused) as refusal:
        vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY, run_id=5)  # type: ignore[arg-type]
    assert str(refusal.value) == "run_id is one text, not 5"
    assert vulcan.list_pending() == []


def test_a_repo_may_be_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for repo in (tmp_path / "with,comma", tmp_path / "repo", Path("repo")):
        vulcan = Vulcan(repo=repo, staging_dir=tmp_path)
        assert vulcan.repo == str(tmp_path / repo.name)
        assert Vulcan.from_env(repo=repo, staging_dir=tmp_path).repo == vulcan.repo
    shard = vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)
    assert vulcan.sync(repo=Path("other"), create_repo=True).n_committed == 1

    rows = VulcanReader.from_hf(Path("other")).query()

    assert set(rows["run_id"]) == {shard.run_id}
    assert rows.equals(VulcanReader.from_hf(tmp_path / "other").query())


def test_a_repo_that_is_the_staging_directory_is_refused(tmp_path: Path) -> None:
    vulcan = Vulcan(repo=tmp_path / "staging", staging_dir=tmp_path / "staging")
    vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)
    before = sorted(tmp_path.rglob("*"))

    for asked in (vulcan.sync, partial(vulcan.sync, dry_run=True), vulcan.query):
        with pytest.raises(UsageError) as refusal:
            asked()
        assert str(refusal.value) == (
            f"{tmp_path}/staging is the staging directory: a repo is a folder of its own"
        )

    assert sorted(tmp_path.rglob("*")) == before


def test_a_rehearsal_of_a_pull_request_of_a_folder_is_refused(
    vulcan: Vulcan, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refusal:
        vulcan.sync(create_pr=True, dry_run=True)
    assert str(refusal.value) == f"file://{tmp_path}/repo is a folder, which has no pull requests"


def test_a_wrong_geometry_is_told_with_wrong_rows(vulcan: Vulcan) -> None:
    rows = pl.read_parquet(FILE).with_columns(tau_im=pl.lit(-1.0)).head(1)

    with pytest.raises(InputRefused) as refusal:
        vulcan.write(rows, geometry={"h11": 1.5, "h12": 2})

    assert str(refusal.value) == (
        "h11 must be an integer (found 1.5); "
        "frame, column tau_im, row 1: must be positive (found -1.0)"
    )


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ({"h11": "hf_" + 24 * "a"}, "h11 must be an integer (found '[hidden]')"),
        (
            {"hf_" + 24 * "a": 3},
            "there is no such key; keys are h11, h12, ks_id, triang_id, conifold_id, cicy_id "
            "(found '[hidden]')",
        ),
    ],
)
def test_a_token_in_a_geometry_is_not_told(
    vulcan: Vulcan, geometry: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputRefused) as refusal:
        vulcan.write(pl.read_parquet(FILE), geometry=geometry)

    assert str(refusal.value) == said


def test_a_password_in_a_repo_is_not_shown() -> None:
    vulcan = Vulcan(repo="https://me:secret@huggingface.co/datasets/a/b", staging_dir="/spool")

    shown = "Vulcan(repo='[hidden]huggingface.co/datasets/a/b', staging_dir='/spool')"
    assert repr(vulcan) == shown


def test_the_environment_says_what_arguments_do_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.startswith(("VULCAN_", "STRINGFORGE_VULCAN_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(NotSetUp) as missing:
        Vulcan.from_env()
    assert (missing.value.setting, isinstance(missing.value, ValueError)) == ("repo", True)
    with pytest.raises(NotSetUp):
        Vulcan(repo="owner/name")

    for name, value in environment("STRINGFORGE_VULCAN_").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VULCAN_PROJECT", "ours-wins")
    monkeypatch.setenv("VULCAN_WINDOW_S", "60")

    vulcan = Vulcan.from_env()
    assert (vulcan.repo, vulcan.project, vulcan.budget) == ("alice/env", "ours-wins", 33)
    assert (vulcan.staging_dir, vulcan.window_s) == (Path("/scratch/staging"), 60.0)
    other = Vulcan.from_env(repo="bob/other", staging_dir=tmp_path, budget=5)
    assert (other.repo, other.staging_dir, other.budget) == ("bob/other", tmp_path, 5)


def test_what_is_set_for_commands_is_what_from_env_writes_and_syncs_by(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VULCAN_STAGING_DIR", "staging")
    monkeypatch.setenv("VULCAN_REPO", "./repo")
    (tmp_path / "vulcan.toml").write_text(
        'template = "{project}-{seed?}"\nproject = "scan"\n'
        'max_batch = 2\nmax_retries = 0\ncommit_prefix = "scan:"\n'
    )
    vulcan = Vulcan.from_env()
    frame = pl.read_parquet(FILE)

    shards = [vulcan.write(frame[:n], geometry=GEOMETRY, provenance={"seed": n}) for n in (1, 2, 3)]
    own = Vulcan.from_env(run_id_template="own").write(frame[:4], geometry=GEOMETRY)
    report = vulcan.sync(create_repo=True)

    names = [*(f"scan-{n}_" for n in (1, 2, 3)), "own_"]
    wanted = [
        f"{name}{(shard.digest or '')[:16]}"
        for name, shard in zip(names, [*shards, own], strict=True)
    ]
    assert [shard.run_id for shard in (*shards, own)] == wanted
    assert (report.n_committed, report.n_commits) == (4, 2)
    assert messages(tmp_path / "repo") == ["scan:, 2 shards"] * 2
    assert (vulcan.max_batch, vulcan.max_retries, vulcan.commit_prefix) == (2, 0, "scan:")

    vulcan.write(frame[:5], geometry=GEOMETRY)
    vulcan.write(frame[:6], geometry=GEOMETRY)
    assert vulcan.sync(max_batch=1, commit_prefix="mine").n_commits == 2
    assert messages(tmp_path / "repo")[2:] == ["mine, 1 shard"] * 2


def messages(repo: Path) -> list[str]:
    """What the commits of a folder say, by their order."""
    lines = [file.read_text() for file in (repo / ".vulcan/commits").iterdir()]
    commits = [json.loads(line) for text in lines for line in text.splitlines()]
    return [each["message"] for each in sorted(commits, key=lambda each: each["number"])]


@pytest.mark.parametrize("variable", [None, "VULCAN_STAGING_DIR"])
def test_a_worker_that_changes_folders_stages_where_it_began(
    variable: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    if variable is not None:
        monkeypatch.setenv(variable, "staging")
    vulcan = Vulcan(repo="./repo", staging_dir=None if variable is not None else "staging")
    (tmp_path / "staging/synced").mkdir(parents=True)
    reader = VulcanReader.from_local("staging")
    monkeypatch.chdir("work")

    shard = vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)

    assert (vulcan.repo, vulcan.staging_dir) == (str(tmp_path / "repo"), tmp_path / "staging")
    assert shard.parquet_path.parent == tmp_path / "staging/pending"
    assert list((tmp_path / "work").iterdir()) == []
    assert vulcan.sync(create_repo=True).n_committed == 1
    assert reader.fetch_run(shard.run_id).equals(vulcan.query())
    assert list((tmp_path / "work").iterdir()) == []


def test_a_sync_to_another_repo_leaves_the_budget_of_the_first(
    vulcan: Vulcan, tmp_path: Path
) -> None:
    vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)

    report = vulcan.sync(repo=str(tmp_path / "other"), create_repo=True, budget=3)

    assert isinstance(report, SyncReport)
    assert (report.n_committed, report.n_commits, report.errors) == (1, 1, [])
    assert [re.fullmatch("[0-9a-f]{40}", oid or "") is not None for oid in report.commit_oids] == [
        True
    ]
    assert vulcan.remaining_budget() == 90
    assert VulcanReader.from_hf(str(tmp_path / "other")).query().equals(vulcan.query())


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_sync_that_tries_less_than_once_is_refused(vulcan: Vulcan, *, dry_run: bool) -> None:
    with pytest.raises(UsageError) as refusal:
        vulcan.sync(max_retries=-1, dry_run=dry_run, create_repo=True)

    assert str(refusal.value) == "max_retries must be at least 0, not -1"


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("max_batch", [0, -1])
def test_a_sync_of_batches_without_shards_is_refused(
    vulcan: Vulcan, max_batch: int, *, dry_run: bool
) -> None:
    vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)
    waiting = vulcan.list_pending()

    with pytest.raises(UsageError) as refusal:
        vulcan.sync(max_batch=max_batch, dry_run=dry_run, create_repo=True)

    assert str(refusal.value) == f"max_batch must be at least 1, not {max_batch}"
    assert vulcan.list_pending() == waiting
    assert vulcan.remaining_budget() == 90


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("window_s", float("nan"), "window_s must be a finite number above 0, not nan"),
        ("window_s", float("inf"), "window_s must be a finite number above 0, not inf"),
        ("window_s", 0, "window_s must be a finite number above 0, not 0"),
        ("window_s", -60.0, "window_s must be a finite number above 0, not -60.0"),
        ("budget", float("nan"), "budget is one integer, not nan"),
        ("budget", 1.5, "budget is one integer, not 1.5"),
    ],
)
def test_a_sync_by_a_budget_that_cannot_be_kept_is_refused(
    vulcan: Vulcan, name: str, value: float, said: str, *, dry_run: bool
) -> None:
    vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)
    waiting = vulcan.list_pending()
    setattr(vulcan, name, value)

    with pytest.raises(UsageError) as refusal:
        vulcan.sync(dry_run=dry_run, create_repo=True)

    assert str(refusal.value) == said
    assert vulcan.list_pending() == waiting


def test_a_sync_takes_numbers_of_numpy(vulcan: Vulcan) -> None:
    numpy = pytest.importorskip("numpy")
    vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)
    vulcan.window_s = numpy.float32(60)

    report = vulcan.sync(
        budget=numpy.int64(7),
        max_batch=numpy.int32(2),
        max_retries=numpy.int8(1),
        create_repo=True,
    )

    assert (report.n_committed, report.n_remaining, report.errors) == (1, 0, [])
    stamps = json.loads((vulcan.staging_dir / "_commit_budget.json").read_text())
    assert (stamps["budget"], stamps["window_s"]) == (7, 60.0)


@pytest.mark.parametrize("name", ["window_s", "budget"])
def test_a_truth_of_numpy_is_no_number(vulcan: Vulcan, name: str) -> None:
    numpy = pytest.importorskip("numpy")
    setattr(vulcan, name, numpy.True_)

    with pytest.raises(UsageError) as refusal:
        vulcan.sync(create_repo=True)

    kind = {"window_s": "number", "budget": "integer"}[name]
    assert str(refusal.value) == f"{name} is one {kind}, not {numpy.True_!r}"


def test_what_an_instance_does_not_need_may_be_set_to_nonsense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRINGFORGE_VULCAN_BUDGET", "many")
    (tmp_path / "vulcan.toml").write_text('window_s = "never"\nlicense = "mit"\n')
    monkeypatch.chdir(tmp_path)

    vulcan = Vulcan(repo="owner/name", staging_dir="spool")

    assert (vulcan.budget, vulcan.window_s, vulcan.license) == (90, 3600.0, "mit")
    with pytest.raises(NotSetUp) as refusal:
        Vulcan.from_env(repo="owner/name", staging_dir="spool")
    assert str(refusal.value).startswith("STRINGFORGE_VULCAN_BUDGET: ")


@pytest.mark.parametrize("wrong", ["card = 3", "colour = 1"])
def test_what_an_instance_needs_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    (tmp_path / "vulcan.toml").write_text(f"{wrong}\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(NotSetUp):
        Vulcan(repo="owner/name", staging_dir="spool")


def test_the_classes_have_the_peers_attributes(vulcan: Vulcan) -> None:
    shard = vulcan.write(pl.read_parquet(FILE), geometry=GEOMETRY)
    assert isinstance(shard, StagedShard)
    assert shard.sidecar_path == Path(f"{shard.parquet_path}.meta.json")
    assert json.loads(shard.sidecar_path.read_text())["n_rows"] == shard.n_rows == 37
    view = vulcan.ml_view(feature_spec=FeatureSpec(features=["flux"]))
    assert isinstance(view, VulcanMLView)
    assert (view.splits, view.fractions, view.salt) == (
        ("train", "val", "test"),
        (0.8, 0.1, 0.1),
        "",
    )
    assert vulcan.reader().revision is None


def test_fractions_of_a_view_may_be_an_array(vulcan: Vulcan) -> None:
    numpy = pytest.importorskip("numpy")

    view = vulcan.ml_view(fractions=numpy.array([0.5, 0.25, 0.25]))

    assert view.fractions == (0.5, 0.25, 0.25)
    with pytest.raises(ValueError, match=r"^0 fractions for 3 splits: each split needs one$"):
        vulcan.ml_view(fractions=[])


@pytest.mark.parametrize("example", [Vulcan, vulcan_cli])
def test_the_examples_in_docstrings_are_true(
    example: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    runner = doctest.DocTestRunner()
    tests = doctest.DocTestFinder(recurse=False).find(
        example, "example", globs={"Vulcan": Vulcan, "FeatureSpec": FeatureSpec}
    )

    results = [runner.run(test) for test in tests]

    assert sum(result.attempted for result in results) > 0
    assert [result.failed for result in results] == [0] * len(results)


def test_a_worker_that_writes_waits_for_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    script = """
import sys
import polars
from vulcan_cli import Vulcan

vulcan = Vulcan(repo="owner/name", staging_dir=sys.argv[2])
vulcan.write(polars.read_parquet(sys.argv[1]), geometry={"ks_id": 5})
print(len(vulcan.list_pending()), *sorted(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(FILE), str(tmp_path / "staging")],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)},
        check=True,
        capture_output=True,
        text=True,
    )

    n_pending, *loaded = done.stdout.split()
    heavy = {"pyarrow", "pandas", "numpy", "huggingface_hub", "httpx2", "typer", "rich", "torch"}
    assert n_pending == "1"
    assert "vulcan_cli.staging.intake" in loaded
    ours = ("vulcan_cli.dataset.", "vulcan_cli.hub.", "vulcan_cli.sync.")
    assert [name for name in loaded if name.startswith(ours)] == []
    assert heavy & set(loaded) == set()
