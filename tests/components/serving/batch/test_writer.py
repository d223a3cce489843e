"""Tests of predictions as JSON lines, and of the numbers of rows."""

from __future__ import annotations

import json

import pyarrow as pa

from babelrank.components.ingest.blocks import BadRow, Block, Location
from babelrank.components.serving.batch.writer import json_lines, row_numbers


def test_json_lines():
    columns = {
        'a "%s"': pa.array(['é"\\\n\x00', None, ""], pa.string()),
        "n": pa.array([1, 2, -3], pa.int64()),
        "x": pa.array([0.1, 1e-30, 7.0], pa.float32()),
        "l": pa.array([["a\u2028", None], [], None]),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    lines = list(json_lines(batch))
    assert [json.loads(line) for line in lines] == batch.to_pylist()
    assert all(line.endswith("}\n") and line.count("\n") == 1 for line in lines)
    assert lines[2] == '{"a \\"%s\\"": "", "n": -3, "x": 7.0, "l": null}\n'
    assert list(json_lines(batch.slice(0, 0))) == []


def test_bad_rows_are_counted_where_they_stand():
    batch = pa.RecordBatch.from_pydict({"a": ["x", "y", "z"]})
    places = [Location(f"line {n}", "") for n in (12, 15, 16)]
    bad = [BadRow(Location(f"line {n}", ""), "r", "d") for n in (11, 13, 20)]
    block = Block(batch, lambda rows: [places[i] for i in rows], 100, bad)
    # lines 11, 12, 13, 15, 16, 20 are rows 101 to 106
    assert row_numbers(block).tolist() == [102, 104, 105]
    assert row_numbers(Block(batch, lambda rows: [], 7)).tolist() == [8, 9, 10]
