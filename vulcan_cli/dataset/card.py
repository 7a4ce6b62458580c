"""The dataset card: the part of a repo's `README.md` that we keep true, and nothing else of it.

Two blocks between marks are ours: lines of the YAML at the top, which make
`datasets.load_dataset("owner/name")` and the Hub's viewer read every shard, and a part of the text.
What people wrote before, between and after them stays as it is, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from vulcan_cli.dataset.catalog import Catalog
from vulcan_cli.dataset.columns import union
from vulcan_cli.vacua import arrow_ipc
from vulcan_cli.vacua.schema import COLUMNS

README = "README.md"
"""The card's path in a repo."""

SHARDS = "h12_*/h11_*/bucket_*/run_*.parquet"
"""Every shard of a repo, whatever words its name holds: `datasets` guesses splits from words."""

_YAML_BEGIN = "# vulcan: begin; these lines are kept by vulcan, write above or below them"
_YAML_END = "# vulcan: end"
_TEXT_BEGIN = "<!-- vulcan: begin; this part is kept by vulcan, write above or below it -->"
_TEXT_END = "<!-- vulcan: end -->"

_FRONT = re.compile(r"\A(?:\ufeff)?---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_TOP_KEY = re.compile(r"^([A-Za-z_][\w-]*)[ \t]*:", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# Plain words that YAML reads as something else.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})


@dataclass(frozen=True, slots=True)
class About:
    """What people say of a dataset in their settings.

    Attributes:
        name: The repo, as `owner/name`.
        licence: An identifier of the Hub, such as `cc-by-4.0`; None says nothing.
        citation: How to cite it, as text.
    """

    name: str
    licence: str | None = None
    citation: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A card to put into a repo.

    Attributes:
        text: The whole `README.md`.
        left_alone: Keys of the YAML that people wrote themselves, so that ours were left out.
    """

    text: str
    left_alone: tuple[str, ...]


def card(before: str | None, shards: Catalog, about: About) -> Card:
    """The card of a repo with these shards.

    Args:
        before: The `README.md` that is there; None where there is none.
        shards: All shards of the repo.
        about: What is said beside what the shards tell.

    Raises:
        ColumnClash: No one type holds a column that we do not know.
    """
    schema = union(shards.examples())
    # Text files may end lines either way; ours follow.
    ends = "\r\n" if before is not None and "\r\n" in before else "\n"
    text = (before or "").replace("\r\n", "\n")
    front, rest = _without_front(text)
    front = _without_block(front, _YAML_BEGIN, _YAML_END)
    theirs = frozenset(_TOP_KEY.findall(front))
    ours = _yaml(schema, about)
    lines = [line for key, part in ours.items() if key not in theirs for line in part]
    head = "".join(f"{line}\n" for line in ("---", _YAML_BEGIN, *lines, _YAML_END))
    body = _with_block(rest, _text(schema, shards, about), about)
    whole = f"{head}{front}---\n{body}"
    left_alone = tuple(key for key in ours if key in theirs)
    return Card(whole.replace("\n", ends), left_alone)


def _without_front(text: str) -> tuple[str, str]:
    """The lines of YAML at the top, and what comes after them."""
    found = _FRONT.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def _without_block(text: str, begin: str, end: str) -> str:
    before, found, rest = text.partition(f"{begin}\n")
    if not found or f"{end}\n" not in rest:
        return text
    return before + rest.partition(f"{end}\n")[2]


def _with_block(text: str, block: str, about: About) -> str:
    """The text with our block where it was, else at the end; with a title where there is none."""
    ours = f"{_TEXT_BEGIN}\n{block}{_TEXT_END}\n"
    before, found, rest = text.partition(f"{_TEXT_BEGIN}\n")
    if found and f"{_TEXT_END}\n" in rest:
        return before + ours + rest.partition(f"{_TEXT_END}\n")[2]
    if not text.strip():
        return f"\n# {about.name}\n\n{ours}"
    return text + ("\n" if text.endswith("\n") else "\n\n") + ours


def _yaml(schema: pl.Schema, about: About) -> dict[str, list[str]]:
    """Our keys at the top of the card, each with its lines."""
    keys = {} if about.licence is None else {"license": [f"license: {_word(about.licence)}"]}
    return {
        **keys,
        "tags": ["tags:", "- physics", "- string-theory", "- flux-vacua"],
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
    return [f"{indent}- name: {_word(name)}", *_type(dtype, f"{indent}  ")]


def _type(dtype: pl.DataType, indent: str) -> list[str]:
    """A type as `datasets` writes it into a card."""
    if isinstance(dtype, pl.List):
        inner = arrow_ipc.inner(dtype)
        simple = _simple(inner)
        if simple is not None:
            return [f"{indent}list: {simple}"]
        return [f"{indent}list:", *_type(inner, f"{indent}  ")]
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
    names = {pl.Boolean: "bool", pl.String: "string", pl.Binary: "binary", pl.Date: "date32"}
    return {**names, pl.Null: "null"}.get(dtype.base_type())


def _word(text: str) -> str:
    """A text as YAML; in quotes where it could be read as something else."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text)


def _text(schema: pl.Schema, shards: Catalog, about: About) -> str:
    parts = [
        _counts(shards),
        _reading(about.name),
        _columns(schema),
        *([f"## Citation\n\n{about.citation.strip()}\n"] if about.citation else []),
    ]
    return "\n".join(parts)


def _counts(shards: Catalog) -> str:
    rows = shards.rows
    by = rows.group_by("h12", "h11").agg(
        pl.col("geometry_id").n_unique(), pl.len().alias("shards"), pl.col("n_rows").sum()
    )
    lines = by.sort("h12", "h11").iter_rows()
    head = (
        f"{rows['n_rows'].sum():,} flux vacua of {rows['geometry_id'].n_unique():,} geometries. "
        "`h12` counts the complex-structure moduli (CYTools' h21); -1 stands for an absent key.\n"
    )
    return f"{head}\n{_table(('h12', 'h11', 'geometries', 'shards', 'vacua'), lines)}"


def _columns(schema: pl.Schema) -> str:
    known: Mapping[str, tuple[str, str]] = {c.name: (c.meaning, c.unit) for c in COLUMNS}
    lines = (
        (f"`{name}`", _shown(dtype), *known.get(name, ("", ""))) for name, dtype in schema.items()
    )
    return f"## Columns\n\n{_table(('column', 'type', 'meaning', 'unit'), lines)}"


def _shown(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List):
        return f"list of {_shown(arrow_ipc.inner(dtype))}"
    return _simple(dtype) or "struct"


def _table(head: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    rows = [list(head)]
    rows.append(["---"] * len(rows[0]))
    rows += [[_cell(value) for value in line] for line in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}" if value >= 0 else str(value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def _reading(name: str) -> str:
    return f"""\
## How to read it

```sh
vulcan query --repo {name} --source repo --h12 2 --where "tau_im > 2" -o vacua.parquet
vulcan split --repo {name} --source repo --out-dir ml
```

```python
import datasets

vacua = datasets.load_dataset("{name}", split="train")

from huggingface_hub import snapshot_download
import polars as pl

folder = snapshot_download("{name}", repo_type="dataset")
vacua = pl.scan_parquet(f"{{folder}}/{SHARDS}", missing_columns="insert", extra_columns="ignore")

from stringforge.vulcan import VulcanReader

vacua = VulcanReader.from_hf("{name}").query(h12=2)
```
"""
