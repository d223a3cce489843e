"""Tests of turning Arrow columns of any type into numbers, texts, lists and times."""

import datetime
import math

import numpy as np
import pyarrow as pa
import pytest

from babelrank.components.ingest.columns import to_floats, to_lists, to_seconds, to_texts
from babelrank.components.ingest.jsonl_reader import LIST_SEPARATOR

NAN = math.nan


def same(found, expected):
    np.testing.assert_array_equal(found, np.array(expected, float))


@pytest.mark.parametrize(
    ("array", "values", "bad"),
    [
        (pa.array([1, None, 3]), [1, NAN, 3], [0, 0, 0]),
        (pa.array([1.5, NAN, math.inf, -math.inf]), [1.5, NAN, NAN, NAN], [0, 0, 1, 1]),
        (pa.array([True, False, None]), [1, 0, NAN], [0, 0, 0]),
        (pa.array(["1", " 2.5 ", "-3e2", "+4", ".5", "5."]), [1, 2.5, -300, 4, 0.5, 5], [0] * 6),
        (pa.array(["", None, "NA", "x", "1,5", "1_0", "0x1"]), [NAN] * 7, [0, 0, 0, 1, 1, 1, 1]),
        (pa.array(["nan", "NaN", "NAN", "-nan"]), [NAN] * 4, [0] * 4),
        (pa.array(["inf", "Infinity", "1e400", "1e39", "-1e39"]), [NAN] * 5, [1] * 5),
        (pa.array([1e39, 1e38]), [NAN, 1e38], [1, 0]),
        (pa.array(["1", None], pa.large_string()), [1, NAN], [0, 0]),
        (pa.array([b"1", b"x"]), [1, NAN], [0, 1]),
        (pa.array(["1", "x", "1"]).dictionary_encode(), [1, NAN, 1], [0, 1, 0]),
        (pa.array([[1.0], [], None, [1.0, 2.0]]), [1, NAN, NAN, NAN], [0, 0, 0, 1]),
        (pa.array([[b"7"], [b"x"]], pa.large_list(pa.binary())), [7, NAN], [0, 1]),
        (pa.array([[]], pa.list_(pa.float32())), [NAN], [0]),
        (pa.nulls(2), [NAN, NAN], [0, 0]),
        (pa.array([], pa.string()), [], []),
    ],
)
def test_to_floats(array, values, bad):
    found, mask = to_floats(array, ["", "NA"])
    same(found, values)
    assert mask.tolist() == [bool(b) for b in bad]


def test_to_floats_without_missing_texts():
    found, bad = to_floats(pa.array(["", "1"]), [])
    same(found, [NAN, 1])
    assert bad.tolist() == [True, False]


def test_to_floats_of_a_slice():
    found, bad = to_floats(pa.array([[9.0], [1.0, 2.0], [], [3.0]])[1:])
    same(found, [NAN, NAN, 3])
    assert bad.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("array", "values", "bad"),
    [
        (pa.array(["a", "", "\\N", None, "NA", " b"]), ["a", *[None] * 3, "NA", " b"], [0] * 6),
        (pa.array([7, None]), ["7", None], [0, 0]),
        (pa.array([7.0, NAN, 1.5]), ["7", None, "1.5"], [0, 0, 0]),
        (pa.array([True, False]), ["true", "false"], [0, 0]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"], [0, 0, 0]),
        (pa.array(["a"], pa.large_string()), ["a"], [0]),
        (pa.array([b"\xc3\xa9"]), ["é"], [0]),
        (pa.array([["a"], [], None, ["a", "b"]]), ["a", None, None, None], [0, 0, 0, 1]),
        (pa.array([[7], [8]]), ["7", "8"], [0, 0]),
        (pa.array([f"{LIST_SEPARATOR}a", f"{LIST_SEPARATOR}a{LIST_SEPARATOR}b", "c"]),
         ["a", None, "c"], [0, 1, 0]),
        (pa.array([datetime.date(2024, 1, 2)]), ["2024-01-02"], [0]),
        (pa.nulls(1), [None], [0]),
    ],
)  # fmt: skip
def test_to_texts(array, values, bad):
    texts, mask = to_texts(array)
    assert texts.type == pa.string()
    assert texts.to_pylist() == values
    assert mask.tolist() == [bool(b) for b in bad]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["a|b", "c", "", None]), [["a", "b"], ["c"], None, None]),
        (pa.array(["a|b", "a|b"]).dictionary_encode(), [["a", "b"]] * 2),
        (pa.array([["a", "b"], [], None, ["c"]]), [["a", "b"], [], None, ["c"]]),
        (pa.array([["x"], ["a", "b"], ["c"]])[1:], [["a", "b"], ["c"]]),
        (pa.array([["x"], None, ["c"]])[1:], [None, ["c"]]),
        (pa.array([[1, 2], [3]]), [["1", "2"], ["3"]]),
        (pa.array([[b"a"]], pa.large_list(pa.binary())), [["a"]]),
        (pa.array([f"{LIST_SEPARATOR}a|b{LIST_SEPARATOR}c", "d|e"]), [["a|b", "c"], ["d", "e"]]),
        (pa.nulls(1), [None]),
    ],
)
def test_to_lists(array, expected):
    assert to_lists(array, "|").to_pylist() == expected


