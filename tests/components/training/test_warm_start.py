"""Weights of an earlier model in a new one, with tables that one can follow by hand.

Every row of the earlier tables holds ten times its number, and every row of the new ones -1.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError, ModelError
from babelrank.components.training import rows, warm_start
from babelrank.components.training.rows import Rows
from babelrank.components.training.tables import RowCount
from babelrank.components.training.task import Task
from babelrank.components.training.warm_start import Request, load

# 0 missing, 1 a, 2 b, 3 unknown, then 4 missing, 5 x, 6 unknown.
BEFORE = (
    Rows(name="user", table="table", numbered=1, tokens=("a", "b"), shared=1),
    Rows(name="item", table="table", numbered=1, tokens=("x",), shared=1),
)


class Net(tf.keras.Model):
    """A table of a size and width, and two layers of which the second has a width."""

    def __init__(self, size: int, width: int = 1, out: int = 1) -> None:
        super().__init__()
        self.table = self.add_weight(name="t", shape=[size, width], initializer="zeros")
        self.first, self.second = tf.keras.layers.Dense(2), tf.keras.layers.Dense(out)
        self.second(self.first(tf.ones([1, 1])))
        for weight in self.weights:
            weight.assign(tf.fill(weight.shape, -1.0))


def before(folder: Path, described: bool = True, **sizes: int) -> str:
    """A checkpoint of the earlier model."""
    model = Net(7, **sizes)
    numbers = tf.range(7, dtype=tf.float32)[:, None] * 10
    model.table.assign(tf.tile(numbers, [1, model.table.shape[1]]))
    for layer in (model.first, model.second):
        layer.kernel.assign(tf.fill(layer.kernel.shape, 5.0))
    if described:
        rows.write(BEFORE, str(folder))
    return str(tf.train.Checkpoint(model=model).write(str(folder / "ckpt")))


def test_rows_by_token(tmp_path: Path):
    now = (
        Rows(name="item", table="table", numbered=1, tokens=("y", "x"), shared=2),
        Rows(name="user", table="table", numbered=1, tokens=("b", "c"), shared=1),
    )
    model = Net(9)
    started = load(model, before(tmp_path), now)
    expected = [40, -1, 50, -1, -1, 0, 20, -1, 30]
    np.testing.assert_array_equal(model.table[:, 0], expected)
    assert started.rows == (
        RowCount(name="item", kept=2, new=3, dropped=1),
        RowCount(name="user", kept=3, new=1, dropped=1),
    )
    assert (started.kept, started.fresh, started.notes) == (4, (), ())
    assert float(model.first.kernel[0, 0]) == float(model.second.kernel[0, 0]) == 5.0
    assert started.sentences() == (
        f"started from {tmp_path}/ckpt: 2 of 5 rows of item kept, 3 new, 1 dropped; "
        "3 of 4 rows of user kept, 1 new, 1 dropped",
    )


def test_features_that_appear_and_vanish(tmp_path: Path):
    now = (Rows(name="hour", kind="time", table="table", numbered=2), BEFORE[1])
    model = Net(5)
    started = load(model, before(tmp_path), now)
    np.testing.assert_array_equal(model.table[:, 0], [-1, -1, 40, 50, 60])
    assert started.rows == (
        RowCount(name="hour", kept=0, new=2, dropped=0),
        RowCount(name="item", kept=3, new=0, dropped=0),
        RowCount(name="user", kept=0, new=0, dropped=4),
    )
    assert started.sentences()[0].endswith("; user is gone, 4 dropped")


def test_rows_of_other_names_fill_what_is_missing(tmp_path: Path):
    now = (Rows(name="both", table="table", tokens=("a", "x", "z"), otherwise=("item", "user")),)
    model = Net(3)
    started = load(model, before(tmp_path), now)
    np.testing.assert_array_equal(model.table[:, 0], [10, 50, -1])
    assert started.rows == (
        RowCount(name="both", kept=2, new=1, dropped=0),
        RowCount(name="user", kept=0, new=0, dropped=3),
        RowCount(name="item", kept=0, new=0, dropped=2),
    )


def test_other_widths_keep_what_the_new_model_has(tmp_path: Path):
    model = Net(7, width=2, out=3)
    started = load(model, before(tmp_path), BEFORE)
    assert float(tf.reduce_max(model.table)) == -1.0
    np.testing.assert_array_equal(model.first.kernel, [[5.0, 5.0]])
    assert float(tf.reduce_max(model.second.kernel)) == -1.0
    assert started.kept == 2
    assert started.fresh == ("second/kernel (was 2 x 1, is 2 x 3)", "second/bias (was 1, is 3)")
    assert started.notes == (
        "no rows of user kept: its table was 1 wide",
        "no rows of item kept: its table was 1 wide",
    )
    assert [count.kept for count in started.rows] == [0, 0]
    anew = "begun anew: second/kernel (was 2 x 1, is 2 x 3); second/bias (was 1, is 3)"
    assert started.sentences()[1] == anew


def test_without_a_description_rows_are_taken_by_number(tmp_path: Path):
    path = before(tmp_path, described=False)
    model = Net(7)
    started = load(model, path, BEFORE)
    np.testing.assert_array_equal(model.table[:, 0], [0, 10, 20, 30, 40, 50, 60])
    assert [count.kept for count in started.rows] == [4, 3]
    assert started.notes == (
        "nothing there tells what the rows stand for; they are taken to mean the same",
    )
    model = Net(4)
    started = load(model, path, BEFORE[:1])
    assert float(tf.reduce_max(model.table)) == -1.0
    assert started.rows == (RowCount(name="user", kept=0, new=4, dropped=0),)
    assert started.notes == ("no rows of table kept: was 7 x 1, is 4 x 1",)


def test_nothing_fits(tmp_path: Path):
    path = before(tmp_path)
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.build([None, 1])
    with pytest.raises(ModelError, match="ckpt: none of its weights fits the model"):
        load(model, path)


def test_the_task_must_know_its_tables(tmp_path: Path):
    path = before(tmp_path)
    with pytest.raises(ValueError, match="rows: table: got 7 rows; the model has 9 rows there"):
        load(Net(9), path, BEFORE)
    with pytest.raises(ValueError, match="rows: here: got 2 rows; the model has none there"):
        load(Net(9), path, [Rows(name="x", table="here", numbered=2)])


def test_another_programs_weights(tmp_path: Path):
    theirs = tf.Variable([[7.0]] * 7, name="theirs")
    path = str(tf.train.Checkpoint(theirs=theirs).write(str(tmp_path / "x")))
    model = Net(7)
    started = load(
        model, path, BEFORE, lambda saved, _: {"table": saved.read(saved.names["theirs"])}
    )
    np.testing.assert_array_equal(model.table, [[7.0]] * 7)
    assert started.kept == 0
    assert started.fresh[0] == "first/kernel (new)"


def test_variables_of_a_strategy(tmp_path: Path):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = Net(7)
    load(model, before(tmp_path), BEFORE)
    np.testing.assert_array_equal(model.table[:, 0], [0, 10, 20, 30, 40, 50, 60])


class Words(Task):
    """A task with the table of `Net`."""

    def rows(self, model):
        return BEFORE

    def build_inputs(self, params, input_context=None):
        raise NotImplementedError


def test_a_task_starts_as_it_was_requested(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "a").mkdir()
    request = Request(
        folder=str(tmp_path / "b"),
        wanted="blessed",
        source=before(tmp_path / "a"),
        remarks=("but look",),
    )
    task, model = Words(SimpleNamespace(warm_start=request)), Net(7)
    with caplog.at_level(logging.INFO, "babelrank"):
        task.initialize(model)
    assert task.started.rows[0] == RowCount(name="user", kept=4, new=0, dropped=0)
    assert "warm start: started from" in caplog.text
    assert rows.read(request.folder) == list(BEFORE)
    recorded = warm_start.recorded(request.folder)
    assert recorded["sentences"] == list(task.started.sentences())
    assert recorded["sentences"][1:] == ["but look"]
    assert recorded["rows"][1] == {"name": "item", "kept": 3, "new": 0, "dropped": 0}
    json.dumps(recorded)


def test_the_first_run_says_that_there_is_nothing_to_start_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    request = Request(folder=str(tmp_path), wanted="pushed", remarks=("but look",))
    task, model = Words(SimpleNamespace(warm_start=request)), Net(7)
    with caplog.at_level(logging.INFO, "babelrank"):
        task.initialize(model)
    (record,) = caplog.records
    expected = "there is no pushed model of other examples yet; the weights are random"
    assert record.getMessage() == f"warm start: {expected}"
    assert warm_start.recorded(str(tmp_path))["sentences"] == [expected]
    assert float(tf.reduce_max(model.table)) == -1.0


def test_without_a_warm_start_only_the_rows_are_described(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    task = Words(SimpleNamespace(warm_start=Request(folder=str(tmp_path))))
    with caplog.at_level(logging.INFO, "babelrank"):
        task.initialize(Net(7))
    assert not caplog.records
    assert rows.read(str(tmp_path)) == list(BEFORE)
    assert warm_start.recorded(str(tmp_path))["sentences"] == []
    assert warm_start.recorded(str(tmp_path / "elsewhere")) is None


def test_two_sources_are_refused(tmp_path: Path):
    params = SimpleNamespace(warm_start=Request(folder=str(tmp_path)), init_checkpoint="x")
    with pytest.raises(ConfigError, match="init_checkpoint: got x beside warm_start"):
        Words(params).initialize(Net(7))


@pytest.mark.parametrize(
    ("wanted", "base_model", "source"),
    [
        (None, None, None),
        ("blessed", None, None),
        ("blessed", "/m", "/m"),
        ("pushed", None, None),
        ("/path", None, "/path"),
        (None, "/m", "/m"),  # another pipeline, with a resolver of its own
    ],
)
def test_what_a_tfx_training_starts_from(wanted, base_model, source):
    made = warm_start.requested(SimpleNamespace(base_model=base_model), wanted, Path("/w"))
    assert (made.source, made.wanted, made.folder) == (source, wanted, "/w")
