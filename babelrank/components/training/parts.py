"""Takes one step on a batch part by part, between the task's gradients and the optimizer.

Several parts run one after another in a loop of the graph, so that only one of them is in memory:
gradient accumulation, or the examples of private training.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from babelrank.components.training import dropout
from babelrank.components.training.replicas import alone, shared
from babelrank.components.training.task import Task

Gradients = list[tf.Tensor | tf.IndexedSlices | None]


class Collector:
    """Stands in for an optimizer while a part is worked on: it keeps the gradients.

    Args:
        optimizer: What everything but `apply_gradients` is asked from.
    """

    def __init__(self, optimizer: Any) -> None:
        self.inner_optimizer = optimizer
        self._pairs: list[tuple[Any, tf.Variable]] = []

    def apply_gradients(self, grads_and_vars: Any, **_: Any) -> None:
        """Keeps the gradients."""
        self._pairs = list(grads_and_vars)

    def of(self, variables: Sequence[tf.Variable]) -> Gradients:
        """The gradients that were kept last, for these variables."""
        found = {variable.ref(): gradient for gradient, variable in self._pairs}
        return [found.get(variable.ref()) for variable in variables]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner_optimizer, name)


class Plan(abc.ABC):
    """How a batch is divided, and what is done with the gradients of the parts."""

    @abc.abstractmethod
    def parts(self, inputs: Any) -> tf.Tensor | int:
        """Number of parts of a replica's batch."""

    @abc.abstractmethod
    def weight(self, task: Task, part: Any, whole: tf.Tensor) -> tf.Tensor:
        """What the loss of a part counts for in that of the step, [].

        Args:
            task: The task.
            part: The part.
            whole: Mean over the replicas of what `task.count` says of their batches, [].
        """

    @abc.abstractmethod
    def taken(self, gradients: Gradients, weight: tf.Tensor) -> Gradients:
        """What a part's gradients add to the sum over the parts."""

    def number(self, number: tf.Tensor, count: tf.Tensor | int, i: tf.Tensor) -> tf.Tensor:
        """The number of part i of `count` from that of the batch; see `dropout.numbered`."""
        return number * tf.cast(count, tf.int64) + tf.cast(i, tf.int64)

    def total(self, sums: Gradients, step: tf.Tensor) -> Gradients:
        """What the optimizer gets, from the sums over the parts; it adds up the replicas'."""
        del step
        return sums

    def apply(self, optimizer: Any, pairs: list[tuple[Any, tf.Variable]]) -> None:
        """Gives the optimizer the gradients and their variables."""
        optimizer.apply_gradients(pairs)


class Parts(Plan):
    """Equal parts; the step is the same as on the whole batch, but for rounding.

    Sums of several parts are dense: an optimizer that treats the rows of a table that a batch does
    not use as absent (weight decay of AdamW; RMSprop), or clips by a norm in which a row that is
    used twice counts twice, takes a slightly other step.

    Args:
        count: Number of parts.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def parts(self, inputs: Any) -> int:
        """See `Plan`."""
        return self._count

    def weight(self, task: Task, part: Any, whole: tf.Tensor) -> tf.Tensor:
        """See `Plan`: the part's share of the examples or tokens."""
        return tf.math.divide_no_nan(task.count(part), whole)

    def taken(self, gradients: Gradients, weight: tf.Tensor) -> Gradients:
        """See `Plan`."""
        return [None if g is None else _scaled(g, weight) for g in gradients]


@dataclass(frozen=True)
class Work:
    """What is done on each part.

    Attributes:
        task: What is trained.
        model: The model.
        optimizer: Gets the sum of the gradients once a step.
        metrics: Streaming metrics of the training.
        plan: How batches are divided.
        xla: Compile loss and gradients with XLA, for each shape of a part.
    """

    task: Task
    model: tf.keras.Model
    optimizer: Any
    metrics: Sequence[Any]
    plan: Plan
    xla: bool = False

    def step(self, inputs: Any, step: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """One step of one replica.

        Args:
            inputs: The replica's batch; all its tensors have the examples as first axis.
            step: Steps taken before, int64 [].
            number: int64 [], another for each step and replica; see `dropout.numbered`.

        Returns:
            The replica's loss [], such that the mean over the replicas is that of the batch.
        """
        whole = shared(self.task.count(inputs))
        count = self.plan.parts(inputs)
        if isinstance(count, int) and count == 1:
            loss, gradients = self._on_part(inputs, whole, number)
        else:
            loss, gradients = self._on_parts(inputs, count, whole, number)
        pairs = zip(self.plan.total(gradients, step), self.model.trainable_variables, strict=True)
        self.plan.apply(self.optimizer, list(pairs))
        return loss

    def _on_parts(
        self, inputs: Any, count: tf.Tensor | int, whole: tf.Tensor, number: tf.Tensor
    ) -> tuple[tf.Tensor, Gradients]:
        """Loss and gradients of a batch, summed up in a loop; all gradients are dense."""
        missing: set[int] = set()

        def add(i: tf.Tensor, loss: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            part = tf.nest.map_structure(_rows(i, count), inputs)
            of_part = self.plan.number(number, count, i)
            of_loss, gradients = self._on_part(part, whole, of_part)
            missing.update(k for k, gradient in enumerate(gradients) if gradient is None)
            added = [_sum(s, g) for s, g in zip(sums, gradients, strict=True)]
            return (i + 1, loss + of_loss, *added)

        zeros = [tf.zeros(v.shape, v.dtype) for v in self.model.trainable_variables]
        _, loss, *sums = tf.while_loop(
            lambda i, *_: i < count,
            add,
            (tf.constant(0), tf.constant(0.0), *zeros),
            parallel_iterations=1,
        )
        return loss, [None if k in missing else total for k, total in enumerate(sums)]

    def _on_part(
        self, part: Any, whole: tf.Tensor, number: tf.Tensor
    ) -> tuple[tf.Tensor, Gradients]:
        weight = self.plan.weight(self.task, part, whole)
        function = tf.function(self._calculate, jit_compile=True) if self.xla else self._calculate
        loss, gradients = function(part, number)
        return loss * weight, self.plan.taken(gradients, weight)

    def _calculate(self, part: Any, number: tf.Tensor) -> tuple[tf.Tensor, Gradients]:
        collector = Collector(self.optimizer)
        with alone(), dropout.numbered(number):
            logs = self.task.train_step(part, self.model, collector, self.metrics)
        gradients = collector.of(self.model.trainable_variables)
        return tf.cast(logs[self.task.loss], tf.float32), gradients


def _scaled(gradient: tf.Tensor | tf.IndexedSlices, weight: tf.Tensor) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            gradient.values * weight, gradient.indices, dense_shape=gradient.dense_shape
        )
    return gradient * weight


def _sum(total: tf.Tensor, gradient: tf.Tensor | tf.IndexedSlices | None) -> tf.Tensor:
    if gradient is None:
        return total
    if isinstance(gradient, tf.IndexedSlices):  # without a dense copy of it
        return tf.tensor_scatter_nd_add(total, gradient.indices[:, None], gradient.values)
    return total + gradient


def _rows(i: tf.Tensor, count: tf.Tensor | int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Cuts part i of `count` out of a tensor; of a static shape, where all parts have one."""

    def cut(values: tf.Tensor) -> tf.Tensor:
        rows = values.shape[0]
        if rows is not None and isinstance(count, int) and rows % count == 0:
            return tf.reshape(values, [count, rows // count, *values.shape[1:]])[i]
        size = tf.shape(values)[0]
        return values[size * i // count : size * (i + 1) // count]

    return cut
