"""Paths of weights, in memory and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ModelError
from babelrank.components.training.object_graph import ObjectGraph, SavedWeights

NAMES = {"first/kernel", "first/bias", "stack/0/kernel", "stack/0/bias"}
NAMES |= {"stack/1/kernel", "stack/1/bias"}


class Net(tf.keras.Model):
    """One layer, and a list of two, maybe with a dropout between them."""

    def __init__(self, dropout: bool = False) -> None:
        super().__init__()
        dense, between = tf.keras.layers.Dense, [tf.keras.layers.Dropout(0.5)]
        self.first = dense(1)
        self.stack = [dense(1), *(between if dropout else []), dense(1)]
        self(tf.ones([1, 1]))
        for i, weight in enumerate(self.weights):
            weight.assign(tf.fill(weight.shape, float(i)))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        for layer in (self.first, *self.stack):
            inputs = layer(inputs)
        return inputs


@pytest.mark.parametrize("dropout", [False, True])
def test_paths(dropout: bool):
    model = Net(dropout)
    graph = ObjectGraph.of_model(model)
    paths = graph.paths()
    assert set(paths) == NAMES
    assert paths["stack/1/kernel"] is model.stack[-1].kernel
    assert graph.at("stack/1/kernel") is model.stack[-1].kernel
    assert graph.at("stack/2/kernel") is None
    assert graph.at("stack") is None


def test_paths_in_a_mixed_precision_model():
    layer = tf.keras.layers.Dense(1, dtype="mixed_bfloat16")
    model = tf.keras.Sequential([layer])
    model.build([None, 1])
    assert {id(v) for v in ObjectGraph.of_model(model).paths().values()} == (
        {id(v) for v in model.weights}
    )


class Served(tf.Module):
    """A model as `ServingModel` holds it."""

    def __init__(self, model: tf.keras.Model) -> None:
        super().__init__()
        self._model = model

    @tf.function(input_signature=[tf.TensorSpec([None, 1])])
    def score(self, inputs: tf.Tensor) -> tf.Tensor:
        return self._model(inputs)


def written(model: tf.keras.Model, folder: Path, kind: str) -> str:
    if kind == "saved_model":
        tf.saved_model.save(Served(model), str(folder))
        return str(folder / "variables" / "variables")
    if kind == "weights":
        model.save_weights(str(folder / "w"))
        return str(folder / "w")
    step = tf.Variable(3)
    return tf.train.Checkpoint(step=step, model=model).write(str(folder / "ckpt"))


@pytest.mark.parametrize("kind", ["saved_model", "weights", "checkpoint"])
@pytest.mark.parametrize("dropout", [False, True])
def test_weights_have_the_same_paths_in_files(tmp_path: Path, kind: str, dropout: bool):
    model = Net(dropout)
    saved = SavedWeights(written(model, tmp_path, kind))
    for path, variable in ObjectGraph.of_model(Net()).paths().items():
        same = ObjectGraph.of_model(model).at(path)
        np.testing.assert_array_equal(saved.get(path), same)
        assert same.shape == variable.shape
    assert saved.get("stack/2/kernel") is None
    assert saved.get("step") is None


def test_by_name(tmp_path: Path):
    variable = tf.Variable([1.0, 2.0], name="v")
    saved = SavedWeights(tf.train.Checkpoint(v=variable).write(str(tmp_path / "x")))
    np.testing.assert_array_equal(saved.read(saved.names["v"]), [1.0, 2.0])


def test_files_that_are_no_checkpoint_of_objects(tmp_path: Path):
    (tmp_path / "bad.index").write_bytes(b"no index")
    with pytest.raises(ModelError, match="bad: cannot read the weights"):
        SavedWeights(str(tmp_path / "bad"))
    names = str(tmp_path / "names")
    tf.raw_ops.SaveV2(prefix=names, tensor_names=["a"], shape_and_slices=[""], tensors=[[1.0]])
    with pytest.raises(ModelError, match="names: cannot read the weights"):
        SavedWeights(names)
