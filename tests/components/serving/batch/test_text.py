"""Tests of lines in blocks: none shifts, and none is lost."""

from __future__ import annotations

import io

import pytest

from babelrank.components.errors import InputError
from babelrank.components.serving.batch import text as batch_text
from babelrank.components.serving.batch.writer import row_numbers


def lines(raw: bytes, block_bytes: int) -> dict[int, str]:
    """Line number to text, of the good lines."""
    found = {}
    for block in batch_text.read_lines(io.BytesIO(raw), "f", block_bytes):
        found |= dict(
            zip(row_numbers(block).tolist(), block.batch.column(0).to_pylist(), strict=True)
        )
    return found


@pytest.mark.parametrize("block_bytes", [1, 3, 7, 1000])
def test_only_a_line_feed_ends_a_line(block_bytes: int):
    raw = "\ufeffa\r\n\n\u2028b\rc\n\n\nlast".encode()
    assert lines(raw, max(block_bytes, 3)) == {
        1: "a",
        2: "",
        3: "\u2028b\rc",
        4: "",
        5: "",
        6: "last",
    }
    assert lines(b"\n\n", block_bytes) == {1: "", 2: ""}


@pytest.mark.parametrize("block_bytes", [2, 5, 1000])
def test_lines_that_are_no_text(block_bytes: int):
    raw = b"ok\ncaf\xe9\n\nend\n\xff\n"
    assert lines(raw, block_bytes) == {1: "ok", 3: "", 4: "end"}
    blocks = list(batch_text.read_lines(io.BytesIO(raw), "f", block_bytes))
    bad = [row for block in blocks for row in block.bad]
    assert [(row.location.position, row.location.raw, row.reason) for row in bad] == [
        ("line 2", "caf\ufffd", "not_utf8"),
        ("line 5", "\ufffd", "not_utf8"),
    ]
    assert bad[0].detail == "byte 4 is not UTF-8 (e9)"
    assert sum(block.rows for block in blocks) == 5


def test_places():
    (block,) = batch_text.read_lines(io.BytesIO(b"a\n\xff\nc\n"), "f")
    assert [(one.position, one.raw) for one in block.locate([1, 0])] == [
        ("line 3", "c"),
        ("line 1", "a"),
    ]


def test_a_line_that_is_too_long_is_not_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch_text, "MAX_LINE_BYTES", 20)
    raw = b"a\n" + b"x" * 1000 + b"\nb\n" + b"y" * 100
    found = list(batch_text.read_lines(io.BytesIO(raw), "f", 8))
    bad = [row for block in found for row in block.bad]
    assert [(row.location.position, row.reason) for row in bad] == [
        ("line 2", "too_long"),
        ("line 4", "too_long"),
    ]
    assert all(len(row.location.raw) < 40 for row in bad)
    assert lines(raw, 8) == {1: "a", 3: "b"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "^f: the file is empty; expected lines"),
        (b"\xef\xbb\xbf", "^f: the file is empty"),
        ("a".encode("utf-16"), "^f: the file is UTF-16"),
    ],
)
def test_what_is_refused(raw: bytes, message: str):
    with pytest.raises(InputError, match=message):
        list(batch_text.read_lines(io.BytesIO(raw), "f"))


def test_block_of_one_size_and_another_are_the_same_lines():
    raw = b"".join(b"w" * (n % 50) + b"\n" for n in range(500))
    assert lines(raw, 64) == lines(raw, 1 << 20)
