"""Raw examples to model inputs with TensorFlow Transform, the same in training and serving.

A categorical value becomes an id: 0 is 'missing', then the vocabulary (commonest first) or
the hash buckets, then the out-of-vocabulary ids. Dense values are scaled, imputed with the
train mean, and followed by a flag that says which were missing. TFX calls `preprocessing_fn`
on the train split only, so no statistic sees eval or test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from babelrank.components.config import from_dict, to_dict
from babelrank.components.ranking import features, records
from babelrank.components.ranking.config import DataConfig, TransformConfig, VocabularyConfig
from babelrank.components.ranking.features import Features, SparseFeature

MISSING_ID = 0
_NO_TIME = tf.int64.min
_SIZES = {"hour": 24, "weekday": 7}
_THURSDAY = 3  # 1970-01-01, counted from Monday = 0


@dataclass(frozen=True)
class Columns:
    """What preprocessing is told about the columns: the two configurations together."""

    data: DataConfig
    transform: TransformConfig

    @classmethod
    def from_custom_config(cls, custom_config: Mapping[str, Any]) -> Columns:
        """The inverse of `to_custom_config`."""
        return cls(
            from_dict(DataConfig, custom_config["data"], "data"),
            from_dict(TransformConfig, custom_config["transform"], "transform"),
        )

    def to_custom_config(self) -> dict[str, Any]:
        """As TFX carries it into Transform and Trainer."""
        return {"data": to_dict(self.data), "transform": to_dict(self.transform)}

    @property
    def has_weight(self) -> bool:
        """True when train examples carry a sample weight."""
        return self.data.weight is not None or self.data.keep_negatives < 1

    def dense_mode(self, name: str) -> str:
        """What happens to a dense feature."""
        return self.transform.dense_by_feature.get(name, self.transform.dense)

    def vocabulary(self, name: str) -> VocabularyConfig:
        """How a categorical feature becomes ids."""
        return self.transform.vocabularies.get(name, self.transform.vocabulary)


def preprocessing_fn(
    inputs: Mapping[str, tf.SparseTensor | tf.Tensor], custom_config: Mapping[str, Any]
) -> dict[str, tf.SparseTensor | tf.Tensor]:
    """TFX's entry: raw features of a batch to model inputs.

    Args:
        inputs: Sparse [B, ?] features, and a dense [B] label.
        custom_config: As `Columns.to_custom_config` gives it.

    Returns:
        An int64 id [B] for each categorical feature, sparse int64 ids [B, ?] for each
        multivalent one, `dense_features` [B, W] when there are any, the label, and the weight.
    """
    columns = Columns.from_custom_config(custom_config)
    outputs: dict[str, tf.SparseTensor | tf.Tensor] = {}
    for name in columns.data.categorical:
        outputs[name] = _category(inputs[name], name, columns.vocabulary(name))
    for name in columns.data.multivalent:
        outputs[name] = _categories(inputs[name], name, columns)
    for name in columns.transform.time_features:
        outputs[name] = _time_feature(inputs[records.TIMESTAMP], name, columns.data)
    dense: list[tf.Tensor] = []
    for name in columns.data.dense:
        if columns.dense_mode(name) == "bucketize":
            outputs[name] = _bucket(inputs[name], columns.transform.buckets, name)
        else:
            dense += _scaled(inputs[name], columns.dense_mode(name))
    if dense:
        outputs[features.DENSE] = tf.stack(dense, axis=1)
    outputs[features.LABEL] = inputs[records.LABEL]
    if columns.has_weight:
        outputs[features.WEIGHT] = _first(inputs[records.WEIGHT], 1.0)
    return outputs


def model_features(columns: Columns, vocabulary_size: Callable[[str], int]) -> Features:
    """The model inputs that `preprocessing_fn` produces.

    Args:
        columns: The same configuration.
        vocabulary_size: Number of categories in the learned vocabulary of a feature, as
            `tft.TFTransformOutput.vocabulary_size_by_name` gives it.
    """
    sparse = []
    for name in (*columns.data.categorical, *columns.data.multivalent):
        config = columns.vocabulary(name)
        known = config.hash_buckets or vocabulary_size(name) + config.oov_buckets
        sparse.append(SparseFeature(name, 1 + known, name in columns.data.multivalent))
    sparse += [
        SparseFeature(name, 1 + _SIZES[name], False) for name in columns.transform.time_features
    ]
    buckets = [n for n in columns.data.dense if columns.dense_mode(n) == "bucketize"]
    sparse += [SparseFeature(name, 1 + columns.transform.buckets, False) for name in buckets]
    return Features(tuple(sparse), 2 * (len(columns.data.dense) - len(buckets)))


def _category(values: tf.SparseTensor, name: str, config: VocabularyConfig) -> tf.Tensor:
    """[B] ids; an empty text counts as missing."""
    return _first(_ids(_without_empty(values), name, config), tf.constant(MISSING_ID, tf.int64))


def _categories(values: tf.SparseTensor, name: str, columns: Columns) -> tf.SparseTensor:
    """Sparse [B, ?] ids, at most `max_values` a row; empty texts do not count."""
    full = _without_gaps(_without_empty(values))
    kept = tf.sparse.retain(full, full.indices[:, 1] < columns.transform.max_values)
    return _ids(kept, name, columns.vocabulary(name))


def _ids(values: tf.SparseTensor, name: str, config: VocabularyConfig) -> tf.SparseTensor:
    if config.hash_buckets is not None:
        ids = tf.sparse.map_values(tf.strings.to_hash_bucket_fast, values, config.hash_buckets)
    else:
        ids = tft.compute_and_apply_vocabulary(
            values,
            top_k=config.max_size,
            frequency_threshold=config.min_frequency,
            num_oov_buckets=config.oov_buckets,
            vocab_filename=name,
        )
    return tf.sparse.map_values(lambda id_: id_ + 1 + MISSING_ID, ids)


def _scaled(values: tf.SparseTensor, mode: str) -> list[tf.Tensor]:
    """[B] scaled values with 0 (the train mean, where scaled by it) for missing, [B] flags."""
    values = _finite(values)
    if mode in ("log", "log_zscore"):
        values = tf.sparse.map_values(lambda x: tf.sign(x) * tf.math.log1p(tf.abs(x)), values)
    if mode in ("zscore", "log_zscore"):
        mean, variance = tft.mean(values), tft.var(values)
        scale = tf.where(variance > 0, tf.math.rsqrt(tf.maximum(variance, 1e-12)), 1.0)
        values = tf.sparse.map_values(lambda x: (x - mean) * scale, values)
    scaled = _first(values, float("nan"))
    missing = tf.math.is_nan(scaled)
    return [tf.where(missing, 0.0, scaled), tf.cast(missing, tf.float32)]


def _bucket(values: tf.SparseTensor, buckets: int, name: str) -> tf.Tensor:
    """[B] ids of quantile buckets."""
    bucketed = tft.bucketize(_finite(values), buckets, name=f"buckets_{name}")
    ids = tf.sparse.map_values(lambda id_: id_ + 1 + MISSING_ID, bucketed)
    return _first(ids, tf.constant(MISSING_ID, tf.int64))


def _time_feature(times: tf.SparseTensor, name: str, data: DataConfig) -> tf.Tensor:
    """[B] ids of the hour or the weekday (Monday first) in the users' local time."""
    seconds = _first(times, tf.constant(_NO_TIME, tf.int64))
    local = seconds + round(data.utc_offset_hours * 3600)
    if name == "hour":
        value = tf.math.floormod(tf.math.floordiv(local, 3600), 24)
    else:
        value = tf.math.floormod(tf.math.floordiv(local, 86_400) + _THURSDAY, 7)
    return tf.where(tf.equal(seconds, _NO_TIME), tf.constant(MISSING_ID, tf.int64), value + 1)


def _without_empty(values: tf.SparseTensor) -> tf.SparseTensor:
    return tf.sparse.retain(values, tf.not_equal(values.values, ""))


def _without_gaps(values: tf.SparseTensor) -> tf.SparseTensor:
    """The values of each row in its first columns, as every writer of examples wants them."""
    rows = values.indices[:, 0]
    return tf.RaggedTensor.from_value_rowids(
        values.values, rows, nrows=values.dense_shape[0], validate=False
    ).to_sparse()


def _finite(values: tf.SparseTensor) -> tf.SparseTensor:
    return tf.sparse.retain(values, tf.math.is_finite(values.values))


def _first(values: tf.SparseTensor, default: Any) -> tf.Tensor:
    """[B] first value of each row."""
    dense = tft.sparse_tensor_to_dense_with_shape(values, [None, 1], default)
    return tf.squeeze(dense, axis=1)
