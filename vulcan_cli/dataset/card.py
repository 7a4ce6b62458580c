"""The dataset card of a repo of shards: what stands in our blocks of its `README.md`.

Lines of YAML make `datasets.load_dataset("owner/name")` and the Hub's viewer read every shard; the
text counts what is there, says how to read it, and what each column means.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from vulcan_cli.dataset.card_blocks import Card, code, table, with_blocks, word
from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.columns import union
from vulcan_cli.quantities import counted
from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.schema import COLUMNS

README = "README.md"
"""The card's path in a repo."""

SHARDS = "h12_*/h11_*/bucket_*/run_*.parquet"
"""Every shard of a repo, whatever words its name holds: `datasets` guesses splits from words."""

MOST_LINES = 1000
"""Pairs of Hodge numbers that are counted one by one."""


class About(NamedTuple):
    """What people say of a dataset in their settings.

    Attributes:
        name: The repo as people write it: `owner/name`, or a folder as `./name`.
        licence: An identifier of the Hub, such as `cc-by-4.0`; None says nothing.
        citation: How to cite it, as text.
    """

    name: str
    licence: str | None = None
    citation: str | None = None

    @property
    def title(self) -> str:
        """The name as a heading."""
        return self.name.rpartition("/")[2] if self.is_folder else self.name

    @property
    def is_folder(self) -> bool:
        """Whether the repo is a folder, which is read where it stands."""
        return self.name.startswith(("./", "../", "/", "file:"))


def card(before: str | None, shards: Catalog, about: About) -> Card:
    """The card of a repo with these shards.

    Args:
        before: The `README.md` that is there; None where there is none.
        shards: All shards of the repo.
        about: What is said beside what the shards tell.

    Raises:
        ColumnClash: No one type holds a column that we do not know.
    """
    read = shards.already_read()
    schema = union(read.examples())
    n_unread = shards.rows.height - read.rows.height
    text = _text(schema, read, about, n_unread)
    return with_blocks(before, _yaml(schema, about), text, about.title)


def common_keys(about: About) -> dict[str, list[str]]:
    """The first keys of the YAML of every card, each with its lines: a licence only where set."""
    licence = [] if about.licence is None else [f"license: {word(about.licence)}"]
    return {
        **({"license": licence} if licence else {}),
        "tags": ["tags:", "- physics", "- string-theory", "- flux-vacua"],
    }


def _yaml(schema: pl.Schema, about: About) -> dict[str, list[str]]:
    """Our keys at the top of the card, each with its lines."""
    return {
        **common_keys(about),
        "configs": [
            "configs:",
            "- config_name: default",
            "  default: true",
            "  data_files:",
            "  - split: train",
            f'    path: "{SHARDS}"',
        ],
        "dataset_info": [
            "dataset_info:",
            "  config_name: default",
            "  features:",
            *(line for name, dtype in schema.items() for line in _feature(name, dtype, "  ")),
        ],
    }


def _feature(name: str, dtype: pl.DataType, indent: str) -> list[str]:
    return [f"{indent}- name: {word(name)}", *_type(dtype, f"{indent}  ")]


def _type(dtype: pl.DataType, indent: str) -> list[str]:
    """A type as `datasets` writes it into a card."""
    if isinstance(dtype, pl.List | pl.Array):
        inner = arrow_ipc.inner(dtype)
        simple = _simple(inner)
        parts = [] if simple else _type(inner, f"{indent}  ")
        length = [f"{indent}length: {dtype.size}"] if isinstance(dtype, pl.Array) else []
        return [f"{indent}list: {simple or ''}".rstrip(), *parts, *length]
    if isinstance(dtype, pl.Struct):
        parts = [
            line
            for field in dtype.fields
            for line in _feature(field.name, arrow_ipc.instance(field.dtype), indent)
        ]
        return [f"{indent}struct:", *parts]
    return [f"{indent}dtype: {_simple(dtype) or 'string'}"]


