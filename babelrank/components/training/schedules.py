"""Learning rates that change with the step: falling ones of `tf.keras`, and how they warm up.

A schedule maps a step, which counts from 0, to a rate. What `tf.keras` has is taken as it is;
here is what it lacks: a power of the step, a start at a later step, and a warm-up.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.config import OptimizerConfig

_MOST_WARMUP_STEPS = 1000
_LAST_OF_EXPONENTIAL = 0.01  # of the peak rate
_SQUARE = 2.0

_keras = tf.keras.optimizers.schedules


class WarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Rises to what another schedule has at the end of the warm-up, then is that schedule.

    At step t < w the rate is `first + (done / w) ** power * (after(w) - first)` with
    `done = max(t + ahead, least)`; from step w on it is `after(t)`.

    Args:
        after: A schedule or a constant rate.
        steps: Steps w of the warm-up, 1 or more.
        first: Rate that it rises from.
        power: 1 for a straight line.
        ahead: Steps by which the rise is ahead; with 1, the first step has no rate of `first`.
        least: Least number of steps that counts as done.
    """

    def __init__(
        self,
        after: Any,
        steps: int,
        first: float = 0.0,
        power: float = 1.0,
        ahead: int = 0,
        least: int = 0,
    ) -> None:
        super().__init__()
        self.after, self.steps, self.first = after, steps, first
        self.power, self.ahead, self.least = power, ahead, least

    def __call__(self, step: Any) -> tf.Tensor:
        """The learning rate [] at `step`."""
        step = tf.cast(step, tf.float32)
        done = tf.maximum(step + self.ahead, self.least) / self.steps
        rising = self.first + tf.pow(done, self.power) * (self._after(self.steps) - self.first)
        return tf.where(step < self.steps, rising, self._after(step))

    def _after(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        return tf.cast(self.after(step) if callable(self.after) else self.after, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor; a schedule as Keras serializes it."""
        after = _keras.serialize(self.after) if callable(self.after) else self.after
        return {
            "after": after,
            "steps": self.steps,
            "first": self.first,
            "power": self.power,
            "ahead": self.ahead,
            "least": self.least,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """Rebuilds what `get_config` described."""
        return cls(**{**config, "after": _rebuilt(config["after"])})


class Delayed(tf.keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Another schedule that takes its step 0 at a later step: `schedule(step - offset)`.

    Args:
        schedule: The other schedule.
        offset: The later step.
    """

    def __init__(self, schedule: Any, offset: int) -> None:
        super().__init__()
        self.schedule, self.offset = schedule, offset

    def __call__(self, step: Any) -> tf.Tensor:
        """The learning rate [] at `step`."""
        return self.schedule(tf.cast(step, tf.float32) - self.offset)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor; the schedule as Keras serializes it."""
        return {"schedule": _keras.serialize(self.schedule), "offset": self.offset}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Delayed:
        """Rebuilds what `get_config` described."""
        return cls(**{**config, "schedule": _rebuilt(config["schedule"])})


class Power(tf.keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """`initial_learning_rate * max(step, 1) ** power`.

    Args:
        initial_learning_rate: Rate at steps 0 and 1.
        power: -0.5 for the inverse square root (https://arxiv.org/abs/1706.03762).
    """

    def __init__(self, initial_learning_rate: float, power: float = -0.5) -> None:
        super().__init__()
        self.initial_learning_rate, self.power = initial_learning_rate, power

    def __call__(self, step: Any) -> tf.Tensor:
        """The learning rate [] at `step`."""
        step = tf.maximum(tf.cast(step, tf.float32), 1.0)
        return self.initial_learning_rate * tf.pow(step, self.power)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"initial_learning_rate": self.initial_learning_rate, "power": self.power}


CLASSES: dict[str, Any] = {cls.__name__: cls for cls in (WarmUp, Delayed, Power)}
"""What Keras must know to rebuild an optimizer that has one of these."""


def create(config: OptimizerConfig, total_steps: int | None = None) -> Any:
    """The learning rate of an optimizer: a number or a schedule.

    With peak rate p, w warm-up steps and n steps in all: `p * ((t + 1) / w) ** power` at step
    t < w. Afterwards, with u = (t - w) / (n - w) cut to [0, 1]: `p` (constant),
    `p * (1 + cos(pi * u)) / 2` (cosine), `p * (1 - u)` (linear), `p * (1 - u) ** 2` (polynomial),
    `p * 0.01 ** u` (exponential), or `p * sqrt(max(w, 1) / t)` (inverse_sqrt).

    Args:
        config: Peak rate, warm-up and decay.
        total_steps: Steps of the whole training.

    Raises:
        ConfigError: A falling rate without `total_steps`, a warm-up that does not end before, or
            a warm-up of a tenth of the steps without their number.
    """
    warmup_steps = _warmup_steps(config, total_steps)
    rate = _falling(config, warmup_steps, total_steps)
    if not warmup_steps:
        return rate
    power = _SQUARE if config.warmup == "polynomial" else 1.0
    return WarmUp(rate, warmup_steps, power=power, ahead=1)


def _falling(config: OptimizerConfig, warmup_steps: int, total_steps: int | None) -> Any:
    peak = config.learning_rate
    if config.decay == "constant":
        return peak
    if config.decay == "inverse_sqrt":
        return Power(peak * max(warmup_steps, 1) ** 0.5, -0.5)
    span = _span(config, warmup_steps, total_steps)
    if config.decay == "cosine":
        made = _keras.CosineDecay(peak, span)
    elif config.decay == "exponential":
        made = _keras.ExponentialDecay(peak, span, _LAST_OF_EXPONENTIAL)
    else:
        power = _SQUARE if config.decay == "polynomial" else 1.0
        made = _keras.PolynomialDecay(peak, span, end_learning_rate=0.0, power=power)
    return Delayed(made, warmup_steps) if warmup_steps else made


def _span(config: OptimizerConfig, warmup_steps: int, total_steps: int | None) -> int:
    """Steps over which a rate falls."""
    if total_steps is None:
        raise ConfigError(
            f"decay: got {config.decay!r} without a number of steps; set training.steps, or take "
            f"'constant'."
        )
    if warmup_steps >= total_steps:
        raise ConfigError(
            f"warmup_steps: got {warmup_steps}; with decay {config.decay!r} takes less than the "
            f"{total_steps} steps of the training."
        )
    return total_steps - warmup_steps


def _warmup_steps(config: OptimizerConfig, total_steps: int | None) -> int:
    if config.warmup_steps is not None:
        return config.warmup_steps
    if total_steps is None:
        raise ConfigError(
            "warmup_steps: got null without a number of steps; set training.steps, or take a "
            "number."
        )
    return min(total_steps // 10, _MOST_WARMUP_STEPS)


def _rebuilt(schedule: Any) -> Any:
    """A schedule from what Keras made of it; a constant rate as it is."""
    if isinstance(schedule, dict):
        return _keras.deserialize(schedule, custom_objects=CLASSES)
    return schedule
