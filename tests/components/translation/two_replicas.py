"""Run by `test_task.py` in a process of its own: the loss on two logical CPUs and on one."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import tensorflow as tf

from babelrank.components.translation.task import TranslationTask

VOCABULARY = 16
LABELS = [[[3, 4, 5, 1]], [[1, 0, 0, 0]]]
"""Four real subwords on one replica, one on the other."""


def main() -> None:
    """Prints the loss of both halves as one batch, and the mean of the two replicas'."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    # Its losses need nothing of a task but the smoothing; a vocabulary would cost seconds.
    task = TranslationTask.__new__(TranslationTask)
    task._task_config = SimpleNamespace(model=SimpleNamespace(label_smoothing=0.1))
    logits = tf.random.stateless_normal([2, 1, 4, VOCABULARY], [1, 2])
    whole = task.build_losses(tf.reshape(LABELS, [2, 4]), tf.reshape(logits, [2, 4, -1]))
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def replica() -> tf.Tensor:
        i = tf.distribute.get_replica_context().replica_id_in_sync_group
        return task.build_losses(tf.constant(LABELS)[i], logits[i])

    losses = strategy.run(tf.function(replica))
    mean = strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)
    json.dump({"whole": float(whole), "replicas": float(mean)}, sys.stdout)


if __name__ == "__main__":
    main()
