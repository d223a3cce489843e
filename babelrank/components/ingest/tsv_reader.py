"""TSV of parallel text: lines of texts with tabs between them, in which a quote is a letter.

Neither quotes nor backslashes mean anything, lines end at LF or CRLF only, and columns after
the wanted ones may come or not. (`CsvReader` reads tables with quoted fields.)
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from babelrank.components.errors import InputError
from babelrank.components.ingest.slices import cut_texts, line_bounds
from babelrank.components.ingest.text_reader import BLOCK_BYTES, Record, TextReader

_TAB = ord("\t")


class TsvReader(TextReader):
    """Reads one TSV file.

    Args:
        path: Name of the file, for messages.
        columns: Wanted columns; all are read as strings.
        positions: Numbers of the wanted columns, from 0, in a file without a header; empty: the
            file has a header that names them.
        block_bytes: Bytes of text in a block.
    """

    def __init__(
        self,
        path: str,
        columns: Mapping[str, pa.DataType],
        *,
        positions: Sequence[int] = (),
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        super().__init__(path, columns, block_bytes)
        self._positions = list(positions)

    def start(self, head: bytes, final: bool) -> tuple[int, int] | None:
        """Reads the header, if the file has one, and finds the wanted columns in it."""
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{self.path}: the file is UTF-16. Convert it to UTF-8.")
        if self._positions:
            return 0, 0
        end = head.find(b"\n") + 1
        if not end and not final:
            return None
        line = head[:end] if end else head
        names = [name.strip() for name in line.decode("utf-8", "replace").split("\t")]
        missing = [name for name in self.columns if name not in names]
        if missing:
            near = difflib.get_close_matches(missing[0], names[:1000], 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"{self.path}: missing column {', '.join(map(repr, missing))}; the header has "
                f"{', '.join(map(repr, names[:50]))}.{hint} (For a file without a header give "
                "the columns' numbers.)"
            )
        twice = [name for name in self.columns if names.count(name) > 1]
        if twice:
            raise InputError(f"{self.path}: the column {twice[0]!r} stands twice in the header.")
        self._positions = [names.index(name) for name in self.columns]
        return len(line), line.count(b"\n")

    def cut(self, data: bytes) -> int:
        """End of the last line."""
        return data.rfind(b"\n") + 1

    def parse(self, data: bytes) -> pa.RecordBatch:
        """Parses complete lines at once; empty ones are no rows."""
        text = np.frombuffer(data, np.uint8)
        starts, ends = line_bounds(text)
        filled = ends > starts
        starts, ends = starts[filled], ends[filled]
        tabs = np.flatnonzero(text == _TAB)
        first, after = np.searchsorted(tabs, starts), np.searchsorted(tabs, ends)
        if len(starts) and (after - first).min() < max(self._positions):
            raise pa.ArrowInvalid("a line has too few columns")
        tabs = np.append(tabs, 0)  # so that an index past the last one does no harm
        arrays = []
        for number in self._positions:
            begins = starts if number == 0 else tabs[first + number - 1] + 1
            stops = np.where(first + number < after, tabs[np.minimum(first + number, after)], ends)
            arrays.append(cut_texts(text, begins, stops))
        return pa.RecordBatch.from_arrays(arrays, list(self.columns))

    def records(self, data: bytes, final: bool) -> tuple[list[Record], int]:
        """Parses line by line."""
        end = len(data) if final else self.cut(data)
        records = [
            self._record(line.removesuffix(b"\n").removesuffix(b"\r"), at)
            for at, line in enumerate(io.BytesIO(data[:end]))
        ]
        return [record for record in records if record is not None], end

    def locate(self, data: bytes, indices: Sequence[int]) -> list[Record]:
        """Lines of a block that `parse` took."""
        starts, ends = line_bounds(np.frombuffer(data, np.uint8))
        lines = np.flatnonzero(ends > starts)[np.asarray(indices, np.int64)]
        return [
            Record(int(i), data[starts[i] : ends[i]].decode("utf-8", "replace"), None)
            for i in lines
        ]

    def _record(self, line: bytes, at: int) -> Record | None:
        if not line:
            return None
        raw = line.decode("utf-8", "replace")
        cells = line.split(b"\t")
        if len(cells) <= max(self._positions):
            detail = (
                f"{len(cells)} columns with tabs between them; column number "
                f"{max(self._positions)}, from 0, is needed"
            )
            return Record(at, raw, None, "too_few_columns", detail)
        values = []
        for name, position in zip(self.columns, self._positions, strict=True):
            try:
                values.append(cells[position].decode())
            except UnicodeDecodeError as error:
                return Record(at, raw, None, "not_utf8", f"{name} is not UTF-8 ({error})")
        return Record(at, raw, values)
