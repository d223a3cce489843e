"""Token batches: what is in them, how little padding, and that any is found by its position."""

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import InputError
from babelrank.components.training.buckets import TokenBatches
from babelrank.components.training.inputs import Column, ColumnStore

# Row i has the source [i + 1] * its length, the target [-i - 1] * its length.
SOURCE = [3, 1, 3, 2, 3, 1, 6, 3, 2, 1]
TARGET = [2, 1, 2, 2, 1, 2, 5, 2, 3, 1]
NAMES = ("source", "target")


def write(path, sides):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i, (source, target) in enumerate(zip(*sides, strict=True)):
            values = {"source": [i + 1] * source, "target": [-i - 1] * target, "id": [i]}
            feature = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
                for name, value in values.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def build(tmp_path, sides):
    write(tmp_path / "records", sides)
    columns = [*(Column(name, "int32", None) for name in NAMES), Column("id", "int64")]
    return ColumnStore.build(str(tmp_path / "records"), columns, tmp_path / "store")


@pytest.fixture
def store(tmp_path):
    return build(tmp_path, (SOURCE, TARGET))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Two thousand pairs with the lengths of real ones: correlated, a few of them long."""
    drawn = np.random.default_rng(0)
    source = np.clip(drawn.lognormal(2.2, 0.4, 2000), 2, 60).astype(int)
    target = np.clip(source + drawn.normal(0.5, 2, 2000), 2, 60).astype(int)
    return build(tmp_path_factory.mktemp("large"), (source, target))


def ids(batches, epoch=0):
    return [batches.get(epoch, i)["id"].tolist() for i in range(len(batches))]


def test_without_shuffle_batches_come_by_length(store):
    batches = TokenBatches(store, NAMES, 6, shuffle=False)
    # By the longer side: rows 1 9 (of 1), 3 5 (of 2), 8 0 2 7 4 (of 3), 6 (of 6), where source
    # minus target rises for odd sides and falls for even ones.
    assert ids(batches) == [[1, 3, 9], [5, 8], [0, 2], [4, 7], [6]]
    assert ids(batches, 3) == ids(batches)
    assert [batches.examples_in(i) for i in range(5)] == [3, 2, 2, 2, 1]
    assert [batches.amount_in(i) for i in range(5)] == [4, 5, 4, 3, 5]
    assert (len(batches), batches.rows, batches.too_long) == (5, 10, 0)


def test_a_batch_is_as_wide_as_its_longest_sequence(store):
    batch = TokenBatches(store, NAMES, 6, shuffle=False).get(0, 1)
    np.testing.assert_array_equal(batch["source"], [[6, 0], [9, 9]])
    np.testing.assert_array_equal(batch["target"], [[-6, -6, 0], [-9, -9, -9]])
    wide = TokenBatches(store, NAMES, 6, shuffle=False, pad=-7, multiple=4).get(0, 0)
    np.testing.assert_array_equal(wide["target"], [[-2, -7, -7, -7]])


def test_padding_is_counted_on_all_sides(store):
    batches = TokenBatches(store, NAMES, 6, shuffle=False)
    cells = 3 * (2 + 2) + 2 * (2 + 3) + 2 * (3 + 2) + 2 * (3 + 2) + (6 + 5)
    assert batches.padding_fraction() == pytest.approx(1 - (25 + 21) / cells)


@pytest.mark.parametrize("tokens", [100, 400])
def test_no_batch_has_more_tokens_and_little_of_it_is_padding(large, tokens):
    batches = TokenBatches(large, NAMES, tokens, seed=1)
    found, cells = [], 0
    for i in range(len(batches)):
        batch = batches.get(0, i)
        (rows, source), (_, target) = batch["source"].shape, batch["target"].shape
        assert rows * max(source, target) <= tokens
        assert batches.examples_in(i) == rows
        assert batches.amount_in(i) == np.count_nonzero(batch["target"])
        found += batch["id"].tolist()
        cells += batch["source"].size + batch["target"].size
    assert sorted(found) == list(range(2000))
    tokens_in_all = sum(int(large.lengths(name).sum()) for name in NAMES)
    assert batches.padding_fraction() == pytest.approx(1 - tokens_in_all / cells)
    assert batches.padding_fraction() < 0.1
    assert len(batches) < 1.1 * sum(
        np.maximum(large.lengths("source"), large.lengths("target")) / tokens
    )


def test_the_order_depends_on_seed_and_epoch_alone(large):
    first = TokenBatches(large, NAMES, 400, seed=1)
    epochs = [ids(first, 0), ids(first, 1)]
    again = TokenBatches(large, NAMES, 400, seed=1)
    assert [ids(again, 1), ids(again, 0)] == epochs[::-1]
    assert ids(TokenBatches(large, NAMES, 400, seed=2), 0) != epochs[0]


def test_an_epoch_mixes_examples_and_batches(large):
    batches = TokenBatches(large, NAMES, 400, seed=1)
    first, second = ({frozenset(batch) for batch in ids(batches, epoch)} for epoch in (0, 1))
    assert len(first & second) < len(first) / 2
    widths = [batches.get(0, i)["source"].shape[1] for i in range(len(batches))]
    assert np.corrcoef(widths[:-1], widths[1:])[0, 1] < 0.5


def test_amounts_follow_the_batches_of_an_epoch(large):
    batches = TokenBatches(large, NAMES, 400, seed=1)
    for epoch in (2, 0):
        for i in (0, 7):
            batch = batches.get(epoch, i)
            assert batches.amount_in(i, epoch) == np.count_nonzero(batch["target"])
            assert batches.examples_in(i, epoch) == len(batch["id"])


def test_long_examples_are_left_out_and_counted(store):
    batches = TokenBatches(store, NAMES, 6, max_length=2)
    assert (batches.rows, batches.too_long) == (4, 6)
    assert sorted(sum(ids(batches), [])) == [1, 3, 5, 9]


def test_without_a_limit_a_long_example_is_a_batch_by_itself(store):
    batches = TokenBatches(store, NAMES, 4, shuffle=False)
    assert ids(batches)[-1] == [6]
    assert batches.get(0, len(batches) - 1)["source"].shape == (1, 6)
    assert sorted(sum(ids(batches), [])) == list(range(10))


def test_a_static_batch_has_one_shape(store):
    batches = TokenBatches(store, NAMES, 6, max_length=3, seed=1, static=True, row_ids="row")
    spec = batches.dataset().element_spec
    assert spec["source"] == tf.TensorSpec([2, 3], tf.int32)
    assert spec["id"] == tf.TensorSpec([2], tf.int64)
    rows = [batch["row"].numpy().tolist() for batch in batches.dataset()]
    assert sorted(sum(rows, [])) == [-1, 0, 1, 2, 3, 4, 5, 7, 8, 9]
    (half,) = [batch for batch in batches.dataset() if -1 in batch["row"].numpy()]
    np.testing.assert_array_equal(half["target"][1], [0, 0, 0])
    assert batches.padding_fraction() == pytest.approx(1 - (19 + 16) / 60)
    assert not batches.varied


def test_a_dataset_has_one_type_for_all_shapes(large):
    batches = TokenBatches(large, NAMES, 400, row_ids="row")
    spec = batches.dataset().element_spec
    assert spec["source"] == spec["target"] == tf.TensorSpec([None, None], tf.int32)
    assert spec["id"] == spec["row"] == tf.TensorSpec([None], tf.int64)
    traces = []

    @tf.function(input_signature=[spec], autograph=False)
    def step(batch):
        traces.append(batch)
        return tf.size(batch["source"])

    assert len({int(step(batch)) for batch in batches.dataset()}) > 10
    assert len(traces) == 1


def test_a_dataset_goes_on_at_any_position(large):
    batches = TokenBatches(large, NAMES, 400, seed=3)
    wanted = ids(batches, 1)[4:] + ids(batches, 2)[:2]
    found = batches.dataset(1, 4, epochs=None).take(len(wanted))
    assert [batch["id"].numpy().tolist() for batch in found] == wanted


def test_every_row_is_named_in_evaluation(store):
    batches = TokenBatches(store, NAMES, 6, shuffle=False, row_ids="row")
    for batch in batches.dataset():
        np.testing.assert_array_equal(batch["row"], batch["id"])


def test_inputs_are_made_of_the_columns(store):
    batches = TokenBatches(store, NAMES, 6, to_inputs=lambda columns: columns["source"])
    assert batches.dataset().element_spec == tf.TensorSpec([None, None], tf.int32)


def test_one_column_and_empty_sequences(tmp_path):
    store = build(tmp_path, ([0, 0, 2], [1, 1, 1]))
    batches = TokenBatches(store, ["source"], 2, shuffle=False)
    assert ids(batches) == [[0, 1], [2]]
    assert batches.get(0, 0)["source"].shape == (2, 0)


def test_the_identity_names_what_batches_follow_from(store):
    assert TokenBatches(store, NAMES, 6, max_length=2).identity == {
        "tokens_per_batch": 6,
        "max_length": 2,
        "multiple": 1,
        "static": 0,
        "rows": 4,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens_per_batch": 0}, "tokens_per_batch: got 0; takes 1 or more"),
        ({"multiple": 0}, "multiple: got 0; takes 1 or more"),
        ({"max_length": 0}, "max_length: got 0; takes 1 to tokens_per_batch, 6"),
        ({"max_length": 7}, "max_length: got 7; takes 1 to tokens_per_batch, 6"),
        ({"static": True}, "static: needs max_length"),
    ],
)
def test_wrong_sizes(store, changes, message):
    with pytest.raises(ValueError, match=message):
        TokenBatches(store, NAMES, **{"tokens_per_batch": 6} | changes)


def test_nothing_short_enough(tmp_path):
    store = build(tmp_path, ([3, 2], [1, 2]))
    with pytest.raises(InputError, match="all 2 examples are longer than max_length, 1; raise it"):
        TokenBatches(store, NAMES, 6, max_length=1)


def test_an_index_beyond_the_epoch(store):
    with pytest.raises(IndexError, match="batch 5: an epoch has 5 batches"):
        TokenBatches(store, NAMES, 6, shuffle=False).get(0, 5)
