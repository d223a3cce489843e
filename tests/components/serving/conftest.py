"""Models that anyone can compute: one reverses the words of a sentence, one adds up a row."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import RowColumn, RowsDescription

BEAM = 3


class Reverser(tf.Module):
    """`a b` to `b a`; then `b a 1`, `b a 2`. A hypothesis `never` has not been found.

    The scores are -characters of the longest line of the batch, so that they tell the batch.
    """

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "source")])
    def translate(self, source: tf.Tensor) -> dict[str, tf.Tensor]:
        words = tf.strings.split(source)
        best = tf.strings.reduce_join(tf.reverse(words.to_tensor(), [1]), axis=1, separator=" ")
        best = tf.strings.strip(best)
        nbest = tf.stack([best, best + " 1", best + " 2"], axis=1)
        longest = tf.reduce_max(tf.strings.length(source, unit="UTF8_CHAR"))
        rows = tf.cast(tf.shape(source)[0], tf.float32)
        found = tf.stack([-tf.cast(longest, tf.float32), -rows, -1e9])
        return {
            "translation": best,
            "nbest": nbest,
            "scores": tf.tile(found[None], [tf.shape(source)[0], 1]),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {"source": tf.io.FixedLenFeature([], tf.string, default_value="")}
        return self.translate(tf.io.parse_example(examples, spec)["source"])


@pytest.fixture(scope="session")
def reverser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the pushed model, versions in it."""
    folder = tmp_path_factory.mktemp("reverser")
    module = Reverser()
    path = str(folder / "3")
    signatures = {"translate": module.translate, "serving_default": module.examples}
    tf.saved_model.save(module, path, signatures=signatures)
    LinesDescription(source_language="en", target_language="de", beam_size=BEAM).save(path)
    return folder


class Scorer(tf.Module):
    """`price`, or 0 without one, + 10 * (characters of `user`) + 0.5 with a time since 1970.

    The price 666 is not taken, and that of 777 is divided by zero.
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, "price"),
            tf.TensorSpec([None], tf.string, "user"),
            tf.TensorSpec([None], tf.string, "tags"),
            tf.TensorSpec([None], tf.int64, "ts"),
        ]
    )
    def rows(
        self, price: tf.Tensor, user: tf.Tensor, tags: tf.Tensor, ts: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        taken = tf.debugging.assert_none_equal(price, 666.0, message="the beast")
        with tf.control_dependencies([taken]):
            known = tf.where(tf.math.is_nan(price), 0.0, price)
        known = tf.where(tf.equal(known, 777.0), known / 0.0, known)
        late = tf.cast(ts >= 0, tf.float32) * 0.5
        length = tf.cast(tf.strings.length(user, unit="UTF8_CHAR"), tf.float32)
        several = tf.strings.split(tags, ";").to_tensor("")
        count = tf.reduce_sum(tf.cast(tf.not_equal(several, ""), tf.float32), axis=1)
        return {"score": known + 10 * length + late + 1000 * count}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {
            "price": tf.io.FixedLenFeature([], tf.float32, default_value=float("nan")),
            "user": tf.io.FixedLenFeature([], tf.string, default_value=""),
        }
        row = tf.io.parse_example(examples, spec)
        nothing = tf.fill(tf.shape(examples), "")
        never = tf.fill(tf.shape(examples), tf.constant(-1, tf.int64))
        return self.rows(row["price"], row["user"], nothing, never)


@pytest.fixture(scope="session")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the pushed model, versions in it."""
    folder = tmp_path_factory.mktemp("scorer")
    module = Scorer()
    path = str(folder / "5")
    signatures = {"predict_rows": module.rows, "serving_default": module.examples}
    tf.saved_model.save(module, path, signatures=signatures)
    columns = (
        RowColumn(name="price", kind="number"),
        RowColumn(name="user", kind="text"),
        RowColumn(name="tags", kind="text", separator=";"),
        RowColumn(name="ts", kind="time"),
    )
    RowsDescription(
        task="ranking",
        signature="predict_rows",
        output="score",
        columns=columns,
        missing_values=("", "NA"),
    ).save(path)
    return folder
