"""Tests of what is read from statistics; `test_evaluator.py` reads the other artifacts."""

from __future__ import annotations

import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2

from babelrank.components.evaluation.data_facts import label_rate, read
from babelrank.components.evaluation.data_gate import DataFacts


def statistics(
    *columns: tuple[str, float, float | None],
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Statistics of columns of numbers: name, mean, weighted mean."""
    found = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = found.datasets.add()
    for name, mean, weighted in columns:
        feature = dataset.features.add()
        feature.path.step.append(name)
        feature.num_stats.mean = mean
        feature.num_stats.common_stats.num_non_missing = 3
        if weighted is not None:
            feature.num_stats.weighted_numeric_stats.mean = weighted
    return found


def test_label_rate():
    found = statistics(("price", 9, None), ("label", 0.25, None))
    assert label_rate(found, "label") == 0.25
    assert label_rate(found, "click") is None


def test_a_thinned_out_log_has_the_rate_of_the_whole():
    assert label_rate(statistics(("label", 0.5, 0.125)), "label") == 0.125


def test_a_text_has_no_rate():
    found = statistics()
    text = found.datasets[0].features.add()
    text.path.step.append("target")
    text.string_stats.common_stats.num_non_missing = 3
    assert label_rate(found, "target") is None


def test_a_label_that_is_never_there_has_no_rate():
    found = statistics(("label", 0, None))
    found.datasets[0].features[0].num_stats.common_stats.num_non_missing = 0
    assert label_rate(found, "label") is None


def test_of_real_statistics():
    import pandas as pd

    frame = pd.DataFrame({"label": [1.0, 0.0, 0.0, 1.0], "weight": [1.0, 1.0, 1.0, 5.0]})
    options = tfdv.StatsOptions(weight_feature="weight")
    found = tfdv.generate_statistics_from_dataframe(frame, options, n_jobs=1)
    assert label_rate(found, "label") == pytest.approx(6 / 8)


def test_without_artifacts_nothing_is_known():
    assert read({}, "label") == DataFacts()
