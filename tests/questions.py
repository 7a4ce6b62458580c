"""Random questions to the peer's own `query` and to ours, over shards that both have written.

What only we can be asked, a condition in SQL, is put to DuckDB over the peer's rows. Only columns
that every shard has are asked for: of the others the two programs think differently.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tests.cli_support import vulcan as run
from tests.hubserver import WRITE, HubProcess
from tests.peer_support import Answers, Peer
from tests.sync_support import NAME, open_hub
from vulcan_cli import Vulcan, VulcanReader
from vulcan_cli.dataset.sources import locate
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.sync.drain import sync
from vulcan_cli.sync.options import SyncOptions

REAL = Path(__file__).parent / "data/vacua"
FILES: dict[str, Any] = json.loads((REAL / "geometries.json").read_text())["files"]
VACUA = sorted(path.name for path in REAL.glob("*.parquet"))
SOMETIMES = ("n_iterations", "residual", "seed")
"""Columns of real vacua that a shard may do without."""

KEYS = ("h11", "h12", "ks_id", "triang_id")
"""What the peer's query can be asked for."""

WRITE_SHARDS = """
vulcan = Vulcan(repo="alice/vacua", staging_dir=GIVEN["staging"], project="theirs")
for file, geometry, run in GIVEN["inputs"]:
    vulcan.write(pd.read_parquet(file), geometry=geometry, **run)
"""
SYNC = """
vulcan = Vulcan(repo="alice/vacua", staging_dir=GIVEN["staging"], token=GIVEN["token"])
tell("errors", vulcan.sync().errors)
"""
ASK = """
reader = VulcanReader.from_local(GIVEN["staging"])
keep("catalog", reader.catalog())
for number, question in enumerate(GIVEN["questions"]):
    keep(str(number), reader.query(**question))
"""


@dataclass(frozen=True)
class Input:
    """A file to stage, as both programs' `write` takes it."""

    file: Path
    geometry: dict[str, int]
    run: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What both are asked, and a condition that DuckDB judges."""

    filters: dict[str, Any] = field(default_factory=dict)
    where: str | None = None

    def to_the_peer(self) -> dict[str, Any]:
        """What the peer is asked: all columns, where a condition is put to its rows."""
        every = self.where is not None
        return {
            name: value for name, value in self.filters.items() if not (every and name == "columns")
        }

    def words(self) -> Iterator[str]:
        """It as options of the command line."""
        for name, value in self.filters.items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                yield option if value else option.replace("--is", "--not")
            else:
                yield from (option, ",".join(value) if isinstance(value, list) else str(value))
        if self.where is not None:
            yield from ("--where", self.where)


def inputs(dice: random.Random, folder: Path, count: int) -> list[Input]:
    """Pieces of real vacua of few geometries, some without optional columns or with their own."""
    made = []
    for number in range(count):
        name = dice.choice(VACUA)
        geometry = {key: FILES[name][key] for key in KEYS if dice.random() < 0.8}
        geometry |= {"h12": FILES[name]["h12"], "ks_id": dice.choice((-1, 0, 1, 2, 3, 7))}
        if dice.random() < 0.3:
            geometry["cicy_id"] = dice.randrange(3)
        rows = pl.read_parquet(REAL / name)
        rows = rows.slice(dice.randrange(rows.height - 1), dice.randrange(1, 40))
        rows = rows.drop(dice.sample(SOMETIMES, dice.randrange(3)), strict=False)
        if dice.random() < 0.3:
            rows = rows.with_columns(note=pl.lit(dice.choice(("a", "b c", "é"))))
        solver = {"name": dice.choice(("newton", "x y")), "method": "m"}
        file = folder / f"{number}.parquet"
        rows.write_parquet(file)
        made.append(Input(file, geometry, {"solver": solver, "provenance": {"seed": number}}))
    return made


def filled(dice: random.Random, folder: Path, peer: Peer, hub: HubProcess, shards: int) -> Path:
    """A staging directory whose shards both have written, and both have published."""
    staging = folder / "staging"
    made = inputs(dice, folder, shards)
    vulcan = Vulcan(repo=NAME, staging_dir=staging, project="ours")
    for number in range(4):
        part = made[number::4]
        theirs = [(str(each.file), each.geometry, each.run) for each in part[::2]]
        told: dict[str, Any] = {"staging": staging, "inputs": theirs, "token": WRITE}
        peer.ask(WRITE_SHARDS, folder / f"written{number}", **told)
        for each in part[1::2]:
            vulcan.write(pl.read_parquet(each.file), geometry=each.geometry, **each.run)
        # Who is last at the repo's head differs from round to round.
        if (number + shards) % 2:
            assert sync(StagingArea(staging), open_hub(hub), SyncOptions()).n_failed == 0
        else:
            answers = peer.ask(SYNC, folder / f"synced{number}", hub=hub, **told)
            assert answers.value("errors") == []
    return staging


def questions(
    dice: random.Random, rows: pl.DataFrame, everywhere: Sequence[str], n: int
) -> list[Question]:
    """Random ones about these rows; most find some."""
    return [
        Question(
            {
                **{
                    name: dice.choice(rows[name].drop_nulls().to_list())
                    for name in (*KEYS, "run_id", "geometry_id", "solver_name", "is_susy")
                    if dice.random() < 0.15
                },
                **(
                    {"columns": dice.sample(everywhere, dice.randrange(1, 6))}
                    if dice.random() < 0.5
                    else {}
                ),
            },
            condition(dice, rows) if dice.random() < 0.5 else None,
        )
        for _ in range(n)
    ]


def condition(dice: random.Random, rows: pl.DataFrame, depth: int = 2) -> str:
    """A condition in SQL that Polars and DuckDB understand alike."""
    if depth and dice.random() < 0.6:
        left, right = condition(dice, rows, depth - 1), condition(dice, rows, depth - 1)
        return dice.choice((f"({left} AND {right})", f"({left} OR {right})", f"NOT ({left})"))
    name = dice.choice(("tau_re", "tau_im", "W_re", "W_im", "tadpole_charge", "flux", "moduli_im"))
    some = rows[name][dice.randrange(rows.height)]
    operator = dice.choice(("<", "<=", ">", ">=", "=", "<>"))
    if name in ("flux", "moduli_im"):
        # The first element exists in every row.
        return f"{name}[1] {operator} {some[0]!r}"
    return dice.choice(
        (
            f"{name} {operator} {some!r}",
            f"abs({name}) {operator} {abs(some)!r}",
            f"{name} * 2 - 1 {operator} {2 * some!r}",
            f"{name} BETWEEN {some!r} AND {2 * abs(some) + 1!r}",
            f"{name} IN ({some!r}, 5)",
            f"{name} IS NOT NULL",
            "is_susy",
            "solver_name = 'newton'",
            "solver_name LIKE 'x%'",
        )
    )


def expected(answers: Answers, number: int, question: Question) -> pl.DataFrame:
    """The peer's rows, of which DuckDB keeps those that meet the condition."""
    rows = answers.frame(str(number))
    if question.where is None or rows.is_empty():
        return rows
    numbered = rows.with_row_index("place")  # noqa: F841 (DuckDB finds it by name)
    kept = duckdb.execute(f"SELECT place FROM numbered WHERE {question.where} ORDER BY place")
    rows = rows[[place for (place,) in kept.fetchall()]]
    return rows.select(question.filters.get("columns", rows.columns))


