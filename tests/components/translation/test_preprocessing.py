"""Tests of normalisation and tokenizer, inside and outside of an exported graph."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
import tensorflow as tf

from babelrank.components.errors import ModelError
from babelrank.components.translation import subwords
from babelrank.components.translation.cleaning import normalized
from babelrank.components.translation.config import VocabularyConfig
from babelrank.components.translation.preprocessing import Tokenizer, normalize, preprocessing_fn

WORDS = {"hello": 5, "world": 4, "Öl": 2, "שלום": 3, "مرحبا": 2, "👩🏽\u200d🚀": 2, "日本語": 2}
TEXTS = [
    "hello world",
    "שלום hello",
    "مرحبا",
    "👩🏽\u200d🚀 👩🏽\u200d🚀",
    "日本語",
    "",
    "Öl",
    "a",
    "o l d",
]


@pytest.fixture(scope="module")
def model():
    return subwords.train(WORDS | {"a": 1}, VocabularyConfig(size=200))


@pytest.fixture(scope="module")
def tokenizer(model):
    return Tokenizer(model)


def texts(tensor):
    return [text.decode() for text in tensor.numpy()]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  a \t b\n", "a b"),
        ("a\u00a0\u2009\u3000b\u202f", "a b"),
        ("a\u2028b\u2029c\u0085d", "a b c d"),
        ("O\u0308l", "\u00d6l"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\u3000", ""),
        ("", ""),
    ],
)
def test_normalize(raw, expected):
    assert texts(normalize(tf.constant([raw]))) == [expected]


def test_normalize_is_what_ingest_does():
    characters = [chr(c) for c in range(0x30000) if not 0xD800 <= c < 0xE000]
    # Python and TensorFlow may know different versions of Unicode; both know the old characters.
    known = [c for c in characters if unicodedata.ucd_3_2_0.category(c) != "Cn"]
    raw = [f"e{c}\u0301{c} {c}x" for c in known]
    assert len(raw) > 90_000
    assert texts(normalize(tf.constant(raw))) == normalized(pa.array(raw)).to_pylist()


def test_normalize_of_broken_bytes():
    assert texts(normalize(tf.constant([b"a\xff b\xc3"]))) == ["a\ufffd b\ufffd"]


def test_there_and_back(tokenizer, model):
    ids = tokenizer.tokenize(tf.constant(TEXTS))
    assert ids.dtype == tf.int32
    reference = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert ids.to_list() == [[*reference.encode(text), 1] for text in TEXTS]
    assert texts(tokenizer.detokenize(ids)) == TEXTS
    assert texts(tokenizer.detokenize(tf.cast(ids.to_tensor(0), tf.int64))) == TEXTS


def test_an_empty_text_is_the_end_id(tokenizer):
    assert tokenizer.tokenize(tf.constant([""])).to_list() == [[tokenizer.eos_id]] == [[1]]


def test_detokenize_stops_at_the_end(tokenizer):
    (hello, end), (old, _) = (
        [i[:-1], i[-1]] for i in tokenizer.tokenize(["hello", "o l d"]).to_list()
    )
    rows = [[*hello, end, *old], [*hello, 0, *old], [end, *hello], [0, *hello], hello]
    assert texts(tokenizer.detokenize(tf.ragged.constant(rows))) == [
        "hello",
        "hello",
        "",
        "",
        "hello",
    ]


@pytest.mark.parametrize("shape", [[0, 3], [2, 0], [0, 0]])
def test_nothing(tokenizer, shape):
    assert texts(tokenizer.detokenize(tf.zeros(shape, tf.int32))) == [""] * shape[0]
    assert tokenizer.tokenize(tf.zeros([0], tf.string)).to_list() == []


def test_unknown_characters(tokenizer):
    ids = tokenizer.tokenize(tf.constant(["a Ж"])).to_list()[0]
    assert ids.count(2) == 1
    assert texts(tokenizer.detokenize([ids])) == ["a  \u2047 "]


def test_vocab_size(tokenizer, model):
    assert tokenizer.vocab_size == len(subwords.pieces(model))
    assert int(tf.reduce_max(tokenizer.tokenize(TEXTS))) < tokenizer.vocab_size


def test_not_a_model():
    with pytest.raises(ModelError, match="these 3 bytes are no SentencePiece model"):
        Tokenizer(b"abc")


def trained_elsewhere(tmp_path, **options):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c"]),
        model_prefix=str(tmp_path / "other"),
        vocab_size=8,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return (tmp_path / "other.model").read_bytes()


def test_a_model_with_another_end_id(tmp_path):
    found = Tokenizer(trained_elsewhere(tmp_path))
    assert found.eos_id == 2
    assert found.tokenize(tf.constant([""])).to_list() == [[2]]


def test_a_model_without_end_id(tmp_path):
    with pytest.raises(ModelError, match="has no end id"):
        Tokenizer(trained_elsewhere(tmp_path, eos_id=-1))


def test_texts_outside_of_a_graph(tokenizer):
    ids = tokenizer.tokenize(tf.constant(TEXTS))
    rows = [np.array([*row, 0, 5]) for row in ids.to_list()]
    assert tokenizer.texts(rows) == TEXTS
    assert tokenizer.texts([]) == []


def echo(*tokenizers):
    """A graph that sends each text through the tokenizer of its number."""

    class Echo(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizers = tokenizers

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, text):
            cut = [one.tokenize(normalize(text)) for one in self.tokenizers]
            pairs = zip(self.tokenizers, cut, strict=True)
            return [one.detokenize(ids) for one, ids in pairs], [ids.to_tensor() for ids in cut]

    return Echo()


def test_in_an_exported_graph(tokenizer, tmp_path):
    tf.saved_model.save(echo(tokenizer), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    (found,), _ = loaded(tf.constant([f" {text}\u00a0" for text in TEXTS]))
    assert texts(found) == TEXTS


def test_several_models_in_one_process(tmp_path):
    config = VocabularyConfig(size=20)
    made = [Tokenizer(subwords.train({word: 1}, config)) for word in ("abcd", "dcbae", "ebd")]
    text = tf.constant(["abcd"])
    expected = [one.tokenize(text).to_list() for one in made]
    assert expected[0] != expected[1] != expected[2]
    # Source and target in one graph, and another graph with another model, as a baseline has.
    tf.saved_model.save(echo(*made[:2]), str(tmp_path / "two"))
    tf.saved_model.save(echo(made[2]), str(tmp_path / "one"))
    loaded = [tf.saved_model.load(str(tmp_path / name)) for name in ("two", "one")]
    assert [ids.numpy().tolist() for graph in loaded for ids in graph(text)[1]] == expected


@pytest.mark.parametrize("rank", [1, 2])
def test_preprocessing_fn(model, tmp_path, rank):
    other = subwords.train({"bonjour": 3}, VocabularyConfig(size=30))
    (tmp_path / "source.model").write_bytes(model)
    (tmp_path / "target.model").write_bytes(other)
    source, target = ["hello  world", ""], ["bonjour", "bon\u00a0jour"]
    inputs = {"source": tf.constant(source), "target": tf.constant(target)}
    if rank == 2:
        inputs = {name: value[:, None] for name, value in inputs.items()}
    found = preprocessing_fn(inputs, {"subwords": str(tmp_path)})
    expected = {
        "inputs": Tokenizer(model).tokenize(["hello world", ""]).to_list(),
        "targets": Tokenizer(other).tokenize(["bonjour", "bon jour"]).to_list(),
    }
    for name, rows in expected.items():
        assert tf.RaggedTensor.from_sparse(found[name]).to_list() == rows
        assert found[f"{name}_length"].numpy().tolist() == [len(row) for row in rows]
        assert found[name].dtype == found[f"{name}_length"].dtype == tf.int64
