"""Training data from Python, with the method names of the peer: splits as frames and tensors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from vulcan_cli.arguments import instance, integer, numbers, path, texts
from vulcan_cli.dataset import tensors
from vulcan_cli.dataset.features import FeatureSpec, ListsCutShort
from vulcan_cli.dataset.frozen import read_frozen
from vulcan_cli.dataset.groups import GroupBy
from vulcan_cli.dataset.reader import VulcanReader, filters_of
from vulcan_cli.dataset.split_view import SplitView
from vulcan_cli.dataset.splits import DEFAULT_FRACTIONS, DEFAULT_SPLITS, Splits
from vulcan_cli.errors import UsageError
from vulcan_cli.extras import require
from vulcan_cli.quantities import counted
from vulcan_cli.vacua.secrets import scrub

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import torch


class VulcanMLView:
    """The rows of a reader in train, val and test, so that no geometry is in two of them.

    Where a `FeatureSpec` cuts lists short, reading warns with `ListsCutShort` and says how many.
    It can be pickled as its reader can.
    """

    def __init__(
        self,
        reader: VulcanReader,
        *,
        fractions: Sequence[float] = DEFAULT_FRACTIONS,
        splits: Sequence[str] = DEFAULT_SPLITS,
        salt: str = "",
        feature_spec: FeatureSpec | None = None,
        group_by: GroupBy = "geometry",
        folds: int | None = None,
        frozen: Path | str | None = None,
    ) -> None:
        """Describe a view.

        Args:
            reader: Where rows come from.
            fractions: The share of geometries in each split; they sum to 1.
            splits: What the splits are called.
            salt: Another salt is another assignment.
            feature_spec: Which columns, and how lists are cut.
            group_by: `polytope` keeps all triangulations of one in one split.
            folds: So many splits of one size, `fold0` and so on, instead of `splits` and
                `fractions`.
            frozen: A file of `vulcan split --freeze`, instead of all of these; they may say what
                it says.

        Raises:
            UsageError: Names and fractions do not fit together, the file is none, an argument
                stands beside one that overrules it, or is of another kind.
        """
        self.reader = instance("reader", reader, VulcanReader, "a VulcanReader")
        self.feature_spec = _asked(feature_spec, FeatureSpec())
        names, shares = texts("splits", splits), numbers("fractions", fractions)
        if frozen is not None:
            _check_alone("frozen says which splits there are", {"folds": folds is not None})
            asked = {"splits": names, "fractions": shares, "salt": salt}
            self._splits = _kept(path("frozen", frozen), asked, group_by)
        elif folds is not None:
            drawn = {"splits": names != DEFAULT_SPLITS, "fractions": shares != DEFAULT_FRACTIONS}
            _check_alone("folds names and sizes the splits", drawn)
            self._splits = Splits.folds(integer("folds", folds), salt=salt, group_by=group_by)
        else:
            self._splits = Splits(names, shares, salt, group_by)

    def __repr__(self) -> str:
        drawn = f"splits={self.splits!r}, fractions={self.fractions!r}"
        return scrub(f"VulcanMLView({self.reader!r}, {drawn})")

    @property
    def splits(self) -> tuple[str, ...]:
        """What the splits are called."""
        return self._splits.names

    @property
    def fractions(self) -> tuple[float, ...]:
        """The share of geometries wanted in each."""
        return self._splits.fractions

    @property
    def salt(self) -> str:
        """What is hashed before the geometry."""
        return self._splits.salt

    def split_of(self, geometry_id: str) -> str:
        """The split of a geometry, whether or not it is there.

        Raises:
            UsageError: It is not there, and geometries are grouped by what only its keys tell.
        """
        if self._splits.group_by == "geometry":
            return self._splits.of(geometry_id)
        shards = self.reader.shards().rows.filter(geometry_id=geometry_id).head(1)
        if shards.is_empty():
            raise UsageError(f"no shard tells the polytope of geometry {geometry_id}")
        return str(self._splits.of_shards(shards).item())

    def split_assignments(self) -> pl.DataFrame:
        """`geometry_id` and `split` of every geometry that is there, sorted by the former."""
        shards = self.reader.shards().rows.unique("geometry_id").sort("geometry_id")
        return shards.select("geometry_id", self._splits.of_shards(shards))

    def as_dataframe(
        self,
        split: str,
        *,
        feature_spec: FeatureSpec | None = None,
        query_filters: Mapping[str, Any] | None = None,
    ) -> pl.DataFrame:
        """The features of one split.

        Args:
            split: Its name.
            feature_spec: Instead of the view's own.
            query_filters: As for `VulcanReader.query`.

        Raises:
            UsageError: There is no such split, or no such feature, or an argument is of
                another kind.
        """
        return self._read(split, feature_spec, query_filters)

    def as_numpy(
        self,
        split: str,
        *,
        feature_spec: FeatureSpec | None = None,
        query_filters: Mapping[str, Any] | None = None,
    ) -> dict[str, np.ndarray]:
        """The features of one split as read-only arrays, by name.

        Lists of one length have one axis more; a complex feature is complex128. Floats have NaN
        for null, texts are objects.

        Args:
            split: Its name.
            feature_spec: Instead of the view's own.
            query_filters: As for `VulcanReader.query`.

        Raises:
            NotSetUp: NumPy is not installed.
            UsageError: As `as_dataframe`; or lists have several lengths, or integers have nulls.
        """
        require("numpy")
        spec = _asked(feature_spec, self.feature_spec)
        frame = self._read(split, spec, query_filters)
        return tensors.as_numpy(frame, self._view(spec, None).complex_features)

    def as_torch(
        self,
        split: str,
        *,
        feature_spec: FeatureSpec | None = None,
        query_filters: Mapping[str, Any] | None = None,
    ) -> dict[str, torch.Tensor]:
        """The features of one split as tensors, by name, without a copy where types allow.

        `geometry_id` is left out, and so is all that holds no numbers where the features are not
        named.

        Args:
            split: Its name.
            feature_spec: Instead of the view's own.
            query_filters: As for `VulcanReader.query`.

        Raises:
            NotSetUp: PyTorch is not installed.
            UsageError: As `as_numpy`; or a feature that was named holds no numbers.
        """
        require("torch")
        spec = replace(_asked(feature_spec, self.feature_spec), keep_geometry_id=False)
        if spec.features is None:
            held = self._view(spec, query_filters).rows(split).collect_schema()
            spec = replace(spec, features=tensors.numbers_only(held))
        frame = self._read(split, spec, query_filters)
        return tensors.as_torch(frame, self._view(spec, None).complex_features)

    def as_hf_dataset(
        self,
        split: str,
        *,
        feature_spec: FeatureSpec | None = None,
        query_filters: Mapping[str, Any] | None = None,
    ) -> datasets.Dataset:
        """The features of one split as a `datasets.Dataset`.

        Args:
            split: Its name.
            feature_spec: Instead of the view's own.
            query_filters: As for `VulcanReader.query`.

        Raises:
            NotSetUp: `datasets` is not installed.
            UsageError: As `as_dataframe`.
        """
        require("datasets")
        return tensors.as_hf_dataset(self._read(split, feature_spec, query_filters))

    def _read(
        self, split: str, spec: FeatureSpec | None, query_filters: Mapping[str, Any] | None
    ) -> pl.DataFrame:
        """The features of one split; called by what a person calls, whose line warnings name."""
        frame, cut = self._view(spec, query_filters).features(split)
        if cut:
            lists = [f"{counted(number, 'list')} of {name}" for name, number in cut.items()]
            warnings.warn(f"cut short: {', '.join(lists)}", ListsCutShort, stacklevel=3)
        return frame

    def _view(self, spec: FeatureSpec | None, query_filters: Mapping[str, Any] | None) -> SplitView:
        return SplitView(
            catalog=self.reader.shards(),
            filters=filters_of(**dict(query_filters or {})),
            splits=self._splits,
            spec=_asked(spec, self.feature_spec),
        )


def _check_alone(why: str, beside: Mapping[str, bool]) -> None:
    """Raise UsageError where one of these arguments is given, which nobody would look at."""
    for name, is_given in beside.items():
        if is_given:
            raise UsageError(f"{why}: no {name}")


def _kept(file: Path, asked: Mapping[str, object], group_by: GroupBy) -> Splits:
    """The splits of a file; UsageError where an argument says otherwise."""
    held = read_frozen(file)
    # What says the same overrules nothing, and a default may not have been meant.
    said = {
        "splits": (held.names, DEFAULT_SPLITS),
        "fractions": (held.fractions, DEFAULT_FRACTIONS),
        "salt": (held.salt, "", None),
    }
    _check_alone(
        "frozen says which splits there are",
        {name: asked[name] not in harmless for name, harmless in said.items()},
    )
    if group_by not in {"geometry", held.group_by}:
        raise UsageError(f"{file} is grouped by {held.group_by}: no other group_by")
    return held


def _asked(spec: FeatureSpec | None, otherwise: FeatureSpec) -> FeatureSpec:
    """The features that a program asks for, if it does.

    Raises:
        UsageError: They are no FeatureSpec.
    """
    asked = otherwise if spec is None else spec
    return instance("feature_spec", asked, FeatureSpec, "a FeatureSpec")
