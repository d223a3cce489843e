"""The Tatoeba pairs as the translation benchmarks take them: split, vocabulary, examples of text.

English to German, from the folder of shared data beside the repository.
"""

from __future__ import annotations

import gzip
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import sentencepiece
import tensorflow as tf

from babelrank.components.translation.records import EOS_ID, PAD_ID, SOURCE, TARGET, UNK_ID
from tests.benchmarks.network import NETWORK

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY.parent / "shared" / "data" / "tatoeba_deu_eng"
CACHE = REPOSITORY / "out" / "benchmark-translation"

TOKENS, LONGEST = 4096, 64  # subwords of a batch, and of the longest side of a pair
_PARTS, _HELD_OUT = 1000, 15  # 1.5 % of the English sentences, about 2,000, are held out


@dataclass(frozen=True)
class Corpus:
    """Tatoeba, prepared.

    Attributes:
        train: Pairs of sentences.
        held_out: Pairs of other English sentences, each once, in a random order.
        vocabulary: The SentencePiece model of both languages.
        raw: TFRecord of the training pairs as text, in a random order.
    """

    train: list[tuple[str, str]]
    held_out: list[tuple[str, str]]
    vocabulary: Path
    raw: Path

    @property
    def tokenizer(self) -> sentencepiece.SentencePieceProcessor:
        """The vocabulary; it cuts text and ends it with the end id."""
        return sentencepiece.SentencePieceProcessor(model_file=str(self.vocabulary), add_eos=True)


def prepared() -> Corpus:
    """Tatoeba; its vocabulary and its examples are made once.

    Raises:
        SystemExit: The file is not there.
    """
    files = sorted(DATA.glob("*.tsv.gz"))
    if not files:
        raise SystemExit(f"benchmarks: no *.tsv.gz in {DATA}: the Tatoeba pairs are missing.")
    train, held_out = _split(files[0])
    CACHE.mkdir(parents=True, exist_ok=True)
    vocabulary, raw = CACHE / "vocabulary.model", CACHE / "raw.tfrecord"
    if not vocabulary.exists():
        _learn(train, vocabulary)
    if not raw.exists():
        _write(train, raw)
    return Corpus(train, held_out, vocabulary, raw)


def _split(file: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Pairs by a hash of the English sentence, in the order of that of both."""
    train: list[tuple[str, str]] = []
    held_out: dict[str, str] = {}
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            source, target = (_clean(side) for side in line.split("\t"))
            if zlib.crc32(source.encode()) % _PARTS < _HELD_OUT:
                held_out.setdefault(source, target)
            else:
                train.append((source, target))
    train.sort(key=_shuffled)
    return train, sorted(held_out.items(), key=_shuffled)


def _shuffled(pair: tuple[str, str]) -> int:
    return zlib.crc32("\t".join(pair).encode())


def _clean(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _learn(pairs: list[tuple[str, str]], path: Path) -> None:
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([side for pair in pairs for side in pair]),
            model_writer=file,
            vocab_size=NETWORK.vocab_size,
            normalization_rule_name="identity",
            pad_id=PAD_ID,
            eos_id=EOS_ID,
            unk_id=UNK_ID,
            bos_id=-1,
            minloglevel=2,
        )


def _write(pairs: list[tuple[str, str]], path: Path) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for pair in pairs:
            feature = {
                name: tf.train.Feature(bytes_list={"value": [text.encode()]})
                for name, text in zip((SOURCE, TARGET), pair, strict=True)
            }
            writer.write(tf.train.Example(features={"feature": feature}).SerializeToString())
