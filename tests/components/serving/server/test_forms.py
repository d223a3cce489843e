"""Tests of what requests ask, without a server: the limits stand before every door."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import RowColumn, RowsDescription
from babelrank.components.serving.server.lines_form import LinesForm
from babelrank.components.serving.server.refusals import BadRequest, TooLarge
from babelrank.components.serving.server.requests import EXAMPLES, Question
from babelrank.components.serving.server.rows_form import RowsForm
from babelrank.components.serving.server.settings import Limits

ABOUT = LinesDescription(source_language="he", target_language="en", beam_size=2)
SHIN = "\ufb2c"
"""One character that is three in NFC."""


def lines(**limits: Any) -> LinesForm:
    return LinesForm(ABOUT, Limits(**limits))


def rows(**limits: Any) -> RowsForm:
    columns = (RowColumn(name="user", kind="text"), RowColumn(name="price", kind="number"))
    about = RowsDescription(task="ranking", signature="rows", output="score", columns=columns)
    return RowsForm(about, Limits(**limits))


def serialized(**texts: list[bytes]) -> bytes:
    """An example whose features are these."""
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        for name, values in texts.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString())


def body(*examples: bytes) -> dict[str, Any]:
    return {"instances": [{"b64": base64.b64encode(one).decode()} for one in examples]}


def test_serialized_lines_are_asked_as_lines_are():
    found = lines().question(body(serialized(source=["ä b".encode()]), serialized(id=[b"1"])))

    assert found == Question("translate", ["ä b", ""])
    assert [numbers for numbers, _ in lines().pieces(found)] == [[0]]


def test_a_long_serialized_line_is_refused():
    long = serialized(source=[b"x" * 11])

    with pytest.raises(TooLarge, match="instance 2: got 11 characters; takes 10 at the most"):
        lines(max_line_characters=10).question(body(serialized(source=[b"x" * 10]), long))


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (b"\xff\xff", "instance 1: got 2 bytes that are no tf.Example"),
        (serialized(source=[b"a", b"b"]), "instance 1: source: got 2 values; takes a text"),
        (serialized(source=[b"a\xff"]), r"source: got no UTF-8 \(invalid start byte at byte 2\)"),
        (
            tf.train.Example(
                features=tf.train.Features(
                    feature={"source": tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))}
                )
            ).SerializeToString(),
            "source: got int64_list; takes a text in bytes_list",
        ),
    ],
)
def test_what_is_no_serialized_line_is_refused(example: bytes, said: str):
    with pytest.raises(BadRequest, match=said):
        lines().question(body(example))


def test_texts_of_serialized_rows_are_bounded():
    good = serialized(user=["é".encode() * 10], tags=[b"a", b"b"])
    form = rows(max_characters=10)

    assert form.question(body(good)) == Question(EXAMPLES, [good])
    with pytest.raises(TooLarge, match="instance 2: 'user': got 11 characters; takes 10"):
        form.question(body(good, serialized(user=[b"short", b"x" * 11])))
    with pytest.raises(BadRequest, match="instance 1: got 3 bytes that are no tf.Example"):
        form.question(body(b"\0\0\0"))


def test_serialized_rows_go_in_batches():
    pieces = rows(max_batch=2).pieces(Question(EXAMPLES, [b"a", b"b", b"c"]))

    assert [(numbers, piece.content) for numbers, piece in pieces] == [
        ([0, 1], [b"a", b"b"]),
        ([2], [b"c"]),
    ]


def test_lines_are_measured_as_the_model_reads_them():
    form = lines(max_line_characters=10)

    assert form.question({"instances": [SHIN * 3]}).items == [SHIN * 3]
    with pytest.raises(TooLarge, match="instance 1: got 12 characters; takes 10"):
        form.question({"instances": [SHIN * 4]})
    assert form.question({"instances": ["é" * 10]}).items == ["é" * 10]


def test_many_combining_marks_do_not_hold_the_server_up():
    """To normalise each of these lines takes 10 ms."""
    marks = "a" + "\u0301" * 999 + "\u0316" * 1000
    began = time.perf_counter()
    form = lines()

    assert len(form.pieces(form.question({"instances": [marks] * 1000}))) == 334
    assert time.perf_counter() - began < 10  # normalising takes 20 and more


def test_the_square_of_a_batch_is_bounded():
    """200 characters for each line of a full batch of 4: two of 400, or 3 of 266."""
    form = lines(max_batch_lines=4, max_line_characters=400)
    found = form.pieces(form.question({"instances": ["x" * 400] * 3 + [SHIN * 133] * 2}))

    sizes = sorted((piece.size, piece.width) for _, piece in found)
    assert sizes == [(1, 400), (2, 399), (2, 400)]
    assert all(piece.size * piece.width <= form.max_cells for _, piece in found)


def test_the_lower_limit_of_characters_counts():
    for limits in ({"max_characters": 5}, {"max_line_characters": 5}):
        with pytest.raises(TooLarge, match="takes 5 at the most"):
            lines(**limits).question({"instances": ["x" * 6]})
    assert rows(max_line_characters=5).question({"instances": [{"user": "x" * 6}]}).items


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_is_no_text(text: str):
    with pytest.raises(BadRequest, match="instance 1: got '.*, which has half a surrogate pair"):
        lines().question({"instances": [text]})
    with pytest.raises(BadRequest, match="instance 1: 'user': got '.*half a surrogate pair"):
        rows().question({"instances": [{"user": text}]})
