"""Tests of what a line is."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest

from babelrank.components.errors import InputError
from babelrank.components.serving import text_lines
from babelrank.components.serving.text_lines import decoded, read_lines

ODD = "a\u2028b\x85c\rd\x0be\x0cf\u2029g\x1ch"


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\n\n \nb", ["a", "", " ", "b"]),
        ("\ufeffé\n\ufeffx\n".encode(), ["é", "\ufeffx"]),
        (ODD.encode() + b"\nz", [ODD, "z"]),
        (b"a\r\r\nb", ["a\r", "b"]),
    ],
)
def test_only_a_line_feed_ends_a_line(raw: bytes, lines: list[str], tmp_path: Path):
    assert list(decoded(io.BytesIO(raw), "x")) == lines
    path = tmp_path / "lines.txt"
    path.write_bytes(raw)
    assert read_lines(path) == lines
    packed = tmp_path / "lines.gz"
    packed.write_bytes(gzip.compress(raw))
    assert read_lines(packed) == lines


def test_what_is_not_utf_8_is_named(tmp_path: Path):
    path = tmp_path / "latin"
    path.write_bytes(b"ok\ncaf\xe9\nok\n")
    with pytest.raises(InputError, match=r"latin, line 2: byte 4 is not UTF-8 \(e9\); takes UTF-8"):
        read_lines(path)
    lines = decoded(io.BytesIO(b"ok\n\xff"), "standard input")
    assert next(lines) == "ok"
    with pytest.raises(InputError, match=r"^standard input, line 2: byte 1 is not UTF-8 \(ff\)"):
        next(lines)


def test_what_is_too_long_to_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_lines, "_MOST_BYTES", 1000)
    path = tmp_path / "long.gz"
    path.write_bytes(gzip.compress(b"a\n" * 500))
    assert read_lines(path) == ["a"] * 500
    path.write_bytes(gzip.compress(b"a\n" * 500 + b"b"))
    with pytest.raises(InputError, match=r"long\.gz: more than 1,000 bytes of text; takes less"):
        read_lines(path)


def test_a_pipe_is_not_waited_for_unless_the_process_was_given_it(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: a folder, pipe, socket or device; takes a file"):
        read_lines(tmp_path / "pipe")
    outlet, inlet = os.pipe()
    os.write(inlet, b"a\nb\n")
    os.close(inlet)
    assert read_lines(Path(f"/dev/fd/{outlet}")) == ["a", "b"]
    os.close(outlet)


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(InputError, match="none: cannot read the file"):
        read_lines(tmp_path / "none")
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"a\n" * 10_000)[:-9])
    with pytest.raises(InputError, match=r"cut\.gz: cannot read the file"):
        read_lines(path)
