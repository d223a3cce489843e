"""The translation task: model, inputs, loss and metrics for the training loop.

The interface and its semantics are those of `tfm.nlp.tasks.TranslationTask` (TensorFlow Model
Garden 2.16), so that it also runs in the Model Garden's trainer. Batches are dicts of `inputs` and
`targets`, [B, T] subword ids padded with 0, and in validation `unique_id` [B].
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from babelrank.components.errors import ConfigError, ModelError
from babelrank.components.training.buckets import TokenBatches
from babelrank.components.training.inputs import BatchSource, Column, ColumnStore, Portion
from babelrank.components.training.poisson import PoissonBatches
from babelrank.components.training.replicas import mean
from babelrank.components.training.rows import Rows
from babelrank.components.training.task import Task
from babelrank.components.translation import losses, metrics, raw_inputs, subwords
from babelrank.components.translation import model as translation_model
from babelrank.components.translation.model_config import EncDecoder, ModelConfig
from babelrank.components.translation.preprocessing import Tokenizer
from babelrank.components.translation.raw_inputs import UNIQUE_ID
from babelrank.components.translation.records import INPUTS, PAD_ID, TARGETS
from babelrank.components.translation.task_config import (
    SubwordDataConfig,
    TranslationConfig,
    WMTDataConfig,
)

__all__ = [
    "EncDecoder",
    "ModelConfig",
    "SubwordDataConfig",
    "TranslationConfig",
    "TranslationTask",
    "WMTDataConfig",
]

_log = logging.getLogger(__name__)


class TranslationTask(Task):
    """Translation with a Transformer.

    The best checkpoint is the one with the largest `bleu` on the validation data.

    Args:
        params: A `TranslationConfig`, ours or the Model Garden's.
        logging_dir: Directory for `eval.tf_record`, the validation examples with their ids.
        name: Name of the module.

    Raises:
        ValueError: No SentencePiece model, or one that does not make a single end id of an
            empty text.
    """

    best_metric = "bleu"
    best_metric_mode = "max"

    def __init__(
        self, params: Any, logging_dir: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(params, logging_dir, name)
        if not params.sentencepiece_model_path:
            # The Model Garden's words.
            raise ValueError("Setencepiece model path not provided.")
        own = getattr(params, "target_sentencepiece_model_path", "")
        self._shared = not own
        self._models = tuple(
            subwords.read(path) for path in (params.sentencepiece_model_path, own) if path
        )
        try:
            self._tokenizers = self._new_tokenizers()
        except ModelError as error:
            raise ValueError(
                "EOS token not in tokenizer vocab."
                "Please make sure the tokenizer generates a single token for an empty string. "
                f"({error})"
            ) from error
        self._references: Sequence[str] = ()
        self._eval_path: str | None = None
        data = params.validation_data
        if logging_dir and (getattr(data, "input_path", "") or getattr(data, "tfds_name", "")):
            self._references, self._eval_path = raw_inputs.write_references(data, logging_dir)

    @property
    def tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        """Of the source and of the target."""
        return self._tokenizers

    def _new_tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        """Of the source and of the target."""
        made = [Tokenizer(model) for model in self._models]
        return made[0], made[-1]

    def metric_mode(self, name: str) -> str:
        """See `Task`."""
        if name not in metrics.MODES:
            raise ConfigError(
                f"early_stopping.metric: got {name!r}; takes one of {', '.join(metrics.MODES)}."
            )
        return metrics.MODES[name]

    def build_model(self) -> translation_model.Transformer:
        """Makes the model of the configuration, its variables included."""
        source, target = self._tokenizers
        return translation_model.build_transformer(
            self.task_config.model,
            source.vocab_size,
            target.vocab_size,
            shared=self._shared,
            eos_id=target.eos_id,
            precision=getattr(self.task_config, "precision", None),
        )

    def rows(self, model: translation_model.Transformer) -> tuple[Rows, ...]:
        """What the rows of the embeddings stand for: subwords."""
        source, target = (tuple(subwords.pieces(m)) for m in (self._models[0], self._models[-1]))
        if self._shared:
            both = ("target", "source")
            return (Rows(name="subwords", table="target_embedding", tokens=target, otherwise=both),)
        one = ("subwords",)
        return (
            Rows(name="source", table="source_embedding", tokens=source, otherwise=one),
            Rows(name="target", table="target_embedding", tokens=target, otherwise=one),
        )

    def columns(self) -> list[Column]:
        """The features of the transformed records that the model reads."""
        return [Column(INPUTS, "int32", None), Column(TARGETS, "int32", None)]

    def batches(self, params: SubwordDataConfig) -> TokenBatches | PoissonBatches:
        """Batches of transformed records, for `fit`."""
        if params.store is None:
            store = ColumnStore(str(params.path))
        else:
            store = ColumnStore.build(params.path, self.columns(), params.store)
        if params.is_training and params.poisson_batch_size is not None:
            return PoissonBatches(
                store,
                params.poisson_batch_size,
                params.seed,
                (INPUTS, TARGETS),
                params.max_length,
                pad=PAD_ID,
            )
        tokens, longest = params.tokens_per_batch, params.max_length
        if params.static and longest is None:
            raise ConfigError(
                "max_length: got null; takes a number with xla or on a TPU, where all batches have "
                "one shape."
            )
        if not params.is_training:
            longest = None  # nothing is left out
        if params.static and params.max_length and not params.is_training:
            longest = max(store.longest.values())
            # As many sentences as in training, which the replicas divide.
            tokens = tokens // params.max_length * longest
        return TokenBatches(
            store,
            (INPUTS, TARGETS),
            tokens,
            max_length=longest,
            seed=params.seed,
            shuffle=params.is_training,
            static=params.static,
            row_ids=None if params.is_training else UNIQUE_ID,
        )

    def build_inputs(
        self, params: Any, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """A dataset of batches: without end in training, one pass otherwise.

        Args:
            params: `WMTDataConfig` (the Model Garden's too) for raw pairs, `SubwordDataConfig` for
                Transform's output.
            input_context: Which of several input pipelines this is.

        Raises:
            ConfigError: See `raw_inputs.load`.
            InputError: No files, or files that hold something else.
        """
        if isinstance(params, SubwordDataConfig):
            batches = self.batches(params)
            if not params.is_training:
                self.use_references(batches)
                return batches.dataset()
            return batches.dataset(epochs=None, portion=Portion.of(input_context))
        if not params.is_training and self._eval_path is not None:
            params = _replaced(params, input_path=self._eval_path, tfds_name="", has_unique_id=True)
        # New ones: a seed that was set since then has unmade the others' resources.
        return raw_inputs.load(params, self._new_tokenizers(), input_context)

    def use_references(self, batches: BatchSource) -> None:
        """Takes the targets of a split as the references of its rows.

        They are put together again from subwords: what the vocabulary does not cover stays
        unknown, so the BLEU of the learning curve can differ a little from the gate's, which
        compares texts.
        """
        store, target = batches.store, self._tokenizers[1]
        references: list[str] = []
        for first in range(0, store.rows, 4096):
            rows = np.arange(first, min(first + 4096, store.rows))
            references += target.texts(store.take(rows, PAD_ID)[TARGETS])
        self._references = references

    def build_losses(
        self, labels: Any, model_outputs: Any, aux_losses: Sequence[tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Mean label-smoothed cross-entropy of the real target subwords, [].

        Under several replicas the mean over the replicas is the mean over all subwords.

        Args:
            labels: [B, T1] ids.
            model_outputs: Logits [B, T2, V].
            aux_losses: Ignored, as in the Model Garden.
        """
        del aux_losses
        smoothing = self.task_config.model.label_smoothing
        losses_of_tokens, weights = losses.token_losses(labels, model_outputs, smoothing)
        return mean(tf.reduce_sum(losses_of_tokens), tf.reduce_sum(weights))

    def count(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Target subwords of a batch, float32 []."""
        return tf.reduce_sum(tf.cast(inputs[TARGETS] != PAD_ID, tf.float32))

    def train_step(
        self,
        inputs: Mapping[str, tf.Tensor],
        model: tf.keras.Model,
        optimizer: Any,
        metrics: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """See `Task`; inputs are a dict of `inputs` and `targets`."""
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = self.build_losses(labels=inputs[TARGETS], model_outputs=outputs)
            scaled = self._scaled(loss, optimizer)
        self._apply(tape, scaled, model, optimizer)
        if metrics:
            self.process_metrics(metrics, inputs[TARGETS], outputs)
        return {self.loss: loss}

    def validation_step(
        self,
        inputs: Mapping[str, tf.Tensor],
        model: tf.keras.Model,
        metrics: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """The loss of the given targets, and the translations.

        Args:
            inputs: A dict of `inputs`, `targets` and `unique_id`.
            model: The model.
            metrics: What `build_metrics` made.

        Returns:
            `loss`, `inputs` [B, S], `unique_ids` [B], `outputs` [B, L] and `scores` [B].
        """
        features = {name: value for name, value in inputs.items() if name != UNIQUE_ID}
        targets = features[TARGETS]
        logits = model(features, training=False)
        logs = {
            self.loss: self.build_losses(labels=targets, model_outputs=logits),
            INPUTS: features[INPUTS],
            "unique_ids": inputs[UNIQUE_ID],
        }
        if metrics:
            self.process_metrics(metrics, targets, logits)
        beam = getattr(self.task_config, "validation_beam_size", None)
        if beam is None:
            del features[TARGETS]
            return logs | self.inference_step(features, model)
        found = model.translate(features[INPUTS], beam)
        return logs | {"outputs": found.ids[:, 0], "scores": found.scores[:, 0]}

    def aggregate_logs(self, state: Any = None, step_outputs: Any = None) -> Any:
        """Collects translations: unique id to (source ids, translated ids).

        A sentence that several replicas or workers have seen counts once.
        """
        state = {} if state is None else state
        names = (INPUTS, "outputs", "unique_ids")
        for sources, outputs, ids in zip(
            *(_per_replica(step_outputs[name]) for name in names), strict=True
        ):
            for source, output, unique_id in zip(
                *map(np.asarray, (sources, outputs, ids)), strict=True
            ):
                state[int(unique_id)] = (source, output)
        return state

    def reduce_aggregated_logs(
        self, aggregated_logs: Any, global_step: Any = None
    ) -> dict[str, float]:
        """The corpus scores of a validation.

        Returns:
            `bleu`, `chrf` and `bleu_lower`, and what the Model Garden calls `sacrebleu_score` and
            `bleu_score` (lower-cased).
        """
        ids = sorted(i for i in aggregated_logs if 0 <= i < len(self._references))
        if not ids:
            return {}
        source, target = self._tokenizers
        translations = target.texts([aggregated_logs[i][1] for i in ids])
        references = [self._references[i] for i in ids]
        if getattr(self.task_config, "print_translations", None):
            sources = source.texts([aggregated_logs[i][0] for i in ids])
            for lines in zip(sources, translations, references, strict=True):
                _log.info("Translating:\n\tInput: %s\n\tOutput: %s\n\tReference: %s", *lines)
        language = getattr(self.task_config.validation_data, "tgt_lang", "")
        statistics = metrics.Scorer(language).statistics(translations, [references])
        scores = {n: float(v) for n, v in metrics.scores(statistics.sum(axis=0)).items()}
        garden = {"sacrebleu_score": scores["bleu"], "bleu_score": scores["bleu_lower"]}
        return scores | garden


def _replaced(params: Any, **changes: Any) -> Any:
    """A copy of a data configuration, ours or the Model Garden's, with changed fields."""
    if hasattr(params, "replace"):
        return params.replace(**changes)

    return dataclasses.replace(params, **changes)


def _per_replica(values: Any) -> Sequence[Any]:
    return values if isinstance(values, (tuple, list)) else (values,)
