"""What the trainer's translation model answers for some examples of the eval split."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from babelrank.components.serving.reference import ROWS, Reference, ReferenceRow
from babelrank.components.training.inputs import BatchSource
from babelrank.components.translation import signatures
from babelrank.components.translation.records import INPUTS, PAD_ID


def reference(serving: signatures.ServingModel, batches: BatchSource) -> Reference:
    """The first sentences of a split, as subword ids, and their best translations.

    Empty sentences, which a served model does not search translations for, are left out.

    Args:
        serving: Holds the network, and the tokenizer of the target.
        batches: The eval split.
    """
    store = batches.store
    taken = store.take(np.arange(min(2 * ROWS, store.rows)), PAD_ID)[INPUTS]
    ids = taken[(taken != PAD_ID).sum(axis=1) > 1][:ROWS]
    if not len(ids):
        return Reference(rows=())
    ids = ids[:, : int((ids != PAD_ID).sum(axis=1).max())]
    translate = tf.function(serving.network.translate, autograph=False)
    found = translate(tf.constant(ids, tf.int32))
    texts = serving.target.texts(found.ids[:, 0].numpy())
    return Reference(rows=tuple(map(_row, ids, texts, found.scores[:, 0].numpy().tolist())))


def _row(ids: Any, text: str, score: float) -> ReferenceRow:
    inputs = {INPUTS: ids[ids != PAD_ID].tolist()}
    outputs: dict[str, float | str] = {signatures.TRANSLATION: text, signatures.SCORES: score}
    return ReferenceRow(inputs=inputs, outputs=outputs)
