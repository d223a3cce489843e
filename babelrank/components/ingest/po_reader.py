"""gettext PO: messages and their translations, plural forms included.

A message with a plural makes two rows: its singular (`msgid`) with the form that the file's
`Plural-Forms` has for 1 (the first one, without such a header), and its plural (`msgid_plural`)
with the last form, which is the general one in all of gettext's languages. Languages with
one form have both with that. Contexts (`msgctxt`) and comments are not read; placeholders
stay as they are.
"""

from __future__ import annotations

import codecs
import gettext
import io
import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polib  # type: ignore[import-untyped]
import pyarrow as pa

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, BadRow, Block, Location

_LONGEST_FILE = 64 << 20
"""Bytes; polib wants a file as a whole, and a catalogue of a whole desktop has 5 MiB."""
_MOST_LINES = 10_000
"""Lines of one text; polib takes the square of their number, and a long licence has 700."""
_NO_CODECS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")
"""Python's own, which are slow, fail in their own ways or make halves of surrogate pairs."""

STATE = "state"
"""A third column: why the row is to be dropped (`fuzzy`, `untranslated`, `obsolete`), or ''."""

_CHARSET = re.compile(rb'"Content-Type:[^"\n]*charset=([\w.:-]+)', re.IGNORECASE)
_LINE = re.compile(r'\s*(?:#[~|]+\s*)*("|msg)')
_SYNTAX = re.compile(r"\(line (\d+)\)")
_ALIASES = {"iw": "he", "in": "id", "ji": "yi", "nb": "no", "nn": "no", "cmn": "zh"}


@dataclass(frozen=True)
class _Row:
    source: str
    target: str
    state: str
    line: int


def read_po(file: IO[bytes], path: str, language: str, names: tuple[str, str]) -> Iterator[Block]:
    """One block of three columns: source, target and `STATE`.

    Args:
        file: The open file.
        path: Its name, for messages.
        language: Language that the translations should be in.
        names: Names of the source's and the target's column.

    Raises:
        InputError: The file is no PO file, or its `Language` is another one.
    """
    data = file.read(_LONGEST_FILE + 1)
    if len(data) > _LONGEST_FILE:
        raise InputError(f"{path}: longer than {_LONGEST_FILE >> 20} MiB. Is this a PO file?")
    text, sound = _decode(data, path)
    _check_lines(text, path)
    catalogue = _parse(text, path)
    _check_language(catalogue.metadata.get("Language", ""), language, path)
    singular = _singular(catalogue)
    rows = [row for entry in catalogue for row in _rows(entry, singular)]
    broken = [not sound and "\ufffd" in row.source + row.target for row in rows]
    bad = list(itertools.compress(rows, broken))
    good = [row for row, is_bad in zip(rows, broken, strict=True) if not is_bad]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([row.source for row in good], pa.string()),
            pa.array([row.target for row in good], pa.string()),
            pa.array([row.state for row in good], pa.string()),
        ],
        [*names, STATE],
    )

    def locate(indices: Sequence[int]) -> list[Location]:
        return [_location(good[i]) for i in indices]

    refused = [BadRow(_location(row), "not_utf8", "bytes of another encoding") for row in bad]
    yield Block(batch, locate, 0, refused)


def _decode(data: bytes, path: str) -> tuple[str, bool]:
    """The text, and whether all of it could be decoded."""
    found = _CHARSET.search(data)
    encoding = found[1].decode() if found else "utf-8"
    if encoding.upper() == "CHARSET":  # as templates have it
        encoding = "utf-8"
    try:
        if codecs.lookup(encoding).name in _NO_CODECS:
            raise LookupError(f"unknown encoding: {encoding}")
        text, sound = data.decode(encoding), True
    except LookupError as error:
        raise InputError(f"{path}: {error} in the header's Content-Type.") from error
    except UnicodeError:
        text, sound = data.decode(encoding, "replace"), False
    return text.removeprefix("\ufeff"), sound


def _check_lines(text: str, path: str) -> None:
    lines = 0
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        found = _LINE.match(line)
        if found is None:  # blank lines and comments do not end a text
            continue
        lines = lines + 1 if found[1] == '"' else 0
        if lines > _MOST_LINES:
            raise InputError(
                f"{path}: line {number}: a text of more than {_MOST_LINES:,} lines. "
                "Is this a PO file?"
            )


def _parse(text: str, path: str) -> polib.POFile:
    """The messages. (Given a text instead of a file, polib would cut lines at U+2028 too.)"""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "messages.po"
        try:
            copy.write_bytes(text.encode())
            return polib.pofile(str(copy), encoding="utf-8")
        except (OSError, ValueError, IndexError) as error:
            at = _SYNTAX.search(str(error))
            place = f"line {at[1]}: " if at else ""
            raise InputError(f"{path}: {place}not a gettext PO file.") from error


def _check_language(found: str, wanted: str, path: str) -> None:
    codes = [re.split("[-_@.]", code.strip().lower())[0] for code in (found, wanted)]
    codes = [_ALIASES.get(code, code) for code in codes]
    if codes[0] and len(codes[0]) <= 3 and codes[0] != codes[1]:
        raise InputError(
            f"{path}: the file's Language is {found}; expected {wanted}, the target's language. "
            "Narrow data.path to that language's files."
        )


def _singular(catalogue: polib.POFile) -> int:
    """Number of the plural form that is used for 1."""
    rule = re.search(r"plural\s*=\s*([^;]+)", catalogue.metadata.get("Plural-Forms", ""))
    try:
        return int(gettext.c2py(rule[1].strip())(1)) if rule else 0  # type: ignore[attr-defined]
    except (ValueError, RecursionError, OverflowError, ZeroDivisionError):
        return 0


def _rows(entry: polib.POEntry, singular: int) -> Iterator[_Row]:
    pairs = [(entry.msgid, entry.msgstr)]
    if entry.msgid_plural:
        forms = {int(number): form for number, form in entry.msgstr_plural.items()}
        one = forms.get(singular, forms.get(0, ""))
        pairs = [(entry.msgid, one), (entry.msgid_plural, forms[max(forms)] if forms else "")]
    for source, target in pairs:
        state = ""
        if entry.obsolete:
            state = "obsolete"
        elif entry.fuzzy:
            state = "fuzzy"
        elif not target.strip():
            state = "untranslated"
        yield _Row(source, target, state, entry.linenum)


def _location(row: _Row) -> Location:
    return Location(f"line {row.line}", f"{row.source}\t{row.target}"[:RAW_LIMIT])
