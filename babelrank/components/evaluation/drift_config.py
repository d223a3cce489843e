"""The configuration of drift and skew: how far data may move before somebody is told.

Imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from babelrank.components.config import option
from babelrank.components.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DriftConfig:
    """Bounds on how far features may move; distances are from 0 to 1."""

    action: Literal["report", "refuse"] = option(
        "report",
        "What a feature beyond its bound leads to: a warning in the terminal and the report, or a "
        "refusal by the gate, so that the model is not pushed.",
    )
    max_categorical: float | None = option(
        0.2,
        "Largest L-infinity distance of a feature of texts: how far the share of any of its values "
        "may move; null: no bound.",
    )
    max_numeric: float | None = option(
        0.15,
        "Largest Jensen-Shannon divergence (in bits, estimated by histograms) of a feature of "
        "numbers; a shift by one standard deviation is about 0.16; null: no bound.",
    )
    max_missing: float | None = option(
        0.2,
        "How far the share of examples without the feature may move; null: no bound. A feature "
        "that vanished or appeared is beyond every bound.",
    )
    features: dict[str, float | None] = option(
        {},
        "Bounds of single features, label too, in place of max_categorical and max_numeric; null: "
        "whatever becomes of the feature is right.",
    )
    min_examples: int = option(
        200, "With fewer examples on one of the two sides, distances are measured but not judged."
    )

    def __post_init__(self) -> None:
        bounds = {
            "max_categorical": self.max_categorical,
            "max_numeric": self.max_numeric,
            "max_missing": self.max_missing,
            **{f"features.{name}": bound for name, bound in self.features.items()},
        }
        for key, bound in bounds.items():
            if bound is not None and not 0 < bound <= 1:
                raise ConfigError(f"{key}: got {bound:g}; takes 0 < x <= 1, or null.")
        if self.min_examples < 1:
            raise ConfigError(f"min_examples: got {self.min_examples}; takes 1 or more.")

    def check_features(self, names: Iterable[str]) -> None:
        """Raises ConfigError when `features` names one that is not among these."""
        known = tuple(names)
        for name in self.features:
            if name not in known:
                raise ConfigError(
                    f"drift.features.{name}: there is no such feature; takes {', '.join(known)}."
                )
