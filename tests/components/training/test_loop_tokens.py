"""The loop with token batches: shapes, speed, loss by token, resume."""

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.buckets import TokenBatches
from babelrank.components.training.config import OptimizerConfig, TrainingConfig
from babelrank.components.training.dropout import Dropout
from babelrank.components.training.inputs import Column, ColumnStore
from babelrank.components.training.loop import fit
from babelrank.components.training.task import Task

WORDS, PAIRS = 12, 60
NAMES = ("source", "target")


class Copying(Task):
    """Learns the target, which is the source, token by token."""

    def __init__(self):
        super().__init__(None)
        self.traces = []

    def build_model(self):
        layers = [tf.keras.layers.Embedding(WORDS, 8), Dropout(0.1), tf.keras.layers.Dense(WORDS)]
        model = tf.keras.Sequential(layers)
        model(tf.zeros([1, 1], tf.int32))
        return model

    def build_inputs(self, params, input_context=None):
        raise NotImplementedError

    def build_losses(self, labels, model_outputs, aux_losses=None):
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model_outputs)
        return tf.reduce_mean(tf.boolean_mask(losses, labels != 0))

    def train_step(self, inputs, model, optimizer, metrics=None):
        self.traces.append("train")
        return super().train_step(inputs, model, optimizer, metrics)

    def validation_step(self, inputs, model, metrics=None):
        self.traces.append("eval")
        return super().validation_step(inputs, model, metrics)


class Display:
    def __init__(self, stop_at=None):
        self.stop_at, self.speeds = stop_at, []

    def start(self, step, total, unit):
        self.unit = unit

    def update(self, step, total, loss, speed):
        self.speeds.append(speed)
        if step == self.stop_at:
            raise KeyboardInterrupt

    def note(self, text):
        pass

    def close(self):
        pass


@pytest.fixture
def store(tmp_path):
    drawn = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        for _ in range(PAIRS):
            words = drawn.integers(1, WORDS, drawn.integers(1, 9))
            value = tf.train.Feature(int64_list=tf.train.Int64List(value=words))
            features = tf.train.Features(feature=dict.fromkeys(NAMES, value))
            writer.write(tf.train.Example(features=features).SerializeToString())
    columns = [Column(name, "int32", None) for name in NAMES]
    return ColumnStore.build(str(tmp_path / "records"), columns, tmp_path / "store")


def batches(store, tokens=30, **changes):
    def to_inputs(columns):
        return columns["source"], columns["target"]

    return TokenBatches(store, NAMES, tokens, to_inputs=to_inputs, **changes)


def config(**changes):
    values = {"epochs": 2, "tensorboard": False, "optimizer": OptimizerConfig(learning_rate=0.05)}
    return TrainingConfig(**values | changes)


def test_all_shapes_share_one_trace_and_speed_is_in_tokens(store, tmp_path):
    task, display, train = Copying(), Display(), batches(store)
    assert len({tuple(source.shape) for source, _ in train.dataset()}) > 5
    result = fit(task, config(epochs=8), train, train, tmp_path / "run", progress=display)
    assert task.traces == ["train", "eval"]
    assert result.history[-1]["loss"] < result.history[0]["loss"] / 2
    assert (result.unit, display.unit) == ("tokens", "tokens")
    assert result.speed == display.speeds[-1] > 0


def test_the_eval_loss_is_a_mean_over_tokens(store, tmp_path):
    judged = batches(store, shuffle=False)
    result = fit(Copying(), config(), batches(store), judged, tmp_path / "run", progress=Display())
    columns = store.take(np.arange(PAIRS), pad=0)
    outputs = result.model(columns["source"])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(columns["target"], outputs).numpy()
    mean = losses[columns["target"] != 0].mean()
    assert result.best_metrics["loss"] == pytest.approx(mean, rel=1e-5)


def test_a_resumed_run_equals_an_uninterrupted_one(store, tmp_path, monkeypatch):
    monkeypatch.setattr("babelrank.components.training.loop._FETCH_STEPS", 1)
    tf.config.experimental.enable_op_determinism()

    def run(name, display):
        return fit(Copying(), config(), batches(store), None, tmp_path / name, progress=display)

    whole = run("whole", Display())
    with pytest.raises(KeyboardInterrupt):
        run("parts", Display(stop_at=len(batches(store)) + 2))
    resumed = run("parts", Display())
    assert resumed.resumed_from == len(batches(store)) + 2
    assert resumed.history == whole.history
    for x, y in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": 31}, "tokens_per_batch was 30 and now is 31"),
        ({"max_length": 7}, "max_length was None and now is 7"),
    ],
)
def test_a_checkpoint_of_other_batches(store, tmp_path, changes, message):
    run = config(epochs=1)
    fit(Copying(), run, batches(store), None, tmp_path / "run", progress=Display())
    with pytest.raises(ConfigError, match=message):
        fit(Copying(), run, batches(store, **changes), None, tmp_path / "run", progress=Display())
