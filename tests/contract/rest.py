"""TensorFlow Serving's REST interface over loaded models, with its paths, codes and errors.

After `http_rest_api_handler.cc`, `http_rest_api_util.cc` and `http_server.cc`.
"""

from __future__ import annotations

import http.server
import inspect
import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import predict_pb2

from tests.contract import json_answer, json_request
from tests.contract.servable import DEFAULT
from tests.contract.services import Models, metadata, predict, status
from tests.contract.status import StatusError, invalid

_NAME = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_PREDICTION = re.compile(_NAME + r":(classify|regress|predict)", re.I)
_STATUS = re.compile(_NAME + r"(/metadata)?", re.I)


def handler(models: Models, metrics_path: str | None) -> type[http.server.BaseHTTPRequestHandler]:
    """A handler of HTTP requests.

    Args:
        models: What is served.
        metrics_path: Path of the metrics for Prometheus; None: there are none.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == metrics_path:
                self._send(200, b"# TYPE :tensorflow:serving:request_count counter\n", "text/plain")
            else:
                self._answer(lambda: _get(models, self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(lambda: _post(models, self.path, body))

        def _answer(self, make: Callable[[], bytes]) -> None:
            if not self.path.lower().startswith("/v1/"):
                self._send(404, b"", "text/html")
                return
            try:
                self._send(200, make())
            except StatusError as error:
                self._send(error.http, json.dumps({"error": error.message}).encode())

        def _send(self, code: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler


def _post(models: Models, path: str, body: bytes) -> bytes:
    match = _PREDICTION.fullmatch(path)
    if match is None:
        raise invalid(f"Malformed request: POST {path}")
    request = predict_pb2.PredictRequest()
    _choose(request, match)
    plain = json_request.parse(body)
    name = plain.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid("not formatted correctly. 'signature_name' key must be a string value.")
    if match[4].lower() != "predict":
        # Of our signatures the only method is predict.
        raise invalid(f"Expected signature method_name to be tensorflow/serving/{match[4]}.")
    request.model_spec.signature_name = name
    with models.handle(request.model_spec) as (_, servable):
        if (name or DEFAULT) not in servable.signatures:
            raise invalid(f'Serving signature name: "{name or DEFAULT}" not found in signature def')
        inputs = servable.signatures[name or DEFAULT].inputs
    form, tensors = json_request.tensors(plain, {n: info.dtype for n, info in inputs.items()})
    for alias, tensor in tensors.items():
        request.inputs[alias].CopyFrom(tensor)
    return json_answer.answer(form, predict(models, request).outputs)


def _get(models: Models, path: str) -> bytes:
    match = _STATUS.fullmatch(path)
    if match is None:
        raise invalid(f"Malformed request: GET {path}")
    request = predict_pb2.PredictRequest()
    _choose(request, match)
    if not match[4]:
        return json.dumps(_plain(status(models, request.model_spec))).encode()
    spec, signatures = metadata(models, request.model_spec)
    return json.dumps(
        {"model_spec": _plain(spec), "metadata": {"signature_def": _plain(signatures)}}
    ).encode()


def _choose(request: predict_pb2.PredictRequest, match: re.Match[str]) -> None:
    """Writes model and version of a path into a request."""
    request.model_spec.name = urllib.parse.unquote(match[1])
    if match[2]:
        if int(match[2]) >= 2**63:
            raise invalid(f"Failed to convert version: {match[2]} to numeric.")
        request.model_spec.version.value = int(match[2])
    if match[3]:
        request.model_spec.version_label = urllib.parse.unquote(match[3])


def _plain(message: Message) -> dict[str, Any]:
    """A message as JSON, fields without a value included; 64 bits are texts."""
    known = inspect.signature(json_format.MessageToDict).parameters
    every = "including_default_value_fields"  # of protobuf 4
    if every not in known:
        every = "always_print_fields_with_no_presence"
    return json_format.MessageToDict(message, preserving_proto_field_name=True, **{every: True})
