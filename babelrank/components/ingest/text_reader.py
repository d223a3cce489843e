"""Reading files of lines (CSV, TSV, JSON lines) in blocks of complete records.

A block is first parsed as a whole by Arrow. When that fails, it is parsed again in small pieces,
and the pieces that fail record by record, so that only the bad records are lost and a few of
them cost little time. Memory is bounded by the block size whatever the size of the file.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, BadRow, Block, Location

BLOCK_BYTES = 8 << 20
PIECE_BYTES = 64 << 10
MAX_RECORD_BYTES = 64 << 20
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Record:
    """One record of a block that is parsed record by record.

    Attributes:
        line: Number of its first line within the block, from 0.
        raw: Its text.
        values: The values of the wanted columns; None when the record is bad.
        reason: Why it is bad; empty when it is good.
        detail: The same in words.
    """

    line: int
    raw: str
    values: Sequence[str | None] | None
    reason: str = ""
    detail: str = ""


class TextReader(abc.ABC):
    """Reads one open file of lines.

    Args:
        path: Name of the file, for messages.
        columns: Wanted columns and the Arrow type that each is hoped to parse to.
        block_bytes: Bytes of (decompressed) text in a block.
    """

    def __init__(
        self, path: str, columns: Mapping[str, pa.DataType], block_bytes: int = BLOCK_BYTES
    ) -> None:
        self.path = path
        self.columns = dict(columns)
        self.block_bytes = block_bytes

    @abc.abstractmethod
    def start(self, head: bytes, final: bool) -> tuple[int, int] | None:
        """Reads what stands before the first record.

        Args:
            head: The first bytes of the file, without a byte order mark.
            final: True when `head` is the whole file.

        Returns:
            Number of bytes and of lines to skip; None when `head` is too short to tell.
        """

    @abc.abstractmethod
    def cut(self, data: bytes) -> int:
        """Length of the longest prefix of `data` that (very likely) ends a record."""

    @abc.abstractmethod
    def parse(self, data: bytes) -> pa.RecordBatch:
        """Parses complete records at once.

        Raises:
            pa.ArrowInvalid: Some record is bad.
        """

    @abc.abstractmethod
    def records(self, data: bytes, final: bool) -> tuple[list[Record], int]:
        """Parses record by record; also returns the number of bytes used up.

        An incomplete last record is left over unless `final`.
        """

    def locate(self, data: bytes, indices: Sequence[int]) -> list[Record]:
        """Some rows of a block that `parse` took; only their lines and raw texts are asked for."""
        records, _ = self.records(data, final=True)
        return [records[i] for i in indices]

    def blocks(self, file: IO[bytes]) -> Iterator[Block]:
        """The file's blocks.

        Raises:
            InputError: The file is empty, or a wanted column is missing.
        """
        data, line, first_row, final = self._read_start(file)
        while data:
            used = 0
            for block, end in self._blocks(data, line, first_row, final):
                if block.rows:
                    yield block
                line += _lines(data[used:end])
                first_row += block.rows
                used = end
            if not used and len(data) > MAX_RECORD_BYTES:
                raise InputError(
                    f"{self.path}: line {line}: a record is longer than "
                    f"{MAX_RECORD_BYTES >> 20} MiB. Is this the right format?"
                )
            more = b"" if final else file.read(self.block_bytes)
            final = final or not more
            data = data[used:] + more

    def _read_start(self, file: IO[bytes]) -> tuple[bytes, int, int, bool]:
        data = file.read(self.block_bytes).removeprefix(BOM)
        while not data.strip():
            more = file.read(self.block_bytes)
            data += more
            if not more or len(data) > MAX_RECORD_BYTES:
                raise InputError(f"{self.path}: the file is empty; expected rows.")
        final = False
        while (skip := self.start(data, final)) is None:
            if len(data) > MAX_RECORD_BYTES:
                raise InputError(
                    f"{self.path}: the first line is longer than {MAX_RECORD_BYTES >> 20} MiB. "
                    "Is this the right format? (Lines must end in LF or CRLF.)"
                )
            more = file.read(self.block_bytes)
            final = not more
            data += more
        return data[skip[0] :], 1 + skip[1], 0, final

    def _blocks(
        self, data: bytes, line: int, first_row: int, final: bool
    ) -> Iterator[tuple[Block, int]]:
        """The blocks in `data`, each with the place where it ends; the end may be left over."""
        end = len(data) if final else self.cut(data)
        whole = self._whole_block(data[:end], line, first_row)
        if whole is not None:
            yield whole, end
            return
        start, size = 0, PIECE_BYTES
        while start < len(data):
            piece = data[start : start + size]
            last = final and start + len(piece) == len(data)
            end = len(piece) if last else self.cut(piece)
            block = self._whole_block(piece[:end], line, first_row)
            if block is None:
                records, end = self.records(piece, last)  # these know where the last one ends
                block = self._block_of_records(records, line, first_row)
            if end:
                yield block, start + end
                line += _lines(piece[:end])
                first_row += block.rows
                start, size = start + end, PIECE_BYTES
            elif start + size < len(data):
                size *= 2  # a record that is longer than the piece
            else:
                return  # a record whose rest is yet to be read

    def _whole_block(self, data: bytes, line: int, first_row: int) -> Block | None:
        """A block of complete records when Arrow can parse them at once."""
        try:
            batch = self.parse(data) if data else None
        except pa.ArrowInvalid:
            return None
        if batch is None:
            return None

        def locate(indices: Sequence[int]) -> list[Location]:
            return [_location(record, line) for record in self.locate(data, indices)]

        return Block(batch, locate, first_row)

    def _block_of_records(self, records: list[Record], line: int, first_row: int) -> Block:
        good = [record for record in records if record.values is not None]
        bad = [
            BadRow(_location(record, line), record.reason, record.detail)
            for record in records
            if record.values is None
        ]
        names = list(self.columns)
        arrays = [
            pa.array([record.values[i] for record in good if record.values], pa.string())
            for i in range(len(names))
        ]
        batch = pa.RecordBatch.from_arrays(arrays, names)

        def locate(indices: Sequence[int]) -> list[Location]:
            return [_location(good[i], line) for i in indices]

        return Block(batch, locate, first_row, bad)


def _location(record: Record, first_line: int) -> Location:
    return Location(f"line {first_line + record.line}", record.raw[:RAW_LIMIT])


def _lines(data: bytes) -> int:
    return data.count(b"\n")
