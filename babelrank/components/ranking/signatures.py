"""The exported ranking model: one SavedModel with all preprocessing inside, and three doors.

`serving_default` takes serialized `tf.Example`s, `predict_rows` takes named raw columns, and
`transform_features` gives the model inputs of serialized examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from babelrank.components.ranking import features, records
from babelrank.components.ranking.features import Features
from babelrank.components.ranking.preprocessing import Columns
from babelrank.components.serving import model_rows

SERVING, ROWS, TRANSFORM = "serving_default", "predict_rows", "transform_features"
SCORE = "score"
"""Output [B] float32: the probability of a click, or the rating."""


class ServingModel(tf.Module):
    """Preprocessing and network together.

    Features that are known in training only are replaced by their serving default here, in
    every door, so that what the Evaluator judges is what will be served.

    Args:
        model: Maps `{"dense_features": [B, W], "sparse_features": {name: ids}}` to [B] scores.
        transform: The output of the Transform step.
        columns: Meaning of the raw columns.
        inputs: The model inputs.
    """

    def __init__(
        self,
        model: Callable[..., tf.Tensor],
        transform: tft.TFTransformOutput,
        columns: Columns,
        inputs: Features,
    ) -> None:
        super().__init__()
        self._model = model
        self._layer = transform.transform_features_layer()
        self._data = columns.data
        self._time_column = columns.data.timestamp if columns.transform.time_features else None
        self._inputs = inputs
        raw = transform.raw_feature_spec()
        dropped = (records.LABEL, records.WEIGHT, *columns.data.training_only)
        self._raw_spec = {name: spec for name, spec in raw.items() if name not in dropped}

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name."""
        serialized = tf.TensorSpec([None], tf.string, name="examples")
        return {
            SERVING: self.score_examples.get_concrete_function(serialized),
            ROWS: self.score_rows.get_concrete_function(
                **{name: self._column_spec(name) for name in self.row_columns()}
            ),
            TRANSFORM: self.transform_examples.get_concrete_function(serialized),
        }

    def row_columns(self) -> tuple[str, ...]:
        """Names of the raw columns that `predict_rows` takes."""
        names = [n for n in self._data.features if n not in self._data.training_only]
        return (*names, self._time_column) if self._time_column else tuple(names)

    def describe_rows(self) -> tuple[model_rows.RowColumn, ...]:
        """The raw columns of `predict_rows`, for `babelrank predict`."""
        kinds = {tf.string: "text", tf.float32: "number", tf.int64: "time"}
        return tuple(
            model_rows.RowColumn(
                name=name,
                kind=kinds[self._column_spec(name).dtype],
                separator=self._data.multivalent.get(name),
                time_format=self._data.timestamp_format if name == self._time_column else None,
                feature=records.TIMESTAMP if name == self._time_column else None,
            )
            for name in self.row_columns()
        )

    @property
    def missing_values(self) -> tuple[str, ...]:
        """Texts that mean 'no value' in the numbers and times of files."""
        return self._data.missing_values

    @tf.function
    def score_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """[B] serialized `tf.Example`s to [B] scores."""
        return {SCORE: self._score(self._parsed(examples))}

    @tf.function
    def score_rows(self, **columns: tf.Tensor) -> dict[str, tf.Tensor]:
        """[B] raw columns to [B] scores."""
        raw = {self._feature_of(name): self._sparse(name, t) for name, t in columns.items()}
        return {SCORE: self._score(raw)}

    @tf.function
    def transform_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """[B] serialized `tf.Example`s to model inputs; several ids a row are padded with -1."""
        inputs = self._model_inputs(self._parsed(examples))
        sparse: dict[str, tf.Tensor] = inputs.pop(features.SPARSE)
        return inputs | sparse

    def _parsed(self, examples: tf.Tensor) -> dict[str, tf.SparseTensor]:
        examples = tf.ensure_shape(examples, [None])  # TensorFlow Serving does not look at shapes
        parsed: dict[str, tf.SparseTensor] = tf.io.parse_example(examples, self._raw_spec)
        return parsed

    def _score(self, raw: Mapping[str, tf.SparseTensor]) -> tf.Tensor:
        scores = self._model(self._model_inputs(raw), training=False)
        return tf.reshape(tf.cast(scores, tf.float32), [-1])

    def _model_inputs(self, raw: Mapping[str, tf.SparseTensor]) -> dict[str, Any]:
        """Dense [B, W] if any, and ids by feature: [B], or [B, V] padded with -1."""
        rows = next(iter(raw.values())).dense_shape[0]
        constants = {
            name: self._constant(name, value, rows)
            for name, value in self._data.training_only.items()
        }
        transformed = self._layer({**raw, **constants})
        sparse = {}
        for feature in self._inputs.sparse:
            ids = transformed[feature.name]
            if isinstance(ids, tf.SparseTensor):
                ids = tf.sparse.to_dense(ids, default_value=tf.constant(-1, tf.int64))
            sparse[feature.name] = ids
        inputs: dict[str, Any] = {features.SPARSE: sparse}
        if self._inputs.dense_width:
            inputs[features.DENSE] = transformed[features.DENSE]
        return inputs

    def _constant(self, name: str, value: Any, rows: tf.Tensor) -> tf.SparseTensor:
        constant = tf.constant(float(value) if name in self._data.dense else str(value))
        return _present(tf.fill([rows], constant), tf.fill([rows], True))

    def _feature_of(self, column: str) -> str:
        return records.TIMESTAMP if column == self._time_column else column

    def _column_spec(self, name: str) -> tf.TensorSpec:
        kind = tf.string
        if name in self._data.dense:
            kind = tf.float32
        elif name == self._time_column:
            kind = tf.int64
        return tf.TensorSpec([None], kind, name=name)

    def _sparse(self, name: str, column: tf.Tensor) -> tf.SparseTensor:
        """A raw column as the parser would give it."""
        column = tf.ensure_shape(column, [None])
        if name in self._data.multivalent:
            pieces = tf.strings.split(column, self._data.multivalent[name]).to_sparse()
            return tf.sparse.retain(pieces, tf.not_equal(pieces.values, ""))
        if column.dtype == tf.string:
            return _present(column, tf.not_equal(column, ""))
        if column.dtype == tf.int64:
            return _present(column, tf.not_equal(column, model_rows.NO_TIME))
        return _present(column, tf.math.is_finite(column))


def save(serving: ServingModel, path: str) -> None:
    """Writes the SavedModel with its three signatures, and what `predict` must know of rows."""
    tf.saved_model.save(serving, path, signatures=serving.signatures())
    rows = model_rows.RowsDescription(
        task="ranking",
        signature=ROWS,
        output=SCORE,
        columns=serving.describe_rows(),
        missing_values=serving.missing_values,
    )
    rows.save(path)


def _present(column: tf.Tensor, there: tf.Tensor) -> tf.SparseTensor:
    """[B] values as sparse [B, 1], without the rows where there is none."""
    rows = tf.where(there)
    indices = tf.concat([rows, tf.zeros_like(rows)], axis=1)
    shape = [tf.shape(column, tf.int64)[0], 1]
    return tf.SparseTensor(indices, tf.boolean_mask(column, there), shape)
