"""Parquet files and TFRecord files of `tf.Example`."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, BadRow, Block, Location
from babelrank.components.ingest.files import check_regular, open_input
from babelrank.components.ingest.text_reader import MAX_RECORD_BYTES
from babelrank.components.ingest.utf8 import plain, sound

BATCH_ROWS = 32_768
_BATCH_BYTES = 1 << 28
"""Of a row group's batch, about; Arrow ends one of its own at 2 GiB of text."""
_HEADER = struct.Struct("<QI")
"""Length of a record, and the length's checksum."""
_FOOTER_BYTES = 4


def read_parquet(file: IO[bytes], path: str, columns: Mapping[str, pa.DataType]) -> Iterator[Block]:
    """Blocks of a Parquet file, row group by row group.

    Raises:
        InputError: Not a Parquet file, no rows, or a wanted column is missing.
    """
    if not file.seekable():
        raise InputError(f"{path}: Parquet compresses its columns itself; takes a .parquet file.")
    _refuse_pickles()
    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        _check_columns(path, columns, parquet.schema_arrow.names)
        if not parquet.metadata.num_rows:
            raise InputError(f"{path}: the file has no rows; expected rows.")
        first_row = 0
        for group in range(parquet.num_row_groups):
            row = 0
            for batch in _batches(parquet, path, group, list(columns)):
                yield sound(Block(batch, partial(_locate_row, batch, group, row), first_row))
                row += batch.num_rows
                first_row += batch.num_rows
    except _PARQUET_ERRORS as error:
        raise InputError(f"{path}: cannot read the Parquet file: {error!s:.500}") from error


_PARQUET_ERRORS = (pa.ArrowException, RuntimeError, UnicodeDecodeError)
"""Arrow's own; a pickled type (`_refuse_pickles`); and names that are not UTF-8."""


def _refuse_pickles() -> None:
    """Arrow before 14.0.1 loads types that are pickled in a file's schema (CVE-2023-47248).

    Apache Beam depends on the remedy wherever it takes such an Arrow, but need not stay imported.
    """
    if int(pa.__version__.partition(".")[0]) < 15:
        import pyarrow_hotfix  # type: ignore[import-untyped]  # noqa: F401


def _batches(
    parquet: pyarrow.parquet.ParquetFile, path: str, group: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """The batches of a row group, which have as many rows as it says.

    Fewer rows than asked for are the end of a column that was cut short; asked for more, Arrow
    might end the process. (Columns with a dictionary may come in smaller batches.)
    """
    left = parquet.metadata.row_group(group).num_rows
    size = _batch_rows(left, parquet.metadata.row_group(group).total_byte_size)
    kinds = [parquet.schema_arrow.field(name).type for name in columns]
    steady = not any(map(pa.types.is_dictionary, kinds))
    batches = parquet.iter_batches(size, row_groups=[group], columns=columns, use_threads=False)
    for batch in batches:
        short = steady and batch.num_rows < min(left, size)
        left -= batch.num_rows
        if short or left < 0:
            break
        yield batch
    if left:
        raise InputError(
            f"{path}: row group {group} has other rows than the file's end says; is it whole?"
        )


def _batch_rows(rows: int, size: int) -> int:
    """Rows of a batch, for a row group of so many rows and bytes."""
    return max(1, min(BATCH_ROWS, _BATCH_BYTES * rows // max(1, size)))


def _locate_row(
    batch: pa.RecordBatch, group: int, first: int, indices: Sequence[int]
) -> list[Location]:
    some = batch.take(pa.array(indices, pa.int64()))
    columns = dict(zip(some.schema.names, map(plain, some.columns), strict=True))
    return [
        Location(
            f"row group {group}, row {first + index}", _raw({n: c[at] for n, c in columns.items()})
        )
        for at, index in enumerate(indices)
    ]


def read_tfrecord(path: str, columns: Mapping[str, pa.DataType]) -> Iterator[Block]:
    """Blocks of a TFRecord file of serialized `tf.Example`s, plain or gz.

    A feature that a row lacks is a missing value.

    Raises:
        InputError: The file is truncated, corrupt or empty, or no row has a wanted column.
    """
    import tensorflow as tf  # heavy; only for this format
    from tfx_bsl.cc.tfx_bsl_extension.coders import ExamplesToRecordBatchDecoder

    check_regular(path)
    _check_lengths(path)
    decoder = ExamplesToRecordBatchDecoder(None)
    options = tf.io.TFRecordOptions("GZIP" if path.endswith(".gz") else "")
    records: Iterator[bytes] | None = None
    first_row, checked = 0, False
    while True:
        try:
            records = records or tf.compat.v1.io.tf_record_iterator(path, options)
            serialized = _next_records(records)
        except (tf.errors.OpError, OSError) as error:
            raise InputError(f"{path}: cannot read the TFRecord file: {error}") from error
        if not serialized:
            break
        good, bad = _decodable(decoder, serialized, first_row)
        batch = _select(decoder.DecodeBatch([serialized[i] for i in good]), columns)
        if good and not checked:
            checked = True
            _check_columns(path, columns, [c for c in batch.schema.names if _present(batch, c)])
        locate = partial(_locate_record, serialized, good, first_row)
        yield sound(Block(batch, locate, first_row, bad))
        first_row += len(serialized)
    if not first_row:
        raise InputError(f"{path}: the file is empty; expected rows.")


def _check_lengths(path: str) -> None:
    """TensorFlow ends the process when a record says that it is longer than memory.

    So every file is read twice, and a .gz file unpacked twice.
    """
    if path.endswith((".xz", ".zst", ".bz2")):
        raise InputError(f"{path}: TFRecord files may be plain or gz.")
    with open_input(path) as file:
        number = 0
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length = _HEADER.unpack(header)[0]
            if length > MAX_RECORD_BYTES:
                raise InputError(
                    f"{path}: record {number} says that it has {length:,} bytes; takes "
                    f"{MAX_RECORD_BYTES >> 20} MiB at the most. Is this a TFRecord file?"
                )
            file.read(length + _FOOTER_BYTES)
            number += 1


def _next_records(records: Iterator[bytes]) -> list[bytes]:
    """The next records: as many as a batch has, or fewer when they are large."""
    taken: list[bytes] = []
    size = 0
    while len(taken) < BATCH_ROWS and size < MAX_RECORD_BYTES:
        record = next(records, None)
        if record is None:
            break
        taken.append(record)
        size += len(record)
    return taken


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
    twice = [name for name in columns if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: the column {twice[0]!r} stands twice.")


def _raw(row: Mapping[str, Any]) -> str:
    return json.dumps(row, default=str, ensure_ascii=False)[:RAW_LIMIT]
