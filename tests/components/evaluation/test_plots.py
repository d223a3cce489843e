"""Tests of the report's plots: what is drawn, how small, and nothing foreign in it."""

from __future__ import annotations

import math
import re

import pytest

from babelrank.components.evaluation.plots import (
    bars_svg,
    calibration_svg,
    curve_svg,
    precision_recall_svg,
    roc_svg,
    runs_svg,
    scores_svg,
)


@pytest.mark.parametrize("points", [[], [(math.nan, 0.5)], [(0.5, math.inf)]])
def test_nothing_finite_gives_no_drawing(points: list[tuple[float, float]]) -> None:
    assert roc_svg(points, [(0, 0), (1, 1)], "x") is None
    assert curve_svg(points, "x", "x") is None
    assert calibration_svg([(*p, 1) for p in points], "x") is None
    assert precision_recall_svg(points, [(0, 1)], 0.5, "x") is None
    assert scores_svg([(*p, 1, 1) for p in points], ("a", "b"), "x") is None
    assert runs_svg([(*p, True) for p in points], "AUC", "x") is None


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


def test_precision_by_recall_has_the_line_of_guessing() -> None:
    svg = precision_recall_svg([(0.0, 0.9), (1.0, 0.2)], [(0.5, 0.4)], 0.2, "x")
    assert svg is not None
    for text in (">recall<", ">precision<", ">guessing<", ">baseline<", ">this model<"):
        assert text in svg


def test_scores_of_two_groups() -> None:
    svg = scores_svg([(0.5, 1.0, 0, 3), (0.0, 0.5, 9, 1)], ("not clicked", "clicked"), "x")
    assert svg is not None
    assert ">not clicked<" in svg
    assert ">share of the group<" in svg
    assert scores_svg([(0.5, 0.5, 9, 1)], ("a", "b"), "x") is None  # no width
    assert scores_svg([(0.0, 0.5, 0, 0)], ("a", "b"), "x") is None  # nobody in it


def test_only_one_group_has_examples() -> None:
    svg = scores_svg([(0.0, 0.5, 0, 3)], ("not clicked", "clicked"), "x")
    assert svg is not None
    assert ">not clicked<" not in svg


def test_refused_runs_have_a_mark_of_their_own() -> None:
    svg = runs_svg([(2.0, 0.8, True), (1.0, 0.7, False)], "AUC", "x")
    assert svg is not None
    assert "var(--bad" in svg
    assert ">refused<" in svg
    good = runs_svg([(1.0, 0.7, False)], "AUC", "x")
    assert good is not None
    assert ">refused<" not in good
