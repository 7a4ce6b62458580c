"""The dataset card of published splits: `load_dataset` gives exactly the rows of each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vulcan_cli.dataset.card import About, common_keys
from vulcan_cli.dataset.card_blocks import Card, table, with_blocks, word
from vulcan_cli.quantities import counted

# What of `split.json` says how the splits were made, in the order of people.
_MADE = (
    "fractions",
    "salt",
    "group_by",
    "frozen",
    "features",
    "list_max_len",
    "list_fill",
    "seed",
    "catalog_sha256",
    "vulcan_version",
)


def split_card(before: str | None, description: Mapping[str, Any], about: About) -> Card:
    """The card of a repo with these splits.

    Args:
        before: The `README.md` that is there; None where there is none.
        description: What `split.json` says.
        about: What is said beside it.
    """
    return with_blocks(before, _yaml(description, about), _text(description, about), about.title)


def _yaml(description: Mapping[str, Any], about: About) -> dict[str, list[str]]:
    lines = ["configs:", "- config_name: default", "  default: true", "  data_files:"]
    for name in _filled(description):
        count = len(description["files"][name])
        path = f"{name}-*-of-{count:05}.parquet"
        lines += [f"  - split: {word(name)}", f"    path: {json.dumps(path)}"]
    return {**common_keys(about), "configs": lines}


def _filled(description: Mapping[str, Any]) -> list[str]:
    """The splits with rows; `datasets` cannot load one without."""
    return [name for name in description["splits"] if description["rows"][name]]


def _text(description: Mapping[str, Any], about: About) -> str:
    geometries, rows, files = (description[key] for key in ("geometries", "rows", "files"))
    names = description["splits"]
    counts = ((f"`{name}`", geometries[name], rows[name], len(files[name])) for name in names)
    empty = [f"`{name}`" for name in names if not rows[name]]
    missing = f"\nWithout rows, and so not to be loaded: {', '.join(empty)}.\n" if empty else ""
    made = ((f"`{key}`", f"`{json.dumps(description[key])}`") for key in _MADE)
    cite = f"\n## Citation\n\n{about.citation.strip()}\n" if about.citation else ""
    first = _filled(description)[0]
    vacua = counted(sum(rows.values()), "flux vacuum")
    return f"""\
{vacua} of {counted(sum(geometries.values()), "geometry")}. No geometry is in two splits.

{table(("split", "geometries", "vacua", "files"), counts)}{missing}
## How to read it

```python
import datasets

{_variable(first)} = datasets.load_dataset({json.dumps(about.name)}, split={json.dumps(first)})
```

## How it was made

By `vulcan split`; `split.json` tells all, with the SHA-256 of each file.

{table(("", "value"), made)}{cite}"""


def _variable(name: str) -> str:
    return name if name.isidentifier() else "vacua"
