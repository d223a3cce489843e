"""The exported model: raw strings in, translations out, the same through both doors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.translation import signatures, subwords
from babelrank.components.translation.config import DataConfig, SideConfig, VocabularyConfig
from babelrank.components.translation.model import build_transformer
from babelrank.components.translation.preprocessing import Tokenizer
from tests.components.translation.conftest import small_config

SENTENCES = ["a red house", "", "the house", "unseen \N{GRINNING FACE} שלום"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    text = "a red green house car the ein rotes grünes haus auto das und and"
    proto = subwords.train({word: 3 for word in text.split()}, VocabularyConfig(size=40))
    tokenizer = Tokenizer(proto)
    tf.keras.utils.set_random_seed(3)
    config = small_config(beam_size=3, decode_max_length=6)
    model = build_transformer(config, tokenizer.vocab_size, tokenizer.vocab_size)
    for variable in model.trainable_variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.5))
    data = DataConfig(
        path="x.tsv", source=SideConfig(language="en"), target=SideConfig(language="de")
    )
    path = str(tmp_path_factory.mktemp("model"))
    # As in the trainer: a tokenizer made after the last seed was set.
    fresh = Tokenizer(proto)
    signatures.save(signatures.ServingModel(model, fresh, fresh), path, data)
    return path


@pytest.fixture(scope="module")
def loaded(folder: str) -> Any:
    return tf.saved_model.load(folder)


def translate(loaded: Any, sentences: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    answer = loaded.signatures["translate"](source=tf.constant(sentences))
    return {name: value.numpy() for name, value in answer.items()}


def test_shapes_and_order(loaded: Any) -> None:
    answer = translate(loaded, SENTENCES)
    assert answer["translation"].shape == (4,)
    assert answer["nbest"].shape == answer["scores"].shape == (4, 3)
    np.testing.assert_array_equal(answer["translation"], answer["nbest"][:, 0])
    assert (np.diff(answer["scores"], axis=1) <= 1e-6).all()
    assert answer["scores"].dtype == np.float32


def test_an_empty_sentence_is_translated_by_an_empty_one(loaded: Any) -> None:
    answer = translate(loaded, ["", " \u00a0 "])
    assert answer["nbest"].tolist() == [[b""] * 3] * 2
    assert answer["scores"].tolist() == [[0.0] * 3] * 2


def test_both_doors_give_the_same(loaded: Any) -> None:
    examples = []
    for sentence in SENTENCES:
        example = tf.train.Example()
        example.features.feature["source"].bytes_list.value.append(sentence.encode())
        examples.append(example.SerializeToString())
    answer = loaded.signatures["serving_default"](examples=tf.constant(examples))
    expected = translate(loaded, SENTENCES)
    np.testing.assert_array_equal(answer["nbest"].numpy(), expected["nbest"])
    np.testing.assert_allclose(answer["scores"].numpy(), expected["scores"], rtol=1e-5)


def test_what_a_sentence_gets_does_not_depend_on_the_others(loaded: Any) -> None:
    together = translate(loaded, SENTENCES)
    for i, sentence in enumerate(SENTENCES):
        alone = translate(loaded, [sentence])
        assert alone["translation"][0] == together["translation"][i]
        np.testing.assert_allclose(alone["scores"][0], together["scores"][i], rtol=1e-3)


def test_spaces_and_composition_do_not_matter(loaded: Any) -> None:
    answer = translate(loaded, ["gr\u00fcn auto", "  gru\u0308n\u3000\u00a0auto\t"])
    assert answer["translation"][0] == answer["translation"][1]


def test_no_sentences(loaded: Any) -> None:
    answer = loaded.signatures["translate"](source=tf.zeros([0], tf.string))
    assert answer["translation"].shape == (0,)


def test_bytes_that_are_no_utf8_are_answered(loaded: Any) -> None:
    answer = loaded.signatures["translate"](source=tf.constant([b"a \xff house"]))
    text = answer["translation"].numpy()[0]
    assert text.decode("utf-8").encode("utf-8") == text


def test_description_for_predict(folder: str) -> None:
    description = LinesDescription.load(Path(folder))
    assert (description.source_language, description.target_language) == ("en", "de")
    assert description.beam_size == 3
