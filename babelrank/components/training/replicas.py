"""Means over a batch that several replicas share.

Each replica has a part of the batch; the mean over the replicas of what `mean` gives is the mean
over the batch, also when their parts differ in size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import tensorflow as tf

_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Losses within are means of what a replica has itself, without asking the others."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def mean(total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """A replica's mean loss such that the mean over the replicas is that over the whole batch.

    Args:
        total: Sum of the losses of this replica, [].
        count: What it is divided by, such as the replica's examples, [].

    Returns:
        `total / count`, with several replicas `total` divided by their mean count; 0 for 0 / 0.
    """
    count = tf.cast(count, total.dtype)
    return tf.math.divide_no_nan(total, count if _alone.get() else shared(count))


def shared(value: tf.Tensor) -> tf.Tensor:
    """The mean of a value over the replicas, in each of them."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)
