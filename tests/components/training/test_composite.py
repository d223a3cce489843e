"""The composite optimizer."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from babelrank.components.training.adamw import AdamW
from babelrank.components.training.composite import CompositeOptimizer
from babelrank.components.training.config import OptimizerConfig
from babelrank.components.training.optimizers import create

legacy = tf.keras.optimizers.legacy


def pair(cls=CompositeOptimizer):
    a, b = tf.Variable([1.0, 2.0]), tf.Variable([3.0])
    parts = [(legacy.Adagrad(0.5), lambda: [a]), (legacy.Adam(0.25), lambda: [b])]
    return cls(parts), a, b


def steps(optimizer, a, b, n=3):
    for i in range(n):
        optimizer.apply_gradients([(tf.constant([1.0 + i, -1.0]), a), (tf.constant([2.0]), b)])


def test_updates_equal_those_of_tfrs():
    ours, a, b = pair()
    theirs, c, d = pair(tfrs.experimental.optimizers.CompositeOptimizer)
    steps(ours, a, b)
    steps(theirs, c, d)
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)


def test_steps_are_counted_and_returned():
    optimizer, a, b = pair()
    assert int(optimizer.iterations) == 0
    assert int(optimizer.apply_gradients([(tf.constant([1.0, 1.0]), a), (None, b)])) == 1
    # The first part has no gradient; TFRS's count would stand still.
    assert int(optimizer.apply_gradients([(None, a), (tf.constant([1.0]), b)])) == 2
    assert int(optimizer.iterations) == 2


def test_a_shared_step_counts_once_a_step():
    optimizer, a, b = pair()
    step = tf.Variable(0, dtype=tf.int64)
    optimizer.iterations = step
    steps(optimizer, a, b)
    assert int(step) == 3


def test_a_checkpoint_restores_the_state_exactly(tmp_path):
    optimizer, a, b = pair()
    steps(optimizer, a, b, 2)
    path = tf.train.Checkpoint(optimizer=optimizer, a=a, b=b).write(str(tmp_path / "c"))
    steps(optimizer, a, b, 2)
    other, c, d = pair()
    tf.train.Checkpoint(optimizer=other, a=c, b=d).read(path)
    assert int(other.iterations) == 2
    steps(other, c, d, 2)
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)


def test_the_configuration_rebuilds_the_parts():
    a, b = tf.Variable([1.0]), tf.Variable([1.0])
    parts = [
        (create(OptimizerConfig(name="adagrad", warmup_steps=5)), lambda: [a]),
        (create(OptimizerConfig(name="adamw")), lambda: [b]),
    ]
    config = CompositeOptimizer(parts, name="both").get_config()
    again = CompositeOptimizer.from_config(config, variables=[part[1] for part in parts])
    assert again.get_config() == config
    assert [type(part) for part in again.optimizers] == [legacy.Adagrad, AdamW]
    with pytest.raises(ValueError, match="variables: got None; takes one function for each of the"):
        CompositeOptimizer.from_config(config)


def test_no_optimizers():
    with pytest.raises(ValueError, match="can't be empty"):
        CompositeOptimizer([])


def test_a_part_that_is_no_optimizer():
    with pytest.raises(ValueError, match=r"optimizers_and_vars\[0\]: got str; takes an optimizer"):
        CompositeOptimizer([("adam", list)])
    with pytest.raises(ValueError, match=r"\[0\]: got list for the variables; takes a function"):
        CompositeOptimizer([(legacy.SGD(), [])])


def test_a_variable_of_no_or_two_optimizers():
    a, b = tf.Variable([1.0]), tf.Variable([1.0])
    gradient = tf.constant([1.0])
    alone = CompositeOptimizer([(legacy.SGD(), lambda: [a])])
    with pytest.raises(ValueError, match="not handled by any optimizer"):
        alone.apply_gradients([(gradient, a), (gradient, b)])
    with pytest.raises(ValueError, match="not handled by any optimizer"):
        alone.apply_gradients([(gradient, a), (None, b)])
    twice = CompositeOptimizer([(legacy.SGD(), lambda: [a]), (legacy.SGD(), lambda: [a])])
    with pytest.raises(ValueError, match="should be disjoint"):
        twice.apply_gradients([(gradient, a)])


def test_no_gradients():
    optimizer, a, b = pair()
    with pytest.raises(ValueError, match="no gradients for any of 2 variables"):
        optimizer.apply_gradients([(None, a), (None, b)])


@pytest.mark.parametrize("dynamic", [True, False])
def test_loss_scaling_skips_what_is_not_finite(dynamic):
    optimizer, a, b = pair()
    scaling = {} if dynamic else {"initial_scale": 8.0}
    scaled = tf.keras.mixed_precision.LossScaleOptimizer(optimizer, dynamic, **scaling)

    @tf.function
    def step(gradient):
        scaled.apply_gradients([(tf.ones([2]), a), (gradient, b)])

    step(tf.constant([1.0]))
    before = a.numpy(), b.numpy()
    assert before[0][0] != 1.0
    step(tf.constant([float("inf") if dynamic else 0.0]))
    assert (a.numpy() == before[0]).all() == dynamic
    assert (b.numpy() == before[1]).all() == dynamic
    assert int(optimizer.iterations) == 2
    assert float(scaled.loss_scale) == (2.0**14 if dynamic else 8.0)


def test_the_state_may_be_made_before_the_first_step():
    optimizer, a, b = pair()
    optimizer._create_all_weights([a, b])
    before = len(optimizer.weights)
    steps(optimizer, a, b, 1)
    assert len(optimizer.weights) == before
