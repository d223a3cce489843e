"""Two files of lines side by side, line 1 with line 1 and so on (as Moses has parallel text).

A line ends at LF or CRLF and at nothing else, and an empty line is a line too: whatever shifts
the one file against the other would spoil all pairs after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO

import numpy as np
import pyarrow as pa

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, BadRow, Block, Location
from babelrank.components.ingest.slices import Places, cut_texts, line_bounds
from babelrank.components.ingest.text_reader import BLOCK_BYTES, BOM, MAX_RECORD_BYTES

Bounds = tuple[Places, Places]


def read_line_pairs(
    files: tuple[IO[bytes], IO[bytes]],
    paths: tuple[str, str],
    names: tuple[str, str],
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Block]:
    """Blocks of two columns.

    Args:
        files: The two open files.
        paths: Their names, for messages.
        names: Names of the columns.
        block_bytes: Bytes that are read at a time from either file.

    Raises:
        InputError: The files have different numbers of lines (known at the end), or no lines.
    """
    sides = (
        _Lines(files[0], paths[0], block_bytes),
        _Lines(files[1], paths[1], block_bytes),
    )
    row = 0
    while True:
        for side in sides:
            side.fill()
        count = min(side.complete for side in sides)
        if not count:
            break
        yield _block([side.take(count) for side in sides], names, row)
        row += count
    totals = [row + side.count_rest() for side in sides]
    if totals[0] != totals[1]:
        raise InputError(
            f"{paths[0]} has {totals[0]:,} lines and {paths[1]} has {totals[1]:,}; they must be "
            "translations line by line. Were lines lost, or split at other characters than LF?"
        )
    if not row:
        raise InputError(f"{paths[0]}: the file is empty; expected a sentence a line.")


class _Lines:
    """A file of which some complete lines are in memory."""

    def __init__(self, file: IO[bytes], path: str, block_bytes: int) -> None:
        self._file = file
        self._path = path
        self._block_bytes = block_bytes
        self._data = b""
        self._final = False
        self._begun = False
        self.complete = 0

    def fill(self) -> None:
        """Reads until there is a complete line, or the file ends."""
        while not self.complete and not self._final:
            more = self._file.read(self._block_bytes)
            if not self._begun and more:
                self._begun = True
                if more[:2] in (b"\xff\xfe", b"\xfe\xff"):
                    raise InputError(f"{self._path}: the file is UTF-16. Convert it to UTF-8.")
                more = more.removeprefix(BOM) or self._file.read(self._block_bytes)
            self._final = not more
            self._data += more
            self.complete = more.count(b"\n")
            if self._final and self._data:
                self.complete = 1  # the last line, without LF
            if len(self._data) > MAX_RECORD_BYTES + self._block_bytes:
                raise InputError(
                    f"{self._path}: a line is longer than {MAX_RECORD_BYTES >> 20} MiB. "
                    "Is this a text file whose lines end in LF or CRLF?"
                )

    def take(self, count: int) -> bytes:
        """The next `count` of the complete lines."""
        if count == self.complete:
            end = len(self._data) if self._final else self._data.rfind(b"\n") + 1
        else:
            feeds = np.flatnonzero(np.frombuffer(self._data, np.uint8) == ord("\n"))
            end = int(feeds[count - 1]) + 1
        taken, self._data = self._data[:end], self._data[end:]
        self.complete -= count
        return taken

    def count_rest(self) -> int:
        """Number of lines that were not taken; reads to the end of the file."""
        lines, last = self._data.count(b"\n"), self._data[-1:]
        while not self._final:
            more = self._file.read(self._block_bytes)
            self._final = not more
            lines += more.count(b"\n")
            last = more[-1:] or last
        return lines + (last not in (b"", b"\n"))


def _block(sides: list[bytes], names: tuple[str, str], first_row: int) -> Block:
    texts = [np.frombuffer(side, np.uint8) for side in sides]
    bounds = [line_bounds(text) for text in texts]
    try:
        arrays = [cut_texts(text, *bound) for text, bound in zip(texts, bounds, strict=True)]
        bad: list[BadRow] = []
        rows = np.arange(len(arrays[0]))
    except pa.ArrowInvalid:
        arrays, bad, rows = _row_by_row(sides, bounds, names, first_row)
    batch = pa.RecordBatch.from_arrays(arrays, list(names))

    def locate(indices: Sequence[int]) -> list[Location]:
        return [_location(sides, bounds, first_row, int(rows[i])) for i in indices]

    return Block(batch, locate, first_row, bad)


def _row_by_row(
    sides: list[bytes], bounds: list[Bounds], names: tuple[str, str], first_row: int
) -> tuple[list[pa.Array], list[BadRow], Places]:
    """The rows that are UTF-8 on both sides, the others, and the numbers of the former."""
    good: tuple[list[str], list[str]] = ([], [])
    bad, rows = [], []
    cut = partial(_line, sides, bounds)
    for row in range(len(bounds[0][0])):
        try:
            pair = [cut(side, row).decode() for side in (0, 1)]
        except UnicodeDecodeError as error:
            place = _location(sides, bounds, first_row, row)
            bad.append(BadRow(place, "not_utf8", f"not UTF-8 ({error})"))
            continue
        rows.append(row)
        for side, text in enumerate(pair):
            good[side].append(text)
    return [pa.array(texts, pa.string()) for texts in good], bad, np.array(rows, np.int64)


def _line(sides: list[bytes], bounds: list[Bounds], side: int, row: int) -> bytes:
    starts, ends = bounds[side]
    return sides[side][starts[row] : ends[row]]


def _location(sides: list[bytes], bounds: list[Bounds], first_row: int, row: int) -> Location:
    raw = b"\t".join(_line(sides, bounds, side, row) for side in (0, 1))
    return Location(f"line {first_row + row + 1}", raw.decode("utf-8", "replace")[:RAW_LIMIT])
