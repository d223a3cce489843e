"""Metrics of click and rating models: streaming ones for training, exact ones for evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Array = npt.NDArray[Any]

AUC_THRESHOLDS = 2000
"""Thresholds of the streaming AUC; Keras' 200 are too coarse for small click rates."""

MODES = {
    "auc": "max",
    "pr_auc": "max",
    "accuracy": "max",
    "log_loss": "min",
    "rmse": "min",
    "mae": "min",
    "loss": "min",
}
"""Whether more ("max") or less ("min") of a metric is better; the others are neither."""

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
    positives, negatives = _by_score(labels, scores, weights)
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
    positives, negatives = (part[::-1] for part in _by_score(labels, scores, weights))
    total = positives.sum()
    if not total:
        return float("nan")
    found = np.cumsum(positives)
    precision = found / np.maximum(found + np.cumsum(negatives), np.finfo(np.float64).tiny)
    return float((positives * precision).sum() / total)


def _by_score(labels: Array, scores: Array, weights: Array | None) -> tuple[Array, Array]:
    """[K] weights of positives and of negatives at each distinct score, lowest first."""
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    positive = np.where(np.asarray(labels) > 0.5, weights, 0.0)
    order = np.argsort(scores, kind="stable")
    ranked = np.asarray(scores)[order]
    if not len(ranked):
        return np.zeros(0), np.zeros(0)
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    return np.add.reduceat(positive[order], first), np.add.reduceat(
        (weights - positive)[order], first
    )


def exact(
    objective: str,
    labels: Array,
    predictions: Array,
    weights: Array | None = None,
) -> dict[str, float]:
    """All metrics of a whole split.

    Args:
        objective: "click" or "rating".
        labels: [N].
        predictions: [N], probabilities or ratings.
        weights: [N] or None for 1.

    Returns:
        `prediction_mean`, `label_mean`, `calibration` (mean prediction over mean label, NaN if
        that is 0); for clicks `auc`, `pr_auc`, `log_loss`, `accuracy`; for ratings `rmse`, `mae`.
    """
    labels = np.asarray(labels, np.float64)
    predictions = np.asarray(predictions, np.float64)
    if weights is not None and not np.sum(weights) > 0:
        weights = None

    def mean(values: Array) -> float:
        return float(np.average(values, weights=weights))

    label, prediction = mean(labels), mean(predictions)
    means = {
        "calibration": prediction / label if label else float("nan"),
        "prediction_mean": prediction,
        "label_mean": label,
    }
    if objective == "rating":
        error = predictions - labels
        return {"rmse": float(np.sqrt(mean(error**2))), "mae": mean(np.abs(error)), **means}
    safe = np.clip(predictions, _EPSILON, 1 - _EPSILON)
    return {
        "auc": auc(labels, predictions, weights),
        "pr_auc": average_precision(labels, predictions, weights),
        "log_loss": mean(-labels * np.log(safe) - (1 - labels) * np.log1p(-safe)),
        "accuracy": mean((predictions > 0.5) == (labels > 0.5)),
        **means,
    }
