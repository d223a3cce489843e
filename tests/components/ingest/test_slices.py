"""Tests of texts cut out of a buffer."""

import numpy as np
import pyarrow as pa
import pytest

from babelrank.components.ingest.slices import buffer_of, count_in_texts, cut_texts, line_bounds


def lines(data):
    text = np.frombuffer(data, np.uint8)
    return cut_texts(text, *line_bounds(text)).to_pylist()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\n\r\n\nx", ["", "", "", "x"]),
        (b"a\rb\n", ["a\rb"]),
        ("a\u2028b\u0085c\x0bd\x0ce\n".encode(), ["a\u2028b\u0085c\x0bd\x0ce"]),
    ],
)
def test_lines_end_at_lf_and_crlf_only(data, expected):
    assert lines(data) == expected


def test_bytes_that_are_not_utf8():
    with pytest.raises(pa.ArrowInvalid):
        lines(b"good\nb\xffd\n")


def test_a_character_must_not_be_cut():
    with pytest.raises(pa.ArrowInvalid):
        cut_texts(np.frombuffer("é".encode(), np.uint8), np.array([0, 1]), np.array([1, 2]))


def test_buffer_of_a_slice():
    data, offsets = buffer_of(pa.array(["ab", "", "cde", "f"])[1:3])
    assert (data.tobytes(), offsets.tolist()) == (b"cde", [0, 0, 3])


def test_counts():
    data, offsets = buffer_of(pa.array(["a b", "", "  ", "x"]))
    assert count_in_texts(np.flatnonzero(data == ord(" ")), offsets).tolist() == [1, 0, 2, 0]