def _simple(dtype: pl.DataType) -> str | None:
    """The name of a type without parts."""
    if dtype.is_numeric():
        return str(dtype).lower()
    if isinstance(dtype, pl.Datetime):
        zone = f", tz={dtype.time_zone}" if dtype.time_zone else ""
        return f"timestamp[{dtype.time_unit}{zone}]"
    if isinstance(dtype, pl.Duration):
        return f"duration[{dtype.time_unit}]"
    names = {pl.Boolean: "bool", pl.String: "string", pl.Binary: "binary", pl.Date: "date32"}
    return {**names, pl.Time: "time64[ns]", pl.Null: "null"}.get(dtype.base_type())


def _text(schema: pl.Schema, shards: Catalog, about: About, n_unread: int) -> str:
    parts = [
        _counts(shards, n_unread),
        _reading(about),
        _columns(schema),
        *([f"## Citation\n\n{about.citation.strip()}\n"] if about.citation else []),
    ]
    return "\n".join(parts)


def _counts(shards: Catalog, n_unread: int) -> str:
    rows = shards.rows
    by = rows.group_by("h12", "h11").agg(
        pl.col("geometry_id").n_unique(), pl.len().alias("shards"), pl.col("n_rows").sum()
    )
    lines = by.sort("h12", "h11").head(MOST_LINES).iter_rows()
    head = (
        f"{counted(int(rows['n_rows'].sum()), 'flux vacuum')} "
        f"of {counted(rows['geometry_id'].n_unique(), 'geometry')}. "
        "`h12` counts the complex-structure moduli (CYTools' h21); -1 stands for an absent key.\n"
    )
    left_out = [
        *([f"{by.height - MOST_LINES:,} more pairs (h12, h11)"] * (by.height > MOST_LINES)),
        *([f"{counted(n_unread, 'file')} not read yet, or no shard"] * (n_unread > 0)),
    ]
    more = f"\nNot in this table: {' and '.join(left_out)}.\n" if left_out else ""
    return f"{head}\n{table(('h12', 'h11', 'geometries', 'shards', 'vacua'), lines)}{more}"


def _columns(schema: pl.Schema) -> str:
    known: Mapping[str, tuple[str, str]] = {c.name: (c.meaning, c.unit) for c in COLUMNS}
    lines = (
        (code(name), _shown(dtype), *known.get(name, ("", ""))) for name, dtype in schema.items()
    )
    return f"## Columns\n\n{table(('column', 'type', 'meaning', 'unit'), lines)}"


def _shown(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List | pl.Array):
        return f"list of {_shown(arrow_ipc.inner(dtype))}"
    return _simple(dtype) or "struct"


def _reading(about: About) -> str:
    """How to read the repo, in blocks that can be pasted as they are."""
    shell, python = shlex.quote(about.name), json.dumps(about.name, ensure_ascii=False)
    download = "from huggingface_hub import snapshot_download\n"
    folder = f'snapshot_download({python}, repo_type="dataset")'
    if about.is_folder:
        download, folder = "", python
    blocks = [
        f"""\
```sh
vulcan query --repo {shell} --source repo --h12 2 --where "tau_im > 2" -o vacua.parquet
vulcan split --repo {shell} --source repo --out-dir ml
```
""",
        f"""\
```python
import datasets

vacua = datasets.load_dataset({python}, split="train")
```
""",
        f"""\
```python
from pathlib import Path

import polars as pl
{download}
shards = sorted(Path({folder}).glob("{SHARDS}"))
vacua = pl.concat(map(pl.scan_parquet, shards), how="diagonal_relaxed")
```
""",
    ]
    if not about.is_folder:
        blocks.append(
            f"""\
```python
from stringforge.vulcan import VulcanReader

vacua = VulcanReader.from_hf({python}).query(h12=2)
```
"""
        )
    return "\n".join(["## How to read it\n", *blocks])
