"""Tests of single trials on a small regression: going on, the learning rate, what stays on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.config import from_dict
from babelrank.components.errors import InputError
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.inputs import Batches, Column, ColumnStore
from babelrank.components.training.task import Task
from babelrank.pipelines import trials as module
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.search import Proposal, Trained, TrialError
from babelrank.pipelines.trial_parts import Examples, Parts, modes
from babelrank.pipelines.trials import Trials, set_schedule

ROWS, BATCH = 22, 4  # 6 batches an epoch
RATE = "training.optimizer.learning_rate"
SETTINGS: dict[str, Any] = {
    "data": {"path": "x", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
    "training": {
        "epochs": 9,
        "optimizer": {"decay": "cosine", "warmup_steps": 4},
        "early_stopping": {"patience": 0},
        "tensorboard": False,
    },
}


class Regression(Task):
    """Fits y = x . w; its metric is the loss."""

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(init_checkpoint=None))

    def build_model(self) -> tf.keras.Model:
        model = tf.keras.Sequential([tf.keras.layers.Dense(4), tf.keras.layers.Dense(1)])
        model(tf.zeros([1, 2]))
        return model

    def build_inputs(self, params: Any, input_context: Any = None) -> tf.data.Dataset:
        raise NotImplementedError

    def build_losses(self, labels: Any, model_outputs: Any, aux_losses: Any = None) -> tf.Tensor:
        return tf.reduce_mean((labels - model_outputs[:, 0]) ** 2)


class Silent:
    """Tells nobody; `stop_at` is a step after which Ctrl-C comes."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at

    def start(self, step: int, total: int, unit: str = "examples") -> None:
        pass

    def update(self, step: int, total: int, loss: float, speed: float) -> None:
        if self.stop_at is not None and step >= self.stop_at:
            raise KeyboardInterrupt

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> ColumnStore:
    drawn = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        for _ in range(ROWS):
            x = drawn.normal(size=2)
            features = {
                name: tf.train.Feature(float_list=tf.train.FloatList(value=value))
                for name, value in (("x", x), ("y", [x @ [2.0, -1.0]]))
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    columns = [Column("x", "float32", 2), Column("y", "float32")]
    return ColumnStore.build(str(tmp_path / "records"), columns, tmp_path / "store")


@pytest.fixture
def make(
    store: ColumnStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Trials]:
    """Makes trials that train the regression."""

    def parts(config: RankingConfig, examples: Examples, stores: Path, beam: bool) -> Parts:
        if config.training.batch_size == 1:
            raise InputError("no pair is short enough")
        train, evaluation = (
            Batches(
                store, BATCH, 1, shuffle, to_inputs=lambda columns: (columns["x"], columns["y"])
            )
            for shuffle in (True, False)
        )
        return Parts(Regression(), train, evaluation)

    monkeypatch.setattr(module, "parts", parts)
    # so that an interruption comes at the step it is meant for
    monkeypatch.setattr("babelrank.components.training.loop._FETCH_STEPS", 1)

    def made(folder: str = "trials", stop_at: int | None = None) -> Trials:
        config = from_dict(RankingConfig, SETTINGS)
        return Trials(config, Examples("", ""), tmp_path / folder, False, lambda: Silent(stop_at))

    return made


def proposal(number: int, epochs: int | None = None, **more: Any) -> Proposal:
    return Proposal(number=number, values={RATE: 0.03}, epochs=epochs, **more)


def losses(folder: Path) -> list[float]:
    """The eval losses of a training, in order."""
    history = json.loads((folder / "history.json").read_text())
    return [record["eval"]["loss"] for record in history if "eval" in record]


def test_a_trial_trains_with_its_values(make: Callable[..., Trials], tmp_path: Path):
    trained = make().train(proposal(1))
    assert (trained.steps, trained.stopped_early) == (54, None)
    curve = losses(tmp_path / "trials" / "0001")
    assert len(curve) == 9
    assert trained.metrics["loss"] == min(curve)
    other = make().train(Proposal(number=2, values={RATE: 0.001}))
    assert other.metrics != trained.metrics


def test_going_on_is_the_same_as_training_at_once(make: Callable[..., Trials], tmp_path: Path):
    whole = make("whole").train(proposal(1, epochs=9))
    trials = make()
    rungs = [
        trials.train(proposal(1, epochs=1)),
        trials.train(proposal(2, epochs=3, begins=1, continues=1)),
        trials.train(proposal(3, epochs=9, begins=3, continues=2)),
    ]
    assert [rung.steps for rung in rungs] == [6, 18, 54]
    folder = tmp_path / "trials"
    curve = losses(tmp_path / "whole" / "0001")
    assert losses(folder / "0003") == pytest.approx(curve, rel=1e-6)
    # The decay is that of nine epochs from the start: the first epochs are the same too.
    assert losses(folder / "0001") == pytest.approx(curve[:1], rel=1e-6)
    assert rungs[2].metrics == pytest.approx(whole.metrics, rel=1e-6)
    assert rungs[2].best_step == whole.best_step
    # A training of three epochs by itself, with a decay of three epochs, is another one.
    settings = {**SETTINGS, "training": {**SETTINGS["training"], "epochs": 3}}
    alone = Trials(
        from_dict(RankingConfig, settings), Examples("", ""), tmp_path / "alone", False, Silent
    )
    alone.train(proposal(1))
    assert losses(tmp_path / "alone" / "0001") != pytest.approx(curve[:3], rel=1e-3)


@pytest.mark.parametrize("continues", [None, 1])
def test_an_interrupted_trial_goes_on(
    make: Callable[..., Trials], tmp_path: Path, continues: int | None
):
    two = proposal(2, epochs=3, begins=1 if continues else 0, continues=continues)
    results: list[Trained] = []
    for folder, stop_at in (("whole", None), ("broken", 10)):
        trials = make(folder)
        trials.train(proposal(1, epochs=1))
        if stop_at is not None:
            with pytest.raises(KeyboardInterrupt):
                make(folder, stop_at).train(two)
            shutil.rmtree(tmp_path / folder / "0001")  # it is not copied twice
        results.append(trials.train(two))
    assert results[0].metrics == pytest.approx(results[1].metrics, rel=1e-6)
    assert results[0].steps == results[1].steps == 18


def test_only_the_learning_curve_stays(make: Callable[..., Trials], tmp_path: Path):
    trials, folder = make(), tmp_path / "trials"
    trials.train(proposal(1, epochs=1))
    trials.train(proposal(2, epochs=3, begins=1, continues=1))
    assert (folder / "0001" / "checkpoints").is_dir()
    trials.tidy(1)
    assert [path.name for path in (folder / "0001").iterdir()] == ["history.json"]
    assert (folder / "0002" / "checkpoints").is_dir()
    (folder / ".unfinished-x").mkdir()  # of a copy that was killed
    (folder / "examples").mkdir()
    trials.finish(3)
    left = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert sorted(map(str, left)) == ["0001/history.json", "0002/history.json"]
    assert sorted(path.name for path in folder.iterdir()) == ["0001", "0002"]


def test_values_that_leave_nothing_to_train_on(make: Callable[..., Trials]):
    with pytest.raises(TrialError, match="no pair is short enough"):
        make().train(Proposal(number=1, values={"training.batch_size": 1}))


def test_too_little_memory_is_a_failed_trial_and_a_full_disk_is_not(
    make: Callable[..., Trials], monkeypatch: pytest.MonkeyPatch
):
    said = "OOM when allocating"

    def fit(*_: Any, **__: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, said)

    monkeypatch.setattr(module, "fit", fit)
    with pytest.raises(TrialError, match="not enough memory: OOM when allocating"):
        make().train(proposal(1))
    said = "x; No space left on device"
    with pytest.raises(tf.errors.ResourceExhaustedError, match="No space left"):
        make().train(proposal(1))


def test_the_schedule_of_a_training_configuration_only(monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []
    task = Regression()
    monkeypatch.setattr(task, "create_optimizer", lambda *given: seen.append(given))
    set_schedule(task, 100)
    task.create_optimizer(TrainingConfig(steps=5), "runtime", None)
    task.create_optimizer("other")
    assert seen == [(TrainingConfig(steps=100), "runtime", None), ("other",)]


def test_metrics_to_compare_by():
    assert modes(from_dict(RankingConfig, SETTINGS)) == {
        "loss": "min",
        "auc": "max",
        "pr_auc": "max",
        "log_loss": "min",
        "accuracy": "max",
        "ece": "min",
        "lift": "max",
    }
