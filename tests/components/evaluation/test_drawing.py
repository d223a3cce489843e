"""Tests of how curves are thinned before they are drawn."""

from __future__ import annotations

import math

from babelrank.components.evaluation.drawing import MAX_POINTS, average, thin


def test_thin_keeps_ends_order_and_limit() -> None:
    curve = [(i / 9999, math.sqrt(i / 9999)) for i in range(10_000)]
    thinned = thin(curve)
    assert len(thinned) <= MAX_POINTS
    assert thinned[0] == curve[0]
    assert thinned[-1] == curve[-1]
    assert thinned == sorted(thinned)


def test_thin_keeps_the_steep_part() -> None:
    steep = [(0.0, i / 1000) for i in range(1000)] + [(1.0, 1.0)]
    assert sum(x == 0.0 for x, _ in thin(steep, limit=10)) >= 4


def test_thin_leaves_short_curves_alone() -> None:
    assert thin([(0.0, 0.0), (1.0, 1.0)]) == [(0.0, 0.0), (1.0, 1.0)]


def test_average_takes_means_of_equal_runs() -> None:
    assert average([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)], limit=2) == [(0.5, 2.0), (2.5, 6.0)]
