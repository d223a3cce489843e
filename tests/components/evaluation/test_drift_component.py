"""Tests of the Drift component, on the statistics of small data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow_data_validation as tfdv
from tfx.types import standard_artifacts

from babelrank.components.artifacts import DriftMeasures
from babelrank.components.evaluation import drift_component
from babelrank.components.evaluation.drift import DriftReport


def statistics(folder: Path, **splits: list[str]) -> Any:
    """An artifact with a feature `os`, and one that always moves."""
    made = standard_artifacts.ExampleStatistics()
    made.uri = str(folder)
    made.split_names = json.dumps(list(splits))
    for number, (split, values) in enumerate(splits.items()):
        frame = pd.DataFrame({"os": values, "timestamp": float(number)})
        (folder / f"Split-{split}").mkdir(parents=True)
        path = folder / f"Split-{split}" / "FeatureStats.pb"
        path.write_bytes(tfdv.generate_statistics_from_dataframe(frame).SerializeToString())
    return made


def run(folder: Path, now: Any, serving: Any, **config: Any) -> DriftReport:
    """What the component's executor writes."""
    out = DriftMeasures()
    out.uri = str(folder / "drift")
    executor = drift_component.Drift.EXECUTOR_SPEC.executor_class
    executor().Do(
        {"statistics": [now], "serving_statistics": [serving] if serving else []},
        {"drift": [out]},
        {
            "config": json.dumps({"min_examples": 1, **config}),
            "split": "test",
            "unmeasured": '["timestamp"]',
        },
    )
    return drift_component.load(out.uri)


def test_the_first_run(tmp_path: Path):
    now = statistics(tmp_path / "now", train=["a", "b"], test=["a", "a", "a", "b"])
    report = run(tmp_path, now, None)
    (one,) = report.features
    assert (one.feature, one.drift, one.skew, one.bound) == ("os", None, 0.25, 0.2)
    assert report.split == "test"
    (text,) = report.beyond
    assert text == (
        "os is skewed from train to test by 0.250, beyond drift.max_categorical = 0.2; "
        "most changed: 'a' 50 % -> 75 %, 'b' 50 % -> 25 %."
    )
    assert report.notes[0].startswith("Drift: there is no serving model")


def test_drift_is_between_the_train_splits(tmp_path: Path):
    now = statistics(tmp_path / "now", train=["a", "b"], test=["a", "b"])
    before = statistics(tmp_path / "before", train=["a"], test=["b"])
    report = run(tmp_path, now, before, action="refuse", features={"os": 0.4})
    (one,) = report.features
    assert (one.drift, one.skew, one.bound) == (0.5, 0.0, 0.4)
    (finding,) = report.findings()
    assert not finding.ok
    assert finding.text == (
        "os drifted from the serving model's training data to this run's by 0.500, beyond "
        "drift.features.os = 0.4; most changed: 'a' 100 % -> 50 %, 'b' 0 % -> 50 %."
    )
