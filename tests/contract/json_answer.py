"""Tensors to an answer's JSON, by the rules of TensorFlow Serving's `json_tensor.cc`."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2

from tests.contract.json_request import COLUMNAR
from tests.contract.status import invalid
from tests.contract.tensors import FIELDS, FLOAT, STRING, sizes


def answer(form: str, outputs: Mapping[str, tensor_pb2.TensorProto]) -> bytes:
    """The body of an answer: `predictions` by row, or `outputs` by column."""
    texts = {name: _written(name, proto) for name, proto in sorted(outputs.items())}
    if form == COLUMNAR:
        return b'{"outputs": ' + _one_or_named({n: _nested(t) for n, t in texts.items()}) + b"}"
    batches = {name: sizes(proto)[:1] for name, proto in outputs.items()}
    if [] in batches.values():
        raise invalid("Tensor has no shape information")
    if len({size for (size,) in batches.values()}) > 1:
        raise invalid(f"Tensors have inconsistent batch sizes: {batches}")
    rows = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
    named = [_one_or_named({n: _nested(t) for n, t in row.items()}) for row in rows]
    return b'{"predictions": [' + b", ".join(named) + b"]}"


def _written(name: str, proto: tensor_pb2.TensorProto) -> Any:
    """Values as JSON, nested as the tensor is; strings of outputs `…_bytes` are base64."""
    encoded = proto.dtype == STRING and name.endswith("_bytes")
    values = [_value(one, proto.dtype, encoded) for one in getattr(proto, FIELDS[proto.dtype])]
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(sizes(proto)).tolist()


def _value(value: Any, kind: int, encoded: bool) -> bytes:
    if encoded:
        return b'{"b64": "' + base64.b64encode(value) + b'"}'
    if kind == STRING:  # bytes that are no UTF-8 stay, and make the JSON invalid
        text = value.decode("utf-8", "surrogateescape")
        return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return _float(value) if kind == FLOAT else str(value).encode()


def _float(value: float) -> bytes:
    """Six digits where they tell the number, nine otherwise; whole ones end in `.0`."""
    if not math.isfinite(value):
        return b"NaN" if math.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"
    text = f"{value:.6g}"
    if np.float32(text) != np.float32(value):
        text = f"{value:.9g}"
    return (text if "." in text or "e" in text else text + ".0").encode()


def _nested(texts: Any) -> bytes:
    if isinstance(texts, bytes):
        return texts
    return b"[" + b", ".join(_nested(one) for one in texts) + b"]"


def _one_or_named(texts: Mapping[str, bytes]) -> bytes:
    """The only value, or an object of several."""
    if len(texts) == 1:
        return next(iter(texts.values()))
    named = (json.dumps(name).encode() + b": " + text for name, text in texts.items())
    return b"{" + b", ".join(named) + b"}"
