"""Batches: order, position, shapes."""

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import InputError
from babelrank.components.training.inputs import PAD, Batches, Column, ColumnStore, Portion

COLUMNS = (Column("id", "int64"), Column("bag", "int64", None), Column("x", "float32", 2))


@pytest.fixture
def store(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        for i in range(10):
            feature = {
                "id": tf.train.Feature(int64_list=tf.train.Int64List(value=[i])),
                "bag": tf.train.Feature(int64_list=tf.train.Int64List(value=range(i % 3))),
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=[i, i / 2])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return ColumnStore.build(str(tmp_path / "records"), COLUMNS, tmp_path / "store")


def ids(batches, epoch):
    return [batches.get(epoch, i)["id"].tolist() for i in range(len(batches))]


def test_an_epoch_has_every_row_once(store):
    batches = Batches(store, 4, seed=1)
    assert len(batches) == 3
    assert sorted(sum(ids(batches, 0), [])) == list(range(10))
    assert [batches.examples_in(i) for i in range(3)] == [4, 4, 2]


def test_the_order_depends_on_seed_and_epoch_alone(store):
    first = Batches(store, 4, seed=1)
    epochs = [ids(first, 0), ids(first, 1)]
    again = Batches(store, 4, seed=1)
    assert [ids(again, 1), ids(again, 0)] == epochs[::-1]
    assert epochs[0] != epochs[1]
    assert ids(Batches(store, 4, seed=2), 0) != epochs[0]


def test_rows_of_all_batches_mix(store):
    seen = {tuple(ids(Batches(store, 5, seed=seed), 0)[0]) for seed in range(20)}
    assert len(seen) > 10


def test_without_shuffle_the_order_is_that_of_the_store(store):
    assert ids(Batches(store, 4, shuffle=False), 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_remainder_is_dropped_on_demand(store):
    batches = Batches(store, 4, shuffle=False, drop_remainder=True)
    assert (len(batches), batches.rows) == (2, 8)
    assert batches.dataset().element_spec["id"].shape == [4]


def test_a_dataset_goes_on_at_any_position(store):
    batches = Batches(store, 4, seed=3)
    wanted = (ids(batches, 0) + ids(batches, 1) + ids(batches, 2))[4:]
    found = [batch["id"].numpy().tolist() for batch in batches.dataset(1, 1, epochs=2)]
    assert found == wanted
    endless = batches.dataset(1, 1, epochs=None).take(12)
    assert [batch["id"].numpy().tolist() for batch in endless][:5] == wanted


def test_pipelines_share_each_batch(store):
    batches = Batches(store, 4, seed=3)
    wanted = ids(batches, 0) + ids(batches, 1)
    parts = [
        [batch["id"].numpy().tolist() for batch in batches.dataset(epochs=2, portion=portion)]
        for portion in (Portion(0, 2, 3), Portion(2, 1, 3))
    ]
    for i, whole in enumerate(wanted):
        assert parts[0][2 * i] + parts[0][2 * i + 1] + parts[1][i] == whole


def test_parts_may_be_empty(store):
    last = list(Batches(store, 4, shuffle=False).dataset(portion=Portion(0, 4, 4)))[-4:]
    assert [len(part["id"]) for part in last] == [0, 1, 0, 1]


def test_parts_of_equal_size_are_static(store):
    batches = Batches(store, 4, drop_remainder=True)
    assert batches.dataset(portion=Portion(0, 1, 2)).element_spec["id"].shape == [2]
    assert batches.dataset(portion=Portion(0, 1, 3)).element_spec["id"].shape == [None]


def test_batches_can_be_left_out(store):
    batches = Batches(store, 4, seed=3)
    wanted = ids(batches, 0) + ids(batches, 1)
    for portion in (None, Portion(0, 1, 1)):
        left = batches.dataset(0, 1, epochs=2, portion=portion, without=[2, 4])
        found = [batch["id"].numpy().tolist() for batch in left]
        assert found == [wanted[i] for i in (1, 3, 5)]


def test_the_rows_of_a_batch(store):
    batches = Batches(store, 4, seed=3)
    assert batches.rows_in(1, 1).tolist() == ids(batches, 1)[1]


def test_all_dimensions_but_the_batch_are_static(store):
    spec = Batches(store, 4).dataset().element_spec
    assert spec["id"] == tf.TensorSpec([None], tf.int64)
    assert spec["bag"] == tf.TensorSpec([None, 2], tf.int64)
    assert spec["x"] == tf.TensorSpec([None, 2], tf.float32)


def test_tensors_are_the_columns(store):
    batch = next(iter(Batches(store, 3, shuffle=False).dataset()))
    np.testing.assert_array_equal(batch["bag"], [[PAD, PAD], [0, PAD], [0, 1]])
    np.testing.assert_array_equal(batch["x"], [[0, 0], [1, 0.5], [2, 1]])


def test_inputs_are_made_of_the_columns(store):
    batches = Batches(store, 4, to_inputs=lambda columns: ({"x": columns["x"]}, columns["id"]))
    features, labels = next(iter(batches.dataset()))
    assert features["x"].shape == [4, 2]
    assert labels.shape == [4]


def test_an_index_beyond_the_epoch(store):
    with pytest.raises(IndexError, match="batch 3: an epoch has 3 batches"):
        Batches(store, 4).get(0, 3)


def test_a_batch_larger_than_the_data(store):
    with pytest.raises(InputError, match="10 examples are less than one batch of 11"):
        Batches(store, 11, drop_remainder=True)


def test_a_batch_size_of_zero(store):
    with pytest.raises(ValueError, match="batch_size: got 0; takes 1 or more"):
        Batches(store, 0)
