"""One layer of the encoder and one of the decoder.

Shapes: B sentences, S source positions, T target positions, K hypotheses of a sentence, D width,
H heads, C = D / H.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from babelrank.components.translation.layers import (
    CrossAttention,
    FeedForward,
    KeysValues,
    Residual,
    SelfAttention,
)


class EncoderLayer(tf.keras.layers.Layer):  # type: ignore[misc]
    """Self-attention and a feed-forward layer.

    Args:
        config: Anything with the fields of `EncDecoder`.
        width: D.
    """

    def __init__(self, config: Any, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs, autocast=False)
        policy = self.dtype_policy
        self.attention = SelfAttention(
            width,
            config.num_attention_heads,
            config.attention_dropout_rate,
            config.use_bias,
            name="self_attention",
            dtype=policy,
        )
        self.feed_forward = _feed_forward(config, width, policy)
        self.attention_residual = _residual(config, "self_attention_residual", policy)
        self.output_residual = _residual(config, "output_residual", policy)

    def call(self, stream: tf.Tensor, bias: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """[B, S, D] float32, bias [B, 1, 1, S] -> [B, S, D] float32."""
        residual = self.attention_residual
        attended = self.attention(residual.before(stream), bias, training=training)
        stream = residual.after(stream, attended, training)
        residual = self.output_residual
        output = self.feed_forward(residual.before(stream), training=training)
        return residual.after(stream, output, training)


class DecoderLayer(tf.keras.layers.Layer):  # type: ignore[misc]
    """Self-attention, attention to the source and a feed-forward layer.

    Args:
        config: Anything with the fields of `EncDecoder`.
        width: D.
    """

    def __init__(self, config: Any, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs, autocast=False)
        policy = self.dtype_policy
        attention = (
            width,
            config.num_attention_heads,
            config.attention_dropout_rate,
            config.use_bias,
        )
        self.attention = SelfAttention(*attention, name="self_attention", dtype=policy)
        self.cross_attention = CrossAttention(*attention, name="cross_attention", dtype=policy)
        self.feed_forward = _feed_forward(config, width, policy)
        self.attention_residual = _residual(config, "self_attention_residual", policy)
        self.cross_residual = _residual(config, "cross_attention_residual", policy)
        self.output_residual = _residual(config, "output_residual", policy)

    def call(
        self,
        stream: tf.Tensor,
        encoded: tf.Tensor,
        bias: tf.Tensor,
        source_bias: tf.Tensor,
        training: bool | None = None,
    ) -> tf.Tensor:
        """[B, T, D] float32 with all positions at once; encoded is [B, S, D]."""
        residual = self.attention_residual
        attended = self.attention(residual.before(stream), bias, training=training)
        stream = residual.after(stream, attended, training)
        memory = self.cross_attention.memory(encoded)
        return self._finish(stream, memory, source_bias, training)

    def query(self, stream: tf.Tensor) -> tuple[tf.Tensor, KeysValues]:
        """The newest position [N, 1, D] -> its query, key and value [N, H, 1, C]."""
        return self.attention.heads_of(self.attention_residual.before(stream))

    def step(
        self,
        stream: tf.Tensor,
        query: tf.Tensor,
        past: KeysValues,
        past_bias: tf.Tensor | None,
        memory: KeysValues,
        source_bias: tf.Tensor,
    ) -> tf.Tensor:
        """The newest position of all hypotheses.

        Args:
            stream: [B * K, 1, D].
            query: [B * K, H, 1, C].
            past: Keys and values [B * K, H, L, C] of all positions, the newest included.
            past_bias: Bias [1, 1, 1, L] of positions not reached yet, or None.
            memory: Keys and values [B, H, S, C] of the source.
            source_bias: [B, 1, 1, S].

        Returns:
            [B * K, 1, D].
        """
        attended = self.attention.attend(query, past, past_bias)
        stream = self.attention_residual.after(stream, attended)
        # The hypotheses of a sentence are the positions of one query: the source is not repeated.
        width = stream.shape[-1]
        grouped = tf.reshape(stream, [tf.shape(memory.keys)[0], -1, width])
        return tf.reshape(self._finish(grouped, memory, source_bias, False), [-1, 1, width])

    def _finish(
        self,
        stream: tf.Tensor,
        memory: KeysValues,
        source_bias: tf.Tensor,
        training: bool | None,
    ) -> tf.Tensor:
        residual = self.cross_residual
        attended = self.cross_attention(
            residual.before(stream), memory, source_bias, training=training
        )
        stream = residual.after(stream, attended, training)
        residual = self.output_residual
        output = self.feed_forward(residual.before(stream), training=training)
        return residual.after(stream, output, training)


def _feed_forward(config: Any, width: int, policy: Any) -> FeedForward:
    return FeedForward(
        width,
        config.intermediate_size,
        config.activation,
        config.intermediate_dropout,
        name="feed_forward",
        dtype=policy,
    )


def _residual(config: Any, name: str, policy: Any) -> Residual:
    return Residual(
        config.norm_first, config.norm_epsilon, config.dropout_rate, name=name, dtype=policy
    )
