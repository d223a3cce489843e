"""The Model Garden's `OptimizationConfig`, played by objects with its fields."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import optimization_config
from babelrank.components.training.config import OptimizerConfig
from tests.components.training.test_task import Linear

ADAM = {"beta_1": 0.8, "beta_2": 0.98, "epsilon": 1e-6, "amsgrad": False, "global_clipnorm": 2.0}


def one_of(kind: str | None, **fields: Any) -> SimpleNamespace:
    values = SimpleNamespace(**fields)
    return SimpleNamespace(type=kind, get=lambda: values)


def config(**changes: Any) -> SimpleNamespace:
    parts = {
        "optimizer": one_of("adam", **ADAM),
        "learning_rate": one_of("constant", learning_rate=0.5),
        "warmup": one_of(None),
        "ema": None,
    }
    return SimpleNamespace(**{**parts, **changes})


def test_fields_reach_the_optimizer() -> None:
    optimizer = optimization_config.create(config())
    assert isinstance(optimizer, tf.keras.optimizers.legacy.Adam)
    assert optimizer.get_config()["beta_2"] == pytest.approx(0.98)
    assert optimizer.global_clipnorm == 2.0
    assert float(optimizer.learning_rate) == 0.5


def test_schedule_and_warm_up() -> None:
    polynomial = {"initial_learning_rate": 1.0, "decay_steps": 10, "end_learning_rate": 0.0}
    made = optimization_config.create(
        config(
            learning_rate=one_of("polynomial", **polynomial, power=1.0, cycle=False, offset=0),
            warmup=one_of("linear", warmup_steps=4, warmup_learning_rate=0.2),
        )
    )
    rates = [float(made.learning_rate(step)) for step in (0, 2, 4, 10)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": one_of("lamb")}, "optimizer.type: got 'lamb'; takes one of sgd, adam"),
        ({"learning_rate": one_of("power")}, "learning_rate.type: got 'power'"),
        ({"learning_rate": one_of("cosine", offset=3)}, "'cosine with an offset'"),
        ({"warmup": one_of("polynomial")}, "warmup.type: got 'polynomial'; takes one of linear"),
        ({"ema": SimpleNamespace()}, "ema: averages of the weights"),
    ],
)
def test_what_is_lacking_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        optimization_config.create(config(**changes))


def test_a_task_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert optimization_config.is_optimization_config(config())
    assert not optimization_config.is_optimization_config(OptimizerConfig())
    optimizer = Linear.create_optimizer(config())
    assert isinstance(optimizer, tf.keras.optimizers.legacy.Adam)
