"""Optimizers: from the configuration to Keras, and several of them as one.

The optimizers are those of `tf.keras.optimizers.legacy`: TFRS's `CompositeOptimizer` takes no
others, and they update only the rows of an embedding table that a batch used.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from babelrank.components.errors import ConfigError
from babelrank.components.training.config import OptimizerConfig

_MOST_WARMUP_STEPS = 1000

Variables = Callable[[], Sequence[tf.Variable]]
_legacy = tf.keras.optimizers.legacy


class Schedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then a constant, cosine or linear course.

    With peak rate p, w warm-up steps and n steps in all, at step t:
    `p * (t + 1) / w` for t < w; afterwards, with u = (t - w) / (n - w) cut to [0, 1], `p`
    (constant), `p * (1 + cos(pi * u)) / 2` (cosine) or `p * (1 - u)` (linear).

    Args:
        learning_rate: Peak rate.
        warmup_steps: Number of warm-up steps.
        decay: "constant", "cosine" or "linear".
        total_steps: Step at which a falling rate reaches 0; constant needs none.

    Raises:
        ConfigError: A falling rate without `total_steps`, or a warm-up that does not end before.
    """

    def __init__(
        self,
        learning_rate: float,
        warmup_steps: int = 0,
        decay: str = "constant",
        total_steps: int | None = None,
    ) -> None:
        super().__init__()
        if decay != "constant" and total_steps is None:
            raise ConfigError(
                f"decay: got {decay!r} without a number of steps; set training.steps, or take "
                f"'constant'."
            )
        if total_steps is not None and decay != "constant" and warmup_steps >= total_steps:
            raise ConfigError(
                f"warmup_steps: got {warmup_steps}; with decay {decay!r} takes less than the "
                f"{total_steps} steps of the training."
            )
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self.decay, self.total_steps = decay, total_steps

    def __call__(self, step: Any) -> tf.Tensor:
        """The learning rate [] at `step`, an integer scalar that counts from 0."""
        step = tf.cast(step, tf.float32)
        rate = tf.constant(self.learning_rate, tf.float32)
        if self.decay != "constant":
            span = float((self.total_steps or 0) - self.warmup_steps)
            done = tf.clip_by_value((step - self.warmup_steps) / span, 0.0, 1.0)
            if self.decay == "cosine":
                rate *= 0.5 * (1.0 + tf.cos(math.pi * done))
            else:
                rate *= 1.0 - done
        if self.warmup_steps:
            rising = self.learning_rate * (step + 1.0) / self.warmup_steps
            rate = tf.where(step < self.warmup_steps, rising, rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "decay": self.decay,
            "total_steps": self.total_steps,
        }


class AdamW(tf.keras.optimizers.legacy.Adam):  # type: ignore[misc]
    """Adam with decoupled weight decay (https://arxiv.org/abs/1711.05101).

    Variables shrink by `learning_rate * weight_decay` of themselves before each Adam update; of
    an embedding table only the rows that the batch used. Vectors and scalars (biases, norms)
    do not shrink.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        name: str = "AdamW",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.weight_decay = weight_decay

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
        if len(var.shape) > 1:
            rate = self._rate(var, apply_state)
            with tf.control_dependencies([var.assign_sub(rate * var, use_locking=True)]):
                return super()._resource_apply_dense(grad, var, apply_state)
        return super()._resource_apply_dense(grad, var, apply_state)

    def _resource_apply_sparse(
        self, grad: Any, var: Any, indices: Any, apply_state: Any = None
    ) -> Any:
        rate = self._rate(var, apply_state)
        shrink = tf.IndexedSlices(rate * tf.gather(var, indices), indices)
        with tf.control_dependencies([var.scatter_sub(shrink)]):
            return super()._resource_apply_sparse(grad, var, indices, apply_state)

    def _rate(self, var: Any, apply_state: Any) -> Any:
        state = (apply_state or {}).get((var.device, var.dtype.base_dtype))
        rate = state["lr_t"] if state else self._decayed_lr(var.dtype.base_dtype)
        return rate * self.weight_decay

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "weight_decay": self.weight_decay}


_CLASSES: dict[str, Any] = {
    "sgd": _legacy.SGD,
    "adagrad": _legacy.Adagrad,
    "adam": _legacy.Adam,
    "adamw": AdamW,
    "rmsprop": _legacy.RMSprop,
}


def create(config: OptimizerConfig, total_steps: int | None = None) -> Any:
    """Makes a legacy Keras optimizer.

    Args:
        config: Name, learning rate, schedule and clipping.
        total_steps: Number of steps of the whole training, for a falling learning rate.

    Raises:
        ConfigError: A name that we do not know, or a falling learning rate or a warm-up of a
            tenth of the steps without their number.
    """
    if config.name not in _CLASSES:
        raise ConfigError(
            f"optimizer.name: got {config.name!r}; takes one of {', '.join(_CLASSES)}."
        )
    rate: Any = config.learning_rate
    warmup_steps = _warmup_steps(config, total_steps)
    if warmup_steps or config.decay != "constant":
        rate = Schedule(config.learning_rate, warmup_steps, config.decay, total_steps)
    clipping = {} if config.clip_norm is None else {"global_clipnorm": config.clip_norm}
    return _CLASSES[config.name](learning_rate=rate, **clipping)


def _warmup_steps(config: OptimizerConfig, total_steps: int | None) -> int:
    if config.warmup_steps is not None:
        return config.warmup_steps
    if total_steps is None:
        raise ConfigError(
            "warmup_steps: got null without a number of steps; set training.steps, or take a "
            "number."
        )
    return min(total_steps // 10, _MOST_WARMUP_STEPS)


def with_loss_scaling(optimizer: Any, runtime_config: Any) -> Any:
    """Wraps `optimizer` for float16, if the runtime configuration asks for it."""
    if getattr(runtime_config, "mixed_precision_dtype", None) == "float16":
        return tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def create_slots(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Makes the state of an optimizer before the first step.

    A step that makes variables is traced twice, which for a large model takes longer than many
    steps. A `CompositeOptimizer` is left alone: it may not know its variables yet.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if isinstance(inner, _legacy.Optimizer) and not isinstance(inner, CompositeOptimizer):
        inner._create_all_weights(variables)


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
            The number of steps taken so far, this one included.

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
        super().apply_gradients(
            present, name=name, experimental_aggregate_gradients=experimental_aggregate_gradients
        )
        return self.iterations.assign_add(1)

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
        parts = (
            [tf.keras.optimizers.legacy.serialize(part) for part in self.optimizers]
            if hasattr(_legacy, "serialize")
            else [tf.keras.optimizers.serialize(part) for part in self.optimizers]
        )
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
        known = {"Schedule": Schedule, "AdamW": AdamW, **(custom_objects or {})}
        made = [
            # Keras changes what it is given.
            tf.keras.optimizers.deserialize(copy.deepcopy(part), known, use_legacy_optimizer=True)
            for part in parts
        ]
        return cls(list(zip(made, variables, strict=True)), name=config["name"])
