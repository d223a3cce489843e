"""How a translation model is asked: with lines; the answer to each are its translations."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.server import examples as serialized_examples
from babelrank.components.serving.server.batcher import Piece
from babelrank.components.serving.server.form import Form, Signature
from babelrank.components.serving.server.refusals import BadRequest
from babelrank.components.serving.server.requests import (
    NBEST,
    Question,
    Tensor,
    check_text,
    nbest_of,
)
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.shown import kind, shown
from babelrank.components.serving.translate import Translated, batches

NOT_FOUND = -1e9
"""Score of a translation that the search did not find: JSON has no infinity."""

_CHARACTERS = 200
"""Of the lines of a full batch; longer ones come in smaller batches."""


class LinesForm(Form):
    """The form of a translation model.

    Args:
        about: What it translates.
        limits: Of requests.
    """

    task = "translation"

    def __init__(self, about: LinesDescription, limits: Limits) -> None:
        longest = min(limits.max_characters, limits.max_line_characters)
        super().__init__(dataclasses.replace(limits, max_characters=longest))
        self.about, self.door = about, about.signature

    @property
    def max_batch(self) -> int:
        return self.limits.max_batch_lines

    @property
    def max_cells(self) -> int:
        return self.max_batch * _CHARACTERS

    def asked(self, tensors: Sequence[Tensor], parameters: Mapping[str, Any]) -> Question:
        if [tensor.name for tensor in tensors] != [self.about.source]:
            got = ", ".join(shown(tensor.name) for tensor in tensors) or "none"
            raise BadRequest(f"inputs: got {got}; takes {self.about.source}, once.")
        if tensors[0].datatype != "BYTES":
            raise BadRequest(
                f"{self.about.source}: got datatype {shown(tensors[0].datatype)}; takes BYTES."
            )
        lines = tensors[0].column(self.limits.max_instances)
        return Question(self.door, self._items(lines), self._nbest(parameters.get(NBEST, 1)))

    def pieces(self, question: Question) -> list[tuple[list[int], Piece]]:
        lines = question.items
        # Stand-ins that are as long as the model finds the lines: they tell what goes together.
        wide = ["x" * _width(line) if line.strip() else "" for line in lines]
        return [
            (rows, Piece(self.door, len(rows), len(wide[rows[-1]]), [lines[row] for row in rows]))
            for rows in batches(wide, self.max_batch)
        ]

    def predictions(self, question: Question, answers: Sequence[Any]) -> list[Any]:
        return [
            {
                self.about.translation: answer.best,
                self.about.nbest: list(answer.translations[: question.nbest]),
                self.about.scores: list(answer.scores[: question.nbest]),
            }
            for answer in answers
        ]

    def tensors(self, question: Question, answers: Sequence[Any]) -> list[Tensor]:
        rows, size = len(answers), question.nbest
        best = Tensor(self.about.translation, "BYTES", [one.best for one in answers], (rows,))
        texts = [text for one in answers for text in _padded(one.translations, size, "")]
        scores = [score for one in answers for score in _padded(one.scores, size, NOT_FOUND)]
        return [
            best,
            Tensor(self.about.nbest, "BYTES", texts, (rows, size)),
            Tensor(self.about.scores, "FP32", scores, (rows, size)),
        ]

    def nothing(self, item: Any) -> Any:
        return Translated(item)  # a blank line

    def inputs(self) -> Signature:
        return [{"name": self.about.source, "datatype": "BYTES", "shape": [-1]}]

    def outputs(self) -> Signature:
        return [
            {"name": self.about.translation, "datatype": "BYTES", "shape": [-1]},
            {"name": self.about.nbest, "datatype": "BYTES", "shape": [-1, -1]},
            {"name": self.about.scores, "datatype": "FP32", "shape": [-1, -1]},
        ]

    def description(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "source_language": self.about.source_language,
            "target_language": self.about.target_language,
            "beam_size": self.about.beam_size,
        }

    def _items(self, found: Sequence[Any]) -> list[Any]:
        lines = []
        for number, one in enumerate(found, 1):
            line = one.get(self.about.source) if isinstance(one, dict) else one
            if not isinstance(line, str) or (isinstance(one, dict) and len(one) > 1):
                raise BadRequest(
                    f"instance {number}: got {shown(one) if isinstance(one, dict) else kind(one)}; "
                    f'takes a text, or {{"{self.about.source}": a text}}.'
                )
            check_text(line, f"instance {number}", self.limits, _width)
            lines.append(line)
        return lines

    def _examples(self, examples: Sequence[bytes], nbest: int) -> Question:
        lines = serialized_examples.texts(examples, self.about.source)
        return Question(self.door, self._items(lines), nbest)

    def _nbest(self, value: Any) -> int:
        return nbest_of(value, self.about.beam_size)


def _width(line: str) -> int:
    """Characters of a line as the model reads it: in Unicode NFC, which makes three of some.

    Each counts by itself: to normalise many combining marks takes time by the square of their
    number. Marks that join their letters make the line shorter than this.
    """
    if line.isascii():
        return len(line)
    counts = Counter(line)
    return sum(times * len(unicodedata.normalize("NFC", one)) for one, times in counts.items())


def _padded(values: Sequence[Any], size: int, filler: Any) -> list[Any]:
    return [*values[:size], *[filler] * (size - len(values))]
