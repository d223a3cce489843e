"""Tests of the JSON lines reader."""

import io
import json
import random

import pyarrow as pa
import pytest

from babelrank.components.errors import InputError
from babelrank.components.ingest import text_reader
from babelrank.components.ingest.jsonl_reader import LIST_SEPARATOR, JsonlReader

COLUMNS = {"id": pa.string(), "n": pa.float64()}


def read(data, columns=None, block_bytes=1 << 20):
    """Rows as tuples of texts, and (line, reason) of the bad ones."""
    rows, bad = [], []
    for block in JsonlReader("log.jsonl", columns or COLUMNS, block_bytes).blocks(io.BytesIO(data)):
        rows += [tuple(row.values()) for row in block.batch.to_pylist()]
        bad += [(int(row.location.position.split()[1]), row.reason) for row in block.bad]
    return rows, bad


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"id": "x", "n": 1.5, "other": [1]}', ("x", 1.5)),
        (b'{"n": 1, "id": "x"}', ("x", 1.0)),
        (b'{"id": "x"}', ("x", None)),
        (b'{"id": null, "n": null}', (None, None)),
        (b'{"id": "\\u00e9"}', ("é", None)),
        (b'{"id": "a\\nb"}', ("a\nb", None)),
        # From here on Arrow refuses, and the record path gives texts.
        (b'{"id": 7, "n": 1}', ("7", "1")),
        (b'{"id": 12345678901234567890, "n": 1}', ("12345678901234567890", "1")),
        (b'{"id": true, "n": 2.5}', ("true", "2.5")),
        (b'{"id": "x", "n": "3"}', ("x", "3")),
        (b'{"id": ["a", 2], "n": 1}', (f"{LIST_SEPARATOR}a{LIST_SEPARATOR}2", "1")),
        (b'{"id": [], "n": 1}', (None, "1")),
        (b'{"id": {"k": 1}, "n": 1}', ('{"k": 1}', "1")),
        (b'{"id": "x", "other": 1, "other": 2}', ("x", None)),
    ],
)
def test_values(line, expected):
    assert read(line + b"\n") == ([expected], [])
    assert read(line) == ([expected], [])


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"x",
        b"[1]",
        b"5",
        b"null",
        b'"text"',
        b'{"id": "y"},',
        b'{"id": "x", "id": "y", "n": 1}',
        b'{"id": "y"} {"id": "z"}',
        b"[" * 100_000,
    ],
)
def test_only_the_bad_line_is_lost(line):
    data = b'{"id": "x", "n": 1}\n' + line + b'\n\n{"id": "z", "n": 2}\r\n'
    rows, bad = read(data)
    assert [row[0] for row in rows] == ["x", "z"]
    assert bad == [(2, "bad_json")]
    assert read(data, block_bytes=16)[1] == bad


@pytest.mark.parametrize("depth", [400, 600, 900, 2000, 100_000])
@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"k":', b"}")])
def test_a_value_that_is_nested_too_deeply_is_a_bad_row(depth, begin, end):
    value = begin * depth + b"1" + end * depth
    rows, bad = read(b'{"id": "x", "n": 1}\n{"id": ' + value + b'}\n{"id": "z", "n": 2}\n')
    assert [rows[0][0], rows[-1][0]] == ["x", "z"]
    # How much is too deep depends on Python and on how deep its calls are already.
    assert bad == ([(2, "bad_json")] if len(rows) == 2 else [])
    assert bad or depth < 100_000


def test_a_value_that_is_nested_too_deeply_is_told_in_words():
    (block,) = JsonlReader("log.jsonl", COLUMNS).blocks(io.BytesIO(b'{"id": ' + b"[" * 100_000))
    assert block.bad[0].detail == "nested too deeply"


def test_half_a_surrogate_pair_is_a_bad_row():
    # What is left when an emoji is cut in two; it cannot be written as UTF-8.
    assert read(b'{"id": "\\ud83d", "n": 1}\n{"id": "\\ud83d\\ude00"}\n') == (
        [("😀", None)],
        [(1, "not_utf8")],
    )


def test_only_wanted_columns_must_be_utf8():
    assert read(b'{"id": "\xff"}\n{"id": "x", "other": "\xff"}\n{"id": 7, "other": "\xff"}\n') == (
        [("x", None), ("7", None)],
        [(1, "not_utf8")],
    )


def test_a_block_of_nulls_does_not_end_the_process():
    assert read(b'{"id": "x"}\nnull\n', block_bytes=12) == ([("x", None)], [(2, "bad_json")])


def test_an_object_on_several_lines_is_refused_in_any_block():
    data = b'{"id": "x", "n": 1}\n{"id":\n"y"}\n'
    assert read(data)[1] == [(2, "bad_json"), (3, "bad_json")]


def test_empty_objects_are_read_at_once():
    data = b'{"id":"x","n":1}\n{}\n{}\n'
    reader = JsonlReader("log.jsonl", COLUMNS)
    assert reader.parse(data).to_pylist() == [{"id": "x", "n": 1.0}] + [{"id": None, "n": None}] * 2
    assert [record.raw for record in reader.locate(data, [2, 0])] == ["{}", '{"id":"x","n":1}']


def test_locate():
    data = b'{"id": "x"}\n\n{"id": "y"}\n'
    block = next(JsonlReader("f", COLUMNS).blocks(io.BytesIO(data)))
    assert [(p.position, p.raw) for p in block.locate([1])] == [("line 3", '{"id": "y"}')]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"log\.jsonl: the file is empty"),
        (b"\n\n", "the file is empty"),
        (b'[{"id": 1}]\n', "line 1 holds .* expected a JSON object"),
        (b'{"ID": 1, "N": 2}\n', "missing column 'id', 'n'; the first row has 'ID', 'N'"),
    ],
)
def test_unusable_files(data, message):
    with pytest.raises(InputError, match=message):
        read(data)


def test_any_block_size_gives_the_same_rows(monkeypatch):
    rng = random.Random(3)
    for _ in range(100):
        lines, good, bad = [], [], []
        for number in range(1, rng.randrange(2, 20)):
            text = rng.choice(["x", "é", "a b", 'say "x"'])
            kind = rng.choice(["good", "good", "number", "blank", "bad"]) if lines else "good"
            if kind == "blank":
                lines.append(rng.choice(["", "  "]))
            elif kind == "bad":
                lines.append(rng.choice(["{", '{"id": "y"', "null", "[]"]))
                bad.append((number, "bad_json"))
            else:
                value = number if kind == "number" else text
                lines.append(json.dumps({"id": value}, ensure_ascii=rng.random() < 0.5))
                good.append((str(value),))
        data = rng.choice(["\n", "\r\n"]).join(lines).encode()
        for size in (16, rng.randrange(17, 64), 1 << 20):
            monkeypatch.setattr(text_reader, "PIECE_BYTES", rng.randrange(8, 99))
            assert read(data, {"id": pa.string()}, size) == (good, bad), (size, data)


def test_rows_are_found_again():
    data = b'{"id": "a"}\n\n \n{"id": "b"}\n{"id": "c"}\n'
    (block,) = JsonlReader("log.jsonl", {"id": pa.string()}).blocks(io.BytesIO(data))
    places = [(place.position, place.raw) for place in block.locate([1, 2])]
    assert places == [("line 4", '{"id": "b"}'), ("line 5", '{"id": "c"}')]
