"""Writing one shard: its predictions, its bad rows, and what happened to its rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from json.encoder import encode_basestring
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from babelrank.components.ingest.blocks import BadRow, Block, Rows
from babelrank.components.ingest.summary import Summary, quarantine_line
from babelrank.components.serving.batch.shards import InputFile, Part, Shards, write_text, written

PREDICTED = "predicted"


class ShardWriter:
    """Writes a shard; use as a context manager: an error leaves nothing that counts.

    Args:
        shards: Where.
        file: The file that the rows come from.
        number: Number of the shard in it.
        numbering: Name of the column with the numbers of the rows.
    """

    def __init__(self, shards: Shards, file: InputFile, number: int, numbering: str) -> None:
        self.summary = Summary()
        self._shards, self._file, self._number = shards, file, number
        self._numbering = numbering
        self._first_row = -1
        self._stack = ExitStack()
        self._out: _Out | None = None
        self._bad: list[BadRow] = []

    def write(self, block: Block, rows: Rows) -> None:
        """Writes the answers to the rows of a block, and its bad rows."""
        if self._first_row < 0:
            self._first_row = block.first_row
        numbers = pa.array(row_numbers(block)[rows.index])
        names = [self._numbering, *rows.features.schema.names]
        batch = pa.RecordBatch.from_arrays([numbers, *rows.features.columns], names)
        if self._out is None:
            self._out = self._open(batch.schema)
        self._out.write(batch)
        located = block.locate([index for index, _, _ in rows.bad]) if rows.bad else []
        bad = block.bad + [
            BadRow(location, reason, detail)
            for location, (_, reason, detail) in zip(located, rows.bad, strict=True)
        ]
        for row in bad:
            self.summary.add_bad(self._file.path, row)
        self._bad += bad
        self.summary.read += block.rows
        self.summary.written[PREDICTED] += batch.num_rows

    def _open(self, schema: pa.Schema) -> _Out:
        path = self._shards.data(self._file.name, self._number)
        raw = self._stack.enter_context(written(path))
        if self._shards.output == "parquet":
            return _Parquet(raw, schema)
        return _JsonLines(raw)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is not None:
            self._stack.__exit__(kind, *error)
            return
        if self._out is not None:
            self._out.close()
        self._stack.close()
        name = self._file.name
        if self._bad:
            lines = [quarantine_line(self._file.path, row) for row in self._bad]
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            write_text(self._shards.bad_rows(name, self._number), text)
        part = Part(self._file.stamp, self._first_row, self.summary)
        write_text(self._shards.part(name, self._number), part.to_json())


class _Out(Protocol):
    """A file of predictions."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Writes some."""

    def close(self) -> None:
        """Writes what is still to be written; the file below is closed by whoever opened it."""


class _JsonLines:
    def __init__(self, raw: IO[bytes]) -> None:
        # Without name and time, the same predictions are the same bytes.
        self._file = gzip.GzipFile("", "wb", 1, raw, mtime=0)

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write("".join(json_lines(batch)).encode())

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, raw: IO[bytes], schema: pa.Schema) -> None:
        self._file = pyarrow.parquet.ParquetWriter(raw, schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write_batch(batch)

    def close(self) -> None:
        self._file.close()


def json_lines(batch: pa.RecordBatch) -> Iterator[str]:
    """The rows of a batch as JSON objects, each with its line end.

    Column by column: an encoder that is called for each row takes half of the whole time.
    """
    names = (encode_basestring(name).replace("%", "%%") for name in batch.schema.names)
    template = "{" + ", ".join(f"{name}: %s" for name in names) + "}\n"
    columns = [_as_json(column) for column in batch.columns]
    return (template % row for row in zip(*columns, strict=True))


def _as_json(column: pa.Array) -> list[str]:
    values = column.to_pylist()
    if pa.types.is_string(column.type):
        return ["null" if value is None else encode_basestring(value) for value in values]
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return list(map(repr, values))  # none is missing, and all are finite
    return [json.dumps(value, ensure_ascii=False) for value in values]


def row_numbers(block: Block) -> npt.NDArray[np.int64]:
    """[N] numbers of the rows of a block's batch in their file, from 1; bad rows count too."""
    count = block.batch.num_rows
    if not block.bad:
        return block.first_row + 1 + np.arange(count)
    # Bad rows stand among the others, and only their places tell where.
    good = [_place(one.position) for one in block.locate(range(count))]
    places = np.array(good + [_place(row.location.position) for row in block.bad], np.int64)
    ranks = np.empty(len(places), np.int64)
    ranks[np.argsort(places, kind="stable")] = np.arange(len(places))
    return block.first_row + 1 + ranks[:count]


def _place(position: str) -> int:
    """The number in `line 12` or `record 12`."""
    return int(position.rpartition(" ")[2])
