"""What TensorFlow Serving does with a request, however it came: predict, metadata, status.

And its gRPC services over that, with their codes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.contract.servable import Servable
from tests.contract.status import NOT_FOUND, UNIMPLEMENTED, StatusError, invalid
from tests.contract.versions import Versions

SIGNATURES = "signature_def"


class Models:
    """The models of a server by name."""

    def __init__(self, models: Mapping[str, Versions]) -> None:
        self._models = dict(models)

    @contextlib.contextmanager
    def handle(self, spec: model_pb2.ModelSpec) -> Iterator[tuple[int, Servable]]:
        """The version that a request asks for, and its number."""
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        if spec.version_label:
            raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        number = spec.version.value if spec.HasField("version") else None
        with self.versions(spec.name).handle(number) as found:
            yield found

    def versions(self, name: str) -> Versions:
        """The versions of a model; none of one that is not served."""
        return self._models.get(name) or Versions(name, Path())


def predict(models: Models, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """Answers a request."""
    with models.handle(request.model_spec) as (number, servable):
        response = servable.predict(request)
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = number
    return response


def metadata(
    models: Models, spec: model_pb2.ModelSpec
) -> tuple[model_pb2.ModelSpec, get_model_metadata_pb2.SignatureDefMap]:
    """Which version it is, and its signatures."""
    with models.handle(spec) as (number, servable):
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in servable.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
    found = model_pb2.ModelSpec(name=spec.name)
    found.version.value = number
    return found, signatures


def status(
    models: Models, spec: model_pb2.ModelSpec
) -> get_model_status_pb2.GetModelStatusResponse:
    """States of the version that is asked for, or of all that were seen, the newest first."""
    wanted = spec.version.value if spec.HasField("version") else None
    response = get_model_status_pb2.GetModelStatusResponse()
    for number, version in models.versions(spec.name).known():
        if wanted in (None, number):
            one = response.model_version_status.add(version=number)
            one.state = get_model_status_pb2.ModelVersionStatus.State.Value(version.state)
            one.status.error_code = version.error.code.value[0] if version.error else 0
            one.status.error_message = version.error.message if version.error else ""
    if not response.model_version_status:
        which = "any versions" if wanted is None else f"version {wanted}"
        raise StatusError(NOT_FOUND, f"Could not find {which} of model {spec.name}")
    return response


def add_to(server: grpc.Server, models: Models) -> None:
    """Adds both services to a gRPC server."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(models), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Model(models), server)


def _told(context: Any, make: Callable[[], Any]) -> Any:
    """What it makes, or its error as a gRPC status."""
    try:
        return make()
    except StatusError as error:
        context.abort(error.code, error.message)


def _spec(request: Any) -> model_pb2.ModelSpec:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    def Predict(self, request: Any, context: Any) -> Any:
        def make() -> Any:
            _spec(request)
            return predict(self._models, request)

        return _told(context, make)

    def GetModelMetadata(self, request: Any, context: Any) -> Any:
        def make() -> Any:
            spec = _spec(request)
            if list(request.metadata_field) != [SIGNATURES]:
                raise invalid(
                    f"Metadata field {', '.join(request.metadata_field)} is not supported"
                    if request.metadata_field
                    else "GetModelMetadataRequest must specify at least one metadata_field"
                )
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            found, signatures = metadata(self._models, spec)
            response.model_spec.CopyFrom(found)
            response.metadata[SIGNATURES].Pack(signatures)
            return response

        return _told(context, make)


class _Model(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    def GetModelStatus(self, request: Any, context: Any) -> Any:
        return _told(context, lambda: status(self._models, _spec(request)))

    def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        context.abort(UNIMPLEMENTED, "the double is not configured while it runs")
