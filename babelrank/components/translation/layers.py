"""Layers of the Transformer (https://arxiv.org/abs/1706.03762), as the Model Garden defines them.

The arithmetic is that of `official.nlp.modeling` 2.16, so that its weights can be carried over.
What differs is the cost: the projections of an attention are one product, padding and causality
are one additive bias, and in decoding the keys and values of the source are computed once.

Shapes: B sentences, S source positions, T target positions, N hypotheses, D width, H heads,
C = D / H. A bias is 0 where one may look and very negative elsewhere, and broadcasts to
[B, H, T, S]. Weights are float32; products run in the layer's compute dtype, and
normalisation, softmax and the residual stream in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from babelrank.components.training.dropout import Dropout

_MASKED = -1e9
_MAX_TIMESCALE = 1e4


def position_encoding(positions: tf.Tensor, width: int) -> tf.Tensor:
    """Sines, then cosines, of geometrically rising wavelengths.

    Args:
        positions: [T] integers from 0.
        width: D, even.

    Returns:
        [T, D] float32.
    """
    half = width // 2
    step = math.log(_MAX_TIMESCALE) / max(half - 1, 1)
    frequencies = tf.exp(tf.range(half, dtype=tf.float32) * -step)
    angles = tf.cast(positions, tf.float32)[:, None] * frequencies[None, :]
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)


def padding_bias(mask: tf.Tensor) -> tf.Tensor:
    """[B, S] True for real tokens -> bias [B, 1, 1, S]."""
    return tf.where(mask, 0.0, _MASKED)[:, None, None, :]


def causal_bias(length: Any) -> tf.Tensor:
    """Bias [1, 1, T, T] that hides what comes later."""
    seen = tf.linalg.band_part(tf.ones([length, length]), -1, 0)
    return ((1.0 - seen) * _MASKED)[None, None]


class KeysValues(NamedTuple):
    """Keys and values of an attention, [B or N, H, S, C] each."""

    keys: tf.Tensor
    values: tf.Tensor


class Projection(tf.keras.layers.Layer):  # type: ignore[misc]
    """A matrix product over the last axis, as one two-dimensional product.

    Args:
        width: Width of the output.
        limit: Weights are drawn from +-limit; None: Glorot's limit.
        use_bias: Whether a vector is added.
        activation: Name of what is applied, or None.
    """

    def __init__(
        self,
        width: int,
        limit: float | None = None,
        use_bias: bool = True,
        activation: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._width, self._limit, self._use_bias = width, limit, use_bias
        self._activation = tf.keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        """Makes `kernel` [D, width] and `bias` [width]."""
        initializer = (
            "glorot_uniform"
            if self._limit is None
            else tf.keras.initializers.RandomUniform(-self._limit, self._limit)
        )
        self.kernel = self.add_weight(
            name="kernel", shape=[int(input_shape[-1]), self._width], initializer=initializer
        )
        self.bias = (
            self.add_weight(name="bias", shape=[self._width], initializer="zeros")
            if self._use_bias
            else None
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[..., D] -> [..., width] in the compute dtype."""
        shape = tf.shape(inputs)
        flat = tf.reshape(inputs, [-1, inputs.shape[-1]])
        product = tf.matmul(flat, self.kernel)
        if self.bias is not None:
            product = tf.nn.bias_add(product, self.bias)
        product = self._activation(product)
        output = tf.reshape(product, tf.concat([shape[:-1], [self._width]], axis=0))
        output.set_shape([*inputs.shape[:-1], self._width])
        return output


