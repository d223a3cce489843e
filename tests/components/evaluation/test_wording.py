"""Tests of how reports and terminal lines put figures into words."""

from __future__ import annotations

import math

import pytest

from babelrank.components.evaluation import wording
from babelrank.components.ranking.metrics import MODES


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.77123, "0.771"), (0, "0"), (0.0, "0.000"), (27.34, "27.3"), (12345.6, "12,346")]
    + [(0.002134, "0.00213"), (math.nan, "n/a"), (-0.5, "-0.500"), (1234, "1,234")],
)
def test_number(value: float, text: str) -> None:
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("name", "text"), [("x" * 200, "x" * 200), ("x" * 201, "x" * 199 + "…"), ("", "")]
)
def test_brief(name: str, text: str) -> None:
    assert wording.brief(name) == text


@pytest.mark.parametrize(
    ("value", "baseline", "text"),
    [(0.771, 0.768, "+0.003"), (0.5, 0.5, "no change"), (0.5002, 0.5, "+0.0002")]
    + [(27.3, 26.0, "+1.3"), (0.4, math.nan, "n/a"), (0.4, 0.5, "-0.100")],
)
def test_difference(value: float, baseline: float, text: str) -> None:
    assert wording.difference(value, baseline) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("bleu", 9.26, "9.3"), ("auc", 0.7712, "0.771"), ("chrf", math.nan, "n/a")],
)
def test_figure(name: str, value: float, text: str) -> None:
    assert wording.figure(name, value) == text


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(0.000999, "significant (p < 0.001)"), (0.049, "significant (p = 0.049)")]
    + [(0.05, "not significant (p = 0.050)"), (math.nan, "significance unknown")],
)
def test_significance(p_value: float, text: str) -> None:
    assert wording.significance(p_value) == text


def test_the_configured_level_counts() -> None:
    assert wording.significance(0.03, 0.01) == "not significant (p = 0.030)"
    assert not wording.is_significant(0.03, 0.01)
    assert wording.is_significant(0.08, 0.1)


def test_metrics_improve_the_same_way_wherever_it_is_said() -> None:
    ways = {"max": "higher", "min": "lower"}
    shared = MODES.keys() & wording.METRICS.keys()
    assert len(shared) > 8
    assert {n: ways[MODES[n]] for n in shared} == {n: wording.METRICS[n][1] for n in shared}


@pytest.mark.parametrize(
    ("name", "value", "baseline", "expected"),
    [("auc", 0.8, 0.7, True), ("rmse", 0.8, 0.7, False), ("calibration", 0.98, 1.1, True)]
    + [("auc", 0.7, 0.7, None), ("mystery", 1.0, 2.0, None), ("auc", math.nan, 0.7, None)],
)
def test_better(name: str, value: float, baseline: float, expected: bool | None) -> None:
    assert wording.better(name, value, baseline) is expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "< 0.1 s"), (0.4, "0.4 s"), (9.96, "10 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s")]
    + [(3720, "1 h 02 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 100_000, "< 0.01 %"), (0, 5, "0 %"), (5, 0, "0 %"), (1, 200, "0.50 %"), (1, 1, "100 %")],
)
def test_share(part: int, whole: int, text: str) -> None:
    assert wording.share(part, whole) == text


def test_visible_keeps_letters_of_all_scripts_and_spaces() -> None:
    assert wording.visible("naïve 日本\u00a0x") == "naïve 日本\u00a0x"
    assert wording.visible("a\tb\nc", keep="\n") == "a\\tb\nc"
