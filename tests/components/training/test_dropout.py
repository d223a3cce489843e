"""Dropout: rate, scale, and a state that a checkpoint holds."""

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.training.dropout import Dropout

ONES = tf.ones([100, 100])


def test_in_training_a_fraction_goes_and_the_rest_grows():
    dropped = Dropout(0.2, seed=1)(ONES, training=True).numpy()
    assert set(np.unique(dropped)) == {0.0, 1.25}
    assert (dropped == 0).mean() == pytest.approx(0.2, abs=0.02)


def test_outside_of_training_nothing_happens():
    np.testing.assert_array_equal(Dropout(0.2)(ONES), ONES)
    np.testing.assert_array_equal(Dropout(0.0)(ONES, training=True), ONES)


def test_every_call_draws_anew_and_a_checkpoint_repeats_it(tmp_path):
    layer = Dropout(0.5, seed=1)
    first = layer(ONES, training=True)
    path = tf.train.Checkpoint(layer=layer).write(str(tmp_path / "c"))
    second = layer(ONES, training=True)
    assert np.any(first != second)
    other = Dropout(0.5, seed=2)
    tf.train.Checkpoint(layer=other).read(path).assert_consumed()
    np.testing.assert_array_equal(other(ONES, training=True), second)


def test_the_global_seed_decides():
    draws = []
    for _ in range(2):
        tf.keras.utils.set_random_seed(3)
        draws.append(Dropout(0.5)(ONES, training=True))
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_wrong_rate(rate):
    with pytest.raises(ValueError, match=f"rate: got {rate}; takes 0 <= rate < 1"):
        Dropout(rate)
