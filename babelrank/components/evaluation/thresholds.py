"""The thresholds that a configuration may set on metrics, and what their names say.

A threshold's name says what it is: `min_auc` and `max_rmse` bound a value; `max_bleu_drop`,
`max_rmse_rise` and `min_bleu_gain` bound the difference to the last blessed model. The classes of
a task list its thresholds; everything else knows no metric. Imports no TensorFlow.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from babelrank.components.config import option
from babelrank.components.errors import ConfigError

Kind = Literal["min", "max", "drop", "rise", "gain"]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Bounds on metrics, `float | None` fields named as the file's first lines say."""

    def __post_init__(self) -> None:
        for name in threshold_names(type(self)):
            value = getattr(self, name)
            if value is not None and parse(name)[1] in ("drop", "rise", "gain") and value < 0:
                raise ConfigError(f"{name}: got {value}; takes 0 or more.")


@dataclass(frozen=True, kw_only=True)
class RankingThresholds(Thresholds):
    """Bounds on ranking metrics; null: no bound."""

    min_auc: float | None = option(None, "Smallest AUC (click).")
    max_auc_drop: float | None = option(None, "AUC at most so far below the last blessed model's.")
    min_pr_auc: float | None = option(None, "Smallest area under precision and recall (click).")
    max_pr_auc_drop: float | None = option(None, "PR-AUC at most so far below the baseline's.")
    max_log_loss: float | None = option(None, "Largest log loss (click).")
    max_log_loss_rise: float | None = option(None, "Log loss at most so far above the baseline's.")
    min_calibration: float | None = option(None, "Smallest mean prediction / mean label.")
    max_calibration: float | None = option(None, "Largest mean prediction / mean label.")
    max_rmse: float | None = option(None, "Largest root mean squared error (rating).")
    max_rmse_rise: float | None = option(None, "RMSE at most so far above the baseline's.")
    min_ndcg: float | None = option(None, "Smallest NDCG at top_k, the mean over queries.")
    max_ndcg_drop: float | None = option(None, "NDCG at most so far below the baseline's.")
    min_hit_rate: float | None = option(
        None, "Smallest share of queries with a click among the first top_k rows (click)."
    )
    max_hit_rate_drop: float | None = option(None, "Hit rate at most so far below the baseline's.")
    min_mrr: float | None = option(
        None, "Smallest mean reciprocal rank of the first click, 0 beyond top_k (click)."
    )
    max_mrr_drop: float | None = option(None, "MRR at most so far below the baseline's.")
    max_ece: float | None = option(None, "Largest expected calibration error (click).")
    max_ece_rise: float | None = option(None, "ECE at most so far above the baseline's.")
    min_lift: float | None = option(
        None, "Smallest click rate of the lift_share best rows over that of all rows (click)."
    )
    max_lift_drop: float | None = option(None, "Lift at most so far below the baseline's.")


@dataclass(frozen=True, kw_only=True)
class TranslationThresholds(Thresholds):
    """Bounds on translation metrics, from 0 to 100; null: no bound."""

    min_bleu: float | None = option(None, "Smallest BLEU (sacreBLEU, cased).")
    max_bleu_drop: float | None = option(
        None, "BLEU at most so far below the last blessed model's."
    )
    min_bleu_gain: float | None = option(
        None, "BLEU at least so far above the last blessed model's."
    )
    min_chrf: float | None = option(None, "Smallest chrF.")
    max_chrf_drop: float | None = option(None, "chrF at most so far below the baseline's.")
    min_chrf_gain: float | None = option(None, "chrF at least so far above the baseline's.")


def threshold_names(cls: type[Thresholds]) -> tuple[str, ...]:
    """Names of the thresholds of a class, in order."""
    fields = dataclasses.fields(cls)
    return tuple(
        one.name for one in fields if one.name.startswith(("min_", "max_")) and one.default is None
    )


def parse(name: str) -> tuple[str, Kind]:
    """Metric and kind of a threshold's name."""
    bound, _, metric = name.partition("_")
    kinds: tuple[Kind, ...] = ("drop", "rise", "gain")
    for kind in kinds:
        if metric.endswith(f"_{kind}"):
            return metric.removesuffix(f"_{kind}"), kind
    return metric, "min" if bound == "min" else "max"
