"""Checkpoints: complete or absent, the newest, the best, of the same training."""

import pytest
import tensorflow as tf

from babelrank.components.errors import CheckpointError, ConfigError
from babelrank.components.training import checkpoints
from babelrank.components.training.checkpoints import Checkpoints, Position


class Training:
    def __init__(self, directory, units=1, **position):
        self.model = tf.keras.Sequential([tf.keras.layers.Dense(units, use_bias=False)])
        self.model.build([None, 1])
        self.optimizer = tf.keras.optimizers.legacy.Adam(0.5)
        self.step = tf.Variable(0, dtype=tf.int64)
        self.metric = tf.keras.metrics.Mean()
        seed, chief = position.pop("seed", 1), position.pop("chief", True)
        at = Position(seed, {"batch_size": 2, "rows": 3} | position)
        self.checkpoints = Checkpoints(
            directory, self.model, self.optimizer, self.step, at, [self.metric], chief=chief
        )

    def train(self):
        (kernel,) = self.model.trainable_variables
        self.optimizer.apply_gradients([(tf.ones_like(kernel), kernel)])
        self.step.assign_add(1)
        self.metric.update_state(float(self.step))
        self.checkpoints.position.step = int(self.step)

    @property
    def weight(self):
        return float(self.model.get_weights()[0][0, 0])


def test_a_new_training_has_nothing_to_restore(tmp_path):
    training = Training(tmp_path)
    assert training.checkpoints.restore() is None
    assert not training.checkpoints.restore_best()


def test_everything_is_restored(tmp_path):
    first = Training(tmp_path)
    first.train()
    first.train()
    first.checkpoints.position.best = 0.75
    first.checkpoints.position.history.append({"step": 2, "loss": 0.5, "eval": {"auc": None}})
    first.checkpoints.save()
    second = Training(tmp_path)
    assert second.checkpoints.restore() == 2
    assert second.checkpoints.position == first.checkpoints.position
    assert second.weight == first.weight
    assert float(second.metric.result()) == 1.5
    first.train()
    second.train()
    assert second.weight == first.weight  # Adam's moments too


def test_the_newest_is_restored_and_old_ones_go(tmp_path):
    training = Training(tmp_path)
    for _ in range(4):
        training.train()
        training.checkpoints.save()
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        "step-000000003",
        "step-000000004",
    ]
    assert Training(tmp_path).checkpoints.restore() == 4


def test_an_unfinished_checkpoint_is_not_seen(tmp_path, monkeypatch):
    training = Training(tmp_path)
    training.train()
    training.checkpoints.save()
    training.train()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_publish", killed)  # all is written, and has no name yet
        with pytest.raises(KeyboardInterrupt):
            training.checkpoints.save()
    folder = tmp_path / "checkpoints"
    assert len(list(folder.iterdir())) == 2
    again = Training(tmp_path)
    assert again.checkpoints.restore() == 1
    again.train()
    again.checkpoints.save()
    assert {path.name for path in folder.iterdir()} == {"step-000000001", "step-000000002"}
    assert Training(tmp_path).checkpoints.restore() == 2


def test_a_checkpoint_can_be_written_again(tmp_path):
    training = Training(tmp_path)
    training.train()
    training.checkpoints.save()
    training.optimizer.apply_gradients([(tf.ones([1, 1]), training.model.trainable_variables[0])])
    training.checkpoints.save()
    again = Training(tmp_path)
    assert again.checkpoints.restore() == 1
    assert again.weight == training.weight


def test_a_disk_that_does_not_take_it(tmp_path, monkeypatch):
    training = Training(tmp_path)
    training.train()
    training.checkpoints.save()
    training.train()

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(checkpoints.durable, "sync", full)
    with pytest.raises(CheckpointError, match="step-000000002: cannot be written: .*No space left"):
        training.checkpoints.save()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000000001"]


def test_of_several_workers_one_keeps_what_it_writes(tmp_path):
    training = Training(tmp_path, chief=False)
    training.train()
    training.checkpoints.save()
    assert not list(tmp_path.iterdir())
    assert training.checkpoints.saved_at == 1


def test_the_best_model_stays(tmp_path):
    training = Training(tmp_path)
    training.train()
    best = training.weight
    training.checkpoints.save_best()
    training.checkpoints.position.best_step = 1
    for _ in range(3):
        training.train()
        training.checkpoints.save()
    training.train()
    training.checkpoints.save_best()  # and killed before the position that names it
    other = Training(tmp_path)
    other.checkpoints.restore()
    assert other.weight != best
    assert other.checkpoints.restore_best()
    assert other.weight == best


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5}, "seed was 1 and now is 5, so training cannot go on"),
        ({"batch_size": 5}, "batch_size was 2 and now is 5"),
        ({"rows": 5}, "rows was 3 and now is 5"),
        ({"max_length": 9}, "max_length was None and now is 9"),
        ({"units": 2}, "does not fit the model"),
    ],
)
def test_a_checkpoint_of_another_training(tmp_path, change, message):
    training = Training(tmp_path)
    training.train()
    training.checkpoints.save()
    with pytest.raises(ConfigError, match=message):
        Training(tmp_path, **change).checkpoints.restore()


def test_a_checkpoint_of_another_version(tmp_path, monkeypatch):
    training = Training(tmp_path)
    monkeypatch.setattr(checkpoints, "asdict", lambda position: {"seed": 1, "batch": 2})
    training.checkpoints.save()
    with pytest.raises(ConfigError, match="it is of another version of BabelRank .*'data'"):
        Training(tmp_path).checkpoints.restore()