class Norm(tf.keras.layers.Layer):  # type: ignore[misc]
    """Layer normalisation over the last axis, in float32 (https://arxiv.org/abs/1607.06450).

    Args:
        epsilon: Added to the variance.
    """

    def __init__(self, epsilon: float, **kwargs: Any) -> None:
        super().__init__(**kwargs, dtype="float32", autocast=False)
        self._epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Makes `gamma` and `beta`, [D] each."""
        width = [int(input_shape[-1])]
        self.gamma = self.add_weight(name="gamma", shape=width, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=width, initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[..., D] float32 -> [..., D] float32."""
        flat = tf.reshape(inputs, [-1, inputs.shape[-1]])
        # As tensors: a custom gradient does not know the variables of several devices.
        gain, shift = tf.identity(self.gamma), tf.identity(self.beta)
        output = _normalized(self._epsilon)(flat, gain, shift)
        return tf.reshape(output, tf.shape(inputs))


def _normalized(epsilon: float) -> Callable[..., tf.Tensor]:
    """[N, D], gain [D], shift [D] -> [N, D], with the gradient written out.

    Sums over an axis are products with a vector, which are faster on a CPU.
    """

    @tf.custom_gradient
    def normalize(
        rows: tf.Tensor, gain: tf.Tensor, shift: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
        width = rows.shape[-1]
        average = tf.fill([width, 1], 1.0 / width)
        centred = rows - tf.matmul(rows, average)
        scale = tf.math.rsqrt(tf.matmul(centred * centred, average) + epsilon)
        normal = centred * scale

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            weighed = upstream * normal
            gains = gain[:, None] / width
            mean, along = tf.matmul(upstream, gains), tf.matmul(weighed, gains)
            ones = tf.ones([1, tf.shape(rows)[0]])
            return (
                scale * (upstream * gain - mean - normal * along),
                tf.matmul(ones, weighed)[0],
                tf.matmul(ones, upstream)[0],
            )

        return normal * gain + shift, gradient

    return normalize


class _Attention(tf.keras.layers.Layer):  # type: ignore[misc]
    """What both attentions share: the heads, the weighted sum and the output projection.

    Args:
        width: D.
        heads: H, a divisor of D.
        dropout: Dropout of the attention weights.
        use_bias: Whether the projections have biases.

    Raises:
        ValueError: H does not divide D.
    """

    def __init__(
        self, width: int, heads: int, dropout: float, use_bias: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs, autocast=False)
        if width % heads:
            raise ValueError(f"heads: got {heads}; takes a divisor of the width, {width}.")
        self._width, self._heads, self._use_bias = width, heads, use_bias
        self._limit = math.sqrt(6.0 / (width + width))
        self.output_projection = self._projection(1, "output")
        self.dropout = Dropout(dropout, dtype=self.dtype_policy)

    def _projection(self, parts: int, name: str) -> Projection:
        """A product that makes `parts` tensors of the layer's width at once."""
        return Projection(
            parts * self._width, self._limit, self._use_bias, name=name, dtype=self.dtype_policy
        )

    def _split(self, projected: tf.Tensor, parts: int) -> list[tf.Tensor]:
        """[B, S, parts * D] -> tensors [B, H, S, C], the heads side by side."""
        shape = tf.shape(projected)
        split = [shape[0], shape[1], parts, self._heads, self._width // self._heads]
        return tf.unstack(tf.transpose(tf.reshape(projected, split), [2, 0, 3, 1, 4]), num=parts)

    def _attend(
        self, queries: tf.Tensor, memory: KeysValues, bias: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        """Queries [B, H, T, C] over keys and values [B, H, S, C] -> [B, T, D]."""
        # Not the scores, which are smaller: oneDNN makes product, scale and bias one operation
        # then, which takes ten times as long.
        queries *= tf.cast(1.0 / math.sqrt(self._width // self._heads), queries.dtype)
        scores = tf.cast(tf.matmul(queries, memory.keys, transpose_b=True), tf.float32)
        if bias is not None:
            scores += bias
        weights = tf.cast(tf.nn.softmax(scores), self.compute_dtype)
        weights = self.dropout(weights, training=training)
        mixed = tf.transpose(tf.matmul(weights, memory.values), [0, 2, 1, 3])
        shape = tf.shape(mixed)
        joined = tf.reshape(mixed, [shape[0], shape[1], self._width])
        return self.output_projection(joined)


class SelfAttention(_Attention):
    """Multi-head attention of a sequence to itself; queries, keys and values in one product."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.input_projection = self._projection(3, "query_key_value")

    def call(
        self, inputs: tf.Tensor, bias: tf.Tensor | None = None, training: bool | None = None
    ) -> tf.Tensor:
        """[B, S, D] -> [B, S, D]."""
        queries, keys, values = self._split(self.input_projection(inputs), 3)
        return self._attend(queries, KeysValues(keys, values), bias, training)

    def heads_of(self, inputs: tf.Tensor) -> tuple[tf.Tensor, KeysValues]:
        """[N, 1, D], the newest position -> its query [N, H, 1, C], key and value."""
        query, key, value = self._split(self.input_projection(inputs), 3)
        return query, KeysValues(key, value)

    def attend(
        self, queries: tf.Tensor, memory: KeysValues, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Queries [N, H, 1, C] over what was kept [N, H, L, C] -> [N, 1, D]."""
        return self._attend(queries, memory, bias, training=False)


class CrossAttention(_Attention):
    """Multi-head attention of the target to the source."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.query_projection = self._projection(1, "query")
        self.memory_projection = self._projection(2, "key_value")

    def memory(self, encoded: tf.Tensor) -> KeysValues:
        """Keys and values of the encoder's output [B, S, D]."""
        return KeysValues(*self._split(self.memory_projection(encoded), 2))

    def call(
        self,
        inputs: tf.Tensor,
        memory: KeysValues,
        bias: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """[B, T, D] -> [B, T, D]. In decoding the T are the hypotheses of a sentence."""
        (queries,) = self._split(self.query_projection(inputs), 1)
        return self._attend(queries, memory, bias, training)


class FeedForward(tf.keras.layers.Layer):  # type: ignore[misc]
    """Two layers on each position alone.

    Args:
        width: D.
        inner_width: Width between the two.
        activation: relu, gelu, any other of Keras, or swiglu: silu(a) * b of two products a, b
            (https://arxiv.org/abs/2002.05202).
        dropout: Dropout of the inner layer.
    """

    def __init__(
        self, width: int, inner_width: int, activation: str, dropout: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs, autocast=False)
        self._gated = activation == "swiglu"
        policy = self.dtype_policy
        self.inner = Projection(
            inner_width * (2 if self._gated else 1),
            activation=None if self._gated else activation,
            name="intermediate",
            dtype=policy,
        )
        self.dropout = Dropout(dropout, dtype=policy)
        self.outer = Projection(width, name="output", dtype=policy)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """[..., D] -> [..., D]."""
        inner = self.inner(inputs)
        if self._gated:
            gate, value = tf.split(inner, 2, axis=-1)
            inner = tf.nn.silu(gate) * value
        return self.outer(self.dropout(inner, training=training))


class Residual(tf.keras.layers.Layer):  # type: ignore[misc]
    """x + dropout(f(norm(x))), or norm(x + dropout(f(x))) when the norm comes last.

    Args:
        norm_first: Which of the two.
        epsilon: Of the normalisation.
        dropout: Dropout of what is added.
    """

    def __init__(self, norm_first: bool, epsilon: float, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs, autocast=False)
        self._norm_first = norm_first
        self.norm = Norm(epsilon, name="norm")
        self.dropout = Dropout(dropout, dtype=self.dtype_policy)

    def before(self, stream: tf.Tensor) -> tf.Tensor:
        """What f is applied to, in the compute dtype."""
        return tf.cast(self.norm(stream) if self._norm_first else stream, self.compute_dtype)

    def after(
        self, stream: tf.Tensor, output: tf.Tensor, training: bool | None = False
    ) -> tf.Tensor:
        """The stream with the output of f in it, float32."""
        stream += tf.cast(self.dropout(output, training=training), tf.float32)
        return stream if self._norm_first else self.norm(stream)
