"""Parquet files and TFRecord files of `tf.Example`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, BadRow, Block, Location

BATCH_ROWS = 32_768


def read_parquet(file: IO[bytes], path: str, columns: Mapping[str, pa.DataType]) -> Iterator[Block]:
    """Blocks of a Parquet file, row group by row group.

    Raises:
        InputError: Not a Parquet file, no rows, or a wanted column is missing.
    """
    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        _check_columns(path, columns, parquet.schema_arrow.names)
        if not parquet.metadata.num_rows:
            raise InputError(f"{path}: the file has no rows; expected rows.")
        first_row = 0
        for group in range(parquet.num_row_groups):
            row = 0
            for batch in parquet.iter_batches(
                BATCH_ROWS, row_groups=[group], columns=list(columns), use_threads=False
            ):
                yield Block(batch, partial(_locate_row, batch, group, row), first_row)
                row += batch.num_rows
                first_row += batch.num_rows
    except pa.ArrowException as error:
        raise InputError(f"{path}: cannot read the Parquet file: {error}") from error


def _locate_row(
    batch: pa.RecordBatch, group: int, first: int, indices: Sequence[int]
) -> list[Location]:
    rows = batch.take(pa.array(indices, pa.int64())).to_pylist()
    return [
        Location(f"row group {group}, row {first + i}", _raw(row))
        for i, row in zip(indices, rows, strict=True)
    ]


def read_tfrecord(path: str, columns: Mapping[str, pa.DataType]) -> Iterator[Block]:
    """Blocks of a TFRecord file of serialized `tf.Example`s, plain or gz.

    A feature that a row lacks is a missing value.

    Raises:
        InputError: The file is truncated, corrupt or empty, or no row has a wanted column.
    """
    import tensorflow as tf  # heavy; only for this format
    from tfx_bsl.cc.tfx_bsl_extension.coders import ExamplesToRecordBatchDecoder

    decoder = ExamplesToRecordBatchDecoder(None)
    options = tf.io.TFRecordOptions("GZIP" if path.endswith(".gz") else "")
    records: Iterator[bytes] | None = None
    first_row, checked = 0, False
    while True:
        try:
            records = records or tf.compat.v1.io.tf_record_iterator(path, options)
            serialized = list(itertools.islice(records, BATCH_ROWS))
        except (tf.errors.OpError, OSError) as error:
            raise InputError(f"{path}: cannot read the TFRecord file: {error}") from error
        if not serialized:
            break
        good, bad = _decodable(decoder, serialized, first_row)
        batch = _select(decoder.DecodeBatch([serialized[i] for i in good]), columns)
        if good and not checked:
            checked = True
            _check_columns(path, columns, [c for c in batch.schema.names if _present(batch, c)])
        yield Block(batch, partial(_locate_record, serialized, good, first_row), first_row, bad)
        first_row += len(serialized)
    if not first_row:
        raise InputError(f"{path}: the file is empty; expected rows.")


def _decodable(
    decoder: Any, serialized: list[bytes], first_row: int
) -> tuple[list[int], list[BadRow]]:
    try:
        decoder.DecodeBatch(serialized)
        return list(range(len(serialized))), []
    except (RuntimeError, ValueError):
        pass
    good, bad = [], []
    kinds: dict[str, pa.DataType] = {}
    for i, record in enumerate(serialized):
        try:
            schema = decoder.DecodeBatch([record]).schema
            problem = _other_kind(schema, kinds)
        except (RuntimeError, ValueError) as error:
            problem = f"no tf.Example: {error}"
        if problem:
            location = Location(f"record {first_row + i}", repr(record)[:RAW_LIMIT])
            bad.append(BadRow(location, "bad_example", problem))
        else:
            good.append(i)
            kinds |= {field.name: field.type for field in schema if not _is_null(field.type)}
    return good, bad


def _other_kind(schema: pa.Schema, kinds: Mapping[str, pa.DataType]) -> str:
    """What is wrong when a feature is of another kind than in the records before."""
    for field in schema:
        kind = kinds.get(field.name, field.type)
        if not _is_null(field.type) and field.type != kind:
            return f"{field.name} holds {field.type}, and {kind} in the records before"
    return ""


def _select(batch: pa.RecordBatch, columns: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    names = batch.schema.names
    arrays = [
        batch.column(names.index(name)) if name in names else pa.nulls(batch.num_rows)
        for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, list(columns))


def _present(batch: pa.RecordBatch, name: str) -> bool:
    return not _is_null(batch.schema.field(name).type)


def _is_null(kind: pa.DataType) -> bool:
    return bool(pa.types.is_null(kind))


def _locate_record(
    serialized: list[bytes], good: list[int], first_row: int, indices: Sequence[int]
) -> list[Location]:
    import tensorflow as tf

    return [
        Location(
            f"record {first_row + good[i]}",
            str(tf.train.Example.FromString(serialized[good[i]]))[:RAW_LIMIT],
        )
        for i in indices
    ]


def _check_columns(path: str, columns: Mapping[str, Any], names: Sequence[str]) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        raise InputError(
            f"{path}: missing column {', '.join(map(repr, missing))}; the file has "
            f"{', '.join(map(repr, names[:50]))}."
        )


def _raw(row: Mapping[str, Any]) -> str:
    return json.dumps(row, default=str, ensure_ascii=False)[:RAW_LIMIT]
