"""Small models with every fault that a serving check is to find, for its tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from babelrank.components.serving.model_rows import RowColumn, RowsDescription

COLUMNS = (
    RowColumn(name="price", kind="number"),
    RowColumn(name="word", kind="text"),
    RowColumn(name="tags", kind="text", separator="|"),
    RowColumn(name="when", kind="time", feature="timestamp"),
)
SPEC = {
    "price": tf.io.FixedLenFeature([], tf.float32, default_value=float("nan")),
    "word": tf.io.FixedLenFeature([], tf.string, default_value=""),
    "tags": tf.io.RaggedFeature(tf.string),
    "timestamp": tf.io.FixedLenFeature([], tf.int64, default_value=tf.int64.min),
}
Score = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""[B] prices, 0 where missing, and [B] words to [B] scores."""


def sound(price: tf.Tensor, word: tf.Tensor) -> tf.Tensor:
    """A score with nothing wrong about it: price / 10, and 1 more for the word `yes`."""
    return price / 10 + tf.cast(word == "yes", tf.float32)


class Model(tf.Module):
    """Two doors to one score, to which each tag adds 0.5 and a time 0.25.

    Args:
        score: Makes the score.
        rows: The same for the door of columns, if that has another one.
        more: Other outputs of the first door, from the [B] words.
    """

    def __init__(
        self,
        score: Score,
        rows: Score | None = None,
        more: Callable[[tf.Tensor], dict[str, tf.Tensor]] = lambda word: {},
    ) -> None:
        super().__init__()
        self._score, self._rows, self._more = score, rows or score, more

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        row = tf.io.parse_example(examples, SPEC)
        tags = tf.cast(row["tags"].row_lengths(), tf.float32)
        extra = tags / 2 + tf.cast(row["timestamp"] > tf.int64.min, tf.float32) / 4
        score = self._score(_filled(row["price"]), row["word"])
        return {"score": score + extra, **self._more(row["word"])}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, name="price"),
            tf.TensorSpec([None], tf.string, name="word"),
            tf.TensorSpec([None], tf.string, name="tags"),
            tf.TensorSpec([None], tf.int64, name="when"),
        ]
    )
    def predict(
        self, price: tf.Tensor, word: tf.Tensor, tags: tf.Tensor, when: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        pieces = tf.strings.split(tags, "|")
        count = tf.reduce_sum(tf.cast(pieces != "", tf.float32), axis=1)
        extra = count / 2 + tf.cast(when > tf.int64.min, tf.float32) / 4
        return {"score": self._rows(_filled(price), word) + extra}


def save(model: Model, folder: Path, described: bool = True) -> Path:
    """Exports a model, with the description of its columns and the door for these, or without."""
    doors: dict[str, Any] = {"serving_default": model.serve}
    if described:
        doors["predict_rows"] = model.predict
    tf.saved_model.save(model, str(folder), signatures=doors)
    if described:
        RowsDescription(
            task="ranking", signature="predict_rows", output="score", columns=COLUMNS
        ).save(str(folder))
    return folder


def _filled(price: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_finite(price), price, 0.0)
