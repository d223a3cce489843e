"""Run by `test_averaging.py` in a process of its own: optimizers on two logical CPUs and on one."""

from __future__ import annotations

import json
import sys
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf

from babelrank.components.training import optimizers
from babelrank.components.training.composite import CompositeOptimizer
from babelrank.components.training.config import OptimizerConfig
from babelrank.components.training.runtime_config import RuntimeConfig

BATCH = [[0, 1], [2, 3], [1, 1], [4, 0]]
CASES = (
    ("adam", "scale average"),
    ("adafactor", "scale average"),
    ("composite", "scale average"),
    ("composite", ""),
)
STEPS = 4
BAD = 1
"""The step whose gradients are infinite, with loss scaling."""


def main() -> None:
    """Prints, for each optimizer and what is around it, what two replicas and one came to."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    one = tf.distribute.OneDeviceStrategy("CPU:0")
    results = {}
    for name, around in CASES:
        results[f"{name} {around}"] = [
            train(name, "scale" in around, "average" in around, strategy)
            for strategy in (both, one)
        ]
    json.dump(results, sys.stdout)


def train(name: str, scaled: bool, averaged: bool, strategy: tf.distribute.Strategy) -> Any:
    """Trains a tiny model; its weights, then the averages."""
    tf.keras.utils.set_random_seed(1)
    with strategy.scope():
        model = tf.keras.Sequential(
            [
                tf.keras.layers.Embedding(5, 3, input_length=2),
                tf.keras.layers.Flatten(),
                tf.keras.layers.Dense(2),
            ]
        )
        model.build([None, 2])
        optimizer = optimizers.wrap(
            _made(name, model),
            RuntimeConfig(mixed_precision_dtype="float16" if scaled else "float32"),
            ema_decay=0.9 if averaged else None,
        )
        average = optimizers.average_of(optimizer)
        if average:
            average.shadow_copy(model)
    take_step = _step(model, optimizer, strategy, scaled)
    dataset = tf.data.Dataset.from_tensors(BATCH).unbatch().batch(len(BATCH)).repeat(STEPS)
    for i, batch in enumerate(strategy.experimental_distribute_dataset(dataset)):
        take_step(batch, tf.constant(scaled and i == BAD))
    before = _flat(model)
    weights = before
    if average:
        with average.swapped():
            weights = before + _flat(model)
    return {
        "weights": weights,
        "steps": int(optimizer.iterations.numpy()),
        "scale": float(optimizer.loss_scale) if scaled else None,
        "swapped": len(weights) > len(before) and _flat(model) == before,
    }


def _made(name: str, model: tf.keras.Model) -> Any:
    def config(kind: Any) -> OptimizerConfig:
        return OptimizerConfig(name=kind, learning_rate=0.01, clip_norm=0.5, warmup_steps=3)

    if name != "composite":
        return optimizers.create(config(name))

    def table() -> list[tf.Variable]:
        return model.trainable_variables[:1]

    def rest() -> list[tf.Variable]:
        return model.trainable_variables[1:]

    parts = [optimizers.create_part(config(kind)) for kind in ("adagrad", "adamw")]
    return CompositeOptimizer(list(zip(parts, (table, rest), strict=True)))


def _step(
    model: tf.keras.Model, optimizer: Any, strategy: tf.distribute.Strategy, scaled: bool
) -> Any:
    def replica(inputs: tf.Tensor, bad: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(inputs) - 1.0) ** 2) / strategy.num_replicas_in_sync
            if scaled:
                loss = optimizer.get_scaled_loss(loss)
        gradients = tape.gradient(loss, model.trainable_variables)
        if scaled:
            gradients = optimizer.get_unscaled_gradients(gradients)
        # In one replica only: the others must leave the step out too.
        context = tf.distribute.get_replica_context()
        first = tf.equal(context.replica_id_in_sync_group, 0)
        gradients[-1] += tf.where(tf.logical_and(bad, first), np.inf, 0.0)
        optimizer.apply_gradients(list(zip(gradients, model.trainable_variables, strict=True)))

    def step(inputs: Any, bad: tf.Tensor) -> None:
        strategy.run(replica, args=(inputs, bad))

    return tf.function(step, autograph=False)


def _flat(model: tf.keras.Model) -> list[float]:
    return [float(x) for value in model.trainable_variables for x in value.numpy().ravel()]


if __name__ == "__main__":
    main()
