"""What is drawn of a split: its ROC curve, its calibration, and how its predictions spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

POINTS = 401
"""Most points of a ROC curve."""
GROUPS = 20
"""Groups of examples by their prediction, at most."""
BINS = 40
_HIGHEST = 0.995
"""Of clicks, the bins end at this quantile, and the last one has what is beyond: a few high scores
among many low ones would leave nothing to see."""


def score_histogram(
    objective: str, labels: Array, predictions: Array, weights: Array | None = None
) -> npt.NDArray[np.float64]:
    """Counts of two groups of examples in bins of equal width.

    Args:
        objective: "click" or "rating".
        labels: [N]; a click is above 0.5.
        predictions: [N], probabilities or ratings.
        weights: [N] or None for 1.

    Returns:
        [`BINS`, 4]: lowest and highest value, and the weight of the examples without and with a
        click by their prediction; of ratings, of all examples by prediction, and by label. [0, 4]
        without examples, if a prediction is not finite, or if all values are the same.
    """
    labels, predictions = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
    if not len(labels) or not np.isfinite(predictions).all():
        return np.zeros((0, 4))
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    clicks = objective == "click"
    values = predictions if clicks else np.concatenate([predictions, labels])
    low, high = values.min(), np.quantile(values, _HIGHEST) if clicks else values.max()
    high = high if high > low else values.max()  # nearly all scores are the same
    if not high > low:
        return np.zeros((0, 4))
    edges = np.linspace(low, high, BINS + 1)

    def counted(some: Array, mass: Array) -> Array:
        return np.histogram(np.clip(some, low, high), edges, weights=mass)[0]

    if clicks:
        clicked = labels > 0.5
        groups = (counted(predictions, weights * side) for side in (~clicked, clicked))
    else:
        groups = (counted(some, weights) for some in (predictions, labels))
    return np.stack([edges[:-1], edges[1:], *groups], axis=1)


def roc_curve(
    labels: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float64]:
    """[K, 2] false and true positive rates from (0, 0) to (1, 1), at most `POINTS`."""
    if not len(labels):
        return np.zeros((0, 2))
    weights = np.ones_like(labels) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    positive = np.cumsum(np.where(labels > 0.5, weights, 0.0)[order])[last]
    negative = np.cumsum(np.where(labels > 0.5, 0.0, weights)[order])[last]
    if not positive[-1] or not negative[-1]:
        return np.zeros((0, 2))
    points = np.stack([negative / negative[-1], positive / positive[-1]], axis=1)
    chosen = np.unique(np.linspace(0, len(points) - 1, POINTS - 1).astype(int))
    return np.concatenate([np.zeros((1, 2)), points[chosen]])


def calibration_buckets(
    labels: npt.NDArray[np.float32],
    predictions: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float64]:
    """[K, 3] mean prediction, mean label and examples of groups by prediction; see `groups`.

    [0, 3] if a prediction is not finite, or without any weight.
    """
    mass = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    if not mass.sum() > 0 or not np.isfinite(predictions).all():
        return np.zeros((0, 3))
    group = groups(predictions, mass)
    counts, whole = np.bincount(group), np.bincount(group, mass)
    means = (np.bincount(group, mass * np.asarray(v, np.float64)) for v in (predictions, labels))
    held = whole > 0
    columns = [*(mean[held] / whole[held] for mean in means), counts[held].astype(np.float64)]
    return np.stack(columns, axis=1)


def groups(predictions: Array, weights: Array) -> npt.NDArray[np.int64]:
    """[N] the group of each example by its prediction, from 0 to `GROUPS` - 1, low ones first.

    The groups have about the same weight (Nguyen and O'Connor, 2015, "Posterior calibration and
    exploratory analysis for natural language processing models"). Examples with the same prediction
    are in the same group, so their order does not matter; some groups may then be empty.

    Args:
        predictions: [N], finite.
        weights: [N], not negative; their sum is not 0.
    """
    _, place = np.unique(predictions, return_inverse=True)
    mass = np.bincount(place, weights)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    of_place: npt.NDArray[np.int64] = np.minimum((GROUPS * middle).astype(np.int64), GROUPS - 1)
    return of_place[place]
