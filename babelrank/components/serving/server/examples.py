"""Serialized `tf.Example`s of requests, read so that their texts are bounded as others are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from babelrank.components.serving.server.refusals import BadRequest
from babelrank.components.serving.server.requests import check_text
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.shown import shown


def check(examples: Sequence[bytes], limits: Limits) -> None:
    """Nothing, if no text of any example is too long.

    Raises:
        BadRequest: One is no example.
        TooLarge: A text is too long.
    """
    for number, raw in enumerate(examples, 1):
        for name, feature in _features(raw, number).items():
            for value in feature.bytes_list.value:
                text = value.decode("utf-8", "replace")
                check_text(text, f"instance {number}: {shown(name)}", limits)


def texts(examples: Sequence[bytes], name: str) -> list[str]:
    """[B] the text of a feature of each of [B] examples; empty where there is none.

    Raises:
        BadRequest: One is no example, or its feature is no text.
    """
    return [_text(_features(raw, number), name, number) for number, raw in enumerate(examples, 1)]


def _text(features: Any, name: str, number: int) -> str:
    feature = features.get(name)
    kind = None if feature is None else feature.WhichOneof("kind")
    if kind is None:
        return ""
    values = feature.bytes_list.value
    if kind != "bytes_list" or len(values) != 1:
        got = f"{len(values)} values" if kind == "bytes_list" else kind
        raise BadRequest(f"instance {number}: {name}: got {got}; takes a text in bytes_list.")
    try:
        return str(values[0], "utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"instance {number}: {name}: got no UTF-8 ({error.reason} at byte {error.start + 1}); "
            "takes UTF-8 text."
        ) from None


def _features(raw: bytes, number: int) -> Any:
    """The features of an example, by name."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        return tf.train.Example.FromString(raw).features.feature
    except DecodeError:
        raise BadRequest(
            f"instance {number}: got {len(raw):,} bytes that are no tf.Example; takes one, "
            "serialized, in base64."
        ) from None
