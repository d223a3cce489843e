"""The Transformer: the Model Garden's numbers, and what must hold for any weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.translation.losses import token_losses
from babelrank.components.translation.model import Transformer, build_transformer
from babelrank.components.translation.model_garden import carried_back, carry_over
from tests.components.translation.conftest import small_config

Garden = tuple[Transformer, dict[str, np.ndarray[Any, Any]]]
IDS = tf.constant([[4, 7, 9, 1], [5, 1, 0, 0]])


def made(seed: int = 5, **changes: Any) -> Transformer:
    tf.keras.utils.set_random_seed(seed)
    precision = changes.pop("precision", "float32")
    model = build_transformer(small_config(**changes), 32, 32, precision=precision)
    for variable in model.trainable_variables:  # so that gains, biases and embeddings matter
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.3))
    return model


def test_logits_are_the_model_gardens(garden: Garden) -> None:
    model, theirs = garden
    logits = model({"inputs": theirs["inputs"], "targets": theirs["targets"]})
    np.testing.assert_allclose(logits, theirs["logits"], atol=1e-5)


def test_loss_is_the_model_gardens(garden: Garden) -> None:
    _, theirs = garden
    losses, weights = token_losses(theirs["targets"], tf.constant(theirs["logits"]), 0.1)
    mean = float(tf.reduce_sum(losses) / tf.reduce_sum(weights))
    assert mean == pytest.approx(float(theirs["loss"]), rel=1e-5)


@pytest.mark.parametrize(("size", "name"), [(1, "greedy"), (4, "beam4")])
def test_translations_are_the_model_gardens(garden: Garden, size: int, name: str) -> None:
    model, theirs = garden
    found = model.translate(tf.constant(theirs["inputs"]), size)
    wanted = theirs[f"{name}/outputs"]
    for ours, other in zip(found.ids[:, 0].numpy(), wanted, strict=True):
        np.testing.assert_array_equal(until_end(ours), until_end(other))
    np.testing.assert_allclose(found.scores[:, 0], theirs[f"{name}/scores"], rtol=1e-4)


def test_weights_go_to_the_model_garden_and_back(garden: Garden) -> None:
    model, theirs = garden
    for name, weight in carried_back(model).items():
        np.testing.assert_array_equal(weight, theirs[f"weights/{name}"])


def test_weights_of_another_model_are_refused(garden: Garden) -> None:
    model, _ = garden
    with pytest.raises(ValueError, match="no place for pooler/kernel"):
        carry_over({**carried_back(model), "pooler/kernel": np.zeros(3)}, model)


def test_padding_changes_nothing() -> None:
    model = made()
    padded = tf.pad(IDS, [[0, 0], [0, 3]])
    logits = model({"inputs": IDS, "targets": IDS})
    wider = model({"inputs": padded, "targets": padded})
    np.testing.assert_allclose(wider[:, :4], logits, atol=1e-5)


def test_no_target_sees_itself_or_what_comes_later() -> None:
    model = made()
    changed = tf.constant([[4, 7, 9, 1], [5, 1, 0, 0]]) + tf.constant([[0, 0, 5, 5]] * 2)
    before = model({"inputs": IDS, "targets": IDS})
    after = model({"inputs": IDS, "targets": changed})
    np.testing.assert_allclose(after[:, :3], before[:, :3], atol=1e-6)
    assert not np.allclose(after[:, 3], before[:, 3], atol=1e-3)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("beam_size", [1, 3])
def test_scores_of_the_search_are_those_of_the_whole_sentence(
    norm_first: bool, beam_size: int
) -> None:
    model = made(norm_first=norm_first)
    found = model.translate(IDS, beam_size)
    for rank in range(beam_size):
        ids = found.ids[:, rank]
        logits = model({"inputs": IDS, "targets": ids})
        losses, weights = token_losses(ids, logits, 0.0)
        total, length = -tf.reduce_sum(losses, 1), tf.reduce_sum(weights, 1)
        expected = total / ((5 + length) / 6) ** 0.6
        np.testing.assert_allclose(found.scores[:, rank], expected, rtol=1e-4)


def test_static_shapes_find_the_same() -> None:
    growing = made(decode_max_length=7)
    static = Transformer(dataclasses.replace(growing.config, padded_decode=True), 32, 32)
    static({"inputs": IDS, "targets": IDS})
    static.set_weights(growing.get_weights())
    ours, theirs = growing.translate(IDS, 3), static.translate(IDS, 3)
    np.testing.assert_allclose(theirs.scores, ours.scores, rtol=1e-4)
    for mine, other in zip(ours.ids[:, 0].numpy(), theirs.ids[:, 0].numpy(), strict=True):
        np.testing.assert_array_equal(until_end(mine), until_end(other))


def test_without_targets_it_translates() -> None:
    answer = made()({"inputs": IDS})
    assert answer["outputs"].dtype == tf.int32
    assert answer["scores"].shape == (2,)


def test_nothing_is_cut_at_the_length_of_the_source() -> None:
    model = made()
    limits = model.translate(tf.constant([[4, 1]]), 1).ids.shape[2]
    assert limits <= 2 * 2 + 20


@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_every_variable_learns(activation: str) -> None:
    model = made(activation=activation, use_bias=True)
    with tf.GradientTape() as tape:
        logits = model({"inputs": IDS, "targets": IDS}, training=True)
        loss = tf.reduce_sum(token_losses(IDS, logits, 0.1)[0])
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)


def test_dropout_is_for_training_only() -> None:
    model = made(dropout_rate=0.5)
    inputs = {"inputs": IDS, "targets": IDS}
    np.testing.assert_array_equal(model(inputs), model(inputs, training=False))
    assert not np.allclose(model(inputs, training=True), model(inputs))


def test_bfloat16_is_near_float32_and_its_weights_are_float32() -> None:
    exact, mixed = made(), made(precision="bfloat16")
    mixed.set_weights(exact.get_weights())
    inputs = {"inputs": IDS, "targets": IDS}
    logits = mixed(inputs)
    assert logits.dtype == tf.float32
    assert {v.dtype for v in mixed.trainable_variables} == {tf.float32}
    np.testing.assert_allclose(logits, exact(inputs), atol=0.3)
    assert not np.array_equal(logits, exact(inputs))


def test_two_vocabularies_have_two_embeddings() -> None:
    model = build_transformer(small_config(), 40, 32, shared=False)
    assert model.source_embedding.shape == (40, 16)
    assert model({"inputs": IDS, "targets": IDS}).shape == (2, 4, 32)
    with pytest.raises(ConfigError, match="40 and 32 subwords"):
        build_transformer(small_config(), 40, 32)


def test_impossible_dimensions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"encoder.num_attention_heads: got 3.*16"):
        build_transformer(small_config(num_attention_heads=3), 32, 32)
    with pytest.raises(ConfigError, match="embedding_width: got 15"):
        build_transformer(small_config(embedding_width=15), 32, 32)
    with pytest.raises(ConfigError, match="padded_decode: needs decode_max_length"):
        build_transformer(small_config(padded_decode=True), 32, 32)


def until_end(ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    ends = np.flatnonzero(ids == 1)
    return ids[: ends[0] + 1] if len(ends) else np.trim_zeros(ids, "b")
