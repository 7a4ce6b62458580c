"""The peer itself, run as it is installed: it reads what we wrote, and we read what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.hubserver import WRITE, LocalHub
from tests.peer_support import Answers, Peer
from vulcan_cli import FeatureSpec, StagedShard, Vulcan, VulcanMLView, VulcanReader
from vulcan_cli.hub.huggingface import HubRepo
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions
from vulcan_cli.vacua.geometry import KEYS, path_of_file_name
from vulcan_cli.vacua.prepare import Run, prepare
from vulcan_cli.vacua.shard import read_footer, sidecar_of

# The peer cuts lists short in silence, we do not.
pytestmark = pytest.mark.filterwarnings("ignore:cut short. :UserWarning")

REAL = Path(__file__).parent / "data/vacua"
FILES: dict[str, Any] = json.loads((REAL / "geometries.json").read_text())["files"]

SYNCED = ("model_h12-2_1_batch0.parquet", "model_h12-3_2_batch1.parquet")
PENDING = ("model_h12-3_5_batch1.parquet", "model_h12-4_3_batch0.parquet")
WITHOUT_ITERATIONS = "model_h12-2_3_batch3.parquet"
RUN: dict[str, Any] = {
    "solver": {"config_hash": "abc123", "method": "newton"},
    "provenance": {"seed": 11, "git_sha": "deadbeef", "wall_clock_s": 2.5, "node": "n7"},
}

SPEC: dict[str, Any] = {
    "features": ["flux", "moduli_im", "W_re", "is_susy"],
    "list_max_len": 13,
    "list_fill": -1,
}

READ = """
reader = VulcanReader.from_local(GIVEN["staging"])
keep("catalog", reader.catalog(strict=True))
for name, filters in GIVEN["queries"].items():
    keep(name, reader.query(**filters))
keep("run", reader.fetch_run(GIVEN["run_id"]))
keep("columns", reader.read_columns(GIVEN["path"], ["tau_im", "record_id", "flux"]))
view = VulcanMLView(reader, feature_spec=FeatureSpec(**GIVEN["spec"]))
keep("assignments", view.split_assignments())
for split in ("train", "val", "test"):
    keep(split, view.as_dataframe(split))
"""

WATCH = """
vulcan = Vulcan(repo="alice/vacua", staging_dir=GIVEN["staging"], budget=10)
tell("pending", [
    [s.run_id, str(s.parquet_path), str(s.sidecar_path), s.path_in_repo, s.n_rows]
    for s in vulcan.list_pending()
])
tell("budget", vulcan.remaining_budget())
report = vulcan.sync(dry_run=True, max_batch=1)
tell("rehearsal", [report.n_committed, report.n_failed, report.n_remaining, report.n_commits])
tell("budget_after", vulcan.remaining_budget())
"""

WRITE_SCRIPT = """
vulcan = Vulcan(repo="alice/vacua", staging_dir=GIVEN["staging"], project="theirs")
for file, geometry in GIVEN["files"].items():
    shard = vulcan.write(pd.read_parquet(file), geometry=geometry, **GIVEN["run"])
tell("n_pending", len(vulcan.list_pending()))
"""

DRAIN = """
vulcan = Vulcan(repo="alice/vacua", staging_dir=GIVEN["staging"], token=GIVEN["token"])
report = vulcan.sync(max_batch=2)
tell("report", [report.n_committed, report.n_failed, report.n_remaining, report.n_commits])
tell("errors", report.errors)
keep("repo", VulcanReader.from_hf("alice/vacua", token=GIVEN["token"]).query())
"""

QUERIES: dict[str, dict[str, Any]] = {
    "everything": {},
    "susy": {"is_susy": True},
    "not_susy": {"is_susy": False},
    "solver": {"solver_name": "newton_SUSY_ISD+"},
    "two_keys": {"h12": 2, "triang_id": 0},
    "some_columns": {"h12": 2, "columns": ["residual", "flux", "run_id"]},
    "susy_columns": {"is_susy": True, "columns": ["tau_im", "is_susy"]},
    **{f"{key}_{value}": {key: value} for key in KEYS[:4] for value in (0, 2, 3, 131, 272)},
}
"""What both are asked. The peer's query knows four of the six keys."""


def geometry_of(name: str) -> dict[str, int]:
    return {key: FILES[name][key] for key in KEYS if key in FILES[name]}


def write(vulcan: Vulcan, *names: str) -> list[StagedShard]:
    return [
        vulcan.write(pl.read_parquet(REAL / name), geometry=geometry_of(name), **RUN)
        for name in names
    ]


@pytest.fixture
def vulcan(tmp_path: Path) -> Vulcan:
    """Two shards of ours synced to a folder repo, two pending."""
    made = Vulcan(
        repo=str(tmp_path / "repo"), staging_dir=tmp_path / "staging", project="ours", budget=10
    )
    write(made, *SYNCED)
    assert made.sync(create_repo=True).n_committed == len(SYNCED)
    write(made, *PENDING)
    return made


