"""Options of `vulcan split`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vulcan_cli.cli.options.everywhere import OUTPUT
from vulcan_cli.cli.options.names import split_names
from vulcan_cli.cli.suggest import one_of, values_of
from vulcan_cli.errors import DiskTrouble, UsageError
from vulcan_cli.files.folder import Folder

if TYPE_CHECKING:
    from vulcan_cli.dataset.features import FeatureSpec
    from vulcan_cli.dataset.groups import GroupBy
    from vulcan_cli.dataset.splits import Splits

SPLIT = "Splits"
"""The heading of options that say how to split."""

_SPLITS = {"train": "0.8 of the geometries", "val": "0.1 of them", "test": "0.1 of them"}
_GROUPS = {
    "geometry": "each for itself",
    "polytope": "all triangulations of one h11, h12, ks_id together",
}

SplitName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="The split whose rows to print.", autocompletion=one_of(_SPLITS)
    ),
]

SplitNames = Annotated[
    list[str] | None,
    typer.Option(
        "--splits",
        metavar="A,B",
        help="Names; train,val,test by default.",
        autocompletion=one_of(_SPLITS, listed=True),
        rich_help_panel=SPLIT,
    ),
]

Fractions = Annotated[
    list[str] | None,
    typer.Option(
        "--fractions",
        metavar="X,Y",
        help="Shares; 0.8,0.1,0.1 by default.",
        rich_help_panel=SPLIT,
    ),
]

Salt = Annotated[
    str | None,
    typer.Option(
        "--salt", metavar="TEXT", help="Another salt, another assignment.", rich_help_panel=SPLIT
    ),
]

GroupedBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="WHAT",
        help="geometry, or polytope: all triangulations of one h11, h12, ks_id in one split; "
        "geometry by default.",
        autocompletion=one_of(_GROUPS),
        rich_help_panel=SPLIT,
    ),
]

Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        min=2,
        help="K splits of one size for cross-validation: fold0, fold1 and so on.",
        rich_help_panel=SPLIT,
    ),
]

Freeze = Annotated[
    Path | None,
    typer.Option(
        "--freeze",
        metavar="FILE",
        help="Write down which split each geometry is in.",
        rich_help_panel=SPLIT,
    ),
]

Frozen = Annotated[
    Path | None,
    typer.Option(
        "--frozen",
        metavar="FILE",
        help="Leave geometries where that file has them; only new ones are drawn.",
        rich_help_panel=SPLIT,
    ),
]

OutDir = Annotated[
    Path | None,
    typer.Option(
        "--out-dir",
        metavar="DIR",
        help="A new or empty folder for the files of all splits and split.json.",
        rich_help_panel=OUTPUT,
    ),
]

PushSplits = Annotated[
    str | None,
    typer.Option(
        "--push",
        metavar="REPO",
        help="Commit the files of all splits, with a card, to a repo of their own.",
        rich_help_panel=OUTPUT,
    ),
]

Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Shuffle the rows of each split that --out-dir or --push writes; the same seed, the "
        "same order.",
        rich_help_panel=OUTPUT,
    ),
]

FeatureNames = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        metavar="A,B",
        help="Columns that make the features; by default all, and with --list-max-len or "
        "--drop-geometry-id all but run id, time and geometry. moduli and tau are complex, from "
        """_re and _im; '"a,b"' is one name.""",
        autocompletion=values_of("column", listed=True),
        rich_help_panel=SPLIT,
    ),
]

ListMaxLen = Annotated[
    int | None,
    typer.Option(
        "--list-max-len",
        metavar="N",
        min=1,
        help="Cut or fill all lists to this length.",
        rich_help_panel=SPLIT,
    ),
]

ListFill = Annotated[
    float | None,
    typer.Option(
        "--list-fill", metavar="X", help="What fills them; 0 by default.", rich_help_panel=SPLIT
    ),
]

DropGeometryId = Annotated[
    bool,
    typer.Option("--drop-geometry-id", help="Leave geometry_id out.", rich_help_panel=SPLIT),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """How to split, as typed."""

    splits: SplitNames = None
    fractions: Fractions = None
    salt: Salt = None
    group_by: GroupedBy = None
    folds: Folds = None
    freeze: Freeze = None
    frozen: Frozen = None

    def read(self) -> Splits:
        """The splits that were typed or stand in the file of `frozen`, with defaults for the rest.

        Raises:
            UsageError: The options do not fit together, or the file to freeze into is there.
            DiskTrouble: There is no folder to freeze into, or the frozen file cannot be read.
        """
        chosen = self._typed() if self.frozen is None else self._kept(self.frozen)
        if self.freeze is not None:
            self._check_freeze(self.freeze)
        return chosen

    def _typed(self) -> Splits:
        from vulcan_cli.dataset.splits import (  # noqa: PLC0415
            DEFAULT_FRACTIONS,
            DEFAULT_SPLITS,
            Splits,
        )

        salt, group_by = self.salt or "", cast("GroupBy", self.group_by or "geometry")
        if self.folds is not None:
            if self.splits is not None or self.fractions is not None:
                raise UsageError("--folds names and sizes the splits: no --splits, no --fractions")
            return Splits.folds(self.folds, salt=salt, group_by=group_by)
        names = split_names(self.splits) or DEFAULT_SPLITS
        return Splits(names, self._numbers() or DEFAULT_FRACTIONS, salt, group_by)

    def _kept(self, file: Path) -> Splits:
        """The splits of a file; fractions and salt that are typed count for new geometries."""
        from vulcan_cli.dataset.frozen import read_frozen  # noqa: PLC0415

        held = read_frozen(file)
        if self.splits is not None or self.folds is not None:
            raise UsageError(f"{file} says which splits there are: no --splits, no --folds")
        if self.group_by not in {None, held.group_by}:
            raise UsageError(f"{file} is grouped by {held.group_by}: no other --group-by")
        salt = held.salt if self.salt is None else self.salt
        return replace(held, fractions=self._numbers() or held.fractions, salt=salt)

    def _numbers(self) -> tuple[float, ...] | None:
        try:
            return tuple(map(float, split_names(self.fractions) or ())) or None
        except ValueError as error:
            raise UsageError(f"--fractions are numbers, such as 0.8,0.1,0.1: {error}") from error

    def _check_freeze(self, target: Path) -> None:
        """Raise before any work: the file is there and was not read, or its folder is not there."""
        if target.exists() and (self.frozen is None or not target.samefile(self.frozen)):
            raise UsageError(f"{target} is there already: --frozen {target} keeps to it")
        try:
            with Folder.open(target.parent):
                pass
        except OSError as error:
            raise DiskTrouble(target, error) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureOptions:
    """How rows become features, as typed."""

    features: FeatureNames = None
    list_max_len: ListMaxLen = None
    list_fill: ListFill = None
    drop_geometry_id: DropGeometryId = False

    def read(self) -> FeatureSpec | None:
        """How rows become features; None where no option asks for it.

        Raises:
            UsageError: A length below 1, what fills lists that get no length, or `geometry_id`
                that is both named and left out.
        """
        from vulcan_cli.dataset.features import FeatureSpec  # noqa: PLC0415

        if self.list_fill is not None and self.list_max_len is None:
            raise UsageError("--list-fill fills lists up to a length: say it with --list-max-len")
        names = split_names(self.features)
        if self.drop_geometry_id and "geometry_id" in (names or ()):
            raise UsageError("--features names geometry_id, which --drop-geometry-id leaves out")
        if names is None and self.list_max_len is None and not self.drop_geometry_id:
            return None
        fill = self.list_fill or 0.0
        return FeatureSpec(names, self.list_max_len, fill, not self.drop_geometry_id)
