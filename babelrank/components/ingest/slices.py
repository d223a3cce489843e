"""Texts that stand in one buffer of bytes, cut out of it without a loop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
_LF, _CR = ord("\n"), ord("\r")


def line_bounds(data: Bytes) -> tuple[Places, Places]:
    """Where lines begin and end; they end at LF or CRLF and at nothing else.

    Args:
        data: Complete lines; the last one may lack its LF.

    Returns:
        [N] first byte of each line, and [N] the byte after its last one, line end not counted.
    """
    feeds = np.flatnonzero(data == _LF)
    starts = np.concatenate([np.zeros(1, np.int64), feeds + 1])
    ends = np.append(feeds, len(data))
    if starts[-1] == len(data):  # nothing after the last LF
        starts, ends = starts[:-1], ends[:-1]
    if len(ends):
        ends = ends - ((ends > starts) & (data[ends - 1] == _CR))
    return starts, ends


def cut_texts(data: Bytes, starts: Places, ends: Places) -> pa.Array:
    """The texts between places that rise and do not overlap.

    Args:
        data: The buffer, less than 2 GiB.
        starts: [N] first bytes, no two the same unless one of the texts is empty.
        ends: [N] the bytes after the last ones.

    Returns:
        [N] strings.

    Raises:
        pa.ArrowInvalid: Some text is not UTF-8.
    """
    offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(ends - starts, out=offsets[1:])
    edges = np.zeros(len(data) + 1, np.int8)
    edges[starts] += 1
    edges[ends] -= 1
    inside = np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)
    values = data[inside]
    texts = pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(values))
    texts.validate(full=True)
    return texts


def buffer_of(texts: pa.Array) -> tuple[Bytes, npt.NDArray[np.int32]]:
    """The opposite: the bytes of some texts one after the other.

    Args:
        texts: [N] strings, none missing.

    Returns:
        The bytes, and [N + 1] where each text begins in them, and where the last one ends.
    """
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int32)
    _, places, values = texts.buffers()
    offsets = np.frombuffer(places, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(values or b"", np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


def count_in_texts(
    places: Places, offsets: npt.NDArray[np.int32] | npt.NDArray[np.int64]
) -> Places:
    """[N] how many of some places, which rise, lie in each text."""
    return np.diff(np.searchsorted(places, offsets))
