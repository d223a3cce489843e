"""Exact metrics against hand-made numbers and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from babelrank.components.ranking.metrics import (
    auc,
    average_precision,
    calibration_error,
    click_metrics,
    exact,
    lift,
    rating_metrics,
)


def test_auc_counts_pairs_and_half_of_the_ties():
    # Pairs (positive, negative): (.8, .1) right, (.8, .4) right, (.4, .1) right, (.4, .4) tied.
    assert auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])) == 3.5 / 4


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("levels", [5, 10**9])
def test_auc_is_that_of_scikit_learn(weighted, levels):
    drawn = np.random.default_rng(0)
    labels = (drawn.random(1000) < 0.1).astype(np.float32)
    scores = drawn.integers(0, levels, 1000) + labels * levels / 3
    weights = drawn.random(1000) if weighted else None
    expected = sklearn_metrics.roc_auc_score(labels, scores, sample_weight=weights)
    assert auc(labels, scores, weights) == pytest.approx(expected, abs=1e-12)


def test_average_precision_by_hand():
    # Highest first: a positive (precision 1), a negative, a positive (precision 2 of 3).
    found = average_precision(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7]))
    assert found == pytest.approx((1 + 2 / 3) / 2)
    assert math.isnan(average_precision(np.zeros(2), np.ones(2)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("levels", [5, 10**9])
def test_average_precision_is_that_of_scikit_learn(weighted, levels):
    drawn = np.random.default_rng(1)
    labels = (drawn.random(1000) < 0.1).astype(np.float32)
    scores = drawn.integers(0, levels, 1000) + labels * levels / 3
    weights = drawn.random(1000) if weighted else None
    expected = sklearn_metrics.average_precision_score(labels, scores, sample_weight=weights)
    assert average_precision(labels, scores, weights) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("labels", [[], [1, 1], [0, 0]])
def test_auc_without_pairs_is_no_number(labels):
    assert math.isnan(auc(np.array(labels), np.linspace(0, 1, len(labels))))


def test_calibration_error_by_hand():
    # 40 rows in 20 bins of two; each bin's mean prediction is its own, and one of its two clicks.
    scores = np.repeat(np.arange(20) / 20, 2)
    expected = np.abs(np.arange(20) / 20 - 0.5).mean()
    assert calibration_error(np.tile([0, 1], 20), scores) == pytest.approx(expected)


def test_equal_predictions_are_one_bin():
    labels, scores = np.r_[np.ones(10), np.zeros(90)], np.full(100, 0.1)
    assert calibration_error(labels, scores) == pytest.approx(0)
    assert calibration_error(labels, scores + 0.2) == pytest.approx(0.2)
    assert calibration_error(labels[::-1], scores + 0.2) == pytest.approx(0.2)


def test_errors_within_a_bin_cancel_and_between_bins_do_not():
    scores = np.arange(2000) / 2000
    labels = np.tile([0.0, 1.0], 1000)  # half are clicks, wherever one looks
    assert calibration_error(labels, scores) == pytest.approx(0.25, abs=0.001)
    assert calibration_error(labels, np.full(2000, 0.5)) == pytest.approx(0)


def test_calibration_error_with_weights():
    labels, scores = np.array([0.0, 1.0, 1.0]), np.array([0.25, 0.25, 0.75])
    found = calibration_error(labels, scores, np.array([3.0, 1.0, 4.0]))
    assert found == pytest.approx(0.25 / 2)  # the first two are right, the third is not
    assert math.isnan(calibration_error(labels, scores, np.zeros(3)))
    assert math.isnan(calibration_error(np.zeros(0), np.zeros(0)))


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.2, 2.5),  # both of the best two of ten are clicks, and 4 of all
        (0.4, 2 / 1.6),  # the next two are none
        (0.3, 2 / 1.2),
        (1.0, 1.0),
    ],
)
def test_lift_by_hand(share, expected):
    labels = np.array([1, 1, 0, 0, 1, 0, 0, 0, 0, 1])
    assert lift(labels, np.arange(10, 0, -1), share=share) == pytest.approx(expected)


def test_of_tied_rows_the_share_that_is_wanted_is_taken():
    labels, scores = np.array([1, 0, 0, 1]), np.array([0.9, 0.5, 0.5, 0.5])
    # The first row, and a third of the others with a third of their click.
    assert lift(labels, scores, share=0.5) == pytest.approx((1 + 1 / 3) / (0.5 * 2))
    assert lift(labels[::-1], scores[::-1], share=0.5) == pytest.approx((1 + 1 / 3) / (0.5 * 2))
    assert lift(labels, np.ones(4), share=0.1) == pytest.approx(1)


def test_lift_with_weights():
    labels, scores = np.array([1.0, 0.0]), np.array([0.9, 0.1])
    assert lift(labels, scores, np.array([1.0, 3.0]), share=0.5) == pytest.approx(2)
    assert lift(labels, scores, np.array([2.0, 2.0]), share=0.5) == pytest.approx(2)
    assert math.isnan(lift(np.zeros(2), scores))


def test_the_metrics_by_query():
    labels, scores = np.array([1, 0, 0, 1]), np.array([0.8, 0.6, 0.9, 0.2])
    queries = np.array([4, 4, -1, 9])
    found = exact("click", labels, scores, queries=queries)
    assert (found["queries"], found["ndcg"], found["mrr"], found["hit_rate"]) == (2, 1, 1, 1)
    weights = np.array([1.0, 1.0, 1.0, 0.0])
    assert exact("click", labels, scores, weights, queries=queries)["queries"] == 1
    assert exact("rating", labels, scores, queries=queries)["ndcg"] == 1
    assert "hit_rate" not in exact("rating", labels, scores, queries=queries)


def test_a_prediction_that_is_no_number_spoils_everything():
    found = exact("click", np.array([1, 0, 0]), np.array([0.8, math.nan, 0.2]), queries=np.ones(3))
    assert found.pop("label_mean") == pytest.approx(1 / 3)
    assert {"auc", "ece", "lift", "ndcg"} < set(found)
    assert all(math.isnan(value) for value in found.values())


def test_the_metrics_of_clicks():
    found = exact("click", np.array([1, 0, 0, 0]), np.array([0.8, 0.6, 0.2, 0.2]))
    assert found == pytest.approx(
        {
            "auc": 1.0,
            "pr_auc": 1.0,
            "accuracy": 0.75,
            "log_loss": -(2 * math.log(0.8) + math.log(0.4) + math.log(0.8)) / 4,
            "ece": (0.2 + 0.6 + 2 * 0.2) / 4,
            "lift": 4.0,
            "prediction_mean": 0.45,
            "label_mean": 0.25,
            "calibration": 1.8,
        }
    )


def test_a_weight_of_two_is_an_example_twice():
    labels, scores = np.array([1.0, 0.0, 0.0]), np.array([0.4, 0.7, 0.2])
    twice = exact("click", labels[[0, 1, 1, 2]], scores[[0, 1, 1, 2]])
    assert exact("click", labels, scores, np.array([1.0, 2.0, 1.0])) == pytest.approx(twice)


def test_the_metrics_of_ratings():
    found = exact("rating", np.array([3.0, 5.0]), np.array([4.0, 4.0]))
    assert found == {
        "rmse": 1.0,
        "mae": 1.0,
        "prediction_mean": 4.0,
        "label_mean": 4.0,
        "calibration": 1.0,
    }


def test_certain_and_wrong_is_finite():
    found = exact("click", np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert found["log_loss"] == pytest.approx(-math.log(1e-7), rel=1e-3)
    assert math.isnan(exact("click", np.zeros(2), np.ones(2))["calibration"])


def test_weights_of_zero_count_as_none():
    labels, scores = np.array([1.0, 0.0]), np.array([0.5, 0.25])
    assert exact("click", labels, scores, np.zeros(2)) == exact("click", labels, scores)


def test_the_streaming_metrics():
    labels, scores = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8])
    found = {}
    for metric in [*click_metrics(), *rating_metrics()]:
        metric.update_state(labels, scores)
        found[metric.name] = float(metric.result())
    assert found == pytest.approx({"auc": 0.75, "accuracy": 0.75, "rmse": 0.3976}, abs=1e-3)
