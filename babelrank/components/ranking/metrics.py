"""Metrics of click and rating models: streaming ones for training, exact ones for evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from babelrank.components.ranking.curves import groups
from babelrank.components.ranking.query_metrics import TOP_K, query_metrics

Array = npt.NDArray[Any]

AUC_THRESHOLDS = 2000
"""Thresholds of the streaming AUC; Keras' 200 are too coarse for small click rates."""

MODES = {
    "auc": "max",
    "pr_auc": "max",
    "accuracy": "max",
    "lift": "max",
    "ndcg": "max",
    "hit_rate": "max",
    "mrr": "max",
    "log_loss": "min",
    "ece": "min",
    "rmse": "min",
    "mae": "min",
    "loss": "min",
}
"""Whether more ("max") or less ("min") of a metric is better; the others are neither."""

LIFT_SHARE = 0.1
"""Share of the rows that `lift` is about, unless a configuration says otherwise."""

_EPSILON = 1e-7


def click_metrics() -> list[tf.keras.metrics.Metric]:
    """Streaming metrics of labels and predicted probabilities."""
    return [
        tf.keras.metrics.AUC(name="auc", num_thresholds=AUC_THRESHOLDS),
        tf.keras.metrics.BinaryAccuracy(name="accuracy"),
    ]


def rating_metrics() -> list[tf.keras.metrics.Metric]:
    """Streaming metrics of labels and predicted ratings."""
    return [tf.keras.metrics.RootMeanSquaredError(name="rmse")]


def prediction_mean() -> tf.keras.metrics.Metric:
    """Mean of the predictions."""
    return tf.keras.metrics.Mean(name="prediction_mean")


def label_mean() -> tf.keras.metrics.Metric:
    """Mean of the labels."""
    return tf.keras.metrics.Mean(name="label_mean")


def auc(labels: Array, scores: Array, weights: Array | None = None) -> float:
    """The exact area under the ROC curve; tied scores count one half.

    Args:
        labels: [N], positive if above 0.5.
        scores: [N], larger for likelier positives.
        weights: [N] or None for 1.

    Returns:
        The weighted share of (positive, negative) pairs in the right order (Mann-Whitney U), or
        NaN without any such pair.
    """
    _, positives, negatives = _by_score(labels, scores, weights)
    below = np.cumsum(negatives) - negatives
    pairs = positives.sum() * negatives.sum()
    return float((positives * (below + 0.5 * negatives)).sum() / pairs) if pairs else float("nan")


def average_precision(labels: Array, scores: Array, weights: Array | None = None) -> float:
    """The exact area under precision and recall, as a sum of steps (as in scikit-learn).

    Args:
        labels: [N], positive if above 0.5.
        scores: [N], larger for likelier positives.
        weights: [N] or None for 1.

    Returns:
        The mean over the positives of the precision at their score, or NaN without positives.
    """
    _, positives, negatives = (part[::-1] for part in _by_score(labels, scores, weights))
    total = positives.sum()
    if not total:
        return float("nan")
    found = np.cumsum(positives)
    precision = found / np.maximum(found + np.cumsum(negatives), np.finfo(np.float64).tiny)
    return float((positives * precision).sum() / total)


def calibration_error(labels: Array, scores: Array, weights: Array | None = None) -> float:
    """The expected calibration error: how far predictions are from labels, within bins of rows.

    The mean over bins, by their weight, of |mean prediction - mean label| (Naeini et al., 2015,
    "Obtaining well calibrated probabilities using Bayesian binning"; Guo et al., 2017, "On
    calibration of modern neural networks"). Those have bins of equal width, of which small click
    rates would fill one; these are `curves.groups`, which hold equally many rows.

    Args:
        labels: [N], 0 or 1.
        scores: [N], probabilities.
        weights: [N] or None for 1.

    Returns:
        From 0 to 1, or NaN without rows of any weight.
    """
    mass = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    if not mass.sum() > 0:
        return float("nan")
    clicked = np.asarray(labels) > 0.5
    excess: Array = mass * (np.asarray(scores, np.float64) - clicked)
    return float(np.abs(np.bincount(groups(scores, mass), excess)).sum() / mass.sum())


