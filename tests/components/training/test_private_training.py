"""Private training of both tasks: a step by hand, what is spent, resume, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import privacy, replicas
from babelrank.components.training.accountant import Accountant
from babelrank.components.training.config import OptimizerConfig, PrivacyConfig
from babelrank.components.training.loop import FitResult, fit
from babelrank.components.training.progress import Lines
from tests.distributed import trainings
from tests.distributed.trainings import TASKS, Training

SECRET = 77


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def known_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "secret", lambda: SECRET)


def make(task: str, data: Path, noise: float = 1.0, **changes: Any) -> Training:
    changes.setdefault("optimizer", OptimizerConfig(name="sgd", learning_rate=1.0))
    settings = PrivacyConfig(
        noise_multiplier=noise, clipping_norm=0.5, batch_size=8, **changes.pop("privacy", {})
    )
    return trainings.make(task, data / task, privacy=settings, **changes)


def run(made: Training, work: Path, evaluate: bool = True, **changes: Any) -> FitResult:
    evaluation = made.evaluation if evaluate else None
    return fit(made.task, made.config, made.train, evaluation, work, progress=Lines(), **changes)


def weights(model: tf.keras.Model) -> list[np.ndarray[Any, Any]]:
    return [np.array(w) for w in model.trainable_variables]


@pytest.mark.parametrize("task", TASKS)
def test_a_step_clips_each_example_and_divides_by_a_constant(
    task: str, data: Path, tmp_path: Path
) -> None:
    made = make(task, data, noise=1e-9, steps=1)
    tf.keras.utils.set_random_seed(made.config.seed)
    model = made.task.build_model()
    before = weights(model)
    sums = [np.zeros_like(w) for w in before]
    samples = made.train.seeded(SECRET)
    batch = next(iter(samples.dataset()))
    rows = len(samples.rows_in(0))
    assert rows not in (0, 8)
    norms = []
    for i in range(rows):
        example = tf.nest.map_structure(lambda x, i=i: x[i : i + 1], batch)
        gradients = gradients_of(made, model, example)
        norms.append(np.sqrt(sum(np.sum(g**2) for g in gradients)))
        scale = min(1.0, 0.5 / norms[-1])
        sums = [s + scale * g for s, g in zip(sums, gradients, strict=True)]
    assert max(norms) > 0.5
    trained = run(made, tmp_path, evaluate=False)
    for start, total, found in zip(before, sums, weights(trained.model), strict=True):
        np.testing.assert_allclose(found, start - total / 8, atol=1e-6)


def gradients_of(made: Training, model: tf.keras.Model, example: Any) -> list[Any]:
    """Dense gradients of one example's loss."""
    kept: list[Any] = []

    class Keep:
        def apply_gradients(self, pairs: Any) -> None:
            kept.extend(tf.convert_to_tensor(g).numpy() for g, _ in pairs)

    with replicas.alone():
        made.task.train_step(example, model, Keep())
    return kept


@pytest.mark.parametrize("task", TASKS)
def test_what_is_spent_is_told(task: str, data: Path, tmp_path: Path) -> None:
    made = make(task, data, steps=10, evaluate_every=5)
    result = run(made, tmp_path)
    spent = [record["epsilon"] for record in result.history if "eval" in record]
    accountant = Accountant(made.config.privacy, made.train.rows, 8)
    assert spent == [accountant.epsilon(5), accountant.epsilon(10)]
    assert result.privacy is not None
    assert result.privacy["epsilon"] == spent[-1]
    assert result.privacy["delta"] == 1 / (10 * made.train.rows)
    assert result.privacy["steps"] == 10
    assert "vocabularies" in result.privacy["covers"]


def test_training_ends_before_it_spends_too_much(data: Path, tmp_path: Path) -> None:
    accountant = Accountant(make("ranking", data).config.privacy, 301, 8)
    enough = accountant.epsilon(4) + 1e-9
    made = make("ranking", data, steps=50, privacy={"max_epsilon": enough})
    result = run(made, tmp_path)
    assert result.steps == 4
    assert result.privacy is not None and result.privacy["epsilon"] <= enough


def test_a_resumed_training_draws_the_same(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(name: str, steps: int) -> FitResult:
        made = make("ranking", data, steps=steps, checkpoint_interval=4)
        return run(made, tmp_path / name, evaluate=False)

    straight = train("a", 8)
    train("b", 4)
    numbers = itertools.count(1000)
    monkeypatch.setattr(privacy, "secret", lambda: next(numbers))  # those of the checkpoint count
    resumed, other = train("b", 8), train("c", 8)
    assert resumed.resumed_from == 4
    for x, y, z in zip(*(weights(r.model) for r in (straight, resumed, other)), strict=True):
        np.testing.assert_array_equal(x, y)
        assert not np.array_equal(x, z)


def test_other_batches_are_refused(data: Path, tmp_path: Path) -> None:
    made = make("ranking", data)
    shuffled = trainings.make("ranking", data / "ranking").train
    with pytest.raises(ConfigError, match="privacy: got Batches to train on; takes PoissonBatches"):
        fit(made.task, made.config, shuffled, None, tmp_path, progress=Lines())
