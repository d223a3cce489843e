"""The loop, with a small regression: resume, best weights, early stopping, errors."""

import json
import math
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError, DivergedError, Interrupted
from babelrank.components.training.checkpoints import Position
from babelrank.components.training.config import (
    EarlyStoppingConfig,
    OptimizerConfig,
    RecoveryConfig,
)
from babelrank.components.training.config import TrainingConfig as Config
from babelrank.components.training.divergence import Diverged, watch
from babelrank.components.training.dropout import Dropout
from babelrank.components.training.inputs import Batches, Column, ColumnStore
from babelrank.components.training.loop import fit
from babelrank.components.training.task import Task

ROWS, BATCH = 22, 4  # 6 batches an epoch


class Regression(Task):
    """Fits y = x . w; eval metrics come from `scores` when given."""

    best_metric = "score"
    best_metric_mode = "max"

    def __init__(self, scores=None, dropout=0.0):
        super().__init__(SimpleNamespace(init_checkpoint=None))
        self._scores, self._dropout = scores, dropout
        self.seen = []

    def build_model(self):
        layers = [tf.keras.layers.Dense(4), tf.keras.layers.Dense(1)]
        if self._dropout:
            layers.insert(1, Dropout(self._dropout))
        model = tf.keras.Sequential(layers)
        model(tf.zeros([1, 2]))
        return model

    def build_inputs(self, params, input_context=None):
        raise NotImplementedError

    def build_losses(self, labels, model_outputs, aux_losses=None):
        return tf.reduce_mean((labels - model_outputs[:, 0]) ** 2)

    def build_metrics(self, training=True):
        return [tf.keras.metrics.Mean(name="label_mean")] if training else []

    def process_metrics(self, metrics, labels, model_outputs, **kwargs):
        metrics[0].update_state(labels)

    def aggregate_logs(self, state=None, step_outputs=None):
        return (state or 0) + 1

    def reduce_aggregated_logs(self, aggregated_logs, global_step=None):
        self.seen.append((int(global_step), aggregated_logs))
        return {"score": self._scores[int(global_step)] if self._scores else float(global_step)}


class Silent:
    def __init__(self, stop_at=None, every_step=None):
        self.stop_at, self.notes, self.updates, self.closed = stop_at, [], [], False

    def start(self, step, total, unit):
        self.started, self.unit = (step, total), unit

    def update(self, step, total, loss, speed):
        self.updates.append((step, loss))
        if isinstance(self.stop_at, int) and step >= self.stop_at:
            raise KeyboardInterrupt

    def note(self, text):
        self.notes.append(text)
        if self.stop_at == "eval" and text.startswith("eval"):
            raise KeyboardInterrupt

    def close(self):
        self.closed = True


