"""Opening input files, plain or compressed, on any file system that Beam knows."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any, Protocol, cast

import zstandard
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from babelrank.components.errors import InputError

_OPENED = ("/dev/stdin", "/dev/fd/")
"""What whoever started the process opened for it, as shells do for `<(command)`."""
_ARCHIVES = (".zip", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2")
_CHUNK_BYTES = 1 << 17
_MOST_MEMORY = 1 << 27
"""Bytes that a decompressor may remember; `xz -9` and `zstd --long` want no more."""
_ZSTD_BYTES = 1 << 10
"""So many bytes of zstd unpack to 32 MiB at most: a block of 128 KiB takes 4 of them."""
_READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


@contextlib.contextmanager
def open_input(path: str) -> Iterator[IO[bytes]]:
    """Opens `path` for reading bytes, decompressed by its ending (.gz, .xz, .zst, .bz2).

    Raises:
        InputError: The file is missing, unreadable, empty, a folder, pipe or device, or its
            compressed data is truncated or corrupt; also when this shows only while reading.
    """
    if "\0" in path:
        raise InputError(f"{path!r}: no file has such a name.")
    if not path.startswith(_OPENED):
        check_regular(path)
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


def check_regular(path: str) -> None:
    """Lets nothing through that never ends, or waits for a writer.

    Raises:
        InputError: A local file that is a pipe, a device, a socket or a folder.
    """
    if "://" in path or not os.path.exists(path) or os.path.isfile(path):
        return
    raise InputError(
        f"{path}: a folder, pipe, socket or device; takes a file. Remove it, or narrow the path."
    )


def _decompressed(raw: IO[bytes], path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    if path.endswith(_ARCHIVES):
        raise InputError(f"{path}: archives are not read; unpack the files, and name these.")
    if path.endswith(".gz"):
        return cast(IO[bytes], gzip.open(raw, "rb"))
    for ending, begin in _STREAMS.items():
        if path.endswith(ending):
            return cast(IO[bytes], io.BufferedReader(_Unpacked(raw, begin), _CHUNK_BYTES))
    return contextlib.nullcontext(raw)


class _Stream(Protocol):
    """One compressed stream, as `lzma` and `bz2` have it; a file may hold several."""

    @property
    def eof(self) -> bool:
        """Whether the stream is at its end."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out of what it was given."""

    @property
    def unused_data(self) -> bytes:
        """What stood after its end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` of the bytes that come out (zstd: about that)."""


class _Unpacked(io.RawIOBase):
    """What comes out of a compressed file, never more at once than asked for.

    Unlike the readers of the standard library it refuses what stands after the last stream.
    """

    def __init__(self, raw: IO[bytes], begin: Callable[[], _Stream]) -> None:
        self._raw = raw
        self._begin = begin
        self._stream: _Stream | None = None
        self._packed = b""
        self._out = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a part of the buffer; 0 at the end."""
        wanted = memoryview(buffer).cast("B")
        while not self._out:
            if not self._step(len(wanted)):
                return 0
        count = min(len(wanted), len(self._out))
        wanted[:count] = self._out[:count]
        self._out = self._out[count:]
        return count

    def _step(self, size: int) -> bool:
        """Unpacks a little; False at the end of the file."""
        if self._stream is None or self._stream.needs_input:
            self._packed = self._packed or self._raw.read(_CHUNK_BYTES)
            if not self._packed:
                if self._stream is not None:
                    raise EOFError("the compressed data ends in the middle of a stream")
                return False
        if self._stream is None:
            self._packed = self._packed.lstrip(b"\0")  # xz files may be padded
            if not self._packed:
                return True
            self._stream = self._begin()
        packed, self._packed = self._packed, b""
        self._out = memoryview(self._stream.decompress(packed, size))
        if self._stream.eof:
            self._packed, self._stream = self._stream.unused_data, None
        return True


class _Zstd:
    """A zstd frame; see `_Stream`. Its library gives all that a piece of input unpacks to."""

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor(max_window_size=_MOST_MEMORY).decompressobj()
        self._rest = memoryview(b"")
        self.eof = False
        self.unused_data = b""

    @property
    def needs_input(self) -> bool:
        return not self._rest

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._rest = memoryview(data)
        piece, self._rest = self._rest[:_ZSTD_BYTES], self._rest[_ZSTD_BYTES:]
        out: bytes = self._frame.decompress(piece)
        if self._frame.eof:
            self.eof = True
            self.unused_data = self._frame.unused_data + bytes(self._rest)
        return out


_STREAMS: dict[str, Callable[[], _Stream]] = {
    ".bz2": bz2.BZ2Decompressor,
    ".xz": partial(lzma.LZMADecompressor, memlimit=_MOST_MEMORY),
    ".zst": _Zstd,
}
