"""How long Hyperband lets a trial train: its epochs in terms of the training configuration.

One of Hyperband's epochs is an epoch, or with `training.steps` the steps from one evaluation to
the next, so that each trial ends with an evaluation that the full training has too.
"""

from __future__ import annotations

import dataclasses
import math

from babelrank.components.errors import ConfigError
from babelrank.components.training.config import TrainingConfig

FACTOR = 3
"""One of so many trials goes on, for so many times the epochs."""


def longest(training: TrainingConfig) -> int:
    """Hyperband's epochs of the full training.

    Raises:
        ConfigError: It has `steps` and no `evaluate_every`, or is too short to be divided.
    """
    if training.steps is None:
        epochs, name = training.epochs, "epochs"
    elif training.evaluate_every is None:
        raise ConfigError(
            "training.evaluate_every: got null; hyperband ends trials at an evaluation; takes a "
            "number of steps where training.steps is set."
        )
    else:
        epochs, name = math.ceil(training.steps / training.evaluate_every), "steps"
    if epochs < FACTOR:
        raise ConfigError(
            f"training.{name}: got {getattr(training, name)}; hyperband ends some trials earlier "
            f"than others: takes {FACTOR} epochs or more, or with training.steps so many "
            "evaluations. See also --search random."
        )
    return epochs


def shortened(training: TrainingConfig, epochs: int) -> TrainingConfig:
    """The training up to the end of one of Hyperband's epochs, counted from 1."""
    if training.steps is None:
        return dataclasses.replace(training, epochs=epochs)
    steps = epochs * (training.evaluate_every or training.steps)
    return dataclasses.replace(training, steps=min(steps, training.steps))
