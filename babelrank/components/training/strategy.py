"""Where a step runs: the `tf.distribute` strategy."""

from __future__ import annotations

import tensorflow as tf


def create() -> tf.distribute.Strategy:
    """The default strategy: one device, the first GPU or the CPU."""
    return tf.distribute.get_strategy()
