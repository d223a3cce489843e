"""A file of the lines that a model could not be asked about, with the reason of each."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, BadRow, Location
from babelrank.components.ingest.summary import quarantine_line


class LineQuarantine:
    """Writes bad lines as JSON lines, as ingest does; use as a context manager.

    Args:
        path: The file; what is there already is replaced.
        name: Where the lines come from.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.count = 0
        self._name = name
        self._file = path.open("w", encoding="utf-8")

    def refuse(self, number: int, raw: str | bytes, reason: str, error: InputError) -> None:
        """Keeps a bad line.

        Args:
            number: Its number, from 1.
            raw: The line.
            reason: One word.
            error: The same in a sentence.
        """
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        place = Location(f"line {number}", text.rstrip("\r\n")[:RAW_LIMIT])
        line = quarantine_line(self._name, BadRow(place, reason, str(error)))
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.count += 1

    def __enter__(self) -> LineQuarantine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
