"""Moving averages of the weights, kept by an optimizer around another one.

Keras's own averages (`use_ema`) have no dynamic decay and are not in its legacy optimizers, and
`tf.train.ExponentialMovingAverage` neither swaps its averages nor puts them into checkpoints.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.wrapper import Wrapper

_SLOT = "average"


class ExponentialMovingAverage(Wrapper):
    """Averages the trainable weights: `average = d * average + (1 - d) * weight` after each step.

    The contract of the Model Garden's optimizer of this name. With t steps taken since
    `start_step`, d is `average_decay`, with dynamic decay `min(average_decay, (1 + t) / (10 + t))`
    as in `tf.train.ExponentialMovingAverage`, and before `start_step` 0: the average is the
    weight. Steps that a `LossScaleOptimizer` skips are not averaged. Make it in the scope of the
    strategy, as other optimizers.

    Args:
        optimizer: The optimizer that changes the weights.
        average_decay: Decay d, 0 <= d < 1.
        start_step: Step from which on there are averages.
        dynamic_decay: Smaller decays for the first steps.
        name: Name of the optimizer.

    Raises:
        ConfigError: A decay out of its range, or `optimizer` has averages already.
    """

    def __init__(
        self,
        optimizer: Any,
        average_decay: float = 0.99,
        start_step: int = 0,
        dynamic_decay: bool = True,
        name: str = "ExponentialMovingAverage",
    ) -> None:
        if not 0 <= average_decay < 1:
            raise ConfigError(f"average_decay: got {average_decay}; takes 0 <= x < 1.")
        super().__init__(optimizer, name)
        self.average_decay, self.start_step = average_decay, start_step
        self.dynamic_decay = dynamic_decay
        self._averaged: Sequence[tf.Variable] | None = None

    def shadow_copy(self, model: tf.keras.Model) -> None:
        """Makes the averages of the model's trainable weights, or sets them to these weights.

        Call it before the first step, again after loading weights into the model, and not after
        restoring a checkpoint that holds averages.
        """
        self._averaged = list(model.trainable_variables)
        for variable in self._averaged:
            self.add_slot(variable, _SLOT, initializer=variable)
        with self._distribution_strategy_scope():
            for variable in self._averaged:
                _update(self.get_slot(variable, _SLOT), _assign, variable)

    @property
    def has_shadow_copy(self) -> bool:
        """Whether `shadow_copy` was called."""
        return self._averaged is not None

    def apply_gradients(
        self,
        grads_and_vars: Any,
        name: str | None = None,
        experimental_aggregate_gradients: bool = True,
    ) -> Any:
        """Lets the inner optimizer take a step, then moves the averages.

        Raises:
            ValueError: `shadow_copy` was not called. The Model Garden's trainer calls that of its
                own class only.
        """
        variables = self._known()
        result = super().apply_gradients(grads_and_vars, name, experimental_aggregate_gradients)
        tf.__internal__.distribute.interim.maybe_merge_call(
            lambda strategy: self._move(variables), tf.distribute.get_strategy()
        )
        return result

    def _known(self) -> Sequence[tf.Variable]:
        if self._averaged is None:
            raise ValueError(
                "the averages of the weights do not exist; call shadow_copy(model) before the "
                "first step."
            )
        return self._averaged

    def _move(self, variables: Sequence[tf.Variable]) -> None:
        rest = 1.0 - self._decay()

        def move(average: tf.Variable, weight: Any) -> Any:
            difference = tf.convert_to_tensor(average) - tf.convert_to_tensor(weight)
            return average.assign_sub(tf.cast(rest, average.dtype) * difference)

        for variable in variables:
            _update(self.get_slot(variable, _SLOT), move, variable)

    def _decay(self) -> tf.Tensor:
        """The decay [] of the step that was just taken."""
        decay = tf.constant(self.average_decay, tf.float32)
        since = tf.cast(self.iterations - self.start_step, tf.float32)
        if self.dynamic_decay:
            decay = tf.minimum(decay, (1.0 + since) / (10.0 + tf.maximum(since, 0.0)))
        return tf.where(since < 0, 0.0, decay)

    def swap_weights(self) -> None:
        """Exchanges the weights of the model and the averages, outside of `strategy.run`.

        Twice gives the weights back, bit for bit.

        Raises:
            ValueError: `shadow_copy` was not called, or a replica is running.
        """
        variables = self._known()
        if tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context():
            raise ValueError("swap_weights: called in a replica; call it outside of strategy.run.")
        with self._distribution_strategy_scope():
            for variable in variables:
                _update(variable, _swap, self.get_slot(variable, _SLOT))

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """The model has the averages for weights inside a `with`, also when that fails."""
        self.swap_weights()
        try:
            yield
        finally:
            self.swap_weights()

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, the optimizer as Keras serializes it."""
        return {
            **super().get_config(),
            "average_decay": self.average_decay,
            "start_step": self.start_step,
            "dynamic_decay": self.dynamic_decay,
        }


def _update(variable: tf.Variable, change: Any, other: tf.Variable) -> None:
    """Runs `change(variable, other)` on each device that holds them."""
    strategy = tf.distribute.get_strategy()
    strategy.extended.update(variable, change, args=(other,), group=False)


def _assign(variable: tf.Variable, value: Any) -> Any:
    return variable.assign(value)


def _swap(variable: tf.Variable, other: tf.Variable) -> Any:
    held = tf.identity(variable)
    changed = variable.assign(other)
    with tf.control_dependencies([held]):
        other.assign(held)
    return changed
