"""Requests that a version answers before it is served, so that no client waits for its first steps.

They are those that TensorFlow Serving would replay: a TFRecord file of `PredictionLog` in the
version's `assets.extra`. Where there is none, one empty row or a short line does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babelrank.components.errors import ModelError
from babelrank.components.serving.manifest import WARMUP


def requests(version: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The requests in a version's file: name of the signature, and arrays by input.

    Raises:
        ModelError: The file is no such file.
    """
    path = version / WARMUP
    if not path.exists():
        return
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    found = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            arrays = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            found += 1
            yield request.model_spec.signature_name or "serving_default", arrays
    except (DecodeError, tf.errors.DataLossError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: no warm-up requests: {error}") from error
    if not found:  # TensorFlow takes a few bytes of anything for the end of a file
        raise ModelError(f"{path}: holds no warm-up requests.")


def replay(version: Path, signatures: Any) -> int:
    """Asks a model what its version's file holds; returns how many requests that were.

    Raises:
        ModelError: The model cannot answer one.
    """
    import tensorflow as tf

    asked = 0
    for name, arrays in requests(version):
        asked += 1
        try:
            signatures[name](**{key: tf.constant(value) for key, value in arrays.items()})
        except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
            raise ModelError(
                f"{version}: warm-up request {asked}, to {name}, fails: {error!s:.300}"
            ) from error
    return asked
