"""Finds the raw examples of what a trainer kept: those that Transform makes the same inputs of.

Transform writes its examples in another order than it reads them, so a trainer cannot say which raw
example it saw; but it keeps what the model was given.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from babelrank.components.serving.check.requests import raw_examples
from babelrank.components.serving.reference import Reference, ReferenceRow

SCANNED = 200_000
"""Raw examples that are searched at the most."""
_BATCH = 1024
_PAD = -1
Key = tuple[tuple[int, ...], ...]


def matched(reference: Reference, folder: str, transform_graph: str) -> Reference:
    """The reference with the raw example of each row, where there is one.

    Whole numbers must be the same, and others close: where Transform ran, other batches may have
    rounded them otherwise.

    Args:
        reference: What the trainer kept.
        folder: Folder of the raw examples of its split.
        transform_graph: URI of the transform graph.
    """
    rows = list(reference.rows)
    if not rows:
        return reference
    wanted = _Wanted(rows)
    examples = raw_examples(folder)
    transform = _transform(transform_graph, tuple(rows[0].inputs))
    scanned = 0
    for batch in _batches(itertools.islice(examples, SCANNED)):
        scanned += len(batch)
        for example, inputs in zip(batch, transform(batch), strict=True):
            for number in wanted.take(inputs):
                rows[number] = dataclasses.replace(rows[number], example=example)
        if not wanted:
            break
    complete = next(examples, None) is None
    return dataclasses.replace(reference, rows=tuple(rows), scanned=scanned, complete=complete)


class _Wanted:
    """The rows whose raw examples are still looked for, by their whole numbers."""

    def __init__(self, rows: Sequence[ReferenceRow]) -> None:
        self._numbers: dict[Key, dict[int, list[float]]] = {}
        for number, row in enumerate(rows):
            key, floats = _split(row.inputs)
            self._numbers.setdefault(key, {})[number] = floats

    def __bool__(self) -> bool:
        return any(self._numbers.values())

    def take(self, inputs: Mapping[str, Sequence[float]]) -> list[int]:
        """The rows with these inputs, which are looked for no more."""
        key, floats = _split(inputs)
        there = self._numbers.get(key, {})
        same = [n for n, other in there.items() if _close(floats, other)]
        for number in same:
            del there[number]
        return same


def _split(inputs: Mapping[str, Sequence[float]]) -> tuple[Key, list[float]]:
    """The whole numbers by feature, and all the others."""
    ordered = [inputs[name] for name in sorted(inputs)]
    key = tuple(tuple(v for v in values if isinstance(v, int)) for values in ordered)
    return key, [v for values in ordered for v in values if isinstance(v, float)]


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-5, atol=1e-6)


def _batches(examples: Iterator[bytes]) -> Iterator[list[bytes]]:
    while batch := list(itertools.islice(examples, _BATCH)):
        yield batch


def _transform(uri: str, names: Sequence[str]) -> Any:
    """A function from serialized examples to the inputs of each, by name, without padding."""
    import tensorflow_text  # noqa: F401  a transform graph may hold its operations

    output = tft.TFTransformOutput(uri)
    spec = output.raw_feature_spec()
    layer = output.transform_features_layer()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def compute(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        found = layer(tf.io.parse_example(examples, spec))
        return {name: _dense(found[name]) for name in names}

    def transform(examples: Sequence[bytes]) -> list[dict[str, list[float]]]:
        arrays = {n: v.numpy() for n, v in compute(tf.constant(examples)).items()}
        return [
            {name: _values(values[i]) for name, values in arrays.items()}
            for i in range(len(examples))
        ]

    return transform


def _dense(values: Any) -> tf.Tensor:
    """[B] or [B, W]; what has several lengths is padded."""
    if isinstance(values, tf.SparseTensor):
        return tf.sparse.to_dense(values, tf.constant(_PAD, values.dtype))
    if isinstance(values, tf.RaggedTensor):
        return values.to_tensor(tf.constant(_PAD, values.dtype))
    return values


def _values(row: Any) -> list[float]:
    values = np.atleast_1d(row)
    found: list[float] = (values[values != _PAD] if values.dtype.kind in "iu" else values).tolist()
    return found
