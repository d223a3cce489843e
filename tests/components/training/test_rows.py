"""Which rows of two models mean the same, and the file that tells."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from babelrank.components.errors import ModelError
from babelrank.components.training.rows import FILE, Rows, matched, offsets, read, write

# Rows: 0 missing, 1 a, 2 b, 3 and 4 for the unknown.
BEFORE = Rows(name="user", table="t", numbered=1, tokens=("a", "b"), shared=2)


def test_tokens_are_found_wherever_they_are():
    now = Rows(name="user", numbered=1, tokens=("b", "c", "a"), shared=2)
    assert now.size == 6
    assert matched(now, BEFORE) == {0: 0, 1: 2, 3: 1, 4: 3, 5: 4}


def test_another_number_of_shared_rows_shares_nothing():
    now = Rows(name="user", numbered=1, tokens=("a",), shared=3)
    assert matched(now, BEFORE) == {0: 0, 1: 1}


def test_fewer_and_more_numbered_rows():
    day = Rows(name="hour", kind="time", numbered=3)
    assert matched(Rows(name="hour", kind="time", numbered=2), day) == {0: 0, 1: 1}
    assert matched(Rows(name="hour", kind="time", numbered=4), day) == {0: 0, 1: 1, 2: 2}


def test_another_kind_has_nothing_in_common():
    quantiles = Rows(name="user", kind="quantiles", numbered=1, shared=2)
    assert matched(quantiles, BEFORE) == {}


def test_the_rows_of_a_table_lie_below_one_another():
    other = Rows(name="item", table="u", numbered=4)
    third = Rows(name="hour", table="t", numbered=9)
    assert offsets([BEFORE, other, third]) == [0, 0, 5]


def test_written_and_read(tmp_path: Path):
    meanings = [BEFORE, Rows(name="ü\n", tokens=("\u2581",), otherwise=("x",))]
    folder = tmp_path / "new" / "one"
    write(meanings, str(folder))
    assert read(str(folder)) == meanings
    first = (folder / FILE).read_bytes()
    write(meanings, str(folder))
    assert (folder / FILE).read_bytes() == first
    assert read(str(tmp_path)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"none",
        gzip.compress(b"{}"),
        gzip.compress(b'{"format": 2, "rows": []}'),
        gzip.compress(b'{"format": 1, "rows": [{"x": 1}]}'),
        gzip.compress(b"{}")[:-3],
    ],
)
def test_a_damaged_file(tmp_path: Path, content: bytes):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError, match=f"{FILE}: cannot read what the rows stand for"):
        read(str(tmp_path))
