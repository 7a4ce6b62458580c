"""What docs/migration.md says of the peer, seen with the peer; and the same asked of ours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import vulcan_cli
from tests.cli_support import CHECKOUT
from tests.hub_support import plain_lfs
from tests.hubserver import WRITE, HubThread
from tests.peer_support import Peer
from tests.vacua_support import REAL
from vulcan_cli.errors import Conflict, VulcanError

PAGE = (CHECKOUT / "docs/migration.md").read_text()
FILE = REAL / "model_h12-2_1_batch0.parquet"
KEYS = {"h11": 272, "h12": 2, "ks_id": 1}

SCRIPT = """
import inspect
import os
import stringforge.vulcan as peer

a = pd.read_parquet(GIVEN["file"])
keys, staging = GIVEN["keys"], GIVEN["staging"]
vulcan = Vulcan(repo="alice/vacua", staging_dir=staging, project="x", token=GIVEN["token"])
tell("run_id", vulcan.write(a, geometry=keys).run_id)
first = vulcan.write(a.head(10), geometry=keys, run_id="same").n_rows
second = vulcan.write(a.head(5), geometry=keys, run_id="same").n_rows
tell("same", [first, second, len(pd.read_parquet(vulcan.list_pending()[-1].parquet_path))])

troubles = {"absent": {"repo": "alice/absent"}, "expired": {"token": "hf_old"}}
for trouble, options in troubles.items():
    report = vulcan.sync(**options)
    tell(trouble, [report.n_committed, report.n_failed, report.n_remaining])
    for name in os.listdir(f"{staging}/failed"):
        os.rename(f"{staging}/failed/{name}", f"{staging}/pending/{name}")

vulcan.write(a.head(3).drop(columns=["is_susy"]), geometry={"h12": 2, "ks_id": 9}, run_id="without")
report = vulcan.sync()
tell("there", [report.n_committed, report.n_failed, report.n_remaining])
tell("without", [len(vulcan.query(ks_id=9, is_susy=wanted)) for wanted in (True, False)])

vulcan.write(a.head(4), geometry=keys, run_id="proposed")
report = vulcan.sync(create_pr=True)
tell("proposed", [report.n_committed, report.n_remaining, len(vulcan.list_pending())])

other = Path(GIVEN["cwd"]) / "other"
own = Vulcan(repo="alice/vacua", staging_dir=other)
own.write(a.head(2).assign(score=[1, 2]), geometry=keys, run_id="whole")
own.write(a.head(2).assign(score=[0.5, 1.5]), geometry=keys, run_id="half")
os.makedirs(other / "synced", exist_ok=True)
for name in os.listdir(other / "pending"):
    os.rename(other / "pending" / name, other / "synced" / name)
tell("own", str(VulcanReader.from_local(other).query()["score"].dtype))
odd = a.head(2).assign(tau_im=[0.0, -1.0], flux=[[1], [1, 2]])
tell("odd", own.write(odd, geometry={"h11": 3, "h21": 2}, run_id="odd").n_rows)
os.chdir(GIVEN["cwd"])
tell("unset", str(Vulcan(repo="alice/vacua").staging_dir))
nowhere = Vulcan(repo="alice/vacua", staging_dir="nowhere", token=GIVEN["token"])
tell("nowhere", [len(VulcanReader.from_local("nowhere").query()), nowhere.sync().n_commits])

