"""Several optimizers as one: each updates its own variables."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from babelrank.components.training import schedules
from babelrank.components.training.adamw import AdamW

Variables = Callable[[], Sequence[tf.Variable]]
_legacy = tf.keras.optimizers.legacy


class CompositeOptimizer(tfrs.experimental.optimizers.CompositeOptimizer):  # type: ignore[misc]
    """One optimizer for some variables, another for the rest.

    TFRS's optimizer, and: it counts its own steps (TFRS takes the first optimizer's count,
    which stands still when that one has no gradients), `apply_gradients` returns the count, a
    shared `iterations` variable is not counted up once per part, and `get_config` works.

    Args:
        optimizers_and_vars: Pairs of a legacy optimizer and a function that returns the
            variables it updates. Every variable must belong to exactly one pair.
        name: Name of the optimizer.

    Raises:
        ValueError: No pairs, or a pair that is no optimizer and function.
    """

    def __init__(
        self, optimizers_and_vars: Sequence[tuple[Any, Variables]], name: str = "CompositeOptimizer"
    ) -> None:
        for i, pair in enumerate(optimizers_and_vars):
            optimizer, variables = pair
            if not isinstance(optimizer, _legacy.Optimizer):
                raise ValueError(
                    f"optimizers_and_vars[{i}]: got {type(optimizer).__name__}; takes an optimizer "
                    f"of tf.keras.optimizers.legacy."
                )
            if not callable(variables):
                raise ValueError(
                    f"optimizers_and_vars[{i}]: got {type(variables).__name__} for the variables; "
                    f"takes a function without arguments that returns them."
                )
        super().__init__(list(optimizers_and_vars), name=name)

    def apply_gradients(
        self,
        grads_and_vars: Any,
        name: str | None = None,
        experimental_aggregate_gradients: bool = True,
    ) -> Any:
        """Lets each optimizer update its variables.

        Returns:
            The number of steps taken so far, this one included; in a graph the operation that
            counts.

        Raises:
            ValueError: No gradients, or a variable that belongs to no or to two optimizers.
        """
        pairs = [(gradient, variable) for gradient, variable in grads_and_vars]
        if not any(gradient is not None for gradient, _ in pairs):
            raise ValueError(
                f"no gradients for any of {len(pairs)} variables; compute the loss from the "
                f"model's outputs inside the tape."
            )
        missing = [variable for gradient, variable in pairs if gradient is None]
        present = [pair for pair in pairs if pair[0] is not None]
        self._check_owned(missing)
        with tf.init_scope():  # variables must not be made in a branch of the graph
            self._create_all_weights([variable for _, variable in present])
        super().apply_gradients(
            present, name=name, experimental_aggregate_gradients=experimental_aggregate_gradients
        )
        # In a graph a `LossScaleOptimizer` takes an operation only, as Keras's optimizers return.
        return self.iterations.assign_add(1, read_value=tf.executing_eagerly())

    def _create_all_weights(self, var_list: Sequence[tf.Variable]) -> None:
        super()._create_all_weights(var_list)
        wanted = {v.ref() for v in var_list}
        for part, variables_of in self._optimizers_and_vars:
            part._create_all_weights([v for v in variables_of() if v.ref() in wanted])

    def _check_owned(self, variables: Sequence[tf.Variable]) -> None:
        owned = {v.ref() for _, variables_of in self._optimizers_and_vars for v in variables_of()}
        for variable in variables:
            if variable.ref() not in owned:
                raise ValueError(f"Variable {variable.name} is not handled by any optimizer.")

    @property
    def iterations(self) -> Any:
        """Number of steps taken, an int64 variable of the composite itself."""
        return _legacy.Optimizer.iterations.fget(self)

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        _legacy.Optimizer.iterations.fset(self, variable)

    @property
    def weights(self) -> list[tf.Variable]:
        """The step count and the variables of every part."""
        return [self.iterations, *(w for part in self.optimizers for w in part.weights)]

    def get_config(self) -> dict[str, Any]:
        """Name and parts; the functions that return the variables are not in it."""
        parts = [tf.keras.optimizers.serialize(part) for part in self.optimizers]
        return {"name": self._name, "optimizers": parts}

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
        variables: Sequence[Variables] | None = None,
    ) -> CompositeOptimizer:
        """Rebuilds the optimizer from `get_config` and the functions that return the variables.

        Raises:
            ValueError: `variables` is missing or has another length than the parts.
        """
        parts = config["optimizers"]
        if variables is None or len(variables) != len(parts):
            raise ValueError(
                f"variables: got {None if variables is None else len(variables)}; takes one "
                f"function for each of the {len(parts)} optimizers."
            )
        known = {**schedules.CLASSES, "AdamW": AdamW, **(custom_objects or {})}
        made = [
            # Keras changes what it is given.
            tf.keras.optimizers.deserialize(copy.deepcopy(part), known, use_legacy_optimizer=True)
            for part in parts
        ]
        return cls(list(zip(made, variables, strict=True)), name=config["name"])
