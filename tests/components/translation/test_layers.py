"""Layers: masks, positions and shapes by hand; attention against Keras's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.translation.layers import (
    CrossAttention,
    FeedForward,
    KeysValues,
    Norm,
    Projection,
    Residual,
    SelfAttention,
    causal_bias,
    padding_bias,
    position_encoding,
)


def random(*shape: int) -> tf.Tensor:
    return tf.random.stateless_normal(shape, [3, 4])


def test_positions_are_sines_then_cosines() -> None:
    encoding = position_encoding(tf.constant([0, 2]), 4).numpy()
    np.testing.assert_allclose(encoding[0], [0, 0, 1, 1], atol=1e-7)
    expected = [math.sin(2), math.sin(2e-4), math.cos(2), math.cos(2e-4)]
    np.testing.assert_allclose(encoding[1], expected, rtol=1e-5)


def test_biases_hide_padding_and_what_comes_later() -> None:
    np.testing.assert_array_equal(
        padding_bias(tf.constant([[True, False]]))[0, 0, 0], np.float32([0, -1e9])
    )
    np.testing.assert_array_equal(causal_bias(2)[0, 0], np.float32([[0, -1e9], [0, 0]]))


def test_projection_is_a_product_of_any_rank() -> None:
    layer = Projection(3, activation="relu")
    inputs = random(2, 5, 4)
    output = layer(inputs)
    expected = tf.nn.relu(tf.einsum("abc,cd->abd", inputs, layer.kernel))
    np.testing.assert_allclose(output, expected, atol=1e-5)
    assert layer(inputs[0]).shape == (5, 3)


def test_norm_is_keras_layer_normalization() -> None:
    inputs = random(2, 3, 8) * 5.0 + 2.0
    theirs = tf.keras.layers.LayerNormalization(epsilon=1e-6)
    np.testing.assert_allclose(Norm(1e-6)(inputs), theirs(inputs), atol=2e-5)


def test_self_attention_is_keras_multi_head_attention() -> None:
    inputs = random(2, 5, 8)
    mask = tf.constant([[True] * 5, [True, True, True, False, False]])
    ours = SelfAttention(8, 2, 0.0, use_bias=False)
    output = ours(inputs, padding_bias(mask))
    theirs = tf.keras.layers.MultiHeadAttention(2, 4, use_bias=False)
    theirs(inputs, inputs)
    query, key, value = np.split(ours.input_projection.kernel.numpy(), 3, axis=1)
    theirs.set_weights(
        [kernel.reshape(8, 2, 4) for kernel in (query, key, value)]
        + [ours.output_projection.kernel.numpy().reshape(2, 4, 8)]
    )
    np.testing.assert_allclose(
        output, theirs(inputs, inputs, attention_mask=mask[:, None, :]), atol=1e-5
    )


def test_one_position_at_a_time_gives_what_all_give_at_once() -> None:
    inputs = random(2, 4, 8)
    layer = SelfAttention(8, 2, 0.0, use_bias=True)
    at_once = layer(inputs, causal_bias(4))
    past = KeysValues(tf.zeros([2, 2, 0, 4]), tf.zeros([2, 2, 0, 4]))
    for i in range(4):
        query, new = layer.heads_of(inputs[:, i : i + 1])
        past = KeysValues(*(tf.concat(both, axis=2) for both in zip(past, new, strict=True)))
        np.testing.assert_allclose(layer.attend(query, past)[:, 0], at_once[:, i], atol=1e-5)


def test_cross_attention_looks_at_the_source_only_where_it_is() -> None:
    encoded, inputs = random(1, 3, 8), random(1, 2, 8)
    layer = CrossAttention(8, 2, 0.0, use_bias=False)
    bias = padding_bias(tf.constant([[True, True, False]]))
    output = layer(inputs, layer.memory(encoded), bias)
    without = layer(inputs, layer.memory(encoded[:, :2]))
    assert output.shape == (1, 2, 8)
    np.testing.assert_allclose(output, without, atol=1e-6)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="heads: got 3; takes a divisor of the width, 8"):
        SelfAttention(8, 3, 0.0, use_bias=False)


def test_feed_forward_relu_and_swiglu() -> None:
    inputs = random(2, 3, 4)
    layer = FeedForward(4, 6, "relu", 0.0)
    output = layer(inputs)
    inner = tf.nn.relu(inputs @ layer.inner.kernel + layer.inner.bias)
    np.testing.assert_allclose(output, inner @ layer.outer.kernel, atol=1e-5)
    gated = FeedForward(4, 6, "swiglu", 0.0)
    output = gated(inputs)
    assert gated.inner.kernel.shape == (4, 12)
    gate, value = np.split(inputs @ gated.inner.kernel, 2, axis=-1)
    expected = (tf.nn.silu(gate) * value) @ gated.outer.kernel
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_residual_before_and_after() -> None:
    stream, output = random(1, 2, 4), tf.ones([1, 2, 4])
    first, last = Residual(True, 1e-6, 0.0), Residual(False, 1e-6, 0.0)
    np.testing.assert_allclose(first.before(stream), Norm(1e-6)(stream), atol=1e-6)
    np.testing.assert_allclose(first.after(stream, output), stream + 1.0)
    np.testing.assert_allclose(last.before(stream), stream)
    np.testing.assert_allclose(last.after(stream, output), Norm(1e-6)(stream + 1.0), atol=1e-6)


def test_mixed_precision_keeps_the_stream_in_float32() -> None:
    residual = Residual(True, 1e-6, 0.0, dtype="mixed_bfloat16")
    layer = FeedForward(4, 6, "relu", 0.0, dtype="mixed_bfloat16")
    stream = random(1, 2, 4)
    output = layer(residual.before(stream))
    assert output.dtype == tf.bfloat16
    assert residual.after(stream, output).dtype == tf.float32
    assert layer.inner.kernel.dtype == tf.float32
