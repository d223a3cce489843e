"""One loaded version, as TensorFlow Serving loads and runs it: a session on the SavedModel's graph.

That is not what `tf.saved_model.load` does: feeds and fetches are the names that stand in the
signature, tables and assets are filled by the graph's init operation, and no Python code of ours
runs. The rules are those of TensorFlow Serving's `predict_util.cc` and
`saved_model_warmup_util.cc`; classification and regression, which no signature of ours offers, are
refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  TensorFlow Serving links its operations, too
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tests.contract.status import INTERNAL, PRECONDITION, UNIMPLEMENTED, StatusError, invalid
from tests.contract.tensors import from_array, to_array

DEFAULT = "serving_default"
WARMUP = "assets.extra/tf_serving_warmup_requests"
MAX_WARMUP = 1000


class Servable:
    """A version of a model.

    Attributes:
        signatures: `SignatureDef`s by name.
        warmed: Number of warm-up requests that were replayed.

    Args:
        path: Folder of the SavedModel.

    Raises:
        StatusError: It cannot be loaded, or one of its warm-up requests fails.
    """

    def __init__(self, path: Path) -> None:
        self.warmed = 0
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        self._callables: dict[tuple[str, ...], Any] = {}
        try:
            with graph.as_default():
                meta = tf.compat.v1.saved_model.load(self._session, ["serve"], str(path))
            self.signatures = dict(meta.signature_def)
            self._warm_up(path / WARMUP)
        except StatusError:
            self.close()
            raise
        except tf.errors.OpError as error:
            self.close()
            raise StatusError.of(error.error_code, error.message) from error
        except (OSError, RuntimeError, ValueError) as error:
            self.close()
            raise StatusError(INTERNAL, f"cannot load {path}: {error}") from error

    def close(self) -> None:
        """Frees it; no request may be under way."""
        self._callables.clear()
        self._session.close()

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Outputs of a request; the answer names neither model nor version."""
        name = request.model_spec.signature_name or DEFAULT
        if name not in self.signatures:
            raise StatusError(PRECONDITION, f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        arrays = _inputs(signature, request)
        wanted = _wanted(signature, request)
        response = predict_pb2.PredictResponse()
        response.model_spec.signature_name = name
        for output, array in zip(wanted, self._run(name, arrays, wanted), strict=True):
            response.outputs[output].CopyFrom(from_array(array))
        return response

    def _run(self, name: str, arrays: dict[str, Any], wanted: list[str]) -> list[Any]:
        key = (name, *wanted)
        if key not in self._callables:
            signature, options = self.signatures[name], config_pb2.CallableOptions()
            options.feed.extend(signature.inputs[alias].name for alias in arrays)
            options.fetch.extend(signature.outputs[alias].name for alias in wanted)
            # `Session.run` would compare the feeds with the placeholders' shapes; C++ does not.
            self._callables[key] = self._session._make_callable_from_options(options)
        try:
            return [np.asarray(found) for found in self._callables[key](*arrays.values())]
        except tf.errors.OpError as error:
            raise StatusError.of(error.error_code, error.message) from error

    def _warm_up(self, file: Path) -> None:
        """Replays the requests in a file, if there is one; the model's name in them is not read."""
        if not file.exists():
            return
        for record in tf.compat.v1.io.tf_record_iterator(str(file)):
            log = prediction_log_pb2.PredictionLog()
            try:
                log.ParseFromString(record)
            except DecodeError as error:
                raise invalid(f"Failed to parse warmup record: {record!r} from {file}") from error
            kind = log.WhichOneof("log_type")
            if kind == "predict_log":
                self.predict(log.predict_log.request)
            elif kind is not None:
                raise StatusError(UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
            self.warmed += 1
            if self.warmed > MAX_WARMUP:
                raise invalid(
                    f"Number of warmup records exceeds the maximum ({MAX_WARMUP}) at {file}"
                )


def _inputs(signature: Any, request: predict_pb2.PredictRequest) -> dict[str, Any]:
    """Arrays by input, in the order of the signature; exactly its inputs."""
    given, known = set(request.inputs), set(signature.inputs)
    if len(given) != len(known):
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(known)} "
            f"len({{{_joined(given)}}}) != len({{{_joined(known)}}}). Sent extra: "
            f"{{{_joined(given - known)}}}. Missing but required: {{{_joined(known - given)}}}."
        )
    arrays = {}
    for alias in sorted(known):
        if alias not in given:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not "
                f"found in request and no default value provided. Inputs expected to be in the "
                f"request {{{_joined(given)}}}"
            )
        try:
            arrays[alias] = to_array(request.inputs[alias])
        except (TypeError, ValueError) as error:
            raise invalid(f"tensor parsing error: {alias}") from error
    return arrays


def _wanted(signature: Any, request: predict_pb2.PredictRequest) -> list[str]:
    """Names of the outputs to compute: those of the filter, or all."""
    wanted = list(request.output_filter)
    for alias in wanted:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {{{_joined(set(signature.outputs))}}}."
            )
        if wanted.count(alias) > 1:
            raise invalid(f"duplicate output tensor alias: {alias}")
    return wanted or sorted(signature.outputs)


def _joined(names: set[str]) -> str:
    return ",".join(sorted(names))
