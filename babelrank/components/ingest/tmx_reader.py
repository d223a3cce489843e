"""TMX (translation memories): a stream of `tu`s, of which only two languages are wanted.

The file is never in memory, whatever its size, and neither is a tree of it. Declared entities
and references to other files are refused: both are ways to make a reader expand or fetch what
it should not. A DOCTYPE that only names the TMX DTD is normal, and the DTD is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any

import pyarrow as pa
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import (  # type: ignore[import-untyped]
    DefusedXMLParser,
    ParseError,
)

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, BadRow, Block, Location

BLOCK_UNITS = 20_000
BLOCK_LENGTH = 8 << 20
"""Characters; a block of so many is handed on, however few its units are."""
_CHUNK_BYTES = 1 << 20
_LONGEST_UNIT = 64 << 20
_VARIANT_LENGTH = 100
"""Characters that a variant counts for beside its own; it takes memory even when it is empty."""
_CODES = frozenset({"bpt", "ept", "it", "ph", "ut", "sub"})
"""Inline elements that hold native codes, not text. (`hi` holds text.)"""
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def read_tmx(
    file: IO[bytes], path: str, languages: tuple[str, str], names: tuple[str, str]
) -> Iterator[Block]:
    """Blocks of two columns.

    A `tuv`'s language (`xml:lang`, or `lang` as TMX 1.1 has it) is compared without regard to
    case; `en` also takes `en-US`, but an exact match is preferred, and then the first one. A
    `tu` that lacks a language is bad (`missing_language`).

    Args:
        file: The open file.
        path: Its name, for messages.
        languages: Language codes of the source and the target.
        names: Names of their columns.

    Raises:
        InputError: Not TMX, not well-formed, without any `tu`, or unsafe.
    """
    target = _Target(path, languages)
    parser = DefusedXMLParser(target=target)
    target.line = partial(getattr, parser.parser, "CurrentLineNumber")
    row = fed = 0
    try:
        while chunk := file.read(_CHUNK_BYTES):
            parser.feed(chunk)
            fed += len(chunk)
            # What expat has not told yet it keeps: a comment, or an attribute.
            if fed - parser.parser.CurrentByteIndex > _LONGEST_UNIT:
                raise InputError(
                    f"{path}: line {target.line()}: something is longer than "
                    f"{_LONGEST_UNIT >> 20} MiB. Is this TMX?"
                )
            if len(target.pairs) + len(target.bad) >= BLOCK_UNITS or target.held >= BLOCK_LENGTH:
                block = target.take(names, row)
                row += block.rows
                yield block
        parser.close()
    except DefusedXmlException as error:
        raise InputError(
            f"{path}: line {target.line()}: the file declares an entity or refers to another "
            f"file, which is refused ({error}). Replace the entities by their text."
        ) from error
    except (ParseError, ValueError, LookupError) as error:  # the latter: an unknown encoding
        raise InputError(f"{path}: the file is not well-formed XML: {error}.") from error
    block = target.take(names, row)
    if block.rows:
        yield block
    elif not row:
        raise InputError(f"{path}: the file has no <tu>; expected translation units.")


class _Target:
    """What the parser calls; collects the units of one file."""

    def __init__(self, path: str, languages: tuple[str, str]) -> None:
        self.pairs: list[tuple[str, str]] = []
        self.places: list[tuple[int, int]] = []
        self.bad: list[BadRow] = []
        self.held = 0  # characters of these
        self.line: Any = int
        self._path = path
        self._wanted = tuple(map(_code, languages))
        self._began = False
        self._unit = 0
        self._unit_line = 0
        self._variants: list[tuple[str, str]] = []
        self._language = ""
        self._text: list[str] | None = None
        self._length = 0
        self._codes = 0
        self._depth = 0
        self._misplaced = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        name = tag.rpartition("}")[2]
        if not self._began:
            self._began = True
            if name != "tmx":
                raise InputError(f"{self._path}: the root element is <{name}>; expected <tmx>.")
        if name == "tu":
            self._begin_unit()
        elif name == "tuv":
            self._language = attributes.get(_XML_LANG) or attributes.get("lang") or ""
        elif name == "seg":
            if self._text is not None:
                self._misplaced = "a <seg> stands in another one"
            self._text, self._codes = [], 0
        elif name in _CODES:
            self._codes += 1

    def data(self, text: str) -> None:
        """Text, in a piece or several."""
        if self._text is None or self._codes:
            return
        self._text.append(text)
        self._grow(len(text))

    def end(self, tag: str) -> None:
        """An element ends."""
        name = tag.rpartition("}")[2]
        if name == "seg" and self._text is not None:
            self._variants.append((self._language, "".join(self._text)))
            self._text = None
            self._grow(_VARIANT_LENGTH + len(self._language))
        elif name in _CODES:
            self._codes -= 1
        elif name == "tu":
            self._end_unit()

    def close(self) -> None:
        """The document ends."""

    def take(self, names: tuple[str, str], first_row: int) -> Block:
        """The units collected so far, which are forgotten."""
        pairs, places, bad = self.pairs, self.places, self.bad
        self.pairs, self.places, self.bad, self.held = [], [], [], 0
        arrays = [pa.array([pair[side] for pair in pairs], pa.string()) for side in (0, 1)]
        batch = pa.RecordBatch.from_arrays(arrays, list(names))

        def locate(indices: Sequence[int]) -> list[Location]:
            return [_location(*places[i], "\t".join(pairs[i])) for i in indices]

        return Block(batch, locate, first_row, bad)

    def _begin_unit(self) -> None:
        if self._depth:
            self._misplaced = "a <tu> stands in another one"
        else:
            self._unit += 1
            self._unit_line = self.line()
            self._variants, self._length, self._misplaced = [], 0, ""
        self._depth += 1

    def _grow(self, characters: int) -> None:
        """Counts what is kept of a unit."""
        self._length += characters
        if self._length > _LONGEST_UNIT:
            raise InputError(
                f"{self._path}: line {self._unit_line}: a <tu> is longer than "
                f"{_LONGEST_UNIT >> 20} Mi characters."
            )

    def _end_unit(self) -> None:
        self._depth -= 1
        if self._depth:
            return
        if self._misplaced:
            self._refuse("bad_unit", self._misplaced)
            return
        found = [_best(self._variants, wanted) for wanted in self._wanted]
        if found[0] is not None and found[1] is not None:
            self.pairs.append((found[0], found[1]))
            self.places.append((self._unit, self._unit_line))
            self.held += len(found[0]) + len(found[1])
            return
        missing = [code for code, text in zip(self._wanted, found, strict=True) if text is None]
        there = ", ".join(language or "none" for language, _ in self._variants) or "nothing"
        self._refuse(
            "missing_language",
            f"no {' and no '.join(missing)}; the unit has {there[:RAW_LIMIT]}",
        )

    def _refuse(self, reason: str, detail: str) -> None:
        raw = "\t".join(f"{language}: {text}" for language, text in self._variants)
        bad = BadRow(_location(self._unit, self._unit_line, raw), reason, detail)
        self.bad.append(bad)
        self.held += len(bad.location.raw) + len(detail)


def _best(variants: Sequence[tuple[str, str]], wanted: str) -> str | None:
    """The text of the variant in the wanted language, if there is one."""
    for language, text in variants:
        if _code(language) == wanted:
            return text
    for language, text in variants:
        if _code(language).startswith(wanted + "-"):
            return text
    return None


def _code(language: str) -> str:
    return language.strip().replace("_", "-").lower()


def _location(unit: int, line: int, raw: str) -> Location:
    return Location(f"tu {unit}, line {line}", raw[:RAW_LIMIT])
