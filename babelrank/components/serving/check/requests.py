"""The examples that a serving check asks: drawn from a split, read from a file, or made up."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from babelrank.components.errors import InputError
from babelrank.components.serving.check.doors import example
from babelrank.components.serving.model_rows import NO_TIME, RowColumn
from babelrank.components.serving.text_lines import read_lines

FILE = "requests.tfrecord"
_MADE_UP: dict[str, Any] = {"text": "hello", "number": 1.0, "time": 1_700_000_000}
_SHOWN = 400


def raw_examples(folder: str) -> Iterator[bytes]:
    """The serialized examples of a split, in the order of its files."""
    for path in sorted(tf.io.gfile.glob(f"{folder}/*")):
        kind = "GZIP" if path.endswith(".gz") else ""
        yield from tf.data.TFRecordDataset(path, kind).as_numpy_iterator()


def draw(folder: str, count: int, path: Path) -> int:
    """Writes the first examples of a split to a file; returns how many there were."""
    drawn = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in itertools.islice(raw_examples(folder), count):
            writer.write(one)
            drawn += 1
    return drawn


def read(path: Path | None, columns: Sequence[RowColumn], count: int) -> list[bytes]:
    """The first examples of a file, over and over where it has less.

    Args:
        path: TFRecord file of `tf.Example`s (named .tfrecord, .tfrecord.gz or as TFX does), a
            file of JSON lines for a model that takes rows, or of sentences; None: made up ones.
        columns: What the model takes; without it only TFRecord files can be read.
        count: Number of them.

    Raises:
        InputError: The file cannot be read, has no examples, or has lines that are none.
    """
    if path is None:
        row = {column.name: _MADE_UP[column.kind] for column in columns}
        found = [example(columns, row)]
    elif ".tfrecord" in path.name or "data_tfrecord" in path.name:
        found = list(itertools.islice(_records(path), count))
    elif not columns:
        raise InputError(f"{path}: a model of another make takes a TFRecord file of examples.")
    else:
        lines = enumerate(read_lines(path), 1)
        there = ((number, line) for number, line in lines if line.strip())
        found = [_of_line(*one, columns, path) for one in itertools.islice(there, count)]
    if not found:
        raise InputError(f"{path}: holds no examples.")
    return list(itertools.islice(itertools.cycle(found), count))


def readable(serialized: bytes) -> str:
    """An example as JSON that a person can read, cut where it is long."""
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except Exception:  # what is no example can be a request too
        return repr(serialized[:_SHOWN])
    text = json.dumps({n: _plain(features[n]) for n in sorted(features)}, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def _records(path: Path) -> Iterator[bytes]:
    kind = "GZIP" if path.name.endswith(".gz") else ""
    try:
        yield from tf.data.TFRecordDataset(str(path), kind).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise InputError(f"{path}: cannot be read: {error.message}") from error


def _of_line(number: int, line: str, columns: Sequence[RowColumn], path: Path) -> bytes:
    if [column.kind for column in columns] == ["text"] and not line.lstrip().startswith("{"):
        return example(columns, {columns[0].name: line.encode()})
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {number}: not valid JSON: {error}: {line[:60]}") from None
    if not isinstance(row, dict):
        raise InputError(
            f"{path}, line {number}: got {line[:60]}; takes a JSON object of columns on each line."
        )
    try:
        cells = {c.name: _cell(c, row.get(c.name), number) for c in columns}
    except InputError as error:  # names the line
        raise InputError(f"{path}, {error}") from None
    return example(columns, cells)


def _cell(column: RowColumn, value: Any, line: int) -> Any:
    (cell,) = column.array([value], [line]).tolist()
    return NO_TIME if column.kind == "time" and cell is None else cell


def _plain(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return None
    values = list(getattr(feature, kind).value)
    if kind == "bytes_list":
        values = [value.decode("utf-8", "backslashreplace") for value in values]
    return values[0] if len(values) == 1 else values
