"""How well the rows of a query are ranked: NDCG, hit rate and reciprocal rank among the first k.

A query is a set of rows that compete for the first places, such as those of one user or one search.
Tied scores are ranked at random: each metric is its expectation over all orders of the tied rows
(McSherry and Najork, 2008, "Computing information retrieval performance measures efficiently in
the presence of tied scores"), so the order of the rows never matters, and equal scores for all are
as good as chance and not as good as luck.

A query without a positive row has nothing to find: whatever its ranking, it is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TOP_K = 10
"""Places that count, unless a configuration says otherwise."""


def query_metrics(
    objective: str,
    labels: Array,
    scores: Array,
    queries: Array,
    weights: Array | None = None,
    top_k: int = TOP_K,
) -> dict[str, float]:
    """The metrics of a whole split, each the mean over its queries.

    `ndcg` is the discounted cumulative gain of the first k rows over the best possible one
    (Jarvelin and Kekalainen, 2002): gain 1 for a click, the rating itself for a rating (0 if that
    is negative), discount 1 / log2(1 + rank). `hit_rate` is the probability of a click among
    the first k rows, `mrr` the reciprocal rank of the first click, 0 beyond k; both only for
    clicks.

    Args:
        objective: "click" or "rating".
        labels: [N]; a click is above 0.5.
        scores: [N], larger for likelier or better rows.
        queries: [N] integers, the same for the rows of a query.
        weights: [N] or None for 1. Rows of weight 0 are left out; a query weighs as much as its
            rows do on average.
        top_k: Places that count, 1 or more.

    Returns:
        `queries` (how many have a positive row), `ndcg`, and for clicks `hit_rate` and `mrr`; all
        but the first are NaN without queries.
    """
    labels, scores, queries = (np.asarray(values) for values in (labels, scores, queries))
    gains = np.asarray(labels > 0.5 if objective == "click" else np.maximum(labels, 0), np.float64)
    if weights is not None:
        kept = np.asarray(weights) > 0
        gains, scores, queries = gains[kept], scores[kept], queries[kept]
        weights = np.asarray(weights, np.float64)[kept]
    ties = _ties(gains, scores, queries)
    best = _discounted(_ties(gains, gains, queries), top_k)
    found = best > 0
    weight = _query_weights(queries, weights)[found]

    def mean(values: Array) -> float:
        return float(np.average(values[found], weights=weight)) if found.any() else float("nan")

    with np.errstate(invalid="ignore"):  # 0 / 0 where there is no positive row
        values = {"queries": float(found.sum()), "ndcg": mean(_discounted(ties, top_k) / best)}
    if objective == "click":
        hit, reciprocal = _first_hit(ties, top_k)
        values |= {"hit_rate": mean(hit), "mrr": mean(reciprocal)}
    return values


@dataclass(frozen=True)
class _Ties:
    """The groups of tied rows, query by query, the highest scores of a query first.

    Attributes:
        query: [G] number of the query, from 0, not falling.
        above: [G] rows of the query with higher scores.
        size: [G] rows in the group.
        gain: [G] their gain in all.
        queries: Number of queries.
    """

    query: Array
    above: Array
    size: Array
    gain: Array
    queries: int


def _ties(gains: Array, scores: Array, queries: Array) -> _Ties:
    """Groups of the rows of a query that have the same score."""
    if not len(gains):
        none = np.zeros(0, np.int64)
        return _Ties(query=none, above=none, size=none, gain=np.zeros(0), queries=0)
    order = np.lexsort((-scores.astype(np.float64), queries))
    query, score = queries[order], scores[order]
    begins = np.r_[True, query[1:] != query[:-1]]  # of a query
    first = np.flatnonzero(begins | np.r_[True, score[1:] != score[:-1]])
    number = (np.cumsum(begins) - 1)[first]
    return _Ties(
        query=number,
        above=first - np.flatnonzero(begins)[number],
        size=np.diff(np.r_[first, len(order)]),
        gain=np.add.reduceat(gains[order], first),
        queries=int(begins.sum()),
    )


def _discounted(ties: _Ties, top_k: int) -> Array:
    """[Q] expected discounted cumulative gain among the first k rows of each query."""
    longest = int((ties.above + ties.size).max(initial=0))
    discounts = 1 / np.log2(np.arange(2, longest + 2))
    discounts[top_k:] = 0
    upto = np.r_[0.0, np.cumsum(discounts)]
    # Each row of a group is in each of its places equally often.
    gain = ties.gain / ties.size * (upto[ties.above + ties.size] - upto[ties.above])
    return np.bincount(ties.query, gain, ties.queries)


def _first_hit(ties: _Ties, top_k: int) -> tuple[Array, Array]:
    """[Q] probability of a hit among the first k rows, and [Q] expected reciprocal rank of it.

    Of a group of n tied rows with p hits, none of the first j is one with probability
    (n-p)/n * (n-p-1)/(n-1) * ..., j factors. Only a query's first group with a hit matters.
    """
    hit, reciprocal = np.zeros(ties.queries), np.zeros(ties.queries)
    groups = np.flatnonzero(ties.gain > 0)
    query, first = np.unique(ties.query[groups], return_index=True)
    chosen = groups[first]
    above, size, hits = ties.above[chosen], ties.size[chosen], ties.gain[chosen]
    missed = np.ones(len(chosen))
    for place in range(1, top_k + 1):
        inside = (above + place <= top_k) & (missed > 0)
        if not inside.any():
            break
        left = np.maximum(size - place + 1, 1)
        still = missed * np.maximum(left - hits, 0) / left
        chance = np.where(inside, missed - still, 0.0)
        hit[query] += chance
        reciprocal[query] += chance / (above + place)
        missed = still
    return hit, reciprocal


def _query_weights(queries: Array, weights: Array | None) -> Array:
    """[Q] mean weight of the rows of each query, in the order of the queries' numbers."""
    _, number, count = np.unique(queries, return_inverse=True, return_counts=True)
    return np.ones(len(count)) if weights is None else np.bincount(number, weights) / count
