"""Tests of TSV without quotes."""

import io

import pyarrow as pa
import pytest

from babelrank.components.errors import InputError
from babelrank.components.ingest.text_reader import BLOCK_BYTES
from babelrank.components.ingest.tsv_reader import TsvReader


def read(data, names=("s", "t"), positions=(0, 1), block_bytes=BLOCK_BYTES):
    """Rows, and (position, reason, raw) of the bad ones."""
    if isinstance(data, str):
        data = data.encode()
    columns = dict.fromkeys(names, pa.string())
    reader = TsvReader("x.tsv", columns, positions=positions, block_bytes=block_bytes)
    rows, bad = [], []
    for block in reader.blocks(io.BytesIO(data)):
        rows += [tuple(row.values()) for row in block.batch.to_pylist()]
        bad += [(row.location.position, row.reason, row.location.raw) for row in block.bad]
    return rows, bad


def test_a_quote_is_a_letter():
    rows = [('"Hi', "Hallo"), ('He said "no".', '"'), ("a\\", 'b"')]
    assert read("".join("\t".join(row) + "\n" for row in rows)) == (rows, [])


def test_other_columns_may_come_or_not():
    assert read("a\tb\tCC-BY\nc\td\ne\tf\tg\th\n") == ([("a", "b"), ("c", "d"), ("e", "f")], [])


def test_the_order_of_columns():
    assert read("0\t1\t2\n3\t4\t5", positions=(2, 0)) == ([("2", "0"), ("5", "3")], [])


def test_columns_by_name():
    data = "ref\ten\tes\nG 1:1\tIn\tEn\r\nG 1:2\tAnd\t\n"
    assert read(data, ("es", "en"), ()) == ([("En", "In"), ("", "And")], [])


def test_a_missing_name():
    with pytest.raises(InputError, match=r"x\.tsv: missing column 'eng'.*Did you mean 'en'\?"):
        read("ref\ten\tes\n1\t2\t3\n", ("eng", "es"), ())
    with pytest.raises(InputError, match="'en' stands twice"):
        read("en\ten\tes\n1\t2\t3\n", ("en", "es"), ())


def test_bad_lines():
    data = b"a\tb\n\nonly one\nc\t\xff\n\xff\td\te\nf\tg\xff\th\n"
    rows, bad = read(data, positions=(0, 2), names=("s", "t"))
    assert rows == [("f", "h")]  # what is wrong in another column does no harm
    assert [line[:2] for line in bad] == [
        ("line 1", "too_few_columns"),
        ("line 3", "too_few_columns"),
        ("line 4", "too_few_columns"),
        ("line 5", "not_utf8"),
    ]
    assert bad[1][2] == "only one"


def test_other_line_ends_are_part_of_the_text():
    assert read("a\u2028b\u0085\tc\rd\n") == ([("a\u2028b\u0085", "c\rd")], [])


def test_a_byte_order_mark():
    assert read("\ufeffa\tb\n") == ([("a", "b")], [])
    with pytest.raises(InputError, match="UTF-16"):
        read("a\tb\n".encode("utf-16"))


def test_an_empty_file():
    with pytest.raises(InputError, match=r"x\.tsv: the file is empty"):
        read("\n")


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 10_000])
def test_any_block_size_gives_the_same_rows(block_bytes):
    lines = [f"söurce {i}\ttarget {i}\tx" for i in range(300)] + ["", "bad", "y\tz"]
    rows, bad = read("\n".join(lines), block_bytes=block_bytes)
    assert rows == [(f"söurce {i}", f"target {i}") for i in range(300)] + [("y", "z")]
    assert bad == [("line 302", "too_few_columns", "bad")]


def test_rows_are_found_again():
    data = b"a\tb\n\n\nc\td\r\ne\tf\n"
    reader = TsvReader("x", dict.fromkeys("st", pa.string()), positions=(0, 1))
    (block,) = reader.blocks(io.BytesIO(data))
    found = [(place.position, place.raw) for place in block.locate([1, 2])]
    assert found == [("line 4", "c\td"), ("line 5", "e\tf")]
