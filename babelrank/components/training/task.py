"""The interface between a task (model, inputs, losses, metrics) and the training engine.

The semantics are those of `tfm.core.base_task.Task` (TensorFlow Model Garden 2.16), so that a
task of ours runs in the Model Garden's trainer and the other way round. All steps are written
as one replica sees them; the loop runs them through `strategy.run`.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import optimization, optimizers, warm_start
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.rows import Rows


class Task(tf.Module, metaclass=abc.ABCMeta):
    """What is trained and how it is judged.

    Args:
        params: Configuration of the task. `initialize` reads its `warm_start` or
            `init_checkpoint`, if any.
        logging_dir: Directory for what the task itself wants to write.
        name: Name of the module.

    Attributes:
        loss: Key of the loss in the logs of a step.
        best_metric: Name of the eval metric that picks the best checkpoint.
        best_metric_mode: "max" if a larger value of it is better, or "min".
        started: What `initialize` took from an earlier model, if it was asked to.
    """

    loss = "loss"
    best_metric: str = "loss"
    best_metric_mode: str = "min"

    def __init__(
        self, params: Any, logging_dir: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self._task_config = params
        self._logging_dir = logging_dir
        self.started: warm_start.WarmStart | None = None

    @property
    def task_config(self) -> Any:
        """The configuration that the task was made with."""
        return self._task_config

    @property
    def logging_dir(self) -> str | None:
        """Directory for what the task itself writes, or None."""
        return self._logging_dir

    @classmethod
    def create_optimizer(
        cls,
        optimizer_config: Any,
        runtime_config: Any = None,
        dp_config: Any = None,
    ) -> Any:
        """Makes the optimizer of the task.

        Args:
            optimizer_config: One optimizer, or the training configuration, whose `optimizer`
                is taken, whose `steps` is where a decaying learning rate ends, and whose
                `ema_decay` adds averages of the weights; or an `OptimizationConfig`.
            runtime_config: A `RuntimeConfig`, or anything with `mixed_precision_dtype`; "float16"
                adds loss scaling.
            dp_config: A `DifferentialPrivacyConfig`, or anything with `clipping_norm` and
                `noise_multiplier`: the optimizer then takes only the gradients that our training
                loop made private; see `PrivateOptimizer`.

        Raises:
            ConfigError: A decaying learning rate has no last step, or something is asked for that
                we do not make.
        """
        ema_decay = None
        if optimization.is_optimization_config(optimizer_config):
            optimizer = optimization.create(optimizer_config)
        elif isinstance(optimizer_config, TrainingConfig):
            optimizer = optimizers.create(optimizer_config.optimizer, optimizer_config.steps)
            ema_decay = optimizer_config.ema_decay
        else:
            optimizer = optimizers.create(optimizer_config)
        return optimizers.wrap(optimizer, runtime_config, dp_config, ema_decay)

    def metric_mode(self, name: str) -> str:
        """Whether a larger ("max") or a smaller ("min") value of an eval metric is better.

        Raises:
            ConfigError: Neither is known to be better.
        """
        if name == self.best_metric:
            return self.best_metric_mode
        if name == self.loss:
            return "min"
        raise ConfigError(
            f"early_stopping.metric: got {name!r}; takes {self.best_metric} or {self.loss}."
        )

    def rows(self, model: tf.keras.Model) -> Sequence[Rows]:
        """What the rows of the model's embedding tables stand for; here: no tables."""
        return ()

    def initialize(self, model: tf.keras.Model) -> None:
        """Gives a new model the weights that it starts from; does nothing when none are named.

        Not called when training resumes. `task_config.warm_start`, a `warm_start.Request`, matches
        rows by what they stand for; `started` then tells what came of it.
        `task_config.init_checkpoint` takes all weights as they are; there a directory stands for
        its newest checkpoint.

        Raises:
            ConfigError: There is no checkpoint, or both are named.
            ModelError: No weight of the other model fits this one.
        """
        request: warm_start.Request | None = getattr(self.task_config, "warm_start", None)
        path = getattr(self.task_config, "init_checkpoint", None)
        if request is not None:
            if path:
                raise ConfigError(
                    f"init_checkpoint: got {path} beside warm_start; takes one of the two."
                )
            self.started = warm_start.begin(model, self.rows(model), request)
        if not path:
            return
        if tf.io.gfile.isdir(path):
            newest = tf.train.latest_checkpoint(path)
            if newest is None:
                raise ConfigError(
                    f"init_checkpoint: {path} holds no checkpoint; takes a checkpoint file, a "
                    f"directory with one, or null."
                )
            path = newest
        items = getattr(model, "checkpoint_items", None) or {"model": model}
        status = tf.train.Checkpoint(**items).read(path)
        status.expect_partial().assert_existing_objects_matched()

    def build_model(self) -> tf.keras.Model:
        """Makes the model, with random weights."""
        raise NotImplementedError(f"{type(self).__name__} has no model: write build_model().")

    def bind_optimizer(self, optimizer: Any, model: tf.keras.Model) -> None:
        """Tells an optimizer of `create_optimizer` which model it is for, before the first step.

        Only optimizers that treat some variables otherwise than others have to know.
        """

    @abc.abstractmethod
    def build_inputs(
        self, params: Any, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Makes a dataset of batches from a data configuration."""

    def build_losses(
        self, labels: Any, model_outputs: Any, aux_losses: Sequence[tf.Tensor] | None = None
    ) -> tf.Tensor:
        """The total loss [] of a batch. Here only the sum of `aux_losses` (`model.losses`)."""
        return tf.add_n(aux_losses) if aux_losses else tf.constant(0.0, tf.float32)

    def count(self, inputs: Any) -> tf.Tensor:
        """What the loss of a batch is a mean over, float32 []: here its examples.

        The engine weighs the parts of a batch by it.
        """
        return tf.cast(tf.shape(tf.nest.flatten(inputs)[0])[0], tf.float32)

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """Makes the streaming metrics of training or of validation."""
        return []

    def process_metrics(
        self, metrics: Sequence[Any], labels: Any, model_outputs: Any, **kwargs: Any
    ) -> None:
        """Updates the metrics that `build_metrics` made with one batch."""
        for metric in metrics:
            metric.update_state(labels, model_outputs)

    def process_compiled_metrics(
        self, compiled_metrics: Any, labels: Any, model_outputs: Any
    ) -> None:
        """Updates the metrics of `model.compile` with one batch."""
        compiled_metrics.update_state(labels, model_outputs)

    def train_step(
        self,
        inputs: Any,
        model: tf.keras.Model,
        optimizer: Any,
        metrics: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Takes one step on one batch of one replica.

        Args:
            inputs: `(features, labels)`, or features that are their own labels.
            model: The model.
            optimizer: The optimizer; a `LossScaleOptimizer` is handled.
            metrics: What `build_metrics` made.

        Returns:
            Logs: the unscaled loss of this replica's batch and, for a compiled model, the metrics.
        """
        features, labels = _split(inputs)
        with tf.GradientTape() as tape:
            outputs = model(features, training=True)
            if model.compiled_loss:
                loss = model.compiled_loss(labels, outputs, regularization_losses=model.losses)
                loss += self.build_losses(labels=labels, model_outputs=outputs, aux_losses=None)
            else:
                loss = self.build_losses(
                    labels=labels, model_outputs=outputs, aux_losses=model.losses
                )
            target = self._scaled(loss, optimizer)
        self._apply(tape, target, model, optimizer)
        return self._logs(loss, labels, outputs, model, metrics)

    def validation_step(
        self, inputs: Any, model: tf.keras.Model, metrics: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """Judges one batch of one replica; arguments and logs as in `train_step`."""
        features, labels = _split(inputs)
        outputs = self.inference_step(features, model)
        loss = self.build_losses(labels=labels, model_outputs=outputs, aux_losses=model.losses)
        return self._logs(loss, labels, outputs, model, metrics)

    def inference_step(self, inputs: Any, model: tf.keras.Model) -> Any:
        """The outputs of the model for a batch of features."""
        return model(inputs, training=False)

    def aggregate_logs(self, state: Any = None, step_outputs: Any = None) -> Any:
        """Adds the logs of one validation step to the state (None at first) and returns it.

        Args:
            state: What the last call returned.
            step_outputs: Logs of `validation_step`; each value may be a tuple over replicas.
        """
        return None

    def reduce_aggregated_logs(
        self, aggregated_logs: Any, global_step: Any = None
    ) -> dict[str, Any]:
        """Turns what `aggregate_logs` collected over a validation into metrics."""
        return {}

    def _scaled(self, loss: tf.Tensor, optimizer: Any) -> tf.Tensor:
        """The loss to differentiate: gradients are summed over replicas in the optimizer."""
        scaled = loss / tf.distribute.get_strategy().num_replicas_in_sync
        if hasattr(optimizer, "get_scaled_loss"):  # or what stands in for a LossScaleOptimizer
            scaled = optimizer.get_scaled_loss(scaled)
        return scaled

    def _apply(
        self, tape: tf.GradientTape, target: tf.Tensor, model: tf.keras.Model, optimizer: Any
    ) -> None:
        variables = model.trainable_variables
        gradients = tape.gradient(target, variables)
        if hasattr(optimizer, "get_unscaled_gradients"):
            gradients = optimizer.get_unscaled_gradients(gradients)
        optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))

    def _logs(
        self,
        loss: tf.Tensor,
        labels: Any,
        outputs: Any,
        model: tf.keras.Model,
        metrics: Sequence[Any] | None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        logs = {self.loss: loss}
        if metrics:
            self.process_metrics(metrics, labels, outputs, **kwargs)
        if model.compiled_metrics:
            self.process_compiled_metrics(model.compiled_metrics, labels, outputs)
            logs.update({metric.name: metric.result() for metric in metrics or []})
            logs.update({metric.name: metric.result() for metric in model.metrics})
        return logs


def _split(inputs: Any) -> tuple[Any, Any]:
    if isinstance(inputs, tuple) and len(inputs) == 2:
        return inputs
    return inputs, inputs