def read_by_the_peer(peer: Peer, staging: Path, out: Path) -> Answers:
    catalog = VulcanReader.from_local(staging).catalog()
    return peer.ask(
        READ,
        out,
        staging=staging,
        queries=QUERIES,
        run_id=catalog["run_id"][0],
        path=catalog["path_in_repo"][0],
        spec=SPEC,
    )


def assert_equal_answers(theirs: Answers, staging: Path) -> None:
    """Everything that `READ` asks the peer's reader, ours says too: rows, order and types."""
    reader = VulcanReader.from_local(staging)
    catalog = reader.catalog()
    view = VulcanMLView(reader, feature_spec=FeatureSpec(**SPEC))
    ours = {
        "catalog": catalog,
        **{name: reader.query(**filters) for name, filters in QUERIES.items()},
        "run": reader.fetch_run(catalog["run_id"][0]),
        "columns": reader.read_columns(catalog["path_in_repo"][0], ["tau_im", "record_id", "flux"]),
        "assignments": view.split_assignments(),
        **{split: view.as_dataframe(split) for split in view.splits},
    }
    for name, frame in ours.items():
        found = theirs.frame(name)
        if frame.is_empty():
            # Without a row the peer's pandas knows no types, and no columns.
            assert found.is_empty(), name
            continue
        expected = _arrays_to_lists(frame)
        assert found.schema == expected.schema, name
        assert found.equals(expected), name


def _arrays_to_lists(frame: pl.DataFrame) -> pl.DataFrame:
    """Ours pads lists to arrays; the peer has lists of one length."""
    return frame.with_columns(
        pl.col(name).arr.to_list()
        for name, dtype in frame.schema.items()
        if isinstance(dtype, pl.Array)
    )


def test_the_peer_reads_what_we_synced(vulcan: Vulcan, peer: Peer, tmp_path: Path) -> None:
    theirs = read_by_the_peer(peer, vulcan.staging_dir, tmp_path / "out")

    assert_equal_answers(theirs, vulcan.staging_dir)
    everything = theirs.frame("everything")
    assert everything.height == sum(FILES[name]["n_rows"] for name in SYNCED)
    for name in SYNCED:
        written = pl.read_parquet(REAL / name)
        of = {key: value for key, value in geometry_of(name).items() if key in ("h12", "ks_id")}
        found = everything.filter(**of).select(written.columns)
        # `seed` of the rows stays; types become those of a shard, without loss.
        assert found.equals(written.cast(found.schema))


def test_our_files_are_to_the_peer_as_its_own(vulcan: Vulcan, peer: Peer, tmp_path: Path) -> None:
    """The same rows staged by both: equal Arrow types, equal dtypes in pandas, equal metadata."""
    script = (
        WRITE_SCRIPT
        + """
def described(folder):
    found = {}
    for path in sorted(Path(folder).glob("*/*.parquet")):
        schema = pq.read_schema(path)
        seen = {key.decode(): text.decode() for key, text in schema.metadata.items()}
        provenance = json.loads(seen["stringforge.vulcan.provenance"])
        del provenance["run_id"]
        fields = [[f.name, str(f.type).replace("item", "element"), f.nullable] for f in schema]
        dtypes = [str(dtype) for dtype in pd.read_parquet(path).dtypes]
        found[path.name.split("__bucket")[0]] = [
            fields, dtypes, provenance, seen["schema_version"]
        ]
    return found


tell("ours", described(GIVEN["ours"]))
tell("theirs", described(GIVEN["staging"]))
"""
    )
    answers = peer.ask(
        script,
        tmp_path / "out",
        ours=vulcan.staging_dir,
        staging=tmp_path / "theirs",
        files={str(REAL / name): geometry_of(name) for name in (*SYNCED, *PENDING)},
        run=RUN,
    )

    assert answers.value("ours") == answers.value("theirs")
    assert len(answers.value("ours")) == 4


def test_the_peer_sees_what_waits_and_what_was_spent(
    vulcan: Vulcan, peer: Peer, tmp_path: Path
) -> None:
    answers = peer.ask(WATCH, tmp_path / "out", staging=vulcan.staging_dir)

    assert answers.value("pending") == [
        [s.run_id, str(s.parquet_path), str(s.sidecar_path), s.path_in_repo, s.n_rows]
        for s in vulcan.list_pending()
    ]
    assert len(answers.value("pending")) == len(PENDING)
    # We spent one slot of ten, its rehearsal reserves two.
    assert answers.value("budget") == 9
    assert answers.value("rehearsal") == [2, 0, 0, 2]
    assert answers.value("budget_after") == vulcan.remaining_budget() == 7
    assert len(vulcan.list_pending()) == len(PENDING)


