"""Layers: fused embeddings against separate ones, MLP, interactions."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from babelrank.components.ranking.features import SparseFeature
from babelrank.components.ranking.layers import MLP, BiasedDot, Cross, Embeddings

USER, ITEM, TAGS = (
    SparseFeature("user", 4),
    SparseFeature("item", 3),
    SparseFeature("tags", 5, True),
)


def rows(layer, name, ids):
    table = getattr(layer, f"table_{layer.dims[name]}").numpy()
    return table[np.asarray(ids) + layer.offset(name)]


def test_features_of_one_width_share_a_table():
    layer = Embeddings([USER, TAGS, ITEM], {"user": 2, "item": 2, "tags": 3})
    layer.build(None)
    assert [tuple(v.shape) for v in layer.trainable_variables] == [(7, 2), (5, 3)]
    assert (layer.offset("user"), layer.offset("item"), layer.offset("tags")) == (0, 4, 0)


def test_every_feature_gets_its_rows():
    layer = Embeddings([USER, ITEM], 2)
    found = layer({"item": [2, 0], "user": [1, 3], "unused": [0, 0]})
    assert list(found) == ["user", "item"]
    np.testing.assert_array_equal(found["user"], rows(layer, "user", [1, 3]))
    np.testing.assert_array_equal(found["item"], rows(layer, "item", [2, 0]))


def test_ids_out_of_range_are_the_last_id():
    layer = Embeddings([USER, ITEM, TAGS], 2)
    found = layer({"user": [-1, 4], "item": [-(2**40), 2**40], "tags": [[9], [4]]})
    np.testing.assert_array_equal(found["user"], rows(layer, "user", [3, 3]))
    np.testing.assert_array_equal(found["item"], rows(layer, "item", [2, 2]))
    np.testing.assert_array_equal(found["tags"][0], found["tags"][1])


@pytest.mark.parametrize(("combiner", "divisor"), [("sum", 1), ("mean", 2), ("sqrtn", 2**0.5)])
@pytest.mark.parametrize("with_single", [False, True])
def test_several_ids_are_combined(combiner, divisor, with_single):
    layer = Embeddings([TAGS, USER] if with_single else [TAGS], 2, combiner)
    single = {"user": [0, 1, 2]} if with_single else {}
    found = layer({"tags": [[1, 3, -1], [-1, -1, -1], [2, -1, 2]], **single})["tags"]
    one, two, three = rows(layer, "tags", [1, 2, 3])
    np.testing.assert_allclose(found[0], (one + three) / divisor, rtol=1e-6)
    np.testing.assert_array_equal(found[1], [0, 0])
    np.testing.assert_allclose(found[2], (two + two) / divisor, rtol=1e-6)


@pytest.mark.parametrize("kind", ["ragged", "sparse", "narrow"])
def test_other_kinds_of_tensors_mean_the_same(kind):
    layer = Embeddings([TAGS, USER], 2)
    tags, users = [[1, 3], [], [2]], [1, 0, 2]
    wanted = layer({"tags": [[1, 3], [-1, -1], [2, -1]], "user": users})
    ragged = tf.ragged.constant(tags, tf.int64)
    inputs = {
        "ragged": {"tags": ragged, "user": tf.ragged.constant([[u] for u in users], tf.int64)},
        "sparse": {
            "tags": ragged.to_sparse(),
            "user": tf.sparse.from_dense(tf.constant([[1], [0], [2]], tf.int64)),
        },
        "narrow": {
            "tags": tf.constant([[1, 3], [-1, -1], [2, -1]], tf.int32),
            "user": tf.constant([[u] for u in users], tf.int32),
        },
    }[kind]
    found = layer(inputs)
    np.testing.assert_array_equal(found["tags"], wanted["tags"])
    if kind != "sparse":  # an id of 0 is not stored by from_dense
        np.testing.assert_array_equal(found["user"], wanted["user"])


def test_a_batch_of_no_ids():
    found = Embeddings([TAGS], 2)({"tags": tf.zeros([3, 0], tf.int64)})["tags"]
    np.testing.assert_array_equal(found, np.zeros([3, 2]))


def test_training_equals_separate_tables():
    layer = Embeddings([USER, ITEM, TAGS], 2)
    ids = {"user": [1, 1, 3], "item": [0, 2, 2], "tags": [[1, 3], [-1, -1], [1, -1]]}
    layer(ids)
    whole = layer.trainable_variables[0]
    parts = {f.name: tf.Variable(rows(layer, f.name, range(f.size))) for f in (USER, ITEM, TAGS)}
    target = tf.reshape(tf.range(6.0), [3, 2])
    optimizers = [tf.keras.optimizers.legacy.Adagrad(0.5) for _ in range(2)]
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_sum((e - target) ** 2) for e in layer(ids).values())
        gradient = tape.gradient(loss, whole)
        assert isinstance(gradient, tf.IndexedSlices)
        optimizers[0].apply_gradients([(gradient, whole)])
        with tf.GradientTape() as tape:
            tags = tf.nn.safe_embedding_lookup_sparse(
                parts["tags"],
                tf.SparseTensor([[0, 0], [0, 1], [2, 0]], tf.constant([1, 3, 1], tf.int64), [3, 2]),
                combiner="mean",
            )
            embedded = [tf.gather(parts[n], ids[n]) for n in ("user", "item")] + [tags]
            loss = sum(tf.reduce_sum((e - target) ** 2) for e in embedded)
        variables = list(parts.values())
        optimizers[1].apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    np.testing.assert_allclose(whole, np.concatenate(variables), rtol=1e-5)


def test_the_penalty_is_that_of_the_batch():
    layer = Embeddings([USER, ITEM], 2, l2=0.5, initializer=tf.keras.initializers.Constant(2.0))
    layer({"user": [0, 1, 2], "item": [0, 0, 0]})
    # Two features of width 2 with all values 2: 16 an example.
    np.testing.assert_allclose(layer.losses, [8.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Embeddings([USER], 2, "max"), "combiner: got 'max'; takes one of mean, sum"),
        (lambda: Embeddings([USER], 0), "dims: user: got 0; takes a width of 1 or more"),
        (lambda: Embeddings([USER], {"item": 2}), "dims: user: got None"),
        (lambda: Embeddings([USER, ITEM], 2)({"user": [0]}), "item missing; got user"),
        (lambda: MLP([]), "units: got none"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_mlp_is_that_of_tfrs():
    ours, theirs = (
        MLP([3, 2], "sigmoid"),
        tfrs.layers.blocks.MLP([3, 2], final_activation="sigmoid"),
    )
    x = tf.random.normal([4, 5])
    theirs(x)
    ours(x)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(ours(x), theirs(x))


def test_dropout_acts_in_training_only_and_not_after_the_last_layer():
    mlp = MLP([50, 1], None, dropout=0.9)
    x = tf.ones([2, 5])
    np.testing.assert_array_equal(mlp(x), mlp(x, training=False))
    assert np.any(mlp(x, training=True) != mlp(x, training=True))
    single = MLP([4], None, dropout=0.9)
    np.testing.assert_array_equal(single(x, training=True), single(x))


def test_the_biased_dot_has_each_feature_by_itself():
    layer = BiasedDot()
    found = layer([tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 4.0]])])
    # <b, a>; <1, a> and <1, b> with the constant (1, 1).
    np.testing.assert_array_equal(found, [[11.0, 3.0, 7.0]])
    assert len(layer.trainable_variables) == 1


@pytest.mark.parametrize("projection", [None, 2])
def test_cross_is_the_formula(projection):
    layer = Cross(layers=2, projection=projection)
    a, b = tf.random.normal([3, 2]), tf.random.normal([3, 4])
    found = layer([a, b])
    first = x = tf.concat([a, b], 1)
    weights = [w.numpy() for w in layer.trainable_variables]
    for _ in range(2):
        kernel = weights.pop(0)
        if projection:
            kernel = kernel @ weights.pop(0)
        x = first * (x @ kernel + weights.pop(0)) + x
    np.testing.assert_allclose(found, x, rtol=1e-4, atol=1e-5)
