"""Optimizers from an `OptimizationConfig`, ours or the Model Garden's, whose trainer gives it.

It is read by its fields, so that the Model Garden need not be installed. Optimizers are those of
`tf.keras.optimizers.legacy`, and Adafactor; what Keras lacks is refused by name. Schedules give
the Model Garden's numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import schedules
from babelrank.components.training.adamw import AdamW
from babelrank.components.training.averaging import ExponentialMovingAverage

_legacy = tf.keras.optimizers.legacy
_ADAM = ("beta_1", "beta_2", "epsilon", "amsgrad")
_OPTIMIZERS: dict[str, tuple[Any, dict[str, str]]] = {
    "sgd": (_legacy.SGD, {n: n for n in ("decay", "nesterov", "momentum")}),
    "adam": (_legacy.Adam, {n: n for n in _ADAM}),
    "adamw": (
        AdamW,
        {
            **{n: n for n in _ADAM},
            "weight_decay_rate": "weight_decay",
            "include_in_weight_decay": "include",
            "exclude_from_weight_decay": "exclude",
        },
    ),
    "adafactor": (
        tf.keras.optimizers.Adafactor,
        {
            "decay_rate": "beta_2_decay",
            "clipping_threshold": "clip_threshold",
            "epsilon1": "epsilon_1",
            "epsilon2": "epsilon_2",
            "weight_decay": "weight_decay",
        },
    ),
    "adafactor_keras": (
        tf.keras.optimizers.Adafactor,
        {
            n: n
            for n in ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")
        },
    ),
    "adagrad": (_legacy.Adagrad, {n: n for n in ("initial_accumulator_value", "epsilon")}),
    "rmsprop": (_legacy.RMSprop, {n: n for n in ("rho", "momentum", "epsilon", "centered")}),
}
"""Class of each kind, and its arguments by the fields of the configuration."""

_ADAFACTOR_FIXED: dict[str, Any] = {
    "factored": True,
    "multiply_by_parameter_scale": True,
    "beta1": None,
    "step_offset": 0,
    "min_dim_size_to_factor": 128,
    "include_in_weight_decay": None,
}
_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
_keras = tf.keras.optimizers.schedules
_SCHEDULES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "stepwise": (_keras.PiecewiseConstantDecay, ("boundaries", "values")),
    "exponential": (
        _keras.ExponentialDecay,
        ("initial_learning_rate", "decay_steps", "decay_rate", "staircase"),
    ),
    "polynomial": (
        _keras.PolynomialDecay,
        ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle"),
    ),
    "cosine": (_keras.CosineDecay, ("initial_learning_rate", "decay_steps", "alpha")),
    "power": (schedules.Power, ("initial_learning_rate", "power")),
}
_MAY_BE_NULL = ("staircase",)


def is_optimization_config(config: Any) -> bool:
    """True for an object with the fields of `OptimizationConfig`."""
    parts = (getattr(config, name, None) for name in ("optimizer", "learning_rate"))
    return all(hasattr(part, "type") and hasattr(part, "get") for part in parts)


def create(config: Any) -> Any:
    """The optimizer of an `OptimizationConfig`.

    Args:
        config: Its `optimizer` and `learning_rate`, and its `warmup` and `ema`, if there are any.

    Raises:
        ConfigError: A kind of optimizer, schedule or warm-up that we do not make, or a value that
            is missing.
    """
    kind, fields = _OPTIMIZERS.get(config.optimizer.type, (None, {}))
    if kind is None:
        raise _unknown("optimizer", config.optimizer.type, _OPTIMIZERS)
    values = config.optimizer.get()
    arguments = {argument: getattr(values, field) for field, argument in fields.items()}
    if config.optimizer.type == "adafactor":
        _check_adafactor(values)
        arguments["beta_2_decay"] = -arguments["beta_2_decay"]
    if config.optimizer.type == "adamw":
        # None stands for no patterns in the Model Garden, and for no vectors in `AdamW`.
        arguments.update({n: list(arguments[n] or ()) for n in ("include", "exclude")})
    name = getattr(values, "name", None)
    arguments |= _clipping(values) | ({"name": name} if name else {})
    rate = _warmed_up(_learning_rate(config.learning_rate), getattr(config, "warmup", None))
    return _averaged(kind(learning_rate=rate, **arguments), getattr(config, "ema", None))


def _clipping(values: Any) -> dict[str, float]:
    clipping = {name: getattr(values, name, None) for name in _CLIPPING}
    given = {name: value for name, value in clipping.items() if value is not None}
    norm = getattr(values, "gradient_clip_norm", 0.0)
    if not norm:
        return given
    others = sorted(name for name in given if name != "global_clipnorm")
    if others:
        raise ConfigError(
            f"optimizer.adamw: got gradient_clip_norm and {', '.join(others)}; takes one of them; "
            f"set gradient_clip_norm to 0."
        )
    return {"global_clipnorm": min(norm, given.get("global_clipnorm", norm))}


def _check_adafactor(values: Any) -> None:
    for name, only in _ADAFACTOR_FIXED.items():
        got = getattr(values, name, only)
        if got != only:
            raise ConfigError(
                f"optimizer.adafactor.{name}: got {got!r}; Keras's Adafactor has no argument for "
                f"it; takes {only!r}."
            )


def _averaged(optimizer: Any, config: Any) -> Any:
    if config is None:
        return optimizer
    if not getattr(config, "trainable_weights_only", True):
        raise ConfigError(
            "ema.trainable_weights_only: got False; only trainable weights are averaged; takes "
            "True."
        )
    for name in _CLIPPING:
        if getattr(config, name, None) is not None:
            raise ConfigError(
                f"ema.{name}: got {getattr(config, name)!r}; averages have no gradients to clip; "
                f"set it in the optimizer."
            )
    return ExponentialMovingAverage(
        optimizer, config.average_decay, config.start_step, config.dynamic_decay
    )


def _learning_rate(config: Any) -> Any:
    values = config.get()
    if config.type == "constant":
        return values.learning_rate
    kind, fields = _SCHEDULES.get(config.type, (None, ()))
    if kind is None:
        raise _unknown("learning_rate", config.type, ("constant", *_SCHEDULES))
    arguments = {name: getattr(values, name) for name in fields}
    for name, value in arguments.items():
        if value is None and name not in _MAY_BE_NULL:
            raise ConfigError(f"learning_rate.{config.type}.{name}: got None; takes a value.")
    made = kind(**arguments)
    offset = getattr(values, "offset", 0)
    return schedules.Delayed(made, offset) if offset else made


def _warmed_up(rate: Any, config: Any) -> Any:
    if config is None or config.type is None:
        return rate
    values = config.get()
    if config.type not in ("linear", "polynomial"):
        raise _unknown("warmup", config.type, ("linear", "polynomial"))
    if not values.warmup_steps:
        return rate
    if config.type == "linear":
        return schedules.WarmUp(rate, values.warmup_steps, values.warmup_learning_rate)
    return schedules.WarmUp(rate, values.warmup_steps, power=values.power, least=1)


def _unknown(key: str, got: Any, known: Iterable[str]) -> ConfigError:
    return ConfigError(f"{key}.type: got {got!r}; takes one of {', '.join(known)}.")
