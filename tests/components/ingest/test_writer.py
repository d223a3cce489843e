"""Tests of writing examples."""

import pyarrow as pa
import pytest
import tensorflow as tf

import babelrank  # noqa: F401  (before TensorFlow)
from babelrank.components.ingest.writer import ExampleWriter


def batch(*values):
    return pa.RecordBatch.from_arrays([pa.array([[v] for v in values])], ["n"])


def folders(root):
    return {"train": f"{root}/Split-train", "eval": f"{root}/Split-eval"}


def numbers(folder):
    """Values by file name."""
    found = {}
    for path in sorted(folder.glob("**/*.gz")):
        records = tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator()
        examples = map(tf.train.Example.FromString, records)
        found[path.relative_to(folder).as_posix()] = [
            example.features.feature["n"].int64_list.value[0] for example in examples
        ]
    return found


def test_files_by_split_and_part(tmp_path):
    with ExampleWriter(folders(tmp_path), 3, 1, 100) as writer:
        writer.write("train", batch(1, 2))
        writer.write("eval", batch(3))
        writer.write("eval", batch(3).slice(1))
        writer.write("train", batch(4))
    assert writer.written == {"train": 3, "eval": 1}
    assert numbers(tmp_path) == {
        "Split-train/data_tfrecord-00003-00000.gz": [1, 2, 4],
        "Split-eval/data_tfrecord-00003-00000.gz": [3],
    }


def test_a_new_file_after_so_many_rows(tmp_path):
    with ExampleWriter(folders(tmp_path), 0, 9, 2) as writer:
        for values in ((1, 2), (3,), (4, 5, 6, 7, 8), (9,)):
            writer.write("train", batch(*values))
    assert list(numbers(tmp_path / "Split-train").values()) == [[1, 2], [3, 4, 5, 6, 7, 8], [9]]


def test_an_error_leaves_nothing_that_is_open(tmp_path):
    with (
        pytest.raises(RuntimeError, match="gone"),
        ExampleWriter(folders(tmp_path), 0, 1, 100) as writer,
    ):
        writer.write("train", batch(1))
        raise RuntimeError("gone")
    assert [path for path in tmp_path.glob("**/*") if path.is_file()] == []


def test_a_retried_item_leaves_no_duplicates(tmp_path):
    def attempt(fail):
        with ExampleWriter(folders(tmp_path), 0, 1, 2) as writer:
            writer.write("train", batch(1, 2))
            writer.write("train", batch(3))
            if fail:
                raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        attempt(fail=True)
    attempt(fail=False)
    assert list(numbers(tmp_path).values()) == [[1, 2], [3]]
