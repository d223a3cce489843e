"""What the engine makes of both tasks: parts of batches, several steps at once, precision, XLA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.ranking.config import EmbeddingOptimizerConfig
from babelrank.components.training.config import OptimizerConfig
from babelrank.components.training.loop import FitResult, fit
from babelrank.components.training.progress import Lines
from tests.distributed import trainings
from tests.distributed.trainings import TASKS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def train(data: Path, tmp_path: Path) -> Any:
    count = 0

    def run(
        task: str, evaluate: bool = True, work: Path | None = None, **changes: Any
    ) -> FitResult:
        nonlocal count
        count += 1
        made = trainings.make(task, data / task, **{"steps": 12, "evaluate_every": 6, **changes})
        evaluation = made.evaluation if evaluate else None
        work = work or tmp_path / str(count)
        return fit(made.task, made.config, made.train, evaluation, work, progress=Lines())

    return run


def weights(result: FitResult) -> list[np.ndarray[Any, Any]]:
    return [np.array(w) for w in result.model.get_weights()]


def losses(result: FitResult) -> list[float]:
    return [record["loss"] for record in result.history]


@pytest.mark.parametrize("task", TASKS)
def test_parts_of_a_batch_are_as_the_batch(task: str, train: Any) -> None:
    whole, parts = train(task), train(task, accumulation=3)
    np.testing.assert_allclose(losses(parts), losses(whole), rtol=1e-5)
    for x, y in zip(weights(parts), weights(whole), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_several_steps_at_once_are_the_same_steps(task: str, train: Any) -> None:
    one, four = (
        train(task, evaluate_every=12),
        train(task, evaluate_every=12, steps_per_execution=4),
    )
    assert losses(four) == pytest.approx([np.mean(losses(one)[i : i + 4]) for i in (0, 4, 8)])
    assert four.history[-1]["eval"] == one.history[-1]["eval"]
    for x, y in zip(weights(one), weights(four), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_less_precision_learns_about_the_same(task: str, precision: str, train: Any) -> None:
    full, half = train(task, steps=30), train(task, steps=30, precision=precision)
    assert {w.dtype for w in weights(half)} <= {np.dtype("float32"), np.dtype("int64")}
    assert losses(half) != losses(full)
    np.testing.assert_allclose(losses(half)[:3], losses(full)[:3], rtol=0.02)
    assert losses(half)[-1] < 0.95 * losses(half)[0]


@pytest.mark.parametrize("task", TASKS)
def test_the_average_of_the_weights_is_judged_and_kept(task: str, train: Any) -> None:
    """After two steps with decay d: d (d w0 + (1 - d) w1) + (1 - d) w2."""

    def at(steps: int, rate: float = 0.1, **changes: Any) -> FitResult:
        changes["optimizer"] = OptimizerConfig(name="sgd", learning_rate=rate)
        if task == "ranking":
            tables = EmbeddingOptimizerConfig(name="sgd", learning_rate=rate)
            changes["embedding_optimizer"] = tables
        return train(task, steps=steps, **changes)

    first = weights(at(1, rate=1e-30, evaluate=False))
    one, two = weights(at(1, evaluate=False)), weights(at(2, evaluate=False))
    averaged = at(2, ema_decay=0.15)
    for w0, w1, w2, found in zip(first, one, two, weights(averaged), strict=True):
        np.testing.assert_allclose(found, 0.15 * (0.15 * w0 + 0.85 * w1) + 0.85 * w2, atol=1e-6)
    assert averaged.best_metrics["loss"] != at(2).best_metrics["loss"]
    kept = weights(at(2, ema_decay=0.15, evaluate=False))
    for x, y in zip(weights(averaged), kept, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_resumed_training_goes_on_with_its_averages(train: Any, tmp_path: Path) -> None:
    settings = {"ema_decay": 0.9, "evaluate": False, "checkpoint_interval": 4}
    straight = train("ranking", steps=8, **settings)
    train("ranking", steps=4, work=tmp_path / "w", **settings)
    resumed = train("ranking", steps=8, work=tmp_path / "w", **settings)
    assert resumed.resumed_from == 4
    for x, y in zip(weights(resumed), weights(straight), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("task", TASKS)
def test_parts_in_float16(task: str, train: Any) -> None:
    whole, parts = (train(task, precision="float16", accumulation=n) for n in (1, 2))
    np.testing.assert_allclose(losses(parts)[:4], losses(whole)[:4], rtol=0.02)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_xla_makes_no_difference(accumulation: int, train: Any) -> None:
    plain, compiled = train("ranking"), train("ranking", xla=True, accumulation=accumulation)
    np.testing.assert_allclose(losses(compiled), losses(plain), rtol=1e-4)


def test_xla_needs_one_shape(train: Any) -> None:
    with pytest.raises(ConfigError, match="xla: got true, but every batch has a shape of its own"):
        train("translation", xla=True)


def test_the_policy_of_the_program_stays(train: Any) -> None:
    train("ranking", steps=1, precision="bfloat16")
    assert tf.keras.mixed_precision.global_policy().name == "float32"
