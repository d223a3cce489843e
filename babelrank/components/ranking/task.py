"""The ranking task: model, inputs, loss and metrics for the training loop.

Batches are `({"dense_features": [B, W], "sparse_features": {name: ids}}, label [B][, weight [B]])`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.ranking import metrics as ranking_metrics
from babelrank.components.ranking import model as ranking_model
from babelrank.components.ranking.config import ModelConfig, RankingTrainingConfig
from babelrank.components.ranking.features import DENSE, LABEL, SPARSE, WEIGHT, Features
from babelrank.components.training import optimizers
from babelrank.components.training.composite import CompositeOptimizer
from babelrank.components.training.inputs import (
    Batches,
    BatchSource,
    Column,
    ColumnStore,
    Portion,
)
from babelrank.components.training.padded import PaddedBatches
from babelrank.components.training.poisson import PoissonBatches
from babelrank.components.training.replicas import mean
from babelrank.components.training.rows import Rows
from babelrank.components.training.task import Task
from babelrank.components.training.warm_start import Request
from babelrank.components.training.wrapper import innermost


@dataclass(frozen=True, kw_only=True)
class RankingTaskConfig:
    """What a ranking task trains.

    Attributes:
        features: The inputs.
        model: The network.
        objective: "click" or "rating".
        training: Batch size and seed of the inputs.
        weighted: Whether the records have a weight.
        init_checkpoint: Checkpoint whose weights a new training starts from, or None.
        warm_start: Earlier model, maybe of other vocabularies, to start from; or None.
        meanings: What the ids of each feature stand for; features that are not named have ids
            that mean the same in every model.
    """

    features: Features
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: str = "click"
    training: RankingTrainingConfig = field(default_factory=RankingTrainingConfig)
    weighted: bool = False
    init_checkpoint: str | None = None
    warm_start: Request | None = None
    meanings: tuple[Rows, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RankingInputConfig:
    """Where batches come from.

    Attributes:
        path: Globs of transformed TFRecord files, or a directory with a column store.
        store: Directory for the column store of `path`; None if `path` is a store.
        batch_size: Examples in a batch, over all input pipelines.
        is_training: Shuffle and repeat without end; otherwise one pass in the order of the files.
        seed: Seed of the order.
        drop_remainder: Leave out a last, smaller batch.
        static: All batches have one shape: in training the last, smaller one is left out, otherwise
            it is filled up with rows whose label is NaN, which do not count.
        poisson: Draw each example by itself, as private training has to; `batch_size` is what
            is expected.
    """

    path: str | Sequence[str]
    store: str | None = None
    batch_size: int = 1024
    is_training: bool = True
    seed: int = 42
    drop_remainder: bool = False
    static: bool = False
    poisson: bool = False


class RankingOptimizer(CompositeOptimizer):
    """One optimizer for the embeddings and one for the rest of a ranking model.

    The model is bound by the first training step: `create_optimizer` does not know it.
    """

    def __init__(self, embedding: Any, dense: Any, name: str = "RankingOptimizer") -> None:
        super().__init__(
            [
                (embedding, lambda: self._model().embedding_trainable_variables),
                (dense, lambda: self._model().dense_trainable_variables),
            ],
            name=name,
        )
        self._bound: list[Any] = []

    def bind(self, model: ranking_model.Ranking) -> None:
        """Names the model whose variables are trained."""
        self._bound[:] = [model]

    def _model(self) -> Any:
        if not self._bound:
            raise ValueError("the optimizer knows no model; call bind(model) first.")
        return self._bound[0]


class RankingTask(Task):
    """Click or rating prediction.

    The best checkpoint is the one with the largest auc, or for ratings the least rmse.

    Args:
        params: What to train.
        logging_dir: Directory for what the task itself writes.
        name: Name of the module.
    """

    def __init__(
        self, params: RankingTaskConfig, logging_dir: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(params, logging_dir, name)
        self._loss = _losses(params.objective)
        self.best_metric = "auc" if params.objective == "click" else "rmse"
        self.best_metric_mode = ranking_metrics.MODES[self.best_metric]

    def metric_mode(self, name: str) -> str:
        """See `Task`."""
        if name not in ranking_metrics.MODES:
            raise ConfigError(
                f"early_stopping.metric: got {name!r}; takes one of "
                f"{', '.join(ranking_metrics.MODES)}."
            )
        return ranking_metrics.MODES[name]

    @classmethod
    def create_optimizer(
        cls, optimizer_config: Any, runtime_config: Any = None, dp_config: Any = None
    ) -> Any:
        """One optimizer for the embeddings and one for the rest.

        Args:
            optimizer_config: The training configuration, with `steps` if a rate decays. What
                names one optimizer only makes one for all variables.
            runtime_config: See `Task`.
            dp_config: See `Task`; with it, `optimizer` serves all variables.
        """
        if not isinstance(optimizer_config, RankingTrainingConfig) or dp_config is not None:
            return super().create_optimizer(optimizer_config, runtime_config, dp_config)
        steps = optimizer_config.steps
        both = RankingOptimizer(
            optimizers.create_part(
                optimizer_config.embedding_optimizer, steps, "embedding_optimizer"
            ),
            optimizers.create_part(optimizer_config.optimizer, steps, "optimizer"),
        )
        return optimizers.wrap(both, runtime_config, ema_decay=optimizer_config.ema_decay)

    def build_model(self) -> ranking_model.Ranking:
        """Makes the model of the configuration, its variables included."""
        params = self.task_config
        return ranking_model.build_ranking(params.model, params.features, params.objective)

    def rows(self, model: ranking_model.Ranking) -> tuple[Rows, ...]:
        """What the rows of the embedding tables stand for."""
        known = {one.name: one for one in self.task_config.meanings}
        layer = model._embedding_layer  # TFRS has no other way to it
        return tuple(
            dataclasses.replace(
                known.get(f.name, Rows(name=f.name, kind="ids", numbered=f.size)),
                table=f"_embedding_layer/table_{layer.dims[f.name]}",
            )
            for f in layer.features
        )

    def bind_optimizer(self, optimizer: Any, model: ranking_model.Ranking) -> None:
        """See `Task`."""
        inner = innermost(optimizer)
        if isinstance(inner, RankingOptimizer):
            inner.bind(model)

    def columns(self) -> list[Column]:
        """The features of the transformed records that the model reads."""
        params = self.task_config
        columns = [
            Column(f.name, "int32" if f.size < 2**31 else "int64", None if f.multivalent else 0)
            for f in params.features.sparse
        ]
        if params.features.dense_width:
            columns.append(Column(DENSE, "float32", params.features.dense_width))
        columns.append(Column(LABEL, "float32"))
        if params.weighted:
            columns.append(Column(WEIGHT, "float32"))
        return columns

    def batches(self, params: RankingInputConfig) -> BatchSource:
        """Batches of transformed records, for `fit`."""
        if params.store is None:
            store = ColumnStore(str(params.path))
        else:
            store = ColumnStore.build(params.path, self.columns(), Path(params.store))
        if params.poisson:
            return PoissonBatches(store, params.batch_size, params.seed, to_inputs=self._to_inputs)
        if params.static and not params.is_training:
            empty = {LABEL: float("nan")}
            return PaddedBatches(
                store, params.batch_size, empty, shuffle=False, to_inputs=self._to_inputs
            )
        return Batches(
            store,
            params.batch_size,
            seed=params.seed,
            shuffle=params.is_training,
            drop_remainder=params.drop_remainder or params.static,
            to_inputs=self._to_inputs,
        )

    def build_inputs(
        self,
        params: RankingInputConfig,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """A dataset of batches: without end in training, one pass otherwise."""
        batches = self.batches(params)
        if not params.is_training:
            return batches.dataset()
        return batches.dataset(epochs=None, portion=Portion.of(input_context))

    def _to_inputs(self, columns: dict[str, tf.Tensor]) -> tuple[Any, ...]:
        params = self.task_config
        features: dict[str, Any] = {
            SPARSE: {f.name: columns[f.name] for f in params.features.sparse}
        }
        if params.features.dense_width:
            features[DENSE] = columns[DENSE]
        weight = (columns[WEIGHT],) if params.weighted else ()
        return (features, columns[LABEL], *weight)

    def build_losses(
        self,
        labels: tf.Tensor,
        model_outputs: tf.Tensor,
        aux_losses: Sequence[tf.Tensor] | None = None,
        sample_weight: tf.Tensor | None = None,
        count: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The mean loss [] of a batch plus `aux_losses`.

        Args:
            labels: [B].
            model_outputs: Probabilities or ratings [B].
            aux_losses: `model.losses`.
            sample_weight: [B]; the mean is over examples, not over weights.
            count: Number of examples [], if some rows are none; they need weight 0.
        """
        losses = self._loss(
            tf.reshape(labels, [-1, 1]),
            ranking_model.as_column(model_outputs),
            sample_weight=sample_weight,
        )
        loss = mean(tf.reduce_sum(losses), tf.size(losses) if count is None else count)
        return loss + super().build_losses(labels, model_outputs, aux_losses)

    def build_metrics(self, training: bool = True) -> list[tf.keras.metrics.Metric]:
        """Means of predictions and labels in training; validation has exact metrics instead."""
        if not training:
            return []
        return [ranking_metrics.prediction_mean(), ranking_metrics.label_mean()]

    def process_metrics(
        self, metrics: Sequence[Any], labels: Any, model_outputs: Any, **kwargs: Any
    ) -> None:
        """See `Task`; `sample_weight` [B] is taken."""
        weight = kwargs.get("sample_weight")
        for metric in metrics:
            if metric.name == "prediction_mean":
                metric.update_state(model_outputs, sample_weight=weight)
            elif metric.name == "label_mean":
                metric.update_state(labels, sample_weight=weight)
            else:
                metric.update_state(labels, model_outputs, sample_weight=weight)

    def train_step(
        self,
        inputs: Any,
        model: ranking_model.Ranking,
        optimizer: Any,
        metrics: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """See `Task`; inputs are `(features, labels[, weights])`."""
        features, labels, weights = _split(inputs)
        self.bind_optimizer(optimizer, model)  # a foreign trainer has not
        with tf.GradientTape() as tape:
            outputs = model(features, training=True)
            loss = self.build_losses(labels, outputs, model.losses, sample_weight=weights)
            target = self._scaled(loss, optimizer)
        self._apply(tape, target, model, optimizer)
        logs = {self.loss: loss}
        if metrics:
            self.process_metrics(metrics, labels, outputs, sample_weight=weights)
        return logs

    def validation_step(
        self, inputs: Any, model: ranking_model.Ranking, metrics: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """See `Task`; the logs also have `labels`, `predictions` and `weights`, all [B].

        Rows whose label is NaN do not count, except in the model's own losses.
        """
        features, labels, weights = _split(inputs)
        outputs = self.inference_step(features, model)
        labels = tf.reshape(labels, [-1])
        real = ~tf.math.is_nan(labels)
        weights = tf.ones_like(labels) if weights is None else tf.reshape(weights, [-1])
        weights = tf.where(real, weights, 0.0)
        known, count = tf.where(real, labels, 0.0), tf.math.count_nonzero(real)
        loss = self.build_losses(known, outputs, model.losses, sample_weight=weights, count=count)
        if metrics:
            self.process_metrics(metrics, known, outputs, sample_weight=weights)
        return {self.loss: loss, "labels": labels, "predictions": outputs, "weights": weights}

    def aggregate_logs(self, state: Any = None, step_outputs: Any = None) -> Any:
        """Collects labels, predictions and weights of the whole split (12 bytes an example)."""
        state = {"labels": [], "predictions": [], "weights": []} if state is None else state
        replicas = [_per_replica(step_outputs[name]) for name in state]
        for values in zip(*replicas, strict=True):
            real = ~np.isnan(values[0])
            for parts, value in zip(state.values(), values, strict=True):
                parts.append(np.asarray(value)[real])
        return state

    def reduce_aggregated_logs(
        self, aggregated_logs: Any, global_step: Any = None
    ) -> dict[str, float]:
        """The exact metrics of the split; see `metrics.exact`."""
        if not aggregated_logs:
            return {}
        joined = {name: np.concatenate(parts) for name, parts in aggregated_logs.items()}
        return ranking_metrics.exact(
            self.task_config.objective,
            joined["labels"],
            joined["predictions"],
            joined["weights"] if self.task_config.weighted else None,
        )


def _losses(objective: str) -> Any:
    none = tf.keras.losses.Reduction.NONE
    if objective == "click":
        return tf.keras.losses.BinaryCrossentropy(reduction=none)
    return tf.keras.losses.MeanSquaredError(reduction=none)


def _per_replica(values: Any) -> Sequence[Any]:
    return values if isinstance(values, (tuple, list)) else (values,)


def _split(inputs: Any) -> tuple[Any, Any, Any]:
    if not isinstance(inputs, (tuple, list)) or len(inputs) not in (2, 3):
        raise ValueError(ranking_model.wrong_inputs(inputs))
    return inputs[0], inputs[1], inputs[2] if len(inputs) == 3 else None
