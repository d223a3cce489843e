"""Tests of raw rows made into arrays, and of their description beside a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from babelrank.components.errors import InputError, ModelError
from babelrank.components.serving.model_rows import FILE, NO_TIME, RowColumn, RowsDescription

TEXT = RowColumn(name="user", kind="text")
SEVERAL = RowColumn(name="genres", kind="text", separator=";")
NUMBER = RowColumn(name="price", kind="number")
TIME = RowColumn(name="ts", kind="time")


def array(column: RowColumn, *values: Any) -> list[Any]:
    return column.array(values, range(10, 10 + len(values))).tolist()


def test_texts():
    assert array(TEXT, "a", None, "", 5, 2.5, True, False, "é", [], ["x"]) == (
        ["a", "", "", "5", "2.5", "true", "false", "é", "", "x"]
    )


def test_several_categories():
    assert array(SEVERAL, "a;b", ["a", "b"], ["a", None, 3], [], None) == (
        ["a;b", "a;b", "a;;3", "", ""]
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [(TEXT, "\ud800"), (TEXT, ["a\udfff"]), (SEVERAL, ["a", "\udc00"]), (TIME, "\ud800")],
)
def test_half_a_surrogate_pair_is_no_text(column: RowColumn, value: Any):
    said = rf"line 10: {column.name}: got .*\\ud.*; takes Unicode text, without halves of"
    with pytest.raises(InputError, match=said):
        array(column, value)


@pytest.mark.parametrize("column", [TEXT, SEVERAL, NUMBER, TIME])
@pytest.mark.parametrize("depth", [2, 490, 5000])
def test_a_list_in_a_list_is_no_value(column: RowColumn, depth: int):
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    with pytest.raises(InputError, match=rf"line 10: {column.name}: got .*; takes a"):
        array(column, value)


def test_numbers():
    found = NUMBER.array([1, 2.5, "3", True, None, "", float("nan")], range(7))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1, 2.5, 3, 1, np.nan, np.nan, np.nan])


def test_times():
    day = 1_700_000_000
    assert (
        array(
            TIME,
            day,
            day * 1000,
            str(day),
            day + 0.9,
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20",
        )
        == [day] * 6
    )
    assert array(TIME, None, "") == [NO_TIME, NO_TIME]
    assert array(TIME, "2023-11-14T23:13:20+01:00", None) == [day, NO_TIME]
    own = RowColumn(name="ts", kind="time", time_format="%d.%m.%Y")
    assert array(own, "02.01.1970", None) == [86_400, NO_TIME]


def encoded(column: RowColumn, found: pa.Array) -> tuple[list[Any], list[bool]]:
    values, bad = column.encode(found, ("", "NA"))
    return values.tolist(), bad.tolist()


def test_columns_of_files_are_encoded_as_json_values_are():
    texts = ["a", None, "", "5", "é"]
    values, bad = encoded(TEXT, pa.array(texts))
    assert [value.decode() for value in values] == array(TEXT, *texts)
    assert not any(bad)
    numbers = [1, 2.5, "3", None, "", "1e2", " 4 "]
    values, bad = NUMBER.encode(pa.array([None if n is None else str(n) for n in numbers]))
    np.testing.assert_array_equal(values, NUMBER.array(numbers, range(7)))
    assert values.dtype == np.float32
    times = ["1970-01-02", None, "", "86400", "1970-01-02T01:00:00+01:00"]
    assert encoded(TIME, pa.array(times)) == (array(TIME, *times), [False] * 5)


def test_several_categories_of_files():
    lists = pa.array([["a", "b"], None, ["a", None, "3"], []])
    assert encoded(SEVERAL, lists)[0] == [b"a;b", b"", b"a;;3", b""]
    assert encoded(SEVERAL, lists.slice(2))[0] == [b"a;;3", b""]
    assert encoded(SEVERAL, pa.array(["a;b", None, "\\N"]))[0] == [b"a;b", b"", b""]
    assert encoded(SEVERAL, pa.array(["\x1fa\x1fb", "c;d"]))[0] == [b"a;b", b"c;d"]
    assert encoded(SEVERAL, pa.array([1, None]))[0] == [b"1", b""]


def test_values_of_files_that_ingest_refuses():
    found = pa.array(["1", "inf", "1_000", "x", "NA", "1e400"])
    values, bad = NUMBER.encode(found, ("", "NA"))
    assert bad.tolist() == [False, True, True, True, False, True]
    np.testing.assert_array_equal(values, [1] + [np.nan] * 5)
    assert encoded(TEXT, pa.array([["a"], ["a", "b"], []])) == (
        [b"a", b"", b""],
        [False, True, False],
    )
    assert encoded(TIME, pa.array(["noon", "NA"])) == ([NO_TIME] * 2, [True, False])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (TEXT, ["a", "b"], r"^line 11: user: got \['a', 'b'\]; takes a text or null\.$"),
        (TEXT, {"a": 1}, r"^line 11: user: got \{'a': 1\}; takes a text or null\.$"),
        (SEVERAL, {"a": 1}, r"^line 11: genres: got .*; takes a text, a list of texts or null\.$"),
        (NUMBER, "cheap", r"^line 11: price: got 'cheap'; takes a number or null\.$"),
        (NUMBER, [1], r"^line 11: price: got \[1\]; takes a number or null\.$"),
        (NUMBER, {}, r"^line 11: price: got \{\}; takes a number or null\.$"),
        (NUMBER, 10**400, r"^line 11: price: got 10{58}…; takes a number or null\.$"),
        (TIME, "yesterday", r"^line 11: ts: got 'yesterday'; takes a time or null\.$"),
        (TIME, "2023-13-01", r"^line 11: ts: got '2023-13-01'; takes a time or null\.$"),
        (TIME, True, r"^line 11: ts: got True; takes a time or null\.$"),
        (TIME, [1], r"^line 11: ts: got \[1\]; takes a time or null\.$"),
    ],
)
def test_wrong_types(column: RowColumn, value: Any, message: str):
    with pytest.raises(InputError, match=message):
        array(column, None, value)


def test_description_round_trip(tmp_path: Path):
    rows = RowsDescription(
        task="ranking", signature="predict_rows", output="score", columns=(TEXT, SEVERAL, TIME)
    )
    rows.save(str(tmp_path))
    assert (tmp_path / FILE).exists()
    assert RowsDescription.load(tmp_path) == rows
    arrays = rows.arrays([{"user": "u", "more": 1}, {}], [1, 2])
    assert {name: a.tolist() for name, a in arrays.items()} == {
        "user": ["u", ""],
        "genres": ["", ""],
        "ts": [NO_TIME, NO_TIME],
    }


@pytest.mark.parametrize("text", [None, "{"])
def test_no_description(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / FILE).parent.mkdir()
        (tmp_path / FILE).write_text(text)
    with pytest.raises(ModelError, match=r"no model that BabelRank exported.*Give the folder"):
        RowsDescription.load(tmp_path)
