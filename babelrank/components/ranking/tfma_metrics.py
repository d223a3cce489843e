"""The ranking metrics as one TFMA metric.

TFMA's own metrics walk over every example once for each metric and each slice, and estimate
AUC from thresholds that are too coarse for small click rates. This one keeps labels and
predictions of a slice (12 bytes an example, and 8 for its query) and computes everything exactly
at the end, by the same code that early stopping uses. One combiner sees the predictions of both
models, the candidate's and the last blessed one's, so that it can compare them in pairs.
"""

from __future__ import annotations

import functools
import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types

from babelrank.components.evaluation.verdict import CHANGE, HIGH, LOW, P_VALUE
from babelrank.components.ranking import delong, metrics
from babelrank.components.ranking.curves import (
    BINS,
    GROUPS,
    POINTS,
    calibration_buckets,
    roc_curve,
    score_histogram,
)
from babelrank.components.ranking.query_metrics import TOP_K

ROC, BUCKETS = "roc", "calibration_buckets"
"""Names of the curves, arrays [K * 2] of (false, true positive rate) and [K * 3] of (mean
prediction, mean label, examples), padded with NaN: TFMA subtracts the baseline's arrays from
the candidate's, so all must have the same length."""

SCORES = "scores"
"""Name of the bins of `score_histogram`, [`BINS` * 4]."""

AUC = "auc"
NO_QUERY = -1
"""Number of the query of an example that has none."""

_Accumulator = tuple["array[float]", "list[array[float]]", "array[float]", "array[int]"]


@dataclass(frozen=True)
class Measures:
    """What is measured.

    Attributes:
        objective: `click` or `rating`.
        lift_share: Share of the examples that `lift` is about.
        query: Feature whose value names an example's query; None: there are no queries.
        top_k: Places that the metrics by query are about.
        weighted: Whether examples have weights.
    """

    objective: str
    lift_share: float = metrics.LIFT_SHARE
    query: str | None = None
    top_k: int = TOP_K
    weighted: bool = False

    def names(self, compared: bool = False) -> list[str]:
        """Names of the metrics and curves, and of what goes with them.

        Args:
            compared: Whether there is a model to compare with.
        """
        one = np.ones(1, np.int64)
        queries = None if self.query is None else one
        curves = [*([ROC] if self.objective == "click" else []), BUCKETS, SCORES]
        names = ["examples", *metrics.exact(self.objective, one, one, queries=queries), *curves]
        if self.intervals:
            names += [AUC + LOW, AUC + HIGH]
            if compared:
                names += [AUC + suffix for suffix in (P_VALUE, CHANGE, CHANGE + LOW, CHANGE + HIGH)]
        return names

    @property
    def intervals(self) -> bool:
        """Whether it is told how sure the AUC is."""
        return self.objective == "click" and not self.weighted


class RankingMetrics(tfma.metrics.Metric):  # type: ignore[misc]
    """`examples`, all that `metrics.exact` computes, the curves, and how sure the AUC is.

    The last, of clicks without weights: its 95 % interval (`auc_low`, `auc_high`); and of the
    candidate, if there is a baseline, `auc_p_value`, the difference `auc_change` and its interval.

    Args:
        objective: See `Measures`, as for the next three.
        lift_share: Likewise.
        query: Likewise.
        top_k: Likewise.
        name: Name of the whole; the single metrics have their own.
    """

    def __init__(
        self,
        objective: str,
        lift_share: float = metrics.LIFT_SHARE,
        query: str | None = None,
        top_k: int = TOP_K,
        name: str = "ranking",
    ) -> None:
        super().__init__(
            _computations,
            objective=objective,
            lift_share=lift_share,
            query=query,
            top_k=top_k,
            name=name,
        )


