"""CSV and TSV (RFC 4180: quoted fields may hold separators and line breaks)."""

from __future__ import annotations

import csv
import difflib
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import Block
from babelrank.components.ingest.text_reader import (
    BLOCK_BYTES,
    MAX_RECORD_BYTES,
    Record,
    TextReader,
)

MAX_RECORD_LINES = 200
"""A quote that is not closed within so many lines is taken for a stray one."""

# Unicode promises that no text holds these two.
# Stands for a separator of several characters while the csv module splits the line.
_STAND_IN = "\ufdd0"
# Fed after the last line: it shows up in a field when that field's quote is still open.
_SENTINEL = "\ufdd1"


class CsvReader(TextReader):
    """Reads one CSV file.

    Args:
        path: Name of the file, for messages.
        columns: Wanted columns and their Arrow types (`string` or a number type).
        delimiter: Field separator, one or more characters.
        column_names: Names of the columns when the file has no header; a first line that
            holds just these names is taken for a header all the same.
        positions: Numbers of the wanted columns, from 0, in a file without a header, whatever
            the other columns are; empty: columns are found by name.
        missing_values: Texts that mean 'no value' in number columns.
        block_bytes: Bytes of text in a block.
    """

    def __init__(
        self,
        path: str,
        columns: Mapping[str, pa.DataType],
        *,
        delimiter: str = ",",
        column_names: Sequence[str] = (),
        positions: Sequence[int] = (),
        missing_values: Sequence[str] = ("",),
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        super().__init__(path, columns, block_bytes)
        self._delimiter = delimiter
        self._names = list(column_names)
        self._positions = list(positions)
        self._missing = list(missing_values)
        self._wanted: list[int] = []

    def blocks(self, file: IO[bytes]) -> Iterator[Block]:
        """The file's blocks; see `TextReader`."""
        csv.field_size_limit(MAX_RECORD_BYTES)  # the process's; Arrow has no other limit either
        yield from super().blocks(file)

    def start(self, head: bytes, final: bool) -> tuple[int, int] | None:
        """Reads the header, if the file has one, and finds the wanted columns in it."""
        body = head.lstrip(b"\r\n")
        lines = io.BytesIO(body).readlines()
        if not final and len(lines) < 2:
            return None
        try:
            lines[0].decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.path}: the first line is not UTF-8 ({error}). "
                "Convert the file, for instance with iconv."
            ) from error
        try:
            fields, used = self._split(lines)
        except csv.Error as error:
            raise InputError(f"{self.path}: the first line is no CSV: {error}.") from error
        cut_short = not lines[used - 1].endswith(b"\n")
        if not final and (cut_short or (fields is None and len(lines) < MAX_RECORD_LINES)):
            return None
        names = [name.strip() for name in fields or lines[0].decode().split(self._delimiter)]
        if self._positions:
            self._place_columns(len(names))
            return 0, 0
        has_header = not self._names or names == self._names
        self._find_columns(names if has_header else self._names)
        if not has_header:
            return 0, 0
        skipped = len(head) - len(body) + sum(len(line) for line in lines[:used])
        return skipped, head[:skipped].count(b"\n")

    def _find_columns(self, names: list[str]) -> None:
        missing = [name for name in self.columns if name not in names]
        if missing:
            near = difflib.get_close_matches(missing[0], names[:1000], 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            if any("\r" in name for name in names):
                hint = " The lines end in CR alone; convert them to LF, for instance with tr."
            raise InputError(
                f"{self.path}: missing column {', '.join(map(repr, missing))}; the "
                f"{'configured names are' if self._names else 'header has'} "
                f"{', '.join(map(repr, names[:50]))}.{hint} (delimiter {self._delimiter!r}; for "
                "files without a header set data.column_names)"
            )
        twice = [name for name in self.columns if names.count(name) > 1]
        if twice:
            raise InputError(f"{self.path}: the column {twice[0]!r} stands twice in the header.")
        self._wanted = [names.index(name) for name in self.columns]
        # Other columns may have empty or repeated names, which Arrow does not take.
        self._names = [name if name in self.columns else f"#{i}" for i, name in enumerate(names)]

    def _place_columns(self, count: int) -> None:
        if max(self._positions) >= count:
            raise InputError(
                f"{self.path}: the first row has {count} columns, numbered from 0; expected a "
                f"column {max(self._positions)}. (delimiter {self._delimiter!r})"
            )
        self._names = [f"#{i}" for i in range(count)]
        for name, position in zip(self.columns, self._positions, strict=True):
            self._names[position] = name
        self._wanted = self._positions

    def cut(self, data: bytes) -> int:
        """End of the last line before which the quotes are balanced."""
        end = data.rfind(b"\n") + 1
        odd = data.count(b'"', 0, end) % 2
        while odd and end:
            previous = data.rfind(b"\n", 0, end - 1) + 1
            odd ^= data.count(b'"', previous, end) % 2
            end = previous
        return end

    def parse(self, data: bytes) -> pa.RecordBatch:
        """Parses complete records at once."""
        if len(self._delimiter.encode()) > 1:
            raise pa.ArrowInvalid("Arrow takes separators of one ASCII character only")
        if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
            raise pa.ArrowInvalid("Arrow takes a CR alone for the end of a line")
        table = pyarrow.csv.read_csv(
            io.BytesIO(data),
            pyarrow.csv.ReadOptions(
                column_names=self._names, use_threads=False, block_size=len(data) + 1
            ),
            pyarrow.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=b'"' in data),
            pyarrow.csv.ConvertOptions(
                include_columns=list(self.columns),
                column_types=self.columns,
                null_values=self._missing,
                strings_can_be_null=False,
            ),
        )
        if b'"' in data and not self._quotes_are_sound(data, table.num_rows):
            raise pa.ArrowInvalid("a quote that is not closed may have swallowed rows")
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else _empty(table.schema)

    def _quotes_are_sound(self, data: bytes, rows: int) -> bool:
        """True when no record spans lines, or all quotes stand where RFC 4180 lets them.

        Without this, `records` could see other rows than Arrow does.
        """
        last = data.rfind(b"\n", 0, len(data) - 1) + 1
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        if rows == lines and self._split([data[last:]])[0] is not None:
            return True
        text = np.frombuffer(b"\n" + data + b"\n", np.uint8)
        quotes = np.flatnonzero(text == ord('"'))
        neighbours = np.frombuffer(b'\r\n"' + self._delimiter.encode(), np.uint8)
        opens, closes = text[quotes[0::2] - 1], text[quotes[1::2] + 1]
        newlines = np.flatnonzero(text == ord("\n"))
        record_ends = np.flatnonzero(np.searchsorted(quotes, newlines) % 2 == 0)
        return bool(
            len(opens) == len(closes)
            and np.diff(record_ends).max() <= MAX_RECORD_LINES
            and np.isin(opens, neighbours).all()
            and np.isin(closes, neighbours).all()
        )

    def records(self, data: bytes, final: bool) -> tuple[list[Record], int]:
        """Parses record by record."""
        lines = io.BytesIO(data).readlines()
        records: list[Record] = []
        at = used_bytes = 0
        while at < len(lines):
            window = lines[at : at + MAX_RECORD_LINES]
            more_may_come = not final and at + len(window) == len(lines)
            if more_may_come and len(window) == 1 and not window[0].endswith(b"\n"):
                break
            record, used = self._record(window, at)
            open_quote = record is not None and record.reason == "open_quote"
            cut_short = used == len(window) and not window[-1].endswith(b"\n")
            if more_may_come and (cut_short or (open_quote and len(window) < MAX_RECORD_LINES)):
                break
            if record is not None:
                records.append(record)
            used_bytes += sum(len(line) for line in lines[at : at + used])
            at += used
        return records, used_bytes

    def _record(self, window: list[bytes], at: int) -> tuple[Record | None, int]:
        """The first record of some lines (None for a blank line) and its number of lines."""
        raw = window[0].decode("utf-8", "replace").rstrip("\r\n")
        if not raw:
            return None, 1
        try:
            fields, used = self._split(window)
        except csv.Error as error:
            return Record(at, raw, None, "bad_csv", str(error)), 1
        if fields is None:
            return Record(at, raw, None, "open_quote", "a quoted field is never closed"), 1
        raw = b"".join(window[:used]).decode("utf-8", "replace").rstrip("\r\n")
        if len(fields) != len(self._names):
            detail = f"{len(fields)} fields instead of {len(self._names)}"
            return Record(at, raw, None, "wrong_field_count", detail), used
        values = [fields[i] for i in self._wanted]
        for name, value in zip(self.columns, values, strict=True):
            if not _is_utf8(value):
                return Record(at, raw, None, "not_utf8", f"{name} is not UTF-8"), used
        return Record(at, raw, values), used

    def _split(self, lines: list[bytes]) -> tuple[list[str] | None, int]:
        """Fields of the first record and its number of lines; None while a quote is open."""
        if b'"' not in lines[0]:
            return _decode(lines[0]).rstrip("\r\n").split(self._delimiter), 1
        fields, used = self._split_quoted(lines[:1])
        if fields is None and len(lines) > 1:
            try:
                # A stray quote must not reach for the quotes of the rows below: be strict.
                fields, used = self._split_quoted(lines[:MAX_RECORD_LINES], strict=True)
            except csv.Error:
                return None, 1
        return fields, used

    def _split_quoted(
        self, lines: list[bytes], strict: bool = False
    ) -> tuple[list[str] | None, int]:
        texts: Iterator[str] = map(_decode, lines)
        delimiter = self._delimiter
        if len(delimiter) > 1:
            texts = (text.replace(self._delimiter, _STAND_IN) for text in map(_decode, lines))
            delimiter = _STAND_IN
        reader = csv.reader(itertools.chain(texts, [_SENTINEL]), delimiter=delimiter, strict=strict)
        fields = next(reader)
        if fields and _SENTINEL in fields[-1]:
            return None, 1
        if delimiter is _STAND_IN:
            fields = [field.replace(_STAND_IN, self._delimiter) for field in fields]
        return fields, reader.line_num


def _decode(line: bytes) -> str:
    """Text whose bytes that are not UTF-8 are marked: only wanted columns must be UTF-8."""
    return line.decode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
