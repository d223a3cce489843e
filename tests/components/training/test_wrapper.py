"""Optimizers around others, and looking through them."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.training.wrapper import Wrapper, create_state, innermost, layers

legacy = tf.keras.optimizers.legacy
KINDS = [lambda: legacy.Adam(0.5), lambda: tf.keras.optimizers.Adafactor(0.5)]


def test_layers_go_from_outside_to_inside() -> None:
    inner = legacy.SGD()
    wrapper = Wrapper(inner, "W")
    scaled = tf.keras.mixed_precision.LossScaleOptimizer(wrapper)
    assert list(layers(scaled)) == [scaled, wrapper, inner]
    assert innermost(scaled) is innermost(inner) is inner


@pytest.mark.parametrize("kind", KINDS)
def test_it_shows_what_the_inner_optimizer_has(kind: Any) -> None:
    inner, variable = kind(), tf.Variable([[1.0]])
    wrapper = Wrapper(inner, "W")
    create_state(wrapper, [variable])
    held = [w.name for w in wrapper.weights]
    wrapper.apply_gradients([(tf.ones([1, 1]), variable)])
    assert [w.name for w in wrapper.variables()] == held  # nothing was made by the step
    assert int(wrapper.iterations) == int(inner.iterations) == 1
    assert float(wrapper.learning_rate) == 0.5
    wrapper.learning_rate = 0.25
    assert float(inner.learning_rate) == 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_in_a_graph_is_an_operation(kind: Any) -> None:
    variable = tf.Variable([[1.0]])
    wrapper = Wrapper(kind(), "W")
    create_state(wrapper, [variable])
    results = []

    @tf.function
    def step() -> None:
        results.append(wrapper.apply_gradients([(tf.ones([1, 1]), variable)]))

    step()
    assert isinstance(results[0], tf.Operation)
    assert int(wrapper.iterations) == 1
    assert int(wrapper.apply_gradients([(tf.ones([1, 1]), variable)])) == 2


def test_steps_may_be_counted_elsewhere() -> None:
    count, variable = tf.Variable(5, dtype=tf.int64), tf.Variable([1.0])
    wrapper = Wrapper(legacy.SGD(), "W")
    wrapper.iterations = count
    wrapper.apply_gradients([(tf.ones([1]), variable)])
    assert int(count) == 6
