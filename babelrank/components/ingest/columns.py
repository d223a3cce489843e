"""Arrow columns of any source type to the few types that examples hold, without row loops.

Numbers become NumPy float64 with NaN for a missing value, times become epoch seconds,
categories become Arrow strings with null for a missing value. What cannot be converted is
marked in a mask, never guessed at and never silently dropped.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.ingest.jsonl_reader import LIST_SEPARATOR

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Seconds = npt.NDArray[np.int64]

MISSING_CATEGORIES = ("", "\\N")
"""Texts that mean 'no value' in categories, whatever `data.missing_values` says."""

_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?$"
_ZONE = r"(?P<zone>[Zz]|[+-]\d\d:?\d\d)$"


def to_floats(array: pa.Array, missing: Sequence[str] = ("",)) -> tuple[Floats, Mask]:
    """Numbers of a column.

    Args:
        array: [N] numbers, booleans, texts, or lists of at most one of these.
        missing: Texts that mean 'no value'.

    Returns:
        [N] values with NaN for missing ones, and [N] True where the value is no finite number.
    """
    array, bad = _flat(array)
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan), bad
    if _is_text(array.type):
        array, not_numbers = _parse_numbers(array, missing)
        bad |= not_numbers
    values = np.array(_numpy(pc.cast(array, pa.float64(), safe=False)), dtype=np.float64)
    infinite = np.isinf(values)
    values[infinite] = np.nan
    return values, bad | infinite


def to_texts(array: pa.Array) -> tuple[pa.Array, Mask]:
    """Categories of a column.

    Args:
        array: [N] texts, numbers, booleans, or lists of at most one of these.

    Returns:
        [N] strings with null for missing ones, and [N] True where there are several values.
    """
    array, bad = _flat(array)
    texts = _as_string(array)
    absent = pc.is_in(texts, value_set=pa.array(MISSING_CATEGORIES))
    if pc.any(absent).as_py():
        texts = pc.if_else(absent, pa.scalar(None, pa.string()), texts)
    return texts, bad


def to_lists(array: pa.Array, separator: str) -> pa.Array:
    """[N] lists of categories, from lists or from texts with a separator; null when missing."""
    if _is_list(array.type):
        values = _as_string(array.flatten())
        offsets = array.offsets.cast(pa.int64())
        lists = pa.LargeListArray.from_arrays(pc.subtract(offsets, offsets[0]), values)
        return pc.if_else(pc.is_valid(array), lists, None) if array.null_count else lists
    texts, _ = to_texts(array)
    if not _true(pc.starts_with(texts, LIST_SEPARATOR)).any():
        return pc.split_pattern(texts, separator)
    rows = [
        None
        if text is None
        else text[1:].split(LIST_SEPARATOR)
        if text.startswith(LIST_SEPARATOR)
        else text.split(separator)
        for text in texts.to_pylist()
    ]
    return pa.array(rows, pa.list_(pa.string()))


def to_seconds(
    array: pa.Array, missing: Sequence[str] = ("",), time_format: str | None = None
) -> tuple[Seconds, Mask, Mask]:
    """Times of a column as whole epoch seconds (UTC, rounded down).

    Args:
        array: [N] timestamps, or texts or numbers: ISO 8601 (UTC unless it names a zone), or
            epoch seconds, milliseconds, microseconds or nanoseconds, told apart by size.
        missing: Texts that mean 'no value'.
        time_format: strptime format for texts that are neither.

    Returns:
        [N] seconds (0 where there is none), [N] True where missing, [N] True where unreadable.
    """
    array, bad = _flat(array)
    if pa.types.is_temporal(array.type):
        moments = pc.cast(array, pa.timestamp("ns"), safe=False)
        return _floor_seconds(moments), _numpy(pc.is_null(array)), bad
    if not _is_text(array.type):
        values, not_finite = to_floats(array)
        return _epoch(values), np.isnan(values) & ~not_finite, bad | not_finite
    texts = pc.utf8_trim_whitespace(_as_string(array))
    absent = _or_null(pc.is_in(texts, value_set=pa.array(missing)), texts)
    seconds, unreadable = _parse_times(texts, time_format)
    return np.where(absent, 0, seconds), absent, bad | (unreadable & ~absent)


def _parse_times(texts: pa.Array, time_format: str | None) -> tuple[Seconds, Mask]:
    if time_format is not None:
        return _parse_each(texts, lambda text: datetime.datetime.strptime(text, time_format))
    numeric = _true(pc.match_substring_regex(texts, _NUMBER))
    zone = _true(pc.match_substring_regex(texts, _ZONE)) & ~numeric
    zone &= _true(pc.match_substring_regex(texts, ":"))
    plain = pc.if_else(pa.array(zone), pc.replace_substring_regex(texts, _ZONE, ""), texts)
    iso = _true(pc.match_substring_regex(plain, _ISO)) & ~numeric
    try:
        local = pc.cast(pc.if_else(pa.array(iso), plain, None), pa.timestamp("ns"))
    except pa.ArrowInvalid:  # such as a 13th month: find out which
        return _parse_each(texts, datetime.datetime.fromisoformat)
    seconds = _floor_seconds(local) - np.where(zone, _zone_offsets(texts, zone), 0)
    if numeric.any():
        numbers = pc.cast(pc.if_else(pa.array(numeric), texts, None), pa.float64())
        seconds = np.where(numeric, _epoch(np.array(_numpy(numbers))), seconds)
    return seconds, ~(iso | numeric)


def _zone_offsets(texts: pa.Array, zone: Mask) -> Seconds:
    """[N] seconds that the zones at the ends of the texts are ahead of UTC."""
    found = pc.extract_regex(texts, _ZONE).field("zone")
    encoded = pc.dictionary_encode(pc.if_else(pa.array(zone), found, None))
    offsets = [_offset(text) for text in encoded.dictionary.to_pylist()] or [0]
    return np.asarray(offsets)[_numpy(pc.fill_null(encoded.indices, 0))]


def _offset(zone: str | None) -> int:
    if not zone or zone in "Zz":
        return 0
    sign = -1 if zone[0] == "-" else 1
    return sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)


def _parse_each(texts: pa.Array, parse: object) -> tuple[Seconds, Mask]:
    seconds, bad = np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
    for i, text in enumerate(texts.to_pylist()):
        try:
            moment = parse(text)  # type: ignore[operator]
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.UTC)
            seconds[i] = int(moment.timestamp() // 1)
        except (ValueError, TypeError):
            try:
                seconds[i] = _epoch(np.array([float(text)]))[0]
                bad[i] = not np.isfinite(float(text))
            except (ValueError, TypeError):
                bad[i] = True
    return seconds, bad


def _epoch(values: Floats) -> Seconds:
    """Whole seconds of epoch numbers in seconds, or in ms, us or ns, told apart by size."""
    size = np.abs(np.nan_to_num(values))
    unit = np.select([size < 1e11, size < 1e14, size < 1e17], [1.0, 1e3, 1e6], 1e9)
    return np.asarray(np.floor(np.nan_to_num(values) / unit), np.int64)


def _floor_seconds(moments: pa.Array) -> Seconds:
    whole = pc.fill_null(pc.cast(moments, pa.int64()), 0)
    return np.asarray(_numpy(whole) // 1_000_000_000, np.int64)


def _parse_numbers(array: pa.Array, missing: Sequence[str]) -> tuple[pa.Array, Mask]:
    texts = pc.utf8_trim_whitespace(_as_string(array))
    absent = _or_null(pc.is_in(texts, value_set=pa.array(missing)), texts)
    good = _true(pc.match_substring_regex(texts, _NUMBER)) & ~absent
    numbers = pc.cast(pc.if_else(pa.array(good), texts, None), pa.float64())
    return numbers, ~good & ~absent


def _flat(array: pa.Array) -> tuple[pa.Array, Mask]:
    """One value a row; a row with several is marked bad and becomes missing."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not _is_list(array.type):
        return array, np.zeros(len(array), bool)
    lengths = _numpy(pc.fill_null(pc.list_value_length(array), 0))
    starts = _numpy(array.offsets)[:-1]
    first = pa.array(np.where(lengths == 1, starts, 0), mask=lengths != 1)
    return array.values.take(first) if len(array.values) else pa.nulls(len(array)), lengths > 1


def _as_string(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array if array.type == pa.string() else pc.cast(array, pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _numpy(array: pa.Array) -> npt.NDArray[Any]:
    return array.to_numpy(zero_copy_only=False)


def _true(array: pa.Array) -> Mask:
    return np.asarray(_numpy(pc.fill_null(array, False)), bool)


def _or_null(array: pa.Array, source: pa.Array) -> Mask:
    return _true(array) | _true(pc.is_null(source))
