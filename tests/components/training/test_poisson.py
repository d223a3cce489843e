"""Poisson samples: how often rows come, that draws are independent, position, shapes."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from babelrank.components.errors import ConfigError, InputError
from babelrank.components.training.inputs import PAD, Batches, Column, ColumnStore, Portion
from babelrank.components.training.poisson import PoissonBatches

LENGTHS = [3, 1, 0, 2, 5, 1, 2, 1, 4, 1]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poisson")
    with tf.io.TFRecordWriter(str(folder / "records")) as writer:
        for i, length in enumerate(LENGTHS):
            values = {"id": [i], "bag": [i + 1] * length, "other": [i] * (i % 3)}
            feature = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
                for name, value in values.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    columns = [Column("id", "int64"), Column("bag", "int32", None), Column("other", "int32", None)]
    return ColumnStore.build(str(folder / "records"), columns, folder / "store")


def ids(batches, epoch=0):
    return [batches.get(epoch, i)["id"].tolist() for i in range(len(batches))]


def drawn(batches, epochs):
    """Which rows are in which batch, [batches, rows]."""
    inside = np.zeros((epochs * len(batches), batches.store.rows), bool)
    for number in range(len(inside)):
        epoch, index = divmod(number, len(batches))
        inside[number, batches.rows_in(index, epoch)] = True
    return inside


def test_rows_come_independently_with_one_probability(store):
    inside = drawn(PoissonBatches(store, 3, seed=1), 2000)
    count = len(inside)
    assert count == 8000
    np.testing.assert_allclose(inside.mean(0), 0.3, atol=5 * math.sqrt(0.21 / count))
    together = (inside[:, :, None] & inside[:, None, :]).mean(0)[~np.eye(10, dtype=bool)]
    np.testing.assert_allclose(together, 0.09, atol=5 * math.sqrt(0.09 * 0.91 / count))
    # From one batch to the next, also across epochs.
    np.testing.assert_allclose(
        (inside[1:] & inside[:-1]).mean(0), 0.09, atol=5 * math.sqrt(0.09 * 0.91 / count)
    )


def test_sizes_are_binomial(store):
    sizes = np.bincount(drawn(PoissonBatches(store, 3, seed=2), 2000).sum(1), minlength=11)
    wanted = stats.binom.pmf(np.arange(11), 10, 0.3) * sizes.sum()
    # The rare sizes as one: a chi-squared test needs some of each.
    sizes, wanted = ([*values[:7], values[7:].sum()] for values in (sizes, wanted))
    assert stats.chisquare(sizes, wanted).pvalue > 1e-4


@pytest.mark.parametrize("batch_size", [1, 30, 1000, 100_000])
def test_what_the_docstring_says_of_large_batches(batch_size):
    many = batch_size + 10 * math.sqrt(batch_size) + 50
    assert stats.binom.sf(many, 10**9, batch_size / 10**9) < 2e-22


def test_a_batch_follows_from_its_position(store):
    batches = PoissonBatches(store, 4, seed=3)
    assert (len(batches), batches.rows) == (3, 10)
    again = PoissonBatches(store, 4, seed=3)
    assert [ids(again, 1), ids(again, 0)] == [ids(batches, 1), ids(batches, 0)]
    assert ids(batches, 0) != ids(batches, 1)
    sizes = [len(batch) for batch in ids(batches, 1)]
    assert [batches.examples_in(i, 1) for i in range(3)] == sizes
    assert all(batch == sorted(set(batch)) for batch in ids(batches))


def test_another_seed_draws_other_samples(store):
    first = PoissonBatches(store, 4, seed=3)
    other = first.seeded(2**63 - 1)
    assert (other.seed, first.seed) == (2**63 - 1, 3)
    assert ids(other) != ids(first)
    assert ids(other) == ids(PoissonBatches(store, 4, seed=2**63 - 1))


def test_what_must_not_change_tells_them_from_other_batches(store):
    found = PoissonBatches(store, 4, seed=3, columns=["bag"], max_length=4).identity
    assert found == {"expected_batch_size": 4, "max_length": 4, "rows": 9}
    assert not found.keys() >= Batches(store, 4).identity.keys()


def test_named_columns_are_as_wide_as_the_batch(store):
    batches = PoissonBatches(store, 1, seed=5, columns=["bag"], pad=0)
    for index in range(len(batches)):
        batch = batches.get(0, index)
        lengths = [LENGTHS[row] for row in batch["id"]]
        assert batch["bag"].shape == (len(lengths), max(lengths, default=0))
        assert batch["other"].shape == (len(lengths), 2)
        for row, bag in zip(batch["id"], batch["bag"], strict=True):
            wanted = [row + 1] * LENGTHS[row]
            assert bag.tolist() == wanted + [0] * (len(bag) - len(wanted))


def test_a_batch_may_be_empty(store):
    batches = PoissonBatches(store, 1, seed=5)
    empty = next(i for i in range(10) if not batches.examples_in(i))
    batch = batches.get(0, empty)
    assert {name: values.shape for name, values in batch.items()} == {
        "id": (0,),
        "bag": (0, 5),
        "other": (0, 2),
    }
    narrow = PoissonBatches(store, 1, seed=5, columns=["bag"])
    assert narrow.get(0, empty)["bag"].shape == (0, 0)
    fetched = [tuple(found["bag"].shape) for found in narrow.dataset(start=empty).take(1)]
    assert fetched == [(0, 0)]


def test_the_dataset_has_the_batches_and_any_portion_of_them(store):
    batches = PoissonBatches(store, 4, seed=3, columns=["bag"])
    wanted = (ids(batches, 0) + ids(batches, 1))[1:]
    assert [found["id"].numpy().tolist() for found in batches.dataset(0, 1, epochs=2)] == wanted
    parts = list(batches.dataset(0, 1, epochs=2, portion=Portion(0, 2, 2)))
    joined = [sum((p["id"].numpy().tolist() for p in parts[i : i + 2]), []) for i in (0, 2, 4, 6)]
    assert joined == wanted[:4]
    spec = batches.dataset().element_spec
    assert spec["bag"] == tf.TensorSpec([None, None], tf.int32)
    assert spec["other"] == tf.TensorSpec([None, 2], tf.int32)
    assert batches.varied


def test_inputs_are_made_of_the_columns(store):
    batches = PoissonBatches(store, 10, seed=0, to_inputs=lambda columns: (columns["id"],))
    (found,) = next(iter(batches.dataset()))
    assert found.numpy().tolist() == list(range(10))


def test_too_long_rows_are_never_drawn_and_do_not_count(store):
    batches = PoissonBatches(store, 4, seed=3, columns=["bag", "other"], max_length=2)
    assert (batches.too_long, batches.rows, len(batches)) == (3, 7, 2)
    inside = drawn(batches, 2000)
    short = np.array(LENGTHS) <= 2
    assert not inside[:, ~short].any()
    np.testing.assert_allclose(
        inside[:, short].mean(0), 4 / 7, atol=5 * math.sqrt(12 / 49 / len(inside))
    )


def test_as_large_a_batch_as_the_data_is_all_of_it(store):
    assert ids(PoissonBatches(store, 10, seed=3), 5) == [list(range(10))]
    assert PoissonBatches(store, 10, seed=3).get(0, 0)["bag"][2].tolist() == [PAD] * 5


def test_errors(store):
    with pytest.raises(ConfigError, match="batch_size: got 11; with privacy takes 1 to the 10 ex"):
        PoissonBatches(store, 11, seed=0)
    with pytest.raises(ConfigError, match="got 8; with privacy takes 1 to the 7 examples"):
        PoissonBatches(store, 8, seed=0, columns=["bag"], max_length=2)
    with pytest.raises(InputError, match="all 10 examples are longer than max_length, -1"):
        PoissonBatches(store, 4, seed=0, columns=["bag"], max_length=-1)
    with pytest.raises(IndexError, match="batch 3: an epoch has 3 batches"):
        PoissonBatches(store, 4, seed=0).examples_in(3)
