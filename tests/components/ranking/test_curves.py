"""Tests of the histogram of scores."""

from __future__ import annotations

import numpy as np

from babelrank.components.ranking.curves import BINS, calibration_buckets, score_histogram


def test_clicks_by_score() -> None:
    labels = np.array([0, 1, 1, 0], np.float32)
    scores = np.array([0.0, 0.25, 1.0, 1.0], np.float32)
    found = score_histogram("click", labels, scores)
    assert found.shape == (BINS, 4)
    assert found[0, 0] == 0.0
    assert found[-1, 1] == 1.0
    assert np.allclose(found[1:, 0], found[:-1, 1])
    assert found[:, 2].tolist() == [1.0, *[0.0] * (BINS - 2), 1.0]
    assert np.flatnonzero(found[:, 3]).tolist() == [BINS // 4, BINS - 1]


def test_a_few_high_scores_are_in_the_last_bin() -> None:
    scores = np.append(np.linspace(0, 0.1, 999), 0.9)
    found = score_histogram("click", np.zeros(1000), scores)
    assert found[-1, 1] < 0.11
    assert found[:, 2].sum() == 1000
    assert found[:, 3].sum() == 0


def test_one_high_score_above_equal_ones_is_seen() -> None:
    scores = np.append(np.full(999, 0.1), 0.9)
    found = score_histogram("click", np.zeros(1000), scores)
    assert (found[0, 0], found[-1, 1]) == (0.1, 0.9)
    assert (found[0, 2], found[-1, 2]) == (999.0, 1.0)


def test_equal_predictions_are_one_bucket() -> None:
    labels, scores = np.r_[np.ones(10), np.zeros(90)], np.full(100, 0.25)
    assert calibration_buckets(labels, scores).tolist() == [[0.25, 0.1, 100.0]]
    assert calibration_buckets(labels[::-1], scores).tolist() == [[0.25, 0.1, 100.0]]
    assert calibration_buckets(labels, np.full(100, np.nan)).shape == (0, 3)
    assert calibration_buckets(np.zeros(0), np.zeros(0)).shape == (0, 3)


def test_buckets_with_weights() -> None:
    labels, scores = np.array([0.0, 1.0, 5.0, 9.0]), np.array([0.25, 0.25, 0.75, 0.9])
    found = calibration_buckets(labels, scores, np.array([3.0, 1.0, 4.0, 0.0]))
    assert found.tolist() == [[0.25, 0.25, 2.0], [0.75, 5.0, 1.0]]


def test_weights_count() -> None:
    found = score_histogram("click", np.array([0, 1]), np.array([0.1, 0.2]), np.array([2.0, 3.0]))
    assert (found[:, 2].sum(), found[:, 3].sum()) == (2.0, 3.0)


def test_ratings_beside_predictions() -> None:
    found = score_histogram("rating", np.array([1.0, 5.0]), np.array([2.0, 3.0]))
    assert (found[0, 0], found[-1, 1]) == (1.0, 5.0)
    assert (found[:, 2].sum(), found[:, 3].sum()) == (2.0, 2.0)
    assert (found[0, 3], found[-1, 3], found[-1, 2]) == (1.0, 1.0, 0.0)


def test_nothing_to_show() -> None:
    none = np.zeros(0)
    for labels, scores in ((none, none), ([0, 1], [0.5, 0.5]), ([0, 1], [0.5, np.nan])):
        assert score_histogram("click", np.array(labels), np.array(scores)).shape == (0, 4)