def check_equal(found: pl.DataFrame, wanted: pl.DataFrame, about: object) -> None:
    """Equal rows; the peer makes floats and NaN of integers that some shards lack."""
    if wanted.is_empty():
        assert found.is_empty(), about
        return
    assert set(found.columns) == set(wanted.columns), about
    told = wanted.select(
        (pl.col(name).fill_nan(None) if wanted.schema[name].is_float() else pl.col(name)).cast(
            dtype
        )
        for name, dtype in found.schema.items()
    )
    assert found.equals(told), (about, found, told)


def ask_command(staging: Path, question: Question, folder: Path, ending: str) -> pl.DataFrame:
    """The rows that the command line writes into a file."""
    out = folder / f"answer.{ending}"
    words = ("--staging-dir", str(staging), "--source", "synced", "-q", "-o", str(out))
    ran = run("query", *question.words(), *words, home=folder)
    assert ran.code == 0, ran
    return pl.read_parquet(out) if ending == "parquet" else pl.read_ipc(out)


def play(peer: Peer, seed: int, n_questions: int) -> tuple[int, int]:
    """Fill and publish a staging directory, and ask.

    Returns:
        How many shards there were, and how many rows the answers had.

    Raises:
        AssertionError: The two answer differently.
    """
    dice = random.Random(seed)
    with (
        tempfile.TemporaryDirectory(prefix="vulcan-questions-") as name,
        HubProcess(Path(name) / "hub") as hub,
    ):
        folder = Path(name)
        hub.create_repo(NAME)
        staging = filled(dice, folder, peer, hub, 24 + seed % 5)
        ours = VulcanReader.from_local(staging)
        remote = VulcanReader(source=lambda: locate(None, [open_hub(hub)], "repo"))
        everywhere = [
            name
            for name in ours.query().columns
            if all(name in schema for schema in ours.shards().schemas)
        ]
        asked = questions(dice, ours.query(), everywhere, n_questions)
        told = [question.to_the_peer() for question in asked]
        answers = peer.ask(ASK, folder / "answers", staging=staging, questions=told)
        check_equal(ours.catalog(), answers.frame("catalog"), "catalog")
        check_equal(remote.catalog(), answers.frame("catalog"), "catalog of the repo")
        n_rows = 0
        for number, question in enumerate(asked):
            wanted = expected(answers, number, question)
            n_rows += wanted.height
            given: Mapping[str, Any] = {**question.filters, "where": question.where}
            check_equal(ours.query(**given), wanted, question)
            check_equal(remote.query(**given), wanted, question)
            if number % 10 == 0:
                ending = ("parquet", "arrow")[number // 10 % 2]
                check_equal(ask_command(staging, question, folder, ending), wanted, question)
        return ours.catalog().height, n_rows
