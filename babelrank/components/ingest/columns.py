"""Arrow columns of any source type to the few types that examples hold, without row loops.

Numbers become NumPy float64 with NaN for a missing value, times become epoch seconds,
categories become Arrow strings with null for a missing value. What cannot be converted is
marked in a mask, never guessed at and never silently dropped.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.ingest.jsonl_reader import LIST_SEPARATOR
from babelrank.components.ingest.utf8 import is_textual

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Seconds = npt.NDArray[np.int64]

MISSING_CATEGORIES = ("", "\\N")
"""Texts that mean 'no value' in categories, whatever `data.missing_values` says."""

_NAN = r"(?i)^[+-]?nan$"
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?$"
_ZONE = r"(?P<zone> ?(?:[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?))$"
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_EPOCH_LIMIT = 2.0**63


def to_floats(array: pa.Array, missing: Sequence[str] = ("",)) -> tuple[Floats, Mask]:
    """Numbers of a column.

    Args:
        array: [N] numbers, booleans, texts, or lists of at most one of these.
        missing: Texts that mean 'no value'.

    Returns:
        [N] values with NaN for missing ones, and [N] True where the value is no number, or one
        that a finite float32 cannot hold.
    """
    array, bad = _flat(array)
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan), bad
    if is_textual(array.type):
        array, not_numbers = _parse_numbers(array, missing)
        bad |= not_numbers
    values = np.array(_numpy(pc.cast(array, pa.float64(), safe=False)), dtype=np.float64)
    too_large = np.abs(values) > _LARGEST_FLOAT
    values[too_large] = np.nan
    return values, bad | too_large


def to_texts(array: pa.Array) -> tuple[pa.Array, Mask]:
    """Categories of a column.

    Args:
        array: [N] texts, numbers, booleans, or lists of at most one of these.

    Returns:
        [N] strings with null for missing ones, and [N] True where there are several values.
    """
    array, bad = _flat(array)
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    return _without_missing(_as_string(array)), bad


def to_lists(array: pa.Array, separator: str) -> pa.Array:
    """[N] lists of categories, from lists or from texts with a separator; null when missing."""
    if _is_list(array.type):
        values = _as_string(array.flatten())
        offsets = array.offsets.cast(pa.int64())
        lists = pa.LargeListArray.from_arrays(pc.subtract(offsets, offsets[0]), values)
        return pc.if_else(pc.is_valid(array), lists, None) if array.null_count else lists
    texts = _without_missing(_as_string(array))
    if not _true(pc.starts_with(texts, LIST_SEPARATOR)).any():
        return pc.split_pattern(texts, separator)
    rows = [
        None
        if text is None
        else text.split(LIST_SEPARATOR)[1:]
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
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        return _whole_seconds(array), _numpy(pc.is_null(array)), bad
    if not is_textual(array.type) and time_format is None:
        values, not_finite = to_floats(array)
        too_large = np.abs(values) >= _EPOCH_LIMIT
        missing_values = np.isnan(values) & ~not_finite
        return _epoch(values), missing_values, bad | not_finite | too_large
    texts = pc.utf8_trim_whitespace(_as_string(array))
    absent = _or_null(pc.is_in(texts, value_set=pa.array(missing, pa.string())), texts)
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
    whole = pc.utf8_slice_codeunits(pc.if_else(pa.array(iso), plain, None), 0, 19)
    bad = ~(iso | numeric)
    try:
        moments = pc.cast(whole, pa.timestamp("s"))
        seconds = np.array(_numpy(pc.fill_null(pc.cast(moments, pa.int64()), 0)))
    except pa.ArrowInvalid:  # such as a 13th month: find out which
        seconds, unreadable = _parse_each(whole, datetime.datetime.fromisoformat)
        bad |= unreadable & iso
    seconds = seconds - np.where(zone, _zone_offsets(texts, zone), 0)
    if numeric.any():
        numbers = np.array(_numpy(_cast_numbers(texts, numeric)), dtype=np.float64)
        bad |= np.abs(numbers) >= _EPOCH_LIMIT
        seconds = np.where(numeric, _epoch(numbers), seconds)
    return seconds, bad


def _zone_offsets(texts: pa.Array, zone: Mask) -> Seconds:
    """[N] seconds that the zones at the ends of the texts are ahead of UTC."""
    found = pc.extract_regex(texts, _ZONE).field("zone")
    encoded = pc.dictionary_encode(pc.if_else(pa.array(zone), found, None))
    offsets = [_offset(text) for text in encoded.dictionary.to_pylist()] or [0]
    return np.asarray(offsets)[_numpy(pc.fill_null(encoded.indices, 0))]


def _offset(zone: str | None) -> int:
    digits = re.sub(r"\D", "", zone or "")
    if not zone or not digits:
        return 0
    sign = -1 if "-" in zone else 1
    return sign * (int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60)


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
    values = np.where(np.abs(values) < _EPOCH_LIMIT, values, 0.0)
    size = np.abs(values)
    unit = np.select([size < 1e11, size < 1e14, size < 1e17], [1.0, 1e3, 1e6], 1e9)
    return np.asarray(np.floor(values / unit), np.int64)


def _whole_seconds(moments: pa.Array) -> Seconds:
    """Epoch seconds of timestamps or dates. (As nanoseconds, the year 9999 would overflow.)"""
    if pa.types.is_date32(moments.type):
        days = pc.fill_null(pc.cast(moments, pa.int32()), 0)
        return np.asarray(_numpy(days), np.int64) * 86_400
    if pa.types.is_date64(moments.type):
        moments = pc.cast(moments, pa.timestamp("ms"))
    units = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
    whole = pc.fill_null(pc.cast(moments, pa.int64()), 0)
    return np.asarray(_numpy(whole) // units[moments.type.unit], np.int64)


def _parse_numbers(array: pa.Array, missing: Sequence[str]) -> tuple[pa.Array, Mask]:
    texts = pc.utf8_trim_whitespace(_as_string(array))
    absent = _or_null(pc.is_in(texts, value_set=pa.array(missing, pa.string())), texts)
    absent |= _true(pc.match_substring_regex(texts, _NAN))  # as when Arrow parses the number
    good = _true(pc.match_substring_regex(texts, _NUMBER)) & ~absent
    return _cast_numbers(texts, good), ~good & ~absent


def _cast_numbers(texts: pa.Array, chosen: Mask) -> pa.Array:
    unsigned = pc.replace_substring_regex(texts, r"^\+", "")  # Arrow knows no plus sign
    return pc.cast(pc.if_else(pa.array(chosen), unsigned, None), pa.float64())


def _flat(array: pa.Array) -> tuple[pa.Array, Mask]:
    """One value a row; a row with several is marked bad and becomes missing."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type) and _true(pc.starts_with(array, LIST_SEPARATOR)).any():
        array = to_lists(array, LIST_SEPARATOR)
    if not _is_list(array.type):
        return array, np.zeros(len(array), bool)
    lengths = _numpy(pc.fill_null(pc.list_value_length(array), 0))
    starts = _numpy(array.offsets)[:-1]
    first = pa.array(np.where(lengths == 1, starts, 0), mask=lengths != 1)
    return array.values.take(first) if len(array.values) else pa.nulls(len(array)), lengths > 1


def _without_missing(texts: pa.Array) -> pa.Array:
    absent = pc.is_in(texts, value_set=pa.array(MISSING_CATEGORIES))
    if pc.any(absent).as_py():
        return pc.if_else(absent, pa.scalar(None, pa.string()), texts)
    return texts


def _as_string(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array if array.type == pa.string() else pc.cast(array, pa.string())


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _numpy(array: pa.Array) -> npt.NDArray[Any]:
    return array.to_numpy(zero_copy_only=False)


def _true(array: pa.Array) -> Mask:
    return np.asarray(_numpy(pc.fill_null(array, False)), bool)


def _or_null(array: pa.Array, source: pa.Array) -> Mask:
    return _true(array) | _true(pc.is_null(source))
