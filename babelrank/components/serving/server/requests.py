"""What the two protocols say, before and after a model: one form of question and answer.

V1 is TensorFlow Serving's and KServe's: `instances` in, `predictions` out. V2 is the open inference
protocol: named tensors in and out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from babelrank.components.serving.model_rows import is_unicode
from babelrank.components.serving.server.refusals import BadRequest, TooLarge
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.shown import kind, shown

EXAMPLES = "serving_default"
"""Signature and door of serialized `tf.Example`s."""

NBEST = "nbest"


@dataclass(frozen=True)
class Tensor:
    """One tensor of the open inference protocol.

    Attributes:
        name: Its name.
        datatype: Such as `BYTES`, `FP32` or `INT64`.
        data: Its elements, row by row.
        shape: Its shape; empty: [B].
    """

    name: str
    datatype: str
    data: Sequence[Any]
    shape: tuple[int, ...] = ()

    def column(self, largest: int) -> list[Any]:
        """[B] its elements; shapes [B] and [B, 1] are both a column.

        Raises:
            BadRequest: It is no column, or its shape and its elements differ.
            TooLarge: It has more than `largest`.
        """
        shape = self.shape or (len(self.data),)
        if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
            raise BadRequest(f"{self.name}: got shape {list(shape)}; takes [B], or [B, 1].")
        if shape[0] > largest:
            raise TooLarge(f"{self.name}: got {shape[0]:,}; takes {largest:,} at the most.")
        nested = len(shape) == 2 and all(
            isinstance(one, list) and len(one) == 1 for one in self.data
        )
        values = [one[0] for one in self.data] if nested and self.data else list(self.data)
        if len(values) != shape[0]:
            raise BadRequest(
                f"{self.name}: got {len(values):,} elements for shape {list(shape)}; takes as many."
            )
        return [self._text(one) if isinstance(one, bytes) else one for one in values]

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise BadRequest(f"{self.name}: got no UTF-8 ({error}); takes UTF-8 text.") from None


@dataclass(frozen=True)
class Question:
    """What a request asks.

    Attributes:
        door: Name of the signature that is asked.
        items: Serialized examples, rows, or lines.
        nbest: Translations of each line.
    """

    door: str
    items: Sequence[Any]
    nbest: int = 1


def instances(payload: Any, limits: Limits) -> list[Any]:
    """The instances of a V1 request.

    Raises:
        BadRequest: There are none.
        TooLarge: There are too many.
    """
    if not isinstance(payload, dict) or "instances" not in payload:
        got = (
            f"keys {', '.join(map(repr, payload))}" if isinstance(payload, dict) else kind(payload)
        )
        raise BadRequest(f'body: got {got[:200]}; takes a JSON object with a list "instances".')
    found = payload["instances"]
    if not isinstance(found, list):
        raise BadRequest(f"instances: got {kind(found)}; takes a list.")
    if len(found) > limits.max_instances:
        raise TooLarge(
            f"instances: got {len(found):,}; takes {limits.max_instances:,} at the most. "
            "Send several requests, or use `babelrank predict`."
        )
    return found


def is_serialized(instance: Any) -> bool:
    """Whether an instance is a serialized example, `{"b64": …}`."""
    return isinstance(instance, dict) and set(instance) == {"b64"}


def serialized(found: Sequence[Any]) -> list[bytes]:
    """The bytes of instances of the form `{"b64": …}`.

    Raises:
        BadRequest: One has another form.
    """
    answer = []
    for number, one in enumerate(found, 1):
        try:
            answer.append(base64.b64decode(one["b64"], validate=True))
        except (TypeError, KeyError, ValueError, binascii.Error):
            raise BadRequest(
                f'instance {number}: got {shown(one)}; takes {{"b64": …}}, a serialized '
                "tf.Example in base64, as the others are."
            ) from None
    return answer


def nbest_of(value: Any, largest: int) -> int:
    """How many translations are asked for.

    Raises:
        BadRequest: It is no such number.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise BadRequest(
            f"{NBEST}: got {shown(value)}; takes 1 to {largest}, the beam with which the model was "
            "exported."
        )
    return value


def check_text(text: str, where: str, limits: Limits, width: Callable[[str], int] = len) -> None:
    """Nothing, if a text is one, and not too long.

    Args:
        text: The text.
        where: Where it stands, for messages.
        limits: Of requests.
        width: Tells its length, in characters; not asked about what is too long anyway.

    Raises:
        BadRequest: It has half a surrogate pair, which no UTF-8 can hold.
        TooLarge: It is too long.
    """
    found = len(text) if len(text) > limits.max_characters else width(text)
    if found > limits.max_characters:
        raise TooLarge(
            f"{where}: got {found:,} characters; takes {limits.max_characters:,} at the most."
        )
    if not is_unicode(text):
        raise BadRequest(
            f"{where}: got {shown(text)}, which has half a surrogate pair; takes Unicode text."
        )
