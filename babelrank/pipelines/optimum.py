"""The best that any model can reach on labels whose true probabilities are known."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well one way of predicting does on one set of rows.

    Attributes:
        auc: Area under the ROC curve for the drawn labels; NaN when they are all the same.
        expected_auc: The same in expectation over the labels, from the true probabilities.
        log_loss: Mean negative log likelihood of the drawn labels, in nats.
    """

    auc: float
    expected_auc: float
    log_loss: float


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """What the best possible models reach on a set of well-formed rows.

    Attributes:
        rows: Number of rows.
        clicks: Number of clicked ones.
        known_position: Knows the position at which the item was shown.
        served: Predicts the click probability at position 1, as a served model does. Its AUC is
            the target for a served model; its log loss pays for the shift of position.
        marginal: Predicts the probability averaged over positions: the served AUC, and the
            least log loss without the position.
    """

    rows: int
    clicks: int
    known_position: Score
    served: Score
    marginal: Score


@dataclass(frozen=True)
class Truth:
    """Labels and true click probabilities of some rows, by time; float[rows] each."""

    label: Floats
    known_position: Floats
    served: Floats
    marginal: Floats

    def select(self, rows: slice | NDArray[np.bool_]) -> Truth:
        """Some of the rows."""
        return Truth(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def last(self, fraction: float) -> Truth:
        """The last rows by time."""
        count = len(self.label)
        return self.select(slice(count - round(fraction * count), count))

    def optimum(self) -> Optimum:
        """What the best possible models reach on these rows."""
        return Optimum(
            rows=len(self.label),
            clicks=int(self.label.sum()),
            known_position=self._score(self.known_position),
            served=self._score(self.served),
            marginal=self._score(self.marginal),
        )

    def _score(self, prediction: Floats) -> Score:
        p = np.clip(prediction, 1e-15, 1 - 1e-15)
        likelihood = np.where(self.label > 0, p, 1 - p)
        return Score(
            auc=auc(prediction, self.label),
            expected_auc=auc(prediction, self.known_position),
            log_loss=float(-np.log(likelihood).mean()) if len(p) else math.nan,
        )


def concatenate(truths: list[Truth]) -> Truth:
    """The rows of all `truths`, one after the other."""
    return Truth(
        **{f.name: np.concatenate([getattr(t, f.name) for t in truths]) for f in fields(Truth)}
    )


def auc(scores: Floats, probabilities: Floats) -> float:
    """Area under the ROC curve, in expectation over the labels.

    For independent labels with the given probabilities, the expected number of (click, no
    click) pairs that `scores` orders rightly (a tie counts half) over the expected number of
    such pairs. With labels 0 and 1 as probabilities this is the usual AUC.

    Args:
        scores: Any numbers, float[rows].
        probabilities: Probabilities of a click, or labels, float[rows].

    Returns:
        A number in 0..1, or NaN when there are no pairs.
    """
    if not len(scores):
        return math.nan
    order = np.argsort(scores, kind="stable")
    sorted_scores, p = scores[order], probabilities[order]
    starts = np.concatenate(([False], sorted_scores[1:] != sorted_scores[:-1]))
    tie_group = np.cumsum(starts)
    negatives = np.bincount(tie_group, 1 - p)
    below_or_half = np.cumsum(negatives) - negatives / 2
    with_itself = float(np.sum(p * (1 - p)))  # a row makes no pair with itself
    wins = float(np.sum(p * below_or_half[tie_group])) - with_itself / 2
    pairs = float(np.sum(p) * np.sum(1 - p)) - with_itself
    return wins / pairs if pairs > 0 else math.nan
