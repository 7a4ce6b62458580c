"""The jobs: what each program has to run, and what we want to be better by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import Environment

GEOMETRY = {"h11": 272, "h12": 2, "ks_id": 1, "triang_id": 0}
_GEOMETRY_TEXT = ",".join(f"{key}={value}" for key, value in GEOMETRY.items())


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run finds its data, and a folder of its own to write to."""

    data: Path
    scratch: Path


Command = Callable[[Environment, Places], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job for both programs, each as a whole process.

    Attributes:
        what: What is done, in a few words.
        needs: Kinds of data, as `benchmarks.data` makes them.
        peer: The peer's command.
        ours: Ours.
        faster: How many times as fast we want to be.
        memory: The most memory we want to need, as a part of the peer's; None for no goal.
        slow: Whether a run takes many seconds, so that fewer are made.
        forgets: What earlier runs of ours left, below the data; it is removed before each run.
    """

    what: str
    needs: tuple[tuple[str, ...], ...] = ()
    peer: Command
    ours: Command
    faster: float
    memory: float | None = None
    slow: bool = False
    forgets: tuple[str, ...] = ()


def _script(text: str, *data: str) -> Command:
    """A Python script that finds its data folders, then its scratch folder, in `sys.argv`."""

    def command(environment: Environment, places: Places) -> Sequence[str]:
        given = [str(places.data / name) for name in data]
        return [environment.python, "-c", text, *given, str(places.scratch)]

    return command


def vulcan(*arguments: str) -> Command:
    """Our command; `{data}` and `{scratch}` stand for folders."""

    def command(environment: Environment, places: Places) -> Sequence[str]:
        return [
            environment.vulcan,
            *(each.format(data=places.data, scratch=places.scratch) for each in arguments),
        ]

    return command


_STAGE_ONE = f"""
import sys
import pandas
from stringforge.vulcan import Vulcan

vulcan = Vulcan(repo="owner/name", staging_dir=sys.argv[2])
vulcan.write(pandas.read_parquet(sys.argv[1]), geometry={GEOMETRY})
"""

_STAGE_MANY = """
import sys
{imports}

vulcan = Vulcan(repo="owner/name", staging_dir=sys.argv[2])
rows = {read}(sys.argv[1])
for number in range(1000):
    vulcan.write(rows, geometry={{"h11": 272, "h12": 2, "ks_id": number}})
"""

_READ = """
import sys
from {package} import FeatureSpec, Vulcan, VulcanMLView, VulcanReader

reader = VulcanReader.from_local(sys.argv[1])
{text}
"""


def read(text: str, data: str) -> tuple[Command, Command]:
    """The same script for both classes."""
    peer, ours = (
        _script(_READ.format(package=package, text=text), data)
        for package in ("stringforge.vulcan", "vulcan_cli")
    )
    return peer, ours


def to_file(data: str) -> tuple[Command, Command]:
    """All rows into one parquet file."""
    peer, _ = read("reader.query().to_parquet(sys.argv[2] + '.parquet')", data)
    where = ("--staging-dir", f"{{data}}/{data}", "--source", "synced")
    return peer, vulcan("query", *where, "-o", "{scratch}.parquet")


_KEPT = ("synced-10000-8/_vulcan/catalog",)
"""Our catalog of what is synced, which later questions begin with."""

_ONE = (
    read("assert len(reader.query(ks_id=4711)) == 8", "synced-10000-8")[0],
    vulcan(
        *("query", "--ks-id", "4711", "--staging-dir", "{data}/synced-10000-8"),
        *("--source", "synced"),
    ),
)
_CATALOG = read("assert len(reader.catalog()) == 10_000", "synced-10000-8")
_ALL_SMALL = read("assert len(reader.query()) == 80_000", "synced-10000-8")
_ALL_LARGE = read("assert len(reader.query()) == 1_000_000", "synced-1000-1000")
_ALL_LARGE_FILE = to_file("synced-1000-1000")
_TRAIN = read(
    """
spec = FeatureSpec(features=["flux", "moduli_re", "moduli_im", "tau_re", "tau_im"],
                   list_max_len=12)
rows = VulcanMLView(reader, feature_spec=spec).as_dataframe("train")
assert 700_000 < len(rows) < 900_000
""",
    "synced-1000-1000",
)

_FEATURES = ("flux", "moduli_re", "moduli_im", "tau_re", "tau_im")

_TRAIN_FILES = f"""
import os
import sys
from stringforge.vulcan import FeatureSpec, VulcanMLView, VulcanReader

spec = FeatureSpec(features={list(_FEATURES)}, list_max_len=12)
view = VulcanMLView(VulcanReader.from_local(sys.argv[1]), feature_spec=spec)
os.makedirs(sys.argv[2])
for name in ("train", "val", "test"):
    rows = view.as_dataframe(name).sample(frac=1, random_state=1)
    rows.to_parquet(f"{{sys.argv[2]}}/{{name}}.parquet")
"""

_SPLIT_IDS = """
from stringforge.vulcan import VulcanMLView, VulcanReader

view = VulcanMLView(VulcanReader.from_local("/nowhere"))
assert len([view.split_of(f"{number:016x}") for number in range(100_000)]) == 100_000
"""

_SPLIT_IDS_OURS = """
import polars
from vulcan_cli.dataset.splits import Splits

ids = polars.Series([f"{number:016x}" for number in range(100_000)])
assert len(Splits().of_all(ids)) == 100_000
"""

JOBS: dict[str, Job] = {
    "worker": Job(
        what="a worker stages 1,000 rows",
        needs=(("rows", "1000"),),
        peer=_script(_STAGE_ONE, "rows-1000"),
        ours=vulcan(
            "stage", "{data}/rows-1000", "-g", _GEOMETRY_TEXT, "--staging-dir", "{scratch}"
        ),
        faster=2,
        memory=1 / 2,
    ),
    "worker-class": Job(
        what="the same through class `Vulcan`",
        needs=(("rows", "1000"),),
        peer=_script(_STAGE_ONE, "rows-1000"),
        ours=_script(
            _STAGE_ONE.replace("import pandas\n", "import polars\n")
            .replace("pandas.", "polars.")
            .replace("stringforge.vulcan", "vulcan_cli"),
            "rows-1000",
        ),
        faster=2,
        memory=1 / 2,
    ),
    "help": Job(
        what="`vulcan --help`; the peer, which has no command, is imported",
        peer=_script("import stringforge.vulcan"),
        ours=vulcan("--help"),
        faster=3,
    ),
    "stage-1000": Job(
        what="stage 1,000 shards of 1,000 rows in one process",
        needs=(("rows", "1000"),),
        peer=_script(
            _STAGE_MANY.format(
                imports="import pandas\nfrom stringforge.vulcan import Vulcan",
                read="pandas.read_parquet",
            ),
            "rows-1000",
        ),
        ours=_script(
            _STAGE_MANY.format(
                imports="import polars\nfrom vulcan_cli import Vulcan",
                read="polars.read_parquet",
            ),
            "rows-1000",
        ),
        faster=3,
        slow=True,
    ),
    "stage-million": Job(
        what="stage one shard of 1 M rows",
        needs=(("rows", "1000000"),),
        peer=_script(_STAGE_ONE, "rows-1000000"),
        ours=vulcan(
            "stage", "{data}/rows-1000000", "-g", _GEOMETRY_TEXT, "--staging-dir", "{scratch}"
        ),
        faster=6,
        memory=1 / 2,
    ),
    "status": Job(
        what="status with 100,000 pending",
        needs=(("pending", "100000"),),
        peer=_script(
            """
import sys
from stringforge.vulcan import Vulcan

vulcan = Vulcan(repo="owner/name", staging_dir=sys.argv[1])
assert len(vulcan.list_pending()) == 100_000
vulcan.remaining_budget()
""",
            "pending-100000",
        ),
        ours=vulcan("status", "--staging-dir", "{data}/pending-100000", "--repo", "owner/name"),
        faster=6,
        memory=1 / 4,
    ),
    "catalog": Job(
        what="catalog of 10,000 shards, first time",
        needs=(("synced", "10000", "8"),),
        peer=_CATALOG[0],
        ours=_CATALOG[1],
        faster=6,
        forgets=_KEPT,
    ),
    "one-first": Job(
        what="one of 10,000 shards, fresh process, first time (`vulcan query --ks-id`)",
        needs=(("synced", "10000", "8"),),
        peer=_ONE[0],
        ours=_ONE[1],
        faster=6,
        forgets=_KEPT,
    ),
    "one": Job(
        what="the same, any later time",
        needs=(("synced", "10000", "8"),),
        peer=_ONE[0],
        ours=_ONE[1],
        faster=10,
    ),
    "all-small": Job(
        what="all rows of 10,000 shards of 8 rows",
        needs=(("synced", "10000", "8"),),
        peer=_ALL_SMALL[0],
        ours=_ALL_SMALL[1],
        faster=15,
        slow=True,
    ),
    "all-large": Job(
        what="all rows of 1,000 shards of 1,000 rows, in memory",
        needs=(("synced", "1000", "1000"),),
        peer=_ALL_LARGE[0],
        ours=_ALL_LARGE[1],
        faster=8,
        slow=True,
    ),
    "all-large-file": Job(
        what="the same, streamed to a parquet file (`vulcan query -o`)",
        needs=(("synced", "1000", "1000"),),
        peer=_ALL_LARGE_FILE[0],
        ours=_ALL_LARGE_FILE[1],
        faster=8,
        memory=1 / 3,
        slow=True,
    ),
    "train": Job(
        what="train split of 1 M rows, three list columns padded to 12",
        needs=(("synced", "1000", "1000"),),
        peer=_TRAIN[0],
        ours=_TRAIN[1],
        faster=20,
        memory=1 / 3,
        slow=True,
    ),
    "train-files": Job(
        what="all three splits of the same as parquet files, shuffled (`vulcan split --out-dir`)",
        needs=(("synced", "1000", "1000"),),
        peer=_script(_TRAIN_FILES, "synced-1000-1000"),
        ours=vulcan(
            *("split", "--staging-dir", "{data}/synced-1000-1000", "--source", "synced"),
            *("--features", ",".join(_FEATURES), "--list-max-len", "12"),
            *("--seed", "1", "--out-dir", "{scratch}"),
        ),
        faster=8,
        memory=1 / 3,
        slow=True,
    ),
    "split-ids": Job(
        what="the splits of 100,000 geometries, by their ids",
        peer=_script(_SPLIT_IDS),
        ours=_script(_SPLIT_IDS_OURS),
        faster=2,
    ),
}
"""All jobs, by the names that the command takes."""
