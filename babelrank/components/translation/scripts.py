"""Which scripts a language is written in, and whether a text is written in them.

A language that the table does not hold is not judged. Letters are told apart by Unicode's
`Script` property; digits, punctuation, marks and letters that scripts share do not count.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.ingest.slices import buffer_of, count_in_texts

Mask = npt.NDArray[np.bool_]

_ONE_SCRIPT = {
    "Latin": "af an ast ay az bi br bs ca ceb co cs cy da de en eo es et eu fi fil fj fo fr fy ga "
    "gd gl gn gsw ha haw hil hmn hr ht hu ia id ie ig ilo io is it jv kl la lb lg li ln lt lv mg "
    "mi ms mt nb nl nn no nso ny oc om pam pap pl pt qu rm rn ro rw scn sco sk sl sm sn so sq ss "
    "st su sv sw tet tk tl tn to tr ts ty ve vi vo wa war wo xh yo zu",
    "Cyrillic": "ab av ba be bg ce cv kv ky mk mn os ru rue sah tg tt tyv udm uk",
    "Arabic": "ar arz ckb fa glk mzn pnb ps sd ug ur",
    "Hebrew": "he yi",
    "Devanagari": "awa bho hi mai mr ne new sa",
    "Greek": "el grc",
    "Bengali": "as bn",
    "Ethiopic": "am ti",
    "Georgian": "ka xmf",
    "Tibetan": "bo dz",
}
_SCRIPTS: dict[str, tuple[str, ...]] = {
    language: (script,) for script, group in _ONE_SCRIPT.items() for language in group.split()
}
_SCRIPTS |= {
    "gu": ("Gujarati",),
    "hy": ("Armenian",),
    "ja": ("Han", "Hiragana", "Katakana"),
    "kk": ("Cyrillic", "Latin"),
    "km": ("Khmer",),
    "kn": ("Kannada",),
    "ko": ("Hangul", "Han"),
    "ku": ("Latin", "Arabic"),
    "lo": ("Lao",),
    "ml": ("Malayalam",),
    "my": ("Myanmar",),
    "or": ("Oriya",),
    "pa": ("Gurmukhi", "Arabic"),
    "si": ("Sinhala",),
    "sr": ("Cyrillic", "Latin"),
    "ta": ("Tamil",),
    "te": ("Telugu",),
    "th": ("Thai",),
    "uz": ("Latin", "Cyrillic"),
} | dict.fromkeys(("zh", "yue", "wuu", "cmn", "lzh"), ("Han", "Bopomofo"))
_BY_SUBTAG = {
    "arab": ("Arabic",),
    "cyrl": ("Cyrillic",),
    "deva": ("Devanagari",),
    "hans": ("Han", "Bopomofo"),
    "hant": ("Han", "Bopomofo"),
    "latn": ("Latin",),
}
_LETTERS_IN_A_CHARACTER = {"Han": 3.0, "Hiragana": 2.0, "Hangul": 2.0}

_MARKUP = r"%\(\w+\)\w?|%\w|\$?\{[^{}]*\}|<[^<>]*>|&#?\w+;|[a-z]+://[!-~]+|\w+(?:[./\\_@:-]+\w+)+"
"""What is written in Latin letters in every language: placeholders, tags, addresses, file names."""
_ENOUGH_LATIN, _ENOUGH = 20, 4
"""Fewest foreign letters that are looked at: names in Latin letters stand in any script."""
_CODE_POINTS = 0x32000
"""No script has letters from here on."""
_OTHER, _OWN, _FOREIGN = 0, 1, 2


def scripts_of(language: str) -> tuple[str, ...]:
    """Unicode names of a language's scripts, such as `zh_Hans`'s; empty when not known."""
    parts = language.replace("_", "-").lower().split("-")
    for part in parts[1:]:
        if part in _BY_SUBTAG:
            return _BY_SUBTAG[part]
    return _SCRIPTS.get(parts[0], ())


def letters_in_a_character(language: str) -> float:
    """How many letters of an alphabet a character of the language is usually worth.

    Chinese takes about a third of the characters that English takes for the same, and
    Japanese and Korean a half.
    """
    scripts = scripts_of(language)
    if scripts[1:2] == ("Hiragana",):
        return _LETTERS_IN_A_CHARACTER["Hiragana"]
    return _LETTERS_IN_A_CHARACTER.get(scripts[0], 1.0) if scripts else 1.0


def code_points(texts: pa.Array) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """All characters of some texts in a row.

    Args:
        texts: [N] strings, none missing.

    Returns:
        [C] code points, and [N + 1] where each text begins, and where the last one ends.
    """
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    data, _ = buffer_of(texts)
    return np.frombuffer(str(data.data, "utf-8").encode("utf-32-le"), np.uint32), offsets


def wrong_script(
    texts: pa.Array,
    characters: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    language: str,
    allowed: float,
) -> Mask:
    """Which texts are written in scripts that are not the language's.

    A character that is worth several letters counts as so many. Texts with only a few foreign
    letters pass, and so do those whose foreign letters are mostly markup or addresses.

    Args:
        texts: [N] normalised strings.
        characters: Their code points, as `code_points` returns them.
        offsets: Where each text begins in them.
        language: Language code.
        allowed: Largest share of foreign letters, 0 to 1.

    Returns:
        [N] True where the share is larger.
    """
    scripts = scripts_of(language)
    wrong = np.zeros(len(texts), bool)
    if not scripts:
        return wrong
    suspects = np.flatnonzero(_too_foreign(characters, offsets, language, allowed))
    if len(suspects):
        plain = pc.replace_substring_regex(texts.take(pa.array(suspects)), _MARKUP, " ")
        wrong[suspects] = _too_foreign(*code_points(plain), language, allowed)
    return wrong


def _too_foreign(
    characters: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    language: str,
    allowed: float,
) -> Mask:
    scripts = scripts_of(language)
    enough = _ENOUGH if "Latin" in scripts else _ENOUGH_LATIN
    kinds = _letter_kinds(scripts)[np.minimum(characters, _CODE_POINTS - 1)]
    foreign = count_in_texts(np.flatnonzero(kinds == _FOREIGN), offsets)
    result = foreign >= enough
    if result.any():
        own = count_in_texts(np.flatnonzero(kinds == _OWN), offsets)
        worth = own * letters_in_a_character(language)
        result &= foreign > allowed * (foreign + worth)
    return result


@functools.lru_cache
def _letter_kinds(scripts: Sequence[str]) -> npt.NDArray[np.uint8]:
    """[_CODE_POINTS] whether a code point is a letter of one of the scripts, or a foreign one."""
    points = [i for i in range(_CODE_POINTS) if not 0xD800 <= i < 0xE000]
    everything = "".join(map(chr, points))
    letters = np.zeros(_CODE_POINTS, bool)
    letters[points] = [character.isalpha() for character in everything]
    # Scripts share some letters, such as the Japanese mark of a long vowel.
    shared = _members(r"\p{Common}\p{Inherited}", everything)
    own = _members("".join(rf"\p{{{script}}}" for script in scripts), everything)
    return np.select([letters & own, letters & ~shared], [_OWN, _FOREIGN], _OTHER).astype(np.uint8)


def _members(kinds: str, everything: str) -> Mask:
    """[_CODE_POINTS] which code points a class of a regular expression holds."""
    found = pc.replace_substring_regex(pa.array([everything]), f"[^{kinds}]+", "")
    mask = np.zeros(_CODE_POINTS, bool)
    mask[code_points(found)[0]] = True
    return mask
