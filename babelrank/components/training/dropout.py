"""Dropout whose random state is part of a checkpoint, so that a resumed training repeats it."""

from __future__ import annotations

import random
from typing import Any

import tensorflow as tf

_OFF_BY = 0.02


class Dropout(tf.keras.layers.Layer):  # type: ignore[misc]
    """Sets a fraction of the inputs to zero and scales the rest, in training.

    Keras's own layer keeps its random state where no checkpoint finds it, and draws 32 random
    bits for each number, which takes a tenth of a Transformer's step on a CPU. Here it is 8 bits,
    so the fraction is a multiple of 1/256 (0.1 becomes 26/256); where that is off by more than
    2 %, it is 16 bits and a multiple of 1/65536. The scale is that of the rounded fraction f,
    1 / (1 - f), so that the expectation stays that of the inputs.

    Args:
        rate: Fraction, 0 <= rate < 1.
        seed: Seed of the random state; None: from Python's `random`, which
            `tf.keras.utils.set_random_seed` seeds.

    Attributes:
        dropped: The rounded fraction, f.

    Raises:
        ValueError: A rate outside of its range.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: got {rate}; takes 0 <= rate < 1.")
        self.rate = rate
        self._bits = 8 if _error(rate, 8) <= _OFF_BY * min(rate, 1 - rate) else 16
        self._threshold = min(round(rate * 2**self._bits), 2**self._bits - 1)
        self.dropped = self._threshold / 2**self._bits
        self._random = tf.random.Generator.from_seed(
            random.randrange(2**31) if seed is None else seed, alg="philox"
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Applies dropout to a tensor of any shape and float type, in training."""
        if not training or not self.dropped:
            return inputs
        drawn = self._draw(tf.shape(inputs))
        kept = drawn >= tf.constant(self._threshold, drawn.dtype)
        scale = tf.constant(1.0 / (1.0 - self.dropped), inputs.dtype)
        # A product with a mask: its gradient is one more product. On a CPU the mask is made faster
        # by tf.where in float32, and by a cast in bfloat16.
        if inputs.dtype == tf.float32:
            return inputs * tf.where(kept, scale, tf.zeros([], inputs.dtype))
        return inputs * (tf.cast(kept, inputs.dtype) * scale)

    def _draw(self, shape: tf.Tensor) -> tf.Tensor:
        """Random integers of all 8 or 16 bits, cut out of whole 32 bit words."""
        numbers, in_a_word = tf.reduce_prod(shape), 32 // self._bits
        words = self._random.uniform_full_int([-(-numbers // in_a_word)], tf.uint32)
        drawn = tf.bitcast(words, tf.uint8 if self._bits == 8 else tf.uint16)
        return tf.reshape(tf.slice(tf.reshape(drawn, [-1]), [0], [numbers]), shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate}


def _error(rate: float, bits: int) -> float:
    return abs(round(rate * 2**bits) / 2**bits - rate)
