"""Tests of the verdict on data, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest

from babelrank.components.evaluation.data_gate import Anomaly, DataFacts, judge_data
from babelrank.components.evaluation.data_thresholds import DataThresholds, LabelThresholds


def texts(facts: DataFacts, **bounds: Any) -> list[str]:
    """The findings, with each one's sign before its text."""
    found = judge_data(LabelThresholds(**bounds), facts)
    assert {one.kind for one in found} <= {"data"}
    assert all(one.ok for one in found if one.note)
    return [f"{'=' if one.note else '+' if one.ok else '-'} {one.text}" for one in found]


def anomalies(count: int) -> DataFacts:
    return DataFacts(
        anomalies=tuple(
            Anomaly(feature=f"f{n}", splits=("train", "eval"), text="Column dropped.")
            for n in range(count)
        )
    )


def test_without_bounds_and_anomalies_there_is_nothing_to_say():
    assert texts(DataFacts(read=8, quarantined={"bad": 4}, anomalies=(), label_rate=0.5)) == []
    assert judge_data(DataThresholds(), DataFacts()) == ()


def test_quarantined():
    facts = DataFacts(read=8, quarantined={"few": 1, "many": 3})
    assert texts(facts, max_quarantined=0.5) == [
        "+ 4 of 8 rows (50.00%) are quarantined; that keeps evaluation.data.max_quarantined = 0.5."
    ]
    assert texts(facts, max_quarantined=0.25) == [
        "- 4 of 8 rows (50.00%) are quarantined, most as many (3); evaluation.data."
        "max_quarantined = 0.25 allows no more."
    ]
    clean = DataFacts(read=8)
    assert texts(clean, max_quarantined=0)[0].startswith("+ 0 of 8 rows (0.00%) are quarantined;")


def test_anomalies_are_told_and_refuse_only_by_a_bound():
    told = "Schema anomaly: f0 (train, eval): Column dropped."
    assert texts(anomalies(1)) == [f"= {told}"]
    bound = "evaluation.data.max_anomalies ="
    ways = "The data differ from the schema in"
    assert texts(anomalies(1), max_anomalies=1) == [
        f"+ {ways} 1 way; that keeps {bound} 1.",
        f"= {told}",
    ]
    assert texts(anomalies(0), max_anomalies=0) == [f"+ {ways} 0 ways; that keeps {bound} 0."]
    found = texts(anomalies(7), max_anomalies=6)
    assert found[0] == f"- {ways} 7 ways; that breaks {bound} 6."
    assert found[1] == f"= {told}"
    assert found[6:] == ["= And 2 more differences from the schema."]


def test_an_anomaly_of_all_data():
    one = Anomaly(feature="", splits=("train",), text="Low num examples")
    assert texts(DataFacts(anomalies=(one,))) == [
        "= Schema anomaly: the data (train): Low num examples."
    ]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"min_label_rate": 0.25}, "+ the mean label of train is 0.25; that keeps"),
        ({"min_label_rate": 0.5}, "- the mean label of train is 0.25, below"),
        ({"max_label_rate": 0.25}, "+ the mean label of train is 0.25; that keeps"),
        ({"max_label_rate": 0.125}, "- the mean label of train is 0.25, above"),
    ],
)
def test_label_rate(bounds: dict[str, float], expected: str):
    ((key, bound),) = bounds.items()
    found = texts(DataFacts(label_rate=0.25), **bounds)
    assert found == [f"{expected} evaluation.data.{key} = {bound:g}."]


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (0.25, 0.5, "+ the mean label of train was 0.5 and is 0.25; that keeps {}."),
        (0.75, 0.5, "+ the mean label of train was 0.5 and is 0.75; that keeps {}."),
        (
            0.125,
            0.5,
            "- the mean label of train was 0.5 for the serving model and is 0.125 (-75%); {} "
            "allows no more.",
        ),
        (
            0.5,
            0.0,
            "- the mean label of train was 0 for the serving model and is 0.5; {} allows no more.",
        ),
        (0.5, None, "+ {}: there is no serving model of other examples to compare with."),
    ],
)
def test_label_change(now: float, before: float | None, expected: str):
    facts = DataFacts(label_rate=now, serving_label_rate=before)
    bound = "evaluation.data.max_label_rate_change = 0.5"
    assert texts(facts, max_label_rate_change=0.5) == [expected.format(bound)]


@pytest.mark.parametrize(
    "bound", ["max_quarantined", "max_anomalies", "min_label_rate", "max_label_rate_change"]
)
def test_a_bound_on_what_is_not_known_refuses(bound: str):
    (found,) = texts(DataFacts(), **{bound: 0})
    assert found.startswith(f"- evaluation.data.{bound} = 0: ")
    assert found.endswith("not known.")
