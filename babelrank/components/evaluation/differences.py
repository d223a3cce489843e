"""Where two sentences differ: word by word, or by character where a script writes no spaces.

Whoever compares a translation with its reference sees at a glance what was missed and what was
added. The alignment is difflib's, of words without the spaces between them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby

Part = tuple[str, bool]
"""A piece of a text, and whether the other text lacks it."""

MAX_CHARACTERS, MAX_WORDS = 10_000, 200
"""Longer texts are not compared: the time grows by the cube of their words at worst, to half a
second for so many, and nobody would read it."""

_WITHOUT_SPACES = (
    *("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"),
    "IDEOGRAPHIC",
)
"""Unicode names of characters of such scripts begin with these."""

_JOINER = "\u200d"


def compared(one: str, other: str) -> tuple[list[Part], list[Part]]:
    """Both texts in pieces; the pieces of each add up to it.

    Args:
        one: A text.
        other: Another; when either is empty or too long, nothing is marked.
    """
    if max(len(one), len(other)) > MAX_CHARACTERS:
        return [(one, False)], [(other, False)]
    left, right = words(one), words(other)
    if not left or not right or max(len(left), len(right)) > MAX_WORDS:
        return [(one, False)], [(other, False)]
    texts = [[word for _, word in side] for side in (left, right)]
    matcher = SequenceMatcher(None, texts[0], texts[1], autojunk=False)
    unmatched = [True] * len(left), [True] * len(right)
    for block in matcher.get_matching_blocks():
        for marks, start in zip(unmatched, (block.a, block.b), strict=True):
            marks[start : start + block.size] = [False] * block.size
    return _parts(one, left, unmatched[0]), _parts(other, right, unmatched[1])


def words(text: str) -> list[tuple[str, str]]:
    """The words of a text, each with the spaces before it; spaces at the end are no word's."""
    found: list[tuple[int, int]] = []  # where the spaces before a word begin, and where it does
    end, open_word, before = 0, False, ""  # of the last word
    for place, character in enumerate(text):
        kind = unicodedata.category(character)
        if character.isspace():
            open_word = False
            continue
        joined = _joins(kind, before) or open_word and _goes_on(character)
        if not (found and end == place and joined):
            found.append((end, place))
            open_word = _goes_on(character)
        end, before = place + 1, character
    ends = [*(spaces for spaces, _ in found[1:]), end]
    return [
        (text[spaces:first], text[first:last])
        for (spaces, first), last in zip(found, ends, strict=False)
    ]


def _joins(kind: str, before: str) -> bool:
    """Whether a character of a kind, such as an accent, belongs to the one before it."""
    return kind in ("Mn", "Mc", "Me", "Cf") or before == _JOINER


def _goes_on(character: str) -> bool:
    """Whether a character and the next can be of one word."""
    if unicodedata.category(character)[0] not in "LN":
        return False
    return not unicodedata.name(character, "").startswith(_WITHOUT_SPACES)


def _parts(text: str, found: Sequence[tuple[str, str]], marks: Sequence[bool]) -> list[Part]:
    """Joins neighbours; the spaces before a marked piece do not belong to it."""
    parts: list[Part] = []
    for marked, group in groupby(zip(found, marks, strict=True), key=lambda pair: pair[1]):
        members = [word for word, _ in group]
        first = members[0][0]
        joined = "".join(space + word for space, word in members)[len(first) :]
        if marked:
            parts += [(first, False)] if first else []
            parts.append((joined, True))
        else:
            parts.append((first + joined, False))
    rest = text[sum(len(part) for part, _ in parts) :]
    return [*parts, (rest, False)] if rest else parts
