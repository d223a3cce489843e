"""How a model is asked over a protocol, whatever it takes.

A form turns a request into pieces for the batcher, a version of the model answers these, and the
form turns the answers into what the protocol says. It holds no model, only its description.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from babelrank.components.serving.server.batcher import Piece
from babelrank.components.serving.server.refusals import BadRequest
from babelrank.components.serving.server.requests import (
    EXAMPLES,
    NBEST,
    Question,
    Tensor,
    instances,
    is_serialized,
    serialized,
)
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.shown import shown

Signature = list[dict[str, Any]]
"""Tensors of the open inference protocol: name, datatype and shape of each."""

SIGNATURE_NAME = "signature_name"
"""Key of V1 requests, as TensorFlow Serving has it."""


class Form(ABC):
    """How one kind of model is asked.

    Args:
        limits: Of requests.
    """

    task: str
    door: str
    """The signature that takes rows, or lines."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    @property
    @abstractmethod
    def max_batch(self) -> int:
        """Most rows or lines that go through the model together."""

    @property
    @abstractmethod
    def max_cells(self) -> int:
        """Most rows or lines times characters of the longest in a batch of several pieces."""

    def question(self, payload: Any) -> Question:
        """What a V1 request asks.

        Raises:
            Refusal: It is no request for this model, or too large a one.
        """
        found = instances(payload, self.limits)
        wanted = payload.get(SIGNATURE_NAME)
        if wanted not in (None, self.door, EXAMPLES):
            raise BadRequest(
                f"{SIGNATURE_NAME}: got {shown(wanted)}; takes {self.door} or {EXAMPLES}."
            )
        nbest = self._nbest(payload.get(NBEST, 1))
        if wanted == EXAMPLES or (wanted is None and found and is_serialized(found[0])):
            return self._examples(serialized(found), nbest)
        return Question(self.door, self._items(found), nbest)

    @abstractmethod
    def asked(self, tensors: Sequence[Tensor], parameters: Mapping[str, Any]) -> Question:
        """What a V2 request asks.

        Raises:
            Refusal: It is no request for this model, or too large a one.
        """

    @abstractmethod
    def pieces(self, question: Question) -> list[tuple[list[int], Piece]]:
        """The pieces of a question, none larger than a batch, and the numbers of their items.

        Raises:
            BadRequest: A row has a value of the wrong type.
        """

    @abstractmethod
    def predictions(self, question: Question, answers: Sequence[Any]) -> list[Any]:
        """The predictions of a V1 answer."""

    @abstractmethod
    def tensors(self, question: Question, answers: Sequence[Any]) -> list[Tensor]:
        """The tensors of a V2 answer."""

    @abstractmethod
    def nothing(self, item: Any) -> Any:
        """The answer to an item that is in no piece, since there is nothing to ask."""

    @abstractmethod
    def inputs(self) -> Signature:
        """The tensors that V2 requests have."""

    @abstractmethod
    def outputs(self) -> Signature:
        """The tensors that V2 answers have."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What the typing page must know."""

    @abstractmethod
    def _examples(self, examples: Sequence[bytes], nbest: int) -> Question:
        """What serialized examples ask, once their texts were found to be within the limits."""

    @abstractmethod
    def _items(self, found: Sequence[Any]) -> list[Any]:
        """The rows or lines of V1 instances."""

    @abstractmethod
    def _nbest(self, value: Any) -> int: ...