def test_what_the_peer_writes_we_sync_and_query(peer: Peer, tmp_path: Path) -> None:
    names = (*SYNCED, *PENDING, WITHOUT_ITERATIONS)
    staging = tmp_path / "staging"
    answers = peer.ask(
        WRITE_SCRIPT,
        tmp_path / "out",
        staging=staging,
        files={str(REAL / name): geometry_of(name) for name in names},
        run=RUN,
    )
    assert answers.value("n_pending") == len(names)
    before = {path.name: path.read_bytes() for path in (staging / "pending").glob("*.parquet")}
    vulcan = Vulcan(repo=str(tmp_path / "repo"), staging_dir=staging)

    report = vulcan.sync(create_repo=True, max_batch=2)

    assert (report.n_committed, report.n_commits, report.n_remaining) == (5, 3, 0)
    assert report.errors == []
    for name, data in before.items():
        path = path_of_file_name(name)
        assert path is not None
        assert (tmp_path / "repo" / path).read_bytes() == data
        provenance = read_footer(staging / "synced" / name).provenance
        assert provenance["solver"] == RUN["solver"]
        assert provenance["provenance"] == RUN["provenance"]
        sidecar = sidecar_of(staging / "synced" / name)
        assert sidecar == json.loads((staging / "synced" / f"{name}.meta.json").read_text())
    ours = VulcanReader.from_hf(str(tmp_path / "repo"))
    for name in names:
        _assert_rows(ours, name)
    assert ours.query().equals(vulcan.query())


def _assert_rows(reader: VulcanReader, name: str) -> None:
    """What the peer made of a file is what we would have made of it, but for names and times."""
    rows = pl.read_parquet(REAL / name)
    found = reader.query(**dict[str, Any](geometry_of(name)))
    run = Run(geometry=None, **RUN)
    keys = [pl.lit(value).alias(key) for key, value in geometry_of(name).items()]
    now = found["created_at"][0]
    (expected,) = prepare(rows.with_columns(keys), run, now=now).shards
    own = ("run_id", "created_at")
    assert found.drop(own).equals(expected.frame.drop(own))
    assert found.schema == expected.frame.schema


@pytest.mark.parametrize("names", [(*SYNCED, *PENDING), (WITHOUT_ITERATIONS,)], ids=["4", "1"])
def test_both_query_alike_what_the_peer_wrote(
    names: tuple[str, ...], peer: Peer, tmp_path: Path
) -> None:
    staging = tmp_path / "staging"
    peer.ask(
        WRITE_SCRIPT,
        tmp_path / "written",
        staging=staging,
        files={str(REAL / name): geometry_of(name) for name in names},
        run=RUN,
    )
    vulcan = Vulcan(repo=str(tmp_path / "repo"), staging_dir=staging)
    assert vulcan.sync(create_repo=True).n_committed == len(names)

    theirs = read_by_the_peer(peer, staging, tmp_path / "out")

    assert_equal_answers(theirs, staging)
    # Supersymmetric or not: the question must have found something.
    counts = [theirs.frame(name).height for name in ("susy", "not_susy", "everything")]
    assert counts[0] + counts[1] == counts[2] == sum(FILES[name]["n_rows"] for name in names)
    assert counts[names == (WITHOUT_ITERATIONS,)] > 0


def test_the_peer_drains_what_we_staged(
    vulcan: Vulcan, hub: LocalHub, peer: Peer, tmp_path: Path
) -> None:
    staged = {
        shard.path_in_repo: shard.parquet_path.read_bytes() for shard in vulcan.list_pending()
    }
    everything = VulcanReader.from_local(vulcan.staging_dir).query().height

    answers = peer.ask(DRAIN, tmp_path / "out", hub=hub, staging=vulcan.staging_dir, token=WRITE)

    assert answers.value("errors") == []
    assert answers.value("report") == [2, 0, 0, 1]
    assert vulcan.list_pending() == []
    pushed = HubRepo("alice/vacua", token=WRITE, endpoint=hub.url)
    for path, data in staged.items():
        assert pushed.fetch(path).read_bytes() == data
        assert (vulcan.staging_dir / "synced" / path.replace("/", "__")).read_bytes() == data
    found = answers.frame("repo")
    assert found.height == sum(FILES[name]["n_rows"] for name in PENDING)
    assert vulcan.query().height == everything + found.height
    assert vulcan.query().filter(pl.col("run_id").is_in(found["run_id"].implode())).equals(found)


def test_the_peer_reads_a_repo_that_we_filled(hub: LocalHub, peer: Peer, tmp_path: Path) -> None:
    vulcan = Vulcan(repo="alice/vacua", staging_dir=tmp_path / "staging", project="ours")
    write(vulcan, *SYNCED, *PENDING)
    repo = HubRepo("alice/vacua", token=WRITE, endpoint=hub.url)
    assert sync(StagingArea(vulcan.staging_dir), repo, SyncOptions()).n_committed == 4

    answers = peer.ask(
        'keep("repo", VulcanReader.from_hf("alice/vacua").query())', tmp_path / "out", hub=hub
    )

    assert answers.frame("repo").equals(VulcanReader.from_local(vulcan.staging_dir).query())
