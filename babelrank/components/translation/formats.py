"""Files of parallel text in every format, as blocks of two columns: source and target."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from babelrank.components.errors import InputError
from babelrank.components.ingest.binary_readers import read_parquet
from babelrank.components.ingest.blocks import Block
from babelrank.components.ingest.csv_reader import CsvReader
from babelrank.components.ingest.files import open_input
from babelrank.components.ingest.jsonl_reader import JsonlReader
from babelrank.components.ingest.line_pairs import read_line_pairs
from babelrank.components.ingest.po_reader import read_po
from babelrank.components.ingest.spans import InputFile
from babelrank.components.ingest.tmx_reader import read_tmx
from babelrank.components.ingest.tsv_reader import TsvReader
from babelrank.components.ingest.utf8 import is_textual
from babelrank.components.translation.config import DataConfig
from babelrank.components.translation.records import SOURCE, TARGET

NAMES = (SOURCE, TARGET)


def read_pairs(file: InputFile, config: DataConfig) -> Iterator[Block]:
    """The blocks of a file: columns `source` and `target`, strings, and for PO also `state`.

    A file with another beside it is a pair of files of lines, whatever the data's format.

    Raises:
        InputError: The file cannot be read, is empty, or lacks a column.
    """
    with open_input(file.path) as opened:
        if file.beside:
            with open_input(file.beside) as beside:
                yield from read_line_pairs((opened, beside), (file.path, file.beside), NAMES)
        elif config.format == "moses":
            raise InputError(
                f"{file.path}: with format: moses, an explicit split takes a source and a target."
            )
        elif config.format == "tmx":
            languages = (config.source.language, config.target.language)
            yield from read_tmx(opened, file.path, languages, NAMES)
        elif config.format == "po":
            yield from read_po(opened, file.path, config.target.language, NAMES)
        elif config.format == "parquet":
            columns = _named(config)
            for block in read_parquet(opened, file.path, columns):
                yield _of_texts(_renamed(block), file.path, list(columns))
        else:
            for block in _text_reader(file.path, config).blocks(opened):
                yield _renamed(block)


def _text_reader(path: str, config: DataConfig) -> TsvReader | CsvReader | JsonlReader:
    positions = [column for column in config.columns if isinstance(column, int)]
    columns = dict.fromkeys(NAMES, pa.string()) if positions else _named(config)
    if config.format == "jsonl":
        return JsonlReader(path, columns)
    reader = CsvReader if config.format == "csv" else TsvReader
    return reader(path, columns, positions=positions)


def _named(config: DataConfig) -> dict[str, pa.DataType]:
    return dict.fromkeys(map(str, config.columns), pa.string())


def _renamed(block: Block) -> Block:
    """The block with its columns, which stand in the order of the configuration, named anew."""
    batch = pa.RecordBatch.from_arrays(block.batch.columns, list(NAMES))
    return Block(batch, block.locate, block.first_row, block.bad)


def _of_texts(block: Block, path: str, columns: list[str]) -> Block:
    """The block with its columns as strings.

    Raises:
        InputError: A column holds something else than text.
    """
    arrays = []
    for array, name in zip(block.batch.columns, columns, strict=True):
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if not (is_textual(array.type) or pa.types.is_null(array.type)):
            raise InputError(f"{path}: the column {name!r} holds {array.type}; expected texts.")
        arrays.append(array.cast(pa.string()))
    batch = pa.RecordBatch.from_arrays(arrays, list(NAMES))
    return Block(batch, block.locate, block.first_row, block.bad)
