"""Texts of binary formats that say they are UTF-8, and rows in which they are not.

Arrow checks the texts that it parses, but not those that it finds in Parquet files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.ingest.blocks import BadRow, Block, Location

Mask = npt.NDArray[np.bool_]


def sound(block: Block) -> Block:
    """The block; its rows in which a text is not UTF-8 are bad (`not_utf8`)."""
    names: dict[int, str] = {}
    for name, column in zip(block.batch.schema.names, block.batch.columns, strict=True):
        for row in np.flatnonzero(broken(column)):
            names.setdefault(int(row), name)
    if not names:
        return block
    wrong = sorted(names)
    bad = [
        BadRow(place, "not_utf8", f"{names[row]} is not UTF-8")
        for place, row in zip(block.locate(wrong), wrong, strict=True)
    ]
    kept = [row for row in range(block.batch.num_rows) if row not in names]

    def locate(indices: Sequence[int]) -> list[Location]:
        return block.locate([kept[i] for i in indices])

    batch = block.batch.take(pa.array(kept, pa.int64()))
    return dataclasses.replace(block, batch=batch, locate=locate, bad=block.bad + bad)


def broken(column: pa.Array) -> Mask:
    """Rows whose text is not UTF-8.

    Args:
        column: [N] texts or lists of texts; anything else is never broken.

    Returns:
        [N] True where a text is not UTF-8.
    """
    rows = np.zeros(len(column), bool)
    nested = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    texts = column.flatten() if nested else column
    if pa.types.is_dictionary(texts.type):
        if not broken(texts.dictionary).any():
            return rows
        texts = texts.dictionary_decode()
    if not is_textual(texts.type):
        return rows
    try:
        texts.cast(pa.large_string()).validate(full=True)
        return rows
    except pa.ArrowInvalid:
        wrong = [not _decodes(value) for value in texts.cast(pa.large_binary()).to_pylist()]
    places = np.flatnonzero(wrong)
    parents = pc.list_parent_indices(column).to_numpy() if nested else np.arange(len(column))
    rows[parents[places]] = True
    return rows


def plain(column: pa.Array) -> list[Any]:
    """[N] plain values; bytes that are not UTF-8 show as U+FFFD, and what Python
    has no value for shows its type."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not is_textual(column.type):
        return list(map(_plain_value, column))
    values = column.cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "replace") for value in values]


def _plain_value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (UnicodeDecodeError, OverflowError, ValueError) as error:  # a time after the year 9999
        return f"({scalar.type}: {error})"


def is_textual(kind: pa.DataType) -> bool:
    """Whether values of a type are texts, or bytes that may be."""
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def _decodes(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
