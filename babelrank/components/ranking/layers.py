"""Layers of the ranking model that TFRS lacks: fused embeddings, an MLP with dropout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from babelrank.components.ranking.features import SparseFeature
from babelrank.components.training.dropout import Dropout
from babelrank.components.training.replicas import mean

COMBINERS = ("mean", "sum", "sqrtn")


class Embeddings(tf.keras.layers.Layer):  # type: ignore[misc]
    """Embeds all sparse features, with one table for all features of one width.

    The tables of the features lie below one another in one variable, so that a batch costs one
    gather and one sparse update, however many features there are. Feature f has the rows from
    `offset(f)` on, and id i is row `offset(f) + i`.

    A multivalent feature with ids i_1 .. i_n becomes sum_k e(i_k) divided by n (mean), 1 (sum) or
    sqrt(n) (sqrtn); no ids give zeros. An id outside 0 .. size - 1 counts as the last id, which
    our vocabularies give to unknown categories; negative ids of a multivalent feature are padding.

    Args:
        features: The features.
        dims: Width of all embeddings, or width by feature.
        combiner: "mean", "sum" or "sqrtn".
        l2: Penalty l2 * sum of squares of an example's embeddings, mean over the batch.
        initializer: Of the tables.

    Raises:
        ValueError: A width below 1 or missing, an unknown combiner.

    Example:
        >>> layer = Embeddings([SparseFeature("user", 10), SparseFeature("tags", 5, True)], 4)
        >>> layer({"user": [1, 2], "tags": [[0, 3], [-1, -1]]})["tags"].shape
        TensorShape([2, 4])
    """

    def __init__(
        self,
        features: Sequence[SparseFeature],
        dims: int | Mapping[str, int],
        combiner: str = "mean",
        l2: float = 0.0,
        initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if combiner not in COMBINERS:
            raise ValueError(f"combiner: got {combiner!r}; takes one of {', '.join(COMBINERS)}.")
        self.features, self.combiner, self.l2 = tuple(features), combiner, l2
        self.dims = {f.name: _width(dims, f.name) for f in features}
        self._initializer = tf.keras.initializers.get(initializer)

    def build(self, input_shape: Any) -> None:
        """Makes one table [rows of the group, width] for each width."""
        for dim, group in self._groups().items():
            rows = sum(feature.size for feature in group)
            table = self.add_weight(
                name=f"embeddings_{dim}", shape=(rows, dim), initializer=self._initializer
            )
            setattr(self, f"table_{dim}", table)
        self.built = True

    def _groups(self) -> dict[int, list[SparseFeature]]:
        """The features by width."""
        groups: dict[int, list[SparseFeature]] = {}
        for feature in self.features:
            groups.setdefault(self.dims[feature.name], []).append(feature)
        return groups

    def offset(self, name: str) -> int:
        """First row of a feature in the table of its width."""
        row = 0
        for feature in self._groups()[self.dims[name]]:
            if feature.name == name:
                return row
            row += feature.size
        raise KeyError(name)

    def call(self, inputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Embeds a batch.

        Args:
            inputs: Ids by feature: int [B] or [B, 1]; for a multivalent feature int [B, W] padded
                with negative ids, or a RaggedTensor or SparseTensor [B, ...]. Others are ignored.

        Returns:
            Embeddings [B, width] by feature.

        Raises:
            ValueError: A feature is missing.
        """
        missing = [f.name for f in self.features if f.name not in inputs]
        if missing:
            raise ValueError(
                f"sparse features: {', '.join(missing)} missing; got {', '.join(inputs)}."
            )
        embedded: dict[str, tf.Tensor] = {}
        for dim, group in self._groups().items():
            embedded.update(self._embed(group, getattr(self, f"table_{dim}"), inputs))
        if self.l2 and embedded:
            exact = [tf.cast(e, tf.float32) for e in embedded.values()]
            squares = tf.add_n([tf.reduce_sum(tf.square(e), axis=1) for e in exact])
            self.add_loss(self.l2 * mean(tf.reduce_sum(squares), tf.size(squares)))
        return {feature.name: embedded[feature.name] for feature in self.features}

    def _embed(
        self, group: Sequence[SparseFeature], table: tf.Variable, inputs: Mapping[str, Any]
    ) -> dict[str, tf.Tensor]:
        """Embeds the features of one width with one gather."""
        single = [f for f in group if not f.multivalent]
        rows, bags = [], {}
        if single:
            ids = tf.stack([_one_id(inputs[f.name]) for f in single])
            rows.append(tf.reshape(self._rows(single, ids), [-1]))
        for feature in group:
            if feature.multivalent:
                flat, examples, count = _bag(inputs[feature.name])
                bags[feature.name] = (tf.shape(flat)[0], examples, count)
                rows.append(tf.reshape(self._rows([feature], flat[None, :]), [-1]))
        vectors = tf.gather(table, tf.concat(rows, 0))
        return self._split(single, bags, vectors, ids if single else None)

    def _split(
        self, single: Sequence[SparseFeature], bags: Mapping[str, Any], vectors: Any, ids: Any
    ) -> dict[str, tf.Tensor]:
        """Gives the gathered rows [n, dim] back to their features."""
        dim, start = vectors.shape[-1], 0
        embedded: dict[str, tf.Tensor] = {}
        if single:
            start = tf.size(ids)
            block = vectors[:start] if bags else vectors
            block = tf.reshape(block, [len(single), -1, dim])
            embedded.update(zip([f.name for f in single], tf.unstack(block), strict=True))
        for name, (length, examples, count) in bags.items():
            mine = vectors[start : start + length]
            embedded[name] = self._combine(mine, examples, count)
            start += length
        return embedded

    def _combine(self, vectors: tf.Tensor, examples: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Combines embeddings [n, dim] of the examples [n] into [count, dim]."""
        total = tf.math.unsorted_segment_sum(vectors, examples, count)
        if self.combiner == "sum":
            return total
        ones = tf.ones_like(examples, dtype=vectors.dtype)
        lengths = tf.maximum(tf.math.unsorted_segment_sum(ones, examples, count), 1.0)
        return total / (lengths if self.combiner == "mean" else tf.sqrt(lengths))[:, None]

    def _rows(self, group: Sequence[SparseFeature], ids: tf.Tensor) -> tf.Tensor:
        """Table rows for ids [features, n]; ids out of range become the last id."""
        sizes = tf.constant([[f.size] for f in group], ids.dtype)
        offsets = tf.constant([[self.offset(f.name)] for f in group], ids.dtype)
        return tf.where((ids >= 0) & (ids < sizes), ids, sizes - 1) + offsets


def _width(dims: int | Mapping[str, int], name: str) -> int:
    dim = dims if isinstance(dims, int) else dims.get(name)
    if not isinstance(dim, int) or dim < 1:
        raise ValueError(f"dims: {name}: got {dim!r}; takes a width of 1 or more.")
    return dim


def _one_id(ids: Any) -> tf.Tensor:
    """Ids [B] from [B], [B, 1], or a ragged or sparse tensor with at most one id in a row."""
    if isinstance(ids, tf.RaggedTensor):
        ids = ids.to_tensor(default_value=-1, shape=[None, 1])
    elif isinstance(ids, tf.SparseTensor):
        ids = tf.sparse.to_dense(ids, default_value=-1)[:, :1]
    ids = tf.cast(tf.convert_to_tensor(ids), tf.int64)
    return tf.reshape(ids, [-1])


def _bag(ids: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Ids [n] without padding, their examples [n], and the number of examples []."""
    if isinstance(ids, tf.SparseTensor):
        flat, examples, count = ids.values, ids.indices[:, 0], ids.dense_shape[0]
    elif isinstance(ids, tf.RaggedTensor):
        flat, examples, count = ids.flat_values, ids.value_rowids(), ids.nrows()
    else:
        ids = tf.convert_to_tensor(ids)
        if ids.shape.rank == 1:
            ids = ids[:, None]
        examples = tf.where(ids >= 0)[:, 0]
        return tf.cast(ids[ids >= 0], tf.int64), examples, tf.shape(ids)[0]
    present = flat >= 0
    return tf.cast(flat[present], tf.int64), examples[present], count


class MLP(tf.keras.layers.Layer):  # type: ignore[misc]
    """Dense layers with ReLU and dropout between them.

    Args:
        units: Widths of the layers.
        final_activation: Activation of the last layer; None: linear.
        dropout: Rate after each layer but the last.
        final_dtype: Type in which the last layer calculates; None: as the others.

    Shapes: [B, any] to [B, units[-1]].
    """

    def __init__(
        self,
        units: Sequence[int],
        final_activation: str | None = "relu",
        dropout: float = 0.0,
        final_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not units:
            raise ValueError("units: got none; takes at least one width.")
        self._stack: list[Any] = []
        for width in units[:-1]:
            self._stack.append(tf.keras.layers.Dense(width, activation="relu"))
            if dropout:
                self._stack.append(Dropout(dropout))
        self._stack.append(
            tf.keras.layers.Dense(units[-1], activation=final_activation, dtype=final_dtype)
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Applies the layers to [B, any]."""
        for layer in self._stack:
            if isinstance(layer, Dropout):
                inputs = layer(inputs, training=training)
            else:
                inputs = layer(inputs)
        return inputs


def dot_interaction() -> tf.keras.layers.Layer:
    """TFRS's DotInteraction; in float32 where others take float16, which it cannot gather."""
    half = tf.keras.mixed_precision.global_policy().compute_dtype == "float16"
    # The default gathers the lower triangle: 12 % slower by itself than skip_gather, but the
    # top stack's first layer then has half the inputs, which saves more.
    return tfrs.layers.feature_interaction.DotInteraction(dtype="float32" if half else None)


class BiasedDot(tf.keras.layers.Layer):  # type: ignore[misc]
    """TFRS's DotInteraction with a learned constant vector among the features.

    Its product with a feature's embedding is that feature's own effect, the first-order term of a
    factorization machine (Rendle, 2010). With dense features the bottom stack, which has biases,
    plays that part; without them pairwise products alone could express no such effect.

    Shapes: F times [B, D] to [B, F * (F + 1) / 2].
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dot = dot_interaction()

    def build(self, input_shape: Any) -> None:
        """Makes the constant vector [D]."""
        self.constant = self.add_weight(
            name="constant", shape=(input_shape[0][-1],), initializer="ones"
        )
        self.built = True

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """Products of all pairs, the constant vector included."""
        constant = tf.broadcast_to(self.constant, tf.shape(inputs[0]))
        return self._dot([*inputs, constant])


class Cross(tf.keras.layers.Layer):  # type: ignore[misc]
    """The cross network of DCN v2 over the concatenated features, made of TFRS's `Cross`.

    x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, with W_l of full rank or W_l = U_l V_l
    (https://arxiv.org/abs/2008.13535).

    Args:
        layers: Number of cross layers.
        projection: Rank of W; None: full.

    Shapes: a list of [B, any] to [B, sum of the widths].
    """

    def __init__(self, layers: int = 3, projection: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        cross = tfrs.layers.feature_interaction.Cross
        self._layers = [cross(projection_dim=projection) for _ in range(layers)]

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """Crosses the concatenation of the inputs with itself."""
        first = crossed = tf.concat(list(inputs), axis=1)
        for layer in self._layers:
            crossed = layer(first, crossed)
        return crossed
