"""Clipping and noise of DP-SGD, by hand; what is refused, and what is said."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from babelrank.components.errors import ConfigError
from babelrank.components.training import privacy
from babelrank.components.training.config import (
    PrivacyConfig,
    RecoveryConfig,
    StrategyConfig,
    TrainingConfig,
)

PRIVATE = TrainingConfig(privacy=PrivacyConfig())
KEY = 2**62 + 3


def slices(values, indices, rows=4):
    return tf.IndexedSlices(tf.constant(values), tf.constant(indices), tf.constant([rows, 1]))


def test_the_norm_is_that_of_all_variables_and_of_summed_rows():
    # Row 2 comes twice: 1 + 2 = 3, and with the dense 4 the norm is 5, not sqrt(1 + 4 + 16).
    gradients = [slices([[1.0], [2.0]], [2, 2]), None, tf.constant([0.0, 4.0])]
    table, missing, dense = privacy.clipped(gradients, 2.5)
    assert missing is None
    assert isinstance(table, tf.IndexedSlices)
    assert table.indices.numpy().tolist() == [2]
    np.testing.assert_allclose(table.values, [[1.5]], rtol=1e-6)
    np.testing.assert_allclose(dense, [0.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(tf.convert_to_tensor(table), [[0], [0], [1.5], [0]], rtol=1e-6)


def test_rows_that_cancel_do_not_count():
    gradients = [slices([[7.0], [1.0], [-7.0]], [3, 0, 3]), tf.constant([1.0])]
    table, dense = privacy.clipped(gradients, 2.0)
    np.testing.assert_array_equal(tf.convert_to_tensor(table), [[1], [0], [0], [0]])
    np.testing.assert_array_equal(dense, [1.0])


@pytest.mark.parametrize("norm", [5.0, 6.0])
def test_a_gradient_within_the_norm_stays(norm):
    found = privacy.clipped([tf.constant([3.0]), tf.constant([[4.0]])], norm)
    np.testing.assert_array_equal(found[0], [3.0])
    np.testing.assert_array_equal(found[1], [[4.0]])


def test_the_factor_comes_before_the_norm():
    found = privacy.clipped([tf.constant([3.0]), tf.constant([4.0])], 5.0, factor=2.0)
    np.testing.assert_allclose(found, [[3.0], [4.0]], rtol=1e-6)
    found = privacy.clipped([slices([[0.5]], [1])], 5.0, factor=2.0)
    np.testing.assert_array_equal(found[0].values, [[1.0]])


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float64])
def test_other_types_become_float32(dtype):
    table = tf.IndexedSlices(tf.ones([300, 1], dtype), tf.zeros([300], tf.int64))
    found = privacy.clipped([table, tf.zeros([2], dtype)], 1000.0)
    assert [found[0].values.dtype, found[1].dtype] == [tf.float32] * 2
    # A sum in bfloat16 would end at 256.
    np.testing.assert_array_equal(found[0].values, [[300.0]])


def test_no_gradient_stays_none_at_all():
    np.testing.assert_array_equal(privacy.clipped([tf.zeros([2])], 1.0)[0], [0, 0])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_does_not_hide(bad):
    found = privacy.clipped([tf.constant([bad]), tf.constant([1.0])], 1.0)
    assert np.isnan(found[0]).all()


def test_clipping_in_a_graph_with_an_embedding():
    table = tf.Variable(tf.ones([5, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def step(ids):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(table, ids) * [3.0, 4.0])
        (found,) = privacy.clipped([tape.gradient(loss, table)], 1.0)
        return tf.convert_to_tensor(found)

    # Three times row 1, once row 4: norms 15 and 5, together sqrt(250).
    found = step(tf.constant([1, 4, 1, 1], tf.int64))
    wanted = np.zeros([5, 2])
    wanted[1], wanted[4] = [9, 12], [3, 4]
    np.testing.assert_allclose(found, wanted / math.sqrt(250), rtol=1e-6)


def test_noise_is_gaussian():
    found = privacy.noise([100_000], 3.0, KEY, 7, 0, 1).numpy()
    assert found.dtype == np.float32
    assert found.std() == pytest.approx(3.0, rel=0.02)
    assert found.mean() == pytest.approx(0.0, abs=5 * 3 / math.sqrt(100_000))
    assert stats.kstest(found / 3, "norm").pvalue > 1e-4


def test_noise_follows_from_its_arguments():
    base = {"key": KEY, "step": 7, "replica": 1, "index": 2}
    draw = {(): privacy.noise([20_000], 1.0, **base).numpy()}
    np.testing.assert_array_equal(privacy.noise([20_000], 1.0, **base), draw[()])
    for name, value in base.items():
        draw[name] = privacy.noise([20_000], 1.0, **{**base, name: value + 1}).numpy()
    correlation = np.corrcoef(list(draw.values()))
    np.testing.assert_allclose(correlation, np.eye(5), atol=5 / math.sqrt(20_000))


def test_noise_in_a_graph_from_variables():
    key, step = tf.Variable(KEY, dtype=tf.int64), tf.Variable(2**34, dtype=tf.int64)

    @tf.function
    def draw(replica, total):
        return privacy.noise(tf.shape(total), 1.0, key, step, replica, 3)

    found = draw(tf.constant(4, tf.int32), tf.zeros([2, 5]))
    np.testing.assert_array_equal(found, privacy.noise([2, 5], 1.0, KEY, 2**34, 4, 3))
    assert privacy.noise([0, 3], 1.0, KEY, 1, 0, 0).shape == [0, 3]


def test_noise_has_tails_beyond_those_of_one_draw(monkeypatch):
    """A draw has none beyond 5.68: what a fourth of the largest sum could be is not the end."""
    monkeypatch.setattr(
        tf.raw_ops, "StatelessRandomNormalV2", lambda shape, **_: tf.fill(shape, 5.67)
    )
    np.testing.assert_allclose(privacy.noise([1], 1.0, KEY, 0, 0, 0), [11.34], rtol=1e-6)


def test_the_noise_of_all_replicas_is_that_of_one():
    config = PrivacyConfig(noise_multiplier=2.0, clipping_norm=0.5)
    sums = [tf.zeros([50_000]), None, tf.zeros([100, 500])]
    for replicas in (1, 4):
        parts = [privacy.noised(sums, config, 10, KEY, 3, r, replicas) for r in range(replicas)]
        assert parts[0][1] is None
        for variable in (0, 2):
            found = np.sum([part[variable] for part in parts], axis=0)
            assert found.shape == sums[variable].shape
            assert found.std() == pytest.approx(0.1, rel=0.02)


def test_sums_are_divided_by_the_expected_batch():
    config = PrivacyConfig(noise_multiplier=1e-9)
    (found,) = privacy.noised([tf.constant([[6.0, -3.0]])], config, 12, KEY, 0)
    np.testing.assert_allclose(found, [[0.5, -0.25]], rtol=1e-6)


def test_variables_of_one_shape_get_different_noise():
    first, second = privacy.noised([tf.zeros([9])] * 2, PrivacyConfig(), 1, KEY, 0)
    assert not np.any(first == second)


def test_secrets_differ_and_fit_an_int64():
    drawn = {privacy.secret() for _ in range(100)}
    assert len(drawn) == 100
    assert max(drawn) < 2**63
    assert max(drawn) > 2**58


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "float16"}, "precision: got float16; with privacy takes float32 or bfloat"),
        ({"accumulation": 4}, "accumulation: got 4; with privacy takes 1"),
        ({"xla": True}, "xla: got true; with privacy takes false"),
        (
            {"strategy": StrategyConfig(name="parameter_server")},
            "strategy: got parameter_server; with privacy takes one_device, .* one by one",
        ),
        ({"strategy": StrategyConfig(name="tpu")}, "strategy: got tpu; .* takes one shape"),
    ],
)
def test_what_cannot_be_private_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        privacy.check(dataclasses.replace(PRIVATE, **changes))
    privacy.check(dataclasses.replace(PRIVATE, **changes, privacy=None))


@pytest.mark.parametrize("name", ["auto", "one_device", "mirrored", "multi_worker_mirrored"])
@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_what_can_be_private(name, precision):
    privacy.check(
        dataclasses.replace(PRIVATE, strategy=StrategyConfig(name=name), precision=precision)
    )


def test_batch_normalization_is_refused_unless_it_is_frozen():
    inner = tf.keras.Sequential([tf.keras.layers.BatchNormalization(name="norm")])
    model = tf.keras.Sequential([tf.keras.layers.Dense(2), inner])
    with pytest.raises(ConfigError, match="privacy: norm keeps means of the examples"):
        privacy.check_model(model)
    inner.layers[0].trainable = False
    privacy.check_model(model)
    privacy.check_model(tf.keras.Sequential([tf.keras.layers.LayerNormalization()]))


def test_no_batch_is_left_out_for_its_loss():
    config = dataclasses.replace(PRIVATE, recovery=RecoveryConfig(max_rollbacks=2))
    assert privacy.max_rollbacks(config) == 0
    assert privacy.max_rollbacks(dataclasses.replace(config, privacy=None)) == 2


def test_after_a_warm_start_the_other_model_is_named():
    assert privacy.what_it_covers(PRIVATE) == privacy.WHAT_IT_COVERS
    found = privacy.what_it_covers(dataclasses.replace(PRIVATE, warm_start="blessed"))
    assert found.startswith(privacy.WHAT_IT_COVERS)
    assert "epsilon covers this training only" in found
