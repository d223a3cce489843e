"""Raw sentences to subword ids with TensorFlow, the same in training and serving.

A sentence is normalised as ingest does it, cut into subwords, and ended by the end id. All of
it happens inside the graph, so that an exported model takes and gives plain text. Whoever loads
such a graph must have imported `tensorflow_text`, as this module does, for its operations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import sentencepiece
import tensorflow as tf
import tensorflow_text as tf_text

from babelrank.components.errors import ModelError
from babelrank.components.translation import subwords
from babelrank.components.translation.records import (
    INPUTS,
    INPUTS_LENGTH,
    PAD_ID,
    SOURCE,
    SPACES,
    TARGET,
    TARGETS,
    TARGETS_LENGTH,
)

SUBWORDS = "subwords"
"""Key of `custom_config`: the folder of the `SubwordModel` artifact."""


def normalize(text: tf.Tensor) -> tf.Tensor:
    """Unicode NFC with one space for every run of white space, and none at the ends.

    Args:
        text: UTF-8 strings of any shape; bytes that are no UTF-8 become U+FFFD.
    """
    composed = tf_text.normalize_utf8(tf.strings.unicode_transcode(text, "UTF-8", "UTF-8"), "NFC")
    return tf.strings.strip(tf.strings.regex_replace(composed, SPACES, " "))


class Tokenizer(tf.Module):
    """Text to subword ids and back, inside a graph.

    Args:
        model: A serialized SentencePiece model with an end id, and at id 0 padding or unknown.

    Attributes:
        vocab_size: Number of subwords, the special ones included.
        eos_id: Id that ends each sentence.

    Raises:
        ModelError: The bytes are no such model.
    """

    def __init__(self, model: bytes, name: str | None = None) -> None:
        super().__init__(name=name)
        processor = sentencepiece.SentencePieceProcessor()
        try:
            processor.load_from_serialized_proto(model)
        except RuntimeError as error:
            raise ModelError(f"these {len(model):,} bytes are no SentencePiece model.") from error
        if processor.eos_id() < 0:
            raise ModelError(
                "the SentencePiece model has no end id. Train it with --pad_id=0 --eos_id=1 "
                "--unk_id=2 --bos_id=-1."
            )
        if not (processor.is_control(PAD_ID) or processor.is_unknown(PAD_ID)):
            raise ModelError(
                f"the SentencePiece model has the subword {processor.id_to_piece(PAD_ID)!r} at id "
                f"{PAD_ID}, which is padding here. Train it with --pad_id=0 --eos_id=1 --unk_id=2 "
                "--bos_id=-1."
            )
        self._processor = processor
        self.vocab_size: int = processor.get_piece_size()
        self.eos_id: int = processor.eos_id()
        # A loaded graph finds the model by the name of the node that holds it, among those of all
        # graphs in the process: another model (of the other side, of the baseline) needs another.
        unique = f"subwords_{hashlib.sha256(model).hexdigest()[:16]}"
        self._tokenizer = tf_text.SentencepieceTokenizer(
            model=model, out_type=tf.int32, add_eos=True, name=unique
        )

    def tokenize(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Subword ids of normalised sentences.

        Args:
            text: [B] strings, as `normalize` gives them.

        Returns:
            [B, None] int32; each row ends with `eos_id`, that of an empty text is nothing else.
        """
        return self._tokenizer.tokenize(text)

    def detokenize(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """The sentences of subword ids.

        Args:
            ids: [B, T], integers; what follows the first end or padding id does not count.

        Returns:
            [B] strings.
        """
        if isinstance(ids, tf.RaggedTensor):
            ids = ids.to_tensor(default_value=PAD_ID)
        ids = tf.cast(ids, tf.int32)
        ended = (ids == self.eos_id) | (ids == PAD_ID)
        before = tf.cumsum(tf.cast(ended, tf.int32), axis=1) == 0
        return self._tokenizer.detokenize(tf.ragged.boolean_mask(ids, before))

    def texts(self, ids: Iterable[npt.NDArray[Any]]) -> list[str]:
        """The same outside of a graph, for rows of any lengths.

        TensorFlow drops the tokenizer's eager resource when somebody sets the global seed, so
        eager code had better not touch it.
        """
        kept = []
        for row in ids:
            ended = np.flatnonzero((row == self.eos_id) | (row == PAD_ID))
            kept.append(row[: ended[0]].tolist() if len(ended) else row.tolist())
        decoded: list[str] = self._processor.decode(kept) if kept else []
        return decoded


def preprocessing_fn(
    inputs: Mapping[str, tf.Tensor], custom_config: Mapping[str, Any]
) -> dict[str, tf.SparseTensor | tf.Tensor]:
    """TFX's entry: raw sentence pairs of a batch to what the model takes.

    Args:
        inputs: `source` and `target`, [B] or [B, 1] strings.
        custom_config: Holds the folder of the subwords under `SUBWORDS`.

    Returns:
        `inputs` and `targets`, sparse [B, ?] int64 ids, the end id last; their lengths, [B] int64.
    """
    outputs: dict[str, tf.SparseTensor | tf.Tensor] = {}
    paths = subwords.model_paths(custom_config[SUBWORDS])
    sides = ((SOURCE, INPUTS, INPUTS_LENGTH), (TARGET, TARGETS, TARGETS_LENGTH))
    for path, (side, name, length) in zip(paths, sides, strict=True):
        tokenizer = Tokenizer(subwords.read(path))
        text = normalize(tf.reshape(inputs[side], [-1]))
        ids = tf.cast(tokenizer.tokenize(text), tf.int64)
        outputs[name] = ids.to_sparse()
        outputs[length] = ids.row_lengths()
    return outputs