def _computations(
    objective: str,
    name: str,
    lift_share: float = metrics.LIFT_SHARE,
    query: str | None = None,
    top_k: int = TOP_K,
    eval_config: tfma.EvalConfig | None = None,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[metric_types.MetricComputation]:
    del name
    measures = Measures(objective, lift_share, query, top_k, example_weighted)
    features = None if query is None else [metric_types.FeaturePreprocessor(feature_keys=[query])]
    specs = eval_config.model_specs if eval_config is not None else ()
    baselines = {spec.name for spec in specs if spec.is_baseline}
    # The candidate first: only what is first is compared.
    models = sorted(model_names or [""], key=lambda model: model in baselines)
    computations = []
    for output in output_names or [""]:
        keys = [
            {
                metric: metric_types.MetricKey(
                    name=metric,
                    model_name=model,
                    output_name=output,
                    example_weighted=example_weighted,
                )
                for metric in measures.names(compared=model == models[0] and len(models) > 1)
            }
            for model in models
        ]
        computations.append(
            metric_types.MetricComputation(
                keys=[key for of_model in keys for key in of_model.values()],
                preprocessors=features,
                combiner=_Combiner(measures, models, output, keys),
            )
        )
    return computations


class _Combiner(beam.CombineFn):  # type: ignore[misc]
    """Examples of one slice to the metrics of all models."""

    def __init__(
        self,
        measures: Measures,
        models: list[str],
        output: str,
        keys: list[dict[str, metric_types.MetricKey]],
    ) -> None:
        self._measures = measures
        self._models = [model or None for model in models]
        self._output = output or None
        self._keys = keys

    def create_accumulator(self) -> _Accumulator:
        """Labels, each model's predictions, weights, queries."""
        return array("f"), [array("f") for _ in self._models], array("f"), array("q")

    def add_input(
        self, accumulator: _Accumulator, element: metric_types.StandardMetricInputs
    ) -> _Accumulator:
        """Adds an example."""
        labels, predictions, weights, queries = accumulator
        first = self._models[0]
        labels.append(_number(element.get_labels(first, self._output)))
        for whole, model in zip(predictions, self._models, strict=True):
            whole.append(_number(element.get_predictions(model, self._output)))
        if self._measures.weighted:
            weights.append(_number(element.get_example_weights(first, self._output)))
        if self._measures.query is not None:
            queries.append(_query(element.get_features(), self._measures.query))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Accumulator]) -> _Accumulator:
        """Joins partial results."""
        merged = self.create_accumulator()
        labels, predictions, weights, queries = merged
        for part in accumulators:
            labels.extend(part[0])
            for whole, some in zip(predictions, part[1], strict=True):
                whole.extend(some)
            weights.extend(part[2])
            queries.extend(part[3])
        return merged

    def extract_output(self, accumulator: _Accumulator) -> dict[metric_types.MetricKey, Any]:
        """The metrics."""
        measures = self._measures
        labels = np.frombuffer(accumulator[0], np.float32)
        predictions = [np.frombuffer(one, np.float32) for one in accumulator[1]]
        weights = np.frombuffer(accumulator[2], np.float32) if measures.weighted else None
        queries = None if measures.query is None else np.frombuffer(accumulator[3], np.int64)
        values = [_measured(measures, labels, one, weights, queries) for one in predictions]
        if measures.intervals and len(predictions) > 1:
            values[0] |= _compared(labels, predictions[0], predictions[1])
        return {
            key: values[model][name]
            for model, keys in enumerate(self._keys)
            for name, key in keys.items()
        }


def _measured(
    measures: Measures,
    labels: npt.NDArray[np.float32],
    predictions: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32] | None,
    queries: npt.NDArray[np.int64] | None,
) -> dict[str, Any]:
    """Metrics and curves of one model."""
    values: dict[str, Any] = {"examples": float(len(labels))}
    values |= metrics.exact(
        measures.objective,
        labels,
        predictions,
        weights,
        lift_share=measures.lift_share,
        queries=queries,
        top_k=measures.top_k,
    )
    if measures.intervals:
        values[AUC + LOW], values[AUC + HIGH] = delong.interval(labels, predictions)
    if measures.objective == "click":
        values[ROC] = _padded(roc_curve(labels, predictions, weights), POINTS)
    values[BUCKETS] = _padded(calibration_buckets(labels, predictions, weights), GROUPS)
    bins = score_histogram(measures.objective, labels, predictions, weights)
    values[SCORES] = _padded(bins, BINS)
    return values


def _compared(
    labels: npt.NDArray[np.float32],
    candidate: npt.NDArray[np.float32],
    baseline: npt.NDArray[np.float32],
) -> dict[str, float]:
    """How sure the difference of two models' AUC is."""
    found = delong.compare(labels, candidate, baseline)
    return {
        AUC + P_VALUE: found.p_value,
        AUC + CHANGE: found.difference,
        AUC + CHANGE + LOW: found.low,
        AUC + CHANGE + HIGH: found.high,
    }


def _padded(points: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.float64]:
    missing = np.full((rows - len(points), points.shape[1]), np.nan)
    return np.concatenate([points, missing]).ravel()


def _number(value: Any) -> float:
    return float(value[0]) if getattr(value, "ndim", 0) else float(value)


def _query(features: Mapping[str, Any] | None, name: str) -> int:
    """The number of an example's query, or `NO_QUERY`."""
    value = (features or {}).get(name)
    values = [] if value is None else np.asarray(value).ravel().tolist()
    return _hashed(values[0]) if values else NO_QUERY


@functools.lru_cache(maxsize=65536)
def _hashed(value: bytes) -> int:
    """63 bits of a text, the same in every process: ten million queries collide once in 200,000
    runs."""
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "big") >> 1
