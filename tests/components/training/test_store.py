"""Column stores: conversion of examples, reuse, errors."""

import json

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import InputError
from babelrank.components.training import store as stores
from babelrank.components.training.store import PAD, Column, ColumnStore

COLUMNS = (
    Column("user", "int32"),
    Column("dense", "float32", 2),
    Column("gen/res", "int64", None),
    Column("item", "int64"),
    Column("label", "float32"),
)
GENRES = [[1, 2], [], [3], [4, 5, 6], [7]]


def example(i, **changes):
    values = {
        "user": [i],
        "item": [10 * i],
        "gen/res": GENRES[i % 5],
        "dense": [i + 0.5, -float(i)],
        "label": [float(i % 2)],
    } | changes
    features = {}
    for name, value in values.items():
        if name in ("dense", "label"):
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        else:
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path, records, compression="GZIP"):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def files(tmp_path):
    write(tmp_path / "a-0.gz", [example(i) for i in range(3)])
    write(tmp_path / "a-1", [example(i) for i in range(3, 5)], "")
    return str(tmp_path / "a-*")


def test_columns_hold_the_examples_in_the_order_of_the_files(files, tmp_path):
    store = ColumnStore.build(files, COLUMNS, tmp_path / "store")
    assert len(store) == 5
    np.testing.assert_array_equal(store.column("user"), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(store.column("item"), [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(store.column("dense")[3], [3.5, -3.0])
    assert store.column("user").dtype == np.int32
    assert store.longest == {"gen/res": 3}


def test_take_gathers_rows_and_pads_ids(files, tmp_path):
    taken = ColumnStore.build(files, COLUMNS, tmp_path / "store").take(np.array([3, 1, 0]))
    assert list(taken) == [column.name for column in COLUMNS]
    np.testing.assert_array_equal(taken["item"], [30, 10, 0])
    np.testing.assert_array_equal(taken["dense"], [[3.5, -3], [1.5, -1], [0.5, 0]])
    np.testing.assert_array_equal(taken["gen/res"], [[4, 5, 6], [PAD, PAD, PAD], [1, 2, PAD]])
    assert all(array.flags.c_contiguous for array in taken.values())


def test_take_pads_to_a_width_with_a_value(files, tmp_path):
    store = ColumnStore.build(files, COLUMNS, tmp_path / "store")
    taken = store.take(np.array([0, 1]), pad=0, widths={"gen/res": 2})
    np.testing.assert_array_equal(taken["gen/res"], [[1, 2], [0, 0]])
    np.testing.assert_array_equal(store.lengths("gen/res"), [2, 0, 1, 3, 1])


def test_ids_span_parsed_batches_and_files(files, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_PARSED_AT_ONCE", 2)
    store = ColumnStore.build(files, COLUMNS, tmp_path / "store")
    rows = store.take(np.arange(5))["gen/res"]
    assert [[int(x) for x in row if x != PAD] for row in rows] == GENRES


def test_only_empty_ids_give_a_column_of_width_zero(tmp_path):
    write(tmp_path / "x", [example(0, **{"gen/res": []})], "")
    store = ColumnStore.build(str(tmp_path / "x"), COLUMNS, tmp_path / "store")
    assert store.take(np.array([0]))["gen/res"].shape == (1, 0)


def test_the_same_files_are_converted_once(files, tmp_path):
    ColumnStore.build(files, COLUMNS, tmp_path / "store")
    before = (tmp_path / "store" / "columns.json").stat().st_mtime_ns
    ColumnStore.build(files, COLUMNS, tmp_path / "store")
    assert (tmp_path / "store" / "columns.json").stat().st_mtime_ns == before


def test_other_files_replace_the_store(files, tmp_path):
    ColumnStore.build(files, COLUMNS, tmp_path / "store")
    write(tmp_path / "a-2", [example(7)], "")
    assert len(ColumnStore.build(files, COLUMNS, tmp_path / "store")) == 6
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".store")]


def test_a_failed_conversion_leaves_nothing(tmp_path):
    write(tmp_path / "x", [example(0), example(1, user=[])], "")
    with pytest.raises(InputError, match=r"x: cannot be read as examples: .*user"):
        ColumnStore.build(str(tmp_path / "x"), COLUMNS, tmp_path / "store")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_truncated_file_is_named(tmp_path):
    write(tmp_path / "x.gz", [example(i) for i in range(100)])
    (tmp_path / "x.gz").write_bytes((tmp_path / "x.gz").read_bytes()[:-30])
    with pytest.raises(InputError, match=r"x\.gz: cannot be read as examples"):
        ColumnStore.build(str(tmp_path / "x.gz"), COLUMNS, tmp_path / "store")


def test_no_files(tmp_path):
    with pytest.raises(InputError, match="no such files"):
        ColumnStore.build(str(tmp_path / "none*"), COLUMNS, tmp_path / "store")


def test_no_examples(tmp_path):
    write(tmp_path / "x", [], "")
    with pytest.raises(InputError, match="no examples"):
        ColumnStore.build(str(tmp_path / "x"), COLUMNS, tmp_path / "store")


def test_an_id_too_large_for_its_type(tmp_path):
    write(tmp_path / "x", [example(0, user=[2**31])], "")
    with pytest.raises(InputError, match="user: got 2147483648; takes 32 bit ids"):
        ColumnStore.build(str(tmp_path / "x"), COLUMNS, tmp_path / "store")


def test_a_directory_without_a_store(tmp_path):
    with pytest.raises(InputError, match="holds no column store"):
        ColumnStore(tmp_path)


def test_a_store_of_another_format_is_rebuilt(files, tmp_path):
    ColumnStore.build(files, COLUMNS, tmp_path / "store")
    index = tmp_path / "store" / "columns.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"format": 0}))
    assert len(ColumnStore.build(files, COLUMNS, tmp_path / "store")) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "string"), "x: got 'string'; takes int64"),
        (("x", "float32", None), "x: only integers can have variable length"),
    ],
)
def test_a_wrong_column(arguments, message):
    with pytest.raises(ValueError, match=message):
        Column(*arguments)
