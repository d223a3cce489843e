"""Rules of TensorFlow Serving's JSON that no model of ours calls upon, but clients may."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.contract.json_answer import answer
from tests.contract.json_request import COLUMNAR, ROW, parse, tensors
from tests.contract.status import StatusError
from tests.contract.tensors import INT64, STRING, from_array


def test_numbers_are_as_short_as_they_can_be() -> None:
    values = np.array([0.5, 1, 9e6, 1 / 3, 1e-7, math.nan, -math.inf], np.float32)
    assert answer(COLUMNAR, {"x": from_array(values)}) == (
        b'{"outputs": [0.5, 1.0, 9e+06, 0.333333343, 1e-07, NaN, -Infinity]}'
    )


def test_outputs_of_bytes_are_base64() -> None:
    texts = from_array(np.array([b"\xff", b"a"], object))
    assert answer(ROW, {"x_bytes": texts}) == (
        b'{"predictions": [{"b64": "/w=="}, {"b64": "YQ=="}]}'
    )
    # By another name they come as they are: an answer that is no UTF-8.
    assert b"\xff" in answer(ROW, {"x": texts})


def test_outputs_of_unequal_batches_have_no_rows() -> None:
    outputs = {"x": from_array(np.zeros([2], np.int64)), "y": from_array(np.zeros([1], np.int64))}
    with pytest.raises(StatusError, match="inconsistent batch sizes"):
        answer(ROW, outputs)
    assert answer(COLUMNAR, outputs) == b'{"outputs": {"x": [0, 0], "y": [0]}}'


def test_whole_numbers_are_exact() -> None:
    found = parse(b'{"inputs": [-9223372036854775808, 9223372036854775807]}')
    _, made = tensors(found, {"x": INT64})
    assert list(made["x"].int64_val) == [-(2**63), 2**63 - 1]
    for text in (b"9223372036854775808", b"1.0", b"1e3", b"true"):
        with pytest.raises(StatusError, match="not of expected type: int64"):
            tensors(parse(b'{"inputs": [' + text + b"]}"), {"x": INT64})


def test_escapes_and_bytes_in_texts() -> None:
    found = parse(
        b'\xef\xbb\xbf{"inputs": ["\\ud83d\\ude00\\\\ud800", "\xff", "first"], "inputs": 1}'
    )
    _, made = tensors(found, {"x": STRING})
    assert made["x"].string_val[0] == b"\xf0\x9f\x98\x80\\ud800"
    assert made["x"].string_val[1] == b"\xff"
