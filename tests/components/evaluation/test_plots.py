"""Tests of the report's plots: what is drawn, how small, and nothing foreign in it."""

from __future__ import annotations

import math
import re

import pytest

from babelrank.components.evaluation.plots import (
    MAX_POINTS,
    average,
    bars_svg,
    calibration_svg,
    curve_svg,
    roc_svg,
    thin,
)


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


@pytest.mark.parametrize("points", [[], [(math.nan, 0.5)], [(0.5, math.inf)]])
def test_nothing_finite_gives_no_drawing(points: list[tuple[float, float]]) -> None:
    assert roc_svg(points, [(0, 0), (1, 1)], "x") is None
    assert curve_svg(points, "x", "x") is None
    assert calibration_svg([(*p, 1) for p in points], "x") is None


def test_svg_is_inline_self_contained_and_follows_the_page() -> None:
    svg = roc_svg([(0, 0), (0.2, 0.7), (1, 1)], [(0, 0), (1, 1)], 'A "curve" <b>')
    assert svg is not None
    assert svg.startswith('<svg role="img" aria-label="A &quot;curve&quot; &lt;b&gt;" viewBox="0 0')
    assert svg.endswith("</svg>")
    assert not re.search(r"https?:|<style|<metadata|<\?xml|<!|DejaVu", svg)
    assert not re.search(r"#[0-9a-f]{6}\b(?!\))", re.sub(r"#roc-|var\([^)]*\)", "", svg))
    for text in ("currentColor", "var(--candidate", "var(--baseline", ">this model<", ">baseline<"):
        assert text in svg


def test_no_baseline_no_legend_entry() -> None:
    svg = roc_svg([(0, 0), (1, 1)], [], "x")
    assert svg is not None
    assert ">baseline<" not in svg


def test_same_numbers_same_bytes_and_own_ids() -> None:
    first, again, other = (curve_svg([(0, 1.0), (9, 0.5)], n, "x", mark=9) for n in ("a", "a", "b"))
    assert first == again
    assert first is not None
    assert other is not None
    ids = [set(re.findall(r' id="([^"]*)"', svg)) for svg in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert set(re.findall(r'(?:href="|url\()#([^")]*)', first)) <= ids[0]


def test_long_curves_stay_small() -> None:
    roc = roc_svg([(i / 50_000, (i / 50_000) ** 0.4) for i in range(50_001)], [], "x")
    loss = curve_svg([(i, 1 / (i + 1)) for i in range(50_000)], "loss", "x")
    assert roc is not None
    assert loss is not None
    assert max(len(roc), len(loss)) < 25_000


def test_calibration_of_ratings_spans_the_data() -> None:
    svg = calibration_svg([(3.1, 3.0, 10), (4.8, 4.9, 1000)], "x")
    assert svg is not None
    assert ">4.0<" in svg
    assert ">mean prediction<" in svg


def test_calibration_of_one_bucket_and_zero_counts() -> None:
    assert calibration_svg([(0.1, 0.1, 0)], "x") is not None
    assert calibration_svg([(0.0, 0.0, 5)], "x") is not None


def test_bars_with_and_without_a_baseline() -> None:
    bars = [("1-5", 1200, 38.25, math.nan), ("<6", 3, math.nan, 1.0)]
    svg = bars_svg(bars, "BLEU", "x")
    assert svg is not None
    assert ">38.2<" in svg
    assert ">(1,200)<" in svg
    assert "&lt;6" not in svg
    assert "var(--baseline" not in svg
    both = bars_svg([("1-5", 1200, 38.25, 37.0), ("<6", 3, 20.0, math.nan)], "BLEU", "x")
    assert both is not None
    assert "&lt;6" in both
    assert ">baseline<" in both
    assert "var(--baseline" in both
    assert bars_svg(bars[1:], "BLEU", "x") is None
