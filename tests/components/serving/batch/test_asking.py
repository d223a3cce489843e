"""Tests of asking a model about rows of which it does not take some."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from babelrank.components.serving.batch.asking import ask_apart, sentence


def halves(refused: set[int], size: int) -> list[tuple[list[int], list[int] | str]]:
    def ask(rows: npt.NDArray[np.int64]) -> list[int]:
        if refused & set(rows.tolist()):
            raise tf.errors.InvalidArgumentError(None, None, f"not {sorted(refused)[0]}\n at node")
        return (rows * 10).tolist()

    return [(rows.tolist(), answer) for rows, answer in ask_apart(ask, np.arange(size))]


def test_rows_that_are_refused_stand_alone():
    assert halves(set(), 3) == [([0, 1, 2], [0, 10, 20])]
    assert halves({4}, 5) == [([0, 1], [0, 10]), ([2], [20]), ([3], [30]), ([4], "not 4")]
    assert halves({0, 1}, 2) == [([0], "not 0"), ([1], "not 0")]


def test_other_errors_are_no_refusals():
    def ask(rows: npt.NDArray[np.int64]) -> None:
        raise tf.errors.FailedPreconditionError(None, None, "table not initialized")

    with pytest.raises(tf.errors.FailedPreconditionError, match="not initialized"):
        list(ask_apart(ask, np.arange(2)))


def test_a_refusal_that_quotes_bytes():
    def ask(rows: npt.NDArray[np.int64]) -> list[int]:
        if 1 in rows:
            b"could not parse caf\xe9".decode()
        return rows.tolist()

    found = [(rows.tolist(), answer) for rows, answer in ask_apart(ask, np.arange(3))]
    assert found == [([0], [0]), ([1], "could not parse caf\\xe9"), ([2], [2])]


def test_what_a_message_says():
    assert sentence("Graph execution error:\n\nDetected at node x\n Could not parse\n\t [[x]]") == (
        "Could not parse"
    )
    assert sentence("Graph execution error:") == "Graph execution error:"
    assert sentence("") == ""
    assert len(sentence("x" * 1000)) == 200
