"""Tests of what counts as a space: the same in Arrow, in TensorFlow and by Unicode's own list."""

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from babelrank.components.translation.records import CHARACTER_BUCKETS, SPACES, WORD_BUCKETS

# Python's spaces but the four separators of ASCII, and three characters that have no width.
EXPECTED = {chr(i) for i in range(0x110000) if chr(i).isspace()} - set("\x1c\x1d\x1e\x1f")
EXPECTED |= {"\u200b", "\u2060", "\ufeff"}
CHARACTERS = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]


def test_every_character_in_arrow():
    matched = pc.match_substring_regex(pa.array(CHARACTERS), SPACES).to_pylist()
    assert {c for c, hit in zip(CHARACTERS, matched, strict=True) if hit} == EXPECTED


def test_every_character_in_tensorflow():
    few = [c for c in CHARACTERS if ord(c) < 0x3100 or 0xFE00 <= ord(c) < 0x10000]
    matched = tf.strings.regex_full_match([c.encode() for c in few], SPACES).numpy()
    assert {c for c, hit in zip(few, matched, strict=True) if hit} == EXPECTED


def test_all_separators_of_unicode_are_spaces():
    assert {c for c in CHARACTERS if unicodedata.category(c)[0] == "Z"} <= EXPECTED


def test_a_run_is_one_match():
    replaced = tf.strings.regex_replace("a\u00a0 \u200b\tb\u3000c", SPACES, " ")
    assert replaced.numpy() == b"a b c"


def test_buckets_sort_by_length():
    for buckets in (WORD_BUCKETS, CHARACTER_BUCKETS):
        assert list(buckets) == sorted(buckets)
