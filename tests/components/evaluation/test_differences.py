"""Tests of the differences between two sentences, by word and by character."""

from __future__ import annotations

import time

import pytest

from babelrank.components.evaluation.differences import (
    MAX_CHARACTERS,
    MAX_WORDS,
    compared,
    words,
)


def marked(one: str, other: str) -> tuple[list[str], list[str]]:
    """What each text has that the other lacks."""
    sides = compared(one, other)
    assert ["".join(part for part, _ in side) for side in sides] == [one, other]
    left, right = ([part for part, differs in side if differs] for side in sides)
    return left, right


@pytest.mark.parametrize(
    ("one", "other", "left", "right"),
    [
        ("The cat sat.", "The dog sat!", ["cat", "."], ["dog", "!"]),
        ("a b c d", "a d", ["b c"], []),
        ("  two  spaces ", "two spaces", [], []),
        ("don't", "dont", ["don't"], ["dont"]),
        ("\u6211\u662f\u732b\u3002", "\u6211\u662f\u72d7\u3002", ["\u732b"], ["\u72d7"]),
        ("\u0e41\u0e21\u0e27", "\u0e41\u0e2b\u0e27", ["\u0e21"], ["\u0e2b"]),
        ("\u05d0\u05d1 \u05d2", "\u05d0\u05d1 \u05d3", ["\u05d2"], ["\u05d3"]),
        ("same", "same", [], []),
        ("", "all of it", [], []),
        ("   ", "all of it", [], []),
    ],
)
def test_what_differs(one: str, other: str, left: list[str], right: list[str]) -> None:
    assert marked(one, other) == (left, right)


def test_accents_joiners_and_vowel_signs_stay_with_their_letters() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert [word for _, word in words(f"cafe\u0301 {family}!")] == ["cafe\u0301", family, "!"]
    hindi = "\u0915\u093f\u0924\u093e\u092c"  # with vowel signs, which are no letters
    assert [word for _, word in words(hindi)] == [hindi]
    assert [word for _, word in words("\u0e17\u0e35\u0e48")] == ["\u0e17\u0e35\u0e48"]


def test_limits_come_before_the_work() -> None:
    started = time.process_time()
    assert len(words("x" * 200_000 + " " * 200_000)) == 1
    text = "word" * MAX_CHARACTERS * 100
    assert compared(text, "word") == ([(text, False)], [("word", False)])
    worst = "a b " * (MAX_WORDS // 2), "b b a " * (MAX_WORDS // 3)
    assert compared(*worst)[0] != [(worst[0], False)]
    assert time.process_time() - started < 10


def test_a_very_long_text_is_not_compared() -> None:
    text = "word " * (MAX_WORDS + 1)
    assert compared(text, "word") == ([(text, False)], [("word", False)])
