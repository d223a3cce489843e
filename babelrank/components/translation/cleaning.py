"""Normalised text, and the rules by which pairs are refused.

Rules work on whole columns. A refused pair gets the first reason that holds, in this order:
`empty_source`, `empty_target`, `control_characters`, `too_long`, `identical`, `length_ratio`,
`wrong_script`. An evaluation set is kept whole: there, only empty sides are refused. (Before all,
`combining_marks` refuses what cannot be normalised in time.)
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.ingest.slices import buffer_of
from babelrank.components.translation.config import CleaningConfig, SideConfig
from babelrank.components.translation.records import SPACES
from babelrank.components.translation.scripts import (
    code_points,
    letters_in_a_character,
    wrong_script,
)

Mask = npt.NDArray[np.bool_]
Problem = tuple[int, str, str]
"""Index of a row, the reason to refuse it, and the same in words."""

_UNTIDY = (
    r"^ | $|  |[\t\n\v\f\r\x{85}\x{A0}\x{1680}\x{2000}-\x{200B}\x{2028}\x{2029}\x{202F}\x{205F}"
    r"\x{2060}\x{3000}\x{FEFF}]"
)
"""Whether a text holds anything that `SPACES` would change: cheaper than to replace it."""
MOST_MARKS = 200
_FIRST_MARK = 0xCC
"""First byte of U+0300 in UTF-8; no mark has a smaller one."""
_PAST_MARKS = 0x20000
_REPLACEMENT = 0xFFFD
"""What decoders write where bytes were wrong."""


def normalized(texts: pa.Array) -> pa.Array:
    """Texts in NFC, every run of spaces one ' ', none at the ends.

    Args:
        texts: [N] strings; missing ones become empty.

    Returns:
        [N] strings, the same that `normalize` in the exported graph makes.
    """
    texts = _composed(pc.fill_null(texts, "") if texts.null_count else texts)
    untidy = _mask(pc.match_substring_regex(texts, _UNTIDY))
    return _changed(
        texts,
        untidy,
        lambda some: pc.utf8_trim(pc.replace_substring_regex(some, SPACES, " "), " "),
    )


def piled_marks(texts: pa.Array) -> Mask:
    """Texts with so many combining marks in a row that to bring them into order would take hours.

    Unicode's normal forms sort such a run, which takes the square of its length. No language
    has more than ten; Unicode's Stream-Safe Text Format (UAX #15) allows 30.

    Args:
        texts: [N] strings, none missing.

    Returns:
        [N] True where more than `MOST_MARKS` stand together.
    """
    piled = np.zeros(len(texts), bool)
    # Few texts are so long; a mark has two bytes or more.
    long = np.flatnonzero(pc.binary_length(texts).to_numpy(zero_copy_only=False) > 2 * MOST_MARKS)
    texts = texts.take(pa.array(long))
    data, _ = buffer_of(texts)
    if not len(data) or data.max() < _FIRST_MARK:
        return piled
    characters, offsets = code_points(texts)
    marks = np.flatnonzero(_combining()[np.minimum(characters, _PAST_MARKS)])
    ends = marks[MOST_MARKS:]
    together = ends - marks[: len(ends)] == MOST_MARKS
    first, last = (
        np.searchsorted(offsets, places[together], side="right") - 1
        for places in (marks[: len(ends)], ends)
    )
    piled[long[last[first == last]]] = True  # not what begins in the text before
    return piled


@functools.cache
def _combining() -> Mask:
    """[C] which code points are combining marks that have an order."""
    return np.array([unicodedata.combining(chr(code)) > 0 for code in range(_PAST_MARKS + 1)])


def _composed(texts: pa.Array) -> pa.Array:
    """The texts in NFC. (Arrow's own `utf8_normalize` decomposes only, apache/arrow#51225.)"""
    data, _ = buffer_of(texts)
    # Every part of a text in NFC is in NFC, so this decides for all texts at once.
    if unicodedata.is_normalized("NFC", str(data.data, "utf-8")):
        return texts
    composed = [unicodedata.normalize("NFC", text) for text in texts.to_pylist()]
    return pa.array(composed, pa.string())


def _changed(texts: pa.Array, chosen: Mask, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The texts, those that are chosen changed."""
    if not chosen.any():
        return texts
    if chosen.mean() > 0.5:  # it is cheaper to go through all
        return change(texts)
    return pc.replace_with_mask(texts, pa.array(chosen), change(texts.filter(pa.array(chosen))))


@dataclass(frozen=True)
class _Sides:
    """Columns of a batch, and what several rules need to know of them.

    Attributes:
        texts: Both sides, [N] each.
        characters: Code points of both sides.
        offsets: Where each text begins in them.
    """

    texts: tuple[pa.Array, pa.Array]
    characters: tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]
    offsets: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

    @property
    def lengths(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """[N] lengths in characters of either side."""
        return np.diff(self.offsets[0]), np.diff(self.offsets[1])


class Cleaner:
    """Judges pairs of one pair of languages.

    Args:
        source: Side of the source.
        target: Side of the target.
        config: The rules.
    """

    def __init__(self, source: SideConfig, target: SideConfig, config: CleaningConfig) -> None:
        self._languages = (source.language, target.language)
        self._config = config
        self._worth = tuple(letters_in_a_character(language) for language in self._languages)

    def problems(self, source: pa.Array, target: pa.Array, whole: bool = False) -> list[Problem]:
        """The pairs that are refused.

        Args:
            source: [N] normalised strings.
            target: [N] normalised strings.
            whole: True for an evaluation set, of which only empty sides are refused.

        Returns:
            The refused ones, by rising index.
        """
        (s_characters, s_offsets), (t_characters, t_offsets) = map(code_points, (source, target))
        sides = _Sides((source, target), (s_characters, t_characters), (s_offsets, t_offsets))
        open_rows = np.ones(len(source), bool)
        found: list[Problem] = []
        for reason, mask, detail in self._rules(sides, whole):
            refused = np.flatnonzero(mask & open_rows)
            open_rows[refused] = False
            found += [(int(row), reason, detail(int(row))) for row in refused]
        return sorted(found)

    def _rules(
        self, sides: _Sides, whole: bool
    ) -> Iterator[tuple[str, Mask, Callable[[int], str]]]:
        """Each rule's reason, [N] True where it refuses, and words for a row."""
        config = self._config
        lengths = sides.lengths
        longer = np.maximum(*lengths)
        for side, name in enumerate(("source", "target")):
            yield f"empty_{name}", lengths[side] == 0, _always(f"no {name} text")
        if whole:
            return
        broken = [_broken(*side) for side in zip(sides.characters, sides.offsets, strict=True)]
        yield (
            "control_characters",
            (broken[0] >= 0) | (broken[1] >= 0),
            lambda row: f"holds U+{int(max(broken[0][row], broken[1][row])):04X}",
        )
        yield (
            "too_long",
            longer > config.max_characters,
            lambda row: f"{longer[row]} characters, and {config.max_characters} are allowed",
        )
        if config.identical == "quarantine":
            same = _mask(pc.equal(*sides.texts))
            yield "identical", same, _always("both sides are the same text")
        yield from self._ratio(sides)
        yield from self._script(sides)

    def _ratio(self, sides: _Sides) -> Iterator[tuple[str, Mask, Callable[[int], str]]]:
        allowed = self._config.max_length_ratio
        if allowed is None:
            return
        lengths = sides.lengths
        worth = [length * letters for length, letters in zip(lengths, self._worth, strict=True)]
        ratio = np.maximum(*worth) / np.maximum(np.minimum(*worth), 1)
        looked_at = np.maximum(*lengths) >= self._config.min_ratio_characters
        yield (
            "length_ratio",
            looked_at & (ratio > allowed),
            lambda row: f"the sides have {lengths[0][row]} and {lengths[1][row]} characters",
        )

    def _script(self, sides: _Sides) -> Iterator[tuple[str, Mask, Callable[[int], str]]]:
        allowed = self._config.max_wrong_script
        if allowed is None:
            return
        for side, name in enumerate(("source", "target")):
            language = self._languages[side]
            wrong = wrong_script(
                sides.texts[side], sides.characters[side], sides.offsets[side], language, allowed
            )
            yield "wrong_script", wrong, _always(f"the {name} is not in the script of {language}")


def _always(detail: str) -> Callable[[int], str]:
    return lambda _: detail


def _broken(
    characters: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """[N] a control character that the text holds, or U+FFFD; -1 where there is none."""
    control = (characters < 0x20) | ((characters >= 0x7F) & (characters < 0xA0))
    places = np.flatnonzero(control | (characters == _REPLACEMENT))
    found = np.full(len(offsets) - 1, -1, np.int64)
    found[np.searchsorted(offsets, places, side="right") - 1] = characters[places]
    return found


def _mask(array: pa.Array) -> Mask:
    return np.asarray(array.to_numpy(zero_copy_only=False), bool)
