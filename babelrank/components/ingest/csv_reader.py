"""CSV and TSV (RFC 4180: quoted fields may hold separators and line breaks)."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.csv

from babelrank.components.errors import InputError
from babelrank.components.ingest.text_reader import BLOCK_BYTES, Record, TextReader

MAX_RECORD_LINES = 200
"""A quote that is not closed within so many lines is taken for a stray one."""

# Stands for a separator of several characters while the csv module splits the line.
_STAND_IN = "\ue000"
# Fed after the last line: it shows up in a field when that field's quote is still open.
_SENTINEL = "\ue001"


class CsvReader(TextReader):
    """Reads one CSV file.

    Args:
        path: Name of the file, for messages.
        columns: Wanted columns and their Arrow types (`string` or a number type).
        delimiter: Field separator, one or more characters.
        column_names: Names of the columns when the file has no header; a first line that
            holds just these names is taken for a header all the same.
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
        missing_values: Sequence[str] = ("",),
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        super().__init__(path, columns, block_bytes)
        self._delimiter = delimiter
        self._names = list(column_names)
        self._missing = list(missing_values)
        self._wanted: list[int] = []

    def start(self, head: bytes, final: bool) -> tuple[int, int] | None:
        """Reads the header, if the file has one, and finds the wanted columns in it."""
        body = head.lstrip(b"\r\n")
        lines = io.BytesIO(body).readlines()
        try:
            fields, used = self._split(lines)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.path}: the first line is not UTF-8 ({error}). "
                "Convert the file, for instance with iconv."
            ) from error
        if not final and (len(lines) == 1 or (fields is None and len(lines) < MAX_RECORD_LINES)):
            return None
        names = [name.strip() for name in fields or lines[0].decode().split(self._delimiter)]
        has_header = not self._names or names == self._names
        self._find_columns(names if has_header else self._names)
        if not has_header:
            return 0, 0
        skipped = len(head) - len(body) + sum(len(line) for line in lines[:used])
        return skipped, head[:skipped].count(b"\n")

    def _find_columns(self, names: list[str]) -> None:
        missing = [name for name in self.columns if name not in names]
        if missing:
            near = difflib.get_close_matches(missing[0], names, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
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
        if len(self._delimiter) > 1:
            raise pa.ArrowInvalid("Arrow takes separators of one character only")
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
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else _empty(table.schema)

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
            if open_quote and more_may_come and len(window) < MAX_RECORD_LINES:
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
        except UnicodeDecodeError as error:
            return Record(at, raw, None, "not_utf8", f"not UTF-8: {error}"), 1
        except csv.Error as error:
            return Record(at, raw, None, "bad_csv", str(error)), 1
        if fields is None:
            return Record(at, raw, None, "open_quote", "a quoted field is never closed"), 1
        raw = b"".join(window[:used]).decode().rstrip("\r\n")
        if len(fields) != len(self._names):
            detail = f"{len(fields)} fields instead of {len(self._names)}"
            return Record(at, raw, None, "wrong_field_count", detail), used
        return Record(at, raw, [fields[i] for i in self._wanted]), used

    def _split(self, lines: list[bytes]) -> tuple[list[str] | None, int]:
        """Fields of the first record and its number of lines; None while a quote is open."""
        if b'"' not in lines[0]:
            return lines[0].decode().rstrip("\r\n").split(self._delimiter), 1
        fields, used = self._split_quoted(lines[:1])
        if fields is None and len(lines) > 1:
            fields, used = self._split_quoted(lines[:MAX_RECORD_LINES])
        return fields, used

    def _split_quoted(self, lines: list[bytes]) -> tuple[list[str] | None, int]:
        texts = [line.decode() for line in lines]
        delimiter = self._delimiter
        if len(delimiter) > 1:
            texts = [text.replace(delimiter, _STAND_IN) for text in texts]
            delimiter = _STAND_IN
        reader = csv.reader([*texts, _SENTINEL], delimiter=delimiter)
        fields = next(reader)
        if fields and _SENTINEL in fields[-1]:
            return None, 1
        if delimiter is _STAND_IN:
            fields = [field.replace(_STAND_IN, self._delimiter) for field in fields]
        return fields, reader.line_num


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
