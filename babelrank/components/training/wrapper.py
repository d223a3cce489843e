"""An optimizer around another one, and how to look through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

_legacy = tf.keras.optimizers.legacy


class Wrapper(tf.keras.optimizers.legacy.Optimizer):  # type: ignore[misc]
    """An optimizer that lets another one do the work.

    It is one of `tf.keras.optimizers.legacy`, so that a `LossScaleOptimizer` takes it; the inner
    one may be legacy or not. Step count and learning rate are those of the inner one.

    Args:
        optimizer: The inner optimizer.
        name: Name of the optimizer.
    """

    _HAS_AGGREGATE_GRAD = True  # `apply_gradients` takes experimental_aggregate_gradients

    def __init__(self, optimizer: Any, name: str) -> None:
        super().__init__(name)
        self._inner = optimizer
        self._track_trackable(optimizer, "inner_optimizer")

    @property
    def inner_optimizer(self) -> Any:
        """The optimizer that does the work."""
        return self._inner

    def apply_gradients(
        self,
        grads_and_vars: Any,
        name: str | None = None,
        experimental_aggregate_gradients: bool = True,
    ) -> Any:
        """Lets the inner optimizer take a step.

        Returns:
            The number of steps taken so far, this one included; in a graph the operation that
            counts.
        """
        result = self._inner.apply_gradients(
            list(grads_and_vars),
            name=name,
            experimental_aggregate_gradients=experimental_aggregate_gradients,
        )
        if tf.executing_eagerly() or isinstance(result, tf.Operation):
            return result
        # Newer optimizers return each replica's count; `LossScaleOptimizer` takes one operation.
        return tf.__internal__.distribute.interim.maybe_merge_call(
            lambda strategy: tf.no_op(), tf.distribute.get_strategy()
        )

    @property
    def iterations(self) -> Any:
        """Number of steps taken."""
        return self._inner.iterations

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        self._inner.iterations = variable

    @property
    def learning_rate(self) -> Any:
        """Learning rate of the inner optimizer, if it has one."""
        return self._inner.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self._inner.learning_rate = rate

    @property
    def weights(self) -> list[tf.Variable]:
        """The variables of the inner optimizer, then its own."""
        held = self._inner.variables  # a method or a list, as the optimizer is old or new
        return [*(held() if callable(held) else held), *self._weights]

    def variables(self) -> list[tf.Variable]:
        """See `weights`."""
        return self.weights

    def _create_all_weights(self, var_list: Sequence[tf.Variable]) -> None:
        create_state(self._inner, var_list)

    def get_config(self) -> dict[str, Any]:
        """Name and inner optimizer, as Keras serializes it."""
        return {"name": self._name, "optimizer": tf.keras.optimizers.serialize(self._inner)}


def layers(optimizer: Any) -> Iterator[Any]:
    """The optimizer, what it wraps, what that wraps, and so on."""
    while optimizer is not None:
        yield optimizer
        optimizer = getattr(optimizer, "inner_optimizer", None)


def innermost(optimizer: Any) -> Any:
    """The optimizer inside all wrappers, `LossScaleOptimizer` included."""
    *_, last = layers(optimizer)
    return last


def create_state(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Makes the state that an optimizer keeps for variables, where it does not exist yet."""
    if isinstance(optimizer, _legacy.Optimizer):
        optimizer._create_all_weights(variables)
    else:
        optimizer.build(variables)
