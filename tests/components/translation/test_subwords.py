"""Tests of learning subwords from counts."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from pathlib import Path

import pytest
import sentencepiece

from babelrank.components.errors import ConfigError, InputError, ModelError
from babelrank.components.translation import subwords
from babelrank.components.translation.config import VocabularyConfig

TATOEBA = Path(__file__).parents[4] / "shared/data/tatoeba_deu_eng/deu-eng.2018-05-13.tsv.gz"
WORDS = {"the": 9, "then": 4, "cat": 5, "hat": 3, "Öl": 2, "שלום": 2, "👍🏽": 1}


def config(**keys):
    return VocabularyConfig(**{"size": 64, **keys})


def processor(model):
    return sentencepiece.SentencePieceProcessor(model_proto=model)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_special_ids(kind):
    found = processor(subwords.train(WORDS, config(model=kind)))
    assert (found.pad_id(), found.eos_id(), found.unk_id(), found.bos_id()) == (0, 1, 2, -1)


def test_bpe_joins_the_commonest_pair_first():
    # Pairs: "▁a" 6 times, "ab" 5, all others once. With room for two joins: "▁a", then "▁ab".
    words = {"ab": 5, "ac": 1, "defghijk": 1}
    # 3 special, 2 joins, 11 letters, the space.
    found = subwords.pieces(subwords.train(words, config(size=17, model="bpe")))
    assert found[:5] == ["<pad>", "</s>", "<unk>", "▁a", "▁ab"]
    assert set(found[5:]) == {"▁", *"abcdefghijk"}


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_the_order_of_the_words_does_not_matter(kind):
    words = {
        f"{a}{b}{a}": 1 + (i * j) % 5 for i, a in enumerate("abcde") for j, b in enumerate("xyz")
    }
    shuffled = list(words.items())
    random.Random(3).shuffle(shuffled)
    first = subwords.train(words, config(size=24, model=kind))
    assert subwords.train(dict(shuffled), config(size=24, model=kind)) == first
    assert subwords.train(words | {"aaa": 50}, config(size=24, model=kind)) != first


def test_text_comes_back():
    found = processor(subwords.train(WORDS, config()))
    for text in ("the cat", "שלום the hat", "👍🏽 Öl", ""):
        assert found.decode(found.encode(text)) == text


def test_a_small_text_yields_a_small_vocabulary():
    found = subwords.pieces(subwords.train(WORDS, config(size=8000)))
    assert 3 + len(set("".join(WORDS))) < len(found) < 100


def test_a_size_too_small_for_the_characters():
    letters = {"abcdefghijklmnopqrstuvwxyz": 1}
    # 26 letters, the space and the three special ones.
    with pytest.raises(ConfigError, match=r"size: got 16; takes 30 or more.* 26 different"):
        subwords.train(letters, config(size=16, character_coverage=1.0))
    assert len(subwords.pieces(subwords.train(letters, config(size=30)))) == 30


@pytest.mark.parametrize("counts", [{}, {"": 3}, {" ": 1}, {"the": 0}])
def test_no_text(counts):
    with pytest.raises(InputError, match="no text to learn subwords from"):
        subwords.train(counts, config())


def test_rare_characters_are_covered_while_there_is_room():
    # Coverage alone leaves out the digit: it is one character of 50,001.
    words = {"abcdefghij": 5000, "7": 1}
    assert "7" in subwords.pieces(subwords.train(words, config(size=64)))
    assert "7" not in subwords.pieces(subwords.train(words, config(size=20)))


def test_protected_texts_are_one_subword():
    protected = ("{0}", "%(count) d", "a,b")
    model = subwords.train(WORDS | {"{0}": 5, "count": 4}, config(protected=protected))
    found = processor(model)
    assert subwords.pieces(model)[3:6] == ["{0}", "%(count)▁d", "a,b"]
    assert set(found.encode("the{0}, %(count) d a,b")) >= {3, 4, 5}
    assert found.decode(found.encode("the {0} %(count) d cat")) == "the {0} %(count) d cat"


@pytest.mark.parametrize("text", ["", " ", "a  b", " a", "</s>", "<unk>"])
def test_what_cannot_be_protected(text):
    with pytest.raises(ConfigError, match="vocabulary.protected: got"):
        subwords.train(WORDS, config(protected=(text,)))


def test_protected_twice():
    with pytest.raises(ConfigError, match="'x' is listed twice"):
        subwords.train(WORDS, config(protected=("x", "x")))


def test_reserved_characters_do_not_cost_the_word():
    found = subwords.pieces(subwords.train({"b▁xy▅z\tq": 5}, config()))
    assert set("bxyzq") <= set(found)
    assert not any("▅" in piece for piece in found)


def test_sentences_longer_than_sentencepiece_takes_by_itself():
    assert "q" in subwords.pieces(subwords.train({"ab " * 5000 + "q": 1}, config()))


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_words_and_sentences_teach_the_same(kind):
    if not TATOEBA.exists():
        pytest.skip(f"needs {TATOEBA}, which is not part of the repository")
    with gzip.open(TATOEBA, "rt", encoding="utf-8") as file:
        lines = [line.split("\t")[1].split() for line in list(file)[::8]]
    words = Counter(word for line in lines for word in line)
    sentences = Counter(" ".join(line) for line in lines)
    by_word = subwords.pieces(subwords.train(words, config(size=2000, model=kind)))
    by_sentence = subwords.pieces(subwords.train(sentences, config(size=2000, model=kind)))
    assert len(by_word) == len(by_sentence) == 2000
    assert len(set(by_word) & set(by_sentence)) >= 1980


def test_paths(tmp_path):
    with pytest.raises(ModelError, match="holds no source.model"):
        subwords.model_paths(str(tmp_path))
    beside_a_graph = tmp_path / "subwords"
    beside_a_graph.mkdir()
    for side in ("source", "target"):
        (beside_a_graph / f"{side}.model").write_bytes(side[:1].encode())
    source, target = subwords.model_paths(str(tmp_path))
    assert (source, target) == subwords.model_paths(str(beside_a_graph))
    assert subwords.read(target) == b"t"
    assert not subwords.same(source, target)
    assert subwords.same(source, source)
