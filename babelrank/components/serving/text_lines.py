"""Lines of text from standard input or a file: what a line is, and what is wrong with one.

Only a line feed ends a line, with or without a carriage return before it. All else that Unicode
calls a line break (U+2028, U+0085, a carriage return alone) belongs to a sentence, so that the
lines of two aligned files stay aligned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from babelrank.components.errors import InputError
from babelrank.components.serving.line_quarantine import LineQuarantine

_MARK = "\ufeff"
_MOST_BYTES = 1 << 28
"""Of a file that is held in memory: a million long sentences. A small `.gz` may unpack to more."""


def decoded(
    lines: Iterable[bytes], name: str, quarantine: LineQuarantine | None = None
) -> Iterator[str]:
    """Lines without their ends.

    Args:
        lines: Raw lines, as a file that is open for bytes gives them.
        name: Where they come from, for messages.
        quarantine: Takes bad lines, which are given as blank ones; without one they are errors.

    Raises:
        InputError: A line is not UTF-8; names it.
    """
    for number, raw in enumerate(lines, 1):
        try:
            text = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            bad = InputError(
                f"{name}, line {number}: byte {error.start + 1} is not UTF-8 "
                f"({raw[error.start : error.start + 1].hex()}); takes UTF-8 text."
            )
            if quarantine is None:
                raise bad from None
            quarantine.refuse(number, raw, "not_utf8", bad)
            text = ""
        yield text.removeprefix(_MARK) if number == 1 else text


def read_lines(path: Path) -> list[str]:
    """The lines of a file, plain or compressed (.gz, .xz, .zst, .bz2).

    Raises:
        InputError: The file cannot be read, is too long to be held, or is not UTF-8.
    """
    from babelrank.components.ingest.files import open_input

    with open_input(str(path)) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise InputError(
            f"{path}: more than {_MOST_BYTES:,} bytes of text; takes less. Cut it into parts."
        )
    raw = data.split(b"\n")
    if not raw[-1]:  # the last line has its end
        raw.pop()
    return list(decoded(raw, str(path)))
