"""Tests of what a model may answer, and of when two answers are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.serving.check.answers import compare, fault, rows

SCORE = {"score": tf.TensorSpec([None], tf.float32)}
LISTS = {"scores": tf.TensorSpec([None, 2], tf.float32)}


def texts(*values: Any) -> Any:
    """An array of bytes, of any shape."""
    return np.array(values, object)


@pytest.mark.parametrize(
    ("specs", "values", "found"),
    [
        (SCORE, [0.5, 1e30], ""),
        (SCORE, 0.5, "score has the shape []; expected [2, ...]"),
        (SCORE, [0.5], "score has the shape [1]; expected [2, ...]"),
        (SCORE, [[0.5], [0.5]], "score has the shape [2, 1]; the signature says (None,)"),
        (SCORE, [0.5, np.inf], "score is [inf] in row 1; expected finite numbers"),
        (LISTS, [[1, np.nan], [1, 1]], "scores is [ 1., nan] in row 0; expected finite numbers"),
    ],
)
def test_faults(specs: Any, values: Any, found: str):
    (name,) = specs
    assert fault({name: np.array(values, np.float32)}, specs, 2) == found


def test_an_empty_batch_has_no_fault():
    assert fault({"score": np.zeros([0], np.float32)}, SCORE, 0) == ""


def test_rows_without_padding_and_the_best_of_lists():
    ids = np.array([[3, 5], [4, -1], [-1, -1]], np.int64)
    assert rows({"ids": ids}) == [{"ids": [3, 5]}, {"ids": [4]}, {"ids": []}]
    assert rows({"id": np.array([7, -1])}) == [{"id": [7]}, {"id": []}]
    nbest = {"nbest": texts([b"a", b"b"]), "scores": np.array([[-1.0, -2.0]])}
    assert rows(nbest) == [{"nbest": ["a"], "scores": [-1.0]}]
    assert rows({"best": texts(b"a\x00")}) == [{"best": ["a\x00"]}]


@pytest.mark.parametrize(
    ("got", "expected", "differs"),
    [
        ({"s": [0.5]}, {"s": [0.5005]}, False),
        ({"s": [0.5]}, {"s": [0.502]}, True),
        ({"s": [5000.0]}, {"s": [5004.0]}, False),  # relative where numbers are large
        ({"id": [1000]}, {"id": [1001]}, True),  # ids are exact
        ({"id": [1]}, {"id": [1, 2]}, True),
        ({"t": ["a"]}, {"t": ["b"]}, True),  # no score says that they are as good
        ({"t": ["a"], "s": [-1.0]}, {"t": ["b"], "s": [-1.0]}, False),
        ({"t": ["a"], "s": [-1.0]}, {"t": ["b"], "s": [-1.1]}, True),
        ({"t": ["a"], "id": [1]}, {"t": ["b"], "id": [1]}, True),
    ],
)
def test_when_answers_differ(got: Any, expected: Any, differs: bool):
    assert bool(compare(got, expected, 1e-3)[0]) == differs


@pytest.mark.parametrize("tolerance", [1e-4, 1e300])
@pytest.mark.parametrize(
    ("got", "expected"),
    [(np.nan, 0.7), (0.7, np.nan), (np.nan, np.nan), (np.inf, np.inf), (1.0, -np.inf)],
)
def test_what_is_not_finite_is_never_the_same(got: float, expected: float, tolerance: float):
    rows = {"score": [got, 1.0]}, {"score": [expected, 1.25]}
    wrong, largest = compare(*rows, tolerance)
    assert wrong[0].got is got
    assert largest == 0.25


def test_the_words_of_a_difference():
    (wrong,), largest = compare({"s": [0.25], "t": ["a"]}, {"s": [0.5]}, 1e-3)
    assert str(wrong) == "s: got 0.25, expected 0.5 (0.25 apart)"
    assert largest == 0.25
    (wrong,), _ = compare({"t": ["a"]}, {"t": ["b"]}, 1e-3)
    assert str(wrong) == "t: got 'a', expected 'b'"