JAN_2 = 1704153600  # 2024-01-02T00:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02", JAN_2),
        ("2024-01-02 01:00", JAN_2 + 3600),
        ("2024-01-02T01:00:01", JAN_2 + 3601),
        (" 2024-01-02 01:00:01.999999999 ", JAN_2 + 3601),
        ("2024-01-02T00:00:00Z", JAN_2),
        ("2024-01-02 00:00:00 UTC", JAN_2),
        ("2024-01-02 00:00:00.5 UTC", JAN_2),
        ("2024-01-02T00:00:00+01:00", JAN_2 - 3600),
        ("2024-01-02T00:00:00.75-0530", JAN_2 + 5 * 3600 + 30 * 60),
        ("2024-01-02 00:00:00+02", JAN_2 - 7200),
        ("2024-01-02 00:00:00 +0200", JAN_2 - 7200),
        ("1969-12-31T23:59:59.5", -1),
        ("9999-12-31 00:00:00", 253402214400),
        (str(JAN_2), JAN_2),
        (f"{JAN_2}.9", JAN_2),
        (f"{JAN_2}999", JAN_2),
        (f"{JAN_2}999999", JAN_2),
        (f"{JAN_2}900000000", JAN_2),
        ("0", 0),
        ("-1", -1),
    ],
)
def test_to_seconds_of_texts(text, expected):
    for texts in ([text], [text, "2024-13-01"]):  # a bad month makes rows be parsed one by one
        seconds, missing, bad = to_seconds(pa.array(texts))
        assert seconds[0] == expected
        assert not missing.any()
        assert bad.tolist() == [False, True][: len(texts)]


def test_one_bad_time_changes_no_other():
    # 20240102 is a number, so epoch seconds, whatever else stands in the block.
    for more in ([], ["2024-13-01"]):
        seconds, _, bad = to_seconds(pa.array(["20240102", "20240102T000000", *more]))
        assert seconds[0] == 20240102
        assert bad[:2].tolist() == [False, True]


@pytest.mark.parametrize(
    "text",
    ["2024-13-01", "2024-02-30", "2024-01-02T25:00", "01/02/2024", "soon", "nan", "inf", "1e30"],
)
def test_unreadable_times(text):
    seconds, missing, bad = to_seconds(pa.array([text, "2024-01-02"]))
    assert (missing.tolist(), bad.tolist()) == ([False, False], [True, False])
    assert seconds[1] == JAN_2


def test_missing_times():
    seconds, missing, bad = to_seconds(pa.array(["", None, "NA", "0"]), ["", "NA"])
    assert seconds.tolist() == [0, 0, 0, 0]
    assert missing.tolist() == [True, True, True, False]
    assert not bad.any()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([JAN_2]), JAN_2),
        (pa.array([JAN_2 * 1000]), JAN_2),
        (pa.array([float(JAN_2)]), JAN_2),
        (pa.array([datetime.datetime(2024, 1, 2)]), JAN_2),
        (pa.array([datetime.date(2024, 1, 2)]), JAN_2),
        (pa.array([JAN_2 - 3600], pa.timestamp("s", "Europe/Paris")), JAN_2 - 3600),
        (pa.array([JAN_2 * 1000 + 999], pa.timestamp("ms")), JAN_2),
        (pa.array([-1], pa.timestamp("ns")), -1),
        (pa.array([[JAN_2]]), JAN_2),
        (pa.array([[b"2024-01-02"]]), JAN_2),
    ],
)
def test_to_seconds_of_other_types(array, expected):
    array = pa.concat_arrays([array, pa.nulls(1, array.type)])
    seconds, missing, bad = to_seconds(array)
    assert seconds.tolist() == [expected, 0]
    assert missing.tolist() == [False, True]
    assert not bad.any()


def test_time_format():
    texts = pa.array(["02.01.2024 01:00", "32.01.2024 01:00", "", "1704153600"])
    seconds, missing, bad = to_seconds(texts, [""], "%d.%m.%Y %H:%M")
    assert seconds.tolist() == [JAN_2 + 3600, 0, 0, JAN_2]
    assert missing.tolist() == [False, False, True, False]
    assert bad.tolist() == [False, True, False, False]


def test_time_format_of_numbers():
    seconds, _, bad = to_seconds(pa.array([20240102]), [""], "%Y%m%d")
    assert (seconds.tolist(), bad.tolist()) == ([JAN_2], [False])


def test_dates_far_away_do_not_overflow():
    far = pa.array([datetime.date(9999, 1, 1), None])
    seconds, missing, bad = to_seconds(far)
    assert seconds.tolist() == [253_370_764_800, 0]
    assert missing.tolist() == [False, True]
    assert not bad.any()
