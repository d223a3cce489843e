"""Tests of making rows of a click log into examples."""

import datetime
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.ingest.blocks import Block
from babelrank.components.ingest.jsonl_reader import LIST_SEPARATOR
from babelrank.components.ranking.config import DataConfig
from babelrank.components.ranking.records import LABEL, TIMESTAMP, WEIGHT, RowReader, join_table


def config(**keys):
    keys = {"path": "x", "label": "y", "categorical": ["c"]} | keys
    return from_dict(DataConfig, keys, "data")


def read(table, tables=(), **keys):
    """Features of a table whose column `c` numbers the rows, unless it is given."""
    rows = len(next(iter(table.values())))
    table = {"c": [str(i) for i in range(rows)]} | table
    batch = pa.RecordBatch.from_pydict(table)
    block = Block(batch, lambda indices: [], 0)
    return RowReader(config(**keys), tables).read(block)


def labels(values, **keys):
    """Label by row number, reasons by row number, and what was dropped."""
    rows = read({"y": values}, **keys)
    found = dict(zip(rows.index.tolist(), flat(rows, LABEL), strict=True))
    return found, {i: reason for i, reason, _ in rows.bad}, dict(rows.dropped)


def flat(rows, name):
    values = rows.features.column(rows.features.schema.get_field_index(name)).to_pylist()
    return [None if value is None else value[0] for value in values]


def listed(rows, name):
    return rows.features.column(rows.features.schema.get_field_index(name)).to_pylist()


@pytest.mark.parametrize(
    "values",
    [
        ["1", "0", "x", "2", "", "NA"],
        [1.0, 0.0, np.inf, 0.5, None, None],
        pa.array([[1], [0], [1, 0], [2], [], None], pa.list_(pa.int64())),
        pa.array(["true", "no", "x", "7", "", None]),
        pa.array(["True", " NO ", "x", "7", "", "null"], pa.large_string()),
        pa.array(["yes", "f", "x", "7", "", None]).dictionary_encode(),
        pa.array([[b"t"], [b"false"], [b"x"], [b"7"], [], None]),
    ],
)
def test_click_labels(values):
    found, bad, dropped = labels(values)
    assert found == {0: 1.0, 1: 0.0}
    assert bad == {
        2: "bad_label",
        3: "label_out_of_range",
        4: "label_missing",
        5: "label_missing",
    }
    assert dropped == {}


def test_boolean_labels():
    assert labels([True, False, None]) == ({0: 1.0, 1: 0.0}, {2: "label_missing"}, {})


def test_missing_labels_may_be_dropped():
    found, bad, dropped = labels(["1", "", "x"], label={"column": "y", "missing": "drop"})
    assert (found, bad, dropped) == ({0: 1.0}, {2: "bad_label"}, {"label_missing": 1})


@pytest.mark.parametrize(
    "values", [["20", "15", "-3.5", "late", "NA"], [20, 15, -3.5, np.inf, None]]
)
def test_a_rule_that_compares_sizes(values):
    found, bad, _ = labels(values, label={"column": "y", "positive": "> 15"})
    assert found == {0: 1.0, 1: 0.0, 2: 0.0}
    assert bad == {3: "bad_label", 4: "label_missing"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("= order", [0, 0, 1]),
        ("!= view", [0, 1, 1]),
        ("in cart, order", [0, 1, 1]),
        ("= nothing", [0, 0, 0]),
    ],
)
def test_rules_on_texts(rule, expected):
    values = ["view", "cart", "order", "", None, "NULL"]
    found, bad, _ = labels(values, label={"column": "y", "positive": rule})
    assert list(found.values()) == expected
    assert bad == dict.fromkeys((3, 4, 5), "label_missing")


def test_a_rule_may_name_a_text_that_else_means_missing():
    found, bad, _ = labels(["null", "x", "NA"], label={"column": "y", "positive": "!= null"})
    assert (found, bad) == ({0: 0.0, 1: 1.0}, {2: "label_missing"})


def test_a_rule_on_numbers_as_texts():
    assert labels([1, 2], label={"column": "y", "positive": "in 2, 3"})[0] == {0: 0.0, 1: 1.0}


def test_ratings_and_their_range():
    label = {"column": "y", "range": [0.5, 5]}
    found, bad, _ = labels(["0.5", "5", "0", "5.5", "x"], objective="rating", label=label)
    assert found == {0: 0.5, 1: 5.0}
    assert bad == {2: "label_out_of_range", 3: "label_out_of_range", 4: "bad_label"}
    assert labels(["-1e6"], objective="rating")[0] == {0: -1e6}


def test_the_detail_of_a_bad_row_names_column_and_value():
    rows = read({"y": ["maybe"]})
    assert rows.bad == [(0, "bad_label", "y holds 'maybe'")]


def test_only_the_first_reason_counts():
    rows = read({"y": ["x", "1"], "w": ["-1", "2"], "d": ["z", "3"]}, weight="w", dense=["d"])
    assert [(i, reason) for i, reason, _ in rows.bad] == [(0, "bad_label")]
    assert rows.index.tolist() == [1]


