"""The requests that a model must be able to answer: ordinary ones, and what the world may send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from babelrank.components.serving.check.doors import pieces
from babelrank.components.serving.model_rows import RowColumn

LONG = 10_000
STRANGE = {
    "unknown categories or words": "\U00010380\U00010381 ꙮ never-seen-7f3a9",
    "text from right to left": "שלום עולם مرحبا بالعالم \u202etxet\u202c",
    "emoji": "👩🏽\u200d🚀 🏳️\u200d🌈 😀🇪🇸",
    "control characters": "a\x00b\x01\x1f\x7f c\u2028d\r\n",
}
_NO_UTF8 = b"caf\xe9 \xff\xfe\xc3\x28 \xed\xa0\x80"


@dataclass(frozen=True)
class Case:
    """A kind of request.

    Attributes:
        name: What is special about it.
        examples: [B] serialized `tf.Example`s.
    """

    name: str
    examples: tuple[bytes, ...]


def cases(examples: Sequence[bytes], columns: Sequence[RowColumn]) -> list[Case]:
    """All kinds of requests.

    Args:
        examples: [B] ordinary ones, one or more.
        columns: What is known of their features.
    """
    first = examples[0]
    separated = {c.feature or c.name: c for c in columns if c.separator is not None}
    texts = {name: text.encode() for name, text in STRANGE.items()}
    texts["bytes that are not UTF-8"] = _NO_UTF8
    half = _long(first, separated, LONG // 2)
    return [
        Case("a batch of one", (first,)),
        *([Case(f"a batch of {len(examples)}", tuple(examples))] if len(examples) > 1 else []),
        Case("an empty batch", ()),
        Case("no features", (tf.train.Example().SerializeToString(),)),
        Case("one feature missing in each row", tuple(_each_missing(first))),
        *(Case(name, (_with_text(first, text, separated),)) for name, text in texts.items()),
        Case(f"texts of {LONG:,} characters", (_long(first, separated, LONG),)),
        # A model whose memory grows with the square of the longest text takes as much for these.
        Case(f"texts of {LONG // 2:,} characters beside ordinary ones", (half, first, half, first)),
    ]


def _each_missing(serialized: bytes) -> list[bytes]:
    """The example without its first feature, without its second, and so on."""
    names = sorted(tf.train.Example.FromString(serialized).features.feature)
    found = []
    for name in names:
        example = tf.train.Example.FromString(serialized)
        del example.features.feature[name]
        found.append(_bytes(example))
    return found or [serialized]


def _with_text(serialized: bytes, text: bytes, separated: dict[str, RowColumn]) -> bytes:
    """The example with this in place of every text."""
    example = tf.train.Example.FromString(serialized)
    for name, feature in example.features.feature.items():
        if feature.WhichOneof("kind") == "bytes_list":
            values = pieces(separated[name], text) if name in separated else [text]
            feature.bytes_list.value[:] = values
    return _bytes(example)


def _long(serialized: bytes, separated: dict[str, RowColumn], characters: int) -> bytes:
    """The example with its own texts over and over."""
    example = tf.train.Example.FromString(serialized)
    for name, feature in example.features.feature.items():
        if feature.WhichOneof("kind") != "bytes_list":
            continue
        text = b" ".join(feature.bytes_list.value).decode("utf-8", "replace").strip() or "word"
        long = f"{text} " * (characters // len(text) + 1)
        raw = long[:characters].encode()
        feature.bytes_list.value[:] = pieces(separated[name], raw) if name in separated else [raw]
    return _bytes(example)


def _bytes(example: tf.train.Example) -> bytes:
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized
