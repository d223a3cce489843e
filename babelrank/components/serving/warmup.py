"""Requests that TensorFlow Serving replays before it serves a version.

The file has TensorFlow Serving's own format: TFRecord of `PredictionLog`s, at most a thousand.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from babelrank.components.serving.check.doors import Door

MOST = 1000
"""With more, TensorFlow Serving refuses to load the model."""


def write(doors: Sequence[Door], examples: Sequence[bytes], count: int, path: Path) -> int:
    """Writes requests through every door: first a full batch, then single examples in turn.

    The same examples give the same bytes.

    Args:
        doors: The signatures.
        examples: What is asked.
        count: Number of requests.
        path: The file.

    Returns:
        Requests written: `count`, or 1000 where that is more.
    """
    written = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for door, batch in itertools.islice(_requests(doors, examples), min(count, MOST)):
            writer.write(_log(door, batch))
            written += 1
    return written


def _requests(
    doors: Sequence[Door], examples: Sequence[bytes]
) -> Iterator[tuple[Door, Sequence[bytes]]]:
    for door in doors:
        yield door, examples
    for one in itertools.cycle(examples):
        for door in doors:
            yield door, [one]


def _log(door: Door, examples: Sequence[bytes]) -> bytes:
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = door.name
    for name, tensor in door.tensors(examples).items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor.numpy(), tensor.dtype))
    serialized: bytes = log.SerializeToString(deterministic=True)
    return serialized
