"""Tests of reading Parquet and TFRecord files."""

import contextlib
import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import babelrank  # noqa: F401  (before TensorFlow)
from babelrank.components.errors import InputError
from babelrank.components.ingest import binary_readers
from babelrank.components.ingest.binary_readers import read_parquet, read_tfrecord
from babelrank.components.ingest.utf8 import broken

COLUMNS = {"id": pa.string(), "n": pa.float64()}


def parquet(path, table, **options):
    pq.write_table(pa.table(table), path, **options)
    return path


def blocks_of(path, columns):
    with open(path, "rb") as file:
        return list(read_parquet(file, str(path), columns))


def test_parquet_keeps_its_types_and_reads_only_wanted_columns(tmp_path):
    noon = datetime.datetime(2024, 1, 2, 12)
    table = {
        "other": [1, 2],
        "n": pa.array([1, None], pa.int32()),
        "id": pa.array(["x", "y"]).dictionary_encode(),
        "tags": [["a", "b"], None],
        "time": [noon, None],
    }
    wanted = {**COLUMNS, "tags": pa.string(), "time": pa.string()}
    (block,) = blocks_of(parquet(tmp_path / "log.parquet", table), wanted)
    assert {name: block.batch.column(name).to_pylist() for name in wanted} == {
        "id": ["x", "y"],
        "n": [1, None],
        "tags": [["a", "b"], None],
        "time": [noon, None],
    }


def test_parquet_row_groups(tmp_path):
    path = parquet(
        tmp_path / "log.parquet", {"id": list("abcde"), "n": [1, 2, 3, 4, 5]}, row_group_size=2
    )
    blocks = blocks_of(path, COLUMNS)
    assert [(block.first_row, block.rows) for block in blocks] == [(0, 2), (2, 2), (4, 1)]
    (place,) = blocks[1].locate([1])
    assert (place.position, place.raw) == ("row group 1, row 1", '{"id": "d", "n": 4}')


def test_parquet_batches_within_a_row_group(tmp_path, monkeypatch):
    monkeypatch.setattr(binary_readers, "BATCH_ROWS", 2)
    path = parquet(tmp_path / "log.parquet", {"id": list("abc"), "n": [1, 2, 3]})
    blocks = blocks_of(path, COLUMNS)
    assert [(block.first_row, block.rows) for block in blocks] == [(0, 2), (2, 1)]
    assert blocks[1].locate([0])[0].position == "row group 0, row 2"


def test_parquet_with_long_rows_comes_in_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(binary_readers, "_BATCH_BYTES", 3_000)
    texts = [letter * 1_000 for letter in "abcde"]
    path = parquet(
        tmp_path / "log.parquet",
        {"id": texts, "n": [1, 2, 3, 4, 5]},
        compression="none",
        use_dictionary=False,
    )
    blocks = blocks_of(path, COLUMNS)
    assert [block.rows for block in blocks] == [2, 2, 1]
    assert [text for block in blocks for text in block.batch.column("id").to_pylist()] == texts


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [(10, 100, 32_768), (10, 10 << 28, 1), (10, 10 << 30, 1), (0, 0, 1), (5, -7, 32_768)],
)
def test_rows_of_a_batch(rows, size, expected):
    assert binary_readers._batch_rows(rows, size) == expected


def test_parquet_without_a_wanted_column(tmp_path):
    path = parquet(tmp_path / "log.parquet", {"ID": ["x"], "n": [1]})
    with pytest.raises(InputError, match=r"log\.parquet: missing column 'id'; .* 'ID', 'n'"):
        blocks_of(path, COLUMNS)


def test_parquet_without_rows(tmp_path):
    path = parquet(tmp_path / "log.parquet", {"id": pa.array([], pa.string()), "n": pa.nulls(0)})
    with pytest.raises(InputError, match=r"log\.parquet: the file has no rows"):
        blocks_of(path, COLUMNS)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1" + b"x" * 50 + b"PAR1"])
def test_not_parquet(tmp_path, content):
    path = tmp_path / "log.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"log\.parquet: cannot read the Parquet file"):
        blocks_of(path, COLUMNS)


def test_truncated_parquet(tmp_path):
    path = parquet(tmp_path / "log.parquet", {"id": ["x"] * 100, "n": [1] * 100})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"log\.parquet: cannot read the Parquet file"):
        blocks_of(path, COLUMNS)


def example(**features):
    kinds = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
    message = tf.train.Example()
    for name, values in features.items():
        getattr(message.features.feature[name], kinds[type(values[0])]).value.extend(values)
    return message.SerializeToString()


