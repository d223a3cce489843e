"""Optimizers: from our configuration to Keras, and what is wrapped around them.

The optimizers are those of `tf.keras.optimizers.legacy`: TFRS's `CompositeOptimizer` takes no
others, and of them SGD, Adagrad and RMSprop update only the rows of an embedding table that a batch
used. Adafactor is there among the newer optimizers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import runtime_config, schedules
from babelrank.components.training.adamw import AdamW
from babelrank.components.training.averaging import ExponentialMovingAverage
from babelrank.components.training.config import OptimizerConfig
from babelrank.components.training.private_optimizer import PrivateOptimizer
from babelrank.components.training.wrapper import create_state, innermost, layers

_legacy = tf.keras.optimizers.legacy
_LEGACY: dict[str, Any] = {
    "sgd": _legacy.SGD,
    "adagrad": _legacy.Adagrad,
    "adam": _legacy.Adam,
    "adamw": AdamW,
    "rmsprop": _legacy.RMSprop,
}
_CLASSES: dict[str, Any] = {**_LEGACY, "adafactor": tf.keras.optimizers.Adafactor}


def create(config: OptimizerConfig, total_steps: int | None = None) -> Any:
    """Makes a Keras optimizer.

    Args:
        config: Name, learning rate, schedule and clipping. Adafactor takes a learning rate of at
            most `1 / sqrt(t)` at step t = 1, 2, ..., whatever the schedule says
            (https://arxiv.org/abs/1804.04235).
        total_steps: Number of steps of the whole training, for a falling learning rate.

    Raises:
        ConfigError: A name that we do not know, or a falling learning rate or a warm-up of a
            tenth of the steps without their number.
    """
    if config.name not in _CLASSES:
        raise ConfigError(
            f"optimizer.name: got {config.name!r}; takes one of {', '.join(_CLASSES)}."
        )
    rate = schedules.create(config, total_steps)
    clipping = {} if config.clip_norm is None else {"global_clipnorm": config.clip_norm}
    return _CLASSES[config.name](learning_rate=rate, **clipping)


def create_part(config: OptimizerConfig, total_steps: int | None = None, key: str = "") -> Any:
    """Makes an optimizer that may be part of a `CompositeOptimizer`.

    Args:
        config: See `create`.
        total_steps: See `create`.
        key: Key of `config`, for messages.

    Raises:
        ConfigError: What `create` raises, or the optimizer cannot be a part.
    """
    if config.name in _CLASSES and config.name not in _LEGACY:
        raise ConfigError(
            f"{key or 'optimizer'}.name: got {config.name!r}, which Keras has only as an optimizer "
            f"of its newer kind: TFRS's CompositeOptimizer takes the legacy kind. Takes one "
            f"of {', '.join(_LEGACY)}."
        )
    return create(config, total_steps)


def wrap(
    optimizer: Any,
    runtime: Any = None,
    privacy: Any = None,
    ema_decay: float | None = None,
) -> Any:
    """Puts around an optimizer what a training asks for.

    Args:
        optimizer: The optimizer.
        runtime: See `with_loss_scaling`.
        privacy: None, or an object with `clipping_norm` and `noise_multiplier`: a
            `PrivateOptimizer` comes around all.
        ema_decay: Decay of the averages of the weights, or None for no averages.

    Raises:
        ConfigError: `runtime` or `privacy` ask for what we cannot do, or for float16 and privacy.
    """
    if ema_decay is not None:
        optimizer = ExponentialMovingAverage(optimizer, ema_decay)
    if privacy is None:
        return with_loss_scaling(optimizer, runtime)
    runtime_config.check_privacy(privacy)
    if runtime_config.loss_scale(runtime) is not None:
        raise ConfigError(
            "mixed_precision_dtype: got 'float16' together with dp_config: the loss is scaled "
            "there, so that not the gradients would be clipped but multiples of them; takes "
            "'float32' or 'bfloat16'."
        )
    return PrivateOptimizer(optimizer)


def with_loss_scaling(optimizer: Any, runtime: Any) -> Any:
    """Wraps `optimizer` for float16, if the runtime configuration asks for it.

    Args:
        optimizer: The optimizer.
        runtime: None, or anything with `mixed_precision_dtype` and perhaps `loss_scale`; see
            `RuntimeConfig`.

    Raises:
        ConfigError: A type or a scale that there is not.
    """
    scale = runtime_config.loss_scale(runtime)
    if scale is None:
        return optimizer
    if scale == "dynamic":
        return tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    return tf.keras.mixed_precision.LossScaleOptimizer(
        optimizer, dynamic=False, initial_scale=scale
    )


def average_of(optimizer: Any) -> ExponentialMovingAverage | None:
    """The averages of the weights that an optimizer keeps, whatever is around them, or None."""
    for layer in layers(optimizer):
        if isinstance(layer, ExponentialMovingAverage):
            return layer
    return None


def create_slots(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Makes the state of an optimizer before the first step.

    A step that makes variables is traced twice, which for a large model takes longer than many
    steps; and several workers agree on them one by one, while they trace.
    """
    create_state(innermost(optimizer), variables)
