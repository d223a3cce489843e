"""A request's JSON to tensors, by the rules of TensorFlow Serving's `json_tensor.cc`.

It is parsed as RapidJSON does with NaN and Infinity allowed. Types are not converted, but for a
whole number that a float holds exactly.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2

from tests.contract.status import invalid
from tests.contract.tensors import FIELDS, FLOAT, INT64, STRING, sizes

ROW, COLUMNAR = "instances", "inputs"
_NAMES = {FLOAT: "float", INT64: "int64", STRING: "string"}
_LARGEST = float(np.finfo(np.float32).max)
_EXACT = 2**24 - 1
# Escaped backslashes and whole pairs are skipped; what then matches is half a pair.
_LONE = re.compile(r"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)", re.S)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request; bytes that are no UTF-8 pass through, as they do there."""
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if any(match[1] for match in _LONE.finditer(text)):
        raise invalid("JSON Parse error: The surrogate pair in string is invalid. at offset: 0")
    try:
        found = json.loads(
            text, parse_int=_whole, parse_float=_decimal, object_pairs_hook=_first_of_each
        )
    except ValueError as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(found, dict):
        raise invalid(f"JSON Value: {json.dumps(found)} Is not object")
    return found


def tensors(
    request: Mapping[str, Any], types: Mapping[str, int]
) -> tuple[str, dict[str, tensor_pb2.TensorProto]]:
    """The format of a request and its tensors by input.

    Args:
        request: From `parse`.
        types: Types by input of the signature.
    """
    if ROW in request and COLUMNAR in request:
        raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys")
    if ROW in request:
        return ROW, _of_rows(request[ROW], types)
    if COLUMNAR in request:
        return COLUMNAR, _of_columns(request[COLUMNAR], types)
    raise invalid("Missing 'inputs' or 'instances' key")


def _of_rows(rows: Any, types: Mapping[str, int]) -> dict[str, tensor_pb2.TensorProto]:
    if not isinstance(rows, list):
        raise invalid("Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid("No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(types) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input "
            "tensors required as per tensorinfo_map"
        )
    named = _is_object(rows[0])
    columns: dict[str, list[tensor_pb2.TensorProto]] = {name: [] for name in types}
    for number, row in enumerate(rows):
        where = f"Failed to process element: {number}"
        if _is_object(row) != named:
            raise invalid(f"{where}: objects and values in one 'instances' list")
        values = row if named else {next(iter(types)): row}
        for name, value in values.items():
            if name not in types:
                raise invalid(
                    f"{where} key: {name} of 'instances' list. Error: JSON object: does "
                    f"not have named input: {name}"
                )
            columns[name].append(_same_shape(_tensor(value, types[name]), columns[name]))
        if set(values) != set(types):
            raise invalid(
                f"{where} of 'instances' list. JSON object: {row} keys must be equal to: "
                f"{','.join(sorted(types))}"
            )
    return {name: _stacked(column) for name, column in columns.items()}


def _of_columns(value: Any, types: Mapping[str, int]) -> dict[str, tensor_pb2.TensorProto]:
    if not _is_object(value):
        if len(types) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input "
                "tensors required as per tensorinfo_map"
            )
        return {name: _tensor(value, kind) for name, kind in types.items()}
    for name in types:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(value[name], kind) for name, kind in types.items()}


def _tensor(value: Any, kind: int) -> tensor_pb2.TensorProto:
    """A value, or lists of lists of them that are all of one size at each level."""
    proto, first = tensor_pb2.TensorProto(dtype=kind), value
    while isinstance(first, list):
        proto.tensor_shape.dim.add(size=len(first))
        if not first:
            break
        first = first[0]
    _fill(proto, value, 0)
    return proto


def _fill(proto: tensor_pb2.TensorProto, value: Any, level: int) -> None:
    expected = sizes(proto)
    if not isinstance(value, list):
        if level != len(expected):
            raise invalid(
                f"JSON Value: {value!r} found at incorrect level: {level + 1} in the "
                f"JSON DOM. Expected at level: {len(expected)}"
            )
        getattr(proto, FIELDS[proto.dtype]).append(_converted(value, proto.dtype))
        return
    if level >= len(expected):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(expected)}")
    if len(value) != expected[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {expected[level]}"
        )
    for one in value:
        _fill(proto, one, level + 1)


def _converted(value: Any, kind: int) -> Any:
    whole, decimal = type(value) is int, type(value) is float
    if kind == STRING and isinstance(value, str):
        return _bytes(value)
    if kind == STRING and isinstance(value, dict):
        return _decoded(value)
    if kind == INT64 and whole and -(2**63) <= value < 2**63:
        return value
    if kind == FLOAT and (whole or decimal):
        if (whole and abs(value) > _EXACT) or (decimal and _LARGEST < abs(value) < math.inf):
            raise invalid(f"Cannot convert JSON value: {value} to float without loss of precision.")
        return value
    raise invalid(
        f"JSON Value: {value!r} Type: {type(value).__name__} is not of expected type: "
        f"{_NAMES[kind]}"
    )


def _decoded(value: dict[str, Any]) -> bytes:
    text = value.get("b64")
    if len(value) != 1 or not isinstance(text, str):
        raise invalid(f"JSON Value: {value} not formatted correctly for base64 data")
    try:
        return base64.b64decode(
            text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True
        )
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _same_shape(
    proto: tensor_pb2.TensorProto, others: Sequence[tensor_pb2.TensorProto]
) -> tensor_pb2.TensorProto:
    if others and others[0].tensor_shape != proto.tensor_shape:
        raise invalid(f"Expecting shape {sizes(others[0])} but got: {sizes(proto)}")
    return proto


def _stacked(rows: Sequence[tensor_pb2.TensorProto]) -> tensor_pb2.TensorProto:
    whole = tensor_pb2.TensorProto(dtype=rows[0].dtype)
    for size in (len(rows), *sizes(rows[0])):
        whole.tensor_shape.dim.add(size=size)
    field = FIELDS[whole.dtype]
    for row in rows:
        getattr(whole, field).extend(getattr(row, field))
    return whole


def _is_object(value: Any) -> bool:
    """Whether a value is an object, and not one that stands for bytes."""
    return isinstance(value, dict) and not (set(value) == {"b64"} and isinstance(value["b64"], str))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _whole(text: str) -> int | float:
    """A number without a point; one that 64 bits do not hold is a decimal number."""
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(number)


def _decimal(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"Number too big to be stored in double: {text}")
    return number


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which, of keys that come twice, the first counts."""
    return dict(reversed(pairs))
