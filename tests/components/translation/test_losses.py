"""Label-smoothed cross-entropy against the distribution written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.translation.losses import entropy, token_losses

LABELS = tf.constant([[3, 5, 0], [1, 2, 6]])


def written_out(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    size = logits.shape[-1]
    wanted = tf.one_hot(labels, size, 1.0 - smoothing, smoothing / (size - 1))
    losses = tf.nn.softmax_cross_entropy_with_logits(wanted, logits)
    least = -tf.reduce_sum(tf.math.xlogy(wanted, wanted), axis=-1)
    return (losses - least) * tf.cast(labels != 0, tf.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_value_and_gradient_are_those_of_the_written_out_distribution(smoothing: float) -> None:
    logits = tf.random.stateless_normal([2, 3, 8], [1, 2]) * 3.0
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        ours, weights = token_losses(LABELS, logits, smoothing)
        theirs = written_out(LABELS, logits, smoothing)
        ours_sum, theirs_sum = tf.reduce_sum(ours**2), tf.reduce_sum(theirs**2)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    np.testing.assert_allclose(
        tape.gradient(ours_sum, logits), tape.gradient(theirs_sum, logits), atol=2e-5
    )
    np.testing.assert_array_equal(weights, [[1, 1, 0], [1, 1, 1]])


def test_two_equal_logits_without_smoothing_cost_one_bit() -> None:
    losses, _ = token_losses(tf.constant([[1]]), tf.zeros([1, 1, 2]), 0.0)
    assert float(losses[0, 0]) == pytest.approx(math.log(2))


def test_the_wanted_distribution_itself_costs_nothing() -> None:
    logits = tf.math.log(tf.constant([[[0.05, 0.9, 0.05]]]))
    losses, _ = token_losses(tf.constant([[1]]), logits, 0.1)
    assert float(losses[0, 0]) == pytest.approx(0.0, abs=1e-6)


def test_the_shorter_side_is_padded() -> None:
    logits = tf.random.stateless_normal([2, 2, 8], [1, 2])
    losses, weights = token_losses(LABELS, logits, 0.1)
    assert losses.shape == weights.shape == (2, 3)
    np.testing.assert_allclose(
        losses[:, :2], token_losses(LABELS[:, :2], logits, 0.1)[0], atol=1e-6
    )
    longer = tf.random.stateless_normal([2, 5, 8], [1, 2])
    losses, weights = token_losses(LABELS, longer, 0.1)
    assert losses.shape == (2, 5)
    assert float(tf.reduce_sum(weights)) == 5


def test_large_logits_do_not_overflow() -> None:
    logits = tf.constant([[[1e4, -1e4, 0.0]]])
    losses, _ = token_losses(tf.constant([[1]]), logits, 0.1)
    assert np.isfinite(losses.numpy()).all()


def test_entropy_of_no_smoothing_is_zero() -> None:
    assert entropy(0.0, 8) == 0.0
    assert entropy(0.5, 2) == pytest.approx(math.log(2))


def test_no_matrix_over_the_vocabulary_is_made_for_the_labels() -> None:
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None, 9])]
    traced = tf.function(lambda y, z: token_losses(y, z, 0.1)[0]).get_concrete_function(*signature)
    assert not [op.type for op in traced.graph.get_operations() if op.type == "OneHot"]
