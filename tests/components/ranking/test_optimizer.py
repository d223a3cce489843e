"""The optimizer of a ranking task, and what is wrapped around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.ranking.config import EmbeddingOptimizerConfig, RankingTrainingConfig
from babelrank.components.ranking.task import RankingOptimizer, RankingTask
from babelrank.components.training import optimizers
from babelrank.components.training.config import OptimizerConfig, PrivacyConfig
from babelrank.components.training.runtime_config import RuntimeConfig
from babelrank.components.training.wrapper import innermost

FLOAT16 = RuntimeConfig(mixed_precision_dtype="float16")


class Model(tf.keras.Model):
    """A table and a dense layer, with the two lists of variables of a ranking model."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.keras.layers.Embedding(4, 2)
        self.top = tf.keras.layers.Dense(1)
        self(tf.constant([0]))
        self.table.set_weights([np.ones([4, 2])])
        self.top.set_weights([np.ones([2, 1]), np.zeros([1])])

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.top(self.table(inputs))

    @property
    def embedding_trainable_variables(self) -> list[tf.Variable]:
        return self.table.trainable_variables

    @property
    def dense_trainable_variables(self) -> list[tf.Variable]:
        return self.top.trainable_variables


def config(**changes: Any) -> RankingTrainingConfig:
    return RankingTrainingConfig(
        optimizer=OptimizerConfig(name="sgd", learning_rate=0.5),
        embedding_optimizer=EmbeddingOptimizerConfig(name="sgd", learning_rate=0.25),
        **changes,
    )


def step(model: Model, optimizer: Any) -> None:
    innermost(optimizer).bind(model)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.constant([1, 1])))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(list(zip(gradients, model.trainable_variables, strict=True)))


@pytest.mark.parametrize("runtime", [None, FLOAT16])
@pytest.mark.parametrize("ema_decay", [None, 0.05])
def test_both_parts_train_in_all_wrappings(runtime: Any, ema_decay: float | None) -> None:
    optimizer = RankingTask.create_optimizer(config(ema_decay=ema_decay), runtime)
    assert isinstance(innermost(optimizer), RankingOptimizer)
    model = Model()
    average = optimizers.average_of(optimizer)
    assert (average is None) == (ema_decay is None)
    if average:
        average.shadow_copy(model)
    step(model, optimizer)
    # Row 1 was used twice: 1 - 0.25 * 2; the bias has the gradient 2.
    np.testing.assert_allclose(model.table.embeddings[:, 0], [1, 0.5, 1, 1])
    np.testing.assert_allclose(model.top.bias, [-1.0])
    if average:
        with average.swapped():
            rows = model.table.embeddings[:, 0]
            np.testing.assert_allclose(rows, [1, 0.05 + 0.95 * 0.5, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("runtime", [None, FLOAT16])
@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_a_checkpoint_restores_all_wrappings(
    runtime: Any, ema_decay: float | None, tmp_path: Path
) -> None:
    def made() -> tuple[Model, Any]:
        both = RankingTrainingConfig(ema_decay=ema_decay)  # Adagrad and Adam, which have state
        optimizer, model = RankingTask.create_optimizer(both, runtime), Model()
        average = optimizers.average_of(optimizer)
        if average:
            average.shadow_copy(model)
        return model, optimizer

    model, optimizer = made()
    step(model, optimizer)
    path = tf.train.Checkpoint(optimizer=optimizer, model=model).write(str(tmp_path / "c"))
    step(model, optimizer)
    again, other = made()
    status = tf.train.Checkpoint(optimizer=other, model=again).read(path)
    step(again, other)
    status.assert_consumed()
    assert int(other.iterations) == 2
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    average, average_again = optimizers.average_of(optimizer), optimizers.average_of(other)
    if average and average_again:
        with average.swapped(), average_again.swapped():
            for a, b in zip(model.weights, again.weights, strict=True):
                np.testing.assert_array_equal(a, b)


def test_privacy_takes_one_optimizer_for_all_variables() -> None:
    made = RankingTask.create_optimizer(config(), dp_config=PrivacyConfig())
    inner = innermost(made)
    assert type(inner) is tf.keras.optimizers.legacy.SGD
    assert float(inner.learning_rate) == 0.5


@pytest.mark.parametrize("key", ["optimizer", "embedding_optimizer"])
def test_adafactor_is_no_part(key: str) -> None:
    cls = {"optimizer": OptimizerConfig, "embedding_optimizer": EmbeddingOptimizerConfig}[key]
    with pytest.raises(ConfigError, match=f"^{key}.name: got adafactor, which cannot be one"):
        RankingTrainingConfig(**{key: cls(name="adafactor")})


def test_adafactor_may_be_the_only_one() -> None:
    """Private training has one optimizer for all variables."""
    adafactor = OptimizerConfig(name="adafactor")
    config = RankingTrainingConfig(optimizer=adafactor, privacy=PrivacyConfig())
    optimizer = RankingTask.create_optimizer(config, None, config.privacy)
    assert isinstance(innermost(optimizer), tf.keras.optimizers.Adafactor)
