"""The ranking model: embeddings and a bottom stack, an interaction, a top stack.

The contract is that of `tfrs.experimental.models.Ranking`, of which `Ranking` is a subclass. DLRM
(https://arxiv.org/abs/1906.00091) and DCN v2 (https://arxiv.org/abs/2008.13535) are this model with
another interaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from babelrank.components.ranking import layers, metrics
from babelrank.components.ranking.config import ModelConfig
from babelrank.components.ranking.features import DENSE, SPARSE, Features
from babelrank.components.training.replicas import shared

OBJECTIVES = ("click", "rating")


class Ranking(tfrs.experimental.models.Ranking):  # type: ignore[misc]
    """TFRS's ranking model, right in four places where that one is wrong.

    A batch of one works; the loss does not depend on the number of replicas; sample weights
    weigh the examples (TFRS averages losses and weights apart); without dense features the
    bottom stack is skipped. The click loss is computed from the logits of a sigmoid top stack.

    Args:
        embedding_layer: Maps the dict of sparse features to a dict or list of embeddings
            [B, dim] or [B, 1, dim].
        bottom_stack: Maps dense features [B, W] to [B, dim]; default: MLP [256, 64, 16].
        feature_interaction: Maps the list of embeddings, the bottom stack's output last, to
            [B, any]; default: TFRS's DotInteraction.
        top_stack: Maps the interactions to [B, 1]; default: MLP [512, 256, 1] with a sigmoid.
        concat_dense: Put the bottom stack's output before the interactions.
        task: A `tfrs.tasks.Ranking`; default: binary cross-entropy, with the metrics auc,
            accuracy, prediction_mean and label_mean.
    """

    def __init__(
        self,
        embedding_layer: tf.keras.layers.Layer,
        bottom_stack: tf.keras.layers.Layer | None = None,
        feature_interaction: tf.keras.layers.Layer | None = None,
        top_stack: tf.keras.layers.Layer | None = None,
        concat_dense: bool = True,
        task: Any = None,
    ) -> None:
        super().__init__(
            embedding_layer=embedding_layer,
            bottom_stack=bottom_stack,
            feature_interaction=feature_interaction,
            top_stack=top_stack,
            concat_dense=concat_dense,
            task=task if task is not None else ranking_task("click"),
        )
        # Keras sums logs over replicas by default; ours are means over all of them already.
        self.distribute_reduction_method = "first"

    def call(self, inputs: Mapping[str, Any]) -> tf.Tensor:
        """Scores a batch.

        Args:
            inputs: `{"dense_features": float [B, W], "sparse_features": {name: ids}}`; the
                dense features may be absent, None, or of width 0.

        Returns:
            Probabilities or ratings [B].
        """
        embeddings = [_flat(e) for e in tf.nest.flatten(self._embedding_layer(inputs[SPARSE]))]
        dense = self._bottom(inputs.get(DENSE))
        interactions = self._feature_interaction([*embeddings, *dense])
        if self._concat_dense and dense:
            interactions = tf.concat([tf.cast(dense[0], interactions.dtype), interactions], axis=1)
        return _reshaped(self._top_stack(interactions), [-1])

    def _bottom(self, dense: tf.Tensor | None) -> list[tf.Tensor]:
        if dense is None or dense.shape[-1] == 0:
            return []
        return [self._bottom_stack(dense)]

    def compute_loss(self, inputs: Sequence[Any], training: bool = False) -> tf.Tensor:
        """The mean loss [] of a batch, whatever the number of replicas; updates the metrics.

        Args:
            inputs: `(features, labels [B])` or `(features, labels [B], weights [B] or None)`.
            training: Whether the model trains.

        Raises:
            ValueError: Another number of elements.
        """
        if not isinstance(inputs, (tuple, list)) or len(inputs) not in (2, 3):
            raise ValueError(wrong_inputs(inputs))
        features, labels = inputs[0], inputs[1]
        weights = inputs[2] if len(inputs) == 3 else None
        outputs = self(features, training=training)
        # As columns: Keras' losses average the last axis, which must not be the batch.
        loss = self._task(
            tf.reshape(labels, [-1, 1]),
            as_column(outputs),
            sample_weight=None if weights is None else tf.reshape(weights, [-1, 1]),
        )
        return tf.reduce_mean(loss)

    def train_step(self, inputs: Any) -> dict[str, Any]:
        """One step of Keras' `fit`; logs as TFRS's, with means over all replicas."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, training=True)
            penalty = _penalty(self.losses)
            # The optimizer sums the gradients of the replicas.
            target = (loss + penalty) / replicas
        gradients = tape.gradient(target, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._logs(loss, penalty)

    def test_step(self, inputs: Any) -> dict[str, Any]:
        """One step of Keras' `evaluate`; logs as in `train_step`."""
        loss = self.compute_loss(inputs, training=False)
        return self._logs(loss, _penalty(self.losses))

    def _logs(self, loss: tf.Tensor, penalty: tf.Tensor) -> dict[str, Any]:
        loss, penalty = shared(loss), shared(penalty)
        logs = {metric.name: metric.result() for metric in self.metrics}
        return {
            **logs,
            "loss": loss,
            "regularization_loss": penalty,
            "total_loss": loss + penalty,
        }


def ranking_task(objective: str) -> Any:
    """The TFRS task (loss and streaming metrics) of an objective.

    Raises:
        ValueError: Neither "click" nor "rating".
    """
    _check_objective(objective)
    if objective == "click":
        loss, judged = tf.keras.losses.BinaryCrossentropy, metrics.click_metrics()
    else:
        loss, judged = tf.keras.losses.MeanSquaredError, metrics.rating_metrics()
    return tfrs.tasks.Ranking(
        loss=loss(reduction=tf.keras.losses.Reduction.NONE),
        metrics=judged,
        prediction_metrics=[metrics.prediction_mean()],
        label_metrics=[metrics.label_mean()],
    )


def build_ranking(config: ModelConfig, features: Features, objective: str = "click") -> Ranking:
    """Makes the ranking model of a configuration, its variables included.

    Args:
        config: Sizes and interaction.
        features: The inputs.
        objective: "click" (a probability) or "rating" (any number).

    Raises:
        ValueError: The last bottom layer has another width than the embeddings (dot only), or the
            objective is unknown.
    """
    _check_objective(objective)
    config = config.resolved()
    model = Ranking(
        embedding_layer=layers.Embeddings(
            features.sparse, _dims(config, features), config.combiner, config.embedding_l2
        ),
        bottom_stack=layers.MLP(config.bottom_stack or ()),
        feature_interaction=_interaction(config, features),
        top_stack=layers.MLP(
            (*(config.top_stack or ()), 1),
            final_activation="sigmoid" if objective == "click" else None,
            dropout=config.dropout,
            final_dtype="float32",
        ),
        concat_dense=config.concat_dense or not features.sparse,
        task=ranking_task(objective),
    )
    model(example_inputs(features))
    return model


def example_inputs(features: Features, batch_size: int = 2) -> dict[str, Any]:
    """Inputs of the right shapes and types, all zeros."""
    sparse = {
        f.name: tf.zeros([batch_size, 1] if f.multivalent else [batch_size], tf.int64)
        for f in features.sparse
    }
    inputs: dict[str, Any] = {SPARSE: sparse}
    if features.dense_width:
        inputs[DENSE] = tf.zeros([batch_size, features.dense_width], tf.float32)
    return inputs


def _interaction(config: ModelConfig, features: Features) -> tf.keras.layers.Layer:
    if config.interaction == "cross":
        return layers.Cross(config.cross_layers, config.cross_projection)
    if not features.dense_width:
        return layers.BiasedDot()
    width = (config.bottom_stack or (0,))[-1]
    if features.sparse and width != config.embedding_dim:
        raise ValueError(
            f"bottom_stack: the last layer has {width} units; takes embedding_dim, "
            f"{config.embedding_dim}, with interaction: dot."
        )
    return layers.dot_interaction()


def _dims(config: ModelConfig, features: Features) -> dict[str, int]:
    unknown = set(config.embedding_dims) - {f.name for f in features.sparse}
    if unknown:
        raise ValueError(
            f"embedding_dims: {', '.join(sorted(unknown))}: no such feature; takes "
            f"{', '.join(f.name for f in features.sparse)}."
        )
    default = config.embedding_dim or 1
    return {f.name: config.embedding_dims.get(f.name, default) for f in features.sparse}


def _check_objective(objective: str) -> None:
    if objective not in OBJECTIVES:
        raise ValueError(f"objective: got {objective!r}; takes one of {', '.join(OBJECTIVES)}.")


def _flat(embedding: tf.Tensor) -> tf.Tensor:
    """[B, dim] from [B, 1, dim]; TFRS squeezes a batch of one away too."""
    return tf.squeeze(embedding, axis=1) if embedding.shape.rank == 3 else embedding


def wrong_inputs(inputs: Any) -> str:
    """The message about a batch that is neither (features, labels) nor has weights as a third."""
    kind = type(inputs).__name__
    size = f" of length {len(inputs)}" if isinstance(inputs, (tuple, list)) else ""
    return (
        f"inputs: got {kind}{size}; takes a tuple (features, labels) or (features, labels, sample "
        f"weights)."
    )


def as_column(tensor: tf.Tensor) -> tf.Tensor:
    """[B] as [B, 1], with the logits that `call` left on it for the loss."""
    return _reshaped(tensor, [-1, 1])


def _reshaped(tensor: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """`tensor` in another shape, with the logits from which Keras' losses are exact."""
    reshaped = tf.reshape(tensor, shape)
    logits = getattr(tensor, "_keras_logits", None)
    if logits is not None:
        reshaped._keras_logits = tf.reshape(logits, shape)
    return reshaped


def _penalty(losses: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([tf.reduce_sum(loss) for loss in losses]) if losses else tf.constant(0.0)
