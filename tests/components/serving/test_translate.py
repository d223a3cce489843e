"""Tests of asking a translation model, by one that reverses the words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from babelrank.components.errors import ConfigError, ModelError
from babelrank.components.serving.translate import Translated, Translator, batches


@pytest.fixture(scope="module")
def translator(reverser: Path) -> Translator:
    return Translator(reverser)


LINES = ["c b a", "", "x", "one two", " \u00a0 ", "ß é", "a " * 30]
BEST = ["a b c", "", "x", "two one", "", "é ß", " ".join(["a"] * 30)]


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_order_and_blank_lines(translator: Translator, batch: int):
    found = list(translator.translate(LINES, batch))
    assert [answer.best for answer in found] == BEST
    assert [answer.source for answer in found] == LINES
    assert found[1] == Translated("")
    assert list(translator.translate([], batch)) == []
    assert list(translator.translate(["", " "], batch)) == [Translated(""), Translated(" ")]


def test_lines_of_like_length_go_together(translator: Translator):
    lines = ["a", "a" * 9, "a", "a" * 9]
    scores = [answer.scores for answer in translator.translate(lines, 2, nbest=2)]
    assert scores == [(-1.0, -2.0), (-9.0, -2.0), (-1.0, -2.0), (-9.0, -2.0)]


def test_long_lines_come_in_smaller_batches(translator: Translator):
    lines = ["a" * 300] * 3 + ["b" * 50] * 4
    rows = [-answer.scores[1] for answer in translator.translate(lines, 4, nbest=2)]
    # 4 lines of 50 characters; 2 of 300 (a third would be 900 of at most 4 * 200)
    assert rows == [2.0, 2.0, 1.0, 4.0, 4.0, 4.0, 4.0]
    (alone,) = translator.translate(["a" * 5000], 1)
    assert alone.scores == (-5000.0,)


def test_nbest(translator: Translator):
    (answer,) = translator.translate(["b a"], nbest=2)
    assert answer == Translated("b a", ("a b", "a b 1"), (-3.0, -1.0))
    (answer,) = translator.translate(["b a"], nbest=3)  # the third was not found
    assert answer.translations == ("a b", "a b 1")


@pytest.mark.parametrize("nbest", [0, 4])
def test_more_than_the_beam(translator: Translator, nbest: int):
    with pytest.raises(ConfigError, match=rf"--nbest: got {nbest}; takes 1 to 3, the beam with"):
        translator.translate(["a"], nbest=nbest)


def test_a_batch_of_one_answers_before_it_reads_on(translator: Translator):
    read = []

    def lines() -> Iterator[str]:
        for line in ("a b", "c d"):
            read.append(line)
            yield line

    answers = translator.translate(lines(), 1)
    assert next(answers).best == "b a"
    assert read == ["a b"]


def test_no_model(tmp_path: Path):
    with pytest.raises(ModelError, match="no model here"):
        Translator(tmp_path)


def test_large_batches_of_long_lines_are_divided():
    def sizes(characters: int, count: int, batch: int) -> list[int]:
        return [len(rows) for rows in batches(["x" * characters] * count, batch)]

    assert sizes(5_000, 10, 1024) == [4, 4, 2]  # 4 * 5,000 * 5,000 are what one of 10,000 takes
    assert sizes(20_000, 2, 1024) == [1, 1]
    assert sizes(100, 130, 64) == [64, 64, 2]