def lift(
    labels: Array, scores: Array, weights: Array | None = None, share: float = LIFT_SHARE
) -> float:
    """The click rate among the rows with the highest scores over that of all rows.

    Args:
        labels: [N], positive if above 0.5.
        scores: [N], larger for likelier positives.
        weights: [N] or None for 1.
        share: Share of the rows (of their weight) that is taken, 0 < share <= 1. Of tied rows at
            its border as many are taken as are wanted, with the click rate of all of them.

    Returns:
        From 0 to 1 / share; 1 is as good as chance; NaN without positives.
    """
    _, positives, negatives = (part[::-1] for part in _by_score(labels, scores, weights))
    if not positives.sum() > 0:
        return float("nan")
    mass = positives + negatives
    before = np.cumsum(mass) - mass
    wanted = share * mass.sum()
    taken = np.clip((wanted - before) / np.where(mass > 0, mass, 1), 0, 1)
    return float((positives * taken).sum() / (share * positives.sum()))


def _by_score(labels: Array, scores: Array, weights: Array | None) -> tuple[Array, Array, Array]:
    """[K] distinct scores, lowest first, and the weights of positives and of negatives at each."""
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    positive = np.where(np.asarray(labels) > 0.5, weights, 0.0)
    order = np.argsort(scores, kind="stable")
    ranked = np.asarray(scores)[order]
    if not len(ranked):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    positives, negatives = (
        np.add.reduceat(part[order], first) for part in (positive, weights - positive)
    )
    return ranked[first].astype(np.float64), positives, negatives


def exact(
    objective: str,
    labels: Array,
    predictions: Array,
    weights: Array | None = None,
    *,
    lift_share: float = LIFT_SHARE,
    queries: Array | None = None,
    top_k: int = TOP_K,
) -> dict[str, float]:
    """All metrics of a whole split.

    Args:
        objective: "click" or "rating".
        labels: [N].
        predictions: [N], probabilities or ratings.
        weights: [N] or None for 1; if all are 0, they count as None.
        lift_share: Share of the rows that `lift` is about.
        queries: [N] integers, the same for the rows of a query, less than 0 for rows of none; None:
            rows belong to no queries.
        top_k: Places that the metrics by query are about.

    Returns:
        `prediction_mean`, `label_mean`, `calibration` (mean prediction over mean label, NaN if
        that is 0); for clicks `auc`, `pr_auc`, `log_loss`, `accuracy`, `ece`, `lift`; for ratings
        `rmse`, `mae`; and with queries what `query_metrics` gives. All but `label_mean` are NaN
        if a prediction is not finite.
    """
    labels = np.asarray(labels, np.float64)
    predictions = np.asarray(predictions, np.float64)
    if weights is not None and not np.sum(weights) > 0:
        weights = None

    def mean(values: Array) -> float:
        return float(np.average(values, weights=weights))

    label, prediction = mean(labels), mean(predictions)
    others = {
        "calibration": prediction / label if label else float("nan"),
        "prediction_mean": prediction,
        "label_mean": label,
    }
    if queries is not None:
        others |= _by_query(objective, labels, predictions, queries, weights, top_k)
    if objective == "rating":
        error = predictions - labels
        values = {"rmse": float(np.sqrt(mean(error**2))), "mae": mean(np.abs(error)), **others}
    else:
        safe = np.clip(predictions, _EPSILON, 1 - _EPSILON)
        values = {
            "auc": auc(labels, predictions, weights),
            "pr_auc": average_precision(labels, predictions, weights),
            "log_loss": mean(-labels * np.log(safe) - (1 - labels) * np.log1p(-safe)),
            "accuracy": mean((predictions > 0.5) == (labels > 0.5)),
            "ece": calibration_error(labels, predictions, weights),
            "lift": lift(labels, predictions, weights, lift_share),
            **others,
        }
    if not np.isfinite(predictions).all():  # ranks would hide it
        return dict.fromkeys(values, float("nan")) | {"label_mean": label}
    return values


def _by_query(
    objective: str,
    labels: Array,
    predictions: Array,
    queries: Array,
    weights: Array | None,
    top_k: int,
) -> dict[str, float]:
    """The metrics of the rows that belong to a query."""
    known = np.asarray(queries) >= 0
    weights = None if weights is None else np.asarray(weights)[known]
    return query_metrics(
        objective, labels[known], predictions[known], queries[known], weights, top_k
    )
