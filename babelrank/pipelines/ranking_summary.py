"""What the report says of a ranking run alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from babelrank.components.evaluation.evaluator import BASELINE, CANDIDATE, Verdict, slice_arrays
from babelrank.components.ranking import tfma_metrics
from babelrank.pipelines.config import RankingConfig


def notes(config: RankingConfig) -> list[str]:
    """Sentences about the gate's split."""
    if not config.data.training_only:
        return []
    held = ", ".join(f"{name} = {value}" for name, value in config.data.training_only.items())
    return [f"As in serving, {held} in every row, so calibration is for that and not for the log."]


def charts(verdict: Verdict, evaluation_uri: str) -> dict[str, Any]:
    """Fields of `Charts`: the curves of the candidate and of the baseline."""
    candidate = slice_arrays(evaluation_uri, CANDIDATE if verdict.baseline else "")
    baseline = slice_arrays(evaluation_uri, BASELINE) if verdict.baseline else {}
    return {
        "roc": _pairs(candidate, tfma_metrics.ROC),
        "roc_baseline": _pairs(baseline, tfma_metrics.ROC),
        "calibration": [
            (mean, label, int(count))
            for mean, label, count in _groups(candidate, tfma_metrics.BUCKETS, 3)
        ],
        "scores": _groups(candidate, tfma_metrics.SCORES, 4),
    }


def _pairs(arrays: Mapping[str, list[float]], name: str) -> list[tuple[float, float]]:
    return [(x, y) for x, y in _groups(arrays, name, 2)]


def _groups(arrays: Mapping[str, list[float]], name: str, size: int) -> list[tuple[Any, ...]]:
    flat = arrays.get(name, [])
    return [tuple(flat[i : i + size]) for i in range(0, len(flat), size)]
