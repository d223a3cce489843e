"""What the trainer's ranking model answers for some examples of the eval split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from babelrank.components.ranking import features, signatures
from babelrank.components.ranking.preprocessing import Columns
from babelrank.components.serving.reference import ROWS, Reference, ReferenceRow
from babelrank.components.training.inputs import PAD, BatchSource

Inputs = dict[str, Any]
"""What the model takes: `dense_features` [B, W] and `sparse_features`, ids by feature."""


def reference(
    model: tf.keras.Model,
    serving: signatures.ServingModel,
    columns: Columns,
    batches: BatchSource,
) -> Reference:
    """The first examples of a split, as training reads them, and their scores.

    Args:
        model: The model in memory, as it is exported.
        serving: Knows what stands for features that are known in training only.
        columns: The meaning of the raw columns.
        batches: The eval split.
    """
    batch, *_ = next(iter(batches.dataset()))
    count = min(ROWS, batches.store.rows)
    inputs = tf.nest.map_structure(lambda values: values[:count].numpy(), batch)
    served, replaced = _as_served(inputs, serving, columns)
    scores = np.reshape(model(served, training=False), [-1]).tolist()
    rows = [
        ReferenceRow(inputs=_row(inputs, number), outputs={signatures.SCORE: score})
        for number, score in enumerate(scores)
    ]
    return Reference(rows=tuple(rows), replaced=replaced)


def _row(inputs: Inputs, number: int) -> dict[str, list[float]]:
    """The inputs of one example by feature, without padding."""
    dense = {features.DENSE: inputs[features.DENSE]} if features.DENSE in inputs else {}
    ids = {name: np.atleast_1d(v[number]) for name, v in inputs[features.SPARSE].items()}
    found: dict[str, list[float]] = {name: v[v != PAD].tolist() for name, v in ids.items()}
    return found | {name: v[number].tolist() for name, v in dense.items()}


def _as_served(
    inputs: Inputs, serving: signatures.ServingModel, columns: Columns
) -> tuple[Inputs, tuple[str, ...]]:
    """The inputs with what stands for features known in training only, and which these are."""
    unknown = tuple(columns.data.training_only)
    if not unknown:
        return inputs, ()
    nothing = tf.constant([tf.train.Example().SerializeToString()])
    constants = {name: v.numpy() for name, v in serving.transform_examples(nothing).items()}
    sparse = dict(inputs[features.SPARSE])
    for name in unknown:
        if name in sparse:
            shape = (len(sparse[name]), *constants[name].shape[1:])
            sparse[name] = np.broadcast_to(constants[name], shape).astype(sparse[name].dtype)
    places = _places(columns)
    served = {**inputs, features.SPARSE: sparse}
    if places:
        dense = np.array(inputs[features.DENSE])
        dense[:, places] = constants[features.DENSE][:, places]
        served[features.DENSE] = dense
    changed = [name for name in unknown if name in sparse]
    return served, tuple(changed + [features.DENSE] * bool(places))


def _places(columns: Columns) -> list[int]:
    """Where in the dense vector the features known in training only stand: value and flag."""
    scaled = [n for n in columns.data.dense if columns.dense_mode(n) != "bucketize"]
    only: Mapping[str, Any] = columns.data.training_only
    return [2 * i + k for i, name in enumerate(scaled) if name in only for k in (0, 1)]
