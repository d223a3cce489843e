"""Requests to a server by REST and by gRPC, and the answers, for the tests."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.contract.model_server import ModelServer

SECONDS = 60


def get(server: ModelServer, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """Code and JSON of the answer to a GET, or with a body to a POST."""
    request = urllib.request.Request(f"{server.url}/v1/models/{path}", body)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        assert error.headers["Content-Type"] == "application/json"
        return error.code, json.load(error)


def post(server: ModelServer, **request: Any) -> Any:
    """The answer to a prediction request, whose JSON may have a bare NaN."""
    code, answer = get(server, f"{server.versions.name}:predict", json.dumps(request).encode())
    assert code == 200, answer
    return answer


def refusal(server: ModelServer, body: bytes | dict[str, Any]) -> str:
    """The sentence with which a prediction request is refused."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    code, answer = get(server, f"{server.versions.name}:predict", data)
    assert code == 400, answer
    assert set(answer) == {"error"}
    sentence: str = answer["error"]
    return sentence


def encoded(serialized: bytes) -> dict[str, str]:
    """Bytes as JSON."""
    return {"b64": base64.b64encode(serialized).decode()}


def request_for(name: str, signature: str, **inputs: Any) -> predict_pb2.PredictRequest:
    """A gRPC request with arrays, or tensors, by input."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return request


def call(server: ModelServer, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """The answer to a gRPC request."""
    with grpc.insecure_channel(server.target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return stub.Predict(request, timeout=SECONDS)


def arrays(response: predict_pb2.PredictResponse) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays by output."""
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
