"""Dropout that follows from the seed and the step, so that a resumed training repeats it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

_OFF_BY = 0.02
_PHILOX = 1  # number of the generator in TensorFlow's operations
_number: ContextVar[tf.Tensor | None] = ContextVar("number", default=None)


@contextlib.contextmanager
def numbered(number: tf.Tensor) -> Iterator[None]:
    """Layers that are called within draw what belongs to this number.

    Args:
        number: int64 []; no other step, replica or part of a batch has the same.
    """
    token = _number.set(tf.cast(number, tf.uint64))
    try:
        yield
    finally:
        _number.reset(token)


class Dropout(tf.keras.layers.Layer):  # type: ignore[misc]
    """Sets a fraction of the inputs to zero and scales the rest, in training.

    It draws by Philox, keyed by the layer's seed and counted from what `numbered` says; outside
    of that, from a number of TensorFlow's global generator.

    Keras's own layer draws 32 random bits for each number, which takes a tenth of a Transformer's
    step on a CPU. Here it is 8 bits, so the fraction is a multiple of 1/256 (0.1 becomes 26/256);
    where that is off by more than 2 %, it is 16 bits and a multiple of 1/65536. The scale is that
    of the rounded fraction f, 1 / (1 - f), so that the expectation stays that of the inputs.

    Args:
        rate: Fraction, 0 <= rate < 1.
        seed: Seed of the layer; None: from Python's `random`, which
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
        self._seed = random.randrange(2**63) if seed is None else seed

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
        words = self._words([-(-numbers // in_a_word)])
        drawn = tf.bitcast(words, tf.uint8 if self._bits == 8 else tf.uint16)
        return tf.reshape(tf.slice(tf.reshape(drawn, [-1]), [0], [numbers]), shape)

    def _words(self, shape: Any) -> tf.Tensor:
        number = _number.get()
        if number is None:
            drawn = tf.random.uniform([], maxval=tf.int64.max, dtype=tf.int64)
            number = tf.cast(drawn, tf.uint64)
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=shape,
            key=tf.constant([self._seed], tf.uint64),
            counter=tf.stack([tf.zeros([], tf.uint64), number]),  # the second is the higher half
            alg=_PHILOX,
            dtype=tf.uint32,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate}


def _error(rate: float, bits: int) -> float:
    return abs(round(rate * 2**bits) / 2**bits - rate)
