"""How sure an AUC is, and whether two models on the same examples really differ in theirs.

DeLong, DeLong and Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver
operating characteristic curves", by the midranks of Sun and Xu (2014): O(N log N) and no sampling.
The examples count one each; weighted ones would need another variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BOUND = 1.959963984540054  # the normal quantile of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the AUC of a model differs from another's.

    Attributes:
        p_value: How likely a difference at least so large is if there is none, two-sided.
        difference: Positive if the first model is better.
        low: Lower bound of the difference's 95 % interval.
        high: Its upper bound.
    """

    p_value: float
    difference: float
    low: float
    high: float


def interval(labels: Array, scores: Array) -> tuple[float, float]:
    """Bounds of the 95 % interval of an AUC.

    Args:
        labels: [N], positive if above 0.5.
        scores: [N], larger for likelier positives.

    Returns:
        Within 0 and 1; NaN with fewer than two positives or negatives, scores that are not
        finite, or no variance (as when all pairs are in the right order), which says nothing of
        how sure that is.
    """
    area, error = _estimate(_placements(labels, scores))
    error = error or math.nan
    return _clipped(area - _BOUND * error), _clipped(area + _BOUND * error)


def compare(labels: Array, scores: Array, baseline: Array) -> Comparison:
    """The paired test of two models on the same examples.

    Args:
        labels: [N], positive if above 0.5.
        scores: [N], of the first model.
        baseline: [N], of the second.

    Returns:
        The comparison; all NaN with too few examples or scores that are not finite. Models that
        differ by the same amount everywhere have no bounds (NaN), and their p-value is 1 if that
        amount is 0, else unknown (NaN).
    """
    both = zip(_placements(labels, scores), _placements(labels, baseline), strict=True)
    difference, error = _estimate(tuple(one - other for one, other in both))
    if error > 0:
        p_value = math.erfc(abs(difference) / error / math.sqrt(2))
    else:  # or NaN
        p_value = 1.0 if abs(difference) < 1e-12 else math.nan
        error = math.nan
    return Comparison(
        p_value=p_value,
        difference=difference,
        low=difference - _BOUND * error,
        high=difference + _BOUND * error,
    )


def _placements(labels: Array, scores: Array) -> tuple[Array, Array]:
    """[P] the share of negatives below each positive, [N] of positives above each negative.

    Ties count one half; the mean of either is the AUC.
    """
    positive = np.asarray(labels) > 0.5
    scores = np.asarray(scores, np.float64)
    spoiled = 0.0 if np.isfinite(scores).all() else np.nan
    above, below = scores[positive], scores[~positive]
    ranks = _midranks(scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            spoiled + (ranks[positive] - _midranks(above)) / len(below),
            spoiled + 1 - (ranks[~positive] - _midranks(below)) / len(above),
        )


def _midranks(values: Array) -> Array:
    """[N] rank of each value from 1, tied ones sharing the mean of theirs."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    middle: Array = (last - (count - 1) / 2)[group]
    return middle


def _estimate(placements: tuple[Array, ...]) -> tuple[float, float]:
    """The mean of placements and its standard error."""
    if min(map(len, placements)) < 2:
        return math.nan, math.nan
    variance = sum(float(np.var(one, ddof=1)) / len(one) for one in placements)
    return float(placements[0].mean()), math.sqrt(variance)


def _clipped(value: float) -> float:
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else value