mixed = Vulcan(repo="alice/vacua", staging_dir="mixed")
needed = ["flux", "moduli_re", "moduli_im", "tau_re", "tau_im", "tadpole_charge"]
mixed.write(a[needed].head(2).assign(mine=1), geometry=keys, run_id="a")
mixed.write(a[needed].head(2), geometry=keys, run_id="b", solver={"name": "newton"})
os.rename("mixed/pending", "mixed/synced")
tell("order", list(VulcanReader.from_local("mixed").query().columns)[-2:])
reader = VulcanReader.from_hf("alice/vacua", revision="main", token=GIVEN["token"])
tell("revision", reader.revision)
tell("nothing", list(reader.query(run_id="none").columns))
tell("float", len(reader.query(h11=272.0)) == len(reader.query(h11=272)) > 0)
by_name = VulcanReader.from_local("mixed").query(solver_name="another")
tell("solver", by_name["run_id"].tolist())
spec = FeatureSpec()
spec.list_fill = 7
tell("spec", spec.list_fill)
refused = {"absent": "hf_write", "vacua": "hf_old"}
for name, token in refused.items():
    try:
        VulcanReader.from_hf(f"alice/{name}", token=token).query()
    except Exception as error:
        tell(f"error_{name}", type(error).__name__)
tell("functions", [name for name in GIVEN["functions"] if callable(getattr(peer, name, None))])

def parameters(owner):
    found = {}
    for name, member in inspect.getmembers(owner):
        if not name.startswith("_") and callable(member):
            found[name] = list(inspect.signature(member).parameters)
    return {**found, "": list(inspect.signature(owner).parameters)}

classes = ("Vulcan", "VulcanReader", "VulcanMLView")
tell("methods", {name: parameters(getattr(peer, name)) for name in classes})
"""


def ours(staging: Path) -> tuple[str, list[Any]]:
    """The run id of rows, then what becomes of other rows under a name, and of a lost column."""
    vacua = pl.read_parquet(FILE)
    vulcan = vulcan_cli.Vulcan(repo="alice/vacua", staging_dir=staging, project="x", token=WRITE)
    rendered = vulcan.write(vacua, geometry=KEYS).run_id
    vulcan.write(vacua.head(10), geometry=KEYS, run_id="same2")
    with pytest.raises(Conflict):
        vulcan.write(vacua.head(5), geometry=KEYS, run_id="same2")
    absent = vulcan.sync(repo="alice/absent")
    vulcan.write(vacua.head(3).drop("is_susy"), geometry={"h12": 2, "ks_id": 8}, run_id="without2")
    vulcan.sync()
    without = [vulcan.query(ks_id=8, is_susy=wanted).height for wanted in (True, False)]
    return rendered, [absent.n_failed, absent.n_remaining, vulcan.query().height, *without]


def refused_by_ours(folder: Path) -> list[str]:
    """What ours raises where the peer answers."""
    odd = pl.read_parquet(FILE).head(2).with_columns(flux=pl.Series([[1], [1, 2]]))
    vulcan = vulcan_cli.Vulcan(repo="alice/vacua", staging_dir=folder / "none", token=WRITE)
    a_float: dict[str, Any] = {"h11": 3.0}
    asked: list[Callable[[], object]] = [
        vulcan_cli.VulcanReader.from_local(folder / "other").query,
        lambda: vulcan.write(odd, geometry={"h11": 3, "h21": 2}),
        vulcan.sync,
        lambda: vulcan_cli.VulcanReader.from_local(folder / "mixed").query(**a_float),
        lambda: setattr(vulcan_cli.FeatureSpec(), "list_fill", 7),
        vulcan_cli.VulcanReader.from_hf("alice/absent", token=WRITE).query,
        vulcan_cli.VulcanReader.from_hf("alice/vacua", token="hf_old").query,
    ]
    raised = []
    for ask in asked:
        with pytest.raises((VulcanError, AttributeError)) as refusal:
            ask()
        raised.append(refusal.typename)
    return raised


FUNCTIONS = (
    *("assign_split", "list_pending", "remaining_budget", "render_run_id"),
    *("resolve_staging_dir", "sync_pending", "write_shard"),
)
"""Functions of the peer that the page names, beside those of its verifiers."""


def answers_of_ours(folder: Path) -> list[Any]:
    """Order and names of columns, rows by a solver's name, and a revision, from ours."""
    mixed = vulcan_cli.VulcanReader.from_local(folder / "mixed")
    reader = vulcan_cli.VulcanReader.from_hf("alice/vacua", revision="main", token=WRITE)
    return [
        mixed.query().columns[-2:],
        mixed.query(solver_name="another").height,
        reader.query(run_id="none").columns == reader.query().columns,
        reader.revision,
    ]


