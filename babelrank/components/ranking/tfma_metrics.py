"""The ranking metrics as one TFMA metric.

TFMA's own metrics walk over every example once for each metric and each slice, and estimate
AUC from thresholds that are too coarse for small click rates. This one keeps labels and
predictions of a slice (12 bytes an example) and computes everything exactly at the end, by
the same code that early stopping uses.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types

from babelrank.components.ranking import metrics

ROC, BUCKETS = "roc", "calibration_buckets"
"""Names of the curves, arrays [K * 2] of (false, true positive rate) and [K * 3] of (mean
prediction, mean label, examples), padded with NaN: TFMA subtracts the baseline's arrays from
the candidate's, so all must have the same length."""

_CURVE_POINTS = 400
_BUCKETS = 20

_Accumulator = tuple["array[float]", "array[float]", "array[float]"]


class RankingMetrics(tfma.metrics.Metric):  # type: ignore[misc]
    """`examples`, and all that `metrics.exact` computes, and the two curves.

    Args:
        objective: `click` or `rating`.
        name: Name of the whole; the single metrics have their own.
    """

    def __init__(self, objective: str, name: str = "ranking") -> None:
        super().__init__(_computations, objective=objective, name=name)


def _computations(
    objective: str,
    name: str,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[metric_types.MetricComputation]:
    del name
    computations = []
    for model in model_names or [""]:
        for output in output_names or [""]:
            keys = {
                metric: metric_types.MetricKey(
                    name=metric,
                    model_name=model,
                    output_name=output,
                    example_weighted=example_weighted,
                )
                for metric in metric_names(objective)
            }
            combiner = _Combiner(objective, model, output, example_weighted, keys)
            computations.append(
                metric_types.MetricComputation(
                    keys=list(keys.values()), preprocessors=None, combiner=combiner
                )
            )
    return computations


def metric_names(objective: str) -> list[str]:
    """Names of what is computed."""
    one = np.ones(1)
    curves = [ROC, BUCKETS] if objective == "click" else [BUCKETS]
    return ["examples", *metrics.exact(objective, one, one), *curves]


class _Combiner(beam.CombineFn):  # type: ignore[misc]
    """Examples of one slice to their metrics."""

    def __init__(
        self,
        objective: str,
        model: str,
        output: str,
        weighted: bool,
        keys: dict[str, metric_types.MetricKey],
    ) -> None:
        self._objective = objective
        self._model = model or None
        self._output = output or None
        self._weighted = weighted
        self._keys = keys

    def create_accumulator(self) -> _Accumulator:
        """Labels, predictions, weights."""
        return array("f"), array("f"), array("f")

    def add_input(
        self, accumulator: _Accumulator, element: metric_types.StandardMetricInputs
    ) -> _Accumulator:
        """Adds an example."""
        labels, predictions, weights = accumulator
        labels.append(_number(element.get_labels(self._model, self._output)))
        predictions.append(_number(element.get_predictions(self._model, self._output)))
        if self._weighted:
            weights.append(_number(element.get_example_weights(self._model, self._output)))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Accumulator]) -> _Accumulator:
        """Joins partial results."""
        merged = self.create_accumulator()
        for parts in accumulators:
            for whole, part in zip(merged, parts, strict=True):
                whole.extend(part)
        return merged

    def extract_output(self, accumulator: _Accumulator) -> dict[metric_types.MetricKey, Any]:
        """The metrics."""
        labels, predictions, weights = (np.frombuffer(part, np.float32) for part in accumulator)
        weight = weights if self._weighted else None
        values: dict[str, Any] = {"examples": float(len(labels))}
        values |= metrics.exact(self._objective, labels, predictions, weight)
        if ROC in self._keys:
            values[ROC] = _padded(roc_curve(labels, predictions, weight), _CURVE_POINTS + 1)
        values[BUCKETS] = _padded(calibration_buckets(labels, predictions, weight), _BUCKETS)
        return {key: values[name] for name, key in self._keys.items()}


def roc_curve(
    labels: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float64]:
    """[K, 2] false and true positive rates from (0, 0) to (1, 1), at most 401 points."""
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
    chosen = np.unique(np.linspace(0, len(points) - 1, _CURVE_POINTS).astype(int))
    return np.concatenate([np.zeros((1, 2)), points[chosen]])


def calibration_buckets(
    labels: npt.NDArray[np.float32],
    predictions: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float64]:
    """[K, 3] mean prediction, mean label and examples of equally large groups by prediction."""
    order = np.argsort(predictions, kind="stable")
    rows = []
    for group in np.array_split(order, min(_BUCKETS, len(order)) or 1):
        weight = None if weights is None else weights[group]
        if len(group) and (weight is None or weight.sum() > 0):
            means = (np.average(v[group], weights=weight) for v in (predictions, labels))
            rows.append((*means, float(len(group))))
    return np.array(rows).reshape(-1, 3)


def _padded(points: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.float64]:
    missing = np.full((rows - len(points), points.shape[1]), np.nan)
    return np.concatenate([points, missing]).ravel()


def _number(value: Any) -> float:
    return float(value[0]) if getattr(value, "ndim", 0) else float(value)
