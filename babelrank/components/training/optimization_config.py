"""Optimizers from the Model Garden's `OptimizationConfig`, which its trainer gives to a task.

It is read by its fields, so that the Model Garden need not be installed. Optimizers are those of
`tf.keras.optimizers.legacy`, schedules those of `tf.keras`; what they lack is refused by name.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError

_legacy = tf.keras.optimizers.legacy
_OPTIMIZERS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "sgd": (_legacy.SGD, ("decay", "nesterov", "momentum")),
    "adam": (_legacy.Adam, ("beta_1", "beta_2", "epsilon", "amsgrad")),
    "adagrad": (_legacy.Adagrad, ("initial_accumulator_value", "epsilon")),
    "rmsprop": (_legacy.RMSprop, ("rho", "momentum", "epsilon", "centered")),
}
_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
_schedules = tf.keras.optimizers.schedules
_SCHEDULES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "stepwise": (_schedules.PiecewiseConstantDecay, ("boundaries", "values")),
    "exponential": (
        _schedules.ExponentialDecay,
        ("initial_learning_rate", "decay_steps", "decay_rate", "staircase"),
    ),
    "polynomial": (
        _schedules.PolynomialDecay,
        ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle"),
    ),
    "cosine": (_schedules.CosineDecay, ("initial_learning_rate", "decay_steps", "alpha")),
}


def is_optimization_config(config: Any) -> bool:
    """True for an object with the fields of `OptimizationConfig`."""
    parts = (getattr(config, name, None) for name in ("optimizer", "learning_rate"))
    return all(hasattr(part, "type") and hasattr(part, "get") for part in parts)


class LinearWarmup(tf.keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """From `first` linearly to what the schedule has at step `steps`, then the schedule.

    Args:
        after: A schedule or a rate.
        steps: Steps of the warm-up, 1 or more.
        first: Rate at step 0.
    """

    def __init__(self, after: Any, steps: int, first: float = 0.0) -> None:
        super().__init__()
        self.after, self.steps, self.first = after, steps, first

    def __call__(self, step: Any) -> tf.Tensor:
        """The learning rate [] at `step`."""
        step = tf.cast(step, tf.float32)
        done = step / self.steps
        rising = self.first + done * (self._after(self.steps) - self.first)
        return tf.where(step < self.steps, rising, self._after(step))

    def _after(self, step: Any) -> tf.Tensor:
        rate = self.after(step) if callable(self.after) else self.after
        return tf.cast(rate, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"after": self.after, "steps": self.steps, "first": self.first}


def create(config: Any) -> Any:
    """The optimizer of an `OptimizationConfig`.

    Args:
        config: Its `optimizer` and `learning_rate`, and its `warmup`, if there is one.

    Raises:
        ConfigError: A kind of optimizer, schedule or warm-up, or an average of the weights, that
            we do not make.
    """
    if getattr(config, "ema", None) is not None:
        raise ConfigError("ema: averages of the weights are not made; takes null.")
    kind, fields = _OPTIMIZERS.get(config.optimizer.type, (None, ()))
    if kind is None:
        raise _unknown("optimizer", config.optimizer.type, _OPTIMIZERS)
    values = config.optimizer.get()
    arguments = {name: getattr(values, name) for name in fields}
    clipping = {name: getattr(values, name, None) for name in _CLIPPING}
    arguments |= {name: value for name, value in clipping.items() if value is not None}
    rate = _warmed_up(_learning_rate(config.learning_rate), getattr(config, "warmup", None))
    return kind(learning_rate=rate, **arguments)


def _learning_rate(config: Any) -> Any:
    values = config.get()
    if config.type == "constant":
        return values.learning_rate
    kind, fields = _SCHEDULES.get(config.type, (None, ()))
    if kind is None or getattr(values, "offset", None):
        wanted = config.type if kind is None else f"{config.type} with an offset"
        raise _unknown("learning_rate", wanted, ("constant", *_SCHEDULES))
    return kind(**{name: getattr(values, name) for name in fields})


def _warmed_up(rate: Any, config: Any) -> Any:
    if config is None or config.type is None:
        return rate
    if config.type != "linear":
        raise _unknown("warmup", config.type, ("linear",))
    values = config.get()
    if not values.warmup_steps:
        return rate
    return LinearWarmup(rate, values.warmup_steps, values.warmup_learning_rate)


def _unknown(key: str, got: Any, known: Any) -> ConfigError:
    return ConfigError(f"{key}.type: got {got!r}; takes one of {', '.join(known)}.")
