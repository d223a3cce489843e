"""Greedy and beam search over small tables, against all translations written out."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.translation.decoding import Found, Settings, length_penalty, search, top_k

EOS, A, B = 1, 2, 3


class Table:
    """Log-probabilities of the next subword [sentence, last subword, subword].

    The past is the number of the sentence, so that a wrong reordering shows.
    """

    def __init__(self, logits: Any, size: int) -> None:
        self._table = tf.nn.log_softmax(tf.constant(logits, tf.float32))
        self._size = size
        self.steps = 0

    def empty(self, rows: tf.Tensor, length: int) -> Any:
        sentences = tf.repeat(tf.range(rows // self._size), self._size)
        return {"sentence": tf.cast(sentences, tf.float32)}

    def __call__(self, ids: tf.Tensor, position: Any, past: Any, static: bool) -> Any:
        self.steps += 1
        sentence = tf.cast(past["sentence"], tf.int32)
        return tf.gather_nd(self._table, tf.stack([sentence, ids], axis=1)), past

    def log_probability(self, sentence: int, ids: tuple[int, ...]) -> float:
        pairs = zip((0, *ids), ids, strict=False)
        return sum(float(self._table[sentence, last, new]) for last, new in pairs)


def random_tables(sentences: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 2, [sentences, 4, 4]) + [-9, 0, 0, 0]


def settings(size: int, alpha: float = 0.6, static: int | None = None) -> Settings:
    return Settings(beam_size=size, alpha=alpha, eos_id=EOS, static_length=static)


def run(logits: Any, limit: int, how: Settings) -> Found:
    limits = tf.fill([len(logits)], limit)
    return search(Table(logits, how.beam_size), limits, how)


def written(found: Found, sentence: int, rank: int) -> tuple[int, ...]:
    row = found.ids[sentence, rank].numpy().tolist()
    return tuple(row[: row.index(EOS) + 1]) if EOS in row else tuple(i for i in row if i)


def all_ended(limit: int) -> list[tuple[int, ...]]:
    """Every translation of A and B that ends within the limit."""
    return [
        (*words, EOS)
        for length in range(limit)
        for words in itertools.product((A, B), repeat=length)
    ]


def test_length_penalty() -> None:
    assert float(length_penalty(1, 0.6)) == 1.0
    assert float(length_penalty(7, 1.0)) == 2.0
    assert float(length_penalty(7, 0.0)) == 1.0


@pytest.mark.parametrize("static", [None, 4])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
def test_a_wide_beam_finds_the_best_of_all_translations(alpha: float, static: int | None) -> None:
    logits, size, limit = random_tables(5), 16, 4
    found = run(logits, limit, settings(size, alpha, static))
    table = Table(logits, size)
    for sentence in range(5):
        scored = {
            ids: table.log_probability(sentence, ids) / float(length_penalty(len(ids), alpha))
            for ids in all_ended(limit)
        }
        best = sorted(scored, key=scored.__getitem__, reverse=True)
        for rank in range(3):
            assert written(found, sentence, rank) == best[rank]
            assert float(found.scores[sentence, rank]) == pytest.approx(scored[best[rank]], 1e-4)


def test_scores_fall_and_every_sentence_keeps_to_itself() -> None:
    logits = random_tables(6, seed=1)
    together = run(logits, 5, settings(3))
    assert (np.diff(together.scores.numpy()) <= 1e-6).all()
    for sentence in range(6):
        alone = run(logits[sentence : sentence + 1], 5, settings(3))
        assert written(alone, 0, 0) == written(together, sentence, 0)
        np.testing.assert_allclose(alone.scores[0], together.scores[sentence], rtol=1e-5)


def test_limits_are_of_each_sentence() -> None:
    logits = random_tables(2, seed=2)
    found = search(Table(logits, 3), tf.constant([2, 6]), settings(3))
    alone = run(logits[:1], 2, settings(3))
    assert written(found, 0, 0) == written(alone, 0, 0)
    np.testing.assert_allclose(found.scores[0], alone.scores[0], rtol=1e-5)


@pytest.mark.parametrize("static", [None, 6])
def test_greedy_takes_the_likeliest_subword_each_time(static: int | None) -> None:
    logits = random_tables(8, seed=3)
    found = run(logits, 6, settings(1, static=static))
    table = Table(logits, 1)
    for sentence in range(8):
        ids: tuple[int, ...] = ()
        while len(ids) < 6 and EOS not in ids:
            ids += (int(np.argmax(logits[sentence, ids[-1] if ids else 0])),)
        assert written(found, sentence, 0) == ids
        score = table.log_probability(sentence, ids) / float(length_penalty(len(ids), 0.6))
        assert float(found.scores[sentence, 0]) == pytest.approx(score, 1e-4)


@pytest.mark.parametrize("size", [1, 2])
def test_what_never_ends_is_cut_and_its_score_is_normalised_too(size: int) -> None:
    never = np.full([1, 4, 4], -30.0)
    never[:, :, A] = 0.0
    never[:, :, B] = -math.log(3)
    never[:, :, EOS] = -1e10  # an ended translation, however bad, would come first
    found = run(never, 3, settings(size))
    assert written(found, 0, 0) == (A, A, A)
    score = 3 * math.log(0.75) / (8 / 6) ** 0.6
    assert float(found.scores[0, 0]) == pytest.approx(score, 1e-3)


def test_search_stops_when_nothing_better_can_come() -> None:
    certain = np.full([1, 4, 4], -20.0)
    certain[:, :, EOS] = 0.0
    table = Table(certain, 1)
    calls = []
    logged = lambda *arguments: calls.append(1) or table(*arguments)  # noqa: E731
    logged.empty = table.empty  # type: ignore[attr-defined]
    search(logged, tf.constant([50]), settings(1))  # type: ignore[arg-type]
    assert len(calls) == 1


def test_the_best_is_the_same_when_only_the_best_is_wanted() -> None:
    logits = random_tables(20, seed=4)
    complete = run(logits, 8, settings(3))
    fast = run(logits, 8, dataclasses.replace(settings(3), complete=False))
    for sentence in range(20):
        assert written(fast, sentence, 0) == written(complete, sentence, 0)
    np.testing.assert_allclose(fast.scores[:, 0], complete.scores[:, 0], rtol=1e-5)


@pytest.mark.parametrize("size", [10, 4096, 8001])
def test_top_k_by_chunks(size: int) -> None:
    logits = tf.random.stateless_normal([3, size], [1, 2]) * 5.0
    values, ids = top_k(logits, 4)
    expected, places = tf.math.top_k(logits, 4)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(ids, places)


def test_an_empty_batch_is_answered() -> None:
    found = search(Table(random_tables(1), 2), tf.zeros([0], tf.int32), settings(2))
    assert found.scores.shape == (0, 2)
