"""Adam with weight decay."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.training.adamw import AdamW


def test_matrices_and_used_rows_shrink() -> None:
    optimizer = AdamW(learning_rate=0.5, weight_decay=0.1)
    matrix, vector, table = (tf.Variable(tf.ones(s)) for s in ([2, 2], [2], [3, 1]))
    sparse = tf.IndexedSlices(tf.zeros([1, 1]), tf.constant([1]), [3, 1])
    optimizer.apply_gradients(
        [(tf.zeros([2, 2]), matrix), (tf.zeros([2]), vector), (sparse, table)]
    )
    np.testing.assert_allclose(matrix, np.full([2, 2], 0.95), rtol=1e-6)
    np.testing.assert_allclose(vector, [1, 1])
    np.testing.assert_allclose(table[:, 0], [1, 0.95, 1], rtol=1e-6)


def test_names_decide() -> None:
    optimizer = AdamW(0.5, weight_decay=0.1, include=["norm/gamma"], exclude=["norm", "bias"])
    names = {"kernel": 0.95, "kernel/bias": 1.0, "norm/gamma": 0.95, "norm/beta": 1.0}
    variables = [tf.Variable([1.0], name=name) for name in names]
    optimizer.apply_gradients([(tf.zeros([1]), variable) for variable in variables])
    assert [float(v[0]) for v in variables] == pytest.approx(list(names.values()))


def test_a_step_is_that_of_keras() -> None:
    ours, theirs = (tf.Variable([[1.0, -2.0], [0.5, 3.0]]) for _ in range(2))
    a = AdamW(0.1, weight_decay=0.2)
    b = tf.keras.optimizers.AdamW(0.1, weight_decay=0.2)
    for i in range(3):
        gradient = tf.constant([[0.1, -1.0], [2.0, 0.3]]) * (i + 1)
        a.apply_gradients([(gradient, ours)])
        b.apply_gradients([(gradient, theirs)])
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)  # Keras rounds otherwise


def test_the_configuration_rebuilds_it() -> None:
    config = AdamW(0.5, weight_decay=0.1, include=["a"], exclude=["b"]).get_config()
    assert AdamW.from_config(config).get_config() == config
    assert (config["include"], config["exclude"]) == (["a"], ["b"])
