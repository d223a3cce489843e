"""Optimizers, schedules and the composite optimizer."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from babelrank.components.errors import ConfigError
from babelrank.components.training.config import OptimizerConfig
from babelrank.components.training.optimizers import (
    AdamW,
    CompositeOptimizer,
    Schedule,
    create,
    create_slots,
    with_loss_scaling,
)

legacy = tf.keras.optimizers.legacy


@pytest.mark.parametrize(
    ("decay", "rates"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25, 0]),
        ("cosine", [0.5, 1, 1, 0.5 + 8**-0.5, 0.5, 0.5 - 8**-0.5, 0]),
    ],
)
def test_a_schedule_warms_up_and_falls(decay, rates):
    schedule = Schedule(1.0, warmup_steps=2, decay=decay, total_steps=6)
    np.testing.assert_allclose([schedule(t) for t in range(7)], rates, atol=1e-6)
    again = Schedule.from_config(schedule.get_config())
    assert float(again(3)) == float(schedule(3))


def test_a_falling_rate_needs_its_end():
    with pytest.raises(ConfigError, match="decay: got 'cosine' without a number of steps"):
        create(OptimizerConfig(decay="cosine"))


def test_a_warm_up_must_end_first():
    with pytest.raises(ConfigError, match="warmup_steps: got 9; .* less than the 9 steps"):
        create(OptimizerConfig(decay="linear", warmup_steps=9), 9)


@pytest.mark.parametrize(("steps", "warmup"), [(5, 0), (50, 5), (9_999, 999), (100_000, 1000)])
def test_a_warm_up_of_a_tenth(steps, warmup):
    config = OptimizerConfig(warmup_steps=None, decay="cosine", learning_rate=0.5)
    rate = create(config, steps).learning_rate
    assert (rate.warmup_steps, rate.total_steps) == (warmup, steps)


def test_a_warm_up_of_a_tenth_of_what():
    with pytest.raises(ConfigError, match="warmup_steps: got null without a number of steps"):
        create(OptimizerConfig(warmup_steps=None))


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("sgd", legacy.SGD),
        ("adagrad", legacy.Adagrad),
        ("adam", legacy.Adam),
        ("adamw", AdamW),
        ("rmsprop", legacy.RMSprop),
    ],
)
def test_every_name_is_a_legacy_optimizer(name, cls):
    optimizer = create(OptimizerConfig(name=name, learning_rate=0.25))
    assert type(optimizer) is cls
    assert float(optimizer.learning_rate) == 0.25


def test_an_unknown_name():
    config = OptimizerConfig()
    object.__setattr__(config, "name", "lion")
    with pytest.raises(ConfigError, match="optimizer.name: got 'lion'; takes one of sgd"):
        create(config)


def test_the_global_norm_is_clipped():
    v = tf.Variable([0.0, 0.0])
    optimizer = create(OptimizerConfig(name="sgd", learning_rate=1.0, clip_norm=1.0))
    optimizer.apply_gradients([(tf.constant([3.0, 4.0]), v)])
    np.testing.assert_allclose(v, [-0.6, -0.8], rtol=1e-6)


def test_adamw_shrinks_matrices_and_used_rows_only():
    optimizer = AdamW(learning_rate=0.5, weight_decay=0.1)
    matrix, vector, table = (tf.Variable(tf.ones(s)) for s in ([2, 2], [2], [3, 1]))
    sparse = tf.IndexedSlices(tf.zeros([1, 1]), tf.constant([1]), [3, 1])
    optimizer.apply_gradients(
        [(tf.zeros([2, 2]), matrix), (tf.zeros([2]), vector), (sparse, table)]
    )
    np.testing.assert_allclose(matrix, np.full([2, 2], 0.95), rtol=1e-6)
    np.testing.assert_allclose(vector, [1, 1])
    np.testing.assert_allclose(table[:, 0], [1, 0.95, 1], rtol=1e-6)


def test_float16_scales_the_loss():
    class Runtime:
        mixed_precision_dtype = "float16"

    scaled = with_loss_scaling(create(OptimizerConfig()), Runtime())
    assert isinstance(scaled, tf.keras.mixed_precision.LossScaleOptimizer)
    plain = create(OptimizerConfig())
    assert with_loss_scaling(plain, None) is plain


def pair(cls=CompositeOptimizer):
    a, b = tf.Variable([1.0, 2.0]), tf.Variable([3.0])
    parts = [(legacy.Adagrad(0.5), lambda: [a]), (legacy.Adam(0.25), lambda: [b])]
    return cls(parts), a, b


def steps(optimizer, a, b, n=3):
    for i in range(n):
        optimizer.apply_gradients([(tf.constant([1.0 + i, -1.0]), a), (tf.constant([2.0]), b)])


@pytest.mark.parametrize("scaled", [False, True])
def test_a_step_that_makes_no_variables_is_traced_once(scaled):
    variable = tf.Variable([1.0, 2.0])
    optimizer = create(OptimizerConfig(name="adam"))
    if scaled:
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    create_slots(optimizer, [variable])
    traces = []

    @tf.function
    def step():
        traces.append(1)
        optimizer.apply_gradients([(tf.ones([2]), variable)])

    step()
    step()
    assert len(traces) == 1
    assert int(optimizer.iterations) == 2


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
