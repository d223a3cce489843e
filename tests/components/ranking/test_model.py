"""The model against TFRS's Ranking, and where it is right and that one is not."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from babelrank.components.ranking.config import ModelConfig
from babelrank.components.ranking.features import Features, SparseFeature
from babelrank.components.ranking.layers import MLP, BiasedDot, Cross, Embeddings
from babelrank.components.ranking.model import (
    Ranking,
    build_ranking,
    example_inputs,
    ranking_task,
)
from babelrank.components.training.composite import CompositeOptimizer

Theirs = tfrs.experimental.models.Ranking
USER, ITEM, TAGS = (
    SparseFeature("user", 20),
    SparseFeature("item", 9),
    SparseFeature("tags", 5, True),
)
FEATURES = Features((USER, ITEM), 3)


def batch(rows, seed=0):
    drawn = np.random.default_rng(seed)
    features = {
        "dense_features": tf.constant(drawn.normal(size=(rows, 3)), tf.float32),
        "sparse_features": {
            "user": tf.constant(drawn.integers(0, 20, rows)),
            "item": tf.constant(drawn.integers(0, 9, rows)),
        },
    }
    return features, tf.constant(drawn.integers(0, 2, rows), tf.float32)


class Tables(tf.keras.layers.Layer):
    """Separate tables, with ids [B] or [B, 1]."""

    def __init__(self, dim=16):
        super().__init__()
        self.user = tf.keras.layers.Embedding(20, dim)
        self.item = tf.keras.layers.Embedding(9, dim)

    def call(self, inputs):
        return {"user": self.user(inputs["user"]), "item": self.item(inputs["item"])}


def both(interaction=None, **arguments):
    tf.keras.utils.set_random_seed(1)
    models = []
    for cls in (Ranking, Theirs):
        inner = interaction() if interaction else None
        models.append(cls(Tables(), feature_interaction=inner, **arguments))
        models[-1](batch(4)[0])
    models[0].set_weights(models[1].get_weights())
    return models


def optimizer(model):
    legacy = tf.keras.optimizers.legacy
    return CompositeOptimizer(
        [
            (legacy.Adagrad(0.5), lambda: model.embedding_trainable_variables),
            # Adam's own epsilon makes whole steps of gradients that are nothing but rounding.
            (legacy.Adam(0.01, epsilon=1e-3), lambda: model.dense_trainable_variables),
        ]
    )


def dcn():
    return tf.keras.Sequential(
        [tf.keras.layers.Concatenate(), tfrs.layers.feature_interaction.Cross()]
    )


@pytest.mark.parametrize("concat_dense", [True, False])
@pytest.mark.parametrize("interaction", [None, dcn])
def test_scores_and_loss_are_those_of_tfrs(interaction, concat_dense):
    ours, theirs = both(interaction, concat_dense=concat_dense)
    features, labels = batch(64)
    np.testing.assert_allclose(ours(features), theirs(features), rtol=1e-5)
    np.testing.assert_allclose(
        ours.compute_loss((features, labels)), theirs.compute_loss((features, labels)), rtol=1e-5
    )
    assert [m.name for m in ours.metrics] == [m.name for m in theirs.metrics]


def test_training_with_keras_is_that_of_tfrs():
    ours, theirs = both()
    dataset = tf.data.Dataset.from_tensor_slices(batch(256)).batch(32)
    histories = []
    for model in (ours, theirs):
        model.compile(optimizer(model))
        histories.append(model.fit(dataset, epochs=2, verbose=0).history)
    assert set(histories[0]) == set(histories[1])
    for name in ("total_loss", "accuracy", "prediction_mean", "label_mean"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-3)
    np.testing.assert_allclose(ours(batch(9)[0]), theirs(batch(9)[0]), rtol=1e-3)
    np.testing.assert_allclose(
        ours.evaluate(dataset, return_dict=True, verbose=0)["loss"],
        theirs.evaluate(dataset, return_dict=True, verbose=0)["loss"],
        rtol=1e-3,
    )


def test_a_batch_of_one_works():
    ours, theirs = both()
    features, _ = batch(5)
    one = tf.nest.map_structure(lambda x: x[:1], features)
    np.testing.assert_allclose(ours(one), ours(features)[:1], rtol=1e-5)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        theirs(one)


def test_ids_in_a_column_are_squeezed_along_their_axis():
    ours, _ = both()
    features, _ = batch(3)
    columns = dict(features)
    columns["sparse_features"] = {k: v[:, None] for k, v in features["sparse_features"].items()}
    np.testing.assert_array_equal(ours(columns), ours(features))
    one = tf.nest.map_structure(lambda x: x[:1], columns)
    assert ours(one).shape == [1]


ON_TWO_REPLICAS = """
import babelrank
import numpy as np
import tensorflow as tf
from babelrank.components.ranking.config import ModelConfig
from babelrank.components.ranking.features import Features, SparseFeature
from babelrank.components.ranking.model import build_ranking

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
features = {
    "dense_features": tf.reshape(tf.range(16.0), [8, 2]) / 16,
    "sparse_features": {"user": tf.constant([0, 1, 2, 3] * 2)},
}
dataset = tf.data.Dataset.from_tensors((features, tf.constant([1.0, 0.0, 0.0, 1.0] * 2))).repeat(3)
weights, losses = [], []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        tf.keras.utils.set_random_seed(1)
        config = ModelConfig(preset="tiny", embedding_l2=0.1)
        model = build_ranking(config, Features((SparseFeature("user", 4),), 2))
        model.compile(tf.keras.optimizers.legacy.SGD(0.5))
        losses.append(model.fit(dataset, verbose=0).history["total_loss"][-1])
        losses[-1] += model.evaluate(dataset, verbose=0, return_dict=True)["total_loss"]
    weights.append(model.get_weights())
