"""Asks TensorFlow Serving by gRPC for scores or translations; takes `tensorflow-serving-api`.

serve_grpc.py localhost:8500 ranking '{"user_id": "u7", "price": 4.5}' '{"genres": ["new", "old"]}'
serve_grpc.py localhost:8500 translation '{"source": "a red house"}'
"""

from __future__ import annotations

import json
import sys
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

TIME = "timestamp"
"""The time's name in examples, whatever its column is called: whole seconds since 1970."""


def serialized(row: dict[str, Any]) -> bytes:
    """A row as a `tf.Example`, in which what is missing (or `null`) is left out."""
    made = tf.train.Example()
    for name, given in row.items():
        if given is None:
            continue
        feature = made.features.feature[name]
        for one in given if isinstance(given, list) else [given]:
            if name == TIME:
                feature.int64_list.value.append(one)
            elif isinstance(one, str):
                feature.bytes_list.value.append(one.encode())
            else:
                feature.float_list.value.append(one)
    found: bytes = made.SerializeToString()
    return found


def ask(server: str, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """[B, ...] arrays by output of `serving_default`, for B rows."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    examples = np.array([serialized(row) for row in rows], object)
    request.inputs["examples"].CopyFrom(tf.make_tensor_proto(examples, tf.string))
    # An answer to many rows is larger than the 4 MiB that a client takes by itself.
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(server, options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(request, timeout=60)
    return {output: tf.make_ndarray(proto) for output, proto in response.outputs.items()}


def plain(found: Any) -> Any:
    """Lists and bytes as JSON has them."""
    if isinstance(found, list):
        return [plain(one) for one in found]
    return found.decode() if isinstance(found, bytes) else found


if __name__ == "__main__":
    server, name, *questions = sys.argv[1:]
    arrays = ask(server, name, [json.loads(question) for question in questions])
    outputs = {output: plain(array.tolist()) for output, array in arrays.items()}
    for number in range(len(questions)):
        row = {output: values[number] for output, values in outputs.items()}
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