def tfrecord(path, records, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return str(path)


@pytest.mark.parametrize(("name", "compression"), [("log.tfrecord", ""), ("log.gz", "GZIP")])
def test_tfrecord(tmp_path, name, compression):
    records = [example(id=[b"x"], n=[1.5], other=[1]), example(id=[b"y", b"z"])]
    path = tfrecord(tmp_path / name, records, compression)
    (block,) = read_tfrecord(path, COLUMNS)
    assert block.batch.to_pydict() == {"id": [[b"x"], [b"y", b"z"]], "n": [[1.5], None]}
    (place,) = block.locate([1])
    assert place.position == "record 1"
    assert 'value: "y"' in place.raw


def test_a_record_that_is_no_example(tmp_path, monkeypatch):
    monkeypatch.setattr(binary_readers, "BATCH_ROWS", 2)
    good = example(id=[b"x"], n=[1.0])
    path = tfrecord(tmp_path / "log", [good, b"\xff\xff", good, good])
    blocks = list(read_tfrecord(path, COLUMNS))
    assert [(block.first_row, block.batch.num_rows) for block in blocks] == [(0, 1), (2, 2)]
    (bad,) = blocks[0].bad
    assert (bad.reason, bad.location.position) == ("bad_example", "record 1")
    assert blocks[1].locate([1])[0].position == "record 3"


def test_a_feature_of_two_kinds(tmp_path):
    records = [example(id=[b"x"]), example(id=[b"x"], n=[1.0]), example(id=[b"y"], n=[2])]
    (block,) = read_tfrecord(tfrecord(tmp_path / "log", records), COLUMNS)
    assert block.batch.column("n").to_pylist() == [None, [1.0]]
    (bad,) = block.bad
    assert bad.location.position == "record 2"
    assert "n holds large_list<item: int64>" in bad.detail


def test_a_block_of_nothing_but_bad_records(tmp_path, monkeypatch):
    monkeypatch.setattr(binary_readers, "BATCH_ROWS", 2)
    good = example(id=[b"x"], n=[1.0])
    path = tfrecord(tmp_path / "log", [b"\xff\xff", b"\xff\xff", good])
    blocks = list(read_tfrecord(path, COLUMNS))
    assert [len(block.bad) for block in blocks] == [2, 0]
    assert [block.batch.num_rows for block in blocks] == [0, 1]


def test_tfrecord_without_a_wanted_feature(tmp_path):
    path = tfrecord(tmp_path / "log", [example(n=[1.0])])
    with pytest.raises(InputError, match="log: missing column 'id'; the file has 'n'"):
        list(read_tfrecord(path, COLUMNS))


def test_empty_tfrecord(tmp_path):
    with pytest.raises(InputError, match="log: the file is empty"):
        list(read_tfrecord(tfrecord(tmp_path / "log", []), COLUMNS))


@pytest.mark.parametrize("damage", [lambda d: d[:-3], lambda d: d[:20] + b"!!!!" + d[24:]])
def test_damaged_tfrecord(tmp_path, damage):
    path = tmp_path / "log"
    tfrecord(path, [example(id=[b"x"], n=[1.0])] * 3)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="log: cannot read the TFRecord file"):
        list(read_tfrecord(str(path), COLUMNS))


def test_missing_tfrecord(tmp_path):
    with pytest.raises(InputError, match="nowhere: cannot read the file"):
        list(read_tfrecord(str(tmp_path / "nowhere"), COLUMNS))


@pytest.mark.filterwarnings("ignore:.*PyExtensionType")  # newer Arrow says so itself
def test_a_pickled_type_is_not_loaded(tmp_path):
    ran = tmp_path / "ran"
    pickled = b"cposix\nsystem\n(S'touch " + str(ran).encode() + b"'\ntR."
    extension = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickled,
    }
    schema = pa.schema([pa.field("id", pa.string(), metadata=extension), pa.field("n", pa.int64())])
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table([pa.array(["a"]), pa.array([1])], schema=schema), path)
    with contextlib.suppress(InputError):  # newer Arrow takes the texts without their type
        blocks_of(path, COLUMNS)
    assert not ran.exists()


def test_a_dictionary_with_texts_that_are_not_utf8():
    offsets = pa.py_buffer(np.array([0, 1, 2], np.int32))
    texts = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff")])
    codes = pa.array([0, 1, None, 0], pa.int8())
    assert broken(pa.DictionaryArray.from_arrays(codes, texts)).tolist() == [0, 1, 0, 0]
    unused = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int8()), texts)
    assert not broken(unused).any()
    sound = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b"]))
    assert broken(sound).tolist() == [0, 0, 0, 0]


def test_parquet_with_texts_that_are_not_utf8(tmp_path):
    offsets = pa.py_buffer(np.array([0, 1, 2, 3], np.int32))
    ids = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xffc")])
    path = parquet(tmp_path / "log.parquet", {"id": ids, "n": [1, 2, 3]})
    (block,) = blocks_of(path, COLUMNS)
    assert block.batch.to_pydict() == {"id": ["a", "c"], "n": [1, 3]}
    assert [(row.reason, row.location.position) for row in block.bad] == [
        ("not_utf8", "row group 0, row 1")
    ]
    assert block.locate([1])[0].position == "row group 0, row 2"
