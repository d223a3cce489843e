"""Whatever is asked of an exported model, its process lives, and answers or refuses cleanly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.ranking import signatures as ranking
from babelrank.components.ranking.preprocessing import model_features
from babelrank.components.translation import signatures as translation
from babelrank.components.translation import subwords
from babelrank.components.translation.config import DataConfig, SideConfig, VocabularyConfig
from babelrank.components.translation.model import build_transformer
from babelrank.components.translation.preprocessing import Tokenizer
from tests.components.ranking.conftest import analyze  # noqa: F401
from tests.components.ranking.test_signatures import COLUMNS, TRAIN
from tests.components.translation.conftest import small_config
from tests.fuzz import process

COUNT = int(os.environ.get("BABELRANK_FUZZ_EXAMPLES", "25"))


def ask(model: Path) -> dict[str, int]:
    """What came of random requests through every door."""
    lines, said = process.run("signatures", [str(model), str(COUNT)], 3 * COUNT)
    assert "ended with 0:" in said, said
    return dict(lines[-1])


def network(inputs: dict[str, Any], training: bool) -> tf.Tensor:
    """A score that every input has a part in, and no id too much."""
    sparse = inputs["sparse_features"]
    items = tf.reduce_sum(tf.maximum(sparse["items"], 0), axis=1)
    whole = sparse["user"] + items + sparse["hour"] + sparse["place"]
    dense = tf.reduce_sum(inputs["dense_features"], 1)
    return tf.sigmoid(tf.cast(whole, tf.float32) / 100 + dense / 1000)


@pytest.mark.slow
def test_a_ranking_model(analyze: Any, tmp_path: Path):  # noqa: F811
    output, _ = analyze(COLUMNS, TRAIN)
    features = model_features(COLUMNS, output.vocabulary_size_by_name)
    path = tmp_path / "1"
    ranking.save(ranking.ServingModel(network, output, COLUMNS, features), str(path))
    counts = ask(path)
    assert counts["requests"] == 3 * COUNT
    assert counts["answers"] > COUNT / 4
    assert counts["errors"] > 0


def test_a_translation_model(tmp_path: Path):
    words = "a red green house car the ein rotes grünes haus auto das und and"
    proto = subwords.train({word: 3 for word in words.split()}, VocabularyConfig(size=40))
    fresh = Tokenizer(proto)
    tf.keras.utils.set_random_seed(3)
    config = small_config(beam_size=2, decode_max_length=6)
    model = build_transformer(config, fresh.vocab_size, fresh.vocab_size)
    data = DataConfig(
        path="x.tsv", source=SideConfig(language="en"), target=SideConfig(language="de")
    )
    translation.save(translation.ServingModel(model, fresh, fresh), str(tmp_path), data)
    counts = ask(tmp_path)
    assert counts["requests"] == 2 * COUNT
    assert counts["answers"] > COUNT / 4
