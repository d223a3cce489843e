"""Dropout: rate, scale, gradient, and draws that a number repeats."""

import math

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.training.dropout import Dropout, numbered

ONES = tf.ones([101, 103])  # no multiple of the numbers in a random word


@pytest.mark.parametrize(
    ("rate", "dropped"),
    [(0.5, 0.5), (0.1, 26 / 256), (0.3, 77 / 256), (0.01, 655 / 65536), (0.999, 65470 / 65536)],
)
def test_in_training_a_fraction_goes_and_the_rest_grows(rate, dropped):
    layer = Dropout(rate, seed=1)
    assert layer.dropped == dropped
    out = layer(tf.ones([1000, 1001]), training=True).numpy()
    assert set(np.unique(out)) == {0.0, np.float32(1 / (1 - dropped))}
    sigma = math.sqrt(dropped * (1 - dropped) / out.size)
    assert (out == 0).mean() == pytest.approx(dropped, abs=5 * sigma)
    assert out.mean() == pytest.approx(1, abs=5 * sigma / (1 - dropped))


def test_numbers_fall_independently_of_their_neighbours():
    zero = Dropout(0.5, seed=1)(tf.ones([2**20]), training=True).numpy() == 0
    for distance in range(1, 9):
        both = (zero[:-distance] & zero[distance:]).mean()
        assert both == pytest.approx(0.25, abs=5 * math.sqrt(3 / 16 / zero.size))


def test_a_rate_too_small_to_draw_drops_nothing():
    layer = Dropout(1e-6)
    np.testing.assert_array_equal(layer(ONES, training=True), ONES)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.float16])
def test_the_gradient_is_the_mask_in_the_type_of_the_inputs(dtype):
    layer = Dropout(0.5, seed=1, dtype=dtype)
    inputs = tf.cast(tf.range(1, 1001), dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
    gradient = tape.gradient(outputs, inputs)
    assert (outputs.dtype, gradient.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(gradient * inputs, outputs)


@pytest.mark.parametrize("shape", [[], [0], [3], [2, 3, 5]])
def test_any_shape(shape):
    assert Dropout(0.1, seed=1)(tf.ones(shape), training=True).shape == shape


def test_shapes_may_change_and_xla_may_compile():
    layer = Dropout(0.25, seed=1)
    call = tf.function(
        lambda x: layer(x, training=True), input_signature=[tf.TensorSpec([None, None])]
    )
    assert [call(tf.ones([2, n])).shape[1] for n in (3, 7)] == [3, 7]
    compiled = tf.function(lambda x: layer(x, training=True), jit_compile=True)
    assert set(np.unique(compiled(ONES))) == {0.0, np.float32(4 / 3)}


def test_outside_of_training_nothing_happens():
    np.testing.assert_array_equal(Dropout(0.2)(ONES), ONES)
    np.testing.assert_array_equal(Dropout(0.0)(ONES, training=True), ONES)


def test_every_call_draws_anew_and_its_number_repeats_it():
    layer = Dropout(0.5, seed=1)
    assert np.any(layer(ONES, training=True) != layer(ONES, training=True))
    draws = []
    for number in (7, 8, 7):
        with numbered(tf.constant(number, tf.int64)):
            draws.append(layer(ONES, training=True).numpy())
    np.testing.assert_array_equal(draws[0], draws[2])
    assert np.any(draws[0] != draws[1])
    with numbered(tf.constant(7, tf.int64)):
        assert np.any(Dropout(0.5, seed=2)(ONES, training=True) != draws[0])


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