def test_what_differs_is_as_the_page_says(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubThread(tmp_path / "hub") as hub, plain_lfs():
        hub.create_repo("alice/vacua")
        staging = tmp_path / "staging"
        given = {"file": FILE, "keys": KEYS, "staging": staging, "token": WRITE, "cwd": tmp_path}
        given["functions"] = FUNCTIONS
        told = peer.ask(SCRIPT, tmp_path / "told", hub=hub, **given)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        rendered, rest = ours(staging)
        answers = answers_of_ours(tmp_path)
        refused = refused_by_ours(tmp_path)

    default = r"\d{4}-\d\d-\d\d-\d{6}_x_h11-272_h12-2_ks-1_triang-na_seed-na"
    assert re.fullmatch(default, told.value("run_id"))
    assert re.fullmatch(default + "_[0-9a-f]{16}", rendered)
    assert told.value("same") == [10, 5, 5]
    assert told.value("absent") == told.value("expired") == [0, 2, 0]
    assert told.value("there") == [3, 0, 0]
    assert told.value("without") == [3, 3]
    assert told.value("proposed") == [1, 0, 0]
    n_vacua = pl.read_parquet(FILE).height
    assert rest == [0, 2, 2 * n_vacua + 5 + 3 + 4 + 10 + 3, 0, 0]
    assert told.value("own") == "float64"
    assert told.value("odd") == 2
    assert told.value("unset") == str(Path.cwd() / ".stringforge_cache/vulcan_staging")
    assert told.value("nowhere") == [0, 0]
    assert refused == [
        *("ColumnClash", "InputRefused", "StagingMissing"),
        *("UsageError", "FrozenInstanceError", "RepoMissing", "Denied"),
    ]
    assert (told.value("order"), told.value("solver")) == (["mine", "solver_name"], ["a", "a"])
    assert (told.value("nothing"), told.value("revision")) == ([], "main")
    assert answers == [["solver_name", "mine"], 0, True, "main"]
    assert (told.value("float"), told.value("spec")) == (True, 7)
    assert told.value("error_absent") == "RepositoryNotFoundError"
    assert told.value("error_vacua") == "HfHubHTTPError"
    assert tuple(told.value("functions")) == FUNCTIONS
    assert methods_that_differ(told.value("methods")) == METHODS


METHODS = {
    "only the peer": {"Vulcan.freeze_snapshot"},
    "keywords of the peer's alone": {"VulcanReader(token)", "Vulcan.from_env(kwargs)"},
}
"""All else has the same names and the same keywords; ours calls the `**kwargs` there `**more`."""


def methods_that_differ(theirs: dict[str, dict[str, list[str]]]) -> dict[str, set[str]]:
    """Methods and keywords of the peer that ours has not; properties of its own aside."""
    lacking, keywords = set(), set()
    for owner, members in theirs.items():
        there = getattr(vulcan_cli, owner)
        for name, parameters in members.items():
            mine = getattr(there, name, None) if name else there
            if mine is None:
                lacking.add(f"{owner}.{name}")
                continue
            known = inspect.signature(mine).parameters
            gone = [each for each in parameters if each not in known]
            keywords |= {f"{owner}{'.' if name else ''}{name}({each})" for each in gone}
    return {"only the peer": lacking, "keywords of the peer's alone": keywords}


def test_the_page_names_all_that_is_not_there() -> None:
    absent = [name for name in FUNCTIONS if not hasattr(vulcan_cli, name)]
    named = [name for name in absent if f"`{name}`" in PAGE or f"`{name}()`" in PAGE]
    assert (named, "`freeze_snapshot`" in PAGE) == ([*FUNCTIONS], True)
