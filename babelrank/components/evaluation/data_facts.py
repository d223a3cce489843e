"""Reads what is known about a run's data from the artifacts of ingest and of data validation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx import types
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from babelrank.components.evaluation.data_gate import Anomaly, DataFacts
from babelrank.components.ingest.config import TRAIN
from babelrank.components.ingest.summary import Summary

QUARANTINE, ANOMALIES = "quarantine", "anomalies"
STATISTICS, SERVING_STATISTICS = "statistics", "serving_statistics"
"""Under which names the Evaluator takes the artifacts."""


def read(inputs: Mapping[str, Sequence[types.Artifact]], label: str) -> DataFacts:
    """What the artifacts say; what is not there is not known.

    Args:
        inputs: The Evaluator's artifacts, by name.
        label: Name of the label; one that is no number has no rate.
    """
    rates = {
        name: label_rate(stats_artifact_utils.load_statistics(one, TRAIN).proto(), label)
        for name in (STATISTICS, SERVING_STATISTICS)
        for one in inputs.get(name, ())
    }
    summary = None
    for one in inputs.get(QUARANTINE, ()):
        summary = Summary.load(one.uri)
    anomalies = None
    for one in inputs.get(ANOMALIES, ()):
        anomalies = read_anomalies(one)
    return DataFacts(
        read=None if summary is None else summary.read,
        quarantined={} if summary is None else dict(summary.quarantined),
        anomalies=anomalies,
        label_rate=rates.get(STATISTICS),
        serving_label_rate=rates.get(SERVING_STATISTICS),
    )


def label_rate(statistics: statistics_pb2.DatasetFeatureStatisticsList, label: str) -> float | None:
    """The mean label, weighted if the statistics are; None if it is no number, or never there."""
    for one in statistics.datasets[0].features:
        if list(one.path.step) == [label] and one.HasField("num_stats"):
            numbers = one.num_stats
            weighted = numbers.HasField("weighted_numeric_stats")
            mean = numbers.weighted_numeric_stats.mean if weighted else numbers.mean
            return float(mean) if numbers.common_stats.num_non_missing else None
    return None


def read_anomalies(artifact: types.Artifact) -> tuple[Anomaly, ...]:
    """What ExampleValidator found, the same in several splits once, by the name of the feature."""
    splits: dict[tuple[str, str], list[str]] = {}
    for split in artifact_utils.decode_split_names(artifact.split_names):
        path = os.path.join(artifact_utils.get_split_uri([artifact], split), DEFAULT_FILE_NAME)
        with fileio.open(path, "rb") as file:
            found = anomalies_pb2.Anomalies.FromString(file.read())
        told = [(name, _text(one)) for name, one in found.anomaly_info.items()]
        if found.HasField("dataset_anomaly_info"):
            told.append(("", _text(found.dataset_anomaly_info)))
        for one in told:
            splits.setdefault(one, []).append(split)
    return tuple(
        Anomaly(feature=feature, splits=tuple(where), text=text)
        for (feature, text), where in sorted(splits.items())
    )


def _text(info: anomalies_pb2.AnomalyInfo) -> str:
    """What an anomaly is, on one line."""
    return " ".join((info.short_description or info.description).split())
