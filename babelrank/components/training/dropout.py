"""Dropout whose random state is part of a checkpoint, so that a resumed training repeats it."""

from __future__ import annotations

import random
from typing import Any

import tensorflow as tf


class Dropout(tf.keras.layers.Layer):  # type: ignore[misc]
    """Sets a fraction of the inputs to zero and scales the rest by 1 / (1 - rate), in training.

    Keras's own layer keeps its random state where no checkpoint finds it.

    Args:
        rate: Fraction, 0 <= rate < 1.
        seed: Seed of the random state; None: from Python's `random`, which
            `tf.keras.utils.set_random_seed` seeds.

    Raises:
        ValueError: A rate outside of its range.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: got {rate}; takes 0 <= rate < 1.")
        self.rate = rate
        self._random = tf.random.Generator.from_seed(
            random.randrange(2**31) if seed is None else seed, alg="philox"
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Applies dropout to a tensor of any shape, in training."""
        if not training or not self.rate:
            return inputs
        kept = self._random.uniform(tf.shape(inputs), dtype=tf.float32) >= self.rate
        return tf.where(kept, inputs / (1.0 - self.rate), tf.zeros_like(inputs))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate}
