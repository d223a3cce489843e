"""Tests of opening input files, whole and damaged."""

import gzip
import lzma

import pytest
import zstandard

from babelrank.components.errors import InputError
from babelrank.components.ingest.files import open_input

TEXT = b"".join(b"%d,%d\n" % (i, i * i) for i in range(50_000))
COMPRESS = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def read(path, size=-1):
    with open_input(str(path)) as file:
        parts = []
        while part := file.read(size):
            parts.append(part)
        return b"".join(parts)


def test_plain(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(TEXT)
    assert read(path) == TEXT


@pytest.mark.parametrize("ending", COMPRESS)
class TestCompressed:
    def test_whole(self, tmp_path, ending):
        path = tmp_path / f"log.csv{ending}"
        path.write_bytes(COMPRESS[ending](TEXT))
        assert read(path) == TEXT
        assert read(path, 1000) == TEXT

    def test_several_members(self, tmp_path, ending):
        path = tmp_path / f"log.csv{ending}"
        path.write_bytes(COMPRESS[ending](TEXT) + COMPRESS[ending](b"more\n"))
        assert read(path, 1000) == TEXT + b"more\n"

    def test_truncated(self, tmp_path, ending):
        path = tmp_path / f"log.csv{ending}"
        path.write_bytes(COMPRESS[ending](TEXT)[:-40])
        with pytest.raises(InputError, match=rf"log\.csv\{ending}: cannot read the file: "):
            read(path)

    def test_corrupt(self, tmp_path, ending):
        path = tmp_path / f"log.csv{ending}"
        data = bytearray(COMPRESS[ending](TEXT))
        for i in range(len(data) // 2, len(data) // 2 + 50):
            data[i] ^= 0xFF
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"log\.csv\{ending}: cannot read the file: "):
            read(path)

    def test_not_compressed_at_all(self, tmp_path, ending):
        path = tmp_path / f"log.csv{ending}"
        path.write_bytes(TEXT)
        with pytest.raises(InputError, match="of the format that its name says"):
            read(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: cannot read the file"):
        read(tmp_path / "nowhere.csv")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="a folder, pipe, socket or device; takes a file"):
        read(tmp_path)
