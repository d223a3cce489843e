"""What the gate may demand of the data that a model was trained on.

Ingest stops a run whose rows are mostly bad (`ingest.max_bad_fraction`), before anything is
trained. These bounds are stricter ones for what is pushed: the model is trained, measured and
reported, and refused. Drift and skew have a section of their own. Imports no TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

from babelrank.components.config import option
from babelrank.components.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DataThresholds:
    """Bounds on the data of a run; null: no bound."""

    max_quarantined: float | None = option(
        None,
        "Largest share of the rows read that may be quarantined if a model is to be pushed, from "
        "0 to 1; ingest.max_bad_fraction is the share that stops the run.",
    )
    max_anomalies: int | None = option(
        None, "Most differences from the schema; null: they are told and refuse nothing."
    )

    def __post_init__(self) -> None:
        if self.max_quarantined is not None and not 0 <= self.max_quarantined <= 1:
            raise ConfigError(f"max_quarantined: got {self.max_quarantined}; takes 0 to 1.")
        if self.max_anomalies is not None and self.max_anomalies < 0:
            raise ConfigError(f"max_anomalies: got {self.max_anomalies}; takes 0 or more.")


@dataclass(frozen=True, kw_only=True)
class LabelThresholds(DataThresholds):
    """The same, and bounds on the label; null: no bound."""

    min_label_rate: float | None = option(
        None, "Smallest mean label of train: the click rate, or the mean rating."
    )
    max_label_rate: float | None = option(None, "Largest mean label of train.")
    max_label_rate_change: float | None = option(
        None,
        "How far the mean label of train may move from that of the serving model's training, as a "
        "share of that: 0.5 allows half as much more or less.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.min_label_rate, self.max_label_rate
        if low is not None and high is not None and low > high:
            raise ConfigError(
                f"min_label_rate: got {low:g}; takes at most max_label_rate, {high:g}."
            )
        if self.max_label_rate_change is not None and self.max_label_rate_change < 0:
            raise ConfigError(
                f"max_label_rate_change: got {self.max_label_rate_change}; takes 0 or more."
            )
