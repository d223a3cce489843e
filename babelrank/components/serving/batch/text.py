"""Files of lines, one text a line, in blocks: a blank line is a line too, and none may shift.

A line ends at LF or CRLF and at nothing else. What is no text is bad; a line that is too long for
the memory is passed over without being held.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO

import numpy as np
import pyarrow as pa

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, BadRow, Block, Location
from babelrank.components.ingest.slices import Places, cut_texts, line_bounds
from babelrank.components.ingest.text_reader import BOM

SOURCE = "source"
"""Name of the one column."""
BLOCK_BYTES = 128 << 10
MAX_LINE_BYTES = 8 << 20


def read_lines(file: IO[bytes], path: str, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """The blocks of an open file.

    Args:
        file: The file, decompressed.
        path: Its name, for messages.
        block_bytes: Bytes that are read at a time.

    Raises:
        InputError: The file is empty, or UTF-16.
    """
    row, data = 0, file.read(block_bytes)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path}: the file is UTF-16. Convert it to UTF-8.")
    data = data.removeprefix(BOM) or file.read(block_bytes)
    if not data:
        raise InputError(f"{path}: the file is empty; expected lines.")
    while more := file.read(block_bytes):
        end = data.rfind(b"\n") + 1
        if end:
            block = _block(data[:end], row)
            row += block.rows
            yield block
        data = data[end:] + more
        if len(data) > MAX_LINE_BYTES and b"\n" not in data:
            yield Block(_batch([]), _locate_nothing, row, [_endless(data, row)])
            row += 1
            data = _after_line(file, block_bytes)
    if data:
        yield _block(data, row)


def _after_line(file: IO[bytes], block_bytes: int) -> bytes:
    """What has been read after the end of the line that the file stands in."""
    while more := file.read(block_bytes):
        if b"\n" in more:
            return more[more.index(b"\n") + 1 :]
    return b""


def _endless(data: bytes, row: int) -> BadRow:
    place = Location(f"line {row + 1}", data[:RAW_LIMIT].decode("utf-8", "replace"))
    return BadRow(place, "too_long", f"the line is longer than {MAX_LINE_BYTES >> 20} MiB")


def _block(data: bytes, row: int) -> Block:
    text = np.frombuffer(data, np.uint8)
    try:
        texts = cut_texts(text, *line_bounds(text))
    except pa.ArrowInvalid:
        return _line_by_line(data, row)
    batch = pa.RecordBatch.from_arrays([texts], [SOURCE])
    return Block(batch, partial(_locate, texts, np.arange(len(texts)), row), row)


def _line_by_line(data: bytes, row: int) -> Block:
    good: list[str] = []
    rows: list[int] = []
    bad: list[BadRow] = []
    for at, raw in enumerate(io.BytesIO(data)):
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        try:
            good.append(line.decode("utf-8"))
            rows.append(at)
        except UnicodeDecodeError as error:
            shown = line.decode("utf-8", "replace")[:RAW_LIMIT]
            byte = line[error.start : error.start + 1].hex()
            detail = f"byte {error.start + 1} is not UTF-8 ({byte})"
            bad.append(BadRow(Location(f"line {row + at + 1}", shown), "not_utf8", detail))
    batch = _batch(good)
    return Block(batch, partial(_locate, batch.column(0), np.array(rows, np.int64), row), row, bad)


def _batch(texts: Sequence[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], [SOURCE])


def _locate(texts: pa.Array, rows: Places, first: int, indices: Sequence[int]) -> list[Location]:
    return [
        Location(f"line {first + int(rows[i]) + 1}", texts[int(i)].as_py()[:RAW_LIMIT])
        for i in indices
    ]


def _locate_nothing(indices: Sequence[int]) -> list[Location]:
    return []
