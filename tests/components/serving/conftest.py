"""A translation model that anyone can compute: it reverses the words of a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from babelrank.components.serving.model_lines import LinesDescription

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


@pytest.fixture(scope="session")
def reverser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the pushed model, versions in it."""
    folder = tmp_path_factory.mktemp("reverser")
    module = Reverser()
    path = str(folder / "3")
    tf.saved_model.save(module, path, signatures={"translate": module.translate})
    LinesDescription(source_language="en", target_language="de", beam_size=BEAM).save(path)
    return folder
