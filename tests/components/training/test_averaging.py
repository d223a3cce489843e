"""Moving averages of the weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.averaging import ExponentialMovingAverage
from babelrank.components.training.composite import CompositeOptimizer

legacy = tf.keras.optimizers.legacy


def model(weight: float = 1.0) -> tf.keras.Model:
    """y = weight * x, and a weight that is not trained."""
    made = tf.keras.Sequential(
        [tf.keras.layers.Dense(1, use_bias=False), tf.keras.layers.BatchNormalization(scale=False)]
    )
    made.build([None, 1])
    made.layers[0].set_weights([np.array([[weight]])])
    return made


def averages(optimizer: ExponentialMovingAverage, weight: tf.Variable, steps: int) -> list[float]:
    """The averages of a weight that falls by 1 at each step."""
    found = []
    for _ in range(steps):
        optimizer.apply_gradients([(tf.ones([1, 1]), weight)])
        found.append(float(optimizer.get_slot(weight, "average")[0, 0]))
    return found


def test_a_constant_decay() -> None:
    made = model()
    optimizer = ExponentialMovingAverage(legacy.SGD(1.0), 0.5, dynamic_decay=False)
    optimizer.shadow_copy(made)
    # Weights 0, -1, -2 after 1.
    assert averages(optimizer, made.layers[0].kernel, 3) == [0.5, -0.25, -1.125]


def test_a_dynamic_decay_is_that_of_tensorflow() -> None:
    made = model()
    weight = made.layers[0].kernel
    optimizer = ExponentialMovingAverage(legacy.SGD(1.0), 0.3)
    optimizer.shadow_copy(made)
    twin, step = tf.Variable([[1.0]]), tf.Variable(0)
    theirs = tf.train.ExponentialMovingAverage(0.3, num_updates=step)
    theirs.apply([twin])
    expected = []
    for _ in range(4):  # decays 2 / 11, 3 / 12, then 0.3
        step.assign_add(1)
        twin.assign_sub([[1.0]])
        theirs.apply([twin])
        expected.append(float(theirs.average(twin)[0, 0]))
    np.testing.assert_allclose(averages(optimizer, weight, 4), expected, rtol=1e-6)


def test_averages_begin_at_a_step() -> None:
    made = model()
    optimizer = ExponentialMovingAverage(legacy.SGD(1.0), 0.5, start_step=2)
    optimizer.shadow_copy(made)
    # No average of weight 0 at step 1; decay 1 / 10 at step 2, with weight -1; 2 / 11 at step 3.
    expected = [0.0, -0.9, -0.9 * 2 / 11 - 2 * 9 / 11]
    found = averages(optimizer, made.layers[0].kernel, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_weights_and_averages_swap_bit_for_bit() -> None:
    made = model(0.1)
    optimizer = ExponentialMovingAverage(legacy.SGD(1 / 3), 0.7)
    optimizer.shadow_copy(made)
    (last,) = averages(optimizer, made.layers[0].kernel, 1)
    before = [value.tolist() for value in made.get_weights()]
    optimizer.swap_weights()
    assert float(made.layers[0].kernel[0, 0]) == last
    optimizer.swap_weights()
    assert [value.tolist() for value in made.get_weights()] == before
    with pytest.raises(KeyError), optimizer.swapped():
        assert float(made.layers[0].kernel[0, 0]) == last
        raise KeyError
    assert [value.tolist() for value in made.get_weights()] == before


def test_only_trainable_weights_are_averaged() -> None:
    made = model()
    optimizer = ExponentialMovingAverage(legacy.SGD(1.0))
    optimizer.shadow_copy(made)
    names = [weight.name for weight in optimizer.weights]
    assert sum("average" in name for name in names) == len(made.trainable_variables) == 2


def test_new_weights_are_copied_anew() -> None:
    made = model()
    optimizer = ExponentialMovingAverage(legacy.SGD(1.0), 0.5, dynamic_decay=False)
    assert not optimizer.has_shadow_copy
    optimizer.shadow_copy(made)
    made.layers[0].set_weights([np.array([[3.0]])])
    optimizer.shadow_copy(made)
    assert optimizer.has_shadow_copy
    assert averages(optimizer, made.layers[0].kernel, 1) == [2.5]


def test_around_a_composite_optimizer_it_counts_and_passes_on() -> None:
    made = model()
    kernel, offset = made.trainable_variables
    inner = CompositeOptimizer(
        [(legacy.SGD(1.0), lambda: [kernel]), (legacy.SGD(2.0), lambda: [offset])]
    )
    optimizer = ExponentialMovingAverage(inner, 0.5, dynamic_decay=False)
    optimizer.shadow_copy(made)
    count = optimizer.apply_gradients([(tf.ones([1, 1]), kernel), (tf.ones([1]), offset)])
    assert int(count) == int(optimizer.iterations) == 1
    assert (float(kernel[0, 0]), float(offset[0])) == (0.0, -2.0)
    with optimizer.swapped():
        assert (float(kernel[0, 0]), float(offset[0])) == (0.5, -1.0)


def test_a_skipped_step_is_not_averaged() -> None:
    made = model()
    kernel = made.layers[0].kernel
    optimizer = ExponentialMovingAverage(legacy.SGD(1.0), 0.5, dynamic_decay=False)
    optimizer.shadow_copy(made)
    scaled = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    scaled.apply_gradients([(tf.constant([[float("nan")]]), kernel)])
    assert float(optimizer.get_slot(kernel, "average")[0, 0]) == 1.0
    scaled.apply_gradients([(tf.ones([1, 1]), kernel)])
    assert float(optimizer.get_slot(kernel, "average")[0, 0]) == 0.5


def test_the_learning_rate_is_that_of_the_inner_optimizer() -> None:
    inner = legacy.SGD(0.25)
    optimizer = ExponentialMovingAverage(inner)
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = 0.5
    assert float(inner.learning_rate) == 0.5
    assert optimizer.get_config()["optimizer"]["config"]["learning_rate"] == 0.5


def test_a_step_without_averages_says_what_to_call() -> None:
    made = model()
    optimizer = ExponentialMovingAverage(legacy.SGD(1.0))
    with pytest.raises(ValueError, match=r"call shadow_copy\(model\) before the first step"):
        averages(optimizer, made.layers[0].kernel, 1)
    with pytest.raises(ValueError, match="the averages of the weights do not exist"):
        optimizer.swap_weights()


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_a_decay_out_of_range(decay: float) -> None:
    with pytest.raises(ConfigError, match=f"average_decay: got {decay}; takes 0 <= x < 1"):
        ExponentialMovingAverage(legacy.SGD(), decay)


def test_two_replicas_do_what_one_does() -> None:
    script = Path(__file__).parent / "two_replicas_optimizers.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert len(results) == 4
    for name, (two, one) in results.items():
        assert two["steps"] == one["steps"] == 4, name
        assert two["scale"] == one["scale"] == (2.0**14 if "scale" in name else None), name
        np.testing.assert_allclose(two["weights"], one["weights"], atol=1e-6, err_msg=name)
        assert two["swapped"] == ("average" in name), name
