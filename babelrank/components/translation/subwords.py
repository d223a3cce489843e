"""Learning subwords: from counted texts to a SentencePiece model.

The learner sees how often each word (or, where words are not separated by spaces, each
sentence) occurs, never the corpus itself. The same counts give the same bytes: they are sorted,
nothing is sampled, and there is one thread, because rounding depends on the number of threads.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping

import sentencepiece
import tensorflow as tf

from babelrank.components.errors import ConfigError, InputError, ModelError
from babelrank.components.translation.config import VocabularyConfig
from babelrank.components.translation.records import EOS_ID, PAD_ID, SOURCE, TARGET, UNK_ID

FOLDER = "subwords"
"""Folder beside a transform graph with the models that the graph was made with."""

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What stands for a space inside a subword."""
SPECIAL = ("<pad>", "</s>", "<unk>")
"""The subwords that are no text, in the order of their ids."""
_RESERVED = str.maketrans({SPACE: " ", "\N{LOWER FIVE EIGHTHS BLOCK}": " ", "\t": " "})
"""Characters that mean something to SentencePiece: it leaves out all texts that hold them."""
_NO_LIMIT = 1 << 30


def train(counts: Mapping[str, int], config: VocabularyConfig) -> bytes:
    """Learns a subword model.

    Where the texts do not yield `config.size` subwords, the model has as many as they yield.

    Args:
        counts: How often each text occurs. Texts may be words or whole sentences, for nothing
            is learned across spaces.
        config: Size and kind.

    Returns:
        A serialized SentencePiece model with ids padding 0, end 1, unknown 2.

    Raises:
        InputError: There is no text.
        ConfigError: The size is too small for the characters, or `protected` is not possible.
    """
    _check_protected(config.protected)
    texts = _without_reserved(counts)
    if not texts:
        raise InputError(
            "there is no text to learn subwords from: the train split is empty or holds spaces "
            "only. Look at what the ingest step dropped and quarantined."
        )
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(texts),
            model_writer=model,
            input_format="tsv",
            model_type=config.model,
            vocab_size=config.size,
            hard_vocab_limit=False,
            character_coverage=config.character_coverage,
            required_chars="".join(_commonest_characters(texts, config.size // 4)),
            user_defined_symbols=[text.replace(" ", SPACE) for text in config.protected],
            normalization_rule_name="identity",
            pad_id=PAD_ID,
            eos_id=EOS_ID,
            unk_id=UNK_ID,
            bos_id=-1,
            max_sentence_length=_NO_LIMIT,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explained(error, texts, config) from error
    return model.getvalue()


def pieces(model: bytes) -> list[str]:
    """The subwords of a model, in the order of their ids."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def model_paths(folder: str) -> tuple[str, str]:
    """Where the models of the source and of the target are.

    Args:
        folder: Folder of a `SubwordModel` artifact, or of a transform graph made with one.

    Raises:
        ModelError: There are none.
    """
    for place in (folder, os.path.join(folder, FOLDER)):
        source, target = (os.path.join(place, f"{side}.model") for side in (SOURCE, TARGET))
        if tf.io.gfile.exists(source) and tf.io.gfile.exists(target):
            return source, target
    raise ModelError(f"{folder}: holds no source.model and target.model of SentencePiece.")


def read(path: str) -> bytes:
    """The bytes of a model."""
    with tf.io.gfile.GFile(path, "rb") as file:
        model: bytes = file.read()
    return model


def same(source: str, target: str) -> bool:
    """True when two paths hold the same model, so that one embedding serves both."""
    return read(source) == read(target)


def _without_reserved(counts: Mapping[str, int]) -> Counter[str]:
    """The counts, with texts that hold reserved characters cut at these."""
    texts: Counter[str] = Counter()
    for text, count in counts.items():
        cut = text.translate(_RESERVED).strip()
        if cut and count > 0:
            texts[cut] += count
    return texts


def _commonest_characters(texts: Mapping[str, int], limit: int) -> list[str]:
    """Characters that are covered whatever the coverage: all, if the vocabulary has room.

    A coverage that fits thousands of Chinese characters costs German its digits.
    """
    counts: Counter[str] = Counter()
    for text, count in texts.items():
        for character in text:
            counts[character] += count
    counts.pop(" ", None)
    return sorted(counts, key=lambda character: (-counts[character], character))[:limit]


def _lines(texts: Mapping[str, int]) -> Iterator[str]:
    """`text <tab> count`, commonest first, in an order that depends on the counts only."""
    for text, count in sorted(texts.items(), key=lambda item: (-item[1], item[0])):
        yield f"{text}\t{count}"


def _check_protected(protected: tuple[str, ...]) -> None:
    for text in protected:
        if text in SPECIAL or not text.strip() or text != " ".join(text.split()):
            raise ConfigError(
                f"vocabulary.protected: got {text!r}; takes texts without spaces at the ends or "
                f"two in a row, and none of {', '.join(SPECIAL)}."
            )
    if len(set(protected)) < len(protected):
        twice = [text for text, count in Counter(protected).items() if count > 1]
        raise ConfigError(f"vocabulary.protected: {twice[0]!r} is listed twice.")


def _explained(
    error: RuntimeError, texts: Mapping[str, int], config: VocabularyConfig
) -> Exception:
    """SentencePiece's error in our words, where it is one that we know."""
    if "smaller than required_chars" not in str(error):
        return error
    characters = len(set().union(*texts))
    needed = str(error).split("required_chars.")[1].split(".")[0].split("vs")[1].strip()
    return ConfigError(
        f"vocabulary.size: got {config.size}; takes {needed} or more, for the text has "
        f"{characters:,} different characters and each that is covered is a subword of its own. "
        "Raise it, or lower vocabulary.character_coverage."
    )
