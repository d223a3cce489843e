"""Optimizers of an `OptimizationConfig`, against numbers of the Model Garden 2.16.

They are what its `OptimizerFactory` made of the same configurations.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.training import optimization
from babelrank.components.training.averaging import ExponentialMovingAverage
from babelrank.components.training.config import OptimizerConfig
from babelrank.components.training.optimization_config import OptimizationConfig
from tests.components.training.test_task import Linear

CONSTANT = {"type": "constant", "constant": {"learning_rate": 0.1}}
RATES: dict[str, dict[str, Any]] = {
    "constant": {"learning_rate": 0.5},
    "stepwise": {"boundaries": [2, 6], "values": [1.0, 0.5, 0.1], "offset": 1},
    "polynomial": {
        "initial_learning_rate": 1.0,
        "decay_steps": 6,
        "end_learning_rate": 0.1,
        "cycle": True,
        "offset": 2,
    },
    "exponential": {
        "initial_learning_rate": 1.0,
        "decay_steps": 4,
        "decay_rate": 0.5,
        "staircase": True,
        "offset": 3,
    },
    "cosine": {"initial_learning_rate": 1.0, "decay_steps": 10, "alpha": 0.1, "offset": 2},
    "power": {"initial_learning_rate": 2.0},
}
WARMUPS: dict[str, dict[str, Any]] = {
    "linear": {"warmup_steps": 4, "warmup_learning_rate": 0.2},
    "polynomial": {"warmup_steps": 4, "power": 2.0},
}
STEPS = (0, 1, 3, 5, 8, 20)


@pytest.mark.parametrize(
    ("rate", "warmup", "expected"),
    [
        ("constant", "linear", [0.2, 0.275, 0.425, 0.5, 0.5, 0.5]),
        ("stepwise", None, [1.0, 1.0, 1.0, 0.5, 0.1, 0.1]),
        ("stepwise", "polynomial", [0.03125, 0.03125, 0.28125, 0.5, 0.1, 0.1]),
        ("polynomial", "linear", [0.2, 0.325, 0.575, 0.55, 0.1, 0.1]),
        ("exponential", None, [2.0, 2.0, 1.0, 1.0, 0.5, 0.0625]),
        ("exponential", "linear", [0.2, 0.4, 0.8, 1.0, 0.5, 0.0625]),
        ("cosine", None, [0.9140576, 0.9779754, 0.9779754, 0.8145034, 0.4109423, 0.1]),
        ("cosine", "linear", [0.2, 0.3785144, 0.7355432, 0.8145034, 0.4109423, 0.1]),
        ("power", "linear", [0.2, 0.4, 0.8, 0.8944272, 0.7071068, 0.4472136]),
        ("power", "polynomial", [0.0625, 0.0625, 0.5625, 0.8944272, 0.7071068, 0.4472136]),
    ],
)
def test_rates_are_those_of_the_model_garden(
    rate: str, warmup: str | None, expected: list[float]
) -> None:
    made = optimizer_of(
        "sgd",
        {},
        learning_rate={"type": rate, rate: RATES[rate]},
        warmup={} if warmup is None else {"type": warmup, warmup: WARMUPS[warmup]},
    )
    found = [float(made.learning_rate(tf.constant(t, tf.int64))) for t in STEPS]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (
            "sgd",
            {"momentum": 0.9, "nesterov": True, "decay": 0.1, "clipvalue": 1.5},
            [0.6065118, 2.950946, 1.877105, -4.131163, -0.2485969, -0.3502806],
        ),
        (
            "adam",
            {"beta_2": 0.98, "amsgrad": True, "global_clipnorm": 1.0},
            [0.6997506, 2.300251, 2.699749, -4.300247, 0.216236, -0.2162379],
        ),
        (
            "adamw",
            {"weight_decay_rate": 0.1, "exclude_from_weight_decay": ["bias"]},
            [0.6729615, 2.23794, 2.613555, -4.178522, 0.2170162, -0.2170243],
        ),
        (
            "adamw",
            {"weight_decay_rate": 0.1, "gradient_clip_norm": 0.0},
            [0.6809378, 2.229961, 2.621534, -4.170554, 0.1881403, -0.1881431],
        ),
        (
            "adafactor_keras",
            {"clip_threshold": 0.5},
            [0.8916451, 2.726822, 2.623384, -4.037894, 0.4286875, -0.4286875],
        ),
        (
            "adagrad",
            {"initial_accumulator_value": 0.2, "clipnorm": 1.0},
            [0.9177256, 2.177779, 2.788716, -4.029418, 0.285886, -0.3876497],
        ),
        (
            "rmsprop",
            {"rho": 0.8, "momentum": 0.5, "centered": True},
            [-0.05809852, 3.0581, 1.9419, -5.058083, -0.4500574, 0.4500516],
        ),
    ],
)
def test_steps_are_those_of_the_model_garden(
    kind: str, fields: dict[str, Any], expected: list[float]
) -> None:
    np.testing.assert_allclose(three_steps(optimizer_of(kind, fields)), expected, rtol=2e-5)


def test_adafactor_has_two_spellings() -> None:
    one = optimizer_of("adafactor", {"clipping_threshold": 0.5, "decay_rate": 0.7})
    other = optimizer_of("adafactor_keras", {"clip_threshold": 0.5, "beta_2_decay": -0.7})
    assert three_steps(one) == three_steps(other)


def test_the_smaller_of_two_global_norms_counts() -> None:
    assert optimizer_of("adamw", {"global_clipnorm": 0.5}).global_clipnorm == 0.5
    assert optimizer_of("adamw", {"global_clipnorm": 2.0}).global_clipnorm == 1.0


def test_averages_come_around_the_optimizer() -> None:
    made = optimizer_of("sgd", {}, ema={"average_decay": 0.5, "start_step": 3})
    assert isinstance(made, ExponentialMovingAverage)
    assert (made.average_decay, made.start_step, made.dynamic_decay) == (0.5, 3, True)
    assert type(made.inner_optimizer) is tf.keras.optimizers.legacy.SGD


def one_of(kind: str | None, **fields: Any) -> SimpleNamespace:
    values = SimpleNamespace(**fields)
    return SimpleNamespace(type=kind, get=lambda: values)


def foreign(**changes: Any) -> SimpleNamespace:
    """A configuration of the Model Garden, played by objects with its fields."""
    adam = {"beta_1": 0.8, "beta_2": 0.98, "epsilon": 1e-6, "amsgrad": False, "clipnorm": 2.0}
    parts = {
        "optimizer": one_of("adam", **adam),
        "learning_rate": one_of("constant", learning_rate=0.5),
        "warmup": one_of(None),
        "ema": None,
    }
    return SimpleNamespace(**{**parts, **changes})


def test_other_objects_with_its_fields_do() -> None:
    optimizer = optimization.create(foreign())
    assert isinstance(optimizer, tf.keras.optimizers.legacy.Adam)
    assert optimizer.get_config()["beta_2"] == pytest.approx(0.98)
    assert optimizer.clipnorm == 2.0
    assert float(optimizer.learning_rate) == 0.5


ADAFACTOR = {
    "decay_rate": 0.8,
    "clipping_threshold": 1.0,
    "epsilon1": 1e-30,
    "epsilon2": 1e-3,
    "weight_decay": None,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": one_of("lamb")}, "optimizer.type: got 'lamb'; takes one of sgd, adam"),
        ({"optimizer": one_of(None)}, "optimizer.type: got None; takes one of sgd, adam"),
        ({"learning_rate": one_of("power_linear")}, "learning_rate.type: got 'power_linear'"),
        (
            {
                "learning_rate": one_of(
                    "cosine", initial_learning_rate=1.0, decay_steps=None, alpha=0
                )
            },
            "learning_rate.cosine.decay_steps: got None",
        ),
        ({"warmup": one_of("cosine")}, "warmup.type: got 'cosine'; takes one of linear, poly"),
        (
            {"optimizer": one_of("adafactor", **ADAFACTOR, factored=False)},
            "optimizer.adafactor.factored: got False; .* takes True",
        ),
        (
            {"ema": SimpleNamespace(trainable_weights_only=False)},
            "ema.trainable_weights_only: got False",
        ),
        ({"ema": SimpleNamespace(clipnorm=1.0)}, "ema.clipnorm: got 1.0; .* set it in the opti"),
    ],
)
def test_what_is_lacking_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        optimization.create(foreign(**changes))


def test_adamw_clips_in_one_way() -> None:
    with pytest.raises(ConfigError, match="got gradient_clip_norm and clipnorm; takes one of them"):
        optimizer_of("adamw", {"clipnorm": 1.0})


def test_a_task_takes_it() -> None:
    assert optimization.is_optimization_config(foreign())
    assert optimization.is_optimization_config(OptimizationConfig())
    assert not optimization.is_optimization_config(OptimizerConfig())
    assert isinstance(Linear.create_optimizer(foreign()), tf.keras.optimizers.legacy.Adam)


def optimizer_of(kind: str, fields: dict[str, Any], **parts: Any) -> Any:
    data = {"optimizer": {"type": kind, kind: fields}, "learning_rate": CONSTANT, **parts}
    return optimization.create(from_dict(OptimizationConfig, data))


def three_steps(optimizer: Any) -> list[float]:
    kernel = tf.Variable([[1.0, 2.0], [3.0, -4.0]], name="kernel")
    bias = tf.Variable([0.5, -0.5], name="bias")
    for i in range(3):
        gradients = tf.constant([[0.3, -1.0], [2.0, 0.1]]) * (i + 1), tf.constant([1.0, -0.2])
        optimizer.apply_gradients(list(zip(gradients, (kernel, bias), strict=True)))
    return [*kernel.numpy().ravel().tolist(), *bias.numpy().tolist()]