@pytest.fixture
def data(tmp_path):
    drawn = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        for _ in range(ROWS):
            x = drawn.normal(size=2)
            y = [x @ [2.0, -1.0] + 0.1 * drawn.normal()]
            feature = {
                name: tf.train.Feature(float_list=tf.train.FloatList(value=value))
                for name, value in (("x", x), ("y", y))
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    columns = [Column("x", "float32", 2), Column("y", "float32")]
    store = ColumnStore.build(str(tmp_path / "records"), columns, tmp_path / "store")

    def batches(shuffle=True, seed=42):
        return Batches(
            store, BATCH, seed, shuffle, to_inputs=lambda columns: (columns["x"], columns["y"])
        )

    return batches


@pytest.fixture
def each_step(monkeypatch):
    """Reports after each step."""
    monkeypatch.setattr("babelrank.components.training.loop._FETCH_STEPS", 1)


def config(**changes):
    return Config(**{"epochs": 4, "checkpoint_interval": 5} | changes)


def weights(model):
    return [np.array(w) for w in model.get_weights()]


def assert_equal(a, b):
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_model_learns(data, tmp_path):
    display = Silent()
    changes = {"epochs": 60, "optimizer": OptimizerConfig(learning_rate=0.05)}
    run = config(**changes)
    result = fit(Regression(), run, data(), data(False), tmp_path / "run", progress=display)
    assert result.steps == 360
    assert result.history[0]["loss"] > 1
    assert result.history[-1]["loss"] < 0.05
    assert result.history[-1]["eval"]["loss"] < 0.05
    assert result.speed > 0
    assert (result.resumed_from, result.stopped_early, result.best_step) == (None, None, 360)
    assert display.started == (0, 360)
    assert display.updates[-1][0] == 360
    assert display.closed


def test_the_history_is_on_disk(data, tmp_path):
    result = fit(Regression(), config(), data(), data(False), tmp_path / "run", progress=Silent())
    assert json.loads((tmp_path / "run" / "history.json").read_text()) == result.history
    assert [record["step"] for record in result.history] == list(range(1, 25))
    assert [r["step"] for r in result.history if "eval" in r] == [6, 12, 18, 24]
    assert result.history[8]["epoch"] == pytest.approx(1.5)
    assert {"step", "epoch", "loss", "label_mean"} <= set(result.history[0])
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_every_batch_is_judged_once_and_weighs_by_its_size(data, tmp_path):
    task = Regression()
    changes = {"evaluate_every": 5, "steps": 12, "tensorboard": False}
    result = fit(task, config(**changes), data(), data(False), tmp_path / "run", progress=Silent())
    assert task.seen == [(5, 6), (10, 6), (12, 6)]
    all_rows = data().store.take(np.arange(ROWS))
    outputs = result.model(all_rows["x"])[:, 0]
    mean = float(np.mean((outputs - all_rows["y"]) ** 2))
    assert result.best_metrics["loss"] == pytest.approx(mean, rel=1e-5)
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_without_eval_the_last_weights_stay(data, tmp_path):
    result = fit(Regression(), config(epochs=1), data(), None, tmp_path / "run", progress=Silent())
    assert (result.steps, result.best_step, result.best_metrics) == (6, None, {})


@pytest.mark.parametrize("stop_at", [3, 5, 6, 13, "eval"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_resumed_run_equals_an_uninterrupted_one(data, tmp_path, each_step, stop_at, dropout):
    tf.config.experimental.enable_op_determinism()

    def run(name, display):
        task = Regression(dropout=dropout)
        return fit(task, config(), data(), data(False), tmp_path / name, progress=display)

    whole = run("whole", Silent())
    with pytest.raises(KeyboardInterrupt):
        run("parts", Silent(stop_at))
    resumed = run("parts", Silent())
    assert resumed.resumed_from == (6 if stop_at == "eval" else stop_at)
    assert_equal(resumed.model, whole.model)
    assert resumed.history == whole.history
    assert resumed.best_metrics == whole.best_metrics


def test_a_killed_run_goes_on_from_its_last_checkpoint(data, tmp_path, each_step):
    class Killed(Silent):
        def update(self, step, total, loss, speed):
            if step == 9:
                raise MemoryError

    whole = fit(Regression(), config(), data(), data(False), tmp_path / "a", progress=Silent())
    with pytest.raises(MemoryError):
        fit(Regression(), config(), data(), data(False), tmp_path / "b", progress=Killed())
    again = fit(Regression(), config(), data(), data(False), tmp_path / "b", progress=Silent())
    assert again.resumed_from == 6
    assert again.history == whole.history


def test_a_finished_training_is_not_repeated(data, tmp_path):
    first = fit(Regression(), config(), data(), data(False), tmp_path / "run", progress=Silent())
    task = Regression()
    second = fit(task, config(), data(), data(False), tmp_path / "run", progress=Silent())
    assert (second.resumed_from, second.steps, task.seen) == (24, 24, [])
    assert second.speed == 0
    assert_equal(first.model, second.model)


def test_more_steps_go_on_with_a_finished_training(data, tmp_path):
    fit(Regression(), config(), data(), data(False), tmp_path / "run", progress=Silent())
    more = config(epochs=5)
    result = fit(Regression(), more, data(), data(False), tmp_path / "run", progress=Silent())
    assert (result.resumed_from, result.steps) == (24, 30)


def test_the_best_weights_are_restored(data, tmp_path):
    scores = {6: 0.5, 12: 0.9, 18: 0.7, 24: 0.8}
    best = fit(Regression(), config(epochs=2), data(), None, tmp_path / "a", progress=Silent())
    task = Regression(scores)
    result = fit(task, config(), data(), data(False), tmp_path / "b", progress=Silent())
    assert (result.best_step, result.best_metrics["score"], result.steps) == (12, 0.9, 24)
    for x, y in zip(weights(result.model), weights(best.model), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5)


def test_training_stops_when_it_no_longer_helps(data, tmp_path):
    scores = {6: 0.5, 12: 0.9, 18: 0.9, 24: 0.91, 30: 0.99}
    stopping = EarlyStoppingConfig(patience=2, min_delta=0.05)
    run = config(epochs=9, early_stopping=stopping)
    result = fit(Regression(scores), run, data(), data(False), tmp_path / "run", progress=Silent())
    assert result.steps == 24
    assert result.stopped_early == ("score did not improve in 2 evaluations (best 0.9 at step 12)")
    again = fit(Regression(scores), run, data(), data(False), tmp_path / "run", progress=Silent())
    assert (again.steps, again.stopped_early) == (24, result.stopped_early)


def test_patience_zero_never_stops(data, tmp_path):
    scores = dict.fromkeys(range(0, 60, 6), 0.5)
    run = config(epochs=9, early_stopping=EarlyStoppingConfig(patience=0))
    result = fit(Regression(scores), run, data(), data(False), tmp_path / "run", progress=Silent())
    assert (result.steps, result.stopped_early) == (54, None)


def test_a_metric_that_is_no_number(data, tmp_path):
    scores = dict.fromkeys(range(0, 60, 6), math.nan)
    run = config(early_stopping=EarlyStoppingConfig(patience=2))
    result = fit(Regression(scores), run, data(), data(False), tmp_path / "run", progress=Silent())
    assert result.stopped_early == "score did not improve in 2 evaluations (never a number)"
    assert result.best_step is None
    assert result.history[-1]["eval"]["score"] is None


def test_another_metric_can_be_watched(data, tmp_path):
    run = config(early_stopping=EarlyStoppingConfig(metric="loss"))
    result = fit(Regression(), run, data(), data(False), tmp_path / "run", progress=Silent())
    losses = [r["eval"]["loss"] for r in result.history if "eval" in r]
    assert result.best_metrics["loss"] == min(losses)
    run = config(early_stopping=EarlyStoppingConfig(metric="bleu"))
    with pytest.raises(ConfigError, match="early_stopping.metric: got 'bleu'"):
        fit(Regression(), run, data(), data(False), tmp_path / "other", progress=Silent())


class Poisoned(Regression):
    """The loss is lost on batches with one of these labels."""

    def __init__(self, *labels):
        super().__init__()
        self.labels = labels

    def build_losses(self, labels, model_outputs, aux_losses=None):
        loss = super().build_losses(labels, model_outputs)
        ruined = tf.reduce_any([tf.reduce_any(labels == bad) for bad in self.labels])
        return tf.where(ruined, math.nan, 1.0) * loss


def label_of(batches, epoch, index):
    return float(batches.get(epoch, index)["y"][0])


def test_a_batch_that_ruins_the_loss_is_left_out(data, tmp_path):
    batches = data()
    task = Poisoned(label_of(batches, 0, 3))  # its row comes again in each epoch
    progress = Silent()
    result = fit(task, config(epochs=1), batches, None, tmp_path / "a", progress=progress)
    assert (result.steps, result.skipped) == (6, ["epoch 0, batch 3"])
    (note,) = (note for note in progress.notes if "recovery" in note)
    assert note == (
        "training: step 4: the loss is nan; going on from step 0 without epoch 0, batch 3 "
        "(recovery 1 of 3)"
    )
    assert all(np.isfinite(w).all() for w in weights(result.model))
    losses = [record["loss"] for record in result.history]
    assert len(losses) == 6 and np.isfinite(losses).all()


def test_too_many_bad_batches_end_the_training(data, tmp_path):
    batches = data()
    task = Poisoned(label_of(batches, 0, 1), label_of(batches, 0, 3))
    recovery = RecoveryConfig(max_rollbacks=1)
    rows = ", ".join(str(row) for row in batches.rows_in(3))
    with pytest.raises(DivergedError) as caught:
        fit(task, config(recovery=recovery), batches, None, tmp_path / "a", progress=Silent())
    assert str(caught.value).startswith(
        f"step 3: the loss is nan, in epoch 0, batch 3 (rows {rows} of {batches.store.directory}), "
        "after 1 recovery. Lower the learning rate"
    )


def test_without_recovery_a_lost_loss_is_an_error(data, tmp_path):
    batches = data()
    task, recovery = Poisoned(label_of(batches, 0, 3)), RecoveryConfig(max_rollbacks=0)
    with pytest.raises(DivergedError, match=r"step 4: the loss is nan, in epoch 0, batch 3 "):
        fit(task, config(recovery=recovery), batches, None, tmp_path / "a", progress=Silent())


def test_the_batch_whose_gradient_did_it_is_found(data, tmp_path):
    """The loss of a batch is fine and its gradient is not: the next batch is innocent."""
    batches = data()
    bad = label_of(batches, 0, 2)

    class Infinite(Regression):
        def build_losses(self, labels, model_outputs, aux_losses=None):
            loss = super().build_losses(labels, model_outputs)
            root = tf.sqrt(loss - tf.stop_gradient(loss))  # 0, with an infinite slope
            return loss + tf.where(tf.reduce_any(labels == bad), root, 0.0)

    result = fit(Infinite(), config(epochs=1), batches, None, tmp_path / "a", progress=Silent())
    assert result.skipped == ["epoch 0, batch 2"]


def test_what_was_left_out_is_remembered(data, tmp_path, each_step):
    def task():
        return Poisoned(label_of(data(), 0, 1))

    straight = fit(task(), config(epochs=1), data(), None, tmp_path / "a", progress=Silent())
    with pytest.raises(KeyboardInterrupt):
        fit(task(), config(epochs=1), data(), None, tmp_path / "b", progress=Silent(3))
    resumed = fit(task(), config(epochs=1), data(), None, tmp_path / "b", progress=Silent())
    assert (resumed.resumed_from, resumed.skipped) == (3, straight.skipped)
    assert_equal(resumed.model, straight.model)


def test_a_signal_while_the_loss_is_lost_still_says_resume_me(data, tmp_path):
    batches = data()

    class Signalling(Silent):
        def update(self, step, total, loss, speed):
            os.kill(os.getpid(), signal.SIGTERM)

        def note(self, text):
            if "recovery" in text:
                os.kill(os.getpid(), signal.SIGTERM)

    task = Poisoned(label_of(batches, 0, 3))
    with pytest.raises(Interrupted, match="training stopped at step 0 of 24, as asked"):
        fit(task, config(), batches, None, tmp_path / "a", progress=Signalling())
    result = fit(task, config(epochs=1), batches, None, tmp_path / "a", progress=Silent())
    assert (result.resumed_from, result.skipped) == (0, ["epoch 0, batch 3"])


def test_weights_that_are_no_numbers_at_the_start(data, tmp_path):
    class Damaged(Regression):
        def initialize(self, model):
            model.set_weights([np.full_like(w, math.nan) for w in model.get_weights()])

    for most in (0, 3):
        recovery = RecoveryConfig(max_rollbacks=most)
        with pytest.raises(DivergedError, match="step 0: weights are no finite numbers, after 0"):
            fit(Damaged(), config(recovery=recovery), data(), None, tmp_path, progress=Silent())


def test_what_is_due_at_each_step_is_done_at_each_step(data, tmp_path):
    saved = []

    class Watching(Silent):
        def note(self, text):
            saved.append(text)

    settings = config(epochs=1, checkpoint_interval=1, evaluate_every=1, steps_per_execution=4)
    fit(Regression(), settings, data(), data(False), tmp_path / "a", progress=Watching())
    assert [text.split(":")[0] for text in saved] == [f"eval at step {n}" for n in range(1, 7)]


def test_a_loss_explodes_against_the_first_and_the_recent_ones():
    position, settings = Position(seed=1, data={}), RecoveryConfig(loss_factor=10.0)
    for step in range(1, 21):
        watch(position, step, 2.0, settings)
    for step in range(21, 60):
        watch(position, step, 0.001, settings)
    watch(position, 60, 19.0, settings)  # 10 x 2 is where it begins
    with pytest.raises(Diverged, match="step 61: the loss is 21, usual was 2"):
        watch(position, 61, 21.0, settings)
    watch(position, 61, 1e9, RecoveryConfig(loss_factor=None))


def test_a_checkpoint_of_other_data(data, tmp_path):
    fit(Regression(), config(epochs=1), data(), None, tmp_path / "run", progress=Silent())
    with pytest.raises(ConfigError, match="batch_size was 4 and now is 5"):
        other = Batches(data().store, 5, 42, to_inputs=data()._to_inputs)
        fit(Regression(), config(), other, None, tmp_path / "run", progress=Silent())
