"""JSON lines: one JSON object a line; keys that are not wanted are ignored."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json

from babelrank.components.errors import InputError
from babelrank.components.ingest.text_reader import Record, TextReader


class JsonlReader(TextReader):
    """Reads one file of JSON lines. A key that a row lacks is a missing value."""

    def start(self, head: bytes, final: bool) -> tuple[int, int] | None:
        """Checks that the first line is an object that has at least one wanted key."""
        end = head.find(b"\n")
        if end < 0 and not final:
            return None
        first = head.lstrip().split(b"\n", 1)[0]
        try:
            row = json.loads(first)
        except (ValueError, RecursionError):
            return 0, 0  # one bad row; others may be good
        if not isinstance(row, dict):
            raise InputError(f"{self.path}: line 1 holds {first[:60]!r}; expected a JSON object.")
        if self.columns and not any(name in row for name in self.columns):
            raise InputError(
                f"{self.path}: missing column {', '.join(map(repr, self.columns))}; the first "
                f"row has {', '.join(map(repr, row))}."
            )
        return 0, 0

    def cut(self, data: bytes) -> int:
        """End of the last line."""
        return data.rfind(b"\n") + 1

    def parse(self, data: bytes) -> pa.RecordBatch:
        """Parses complete records at once; works when every value has the hoped-for type."""
        # Arrow takes several objects on a line, one object on several lines and a comma between
        # them, and a block of nothing but `null` ends the process.
        lines = [line for line in map(bytes.strip, data.split(b"\n")) if line]
        if not lines or not all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
            raise pa.ArrowInvalid("a line is no object")
        # After `}` it also stops at some characters, such as `]`, and is silent about the rest. So
        # every line gets a last key, which its object then has, and nothing else. (An empty object
        # has another one before it, for the comma.)
        lines = [_NOTHING if line == b"{}" else line for line in lines]
        ending = b',"%s":true}' % _LAST.encode()
        marked = (ending + b"\n").join([line[:-1] for line in lines]) + ending
        schema = pa.schema([*self.columns.items(), (_LAST, pa.bool_())])
        table = pyarrow.json.read_json(
            io.BytesIO(marked),
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(marked) + 1),
            pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        if table.num_rows != len(lines) or table[_LAST].null_count:
            raise pa.ArrowInvalid("not one object a line")
        table = table.drop([_LAST])
        table.validate(full=True)  # the texts must be UTF-8
        return table.combine_chunks().to_batches()[0]

    def records(self, data: bytes, final: bool) -> tuple[list[Record], int]:
        """Parses record by record."""
        records: list[Record] = []
        used = 0
        for at, line in enumerate(io.BytesIO(data).readlines()):
            if not final and not line.endswith(b"\n"):
                break
            used += len(line)
            if line.strip():
                records.append(self._record(line, at))
        return records, used

    def locate(self, data: bytes, indices: Sequence[int]) -> list[Record]:
        """Lines of a block that `parse` took."""
        lines = data.split(b"\n")
        filled = [at for at, line in enumerate(lines) if line.strip()]
        return [self._record(lines[filled[i]], filled[i]) for i in indices]

    def _record(self, line: bytes, at: int) -> Record:
        raw = line.decode("utf-8", "replace").rstrip("\r\n")
        try:
            # Not bytes, which may be taken for UTF-16. Only wanted columns must be UTF-8.
            text = line.decode("utf-8", "surrogateescape")
            row: Any = json.loads(text, object_pairs_hook=_Object)
            if not isinstance(row, _Object):
                raise ValueError(f"{type(row).__name__} instead of an object")
            values = [_text(row.get(name)) for name in self.columns]
        except RecursionError:
            return Record(at, raw, None, "bad_json", "nested too deeply")
        except ValueError as error:
            return Record(at, raw, None, "bad_json", str(error))
        twice = [name for name in row.twice if name in self.columns]
        if twice:
            return Record(at, raw, None, "bad_json", f"the key {twice[0]!r} stands twice")
        for name, value in zip(self.columns, values, strict=True):
            if value is not None and not value.isascii() and _SURROGATE.search(value):
                detail = f"{name} is not UTF-8, or holds half of a surrogate pair"
                return Record(at, raw, None, "not_utf8", detail)
        return Record(at, raw, values)


class _Object(dict[str, Any]):
    """A JSON object that knows which of its keys stand twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        keys = Counter(key for key, _ in pairs) if len(self) < len(pairs) else {}
        self.twice = [key for key, count in keys.items() if count > 1]


_LAST = "\ufdd0"
"""A key that Unicode promises no text to have."""
_NOTHING = '{"\ufdd1":0}'.encode()
"""An object without keys that anybody wants."""
_SURROGATE = re.compile("[\ud800-\udfff]")

LIST_SEPARATOR = "\x1f"
"""Joins the items of a JSON list in a text column; `columns.to_lists` splits them again."""


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        if not value:
            return None
        return LIST_SEPARATOR + LIST_SEPARATOR.join(_text(item) or "" for item in value)
    return json.dumps(value, ensure_ascii=False)
