"""Tensors between protobuf and numpy, in the fields that TensorFlow Serving fills."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

FLOAT: int = tf.float32.as_datatype_enum
STRING: int = tf.string.as_datatype_enum
INT64: int = tf.int64.as_datatype_enum
FIELDS = {FLOAT: "float_val", STRING: "string_val", INT64: "int64_val"}
"""The types that signatures of ours have, and the fields of their values."""


def to_array(proto: tensor_pb2.TensorProto) -> Any:
    """The array in a tensor.

    Raises:
        ValueError: Its values do not fit its shape.
        TypeError: It has no type.
    """
    return tf.make_ndarray(proto)


def from_array(array: Any) -> tensor_pb2.TensorProto:
    """An array as the server answers it: in the typed field, not as `tensor_content`."""
    kind = STRING if array.dtype == object else tf.as_dtype(array.dtype).as_datatype_enum
    proto = tensor_pb2.TensorProto(dtype=kind)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, FIELDS[kind]).extend(np.ravel(array).tolist())
    return proto


def sizes(proto: tensor_pb2.TensorProto) -> list[int]:
    """The shape of a tensor."""
    return [one.size for one in proto.tensor_shape.dim]