def test_a_dropped_row_is_not_also_quarantined():
    rows = read(
        {"y": ["", "1"], "d": ["z", "3"]}, dense=["d"], label={"column": "y", "missing": "drop"}
    )
    assert (rows.bad, rows.dropped) == ([], Counter(label_missing=1))


def test_weights():
    rows = read({"y": ["1"] * 5, "w": ["0", "2.5", "-1", "", "x"]}, weight="w")
    assert flat(rows, WEIGHT) == [0.0, 2.5]
    assert [(i, reason) for i, reason, _ in rows.bad] == [(i, "bad_weight") for i in (2, 3, 4)]


def test_timestamps():
    rows = read({"y": ["1"] * 4, "t": ["1970-01-01 00:01", "61", "", "x"]}, timestamp="t")
    assert flat(rows, TIMESTAMP) == [60, 61]
    assert {i: reason for i, reason, _ in rows.bad} == {2: "timestamp_missing", 3: "bad_timestamp"}
    stamps = [datetime.datetime(1970, 1, 1, 0, 1)]
    assert flat(read({"y": ["1"], "t": stamps}, timestamp="t"), TIMESTAMP) == [60]


def test_features():
    table = {
        "y": ["1"] * 4,
        "c": ["a", "", "\\N", "NA"],
        "tags": ["x|y", "", "z", None],
        "d": ["1.5", "", "NA", "-2"],
    }
    rows = read(table, multivalent={"tags": "|"}, dense=["d"])
    assert listed(rows, "c") == [[b"a"], None, None, [b"NA"]]
    assert listed(rows, "tags") == [[b"x", b"y"], None, [b"z"], None]
    assert listed(rows, "d") == [[1.5], None, None, [-2.0]]
    assert rows.features.schema.names == [LABEL, "c", "tags", "d"]


def test_features_of_other_types():
    table = {
        "y": [1, 0, 1],
        "c": [7, None, 8],
        "tags": [["x"], [], None],
        "d": pa.array([True, None, False]),
    }
    rows = read(table, multivalent={"tags": "|"}, dense=["d"])
    assert listed(rows, "c") == [[b"7"], None, [b"8"]]
    assert listed(rows, "tags") == [[b"x"], [], None]
    assert listed(rows, "d") == [[1.0], None, [0.0]]


def test_bad_features():
    texts = ["a", f"{LIST_SEPARATOR}a{LIST_SEPARATOR}b", "b"]
    rows = read({"y": ["1"] * 3, "c": texts, "d": ["1", "2", "1e39"]}, dense=["d"])
    assert {i: reason for i, reason, _ in rows.bad} == {1: "several_values", 2: "not_a_number"}


def test_an_empty_block():
    rows = read({"y": pa.array([], pa.string())}, timestamp="c")
    assert rows.features.num_rows == 0


def test_a_block_without_good_rows():
    rows = read({"y": ["x", "x"], "d": ["1", "2"]}, dense=["d"])
    assert (rows.features.num_rows, len(rows.bad)) == (0, 2)


def movies(**columns):
    table = pa.table({"id": ["1", "2", ""], "genres": ["a|b", "c", "z"], **columns})
    return join_table("id", [n for n in table.column_names if n != "id"], table, "movies.csv")


def test_joins():
    table = {"y": ["1"] * 4, "id": ["2", "9", "1", ""]}
    keys = {
        "categorical": ["id"],
        "multivalent": {"genres": "|"},
        "dense": ["year"],
        "joins": [{"path": "movies.csv", "key": "id", "columns": ["genres", "year"]}],
    }
    rows = read(table, [movies(year=["1999", "", "0"])], **keys)
    assert listed(rows, "genres") == [[b"c"], None, [b"a", b"b"], None]
    assert listed(rows, "year") == [None, None, [1999.0], None]
    assert rows.counts == {"join_unmatched:id": 2}


def test_a_number_joins_its_text():
    keys = {
        "multivalent": {"genres": "|"},
        "joins": [{"path": "movies.csv", "key": "id", "columns": ["genres"]}],
    }
    rows = read({"y": ["1", "0"], "id": [2, 1]}, [movies()], **keys)
    assert listed(rows, "genres") == [[b"c"], [b"a", b"b"]]


def test_a_key_that_stands_twice():
    table = pa.table({"id": ["1", "2", "1"], "genres": ["a", "b", "c"]})
    with pytest.raises(ConfigError, match=r"joins: m\.csv: id '1' stands 2 times"):
        join_table("id", ["genres"], table, "m.csv")


def test_wanted_columns():
    reader = RowReader(
        config(
            label={"column": "y", "positive": "> 3"},
            multivalent={"genres": "|"},
            dense=["d"],
            weight="w",
            timestamp="d",
            joins=[{"path": "m", "key": "id", "columns": ["genres"]}],
        )
    )
    text, number = pa.string(), pa.float64()
    assert reader.columns() == {"c": text, "id": text, "d": number, "y": number, "w": number}
    assert RowReader(config()).columns()["y"] == text
    assert RowReader(config(objective="rating")).columns()["y"] == number


@pytest.mark.parametrize("name", [LABEL, WEIGHT, TIMESTAMP])
def test_reserved_names(name):
    with pytest.raises(ConfigError, match=f"the feature '{name}' has a name that BabelRank uses"):
        RowReader(config(categorical=[name]))
