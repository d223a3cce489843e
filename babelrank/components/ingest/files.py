"""Opening input files, plain or compressed, on any file system that Beam knows."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import zlib
from collections.abc import Iterator
from typing import IO, cast

import zstandard
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from babelrank.components.errors import InputError

_READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


@contextlib.contextmanager
def open_input(path: str) -> Iterator[IO[bytes]]:
    """Opens `path` for reading bytes, decompressed by its ending (.gz, .xz, .zst).

    Raises:
        InputError: The file is missing, unreadable, empty, or its compressed data is
            truncated or corrupt; also when this shows only while reading.
    """
    try:
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(
                FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
            )
            yield stack.enter_context(_decompressed(raw, path))
    except InputError:
        raise
    except _READ_ERRORS as error:
        raise InputError(
            f"{path}: cannot read the file: {error or type(error).__name__}. "
            "Is it there, complete, and of the format that its name says?"
        ) from error


def _decompressed(raw: IO[bytes], path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    if path.endswith(".gz"):
        return cast(IO[bytes], gzip.open(raw, "rb"))
    if path.endswith(".xz"):
        return cast(IO[bytes], lzma.open(raw, "rb"))
    if path.endswith(".zst"):
        return cast(contextlib.AbstractContextManager[IO[bytes]], _WholeZstd(raw))
    return contextlib.nullcontext(raw)


class _WholeZstd(contextlib.AbstractContextManager["_WholeZstd"]):
    """A zstd stream that, like gzip and xz, raises when its last frame is cut short."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._pending = b""
        self._inside = False

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, size: int = -1) -> bytes:
        """Up to about `size` decompressed bytes; b'' at the end."""
        out: list[bytes] = []
        length = 0
        while size < 0 or length < size:
            compressed = self._pending or self._raw.read(1 << 17)
            self._pending = b""
            if not compressed:
                if self._inside:
                    raise EOFError("the zstd data ends in the middle of a frame")
                break
            self._inside = True
            out.append(self._frame.decompress(compressed))
            length += len(out[-1])
            if self._frame.eof:
                self._pending = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._inside = False
        return b"".join(out)
