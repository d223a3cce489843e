"""The exported translation model: one SavedModel with the tokenizer inside, and two doors.

`translate` takes raw sentences, `serving_default` serialized `tf.Example`s that hold them. Whoever
loads it must have imported tensorflow-text, whose operations it uses.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.translation import records
from babelrank.components.translation.config import DataConfig
from babelrank.components.translation.model import Transformer
from babelrank.components.translation.preprocessing import Tokenizer, normalize

SERVING, TRANSLATE = "serving_default", "translate"
TRANSLATION, NBEST, SCORES = "translation", "nbest", "scores"
"""Outputs: the best translation [B], the K best [B, K] and their scores [B, K], falling:
log-probabilities divided by the length penalty."""


class ServingModel(tf.Module):
    """Normalisation, tokenizers and network together.

    An empty sentence is translated by an empty one, with score 0.

    Args:
        model: The network.
        source: Tokenizer of the source.
        target: Tokenizer of the target.
    """

    def __init__(self, model: Transformer, source: Tokenizer, target: Tokenizer) -> None:
        super().__init__()
        self._model, self._source, self._target = model, source, target
        self.beam_size = model.beam_size

    @property
    def network(self) -> Transformer:
        """The network."""
        return self._model

    @property
    def target(self) -> Tokenizer:
        """Tokenizer of the target."""
        return self._target

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name."""
        serialized = tf.TensorSpec([None], tf.string, name="examples")
        sentences = tf.TensorSpec([None], tf.string, name=records.SOURCE)
        return {
            SERVING: self.translate_examples.get_concrete_function(serialized),
            TRANSLATE: self.translate.get_concrete_function(sentences),
        }

    @tf.function(autograph=False)
    def translate_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """[B] serialized `tf.Example`s with a `source` to translations."""
        spec = {records.SOURCE: tf.io.FixedLenFeature([], tf.string, default_value="")}
        # TensorFlow Serving does not look at shapes: [["a"], ["b"]] would be answered, and wrongly.
        examples = tf.ensure_shape(examples, [None])
        return self._translations(tf.io.parse_example(examples, spec)[records.SOURCE])

    @tf.function(autograph=False)
    def translate(self, source: tf.Tensor) -> dict[str, tf.Tensor]:
        """[B] sentences to translations."""
        return self._translations(tf.ensure_shape(source, [None]))

    def _translations(self, sentences: tf.Tensor) -> dict[str, tf.Tensor]:
        sentences = normalize(sentences)
        ids = self._source.tokenize(sentences).to_tensor(records.PAD_ID)
        found = self._model.translate(ids)
        rows, size = tf.shape(sentences)[0], self.beam_size
        flat = tf.reshape(found.ids, [rows * size, tf.shape(found.ids)[2]])
        texts = tf.reshape(self._target.detokenize(flat), [rows, size])
        empty = tf.equal(sentences, "")[:, None]
        texts = tf.where(empty, "", texts)
        return {
            TRANSLATION: texts[:, 0],
            NBEST: texts,
            SCORES: tf.where(empty, 0.0, found.scores),
        }


def save(serving: ServingModel, path: str, data: DataConfig) -> None:
    """Writes the SavedModel with its two signatures, and what `predict` must know of it."""
    tf.saved_model.save(serving, path, signatures=serving.signatures())
    LinesDescription(
        task="translation",
        signature=TRANSLATE,
        source_language=data.source.language,
        target_language=data.target.language,
        beam_size=serving.beam_size,
    ).save(path)
