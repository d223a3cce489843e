"""Tests of the metrics by query: by hand, against scikit-learn, and against random tie-breaking."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from babelrank.components.ranking.query_metrics import query_metrics

LOG3 = math.log2(3)


def measured(
    labels: Any,
    scores: Any,
    queries: Any = None,
    weights: Any = None,
    top_k: int = 10,
    objective: str = "click",
) -> dict[str, float]:
    queries = np.zeros(len(labels), np.int64) if queries is None else np.array(queries)
    weights = None if weights is None else np.array(weights)
    return query_metrics(objective, np.array(labels), np.array(scores), queries, weights, top_k)


def test_one_query_by_hand():
    # The click is on rank 2.
    found = measured([0, 1, 0], [0.9, 0.8, 0.1])
    assert found == pytest.approx({"queries": 1, "ndcg": 1 / LOG3, "hit_rate": 1, "mrr": 0.5})


def test_two_clicks_by_hand():
    found = measured([0, 1, 1], [0.9, 0.8, 0.1])
    ideal = 1 + 1 / LOG3
    assert found == pytest.approx(
        {"queries": 1, "ndcg": (1 / LOG3 + 1 / 2) / ideal, "hit_rate": 1, "mrr": 0.5}
    )


def test_places_beyond_k_do_not_count():
    found = measured([0, 0, 1], [0.9, 0.8, 0.1], top_k=2)
    assert found == {"queries": 1, "ndcg": 0, "hit_rate": 0, "mrr": 0}
    # Only one of two clicks can be on the first place.
    assert measured([1, 1], [0.9, 0.8], top_k=1)["ndcg"] == 1


def test_queries_are_averaged_and_those_without_a_click_left_out():
    labels, scores = [0, 1, 0, 1, 0, 0, 0], [0.9, 0.8, 0.1, 0.7, 0.2, 0.5, 0.4]
    found = measured(labels, scores, queries=[7, 7, 7, 3, 3, 5, 5])
    assert found == pytest.approx(
        {"queries": 2, "ndcg": (1 / LOG3 + 1) / 2, "hit_rate": 1, "mrr": 0.75}
    )


def test_ties_by_hand():
    # One click among four rows with the same score: on each place with probability 1/4.
    found = measured([0, 1, 0, 0], [0.5] * 4, top_k=2)
    assert found == pytest.approx(
        {"queries": 1, "ndcg": (1 + 1 / LOG3) / 4, "hit_rate": 0.5, "mrr": (1 + 1 / 2) / 4}
    )
    # Two clicks among three: the first place is a click with 2/3, else the second one is.
    found = measured([1, 1, 0], [0.5] * 3)
    assert found["mrr"] == pytest.approx(2 / 3 + 1 / 3 / 2)
    assert found["hit_rate"] == 1


def test_a_tie_below_a_better_row():
    found = measured([0, 1, 0], [0.9, 0.5, 0.5], top_k=2)
    assert found == pytest.approx({"queries": 1, "ndcg": 0.5 / LOG3, "hit_rate": 0.5, "mrr": 0.25})


def drawn(levels: int, seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    queries = random.integers(0, 40, 800)
    scores = random.integers(0, levels, 800).astype(np.float32)
    return (random.random(800) < 0.1).astype(np.float32), scores, queries


@pytest.mark.parametrize("levels", [3, 10**6])
@pytest.mark.parametrize("top_k", [1, 5, 100])
def test_ndcg_is_that_of_scikit_learn(levels: int, top_k: int):
    labels, scores, queries = drawn(levels)
    each = [
        ndcg_score([labels[queries == one]], [scores[queries == one]], k=top_k)
        for one in np.unique(queries)
        if labels[queries == one].any()
    ]
    found = measured(labels, scores, queries, top_k=top_k)
    assert found["ndcg"] == pytest.approx(np.mean(each), rel=1e-9)
    assert found["queries"] == len(each)


def test_ratings_are_gains():
    _, scores, queries = drawn(5)
    ratings = np.random.default_rng(1).integers(-1, 6, 800).astype(np.float64)
    gains = np.maximum(ratings, 0)
    each = [
        ndcg_score([gains[queries == one]], [scores[queries == one]], k=10)
        for one in np.unique(queries)
    ]
    found = measured(ratings, scores, queries, objective="rating")
    assert found == pytest.approx({"queries": 40, "ndcg": np.mean(each)}, rel=1e-9)


def test_ties_are_what_random_orders_come_to():
    labels, scores, queries = drawn(3, seed=2)
    expected = measured(labels, scores, queries, top_k=4)
    random = np.random.default_rng(3)
    rounds = [
        measured(labels, scores + random.uniform(0, 0.5, len(scores)), queries, top_k=4)
        for _ in range(400)
    ]
    for name in ("ndcg", "hit_rate", "mrr"):
        assert np.mean([one[name] for one in rounds]) == pytest.approx(expected[name], abs=0.01)


def test_the_order_of_the_rows_does_not_matter():
    labels, scores, queries = drawn(3, seed=4)
    order = np.random.default_rng(5).permutation(len(labels))
    found = measured(labels[order], scores[order], queries[order])
    assert found == pytest.approx(measured(labels, scores, queries), rel=1e-12)


def test_a_query_weighs_what_its_rows_weigh_on_average():
    labels, scores, queries = [0, 1, 1, 0, 1], [0.9, 0.8, 0.7, 0.2, 0.9], [0, 0, 1, 1, 1]
    found = measured(labels, scores, queries, weights=[2, 4, 1, 1, 1])
    assert found["mrr"] == pytest.approx((3 * 0.5 + 1 * 1) / 4)


def test_rows_of_weight_zero_are_not_there():
    labels, scores, weights = [0, 1, 0], [0.9, 0.8, 0.1], [0, 1, 1]
    assert measured(labels, scores, weights=weights)["mrr"] == 1
    assert measured([1, 0], [0.5, 0.4], weights=[0, 1])["queries"] == 0


@pytest.mark.parametrize("labels", [[], [0, 0]])
def test_nothing_to_find(labels: list[int]):
    found = measured(labels, [0.5] * len(labels))
    assert found.pop("queries") == 0
    assert set(found) == {"ndcg", "hit_rate", "mrr"}
    assert all(math.isnan(value) for value in found.values())
