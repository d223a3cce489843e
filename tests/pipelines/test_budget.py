"""Tests of Hyperband's epochs in terms of the training configuration."""

from __future__ import annotations

import pytest

from babelrank.components.errors import ConfigError
from babelrank.components.training.config import TrainingConfig
from babelrank.pipelines.budget import longest, shortened


def test_epochs_are_epochs():
    training = TrainingConfig(epochs=9)
    assert longest(training) == 9
    assert shortened(training, 3) == TrainingConfig(epochs=3)


def test_with_steps_they_are_evaluations():
    training = TrainingConfig(steps=25, evaluate_every=10)
    assert longest(training) == 3
    assert [shortened(training, epochs).steps for epochs in (1, 2, 3)] == [10, 20, 25]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (TrainingConfig(epochs=2), r"training\.epochs: got 2; .* takes 3 epochs or more"),
        (TrainingConfig(steps=20, evaluate_every=10), r"training\.steps: got 20; "),
        (TrainingConfig(steps=20), r"training\.evaluate_every: got null; .* takes a number"),
    ],
)
def test_too_short_to_be_divided(training: TrainingConfig, message: str):
    with pytest.raises(ConfigError, match=message):
        longest(training)
