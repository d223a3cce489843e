"""Tests of the set of hashes, against Python's own."""

import numpy as np
import pytest

from babelrank.components.ingest.seen import Seen


def hashes(*values):
    return np.array(values, np.uint64)


def test_first_occurrences():
    seen = Seen()
    assert seen.add(hashes(5, 3, 5, 2**64 - 1)).tolist() == [True, True, False, True]
    assert seen.add(hashes(0, 3, 0, 7)).tolist() == [True, False, False, True]
    assert seen.has(hashes(7, 1, 5)).tolist() == [True, False, True]
    assert seen.to_array().tolist() == [0, 3, 5, 7, 2**64 - 1]
    assert len(seen) == 5


def test_begins_with_a_run():
    seen = Seen(hashes(1, 4), hashes())
    assert seen.add(hashes(4, 2)).tolist() == [False, True]


def test_nothing():
    seen = Seen()
    assert seen.add(hashes()).tolist() == []
    assert seen.has(hashes(1)).tolist() == [False]
    assert seen.to_array().tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_like_a_set(seed):
    generator = np.random.default_rng(seed)
    seen, reference = Seen(), set()
    for _ in range(50):
        block = generator.integers(0, 3000, generator.integers(0, 200)).astype(np.uint64)
        expected = []
        for value in block.tolist():
            expected.append(value not in reference)
            reference.add(value)
        assert seen.add(block).tolist() == expected
    assert seen.to_array().tolist() == sorted(reference)
    assert len(seen._runs) < 8
