"""A ranking model that anyone can compute, whose scores tell its version."""

from __future__ import annotations

from pathlib import Path

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import tensorflow as tf

from babelrank.components.serving.model_rows import RowColumn, RowsDescription
from babelrank.components.serving.versions import push


class Scorer(tf.Module):
    """bias + price / 100 + 0.25 for each tag + 0.5 after 1970-01-01 00:16:40 (1000 seconds).

    Args:
        bias: Score of an empty row.
    """

    def __init__(self, bias: float) -> None:
        super().__init__()
        self._bias = tf.Variable(bias)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "user"),
            tf.TensorSpec([None], tf.float32, "price"),
            tf.TensorSpec([None], tf.string, "tags"),
            tf.TensorSpec([None], tf.int64, "ts"),
        ]
    )
    def rows(
        self, user: tf.Tensor, price: tf.Tensor, tags: tf.Tensor, ts: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        price = tf.where(tf.math.is_nan(price), 0.0, price)
        pieces = tf.strings.split(tags, "|")
        tagged = tf.reduce_sum(tf.cast(pieces != "", tf.float32), axis=1)
        late = tf.cast(ts > 1000, tf.float32)
        with tf.control_dependencies([tf.debugging.assert_none_equal(user, "crash")]):
            return {"score": self._bias + price / 100 + tagged / 4 + late / 2}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {"price": tf.io.FixedLenFeature([], tf.float32, default_value=0.0)}
        return {"score": self._bias + tf.io.parse_example(examples, spec)["price"] / 100}


def save_scorer(path: Path, bias: float) -> Path:
    """Writes the model with its description; returns its folder."""
    module = Scorer(bias)
    signatures = {"predict_rows": module.rows, "serving_default": module.examples}
    tf.saved_model.save(module, str(path), signatures=signatures)
    columns = (
        RowColumn(name="user", kind="text"),
        RowColumn(name="price", kind="number"),
        RowColumn(name="tags", kind="text", separator="|"),
        RowColumn(name="ts", kind="time"),
    )
    about = RowsDescription(
        task="ranking", signature="predict_rows", output="score", columns=columns
    )
    about.save(str(path))
    return path


def pushed(model: Path, folder: Path) -> Path:
    """The version that pushing a model makes."""
    return push(model, folder)[0]


def alter(version: Path) -> None:
    """Changes one bit of the weights; twice, and it is as it was."""
    path = next(version.glob("variables/*.data-*"))
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
