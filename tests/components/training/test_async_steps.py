"""Tests of what parameter servers refuse; tests/distributed has trainings with real ones."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.async_steps import AsyncSteps, steps_of
from babelrank.components.training.config import PrivacyConfig, TrainingConfig
from babelrank.components.training.steps import Steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"privacy": PrivacyConfig()}, "privacy: got parameter_server for strategy, where a step"),
        ({"precision": "float16"}, "precision: got float16, and TensorFlow scales no loss"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    config = TrainingConfig(**changes)
    task: Any = None  # nobody gets as far as that
    with pytest.raises(ConfigError, match=message):
        AsyncSteps(task, config, tf.distribute.get_strategy(), 1, varied=False)


def test_other_strategies_take_their_steps_together() -> None:
    assert steps_of(tf.distribute.get_strategy()) is Steps
