"""The compiled steps of a training, over all replicas."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import dropout, optimizers, parts, precision
from babelrank.components.training import strategy as strategies
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.inputs import BatchSource, Portion
from babelrank.components.training.runtime_config import RuntimeConfig
from babelrank.components.training.task import Task


class Steps:
    """What a strategy makes of a task.

    Args:
        task: What is trained.
        config: How.
        strategy: Where.
        total: Steps of the whole training.
        varied: Whether nearly every training batch has a shape of its own.
        plan: How batches are divided into parts; None: they are not.

    Attributes:
        model: The model.
        optimizer: The optimizer.
        metrics: Streaming metrics of the training.
        eval_metrics: Streaming metrics of the validation.
        step: Steps taken, an int64 variable.

    Raises:
        ConfigError: XLA is asked for where it cannot be used.
    """

    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        strategy: tf.distribute.Strategy,
        total: int,
        varied: bool,
        plan: parts.Plan | None = None,
    ) -> None:
        self._task, self._strategy = task, strategy
        if config.xla and varied:
            raise ConfigError(
                "xla: got true, but every batch has a shape of its own, and each would be "
                "compiled; takes batches of one shape, or false."
            )
        tf.keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        numbers = precision.resolve(config.precision)
        with strategy.scope():
            with precision.policy(numbers):
                self.model = task.build_model()
            self.optimizer = task.create_optimizer(
                dataclasses.replace(config, steps=total),
                RuntimeConfig(mixed_precision_dtype=numbers),
                config.privacy,
            )
            task.bind_optimizer(self.optimizer, self.model)
            if self.model.built:
                optimizers.create_slots(self.optimizer, self.model.trainable_variables)
            self._average = optimizers.average_of(self.optimizer)
            self.start_average()
            self.metrics = task.build_metrics(training=True)
            self.eval_metrics = task.build_metrics(training=False)
            self.step = tf.Variable(
                0,
                dtype=tf.int64,
                trainable=False,
                name="step",
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
        if plan is None and (config.accumulation > 1 or config.xla):
            plan = parts.Parts(config.accumulation)
        self._work: parts.Work | None = None
        if plan is not None:
            self._work = parts.Work(
                task, self.model, self.optimizer, self.metrics, plan, config.xla
            )
        self._compiled: dict[str, Any] = {}
        self._look_at_metrics = tf.function(self._results, autograph=False)
        self._look_at_weights = tf.function(self._finite, autograph=False)

    def train(self, batches: Iterator[Any], count: int) -> tf.Tensor:
        """Takes `count` steps on the next batches; the losses, [count]."""
        if count == 1:
            return self._run("train", self._train_one, next(batches))
        many = self._compiled.setdefault("many", tf.function(self._train_many, autograph=False))
        return many(batches, tf.constant(count))

    def validate(self, batch: Any) -> tuple[tf.Tensor, Any]:
        """Judges a batch: its loss [], and the logs of each replica of this worker."""
        loss, logs = self._run("eval", self._validate_one, batch)
        return loss, tf.nest.map_structure(self._strategy.experimental_local_results, logs)

    def batches(
        self,
        name: str,
        source: BatchSource,
        epoch: int = 0,
        start: int = 0,
        epochs: int | None = 1,
        without: Sequence[int] = (),
    ) -> Any:
        """The batches of a source, each divided over the replicas; see `BatchSource.dataset`.

        Args:
            name: "train" or "eval": which step will take them.
            source: The batches.
            epoch: First epoch.
            start: First batch in that epoch.
            epochs: Number of epochs; None: without end.
            without: Batches to leave out.

        Raises:
            ConfigError: The devices need batches of one shape, and these are not.
        """

        def part(context: tf.distribute.InputContext | None) -> tf.data.Dataset:
            return source.dataset(epoch, start, epochs, Portion.of(context), without)

        distributed = self._distributed(part)
        if strategies.needs_static_shapes(self._strategy):
            check_shapes(distributed.element_spec, self._strategy.num_replicas_in_sync)
        # A trace for each shape is faster than one for all, unless there are many.
        if source.varied:
            self._compiled.setdefault(f"{name} signature", [distributed.element_spec])
        return distributed

    def _distributed(
        self, part: Callable[[tf.distribute.InputContext | None], tf.data.Dataset]
    ) -> Any:
        """The batches of all replicas, from those of an input pipeline."""
        return self._strategy.distribute_datasets_from_function(part)

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """Within, the model has the average of its weights, if that is kept."""
        return contextlib.nullcontext() if self._average is None else self._average.swapped()

    def start_average(self) -> None:
        """The average begins with the weights that the model has now."""
        if self._average is not None:
            self._average.shadow_copy(self.model)

    def keep_average(self) -> None:
        """Gives the model the average of its weights for good, if that is kept."""
        if self._average is not None:
            self._average.swap_weights()

    def streaming(self) -> dict[str, float]:
        """The streaming metrics of the training since the last call, by name."""
        if not self.metrics:
            return {}
        # Compiled: the workers of a training exchange each variable by itself otherwise.
        results = self._look_at_metrics()
        for metric in self.metrics:
            metric.reset_state()
        return {
            metric.name: float(result) for metric, result in zip(self.metrics, results, strict=True)
        }

    def _results(self) -> list[tf.Tensor]:
        return [metric.result() for metric in self.metrics]

    def finite(self) -> bool:
        """Whether all trained weights are finite numbers."""
        return bool(self._look_at_weights())

    def _finite(self) -> tf.Tensor:
        # A sum is infinite or no number if one of its terms is.
        sums = [tf.reduce_sum(tf.cast(v, tf.float32)) for v in self.model.trainable_variables]
        return tf.reduce_all(tf.math.is_finite(tf.stack(sums)))

    def _run(self, name: str, step: Callable[[Any], Any], batch: Any) -> Any:
        if name not in self._compiled:
            signature = self._compiled.get(f"{name} signature")
            self._compiled[name] = tf.function(step, input_signature=signature, autograph=False)
        return self._compiled[name](batch)

    def _train_one(self, batch: Any) -> tf.Tensor:
        loss = self._take(batch, self.step.read_value())
        self.step.assign_add(1)
        return tf.reshape(loss, [1])

    def _take(self, batch: Any, step: tf.Tensor) -> tf.Tensor:
        """Takes the step after `step` others; its loss, []."""
        replicas = self._strategy.num_replicas_in_sync

        def replica_step(inputs: Any) -> Any:
            context = tf.distribute.get_replica_context()
            replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
            return self._train_replica(inputs, step, step * replicas + replica)

        losses = self._strategy.run(replica_step, args=(batch,))
        loss: tf.Tensor = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)
        return loss

    def _train_replica(self, inputs: Any, step: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        if self._work is not None:
            return self._work.step(inputs, step, number)
        task = self._task
        with dropout.numbered(number):
            return task.train_step(inputs, self.model, self.optimizer, self.metrics)[task.loss]

    def _train_many(self, batches: Any, count: tf.Tensor) -> tf.Tensor:
        def one(i: tf.Tensor, losses: Any) -> tuple[tf.Tensor, Any]:
            return i + 1, losses.write(i, self._train_one(next(batches))[0])

        empty = tf.TensorArray(tf.float32, size=count)
        _, losses = tf.while_loop(lambda i, _: i < count, one, (0, empty), parallel_iterations=1)
        return losses.stack()

    def _validate_one(self, batch: Any) -> tuple[tf.Tensor, Any]:
        def replica_step(inputs: Any) -> Any:
            return self._task.validation_step(inputs, self.model, self.eval_metrics)

        logs = self._strategy.run(replica_step, args=(batch,))
        losses = logs[self._task.loss]
        return self._strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None), logs


def check_shapes(spec: Any, replicas: int) -> None:
    """Sees that the tensors of a replica's batches all have static shapes.

    Args:
        spec: `element_spec` of the batches.
        replicas: Number of replicas.

    Raises:
        ConfigError: One has not.
    """
    for tensor in tf.nest.flatten(spec, expand_composites=True):
        if not tensor.shape.is_fully_defined():
            raise ConfigError(
                f"strategy: tpu needs batches of one shape that its {replicas} replicas divide "
                f"evenly; got {tensor.shape} for each. Make training.batch_size (ranking) or "
                f"tokens_per_batch // max_length (translation) a multiple of {replicas}."
            )