for one, two in zip(*weights):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
"""


def test_loss_and_training_do_not_depend_on_the_replicas():
    # In a process of its own: logical devices must be made before TensorFlow starts.
    # Its own assertions decide its exit code.
    result = subprocess.run([sys.executable, "-c", ON_TWO_REPLICAS], timeout=300)
    assert result.returncode == 0


def test_weights_weigh_the_examples():
    ours, _ = both()
    features, labels = batch(4)
    p = ours(features).numpy()
    y = labels.numpy()
    each = -y * np.log(p) - (1 - y) * np.log(1 - p)
    weights = np.array([0.0, 1.0, 2.0, 5.0], np.float32)
    loss = ours.compute_loss((features, labels, tf.constant(weights)))
    assert float(loss) == pytest.approx(float(np.mean(weights * each)), rel=1e-5)
    assert float(ours.compute_loss((features, labels, None))) == pytest.approx(
        float(each.mean()), rel=1e-5
    )


@pytest.mark.parametrize("inputs", [lambda f, y: (f,), lambda f, y: (f, y, y, y), lambda f, y: f])
def test_other_inputs_are_refused(inputs):
    ours, _ = both()
    with pytest.raises(ValueError, match=r"inputs: got .*; takes a tuple \(features, labels\)"):
        ours.compute_loss(inputs(*batch(2)))


def test_the_variables_are_split_in_two():
    model = build_ranking(ModelConfig(preset="tiny"), FEATURES)
    names = {v.ref() for v in model.embedding_trainable_variables}
    dense = {v.ref() for v in model.dense_trainable_variables}
    assert len(names) == 1
    assert not names & dense
    assert len(names | dense) == len(model.trainable_variables)


@pytest.mark.parametrize("in_graph", [False, True])
def test_the_click_loss_is_exact_for_certain_and_wrong_scores(in_graph):
    model = build_ranking(ModelConfig(preset="tiny"), FEATURES)
    top = model._top_stack._stack[-1]
    top.set_weights([np.zeros_like(top.get_weights()[0]), np.array([-40.0])])
    features, _ = batch(2)
    loss = tf.function(model.compute_loss) if in_graph else model.compute_loss
    # From probabilities alone Keras would clip: -log(1e-7) = 16.1.
    assert float(loss((features, tf.ones([2])))) == pytest.approx(40.0, rel=1e-4)


@pytest.mark.parametrize("interaction", ["dot", "cross"])
@pytest.mark.parametrize("objective", ["click", "rating"])
@pytest.mark.parametrize(
    "features",
    [
        Features((USER, ITEM, TAGS), 3),
        Features((USER, TAGS), 0),
        Features((USER,), 0),
        Features((TAGS,), 2),
        Features((), 2),
    ],
    ids=["all", "no dense", "one sparse", "bag and dense", "no sparse"],
)
def test_every_kind_of_features_makes_a_model(interaction, objective, features):
    config = ModelConfig(preset="tiny", interaction=interaction, dropout=0.1, embedding_l2=0.01)
    model = build_ranking(config, features, objective)
    for rows in (1, 3):
        inputs = example_inputs(features, rows)
        scores = model(inputs)
        assert scores.shape == [rows]
        assert np.all(np.isfinite(scores))
    model.compile(optimizer(model) if features.sparse else tf.keras.optimizers.legacy.Adam())
    labels = tf.constant([0.0, 1.0, 1.0])
    logs = model.fit(
        tf.data.Dataset.from_tensors((inputs, labels, labels + 1.0)), epochs=2, verbose=0
    ).history
    assert np.all(np.isfinite(logs["total_loss"]))
    expected = {"rmse"} if objective == "rating" else {"auc", "accuracy"}
    assert expected | {"prediction_mean", "label_mean", "loss"} <= set(logs)
    assert (logs["regularization_loss"][0] > 0) == bool(features.sparse)


def test_the_parts_follow_the_configuration():
    dlrm = build_ranking(ModelConfig(preset="tiny"), FEATURES)
    assert isinstance(dlrm._feature_interaction, tfrs.layers.feature_interaction.DotInteraction)
    assert isinstance(
        build_ranking(ModelConfig(preset="tiny"), Features((USER,), 0))._feature_interaction,
        BiasedDot,
    )
    dims = ModelConfig(interaction="cross", embedding_dims={"item": 3}, cross_projection=2)
    dcn = build_ranking(dims, FEATURES)
    assert isinstance(dcn._feature_interaction, Cross)
    assert [v.shape[1] for v in dcn.embedding_trainable_variables] == [16, 3]


def test_ratings_are_not_squashed():
    model = build_ranking(ModelConfig(preset="tiny"), FEATURES, "rating")
    top = model._top_stack._stack[-1]
    top.set_weights([np.zeros_like(top.get_weights()[0]), np.array([4.0])])
    features, _ = batch(2)
    np.testing.assert_array_equal(model(features), [4.0, 4.0])
    assert float(model.compute_loss((features, tf.constant([3.0, 6.0])))) == 2.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build_ranking(ModelConfig(), FEATURES, "ctr"), "objective: got 'ctr'; takes one"),
        (lambda: ranking_task("ctr"), "objective: got 'ctr'"),
        (
            lambda: build_ranking(ModelConfig(bottom_stack=(8,)), FEATURES),
            "bottom_stack: the last layer has 8 units; takes embedding_dim, 16",
        ),
        (
            lambda: build_ranking(
                ModelConfig(interaction="cross", embedding_dims={"x": 3}), FEATURES
            ),
            "embedding_dims: x: no such feature; takes user, item",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_any_embedding_layer_that_gives_a_list():
    class List(tf.keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self._inner = Embeddings([USER, ITEM], 16)

        def call(self, inputs):
            return list(self._inner(inputs).values())

    model = Ranking(List(), bottom_stack=MLP([16]))
    assert model(batch(3)[0]).shape == [3]
