"""Tests of how drift and skew are judged, on distances that are given."""

from __future__ import annotations

from typing import Any

import pytest

from babelrank.components.evaluation.drift import (
    NOWHERE,
    Comparison,
    DriftReport,
    Move,
    Side,
    judge,
)
from babelrank.components.evaluation.drift_config import DriftConfig

TEXTS = Side(kind="categorical", missing=0.0)
NUMBERS = Side(kind="numeric", missing=0.25)


def move(distance: float | None, side: Side = TEXTS, after: Side | None = None) -> Move:
    return Move(distance=distance, before=side, after=after or side, most="most changed: 'a'")


def comparison(examples: int = 1000, **moves: Move) -> Comparison:
    return Comparison(moves=moves, examples=examples)


def judged(
    drift: Comparison | None = None, skew: Comparison | None = None, **settings: Any
) -> DriftReport:
    return judge(DriftConfig(**settings), "test", drift, skew or comparison())


def test_what_is_beyond_its_bound():
    report = judged(
        comparison(os=move(0.25), user=move(0.2), price=move(0.21, NUMBERS)),
        comparison(os=move(0.01), user=move(0.3), price=move(0.02, NUMBERS)),
        max_numeric=0.205,
    )
    assert report.beyond == (
        "user is skewed from train to test by 0.300, beyond drift.max_categorical = 0.2; "
        "most changed: 'a'.",
        "os drifted from the serving model's training data to this run's by 0.250, beyond "
        "drift.max_categorical = 0.2; most changed: 'a'.",
        "price drifted from the serving model's training data to this run's by 0.210, beyond "
        "drift.max_numeric = 0.205; most changed: 'a'.",
    )
    user, _, price = report.features
    assert (user.drift, user.skew, user.bound) == (0.2, 0.3, 0.2)
    assert (price.kind, price.missing, price.bound) == ("numeric", 0.25, 0.205)
    assert report.notes == ()


def test_the_farther_first_but_those_beyond_their_bound_before_all():
    moves = {"a": move(0.01), "b": move(0.19), "c": move(0.1), "d": move(0.06)}
    report = judged(comparison(**moves), comparison(**moves), features={"d": 0.05})
    assert [one.feature for one in report.features] == ["d", "b", "c", "a"]
    assert report.beyond[0].endswith("beyond drift.features.d = 0.05; most changed: 'a'.")


def test_no_bound():
    moved = comparison(os=move(0.9), price=move(0.9, NUMBERS, Side(kind="numeric", missing=1.0)))
    unbounded = judged(moved, max_categorical=None, max_numeric=None, max_missing=None)
    assert unbounded.beyond == ()
    assert [one.bound for one in unbounded.features] == [None, None]
    let = judged(moved, features={"os": None, "price": None})
    assert let.beyond == ()


def test_missing_values():
    sparse = Side(kind="numeric", missing=0.5)
    report = judged(comparison(price=move(0.0, NUMBERS, sparse)))
    assert report.beyond == (
        "price drifted from the serving model's training data to this run's: 25 % -> 50 % of the "
        "examples lack it, beyond drift.max_missing = 0.2.",
    )
    assert judged(comparison(price=move(0.0, NUMBERS, sparse)), max_missing=0.25).beyond == ()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (NUMBERS, NOWHERE, "vanished, 25 % -> 100 % of the examples lack it"),
        (NOWHERE, NUMBERS, "appeared, 100 % -> 25 % of the examples lack it"),
    ],
)
def test_a_feature_that_vanished_or_appeared(before: Side, after: Side, words: str):
    skew = comparison(price=Move(distance=None, before=before, after=after))
    report = judged(skew=skew, max_numeric=None, max_missing=None)
    (text,) = report.beyond
    assert text == (
        f"price is skewed from train to test: it {words}. If that is meant, drift.features: "
        "{price: null} lets it pass."
    )
    assert report.features[0].skew is None
    assert judged(skew=skew, features={"price": None}).beyond == ()


def test_a_feature_of_another_kind():
    report = judged(comparison(os=Move(distance=None, before=TEXTS, after=NUMBERS)))
    assert report.beyond[0].endswith("its values were categorical and are numeric.")


def test_a_distance_that_cannot_be_told():
    (text,) = judged(comparison(price=move(None, NUMBERS))).beyond
    assert text.startswith("price: how far it drifted from the serving model's training data")
    assert text.endswith("cannot be measured, but drift.max_numeric = 0.15 bounds it.")


def test_few_examples_are_measured_but_not_judged():
    far = comparison(examples=99, os=move(0.9))
    report = judged(far, far, min_examples=100)
    assert report.beyond == ()
    assert report.features[0].drift == 0.9
    assert report.notes == (
        "Drift was measured but not judged: 99 examples on one side are fewer than "
        "drift.min_examples = 100.",
        "Skew was measured but not judged: 99 examples on one side are fewer than "
        "drift.min_examples = 100 (train or test).",
    )
    assert len(judged(far, far, min_examples=99).beyond) == 2


def test_the_first_run():
    report = judged(None, comparison(os=move(0.1)))
    assert report.notes[0].startswith("Drift: there is no serving model of other examples")
    (one,) = report.features
    assert (one.drift, one.skew) == (None, 0.1)


def test_only_a_gate_that_may_refuse_has_findings():
    far, near = comparison(os=move(0.9)), comparison(os=move(0.1))
    report = judged(far)
    assert (report.warnings, report.findings()) == (report.beyond, ())

    refused = judged(far, action="refuse")
    assert refused.warnings == ()
    assert [(one.ok, one.text) for one in refused.findings()] == [(False, refused.beyond[0])]

    first = judged(None, near, action="refuse")
    note, kept = first.findings()
    assert (note.ok, note.text) == (True, first.notes[0])
    assert (kept.ok, kept.text) == (
        True,
        "Drift and skew: none of 1 features is beyond its bound.",
    )


def test_json():
    report = judged(None, comparison(os=move(0.9), price=move(None, NUMBERS)))
    assert DriftReport.from_json(report.to_json()) == report
