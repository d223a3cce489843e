"""Tests of the training configuration's checks."""

from __future__ import annotations

from typing import Any

import pytest

from babelrank.components.config import from_dict, to_dict
from babelrank.components.errors import ConfigError
from babelrank.components.training.config import OptimizerConfig, TrainingConfig


def test_round_trip():
    config = from_dict(
        TrainingConfig, {"steps": 7, "optimizer": {"name": "sgd", "learning_rate": "1e-2"}}
    )
    assert config.optimizer.learning_rate == 0.01
    assert from_dict(TrainingConfig, to_dict(config)) == config
    assert from_dict(OptimizerConfig, {"warmup_steps": None}).warmup_steps is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, r"^training\.epochs: got 0; takes 1 or more"),
        ({"steps": 0}, r"^training\.steps: got 0; takes 1 or more"),
        ({"steps": "1e3"}, r"^training\.steps: got '1e3' \(str\); takes a whole number"),
        ({"evaluate_every": -1}, r"^training\.evaluate_every: got -1"),
        ({"checkpoint_interval": 0}, r"^training\.checkpoint_interval: got 0"),
        ({"optimizer": {"learning_rate": 0}}, r"^training\.optimizer\.learning_rate: got 0\.0"),
        ({"optimizer": {"warmup_steps": -1}}, r"^training\.optimizer\.warmup_steps: got -1"),
        ({"optimizer": {"name": "adan"}}, r"^training\.optimizer\.name: .* Did you mean adam"),
        ({"early_stopping": {"patience": -1}}, r"^training\.early_stopping\.patience"),
        ({"early_stopping": {"min_delta": -1}}, r"^training\.early_stopping\.patience and min_de"),
        ({"tensorboard": 1}, r"^training\.tensorboard: got 1 \(int\); takes true or false"),
    ],
)
def test_errors(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(TrainingConfig, change, "training")
