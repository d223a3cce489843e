"""Optimizers, and what is wrapped around them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.adamw import AdamW
from babelrank.components.training.composite import CompositeOptimizer
from babelrank.components.training.config import OptimizerConfig, PrivacyConfig
from babelrank.components.training.optimizers import (
    average_of,
    create,
    create_part,
    create_slots,
    with_loss_scaling,
    wrap,
)
from babelrank.components.training.private_optimizer import PrivateOptimizer
from babelrank.components.training.runtime_config import RuntimeConfig
from babelrank.components.training.wrapper import innermost, layers

legacy = tf.keras.optimizers.legacy
FLOAT16 = RuntimeConfig(mixed_precision_dtype="float16")
NAMES = {
    "sgd": legacy.SGD,
    "adagrad": legacy.Adagrad,
    "adam": legacy.Adam,
    "adamw": AdamW,
    "adafactor": tf.keras.optimizers.Adafactor,
    "rmsprop": legacy.RMSprop,
}


@pytest.mark.parametrize(("name", "cls"), NAMES.items())
def test_every_name_is_an_optimizer_of_keras(name: Any, cls: type) -> None:
    optimizer = create(OptimizerConfig(name=name, learning_rate=0.25))
    assert type(optimizer) is cls
    assert float(optimizer.learning_rate) == 0.25


@pytest.mark.parametrize(("name", "cls"), NAMES.items())
def test_a_step_is_that_of_keras(name: Any, cls: Any) -> None:
    ours, theirs = (tf.Variable([[1.0, -2.0], [0.5, 3.0]]) for _ in range(2))
    a, b = create(OptimizerConfig(name=name, learning_rate=0.1)), cls(learning_rate=0.1)
    for i in range(3):
        gradient = tf.constant([[0.1, -1.0], [2.0, 0.3]]) * (i + 1)
        a.apply_gradients([(gradient, ours)])
        b.apply_gradients([(gradient, theirs)])
    np.testing.assert_array_equal(ours, theirs)


def test_an_unknown_name() -> None:
    config = OptimizerConfig()
    object.__setattr__(config, "name", "lion")
    with pytest.raises(ConfigError, match="optimizer.name: got 'lion'; takes one of sgd"):
        create(config)


def test_a_schedule_reaches_the_optimizer() -> None:
    config = OptimizerConfig(name="sgd", learning_rate=1.0, decay="linear")
    optimizer, variable = create(config, 2), tf.Variable([0.0])
    for value in (-1.0, -1.5, -1.5):
        optimizer.apply_gradients([(tf.ones([1]), variable)])
        assert float(variable[0]) == value


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_the_global_norm_is_clipped(scaled: bool, ema_decay: float | None) -> None:
    model = line([0.0, 0.0])
    (variable,) = model.trainable_variables
    made = create(OptimizerConfig(name="sgd", learning_rate=1.0, clip_norm=1.0))
    optimizer = wrap(made, FLOAT16 if scaled else None, ema_decay=ema_decay)
    average = average_of(optimizer)
    if average:
        average.shadow_copy(model)
    optimizer.apply_gradients([(tf.constant([[3.0, 4.0]]), variable)])
    np.testing.assert_allclose(variable, [[-0.6, -0.8]], rtol=1e-6)


def test_adafactor_clips_the_global_norm_too() -> None:
    clipped, plain = tf.Variable([[1.0, 2.0]]), tf.Variable([[1.0, 2.0]])
    a = create(OptimizerConfig(name="adafactor", clip_norm=1.0))
    b = create(OptimizerConfig(name="adafactor"))
    # Adafactor does not feel a constant factor, so that one gradient alone would show nothing.
    for gradient, clip in (([[3.0, 4.0]], [[0.6, 0.8]]), ([[0.1, 0.2]], [[0.1, 0.2]])):
        a.apply_gradients([(tf.constant(gradient), clipped)])
        b.apply_gradients([(tf.constant(clip), plain)])
    np.testing.assert_allclose(clipped, plain, rtol=1e-6)


def test_a_part_is_of_the_legacy_kind() -> None:
    assert type(create_part(OptimizerConfig(name="adagrad"))) is legacy.Adagrad
    with pytest.raises(ConfigError, match=r"embedding_optimizer.name: got 'adafactor', .* legacy"):
        create_part(OptimizerConfig(name="adafactor"), key="embedding_optimizer")


def test_float16_scales_the_loss() -> None:
    scaled = with_loss_scaling(create(OptimizerConfig()), FLOAT16)
    assert isinstance(scaled, tf.keras.mixed_precision.LossScaleOptimizer)
    assert scaled.dynamic
    fixed = RuntimeConfig(mixed_precision_dtype="float16", loss_scale=128)
    scaled = with_loss_scaling(create(OptimizerConfig(name="adafactor")), fixed)
    assert not scaled.dynamic
    assert float(scaled.loss_scale) == 128
    plain = create(OptimizerConfig())
    assert with_loss_scaling(plain, None) is plain
    assert with_loss_scaling(plain, RuntimeConfig(mixed_precision_dtype="bfloat16")) is plain


def test_what_is_around_what() -> None:
    optimizer = wrap(create(OptimizerConfig(name="sgd")), FLOAT16, ema_decay=0.5)
    assert [type(layer).__name__ for layer in layers(optimizer)] == [
        "LossScaleOptimizer",
        "ExponentialMovingAverage",
        "SGD",
    ]
    assert average_of(optimizer) is optimizer.inner_optimizer
    assert average_of(optimizer).average_decay == 0.5
    assert type(innermost(optimizer)) is legacy.SGD
    assert average_of(legacy.SGD()) is None


def test_privacy_takes_private_gradients_only() -> None:
    optimizer = wrap(create(OptimizerConfig(name="sgd", learning_rate=1.0)), None, PrivacyConfig())
    variable = tf.Variable([0.0])
    with pytest.raises(ConfigError, match="dp_config: these gradients are of whole batches"):
        optimizer.apply_gradients([(tf.ones([1]), variable)])
    optimizer.apply_private_gradients([(tf.ones([1]), variable)])
    assert (float(variable[0]), int(optimizer.iterations)) == (-1.0, 1)
    with pytest.raises(ConfigError, match="mixed_precision_dtype: got 'float16' together with dp"):
        wrap(legacy.SGD(), FLOAT16, PrivacyConfig())
    with pytest.raises(ConfigError, match=r"dp_config.noise_multiplier: got 0.0; takes a number"):
        wrap(legacy.SGD(), None, SimpleNamespace(clipping_norm=1.0, noise_multiplier=0.0))


def test_private_weights_may_be_averaged() -> None:
    optimizer = wrap(legacy.SGD(1.0), None, PrivacyConfig(), 0.5)
    assert isinstance(optimizer, PrivateOptimizer)
    model = line([0.0])
    average_of(optimizer).shadow_copy(model)
    optimizer.apply_private_gradients([(tf.ones([1, 1]), model.trainable_variables[0])])
    with average_of(optimizer).swapped():
        # The decay of the first step is 2 / 11.
        np.testing.assert_allclose(model.get_weights()[0], [[-9 / 11]], rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adafactor"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_a_step_that_makes_no_variables_is_traced_once(
    name: Any, scaled: bool, ema_decay: float | None
) -> None:
    model = line([1.0, 2.0])
    runtime = FLOAT16 if scaled else None
    optimizer = wrap(create(OptimizerConfig(name=name)), runtime, None, ema_decay)
    create_slots(optimizer, model.trainable_variables)
    average = average_of(optimizer)
    if average:
        average.shadow_copy(model)
    traces = []

    @tf.function
    def step() -> None:
        traces.append(1)
        optimizer.apply_gradients([(tf.ones([1, 2]), model.trainable_variables[0])])

    step()
    step()
    assert len(traces) == 1
    assert int(optimizer.iterations) == 2


@pytest.mark.parametrize("name", ["adam", "adafactor", "both"])
@pytest.mark.parametrize("around", ["", "scale", "average", "scale average", "private average"])
def test_a_checkpoint_restores_the_state_exactly(name: str, around: str, tmp_path: Any) -> None:
    model, optimizer = wrapped(name, around)
    train(model, optimizer, 2)
    path = tf.train.Checkpoint(optimizer=optimizer, model=model).write(str(tmp_path / "c"))
    train(model, optimizer, 2)
    again, other = wrapped(name, around)
    status = tf.train.Checkpoint(optimizer=other, model=again).read(path)
    status.assert_existing_objects_matched()
    train(again, other, 2)
    status.assert_consumed()
    assert weights(again, other) == weights(model, optimizer)
    assert int(other.iterations) == 4


def line(values: list[float]) -> tf.keras.Model:
    """A model with one weight [1, n]."""
    model = tf.keras.Sequential([tf.keras.layers.Dense(len(values), use_bias=False)])
    model.build([None, 1])
    model.set_weights([np.array([values])])
    return model


def wrapped(name: str, around: str) -> tuple[tf.keras.Model, Any]:
    model = tf.keras.Sequential([tf.keras.layers.Dense(2)])
    model.build([None, 1])
    model.set_weights([np.array([[1.0, 2.0]]), np.array([0.5, -0.5])])
    config = OptimizerConfig(learning_rate=0.1, warmup_steps=3)
    if name == "both":
        kernel, bias = model.trainable_variables
        parts = [(create(config), lambda: [kernel]), (legacy.Adagrad(0.1), lambda: [bias])]
        made: Any = CompositeOptimizer(parts)
    else:
        made = create(OptimizerConfig(name=name, learning_rate=0.1, warmup_steps=3))
    optimizer = wrap(
        made,
        FLOAT16 if "scale" in around else None,
        PrivacyConfig() if "private" in around else None,
        0.5 if "average" in around else None,
    )
    average = average_of(optimizer)
    if average:
        average.shadow_copy(model)
    return model, optimizer


def train(model: tf.keras.Model, optimizer: Any, steps: int) -> None:
    apply = getattr(optimizer, "apply_private_gradients", None) or optimizer.apply_gradients
    for _ in range(steps):
        i = int(optimizer.iterations) + 1
        gradients = [tf.constant([[0.1, -1.0]]) * i, tf.constant([2.0, 0.3]) * i]
        apply(list(zip(gradients, model.trainable_variables, strict=True)))


def weights(model: tf.keras.Model, optimizer: Any) -> list[Any]:
    average = average_of(optimizer)
    found = [value.tolist() for value in model.get_weights()]
    if average:
        with average.swapped():
            found += [value.tolist() for value in model.get_weights()]
    return found
