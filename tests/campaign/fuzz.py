"""Throw garbage at every reader of files that others may have written.

`python -m tests.campaign.fuzz [--seconds 60] [--only sidecar]`, from the checkout; needs atheris
(`pip install atheris`). Each reader is fuzzed in a process of its own.

Whatever the bytes are, a reader gives a value or raises the one error class that says so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from vulcan_cli.errors import BadShard, InputRefused
from vulcan_cli.staging.area import StagingArea
from vulcan_cli.staging.budget import Budget
from vulcan_cli.staging.journal import Journal
from vulcan_cli.staging.lease import read_lease
from vulcan_cli.staging.ledger import Ledger
from vulcan_cli.staging.records import RecordError
from vulcan_cli.staging.sidecar import parse_sidecar
from vulcan_cli.sync.contents import check_contents
from vulcan_cli.vacua.inputs import read_bytes
from vulcan_cli.vacua.shard import footer_of
from vulcan_cli.vacua.splitters import STREAMS, splitter
from vulcan_cli.vacua.stream import batches

DATA = Path(__file__).parents[1] / "data"
PARQUET = DATA / "vacua/model_h12-2_1_batch0.parquet"
SHARD = next((DATA / "interop/staging/pending").glob("*.parquet"))
# Tests forget all settings of ours and the Hub's, and whatever begins like them.
WORK = Path(os.environ.get("FUZZ_FOLDER", tempfile.gettempdir()))
AREA = StagingArea(WORK)


def sidecar(data: bytes) -> None:
    with contextlib.suppress(RecordError):
        parse_sidecar(data)


def budget(data: bytes) -> None:
    _put(data, "_vulcan", "budget", "repo.json")
    _put(data, "_commit_budget.json")
    spent = Budget(AREA, "repo", 3, 60.0, lambda: 1e9, with_peer=True)
    if not 0 <= spent.remaining() <= 3:
        raise AssertionError(spent.remaining())


def journal(data: bytes) -> None:
    _put(data, "_vulcan", "journal", "b.json")
    Journal(AREA).pending()


def ledger(data: bytes) -> None:
    _put(data, "_vulcan", "ledger.jsonl")
    list(Ledger(AREA).entries())
    Ledger(AREA).find("h12_2/h11_3/bucket_5/run_a.parquet")


def lease(data: bytes) -> None:
    _put(data, "_vulcan", "sync.lease")
    found = read_lease(AREA)
    if found is not None and found.owner is not None:
        str(found.owner)
        found.owner.is_gone()


def footer(data: bytes) -> None:
    with contextlib.suppress(BadShard):
        footer_of(io.BytesIO(data), Path("x"))


def contents(data: bytes) -> None:
    with contextlib.suppress(BadShard):
        check_contents(pa.BufferReader(data), len(data), Path("x"))


def csv(data: bytes) -> None:
    with contextlib.suppress(InputRefused):
        read_bytes(data, "csv", name="x")


def npz(data: bytes) -> None:
    with contextlib.suppress(InputRefused):
        read_bytes(data, "npz", name="x")


def stream(data: bytes) -> None:
    # The first byte says which; the rest comes in two pieces.
    kind = STREAMS[data[0] % len(STREAMS)] if data else STREAMS[0]
    pieces = iter((data[1:100], data[100:]))
    with contextlib.suppress(InputRefused):
        for rows in batches(
            lambda _: next(pieces, b""),
            splitter(kind),
            max_rows=3,
            max_age_s=None,
            clock=lambda: 0.0,
        ):
            rows.frame(range(len(rows)))


def _as_npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, fluxes=np.zeros((2, 8)), moduli=np.ones((2, 1)) * 1j, taus=np.ones(2) * 1j)
    return file.getvalue()


def _as_ipc_stream() -> bytes:
    file = io.BytesIO()
    pl.read_parquet(PARQUET).head(5).write_ipc_stream(file)
    return file.getvalue()


READERS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]] = {
    "sidecar": (sidecar, (SHARD.with_name(f"{SHARD.name}.meta.json").read_bytes(), b"[" * 2000)),
    "budget": (budget, (b'{"budget": 90, "window_s": 3600.0, "timestamps": [1e9, NaN]}',)),
    "journal": (journal, (b'{"batch":"b","repo":"r","revision":"m","parent":"p","shards":[]}',)),
    "ledger": (ledger, (b'{"path":"h12_2/h11_3/bucket_5/run_a.parquet","sha256":"0"}\n',)),
    "lease": (lease, (b'{"token":"t","host":"h","boot_id":"b","pid":1,"started":1}',)),
    "footer": (footer, (SHARD.read_bytes(),)),
    "contents": (contents, (SHARD.read_bytes(),)),
    "npz": (npz, (_as_npz(),)),
    "stream": (stream, (b'\0{"a": 1}\n', b'\1a,b\n1,"x"\n', b"\2" + _as_ipc_stream())),
    "csv": (csv, ((DATA / "vacua/model_h12-2_1_batch0.csv").read_bytes()[:3000],)),
}
"""Each reader, and what it is given first."""


def _put(data: bytes, *names: str) -> None:
    WORK.joinpath(*names).write_bytes(data)


def work(name: str, seconds: int) -> None:
    """Fuzz one reader; never returns."""
    atheris: Any = importlib.import_module("atheris")

    reader, _ = READERS[name]
    atheris.instrument_func(reader)
    options = ["fuzz", f"-max_total_time={seconds}", "-max_len=65536", "-timeout=30"]
    # What ended it is kept, and not in the checkout.
    options += [
        "-rss_limit_mb=4096",
        f"-artifact_prefix={tempfile.gettempdir()}/vulcan-fuzz-{name}-",
    ]
    atheris.Setup([*options, str(WORK / "corpus")], reader)
    atheris.Fuzz()


def run(name: str, seconds: int) -> tuple[int, str]:
    """Fuzz one reader in a process of its own: its exit status and last words."""
    with tempfile.TemporaryDirectory(prefix="vulcan-fuzz-") as folder:
        for place in ("corpus", "_vulcan/budget", "_vulcan/journal", "pending"):
            (Path(folder) / place).mkdir(parents=True)
        for number, seed in enumerate(READERS[name][1]):
            (Path(folder) / "corpus" / str(number)).write_bytes(seed)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.campaign.fuzz",
                "--work",
                name,
                "--seconds",
                str(seconds),
            ],
            env={**os.environ, "FUZZ_FOLDER": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
    return done.returncode, done.stderr


def main() -> int:
    """Fuzz the readers; the exit status is 1 where one raised what it should not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--only", choices=sorted(READERS))
    parser.add_argument("--work", choices=sorted(READERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("skipped: atheris is not installed")
        return 0
    if options.work is not None:
        work(options.work, options.seconds)
    found = 0
    for name in READERS:
        if options.only in (None, name):
            code, said = run(name, options.seconds)
            runs = [line for line in said.splitlines() if line.startswith("Done ")]
            print(f"{name:10}{runs[-1] if runs else 'failed'}", flush=True)
            if code:
                found = 1
                print(said[-4000:])
    return found


if __name__ == "__main__":
    sys.exit(main())
