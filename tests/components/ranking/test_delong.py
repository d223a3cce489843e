"""Tests of DeLong's interval and test: by hand, and by what they promise on drawn data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from babelrank.components.ranking.delong import compare, interval
from babelrank.components.ranking.metrics import auc


def test_an_interval_by_hand():
    # Positives 3 and 1, negatives 2 and 0: 3 is above both, 1 above one; AUC 3/4. The shares are
    # 1, 1/2 of the positives and 1/2, 1 of the negatives, with variance 1/8 each, so that of the
    # AUC is 1/8 / 2 + 1/8 / 2 = 1/8.
    low, high = interval(np.array([1, 1, 0, 0]), np.array([3, 1, 2, 0]))
    assert low == pytest.approx(0.75 - 1.959964 * math.sqrt(1 / 8))
    assert high == 1.0


def test_ties_count_one_half():
    # Shares of the positives 3/4 and 1/2 (variance 1/32), of the negatives 1/4 and 1 (9/32);
    # all those of equal scores are 1/2.
    found = compare(np.array([1, 1, 0, 0]), np.array([3, 1, 3, 0]), np.zeros(4))
    assert found.difference == 5 / 8 - 1 / 2
    assert found.low == pytest.approx(1 / 8 - 1.959964 * math.sqrt((1 / 32 + 9 / 32) / 2))


def drawn(seed: int, gap: float = 0.0) -> tuple[Any, Any, Any]:
    """Labels, and the scores of two models, the second one noisier by the gap."""
    random = np.random.default_rng(seed)
    labels = (random.random(300) < 0.3).astype(np.float32)
    signal = random.normal(size=300) + labels
    first, second = (signal + scale * random.normal(size=300) for scale in (1, 1 + gap))
    return labels, first.astype(np.float32), second.astype(np.float32)


def test_the_difference_is_that_of_the_areas():
    labels, first, second = drawn(0, gap=1)
    found = compare(labels, first, second)
    assert found.difference == pytest.approx(auc(labels, first) - auc(labels, second))
    assert (found.low + found.high) / 2 == pytest.approx(found.difference)
    back = compare(labels, second, first)
    assert (back.difference, back.p_value) == pytest.approx((-found.difference, found.p_value))


def test_the_interval_holds_the_true_area_as_often_as_it_says():
    # Positives and negatives are normal, one standard deviation of each apart in sqrt(2) of them.
    true = 0.5 * (1 + math.erf(1 / math.sqrt(2) / math.sqrt(2) / math.sqrt(2)))
    bounds = [interval(*drawn(seed)[:2]) for seed in range(400)]
    assert np.mean([low <= true <= high for low, high in bounds]) == pytest.approx(0.95, abs=0.03)


def test_equal_models_differ_significantly_as_seldom_as_the_level_says():
    found = np.array([compare(*drawn(seed)).p_value for seed in range(400)])
    assert (found < 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert (found < 0.5).mean() == pytest.approx(0.5, abs=0.08)
    worse = np.array([compare(*drawn(seed, gap=3)).p_value for seed in range(100)])
    assert (worse < 0.05).mean() > 0.8


def test_a_model_does_not_differ_from_itself():
    labels, first, _ = drawn(1)
    assert compare(labels, first, 2 * first).p_value == 1
    assert compare(labels, first, first).difference == 0


def test_models_that_differ_by_the_same_everywhere():
    labels, scores = np.array([1, 1, 0, 0]), np.array([2.0, 2.0, 1.0, 1.0])
    found = compare(labels, scores, -scores)
    assert found.difference == 1
    assert np.isnan([found.p_value, found.low, found.high]).all()
    assert np.isnan(interval(labels, scores)).all()
    same = compare(labels, scores, 2 * scores)
    assert (same.difference, same.p_value) == (0, 1)
    assert np.isnan([same.low, same.high]).all()


@pytest.mark.parametrize("labels", [[1, 0], [1, 1, 1], [1, 0, 0], []])
def test_too_few_examples(labels: list[int]):
    given, scores = np.array(labels), np.arange(len(labels))
    assert np.isnan(interval(given, scores)).all()
    found = compare(given, scores, -scores)
    assert np.isnan([found.p_value, found.difference, found.low, found.high]).all()


def test_scores_that_are_no_numbers():
    labels, first, second = drawn(2)
    spoiled = first.copy()
    spoiled[0] = np.nan
    assert np.isnan(interval(labels, spoiled)).all()
    assert math.isnan(compare(labels, second, spoiled).p_value)
