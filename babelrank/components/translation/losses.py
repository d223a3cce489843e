"""Label-smoothed cross-entropy in closed form: no one-hot matrix over the vocabulary.

With smoothing s and V subwords the wanted distribution q is 1 - s on the label and s / (V - 1)
elsewhere (https://arxiv.org/abs/1512.00567). Written out for logits z and label y,

    -sum_v q_v log p_v = (logsumexp(z) - z_y) + (s + low) z_y - low sum_v z_v,  low = s / (V - 1),

whose gradient is softmax(z) - q. The entropy of q, the least that can be reached, is subtracted,
as in the Model Garden, so that a perfect model has loss 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from babelrank.components.translation.records import PAD_ID


def token_losses(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tuple[tf.Tensor, ...]:
    """The loss of each label, 0 for padding.

    Args:
        labels: [B, T1] int ids.
        logits: [B, T2, V] float32. The shorter of the two is padded with zeros.
        smoothing: s, 0 <= s < 1.

    Returns:
        Losses and weights (1 for a real label, 0 for padding), [B, max(T1, T2)] float32.
    """
    labels, logits = _same_length(labels, logits)
    size = logits.shape[-1]
    flat = tf.reshape(tf.cast(labels, tf.int32), [-1])
    losses = _smoothed(smoothing, size)(tf.reshape(tf.cast(logits, tf.float32), [-1, size]), flat)
    losses = tf.reshape(losses, tf.shape(labels)) - entropy(smoothing, size)
    weights = tf.cast(tf.not_equal(labels, PAD_ID), tf.float32)
    return losses * weights, weights


def entropy(smoothing: float, size: int) -> float:
    """Entropy of the smoothed distribution over `size` subwords, in nats."""
    if smoothing == 0:
        return 0.0
    low = smoothing / (size - 1)
    return -((1 - smoothing) * math.log(1 - smoothing) + smoothing * math.log(low))


def _smoothed(smoothing: float, size: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    low = smoothing / (size - 1)

    @tf.custom_gradient
    def losses(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        # One fused kernel gives the plain cross-entropy and softmax(z) - onehot(y).
        plain, difference = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(
            features=logits, labels=labels
        )
        if not smoothing:
            return plain, lambda upstream: (difference * upstream[:, None], None)
        at_label = tf.gather(logits, labels, batch_dims=1)
        value = plain + (smoothing + low) * at_label - low * tf.reduce_sum(logits, axis=1)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
            rows = tf.range(tf.shape(labels)[0])
            at = tf.stack([rows, tf.cast(labels, tf.int32)], axis=1)
            spread = (difference - low) * upstream[:, None]
            return tf.tensor_scatter_nd_add(spread, at, (smoothing + low) * upstream), None

        return value, gradient

    return losses


def _same_length(labels: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    static = labels.shape[1], logits.shape[1]
    if None not in static and static[0] == static[1]:
        return labels, logits
    here, there = tf.shape(labels)[1], tf.shape(logits)[1]
    longest = tf.maximum(here, there)
    labels = tf.pad(labels, [[0, 0], [0, longest - here]])
    return labels, tf.pad(logits, [[0, 0], [0, longest - there], [0, 0]])
