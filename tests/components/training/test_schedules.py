"""Learning rates that change with the step."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import schedules
from babelrank.components.training.config import OptimizerConfig

ROOT = 2**-0.5


@pytest.mark.parametrize(
    ("decay", "rates"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25, 0]),
        ("cosine", [0.5, 1, 1, 0.5 + 8**-0.5, 0.5, 0.5 - 8**-0.5, 0]),
        ("polynomial", [0.5, 1, 1, 0.5625, 0.25, 0.0625, 0]),
        ("exponential", [0.5, 1, 1, 10**-0.5, 0.1, 10**-1.5, 0.01]),
        ("inverse_sqrt", [0.5, 1, 1, (2 / 3) ** 0.5, ROOT, (2 / 5) ** 0.5, (1 / 3) ** 0.5]),
    ],
)
def test_a_rate_warms_up_and_falls(decay: str, rates: list[float]) -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=2, decay=decay)
    made = schedules.create(config, 6)
    np.testing.assert_allclose([made(t) for t in range(7)], rates, atol=1e-6)
    again = schedules.WarmUp.from_config(made.get_config())
    assert [float(again(t)) for t in range(7)] == [float(made(t)) for t in range(7)]


@pytest.mark.parametrize(
    ("decay", "rates"),
    [
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("inverse_sqrt", [1, 1, ROOT, 3**-0.5, 0.5]),
    ],
)
def test_a_rate_falls_at_once_without_a_warm_up(decay: str, rates: list[float]) -> None:
    made = schedules.create(OptimizerConfig(learning_rate=1.0, decay=decay), 4)
    np.testing.assert_allclose([made(t) for t in range(5)], rates, atol=1e-6)


def test_a_warm_up_with_the_square_of_the_step() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4, warmup="polynomial")
    made = schedules.create(config)
    np.testing.assert_allclose([made(t) for t in range(5)], [1 / 16, 1 / 4, 9 / 16, 1, 1])


def test_a_constant_rate_is_a_number() -> None:
    assert schedules.create(OptimizerConfig(learning_rate=0.5)) == 0.5


def test_a_warm_up_may_begin_above_zero() -> None:
    made = schedules.WarmUp(tf.keras.optimizers.schedules.PolynomialDecay(1.0, 8, 0.0), 4, 0.1)
    np.testing.assert_allclose([made(t) for t in (0, 2, 4, 6)], [0.1, 0.3, 0.5, 0.25], rtol=1e-6)


def test_a_schedule_begins_later() -> None:
    made = schedules.Delayed(tf.keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5), 3)
    np.testing.assert_allclose([made(t) for t in (3, 4, 6)], [1, 0.5, 0.125])


@pytest.mark.parametrize("decay", ["cosine", "linear", "polynomial", "exponential"])
def test_a_falling_rate_needs_its_end(decay: str) -> None:
    with pytest.raises(ConfigError, match=f"decay: got '{decay}' without a number of steps"):
        schedules.create(OptimizerConfig(decay=decay))


def test_the_root_of_the_step_needs_no_end() -> None:
    assert float(schedules.create(OptimizerConfig(learning_rate=1.0, decay="inverse_sqrt"))(4)) == (
        pytest.approx(0.5)
    )


def test_a_warm_up_must_end_first() -> None:
    with pytest.raises(ConfigError, match="warmup_steps: got 9; .* less than the 9 steps"):
        schedules.create(OptimizerConfig(decay="linear", warmup_steps=9), 9)


@pytest.mark.parametrize(("steps", "warmup"), [(50, 5), (9_999, 999), (100_000, 1000)])
def test_a_warm_up_of_a_tenth(steps: int, warmup: int) -> None:
    config = OptimizerConfig(warmup_steps=None, decay="cosine", learning_rate=0.5)
    assert schedules.create(config, steps).steps == warmup


def test_a_warm_up_of_a_tenth_of_little_is_none() -> None:
    assert schedules.create(OptimizerConfig(warmup_steps=None, learning_rate=0.5), 5) == 0.5


def test_a_warm_up_of_a_tenth_of_what() -> None:
    with pytest.raises(ConfigError, match="warmup_steps: got null without a number of steps"):
        schedules.create(OptimizerConfig(warmup_steps=None))
