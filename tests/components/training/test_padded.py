"""Tests of batches that are filled up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.training.inputs import Column, ColumnStore, Portion
from babelrank.components.training.padded import PaddedBatches

COLUMNS = (Column("label", "float32"), Column("vector", "float32", 2), Column("ids", "int32", None))


@pytest.fixture
def store(tmp_path: Path) -> ColumnStore:
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        for i in range(5):
            example = tf.train.Example()
            example.features.feature["label"].float_list.value.append(i)
            example.features.feature["vector"].float_list.value.extend([i, i])
            example.features.feature["ids"].int64_list.value.extend(range(i))
            writer.write(example.SerializeToString())
    return ColumnStore.build(str(tmp_path / "records"), COLUMNS, tmp_path / "store")


def test_the_last_batch_is_filled_up(store: ColumnStore) -> None:
    batches = PaddedBatches(store, 3, {"label": np.nan}, shuffle=False)
    assert (len(batches), batches.rows, batches.examples_in(1)) == (2, 5, 2)
    last = batches.get(0, 1)
    np.testing.assert_array_equal(last["label"], [3, 4, np.nan])
    np.testing.assert_array_equal(last["vector"], [[3, 3], [4, 4], [0, 0]])
    np.testing.assert_array_equal(last["ids"], [[0, 1, 2, -1], [0, 1, 2, 3], [-1, -1, -1, -1]])
    whole = batches.get(0, 0)
    np.testing.assert_array_equal(whole["label"], [0, 1, 2])


def test_shapes_are_static_for_each_replica(store: ColumnStore) -> None:
    batches = PaddedBatches(store, 4, {"label": np.nan}, shuffle=False)
    spec = batches.dataset(portion=Portion(0, 2, 2)).element_spec
    assert {name: tuple(tensor.shape) for name, tensor in spec.items()} == {
        "label": (2,),
        "vector": (2, 2),
        "ids": (2, 4),
    }
