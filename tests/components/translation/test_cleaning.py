"""Tests of normalised text and of every cleaning rule."""

import random
import re
import unicodedata

import pyarrow as pa
import pytest

from babelrank.components.translation.cleaning import MOST_MARKS, Cleaner, normalized, piled_marks
from babelrank.components.translation.config import CleaningConfig, SideConfig

SPACE = (
    "[\t\n\v\f\r\x85\u200b\u2060\ufeff \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
)


def problems(*pairs, languages=("en", "de"), whole=False, **config):
    sides = [SideConfig(language=language) for language in languages]
    cleaner = Cleaner(*sides, CleaningConfig(**config))
    columns = [pa.array([pair[side] for pair in pairs], pa.string()) for side in (0, 1)]
    return [(row, reason) for row, reason, _ in cleaner.problems(*columns, whole=whole)]


def details(*pairs, **config):
    cleaner = Cleaner(
        SideConfig(language="en"), SideConfig(language="de"), CleaningConfig(**config)
    )
    columns = [pa.array([pair[side] for pair in pairs], pa.string()) for side in (0, 1)]
    return [detail for _, _, detail in cleaner.problems(*columns)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("  two  spaces ", "two spaces"),
        ("\ufeffa\u00a0b\u200b\u3000c\u2028d\x85e\r\n", "a b c d e"),
        ("e\u0301 o\u0308", "é ö"),
        ("\u1112\u1161\u11ab", "한"),
        ("\u200b", ""),
        (None, ""),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("%(name)s {x}", "%(name)s {x}"),
        ("a\x07b", "a\x07b"),
    ],
)
def test_normalized(text, expected):
    assert normalized(pa.array([text], pa.string())).to_pylist() == [expected]
    assert normalized(pa.array(["x", text, "y  z"], pa.string())[1:]).to_pylist() == [
        expected,
        "y z",
    ]


def test_piled_marks():
    mark = "\u0300"
    texts = [
        "a" + mark * MOST_MARKS,
        "a" + mark * (MOST_MARKS + 1),
        "a" + mark * 150,
        mark * 60 + "b",  # with those of the text before, more than 200
        "x" * 1000,
        "a" + mark * 150,
        mark * (MOST_MARKS + 1),
        "",
        "b" * 500 + mark * 100 + "c" + mark * 150,
        "d" * 300 + mark * 150,
        mark * 150 + "e" * 300,
    ]
    expected = [text in (texts[1], texts[6]) for text in texts]
    assert piled_marks(pa.array(texts, pa.string())).tolist() == expected
    assert piled_marks(pa.array(["x", *texts], pa.string())[1:]).tolist() == expected
    assert piled_marks(pa.array([], pa.string())).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_normalized_is_like_python(seed):
    letters = "abcé e\u0301가\u1100\u1161中 \u00a0\u200b\t\u3000\u2003\u0323\u0307ſ\u212b"
    generator = random.Random(seed)
    texts = ["".join(generator.choices(letters, k=generator.randrange(12))) for _ in range(500)]
    expected = [re.sub(SPACE, " ", unicodedata.normalize("NFC", text)).strip(" ") for text in texts]
    found = normalized(pa.array(texts))
    assert found.to_pylist() == expected
    assert normalized(found).to_pylist() == expected


def test_nothing():
    assert problems() == []
    assert normalized(pa.array([], pa.string())).to_pylist() == []


def test_good_pairs():
    assert problems(("Hi.", "Hallo!"), ("Tom", "Tom!"), ("12", "zwölf")) == []


def test_empty_sides():
    assert problems(("", "x"), ("x", ""), ("", ""), ("a", "b")) == [
        (0, "empty_source"),
        (1, "empty_target"),
        (2, "empty_source"),
    ]


@pytest.mark.parametrize("character", "\x00\x1b\x1f\x7f\x80\x9f\ufffd")
def test_control_characters(character):
    found = problems(("a", "b"), (f"a{character}", "b"), ("a", f"b{character}c"))
    assert found == [(1, "control_characters"), (2, "control_characters")]
    assert details(("a", f"b{character}")) == [f"holds U+{ord(character):04X}"]


def test_too_long():
    pairs = [("a" * 10, "b" * 9), ("ä" * 11, "b" * 9), ("a" * 9, "ß" * 11)]
    assert problems(*pairs, max_characters=10) == [(1, "too_long"), (2, "too_long")]
    assert details(pairs[1], max_characters=10) == ["11 characters, and 10 are allowed"]


def test_identical():
    pairs = [("Tom", "Tom"), ("Tom", "tom")]
    assert problems(*pairs) == [(0, "identical")]
    assert problems(*pairs, identical="keep") == []


def test_length_ratio():
    pairs = [("a" * 24, "b" * 8), ("a" * 25, "b" * 8), ("b" * 8, "a" * 25), ("a" * 19, "b")]
    assert problems(*pairs, max_length_ratio=3.0) == [(1, "length_ratio"), (2, "length_ratio")]
    assert problems(*pairs, max_length_ratio=None) == []
    found = problems(*pairs, max_length_ratio=3.0, min_ratio_characters=19)
    assert (3, "length_ratio") in found
    assert details(pairs[1], max_length_ratio=3.0) == ["the sides have 25 and 8 characters"]


def test_the_length_ratio_knows_the_scripts():
    english, chinese = "a" * 120, "中" * 12  # 120 : 36
    config = {"max_length_ratio": 4.0, "max_wrong_script": None}
    assert problems((english, chinese), languages=("en", "zh"), **config) == []
    assert problems((english, chinese), languages=("en", "de"), **config) == [(0, "length_ratio")]
    # The other way round characters do not count less: 30 characters are worth 90 letters.
    assert problems(("a" * 20, "中" * 30), languages=("en", "zh"), **config) == [
        (0, "length_ratio")
    ]


def test_wrong_script():
    pairs = [("Hello world", "Привет мир"), ("Здравствуйте", "Guten Tag"), ("Hello", "Hallo")]
    assert problems(*pairs) == [(0, "wrong_script"), (1, "wrong_script")]
    assert problems(*pairs, max_wrong_script=None) == []
    assert details(pairs[0]) == ["the target is not in the script of de"]


def test_a_pair_has_one_reason():
    assert problems(("\x07" * 2000, "\x07" * 2000), ("b" * 2000, "b" * 2000)) == [
        (0, "control_characters"),
        (1, "too_long"),
    ]


def test_an_evaluation_set_is_kept_whole():
    pairs = [("Tom", "Tom"), ("a" * 2000, "b"), ("a\x07", "Привет мир"), ("", "x"), ("x", "")]
    assert problems(*pairs, whole=True) == [(3, "empty_source"), (4, "empty_target")]
