"""Tests of two files of lines side by side."""

import io

import pytest

from babelrank.components.errors import InputError
from babelrank.components.ingest.line_pairs import read_line_pairs
from babelrank.components.ingest.text_reader import BLOCK_BYTES


def read(one, other, block_bytes=BLOCK_BYTES):
    """Rows, and (position, reason) of the bad ones."""
    files = [io.BytesIO(side.encode() if isinstance(side, str) else side) for side in (one, other)]
    rows, bad = [], []
    for block in read_line_pairs(tuple(files), ("c.en", "c.de"), ("s", "t"), block_bytes):
        assert block.first_row == len(rows) + len(bad)
        rows += [(row["s"], row["t"]) for row in block.batch.to_pylist()]
        bad += [(row.location.position, row.reason) for row in block.bad]
    return rows, bad


def test_pairs():
    assert read("a\r\n\nc", "x\ny\nz\n") == ([("a", "x"), ("", "y"), ("c", "z")], [])


def test_lines_end_at_lf_only():
    assert read("a\u2028b\n", "c\u0085d\x0c\n") == ([("a\u2028b", "c\u0085d\x0c")], [])


@pytest.mark.parametrize("block_bytes", [1, 3, 50])
def test_any_block_size_gives_the_same_rows(block_bytes):
    one = [f"ä{i}" for i in range(100)]
    other = ["" if i % 3 else "long " * i for i in range(100)]
    rows, _ = read("\n".join(one), "\r\n".join(other) + "\r\n", block_bytes)
    assert rows == list(zip(one, other, strict=True))


@pytest.mark.parametrize("block_bytes", [2, BLOCK_BYTES])
@pytest.mark.parametrize(
    ("one", "other", "counts"),
    [
        ("a\nb\nc\n", "x\ny\n", "c.en has 3 lines and c.de has 2"),
        ("a\nb", "x\ny\nz\n\n", "c.en has 2 lines and c.de has 4"),
        ("", "x", "c.en has 0 lines and c.de has 1"),
    ],
)
def test_different_numbers_of_lines(one, other, counts, block_bytes):
    with pytest.raises(InputError, match=counts):
        read(one, other, block_bytes)


def test_bytes_that_are_not_utf8():
    rows, bad = read(b"a\nb\xff\nc\nd\n", b"x\ny\nz\xfe\nw\n")
    assert rows == [("a", "x"), ("d", "w")]
    assert bad == [("line 2", "not_utf8"), ("line 3", "not_utf8")]


def test_rows_are_found_again():
    files = (io.BytesIO(b"a\nb\xff\nc\n"), io.BytesIO(b"x\ny\nz\n"))
    (block,) = read_line_pairs(files, ("c.en", "c.de"), ("s", "t"))
    (place,) = block.locate([1])
    assert (place.position, place.raw) == ("line 3", "c\tz")


def test_byte_order_marks():
    assert read("\ufeffa\n", "\ufeffx\n") == ([("a", "x")], [])
    with pytest.raises(InputError, match=r"c\.de: the file is UTF-16"):
        read("a\n", "x\n".encode("utf-16"))


def test_empty_files():
    with pytest.raises(InputError, match=r"c\.en: the file is empty"):
        read("", "")
