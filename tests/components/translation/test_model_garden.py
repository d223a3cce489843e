"""A checkpoint that the Model Garden 2.16 wrote, in our model.

`model_garden_checkpoint` holds the weights of `pre/` in `model_garden.npz`, as
`tf.train.Checkpoint(model=..., global_step=...)` of its `Seq2SeqTransformer`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.errors import ModelError
from babelrank.components.training import warm_start
from babelrank.components.training.object_graph import SavedWeights
from babelrank.components.training.rows import Rows
from babelrank.components.training.tables import RowCount
from babelrank.components.translation import model_garden
from babelrank.components.translation.model import Transformer, build_transformer
from tests.components.translation.conftest import REFERENCE, small_config

CHECKPOINT = REFERENCE.with_name("model_garden_checkpoint")


def subwords(size: int) -> tuple[Rows, ...]:
    tokens = tuple(map(str, range(size)))
    return (Rows(name="subwords", table="target_embedding", tokens=tokens),)


def started(model: Transformer, size: int = 32) -> warm_start.WarmStart:
    return warm_start.load(model, str(CHECKPOINT), subwords(size), model_garden.adapted)


def test_the_logits_are_the_model_gardens(reference: dict[str, np.ndarray[Any, Any]]):
    model = build_transformer(small_config(norm_first=True), 32, 32, precision="float32")
    found = started(model)
    assert found.source == str(CHECKPOINT / "ckpt-7")
    assert (found.kept, found.fresh) == (len(model.weights) - 1, ())
    assert found.rows == (RowCount(name="subwords", kept=32, new=0, dropped=0),)
    batch = {name: tf.constant(reference[name]) for name in ("inputs", "targets")}
    logits = model(batch, training=False)
    np.testing.assert_allclose(logits, reference["pre/logits"], rtol=1e-4, atol=1e-4)


def test_another_vocabulary_and_another_layer_begin_anew():
    model = build_transformer(small_config(num_layers=2), 31, 31, precision="float32")
    embedding = model.target_embedding.numpy()
    found = started(model, 31)
    np.testing.assert_array_equal(model.target_embedding, embedding)
    assert found.rows == (RowCount(name="subwords", kept=0, new=31, dropped=0),)
    assert found.notes == ("no rows of target_embedding kept: was 32 x 16, is 31 x 16",)
    assert found.kept == len(build_transformer(small_config(), 31, 31).weights) - 1
    assert all("coder_layers/1/" in path and path.endswith("(new)") for path in found.fresh)


def test_other_checkpoints_are_left_alone(tmp_path: Path):
    model = build_transformer(small_config(), 8, 8, precision="float32")
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    assert model_garden.adapted(SavedWeights(path), model) == {}


def test_without_the_adapter_nothing_fits():
    model = build_transformer(small_config(), 32, 32, precision="float32")
    with pytest.raises(ModelError, match="none of its weights fits the model"):
        warm_start.load(model, str(CHECKPOINT), subwords(32))
