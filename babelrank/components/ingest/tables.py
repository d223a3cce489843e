"""Tables of any format (csv, tsv, jsonl, parquet, tfrecord), read in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from babelrank.components.ingest.binary_readers import read_parquet, read_tfrecord
from babelrank.components.ingest.blocks import Block
from babelrank.components.ingest.csv_reader import CsvReader
from babelrank.components.ingest.files import open_input
from babelrank.components.ingest.jsonl_reader import JsonlReader

_DELIMITERS = {"csv": ",", "tsv": "\t"}


def read_blocks(
    path: str,
    file_format: str,
    wanted: dict[str, pa.DataType],
    delimiter: str | None = None,
    column_names: Sequence[str] = (),
    missing_values: Sequence[str] = ("",),
) -> Iterator[Block]:
    """The blocks of a file of any format; the last three arguments are for csv and tsv.

    Raises:
        InputError: The file cannot be read, is empty, or lacks a column.
    """
    if file_format == "tfrecord":
        yield from read_tfrecord(path, wanted)
        return
    with open_input(path) as file:
        if file_format == "parquet":
            yield from read_parquet(file, path, wanted)
        elif file_format == "jsonl":
            yield from JsonlReader(path, wanted).blocks(file)
        else:
            yield from CsvReader(
                path,
                wanted,
                delimiter=(delimiter or _DELIMITERS[file_format]).replace("\\t", "\t"),
                column_names=column_names,
                missing_values=missing_values,
            ).blocks(file)
