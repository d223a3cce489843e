"""The task interface, with a task that fits y = w * x."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import optimizers
from babelrank.components.training.config import OptimizerConfig, TrainingConfig
from babelrank.components.training.task import Task

X, Y = tf.constant([[1.0], [3.0]]), tf.constant([[2.0], [6.0]])


class Linear(Task):
    def build_model(self):
        model = tf.keras.Sequential([tf.keras.layers.Dense(1, use_bias=False)])
        model.build([None, 1])
        model.set_weights([np.array([[1.0]])])
        return model

    def build_inputs(self, params, input_context=None):
        return tf.data.Dataset.from_tensors((X, Y))

    def build_losses(self, labels, model_outputs, aux_losses=None):
        return tf.reduce_mean((labels - model_outputs) ** 2) + super().build_losses(
            labels, model_outputs, aux_losses
        )


def linear(**params):
    return Linear(SimpleNamespace(**params), logging_dir="logs", name="linear")


def test_the_attributes():
    task = linear(x=1)
    assert (task.loss, task.logging_dir, task.name, task.task_config.x) == (
        "loss",
        "logs",
        "linear",
        1,
    )


def test_a_train_step_descends():
    # d/dw mean((2 - w)^2, (6 - 3w)^2) at w = 1 is -(2 + 18) / 2 = -10.
    task, metric = linear(), tf.keras.metrics.MeanAbsoluteError(name="mae")
    model = task.build_model()
    optimizer = task.create_optimizer(OptimizerConfig(name="sgd", learning_rate=0.01))
    logs = task.train_step((X, Y), model, optimizer, [metric])
    assert float(logs["loss"]) == pytest.approx(5.0)
    assert float(metric.result()) == pytest.approx(2.0)
    np.testing.assert_allclose(model.get_weights()[0], [[1.1]], rtol=1e-6)


def test_a_validation_step_changes_nothing():
    task = linear()
    model = task.build_model()
    logs = task.validation_step((X, Y), model)
    assert {name: float(value) for name, value in logs.items()} == {"loss": 5.0}
    np.testing.assert_array_equal(task.inference_step(X, model), [[1.0], [3.0]])


def test_a_compiled_model_gives_its_metrics():
    task = linear()
    model = task.build_model()
    model.compile(loss="mse", metrics=["mae"])
    logs = task.train_step((X, Y), model, tf.keras.optimizers.legacy.SGD(0.0))
    assert float(logs["mae"]) == pytest.approx(2.0)
    assert float(logs["loss"]) == pytest.approx(5.0)


def test_features_alone_are_their_own_labels():
    task = linear()
    model = task.build_model()
    assert float(task.validation_step(X, model)["loss"]) == 0.0


def test_loss_scaling_does_not_change_the_step():
    task = linear()
    model = task.build_model()
    optimizer = task.create_optimizer(
        OptimizerConfig(name="sgd", learning_rate=0.01),
        SimpleNamespace(mixed_precision_dtype="float16"),
    )
    task.train_step((X, Y), model, optimizer)
    np.testing.assert_allclose(model.get_weights()[0], [[1.1]], rtol=1e-6)


def test_the_defaults():
    task = linear()
    assert float(Task.build_losses(task, None, None)) == 0.0
    assert float(Task.build_losses(task, None, None, [tf.constant(1.0), tf.constant(2.0)])) == 3.0
    assert task.build_metrics() == []
    assert task.aggregate_logs(None, {}) is None
    assert task.reduce_aggregated_logs(None) == {}
    assert task.metric_mode("loss") == "min"


def test_an_unknown_metric():
    with pytest.raises(ConfigError, match="early_stopping.metric: got 'bleu'; takes loss"):
        linear().metric_mode("bleu")


def test_the_optimizer_of_a_training_ends_at_its_steps():
    config = TrainingConfig(optimizer=OptimizerConfig(decay="linear", learning_rate=1.0), steps=4)
    optimizer = Linear.create_optimizer(config)
    assert float(optimizer.learning_rate(3)) == 0.25


def test_the_optimizer_of_a_training_averages_the_weights():
    optimizer = Linear.create_optimizer(TrainingConfig(ema_decay=0.75))
    assert optimizers.average_of(optimizer) is optimizer
    assert (optimizer.average_decay, optimizer.dynamic_decay) == (0.75, True)


def test_a_new_model_starts_from_a_checkpoint(tmp_path):
    task = linear()
    trained = task.build_model()
    trained.set_weights([np.array([[7.0]])])
    path = tf.train.Checkpoint(model=trained).save(str(tmp_path / "c"))
    for start in (path, str(tmp_path)):
        model = task.build_model()
        linear(init_checkpoint=start).initialize(model)
        np.testing.assert_array_equal(model.get_weights()[0], [[7.0]])


def test_no_checkpoint_to_start_from(tmp_path):
    model = linear().build_model()
    linear(init_checkpoint=None).initialize(model)
    np.testing.assert_array_equal(model.get_weights()[0], [[1.0]])
    with pytest.raises(ConfigError, match="init_checkpoint: .* holds no checkpoint"):
        linear(init_checkpoint=str(tmp_path)).initialize(model)
