"""The features of a ranking model as the transformed records hold them; no TensorFlow.

A transformed record has `DENSE`, `LABEL`, maybe `WEIGHT`, and one int64 feature of ids under the
name of each sparse feature: one id, or for a multivalent feature any number of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DENSE = "dense_features"
"""Float vector [W] of all dense inputs and their missing flags; absent when W is 0."""

LABEL = "label"
"""Float: 0 or 1 (click), or the rating."""

WEIGHT = "weight"
"""Float, optional: weight of the example in loss and metrics."""

SPARSE = "sparse_features"
"""Key of the dict of ids in the inputs of the model, beside `DENSE`."""


@dataclass(frozen=True)
class SparseFeature:
    """A categorical feature.

    Attributes:
        name: Name of the feature and of its ids in the records.
        size: Number of ids, those for unknown categories included; ids are 0 to size - 1.
        multivalent: Whether an example has any number of ids and not exactly one.
    """

    name: str
    size: int
    multivalent: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"{self.name}: size: got {self.size}; takes 1 or more.")
        if self.name in (DENSE, LABEL, WEIGHT):
            raise ValueError(f"{self.name}: the name is taken; rename the column.")


@dataclass(frozen=True)
class Features:
    """All inputs of a ranking model.

    Attributes:
        sparse: The categorical features.
        dense_width: Width W of the dense vector, 0 for none.
    """

    sparse: tuple[SparseFeature, ...]
    dense_width: int

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.sparse]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"sparse: {', '.join(twice)}: stands twice.")
        if self.dense_width < 0:
            raise ValueError(f"dense_width: got {self.dense_width}; takes 0 or more.")
        if not self.sparse and not self.dense_width:
            raise ValueError("features: got none; takes at least one sparse or dense feature.")

    def to_dict(self) -> dict[str, Any]:
        """Plain data from which `from_dict` rebuilds the features."""
        return {
            "sparse": [asdict(feature) for feature in self.sparse],
            "dense_width": self.dense_width,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Features:
        """Rebuilds what `to_dict` gave."""
        sparse = tuple(SparseFeature(**feature) for feature in data["sparse"])
        return cls(sparse=sparse, dense_width=data["dense_width"])
