"""The optimizer that takes private gradients only."""

from __future__ import annotations

import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.config import OptimizerConfig, PrivacyConfig, TrainingConfig
from babelrank.components.training.private_optimizer import PrivateOptimizer
from babelrank.components.training.runtime_config import DifferentialPrivacyConfig
from tests.components.training.test_task import X, Y, linear


def test_gradients_of_whole_batches_are_refused() -> None:
    optimizer = PrivateOptimizer(tf.keras.optimizers.legacy.SGD(1.0))
    variable = tf.Variable([0.0])
    with pytest.raises(ConfigError, match="dp_config: these gradients are of whole batches"):
        optimizer.apply_gradients([(tf.ones([1]), variable)])
    assert (float(variable[0]), int(optimizer.iterations)) == (0.0, 0)


def test_private_gradients_are_taken() -> None:
    optimizer = PrivateOptimizer(tf.keras.optimizers.legacy.SGD(1.0))
    variable = tf.Variable([0.0])
    assert int(optimizer.apply_private_gradients([(tf.ones([1]), variable)])) == 1
    assert (float(variable[0]), int(optimizer.iterations)) == (-1.0, 1)


def test_the_step_of_a_task_does_not_pass_for_private() -> None:
    task = linear()
    dp = DifferentialPrivacyConfig(clipping_norm=1.0, noise_multiplier=1.0)
    optimizer = task.create_optimizer(OptimizerConfig(), dp_config=dp)
    with pytest.raises(ConfigError, match="train with babelrank's loop"):
        task.train_step((X, Y), task.build_model(), optimizer)


def test_the_privacy_of_a_training_does_as_well() -> None:
    config = TrainingConfig(privacy=PrivacyConfig())
    made = linear().create_optimizer(config, dp_config=config.privacy)
    assert isinstance(made, PrivateOptimizer)
    assert isinstance(made.inner_optimizer, tf.keras.optimizers.legacy.Adam)
