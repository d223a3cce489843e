"""Tests of the bounds on drift and skew."""

from __future__ import annotations

from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.evaluation.drift_config import DriftConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_categorical": 0}, r"^drift\.max_categorical: got 0; takes 0 < x <= 1, or null"),
        ({"max_numeric": 1.5}, r"^drift\.max_numeric: got 1\.5; takes 0 < x <= 1"),
        ({"max_missing": -0.1}, r"^drift\.max_missing: got -0\.1"),
        ({"features": {"os": 2}}, r"^drift\.features\.os: got 2; takes 0 < x <= 1, or null"),
        ({"features": {"os": "far"}}, r"^drift\.features\.os: got 'far' \(str\)"),
        ({"min_examples": 0}, r"^drift\.min_examples: got 0; takes 1 or more"),
        ({"action": "stop"}, r"^drift\.action: got 'stop' \(str\); takes one of report, refuse"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(DriftConfig, settings, "drift")


def test_every_bound_may_be_null():
    bounds = dict.fromkeys(("max_categorical", "max_numeric", "max_missing"))
    config = from_dict(DriftConfig, {**bounds, "features": {"os": None}}, "drift")
    assert (config.max_numeric, config.features) == (None, {"os": None})


def test_features_that_there_are_not():
    config = DriftConfig(features={"os": 0.1, "cost": 0.1})
    config.check_features(["cost", "os", "price"])
    with pytest.raises(ConfigError, match=r"^drift\.features\.cost: there is no such feature; ta"):
        config.check_features(["os", "price"])
